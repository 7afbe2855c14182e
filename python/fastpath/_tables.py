"""The shared tables in a cache directory: which files are ours, what they say, and their removal.

A file is a table of ours by its name, its owner and its first bytes; nothing else is ever removed
but the lock and the unfinished file that belong to such a name. Used by ``_cache`` and ``_doctor``.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import fastpath
from fastpath import _native
from fastpath._problem import Problem

if TYPE_CHECKING:
    from fastpath._native import TableFacts

_MAGIC = b"fastpath"
# What `Key::file_name` and `publish` name their files.
_NAME = re.compile(r"([0-9a-f]{32}\.table)(\.lock|\.new)?")


class Place(NamedTuple):
    """Where tables lie, and this interpreter's among them; or why there is no place for any."""

    directory: Path | None
    file: Path | None
    why: str | None


class File(NamedTuple):
    """A file in the cache directory that is named as ours are."""

    path: Path
    table: str
    """The name of the table that it is or belongs to."""
    size: int
    is_ours: bool
    """Whether it may be removed."""

    @property
    def is_table(self) -> bool:
        """Whether it is a table, and not what belongs to one."""
        return self.path.name == self.table


def place(directory: Path | None) -> Place:
    """Tell where tables lie: in this directory, or as this process is set."""
    asked = str(fastpath.stats()["cache"])
    if directory is None and asked == "off":
        return Place(None, None, "it is switched off by FASTPATH_CACHE_DIR or an argument")
    configured = None if asked == "auto" else asked
    found = _native._tables().place(str(directory.absolute()) if directory else configured)
    directories = [Path(path) if path else None for path in (found["dir"], found["file"])]
    return Place(directories[0], directories[1], found["why"])


def facts(table: Path, *, own: bool = False) -> TableFacts:
    """Return what a table says of itself; with ``own``, only if it is for this interpreter."""
    return _native._tables().facts(str(table), own)


def files(directory: Path) -> list[File]:
    """List what is named as our files are, by name; none where there is no such directory."""
    try:
        with os.scandir(directory) as listing:
            found = sorted(listing, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise Problem(f"cannot list {directory}: {error.strerror}") from error
    return [file for entry in found if (file := _file(entry)) is not None]


def remove(files: list[File], *, dry_run: bool) -> bool:
    """Remove files of one table under its lock; False if a process is writing it just now.

    Raises Problem where the system refuses.
    """
    if dry_run:
        return True
    lock = files[0].path.with_name(f"{files[0].table}.lock")
    try:
        held = _locked(lock)
        if held is None:
            return False
        try:
            for file in files:
                file.path.unlink(missing_ok=True)
            # Whoever has it open already locks what is no lock any more: the worst that comes of
            # two writers is a table that is refused as damaged, and written again.
            lock.unlink(missing_ok=True)
        finally:
            os.close(held)
    except OSError as error:
        raise Problem(f"cannot remove {error.filename}: {error.strerror}") from error
    return True


def is_gone(told: TableFacts) -> bool:
    """Whether the interpreter that a table is for is not there any more.

    Its environment is its prefix and its base prefix; in the latter lies its library.
    """
    roots = [Path(root) for root in told["environment"]]
    if not roots or not all(root.is_dir() for root in roots):
        return True
    version = re.fullmatch(r"cpython-(\d)(\d+)", told["cache_tag"])
    if version is None:
        return False
    library = f"python{version[1]}.{version[2]}"
    places = [roots[-1] / lib / library for lib in ("lib", "lib64", sys.platlibdir)]
    return not any(place.is_dir() for place in places)


def _file(entry: os.DirEntry[str]) -> File | None:
    named = _NAME.fullmatch(entry.name)
    if named is None:
        return None
    path = Path(entry.path)
    try:
        status = entry.stat(follow_symlinks=False)
        is_ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
        # A lock has no bytes, and what a killed writer has left need not have any.
        is_ours = is_ours and (named[2] is not None or _begins_as_a_table(path))
    except OSError:
        return None
    return File(path, named[1], status.st_size, is_ours)


def _begins_as_a_table(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _locked(path: Path) -> int | None:
    """Take a table's lock, as its writers do (flock(2)); None if somebody has it."""
    import fcntl

    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    lock = os.open(path, flags, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
