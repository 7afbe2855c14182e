"""Writing and removing small files, whole or not at all.

A file appears under its name complete (a temporary file beside it, synced, renamed over it) or
not at all. Every OSError becomes a Problem naming the path and the remedy. Used by ``_enable``.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from fastpath._problem import Problem


def read(path: Path) -> bytes | None:
    """Return the file's content, or None if there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused("read", path, error) from error


def write(path: Path, content: bytes) -> None:
    """Put ``content`` under ``path`` atomically, readable by all that the umask lets read."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_and_rename(path, content)
    except OSError as error:
        raise _refused("write", path, error) from error


def remove(path: Path) -> None:
    """Remove the file; one that is gone already is as good."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise _refused("remove", path, error) from error


def check_writable(directory: Path) -> None:
    """Raise Problem unless files can be made in ``directory`` (or in the parent it needs)."""
    place = directory
    while not place.exists() and place != place.parent:
        place = place.parent
    if not os.access(place, os.W_OK | os.X_OK):
        raise Problem(_unwritable(place))


def _write_and_rename(path: Path, content: bytes) -> None:
    # The leading dot and the suffix keep `site` from reading a leftover, should we be killed.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".fastpath-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    # The only portable way to read it is to set it; the command line has one thread.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _refused(verb: str, path: Path, error: OSError) -> Problem:
    if isinstance(error, PermissionError) or not os.access(path.parent, os.W_OK):
        return Problem(_unwritable(path.parent))
    return Problem(f"cannot {verb} {path}: {error.strerror or error}")


def _unwritable(directory: Path) -> str:
    return (
        f"{directory} is not writable; "
        "run this as its owner, in a virtual environment, or with --user"
    )
