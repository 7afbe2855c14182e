"""``cache``: what processes have learnt for each other, where it lies, and how to be rid of it.

``info``, ``list`` and ``verify`` only read; ``clear`` and ``gc`` remove what can always be learnt
again, and nothing that is not ours. A process that runs keeps what it has. Used by ``_cli``.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import fastpath
from fastpath import _native, _tables
from fastpath._problem import Problem
from fastpath._tables import File, Place
from fastpath._text import count, date, size, table

if TYPE_CHECKING:
    from fastpath._native import TableDirectory, TableFacts

_DAY_SECONDS = 86400


class TableTold(TypedDict):
    """A table in the cache directory."""

    file: str
    size: int
    own: bool
    """Whether it is the one for this interpreter."""
    why: str | None
    """Why it is not used."""
    facts: TableFacts


class Info(TypedDict):
    """What ``cache info --json`` prints."""

    directory: str | None
    file: str | None
    used: bool
    why: str | None
    """Why this interpreter does not use its table."""
    tables: list[TableTold]


class Verdict(TypedDict):
    """What ``cache verify --json`` prints."""

    file: str
    why: str | None
    """Why the table is not used at all."""
    size: int
    directories: int
    modules: int
    plans: int
    damaged: list[str]
    changed: list[str] | None
    """Versions that are others by now; None if they were not looked at."""


class Change(TypedDict):
    """What was done to a table or to what belongs to one, or would be but for a dry run."""

    file: str
    change: str
    """``removed``, ``shortened``, ``unchanged``, or ``busy``: a process is writing it just now."""
    why: str | None
    freed: int | None
    """Bytes; None where that is known only when it is done."""
    directories: list[str]
    """Those left out of a table that was shortened."""


def info(place: Place) -> Info:
    """Collect what is known of this interpreter's table and of those beside it."""
    why = place.why
    if place.file is not None:
        why = _tables.facts(place.file, own=True)["why"]
    if why is None and not fastpath.is_installed():
        why = "fastpath is not active in this process"
    files = _tables.files(place.directory) if place.directory else []
    return Info(
        directory=_text(place.directory),
        file=_text(place.file),
        used=why is None,
        why=why,
        tables=[_told(file, place) for file in files if file.is_table],
    )


def _told(file: File, place: Place) -> TableTold:
    own = file.path == place.file
    facts = _tables.facts(file.path, own=own)
    return TableTold(file=str(file.path), size=file.size, own=own, why=facts["why"], facts=facts)


def render_info(told: Info) -> str:
    """Return the info as text."""
    rows = [
        ("directory", told["directory"] or "none"),
        ("table", told["file"] or "none"),
        ("used", "yes" if told["used"] else f"no: {told['why']}"),
    ]
    for own in (one for one in told["tables"] if one["own"] and one["why"] is None):
        facts = own["facts"]
        rows += [
            ("for", _whose(facts)),
            ("size", f"{size(facts['size'])}, of which bytecode {size(facts['bytes'])}"),
            ("knows", _contents(facts)),
            ("last used", _date(facts["used_day"])),
            ("format", str(facts["format"])),
        ]
    lines = table(rows)
    if told["tables"]:
        total = size(sum(one["size"] for one in told["tables"]))
        lines += ["", f"{count(len(told['tables']), 'table', 'tables')}, {total}"]
        lines += [f"  {line}" for line in table(map(_row, told["tables"]), frozenset({1}))]
    return "\n".join(lines)


def _row(told: TableTold) -> tuple[str, str, str]:
    facts = told["facts"]
    if told["why"] is None:
        remark = f"last used {_date(facts['used_day'])}, {_whose(facts)}"
    else:
        remark = f"not used: {told['why']}"
    return (Path(told["file"]).name, size(told["size"]), remark)


def _whose(facts: TableFacts) -> str:
    optimized = f" -{'O' * facts['optimize']}" if facts["optimize"] else ""
    return f"{facts['cache_tag']}{optimized}, {facts['environment'][0]}"


def _contents(facts: TableFacts) -> str:
    return ", ".join(
        (
            count(facts["directories"], "directory", "directories"),
            count(facts["names"], "name", "names"),
            count(facts["modules"], "module", "modules"),
            count(facts["plans"], "plan", "plans"),
        )
    )


def listed(file: Path) -> list[TableDirectory]:
    """List the directories of a table, the largest first; none if there is no table."""
    facts = _tables.facts(file)
    if facts["refusal"] == "missing":
        return []
    if facts["why"] is not None:
        raise Problem(f"{file}: {facts['why']}")
    return sorted(
        _native._tables().directories(str(file)), key=lambda told: (-_bytes(told), told["path"])
    )


def render_list(told: list[TableDirectory], *, modules: bool) -> str:
    """Return directories, or their modules, as aligned text."""
    if not told:
        return "nothing is known yet"
    if modules:
        rows = [
            (size(number), str(Path(one["path"], name)))
            for one in told
            for name, number in sorted(one["modules"], key=lambda module: (-module[1], module[0]))
        ]
        total = sum(map(_bytes, told))
        return "\n".join(table([*rows, (size(total), "total")], frozenset({0})))
    head = ("bytecode", "modules", "names", "last used", "directory")
    lines = [
        (
            size(_bytes(one)),
            f"{len(one['modules']):,}",
            "?" if one["names"] is None else f"{one['names']:,}",
            date(one["used_day"]),
            one["path"],
        )
        for one in told
    ]
    return "\n".join(table([head, *lines], frozenset({0, 1, 2})))


