"""What a seal is made of: directories as importlib sees them, and the bytecode of their sources.

Reads, and decides what may go in. A seal may be read by other users than its maker, so nothing
goes into it that not everybody may read who can reach the seal: a directory has to be listable
and searchable for others, a file readable, and so is every directory above that is not above the
seal as well; permission bits decide. What a symbolic link leads to outside of the environment
stays out too: it is not sealed with it. Writes nothing, imports nothing. Used by ``_seal``.
"""

# Paths are strings here, as in importlib.
# ruff: noqa: PTH114, PTH116, PTH118, PTH120, PTH123
from __future__ import annotations

import _frozen_importlib_external
import _imp
import importlib.machinery
import os
import stat
import warnings
from collections.abc import Iterator
from importlib.util import cache_from_source, source_hash
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fastpath._native import _SealedKind

# The functions of stock's loader, of which the stubs know nothing.
_external: Any = _frozen_importlib_external

Stamp = tuple[int, int, int, int, int]
_SUFFIX = ".py"
_CACHE = "__pycache__"
# What seals and unseals must never be old itself: it is asked about as ever.
_OWN = os.path.realpath(os.path.dirname(__file__))
# A table has no room for more in one directory (MAX_PIECE in layout.rs, where a name takes so
# many bytes besides itself), nor for names without which its sources would be sealed alone.
_MOST, _NAME = 15 << 20, 16
TOO_MANY = "directories of too many names"
_LISTABLE = stat.S_IROTH | stat.S_IXOTH


class Root(NamedTuple):
    """A directory that a seal's paths are relative to, and whether it is trusted without a look."""

    path: str
    sealed: bool


class File(NamedTuple):
    """A source's bytecode, ready to be loaded; ``compiled`` if it lies in no file."""

    name: bytes
    source: Stamp
    bytecode: Stamp
    data: bytes
    compiled: bool


class Directory(NamedTuple):
    """A directory whose names are known."""

    path: str
    generation: tuple[int, int, int, int]
    names: list[tuple[bytes, _SealedKind]]
    sealed: bool
    again: bool
    """Whether it was met before under another path."""


class LeftOut(NamedTuple):
    """How many of a kind were left out, and the first of them."""

    number: int
    first: str


class Scanner:
    """Looks at directories below some roots, and counts what it leaves out."""

    def __init__(self, roots: list[Root]) -> None:
        """Remember the roots; the first of them is where the seal will lie."""
        self.roots = roots
        self.left_out: dict[str, LeftOut] = {}
        self._real_roots = [os.path.realpath(root.path) for root in roots]
        self._real: dict[str, str] = {}
        self._open: dict[str, bool] = {}
        self._listed: dict[str, Directory | None] = {}
        self._met: set[tuple[int, int]] = set()

    def root_of(self, path: str) -> Root | None:
        """Return the innermost root that the path is below, by its spelling."""
        above = [root for root in self.roots if is_below(path, root.path)]
        return max(above, key=lambda root: len(root.path), default=None)

    def tree(self, top: str, above: tuple[tuple[int, int], ...] = ()) -> list[Directory]:
        """List ``top`` and what modules can be imported from below it.

        A directory below ``top`` without any module in or below it is left out, since no import
        gets further than to it. So is one with a dot in its name, which no import can name.
        """
        directory = self.directory(top)
        if directory is None or directory.generation[:2] in above:
            return []
        above = (*above, directory.generation[:2])
        paths = [
            f"{top}/{os.fsdecode(name)}"
            for name, kind in directory.names
            if kind == "dir" and b"." not in name and name != _CACHE.encode()
        ]
        # A directory's bytes go where it is met first: there, rather than at a link to it.
        below = [
            found for path in sorted(paths, key=os.path.islink) for found in self.tree(path, above)
        ]
        keep = below or len(above) == 1 or any(map(_is_module, directory.names))
        return [directory, *below] if keep else []

    def directory(self, path: str) -> Directory | None:
        """Return the directory's names and generation, or None if it stays out."""
        if path not in self._listed:
            self._listed[path] = self._list(path)
        return self._listed[path]

    def _list(self, path: str) -> Directory | None:
        root = self.root_of(path)
        if root is None or is_below(self._real_path(path), _OWN):
            return None
        try:
            found = os.stat(path)
            barred = self._barred(path, found, _LISTABLE)
            if barred is not None:
                self.leave_out(barred, path)
                return None
            names = sorted(_names(path))
        except OSError:
            self.leave_out("directories that cannot be read", path)
            return None
        if sum(len(name) + _NAME for name, _ in names) > _MOST:
            self.leave_out(TOO_MANY, path)
            return None
        identity = (found.st_dev, found.st_ino)
        again = identity in self._met
        self._met.add(identity)
        generation = (*identity, found.st_mtime_ns, found.st_ctime_ns)
        return Directory(path, generation, names, root.sealed, again)

    def files(self, directory: Directory) -> Iterator[File]:
        """Yield the bytecode of every source in it; of a directory met before, nothing more."""
        for name, kind in directory.names:
            if kind == "file" and is_source(name) and not directory.again:
                found = self.file(directory, name)
                if found is not None:
                    yield found

    def file(self, directory: Directory, name: bytes) -> File | None:
        """Return what stock would load for this source, or None if it stays out."""
        path = f"{directory.path}/{os.fsdecode(name)}"
        try:
            source = os.stat(path)
            barred = self._barred(path, source, stat.S_IROTH)
            if barred is not None:
                self.leave_out(barred, path)
                return None
            stored = self._stored(path, source)
        except (OSError, NotImplementedError):
            self.leave_out("files that cannot be read", path)
            return None
        if stored is not None:
            found, data = stored
            return File(name, _stamp(source), _stamp(found), data, False)
        if not directory.sealed:
            # It counts only as long as its file is as it was, and there is none.
            self.leave_out("sources of the base without bytecode", path)
            return None
        data_or_none = self._compiled(path, source)
        if data_or_none is None:
            return None
        return File(name, _stamp(source), (0, 0, len(data_or_none), 0, 0), data_or_none, True)

    def leave_out(self, what: str, path: str) -> None:
        """Count something that stays out of the seal."""
        count, first = self.left_out.get(what, (0, path))
        self.left_out[what] = LeftOut(count + 1, first)

    def _stored(self, path: str, source: os.stat_result) -> tuple[os.stat_result, bytes] | None:
        """Return the bytecode file that stock would load: the rules of SourceLoader.get_code."""
        cache = cache_from_source(path)
        try:
            with open(cache, "rb") as file:
                found = os.fstat(file.fileno())
                data = file.read()
        except OSError:
            return None
        if not stat.S_ISREG(found.st_mode) or not _is_valid(data, path, source):
            return None
        return (found, data) if self._barred(cache, found, stat.S_IROTH) is None else None

    def _compiled(self, path: str, source: os.stat_result) -> bytes | None:
        """Return what stock would write into the bytecode file."""
        loader = importlib.machinery.SourceFileLoader("<seal>", path)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                code = loader.source_to_code(loader.get_data(path), path)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self.leave_out("sources that do not compile", path)
            return None
        return bytes(_external._code_to_timestamp_pyc(code, int(source.st_mtime), source.st_size))

    def _barred(self, path: str, found: os.stat_result, bits: int) -> str | None:
        """Return why this must not go in; None if it may."""
        real = self._real_path(path)
        if not any(is_below(real, root) for root in self._real_roots):
            return "links that lead out of the environment"
        if found.st_mode & bits != bits or not self._is_reachable(os.path.dirname(real)):
            return "files and directories that not everybody may read"
        return None

    def _real_path(self, path: str) -> str:
        """``os.path.realpath``, which asks about every directory above each time it is called."""
        above, name = os.path.split(path)
        if name in ("", "..") or os.path.islink(path):
            return os.path.realpath(path)
        if above not in self._real:
            self._real[above] = os.path.realpath(above)
        return os.path.join(self._real[above], name)

    def _is_reachable(self, real: str) -> bool:
        """Whether everybody who can reach the seal can search this directory, by its real path."""
        if is_below(self._real_roots[0], real):
            return True  # it is above the seal
        known = self._open.get(real)
        if known is None:
            searchable = os.stat(real).st_mode & stat.S_IXOTH != 0
            known = searchable and self._is_reachable(os.path.dirname(real))
            self._open[real] = known
        return known


