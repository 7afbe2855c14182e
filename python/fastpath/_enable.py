"""``enable`` and ``disable``: what makes every interpreter of an environment start fastpath.

Changes nothing when it refuses, nor when there is nothing to change. Refuses an environment
managed by the operating system (PEP 668), an unwritable directory, and files of our names that
are not ours. ``enable`` believes only a fresh interpreter: when that one does not come up with
fastpath, everything is put back. sitecustomize is left alone. Used by ``_cli``.
"""

import importlib.util
import sys
import sysconfig
from pathlib import Path
from typing import Literal, NamedTuple

from fastpath import _files, _startup
from fastpath._problem import Problem
from fastpath._verify import verify

# What each file shall hold, None for "shall not exist", in an order that leaves every prefix
# of the changes working; and what each holds now.
Contents = dict[Path, bytes | None]


class Change(NamedTuple):
    """What was done to one file, or would be, were it not for --dry-run."""

    path: Path
    change: Literal["written", "removed", "unchanged"]


def enable(
    *, user: bool, dry_run: bool, start_file: bool = False, break_system_packages: bool = False
) -> list[Change]:
    """Write the startup files of this environment, or of the user, and verify them.

    Returns one Change per file. Raises Problem, having changed nothing, when refused.
    """
    if not break_system_packages:
        refuse_managed()
    directory = _directory(user)
    files = _startup.startup_files(directory, start=_with_start(start_file))
    wanted: Contents = {file.path: file.text.encode() for file in files}
    return _change(directory, wanted | _absent(directory, except_for=wanted), dry_run, check=True)


def disable(*, user: bool, dry_run: bool) -> list[Change]:
    """Remove the startup files; an empty list when there are none.

    Raises Problem, having changed nothing, when a file of our names is not ours.
    """
    directory = _directory(user)
    return _change(directory, _absent(directory, except_for={}), dry_run, check=False)


def _directory(user: bool) -> Path:
    if not user:
        return _startup.environment_directory()
    directory = _startup.user_directory()
    if directory is None:
        raise Problem(
            "this interpreter does not read the user's site-packages "
            "(a virtual environment, -s, -I or PYTHONNOUSERSITE); leave --user out"
        )
    return directory


def _with_start(asked: bool) -> bool:
    if asked and sys.version_info < _startup.START_SUPPORTED:
        raise Problem("--start-file needs CPython 3.15 or later (PEP 829); leave it out")
    return asked or sys.version_info >= _startup.START_NEEDED


def refuse_managed() -> None:
    """Raise Problem where the operating system's package manager changes the environment."""
    # The rule and the place of the marker are PEP 668's; like pip, we apply it to --user too.
    stdlib = Path(sysconfig.get_path("stdlib", sysconfig.get_default_scheme()))
    marker = stdlib / "EXTERNALLY-MANAGED"
    if sys.prefix == sys.base_prefix and marker.exists():
        raise Problem(
            f"{sys.prefix} is managed by the operating system ({marker}); "
            "use a virtual environment, or insist with --break-system-packages"
        )


def _absent(directory: Path, except_for: Contents) -> Contents:
    paths = (directory / name for name in _startup.NAMES)
    return {path: None for path in paths if path not in except_for}


def _change(directory: Path, wanted: Contents, dry_run: bool, check: bool) -> list[Change]:
    before = {path: _own_content(path) for path in wanted}
    todo = {path: content for path, content in wanted.items() if content != before[path]}
    if todo:
        _files.check_writable(directory)
    if not dry_run:
        _apply(todo, before, check)
    return [
        Change(path, _kind(content, path in todo))
        for path, content in wanted.items()
        if path in todo or content is not None
    ]


def _kind(content: bytes | None, changed: bool) -> Literal["written", "removed", "unchanged"]:
    if not changed:
        return "unchanged"
    return "removed" if content is None else "written"


def _own_content(path: Path) -> bytes | None:
    content = _files.read(path)
    if content is not None and not _startup.is_ours(content):
        raise Problem(f"{path} was not written by fastpath; move it away and try again")
    return content


def _apply(todo: Contents, before: Contents, check: bool) -> None:
    try:
        for path, content in todo.items():
            _put(path, content)
        if check:
            verify()
    except BaseException:
        for path in reversed(todo):
            _put(path, before[path])
        raise


def _put(path: Path, content: bytes | None) -> None:
    if content is not None:
        _files.write(path, content)
        return
    _files.remove(path)
    if path.suffix == ".py":
        _files.remove(Path(importlib.util.cache_from_source(str(path))))
