"""What fastpath promises of the table that processes share, figure by figure.

Made like the figures of loading: answers are compared first, then alternating fresh processes are
timed. Two processes before them have learnt what there is to learn, so that every measured one
finds a table; it lies on the local disk. For figures.py.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from _bench import DELAY_MS, Bench, How, Line, of_stock
from _ground import (
    SlowMount,
    no_dropping,
    no_slow_mount,
    slow_mount,
    standard_library,
)
from _loading import run_cold, waited
from _measure import Run, cpu, median, operations, run, wall
from _subject import Subject, import_seconds

FORGOTTEN_S = 1.2
"""A slow mount lets the kernel keep names and attributes for 1 s."""


def learnt(bench: Bench, name: str, stock: Subject, how: How = run) -> dict[str, Subject]:
    """Stock, ours without a table, and ours with one that two processes have written to."""
    tables = bench.home / "tables" / name
    shutil.rmtree(tables, ignore_errors=True)
    alone = replace(stock, fastpath=bench.fastpath)
    shared = replace(alone, cache=str(tables))
    bench.progress.stage(f"{name}: learning")
    for _ in range(2):
        how(shared.command(bench.program(name, "learning")))
    ways = {"stock": stock, "alone": alone, "ours": shared if bench.fastpath else alone}
    bench.check(name, ways, how)
    return ways


def hot(bench: Bench) -> list[Line]:
    """500 modules of the standard library, hot, by a process that finds a table."""
    name = "table-hot"
    runs = bench.time(name, learnt(bench, name, bench.library()), 31)
    alone = {**runs, "ours": runs["alone"]}
    return [
        of_stock(name, "import time", runs, import_seconds, 0.78),
        of_stock(name, "CPU", runs, cpu),
        of_stock(name, "  without a table", alone, import_seconds),
    ]


def packages(bench: Bench) -> list[Line]:
    """Real packages, hot, by a process that finds a table: the whole process."""
    name = "table-packages"
    runs = bench.time(name, learnt(bench, name, bench.packages()), 21)
    alone = {**runs, "ours": runs["alone"]}
    return [
        of_stock(name, "wall", runs, wall),
        of_stock(name, "CPU", runs, cpu, 0.85),
        of_stock(name, "  CPU without a table", alone, cpu),
    ]


def cold(bench: Bench) -> list[Line]:
    """500 modules with nothing in the page cache, the table neither: the whole process."""
    name = "table-cold"
    reason = no_dropping()
    if reason:
        return bench.skip(name, reason)

    runs = bench.time(name, learnt(bench, name, bench.library()), 9, run_cold)
    alone = {**runs, "ours": runs["alone"]}
    return [
        of_stock(name, "wall", runs, wall, 0.70),
        of_stock(name, "CPU", runs, cpu),
        of_stock(name, "  wall without a table", alone, wall),
    ]


def slow(bench: Bench) -> list[Line]:
    """500 modules at 1 ms per operation, the table on the local disk: the whole process.

    One mount for all processes, as a table knows files by their device; each process begins when
    the kernel has forgotten what the one before asked. And once more with the extension modules
    on the local disk.
    """
    name = "table-slow"
    reason = no_slow_mount()
    if reason:
        return bench.skip(name, reason)
    shelf, where = standard_library(bench.python), bench.home / "slow" / "library"
    everything = {shelf: str(where), f"{shelf}/lib-dynload": f"{where}/lib-dynload"}
    lines = []
    for what, moved, share in (
        ("", everything, 0.10),
        (", extensions local", {shelf: str(where)}, None),
    ):
        with ExitStack() as stack:
            mount = stack.enter_context(slow_mount(shelf, where, DELAY_MS))
            how = partial(run_forgotten, mount)
            stock = replace(bench.library(), moved=moved)
            runs = bench.time(name, learnt(bench, f"{name}{what}", stock, how), 5, how)
        asked = round(median(runs["ours"], operations))
        lines += [
            of_stock(name, f"wall{what}", runs, wall, share),
            of_stock(name, f"CPU{what}", runs, cpu),
            waited(name, f"waits{what}", runs),
            Line(
                name,
                f"operations{what}",
                "",
                round(median(runs["stock"], operations)),
                asked,
                asked,
                None,
            ),
        ]
    return lines


def run_forgotten(mount: SlowMount, command: Sequence[str]) -> Run:
    """Run a command on a mount of which the kernel knows nothing any more."""
    time.sleep(FORGOTTEN_S)
    asked, waits = mount.operations(), mount.waits()
    done = run(command)
    return replace(done, operations=mount.operations() - asked, waits=mount.waits() - waits)


FIGURES: dict[str, Callable[[Bench], list[Line]]] = {
    "table-hot": hot,
    "table-packages": packages,
    "table-cold": cold,
    "table-slow": slow,
}
