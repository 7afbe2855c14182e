"""``seal`` and ``unseal``: the table that an environment brings along, trusted without a look.

``seal`` writes ``fastpath.seal`` into ``sys.prefix``: whole, by rename, or not at all. It says
that the environment's directories change no more: interpreters take their names and bytecode
from it, until somebody unseals it or calls ``importlib.invalidate_caches()``. Refuses what an
interpreter would refuse to read; what may go in is decided in ``_scan``. Used by ``_cli``.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from importlib.util import cache_from_source
from pathlib import Path
from typing import NamedTuple, TypedDict

from fastpath import _enable, _files, _native, _scan, _touched
from fastpath._entries import own_path
from fastpath._problem import Problem
from fastpath._progress import Progress
from fastpath._text import table

NAME = "fastpath.seal"
_MAGIC = b"fastpath"
_MODE = 0o644


class LeftOut(TypedDict):
    """What stays out of a seal for one reason: how many, and the first of them."""

    what: str
    count: int
    first: str


class Sealed(TypedDict):
    """What ``seal --json`` prints."""

    path: str
    directories: int
    modules: int
    size: int
    bytecode: int
    compiled: int
    left_out: list[LeftOut]
    seconds: float


class Verified(TypedDict):
    """What ``seal --verify --json`` prints."""

    path: str
    directories: int
    modules: int
    unused: int
    """Directories that are not trusted, and are others by now: the seal says nothing of them."""
    differences: list[str]


class State(TypedDict):
    """What ``status`` and ``doctor`` tell of the seal."""

    path: str
    directories: int
    modules: int
    why: str | None
    """Why interpreters do not use it."""
    changed: int
    """Directories and sources in it that are not as they were, as far as a stat shows it."""
    first: str | None


class Plan(NamedTuple):
    """What goes into a seal: directories, sources in them, and a program with its files."""

    directories: list[_scan.Directory]
    order: list[tuple[_scan.Directory, bytes]] | None = None
    """The sources, in this order; None for all that the directories have."""
    program: tuple[bytes, list[str]] | None = None


def path() -> Path:
    """Return where this environment's seal lies: the file that interpreters open."""
    return Path(sys.prefix) / NAME


def seal(
    paths: list[str], command: str | None, *, base: bool, break_system_packages: bool = False
) -> Sealed:
    """Write the seal and tell what is in it. Raises Problem, with nothing changed, if refused."""
    began = time.monotonic()
    if not break_system_packages:
        _enable.refuse_managed()
    _files.check_writable(path().parent)
    scanner = _scan.Scanner(_roots(base=base))
    with _replacing(path()) as new:
        _check_use(scanner, new)
        if command is None:
            plan = _everything(scanner, paths)
        else:
            plan = _touched_by(scanner, _touched.touched(command), paths)
        if not plan.directories:
            raise Problem(_nothing(scanner))
        counted = _write(scanner, plan, new)
        told = _facts(Path(new), scanner.roots, contents=False)
        sealed = {directory["path"] for directory in told["directories"]}
        for directory in plan.directories:
            if directory.path not in sealed:
                scanner.leave_out(_scan.TOO_MANY, directory.path)
    return Sealed(
        path=str(path()),
        directories=len(sealed),
        modules=sum(len(directory["files"]) for directory in told["directories"]),
        size=told["size"],
        bytecode=counted.bytecode,
        compiled=counted.compiled,
        left_out=_left_out(scanner),
        seconds=round(time.monotonic() - began, 3),
    )


def unseal() -> bool:
    """Remove the seal; False if there is none. Raises Problem if the file is not ours."""
    try:
        with path().open("rb") as file:
            ours = not path().is_symlink() and file.read(len(_MAGIC)) == _MAGIC
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Problem(f"cannot read {path()}: {error.strerror or error}") from error
    if not ours:
        raise Problem(f"{path()} was not written by fastpath; move it away yourself")
    _files.remove(path())
    return True


