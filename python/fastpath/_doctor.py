"""``doctor``: what slows the imports of this interpreter, and what to do about each thing.

Looks at ``sys.path``, the filesystems below it, the bytecode and fastpath itself; measures what
only a measurement tells. What fastpath takes care of needs nothing while it is active. Reads and
tells: installs nothing, changes nothing. Used by ``_cli``.
"""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from fastpath import _compiled, _entries, _findings, _mounts, _seal, _settings, _status, _tables
from fastpath._entries import Entry
from fastpath._findings import Finding, to_do, well
from fastpath._text import count, duration, size, table

# Where stock importlib's part begins to show: an entry costs an import some 3 us, and a name in
# a directory, which stock lists whole in every process, about 0.4 us.
_LONG = 40
_HUGE = 5000
# A few modules nobody can compile lie in many a package, as examples or tests.
_STALE_SHARE = 0.05
_CENSUS_SECONDS = 2.0
_ENABLE = "python -m fastpath enable"
# What is to be done about a table that is refused; of the others, to begin anew.
_TABLE_REMEDIES = {
    "damaged": "python -m fastpath cache gc",
    "writable": "chmod go-w {directory} {file}",
    "owner": "set FASTPATH_CACHE_DIR to a directory of your own",
    "link": "put the file or directory itself where the link is",
    "not regular": "remove it",
    "io": "see that it can be read: ls -ld {directory} {file}",
}


class MountTold(TypedDict):
    """A filesystem below the path: its pace is one question's, in microseconds."""

    mount: str
    type: str | None
    us: float
    slow: bool
    entries: int


class Diagnosis(TypedDict):
    """What ``doctor --json`` prints."""

    ok: bool
    entries: int
    mounts: list[MountTold]
    findings: list[Finding]


def diagnose(path: list[str]) -> Diagnosis:
    """Examine this interpreter, with ``path`` for what programs find on ``sys.path``.

    Raises Problem (exit code 2) for an invalid FASTPATH* variable.
    """
    status = _status.gather()
    entries = _entries.examine(path)
    mounts = _measured(entries)
    findings = [
        *_fastpath(status),
        *_engine(status),
        *_table(status),
        *_sealed(status),
        *_length(entries, status["active"]),
        *_useless(entries),
        *_twice(entries),
        *_relative(entries),
        *_huge(entries, status["active"]),
        *_slow(mounts, status["active"]),
        *_bytecode(entries),
    ]
    return Diagnosis(
        ok=all(finding["ok"] for finding in findings),
        entries=len(entries),
        mounts=mounts,
        findings=findings,
    )


def render(told: Diagnosis) -> str:
    """Return the findings as text: what is well, then what to do."""
    return _findings.render(told["findings"])


def _covered(check: str, told: str, places: Iterable[str], active: bool, otherwise: str) -> Finding:
    # What costs stock but not fastpath.
    if active:
        return well(check, f"{told}; fastpath is active and takes care of it", places)
    return to_do(check, told, f"{_ENABLE}, or {otherwise}", places)


def _fastpath(status: _status.Status) -> Iterator[Finding]:
    enabled = status["enabled"]
    if status["active"]:
        yield well("fastpath", "active in this process")
    elif status["turned_off"]:
        yield well("fastpath", "turned off by FASTPATH=0")
    elif enabled:
        told = f"enabled by {enabled[0]}, but not active in this process"
        yield to_do("fastpath", told, "FASTPATH_DEBUG=1 python -c pass says why")
    else:
        yield well("fastpath", f"not enabled; {_ENABLE} starts it with every interpreter here")
    if sys.pycache_prefix is not None and status["active"]:
        told = "PYTHONPYCACHEPREFIX is set: stock importlib loads every module"
        yield to_do("fastpath", told, "unset it, or do without fastpath's loading")


def _engine(status: _status.Status) -> Iterator[Finding]:
    why, backend = status["backends"]["uring"], status["settings"]["backend"]
    if why is None:
        yield well("io_uring", "usable")
    elif backend["value"] == "uring":
        remedy = f"choose another engine than uring (it is from {backend['origin']}): auto"
        yield to_do("io_uring", f"not usable: {why}", remedy)
    else:
        yield well("io_uring", f"not usable: {why}; engine {backend['value']} does without")


