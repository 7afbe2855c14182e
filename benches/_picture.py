"""What README's picture shows: import time by scenario, and what executing alone would take.

The scenarios of other figures, each with the same ways: stock, fastpath without a table and with
one, and the modules' code objects in memory beforehand, so that nothing is left but to execute
them. For figures.py; draw.py draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from _bench import DELAY_MS, EXTRA, Bench, How, Line, of_stock
from _figures import start_up
from _ground import extra_entries, no_dropping, no_slow_mount, slow_mount, standard_library
from _loading import run_cold
from _measure import run
from _memory import CODE, from_memory
from _modules import TYPICAL, statements
from _subject import Subject, import_seconds
from _table import learnt, run_forgotten

NAME = "picture"
ALONE, TABLE, FLOOR = "without a table", "with a table", "execute only"

START = "python -c pass; the whole process"
LIBRARY = "500 modules; the standard library"
PACKAGES = "real packages; django, sqlalchemy, boto3"
LONG_PATH = "267 modules; 300 more entries on sys.path"
COLD = "500 modules; caches dropped"
SLOW = "500 modules; 1 ms per operation"
# Where a line of the picture may end stands a semicolon.
SCENARIOS = [START, LIBRARY, PACKAGES, LONG_PATH, COLD, SLOW]


def picture(bench: Bench) -> list[Line]:
    """All scenarios, in their order."""
    started = start_up(bench)[0]
    lines = [
        # Nothing is imported, so there is nothing to execute; the table is where it is by default.
        Line(
            NAME,
            f"{START}: {TABLE}",
            "x",
            started.stock,
            started.ours,
            started.ours / started.stock,
            None,
        )
    ]
    lines += _ways(bench, LIBRARY, bench.library(), 15)
    lines += _ways(bench, PACKAGES, bench.packages(), 11)
    entries = extra_entries(bench.home / "extra", EXTRA)
    short = Subject(bench.python, statements(TYPICAL))
    lines += _ways(bench, LONG_PATH, replace(short, front=entries), 15, ground=short)
    lines += _cold(bench)
    lines += _slow(bench)
    return lines


def _cold(bench: Bench) -> list[Line]:
    reason = no_dropping()
    if reason:
        return bench.skip(f"{NAME}: {COLD}", reason)
    return _ways(bench, COLD, bench.library(), 7, how=run_cold)


def _slow(bench: Bench) -> list[Line]:
    """One mount for all processes, as a table knows files by their device."""
    reason = no_slow_mount()
    if reason:
        return bench.skip(f"{NAME}: {SLOW}", reason)
    shelf, where = standard_library(bench.python), bench.home / "slow" / "library"
    moved = {shelf: str(where), f"{shelf}/lib-dynload": f"{where}/lib-dynload"}
    with slow_mount(shelf, where, DELAY_MS) as mount:
        stock = replace(bench.library(), moved=moved)
        return _ways(bench, SLOW, stock, 5, how=partial(run_forgotten, mount))


def _ways(
    bench: Bench,
    scenario: str,
    stock: Subject,
    rounds: int,
    *,
    how: How = run,
    ground: Subject | None = None,
) -> list[Line]:
    """Import time by each way; `ground` makes the same imports where nothing is in the way."""
    name = f"{NAME}-{SCENARIOS.index(scenario)}"
    ways = learnt(bench, name, stock, how)
    kept = bench.home / "programs" / f"{name}-kept.bin"
    ways["floor"] = from_memory(ground or stock, kept)[CODE]
    bench.check_names(name, {"stock": stock, "floor": ways["floor"]}, how)
    runs = bench.time(name, ways, rounds, how)
    return [
        of_stock(NAME, f"{scenario}: {way}", {**runs, "ours": runs[who]}, import_seconds)
        for way, who in ((ALONE, "alone"), (TABLE, "ours"), (FLOOR, "floor"))
    ]


FIGURES: dict[str, Callable[[Bench], list[Line]]] = {NAME: picture}