def verify() -> Verified:
    """Compare the seal with the environment. Raises Problem if no interpreter would use it."""
    if not os.path.lexists(path()):
        raise Problem(f"there is no seal: {path()} does not exist")
    facts = _facts(path(), _roots(base=False), contents=True)
    scanner = _scan.Scanner(_roots(base=_has_sealed_base(facts)))
    found: list[str] = []
    unused = 0
    if facts["damaged"]:
        found.append(f"{path()}: {facts['damaged']} directories are damaged")
    with Progress("verifying", len(facts["directories"]), "directories") as progress:
        for directory in facts["directories"]:
            if not directory["sealed"] and not _is_as_it_was(scanner, directory):
                unused += 1
            else:
                found += _differences(scanner, directory)
            progress.step()
    return Verified(
        path=str(path()),
        directories=len(facts["directories"]),
        modules=sum(len(directory["files"]) for directory in facts["directories"]),
        unused=unused,
        differences=found,
    )


def state() -> State | None:
    """Tell whether the seal is used, and whether what it trusts has changed; None without one.

    That takes one stat for each directory and module in it, in one batch, and a listing for
    each directory that was changed after the seal was written. ``verify`` compares everything.
    """
    told = State(path=str(path()), directories=0, modules=0, why=None, changed=0, first=None)
    try:
        written = path().lstat().st_mtime_ns
        facts = _native._seal_facts(path(), [root.path for root in _roots(base=False)], False)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        told["why"] = str(error)
        return told
    trusted = [directory for directory in facts["directories"] if directory["sealed"]]
    changed = [*_changed(trusted, written, _has_sealed_base(facts))]
    told["directories"] = len(trusted)
    told["modules"] = sum(len(directory["files"]) for directory in trusted)
    told["changed"], told["first"] = len(changed), next(iter(changed), None)
    return told


def render(sealed: Sealed) -> str:
    """Return what was sealed as aligned text."""
    share = f"{sealed['size'] / sealed['bytecode']:.2f} x" if sealed["bytecode"] else "no"
    rows = [
        ("sealed", sealed["path"]),
        ("directories", f"{sealed['directories']:,}"),
        ("modules", f"{sealed['modules']:,}"),
        ("compiled", f"{sealed['compiled']:,} of them, which had no up-to-date bytecode"),
        ("size", f"{sealed['size'] / 1e6:,.1f} MB, {share} the bytecode in it"),
        ("time", f"{sealed['seconds']:.1f} s"),
    ]
    rows += [("left out", _told(left_out)) for left_out in sealed["left_out"]]
    return "\n".join(table(rows))


def render_changed(state: State) -> str:
    """Return how much has changed since it was sealed, and what is the first of it."""
    changed = state["changed"]
    first = (
        f"{state['first']} has" if changed == 1 else f"{changed:,}, first {state['first']}, have"
    )
    return f"{first} changed since"


def render_verified(verified: Verified) -> str:
    """Return every difference, then how much was compared."""
    count = len(verified["differences"])
    summary = (
        f"{verified['path']}: {verified['directories']:,} directories, "
        f"{verified['modules']:,} modules, {f'{count:,}' if count else 'no'} "
        f"{'difference' if count == 1 else 'differences'}"
    )
    unused = f"{verified['unused']:,} directories of {sys.base_prefix} are others here: not used"
    return "\n".join([*verified["differences"], *[unused] * bool(verified["unused"]), summary])


def _changed(trusted: list[_native._SealFactsDirectory], written: int, base: bool) -> Iterator[str]:
    """Yield the directories and sources that have changed; the seal was ``written`` then, in ns."""
    scanner = _scan.Scanner(_roots(base=base))
    sources = [
        (f"{directory['path']}/{os.fsdecode(name)}", source[2:4])
        for directory in trusted
        for name, source, *_ in directory["files"]
    ]
    found = _native.probe([*(d["path"] for d in trusted), *(file for file, _ in sources)])
    for directory, now in zip(trusted, found, strict=False):
        # A younger one may only have got a directory for bytecode, or have been copied.
        if (now is None or now.st_mtime_ns >= written) and any(
            _differences(scanner, {**directory, "files": []})
        ):
            yield directory["path"]
    for (file, known), now in zip(sources, found[len(trusted) :], strict=True):
        if now is None or (now.st_size, now.st_mtime_ns) != known:
            yield file