def _table(status: _status.Status) -> Iterator[Finding]:
    """What other processes have learnt, if this interpreter may use it."""
    cache = status["settings"]["cache"]["value"]
    directory, file, why = _tables.place(None)
    if directory is None or file is None:
        remedy = "set FASTPATH_CACHE_DIR to an absolute path, or to off"
        yield well("table", str(why)) if cache == "off" else to_do("table", str(why), remedy)
        return
    facts = _tables.facts(file, own=True)
    if facts["refusal"] == "missing":
        # Who wants no bytecode written wants none in a cache, unless he says where (`share.rs`).
        unwanted = cache == "auto" and sys.dont_write_bytecode
        never = "none, and PYTHONDONTWRITEBYTECODE keeps any from being written"
        yield well("table", never if unwanted else f"none yet in {directory}")
    elif facts["why"] is None:
        known = count(facts["directories"], "directory", "directories")
        known += f" and {count(facts['modules'], 'module', 'modules')}"
        yield well("table", f"{size(facts['size'])}, {known} known to every process")
    else:
        remedy = _TABLE_REMEDIES.get(str(facts["refusal"]), "python -m fastpath cache clear")
        quoted = {"directory": shlex.quote(str(directory)), "file": shlex.quote(str(file))}
        remedy = remedy.format(**quoted)
        yield to_do("table", f"not used: {facts['why']}", remedy, [str(file)])


def _sealed(status: _status.Status) -> Iterator[Finding]:
    """A seal, if there is one that interpreters would use: whether what it trusts has changed."""
    seal = status["seal"]
    if seal is None:
        return
    remedy = "python -m fastpath seal (as it was sealed), or python -m fastpath unseal"
    if status["settings"]["cache"]["value"] == "off":
        yield well("seal", f"{seal['path']}: left out, as FASTPATH_CACHE_DIR is off")
    elif seal["why"] is not None:
        yield to_do("seal", f"not used: {seal['why']}", remedy, [seal["path"]])
    elif seal["changed"]:
        told = f"stale: {_seal.render_changed(seal)}, which imports do not see"
        yield to_do("seal", told, remedy, [seal["path"]])
    else:
        known = count(seal["directories"], "directory", "directories")
        yield well("seal", f"{known} and {count(seal['modules'], 'module', 'modules')}, as sealed")


def _length(entries: list[Entry], active: bool) -> Iterator[Finding]:
    told = f"{count(len(entries), 'entry', 'entries')}"
    if len(entries) < _LONG:
        yield well("sys.path", told)
    else:
        told += ": stock importlib asks them one after the other, for every module"
        yield _covered("sys.path", told, [], active, "install into one site-packages")


def _useless(entries: list[Entry]) -> Iterator[Finding]:
    """Entries that can never answer, but for the interpreter's own."""
    reasons = {
        "missing": [e for e in entries if e.kind == "missing"],
        "no directory": [e for e in entries if e.kind == "file"],
        "unreadable": [e for e in entries if e.kind == "unreadable"],
        "empty": [e for e in entries if e.kind == "directory" and not e.importable],
    }
    words = {
        "missing": "not there",
        "no directory": "neither a directory nor a zip file",
        "unreadable": "a directory that cannot be listed",
        "empty": "without any module or package",
    }
    for check, found in reasons.items():
        strangers = [entry for entry in found if not entry.is_own]
        for origin, of_it in _by_origin(strangers):
            told = f"{count(len(of_it), 'entry', 'entries')} {words[check]}"
            yield to_do(check, told, _take_out(origin), [entry.path for entry in of_it])


def _twice(entries: list[Entry]) -> Iterator[Finding]:
    """Entries that are the same directory as an earlier one, by whatever name."""
    first: dict[tuple[int, int], Entry] = {}
    pairs: list[tuple[Entry, Entry]] = []
    for entry in entries:
        if entry.identity is not None:
            former = first.setdefault(entry.identity, entry)
            if former is not entry and not (former.is_own and entry.is_own):
                # Of two, the one that can be taken out.
                pairs.append((former, entry) if entry.is_own else (entry, former))
    for origin, of_it in _by_origin([one for one, _ in pairs]):
        told = f"{count(len(of_it), 'entry is', 'entries are')} the same directory as another"
        places = [_sameness(*pair) for pair in pairs if pair[0].origin == origin]
        yield to_do("twice", told, _take_out(origin), places)


def _sameness(one: Entry, other: Entry) -> str:
    return one.path if one.path == other.path else f"{one.path} is {other.path}"