def is_same_code(one: bytes, other: bytes) -> bool:
    """Whether two bytecode files hold the same code: marshal may write it in several ways."""
    import marshal

    if one == other:
        return True
    try:
        return bool(one[:16] == other[:16] and marshal.loads(one[16:]) == marshal.loads(other[16:]))  # noqa: S302
    except (ValueError, EOFError, TypeError):
        return False


def _names(path: str) -> Iterator[tuple[bytes, _SealedKind]]:
    with os.scandir(os.fsencode(path)) as entries:
        for entry in entries:
            yield entry.name, _kind(entry)


def _kind(entry: os.DirEntry[bytes]) -> _SealedKind:
    """Follow links: of a link the index would have to ask what it leads to."""
    try:
        return "dir" if entry.is_dir() else "file" if entry.is_file() else "other"
    except OSError:  # it leads round in a circle
        return "other"


def is_source(name: bytes) -> bool:
    """Whether an import can name it, and it is Python."""
    stem, dot, suffix = name.partition(b".")
    return bool(stem) and dot + suffix == _SUFFIX.encode()


def _is_module(named: tuple[bytes, _SealedKind]) -> bool:
    name, kind = named
    suffixes = (suffix.encode() for suffix in importlib.machinery.all_suffixes())
    return kind == "file" and any(
        name.endswith(s) and b"." not in name.removesuffix(s) for s in suffixes
    )


def is_below(path: str, root: str) -> bool:
    """Whether this is the root or lies below it, by its spelling."""
    return path == root or path.startswith(root.rstrip("/") + "/")


def _stamp(found: os.stat_result) -> Stamp:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _is_valid(data: bytes, path: str, source: os.stat_result) -> bool:
    """Whether stock would load this: ``SourceLoader.get_code``, by the functions it calls."""
    details: dict[str, Any] = {"name": "<seal>", "path": path}
    try:
        flags = _external._classify_pyc(data, "<seal>", details)
        if not flags & 1:
            mtime = int(source.st_mtime)
            _external._validate_timestamp_pyc(data, mtime, source.st_size, "<seal>", details)
        elif _imp.check_hash_based_pycs != "never" and (
            flags & 2 or _imp.check_hash_based_pycs == "always"
        ):
            with open(path, "rb") as file:
                digest = source_hash(file.read())
            _external._validate_hash_pyc(data, digest, "<seal>", details)
    except (ImportError, EOFError):
        return False
    return True