def _roots(*, base: bool) -> list[_scan.Root]:
    """Return the roots by which interpreters read the seal, in their order (face/share.rs)."""
    prefix, base_prefix = sys.prefix, sys.base_prefix
    return [_scan.Root(prefix, True), _scan.Root(base_prefix, base or prefix == base_prefix)]


def _has_sealed_base(facts: _native._SealFacts) -> bool:
    roots = _scan.Scanner(_roots(base=True))
    below = (roots.root_of(found["path"]) for found in facts["directories"] if found["sealed"])
    return any(root is not None and root.path == sys.base_prefix for root in below)


@contextlib.contextmanager
def _replacing(target: Path) -> Iterator[str]:
    """Give the name of a new file that takes the target's place in the end, if all went well."""
    if os.path.lexists(target) and not target.is_file():
        raise Problem(f"{target} is not a file; move it away yourself")
    try:
        handle, new = tempfile.mkstemp(dir=target.parent, prefix=".fastpath-", suffix=".tmp")
        os.close(handle)
        try:
            Path(new).chmod(_MODE)
            yield new
            Path(new).replace(target)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(new).unlink()
            raise
    except OSError as error:
        raise Problem(f"cannot write {target}: {error.strerror or error}") from error


def _check_use(scanner: _scan.Scanner, new: str) -> None:
    """Raise Problem unless interpreters would read a seal there: tried with an empty one."""
    _native._seal(new, [*scanner.roots], [], None)
    _facts(Path(new), scanner.roots, contents=False)


def _facts(file: Path, roots: list[_scan.Root], *, contents: bool) -> _native._SealFacts:
    try:
        return _native._seal_facts(file, [root.path for root in roots], contents)
    except ValueError as error:
        raise Problem(f"interpreters would not use {path()}: {error}") from error


def _entries(scanner: _scan.Scanner, paths: list[str]) -> list[str]:
    """Return the directories to begin with: those asked for, or those of ``sys.path``."""
    for asked in paths:
        if scanner.root_of(_absolute(asked)) is None:
            raise Problem(
                f"{asked} is below neither {sys.prefix} nor {sys.base_prefix}; "
                "a seal is for what lies in its environment"
            )
        if not Path(asked).is_dir():
            raise Problem(f"{asked} is not a directory")
    found = [_absolute(asked) for asked in paths] or own_path()
    return [p for p in dict.fromkeys(found) if scanner.root_of(p) and Path(p).is_dir()]


def _absolute(asked: str) -> str:
    return os.path.abspath(asked)  # noqa: PTH100  # no link is followed


def _everything(scanner: _scan.Scanner, paths: list[str]) -> Plan:
    found: dict[str, _scan.Directory] = {}
    for entry in _entries(scanner, paths):
        for directory in scanner.tree(entry):
            found.setdefault(directory.path, directory)
    return Plan([*found.values()])


def _touched_by(scanner: _scan.Scanner, touched: _touched.Touched, paths: list[str]) -> Plan:
    """Select the directories that the command's imports went through, and its own modules."""
    places = [p for p in touched.path if scanner.root_of(p) and Path(p).is_dir()]
    places += [os.path.dirname(file) for file in touched.files]  # noqa: PTH120
    places += touched.packages
    if paths:
        asked = _entries(scanner, paths)
        places = [p for p in places if any(_scan.is_below(p, one) for one in asked)]
    found = {}
    for place in dict.fromkeys(places):
        directory = scanner.directory(place) if scanner.root_of(place) else None
        if directory is not None:
            found[place] = directory
    order = []
    for file in touched.files:
        place, name = os.path.split(file)
        directory = found.get(place)
        if directory is not None and _scan.is_source(os.fsencode(name)):
            order.append((directory, os.fsencode(name)))
    program = _native._program(touched.argv, touched.cwd)
    asked_about = [*_asked_about(scanner, touched.files)]
    return Plan([*found.values()], order, (program, asked_about) if program else None)


