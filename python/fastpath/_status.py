"""``status``: is fastpath enabled here, active in this process, with what, and how busy.

Reads and tells; installs nothing. An invalid FASTPATH* value is a Problem (exit code 2), and
so is an enabled environment in which this very process did not get it. Used by ``_cli``.
"""

from typing import TypedDict

import fastpath
from fastpath import _seal, _settings, _startup
from fastpath._problem import Problem
from fastpath._text import table

# The counters by what they are about; those in no group are told at the end.
_GROUPS = {
    "finding": ("lookups", "hit", "revalidated", "miss", "stale", "asked"),
    "loading": ("loaded", "load_asked"),
    "filesystem": (
        *("batches", "probes_serial", "probes_threads", "probes_uring", "listings", "reads"),
    ),
    "look-ahead": (
        *("ahead_steps", "ahead_refreshes", "ahead_files", "ahead_used_files"),
        *("ahead_bytes", "ahead_used_bytes"),
    ),
    "shared table": ("table_directories", "table_files", "table_bytes", "plan_paths"),
}
_SECONDS = "_seconds"


class Value(TypedDict):
    """One setting, and whether an argument, a variable or the default decided it."""

    value: str
    origin: str


class Status(TypedDict):
    """What ``status --json`` prints."""

    version: str
    enabled: list[str]
    foreign: list[str]
    active: bool
    turned_off: bool
    seal: _seal.State | None
    settings: dict[str, Value]
    backends: dict[str, str | None]
    counters: dict[str, int]
    seconds: dict[str, float]


def gather() -> Status:
    """Collect the facts about this environment and this process."""
    _settings.check()
    files = _startup.existing()
    stats = dict(fastpath.stats())
    active = fastpath.is_installed()
    return Status(
        version=fastpath.__version__,
        enabled=[str(path) for path, ours in files if ours],
        foreign=[str(path) for path, ours in files if not ours],
        active=active,
        turned_off=_settings.turned_off(),
        seal=_seal.state(),
        settings={name: _value(name, stats, active) for name in _settings.VARIABLES},
        backends=dict(fastpath.backends()),
        counters={name: n for name, n in stats.items() if type(n) is int},
        seconds={
            name.removesuffix(_SECONDS): n for name, n in stats.items() if isinstance(n, float)
        },
    )


def check(status: Status) -> None:
    """Raise Problem when the environment is enabled and yet this process has no fastpath."""
    if status["enabled"] and not status["active"] and not status["turned_off"]:
        raise Problem(
            f"enabled by {status['enabled'][0]}, but not active in this process; "
            "FASTPATH_DEBUG=1 makes the interpreter say why at its start"
        )


def render(status: Status) -> str:
    """Return the status as aligned text."""
    rows = [
        ("version", status["version"], ""),
        ("enabled", ", ".join(status["enabled"]) or "no", ""),
        ("active", _active(status), ""),
    ]
    rows += [("foreign", path, "not written by fastpath") for path in status["foreign"]]
    if status["seal"] is not None:
        rows.append(("seal", status["seal"]["path"], _sealed(status["seal"])))
    rows += [(name, s["value"], f"from {s['origin']}") for name, s in status["settings"].items()]
    rows += [
        ("engine", name, "usable" if why is None else f"not usable: {why}")
        for name, why in status["backends"].items()
    ]
    lines = _ragged(rows)
    return "\n".join([*lines, "counters of this process", *_counters(status)])


def _counters(status: Status) -> list[str]:
    left = {name: str(count) for name, count in status["counters"].items()}
    groups = {title: {name: left.pop(name) for name in names} for title, names in _GROUPS.items()}
    groups["other"] = left
    groups["time, ms"] = {name: f"{s * 1e3:.3f}" for name, s in status["seconds"].items()}
    rows = [
        (title if index == 0 else "", name, value)
        for title, values in groups.items()
        for index, (name, value) in enumerate(values.items())
    ]
    return [f"  {line}" for line in table(rows, frozenset({2}))]


def _value(setting: str, stats: dict[str, object], active: bool) -> Value:
    found = _settings.origin(setting, str(stats[setting]) if active else None)
    return Value(value=found.value, origin=found.origin)


def _sealed(seal: _seal.State) -> str:
    if seal["why"] is not None:
        return f"not used: {seal['why']}"
    if not seal["changed"]:
        return f"{seal['directories']:,} directories and {seal['modules']:,} modules"
    return f"stale: {_seal.render_changed(seal)}; seal again, or unseal"


def _active(status: Status) -> str:
    if status["active"]:
        return "yes, in this process"
    return "no: FASTPATH=0" if status["turned_off"] else "no"


def _ragged(rows: list[tuple[str, str, str]]) -> list[str]:
    # A long path in a row without a remark must not push everybody's remarks to the right.
    remarked = iter(table([row for row in rows if row[2]]))
    width = max(len(row[0]) for row in rows)
    return [next(remarked) if row[2] else f"{row[0].ljust(width)}  {row[1]}" for row in rows]