def _relative(entries: list[Entry]) -> Iterator[Finding]:
    relative = [e.path or "'' (the working directory)" for e in entries if not _is_absolute(e)]
    if relative:
        told = "mean another directory wherever a program starts, and are stock importlib's"
        remedy = "have whoever adds them make them absolute"
        yield to_do(
            "relative", f"{count(len(relative), 'entry', 'entries')} {told}", remedy, relative
        )
    listed = _settings.variable("PYTHONPATH")
    if listed is None:
        return
    items = [
        item or "'' (the working directory)"
        for item in listed.split(os.pathsep)
        if not Path(item).is_absolute()
    ]
    if items:
        told = f"PYTHONPATH has {count(len(items), 'item', 'items')} relative to where one starts"
        yield to_do("relative", told, "make it absolute in PYTHONPATH", items)


def _huge(entries: list[Entry], active: bool) -> Iterator[Finding]:
    huge = [e for e in entries if e.names >= _HUGE]
    if huge:
        told = f"{count(len(huge), 'directory', 'directories')} listed whole by every process"
        places = [f"{entry.path}, {entry.names:,} names" for entry in huge]
        yield _covered("huge", told, places, active, "move what is no module somewhere else")


def _measured(entries: list[Entry]) -> list[MountTold]:
    known = _mounts.mounts()
    on: dict[_mounts.Mount, list[str]] = {}
    for entry in entries:
        if entry.kind == "directory":
            place = entry.path or "."
            on.setdefault(_mounts.mount_of(place, known), []).append(place)
    told = []
    for mount, places in on.items():
        pace = _mounts.measure(places[0])
        told.append(
            MountTold(
                mount=mount.point,
                type=mount.type,
                us=pace.us,
                slow=pace.is_slow,
                entries=len(places),
            )
        )
    return told


def _slow(mounts: list[MountTold], active: bool) -> Iterator[Finding]:
    for slow in (False, True):
        rows = [
            (
                m["mount"],
                m["type"] or "",
                f"{duration(m['us'])} per operation",
                count(m["entries"], "entry", "entries"),
            )
            for m in mounts
            if m["slow"] is slow
        ]
        if not rows:
            continue
        told = f"{count(len(rows), 'filesystem answers', 'filesystems answer')}"
        if slow:
            yield _covered("slow", f"{told} slowly", table(rows), active, "copy it to a local disk")
        else:
            yield well("filesystem", f"{told} at once", table(rows))


def _bytecode(entries: list[Entry]) -> Iterator[Finding]:
    """Modules that every process has to compile, or the next one that imports them."""
    seconds = _CENSUS_SECONDS
    modules, stale, poor, is_whole = 0, 0, [], True
    for entry in entries:
        if entry.kind != "directory" or not (entry.is_own or not os.access(entry.path, os.W_OK)):
            continue  # of what somebody works on, the next import makes the bytecode
        start = time.monotonic()
        census = _compiled.count(entry.path, seconds)
        seconds -= time.monotonic() - start
        modules, stale = modules + census.modules, stale + census.stale
        is_whole = is_whole and census.is_whole
        if census.stale > census.modules * _STALE_SHARE:
            poor.append((entry, census))
    beyond = "" if is_whole else f" (as far as {_CENSUS_SECONDS:.0f} s went)"
    if not poor:
        told = f"up to date, but for {stale:,} of {modules:,} modules{beyond}"
        yield well("bytecode", told if stale else f"up to date, {modules:,} modules{beyond}")
    for entry, census in poor:
        told = (
            f"{census.stale:,} of {census.modules:,} modules have none that is up to date{beyond}"
        )
        yield to_do("bytecode", told, _compile(entry.path), [entry.path])


def _compile(directory: str) -> str:
    command = f"python -m compileall -q {shlex.quote(directory)}"
    if not os.access(directory, os.W_OK):
        return f"every process compiles them again; as the directory's owner: {command}"
    if sys.dont_write_bytecode:
        return f"every process compiles them again; unset PYTHONDONTWRITEBYTECODE, or {command}"
    return command


def _by_origin(entries: list[Entry]) -> list[tuple[str | None, list[Entry]]]:
    groups: dict[str | None, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.origin, []).append(entry)
    return list(groups.items())


def _take_out(origin: str | None) -> str:
    if origin is None:
        return "take it out where it is added: sitecustomize, a .pth file's import line, a program"
    return f"take it out of {origin}"


def _is_absolute(entry: Entry) -> bool:
    # What another finder answers for is its own affair.
    return entry.kind == "foreign" or Path(entry.path).is_absolute()