def verify(file: Path, *, stamps: bool) -> Verdict:
    """Compare a table's checksums, with ``stamps`` also its versions with the filesystem's."""
    facts = _tables.facts(file)
    verdict = Verdict(
        file=str(file),
        why=facts["why"],
        size=facts.get("size", 0),
        directories=facts.get("directories", 0),
        modules=facts.get("modules", 0),
        plans=facts.get("plans", 0),
        damaged=[str(facts["why"])] if facts["refusal"] == "damaged" else [],
        changed=None,
    )
    if facts["why"] is None:
        found = _native._tables().verify(str(file), stamps)
        verdict["damaged"] = found["damaged"]
        verdict["changed"] = found["changed"] if stamps else None
    elif facts["refusal"] not in ("missing", "damaged"):
        raise Problem(f"{file}: {facts['why']}")
    return verdict


def render_verdict(told: Verdict) -> str:
    """Return what is damaged and what has changed, or that all is well."""
    if told["why"] is not None and not told["damaged"]:
        return f"{told['file']}: {told['why']}"
    looked = ", ".join(
        (
            size(told["size"]),
            count(told["directories"], "directory", "directories"),
            count(told["modules"], "module", "modules"),
            count(told["plans"], "plan", "plans"),
        )
    )
    lines = [f"{told['file']}: {looked}"]
    if told["damaged"]:
        lines += [f"damaged: {count(len(told['damaged']), 'piece', 'pieces')}"]
        lines += [f"  {piece}" for piece in told["damaged"]]
        lines += ["what is damaged is not used, and learnt again; gc removes it"]
    else:
        lines += ["every checksum is right"]
    if told["changed"]:
        lines += [f"changed since: {count(len(told['changed']), 'path', 'paths')}"]
        lines += [f"  {path}" for path in told["changed"]]
        lines += ["what has changed is not used, and learnt again"]
    elif told["changed"] is not None:
        lines += ["the filesystem has every version that is stored"]
    return "\n".join(lines)


def clear(place: Place, *, dry_run: bool) -> list[Change]:
    """Remove every table, with its lock and what a killed writer has left."""
    groups = _groups(place)
    return [change for files in groups for change in _removed(files, None, dry_run=dry_run)]


def gc(place: Place, *, days: int, dry_run: bool) -> list[Change]:
    """Remove what is of no use any more.

    Tables that are damaged, or whose interpreter is gone; of others, directories that are gone or
    have not been used for ``days`` days. Of files without a table, all.
    """
    changes = []
    for files in _groups(place):
        tables = [file for file in files if file.is_table]
        facts = _tables.facts(tables[0].path) if tables else None
        why = "there is no table to it" if facts is None else _useless(facts)
        if why is not None:
            changes += _removed(files, why, dry_run=dry_run)
        elif facts is not None and facts["why"] is not None:
            changes.append(_change(tables[0], "unchanged", facts["why"]))
        else:
            changes.append(_shortened(tables[0], days, dry_run=dry_run))
    return changes


def _useless(facts: TableFacts) -> str | None:
    if facts["refusal"] == "damaged":
        return facts["why"]
    if facts["why"] is None and _tables.is_gone(facts):
        return f"its interpreter is gone ({_whose(facts)})"
    return None


def _groups(place: Place) -> list[list[File]]:
    """Return our files by the table they belong to."""
    groups: dict[str, list[File]] = {}
    for file in _tables.files(place.directory) if place.directory else []:
        if file.is_ours:
            groups.setdefault(file.table, []).append(file)
    return list(groups.values())


def _removed(files: list[File], why: str | None, *, dry_run: bool) -> list[Change]:
    done = _tables.remove(files, dry_run=dry_run)
    if not done:
        return [_change(file, "busy", "a process is writing it just now") for file in files]
    return [_change(file, "removed", why, freed=file.size) for file in files]


def _shortened(file: File, days: int, *, dry_run: bool) -> Change:
    today = int(time.time() // _DAY_SECONDS)
    try:
        pruned = _native._tables().gc(str(file.path), max(today - days, 0), dry_run)
    except OSError as error:
        raise Problem(f"{file.path}: {error}") from error
    if pruned["busy"]:
        return _change(file, "busy", "a process is writing it just now")
    gone = pruned["directories"]
    if not (gone or pruned["damaged"]):
        return _change(file, "unchanged", None)
    why = f"without {count(len(gone), 'directory', 'directories')}, "
    why += count(pruned["modules"], "module", "modules")
    if pruned["damaged"]:
        why += f", {count(pruned['damaged'], 'damaged piece', 'damaged pieces')}"
    freed = None if dry_run else file.size - file.path.stat().st_size
    return _change(file, "shortened", why, freed, gone)


def _change(
    file: File,
    change: str,
    why: str | None,
    freed: int | None = 0,
    directories: list[str] | None = None,
) -> Change:
    return Change(
        file=str(file.path), change=change, why=why, freed=freed, directories=directories or []
    )


def render_changes(changes: list[Change], *, dry_run: bool) -> str:
    """Return a line for each file, and for each directory left out, and what it came to."""
    if not changes:
        return "nothing to remove"
    lines = []
    for change in changes:
        would = "would be " if dry_run and change["change"] in ("removed", "shortened") else ""
        why = f": {change['why']}" if change["why"] else ""
        lines.append(f"{change['file']} {would}{change['change']}{why}")
        lines += [f"  {directory}" for directory in change["directories"]]
    freed = [change["freed"] for change in changes if change["freed"] is not None]
    return "\n".join([*lines, f"{size(sum(freed))} {'would be ' if dry_run else ''}freed"])


def _bytes(told: TableDirectory) -> int:
    return sum(number for _, number in told["modules"])


def _date(day: int | None) -> str:
    return "never" if day is None else date(day)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