def _asked_about(scanner: _scan.Scanner, files: list[str]) -> Iterator[str]:
    """Yield what the program will ask the filesystem about for all the seal: its plan."""
    for file in files:
        root = scanner.root_of(file)
        if not file.endswith(".py"):
            yield file
        elif root is None or not root.sealed:
            yield file
            with contextlib.suppress(NotImplementedError):
                yield cache_from_source(file)


class _Counted(NamedTuple):
    bytecode: int
    compiled: int


def _write(scanner: _scan.Scanner, plan: Plan, new: str) -> _Counted:
    bytecode = compiled = 0

    def coded(files: Iterable[_scan.File | None]) -> list[_native._SealedFile]:
        nonlocal bytecode, compiled
        found = [file for file in files if file is not None]
        bytecode += sum(len(file.data) for file in found)
        compiled += sum(file.compiled for file in found)
        return [(file.name, file.source, file.bytecode, file.data) for file in found]

    def told(progress: Progress) -> Iterator[_native._SealedDirectory]:
        for directory in plan.directories:
            files = [] if plan.order is not None else coded(scanner.files(directory))
            yield directory.path, (directory.generation, directory.names), files
            progress.step()
        for directory, name in plan.order or []:
            yield directory.path, None, coded([scanner.file(directory, name)])
            progress.step()

    steps = len(plan.directories) + len(plan.order or [])
    with Progress("sealing", steps, "directories and modules") as progress:
        _native._seal(new, [*scanner.roots], told(progress), plan.program)
    return _Counted(bytecode, compiled)


def _nothing(scanner: _scan.Scanner) -> str:
    why = "; ".join(map(_told, _left_out(scanner)))
    return f"there is nothing to seal below {sys.prefix}" + (f" (left out: {why})" if why else "")


def _left_out(scanner: _scan.Scanner) -> list[LeftOut]:
    found = scanner.left_out.items()
    return [LeftOut(what=what, count=n, first=first) for what, (n, first) in found]


def _told(left_out: LeftOut) -> str:
    first = "first " if left_out["count"] > 1 else ""
    return f"{left_out['count']:,} {left_out['what']} ({first}{left_out['first']})"


def _is_as_it_was(scanner: _scan.Scanner, stored: _native._SealFactsDirectory) -> bool:
    now = scanner.directory(stored["path"])
    return now is not None and now.generation == stored["generation"]


def _differences(scanner: _scan.Scanner, sealed: _native._SealFactsDirectory) -> Iterator[str]:
    """Yield what is not as the seal says, one line each."""
    place = sealed["path"]
    now = scanner.directory(place)
    if now is None:
        yield f"{place}: the directory is gone, or not everybody may read it"
        return
    yield from _differing_names(place, dict(sealed["names"]), dict(now.names))
    for name, source, _, _, data in sealed["files"]:
        file = f"{place}/{os.fsdecode(name)}"
        found = scanner.file(now, name)
        if data is None:
            yield f"{file}: its bytecode is damaged in the seal"
        elif found is None:
            yield f"{file}: it is gone, cannot be read or does not compile"
        elif source[2:4] != found.source[2:4]:
            yield f"{file}: the source has changed"
        elif not _scan.is_same_code(data, found.data):
            yield f"{file}: its bytecode is another one now"


def _differing_names(
    place: str, sealed: dict[bytes, _native._SealedKind], now: dict[bytes, _native._SealedKind]
) -> Iterator[str]:
    # Where bytecode is kept is nothing that an import asks for.
    for name in sorted((sealed.keys() | now.keys()) - {b"__pycache__"}):
        before, after = sealed.get(name), now.get(name)
        text = f"{place}/{os.fsdecode(name)}"
        if before is None:
            yield f"{text}: new since it was sealed"
        elif after is None:
            yield f"{text}: gone since it was sealed"
        elif before != after:
            yield f"{text}: was a {before}, is a {after}"
