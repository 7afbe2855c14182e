"""What lies behind each entry of ``sys.path``, and who put it there.

Lists each directory once and asks about it once; of directories in it, only of those that decide
whether anything is importable at all. Imports nothing, changes nothing. Used by ``_doctor``.
"""

from __future__ import annotations

import os
import pkgutil
import site
import sys
import sysconfig
from importlib.machinery import FileFinder, all_suffixes
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from fastpath import _settings, _startup

if TYPE_CHECKING:
    _Kind = Literal["directory", "missing", "file", "unreadable", "foreign"]

# PEP 420 makes a package of any directory: this far down a module decides whether it is one.
_NAMESPACE_DEPTH = 3
_OURSELVES = "the interpreter"


class Entry(NamedTuple):
    """One entry of a path, and what lies there."""

    path: str
    """As it stands on the path."""
    kind: _Kind
    """``foreign``: another finder's than ``FileFinder``, as a zip or an editable install."""
    origin: str | None
    """PYTHONPATH, a .pth file, or the interpreter; None where it cannot be told."""
    identity: tuple[int, int] | None = None
    """Device and inode of a directory."""
    names: int = 0
    """How many names a directory holds."""
    importable: bool = False
    """Whether there is at least one module or package."""

    @property
    def is_own(self) -> bool:
        """Whether the interpreter itself put it there: nobody can take it away."""
        return self.origin == _OURSELVES


def own_path() -> list[str]:
    """Return ``sys.path`` but for what ``-m`` put in front for this very command.

    A program has its script's directory there (``_PyPathConfig_ComputeSysPath0``).
    """
    flags = sys.flags
    # safe_path came with 3.11; before, -I alone kept the working directory out.
    is_bare = getattr(flags, "safe_path", False) or flags.isolated
    return sys.path[:] if is_bare else sys.path[1:]


def examine(path: list[str]) -> list[Entry]:
    """Look at every entry that is a string, in order; importlib skips the others too."""
    origins = _origins()
    return [_examine(entry, origins.get(_plain(entry))) for entry in path if isinstance(entry, str)]


def _examine(path: str, origin: str | None) -> Entry:
    finder = pkgutil.get_importer(path or str(Path.cwd()))  # '' is the working directory
    if finder is not None and type(finder) is not FileFinder:
        return Entry(path, "foreign", origin)
    try:
        stat = Path(path).stat()
    except OSError:
        return Entry(path, "missing", origin)
    if not Path(path).is_dir():
        return Entry(path, "file", origin)
    identity = (stat.st_dev, stat.st_ino)
    try:
        with os.scandir(path or ".") as listing:
            found = list(listing)
    except OSError:
        return Entry(path, "unreadable", origin, identity)
    return Entry(path, "directory", origin, identity, len(found), _any_module(found))


def _any_module(found: list[os.DirEntry[str]], depth: int = _NAMESPACE_DEPTH) -> bool:
    # Names first: they cost nothing.
    if any(_is_module(entry.name) for entry in found):
        return True
    return depth > 0 and any(_holds_module(entry, depth) for entry in found)


def _is_module(name: str) -> bool:
    return any(
        name.endswith(suffix) and name.removesuffix(suffix).isidentifier()
        for suffix in all_suffixes()
    )


def _holds_module(entry: os.DirEntry[str], depth: int) -> bool:
    # In __pycache__ lies bytecode that is no module by itself.
    if not entry.name.isidentifier() or entry.name == "__pycache__":
        return False
    try:
        with os.scandir(entry.path) as listing:
            return _any_module(list(listing), depth - 1)
    except OSError:
        return False


def _origins() -> dict[str, str]:
    """Who names which directory; the first in the order of ``sys.path`` wins."""
    origins: dict[str, str] = {}
    listed = _settings.variable("PYTHONPATH") or ""
    for item in filter(None, listed.split(os.pathsep)):
        origins.setdefault(_plain(item), "PYTHONPATH")
    for item in _own():
        origins.setdefault(_plain(item), _OURSELVES)
    for directory in _startup.directories():
        for pth in _pth_files(directory):
            for line in _path_lines(pth):
                origins.setdefault(_plain(str(directory / line)), str(pth))
    return origins


def _plain(path: str) -> str:
    # As `site.makepath`, which every entry has been through.
    return os.path.normpath(Path.cwd() / path)


def _own() -> list[str]:
    stdlib = sysconfig.get_path("stdlib")
    dynamic = sysconfig.get_config_var("DESTSHARED")
    version = "".join(map(str, sys.version_info[:2]))
    zips = [
        str(Path(prefix, sys.platlibdir, f"python{version}.zip"))
        for prefix in (sys.prefix, sys.base_prefix, sys.base_exec_prefix)
    ]
    sites = [*site.getsitepackages(), site.getusersitepackages()]
    return [
        stdlib,
        str(Path(stdlib, "lib-dynload")),
        *([dynamic] if dynamic else []),
        *zips,
        *sites,
    ]


def _pth_files(directory: Path) -> list[Path]:
    try:
        return sorted(directory.glob("*.pth"))
    except OSError:
        return []


def _path_lines(pth: Path) -> list[str]:
    # As `site.addpackage`: comments, blank lines and lines to execute name no directory.
    try:
        lines = pth.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError:
        return []
    stripped = [line.rstrip() for line in lines]
    skipped = ("#", "import ", "import\t")
    return [line for line in stripped if line and not line.startswith(skipped)]
