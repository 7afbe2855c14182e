"""What fastpath promises of starting and finding, figure by figure, and how each is measured.

A figure compares the answers first and raises WrongAnswer when they differ from stock; then it
times alternating fresh processes, and answers with lines of stock, ours and the limit. It prints
no result and judges none. For figures.py; the figures of loading are in _loading.py.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from _bench import DELAY_MS, EXTRA, Bench, Line, count, of_stock
from _ground import (
    environment,
    extra_entries,
    install,
    no_slow_mount,
    one_module,
    quiet,
    run_on_fresh,
    site_packages,
    standard_library,
    testbed,
)
from _measure import cpu, interleave, median, operations, run, strace, system_calls, wall
from _modules import TYPICAL, statements
from _subject import Subject, finding_seconds, import_seconds

CROWD = 200_000
MILLION = 1_000_000


def start_up(bench: Bench) -> list[Line]:
    """`python -c pass` in an environment where fastpath is enabled, and in one where it is not.

    Both have the same wheel installed. The medians of blocks of runs, and of those the least:
    what a start costs when nothing disturbs it.
    """
    name, per_block = "pass", 25
    kind = "control" if bench.wheel is None else "enabled"
    off, on = (environment(bench.home / f"{kind}-{number}") for number in (0, 1))
    if bench.wheel is not None:
        for python in (off, on):
            install(["--no-deps", "--upgrade", str(bench.wheel)], Path(site_packages(python)))
        quiet([on, "-m", "fastpath", "enable"])
        for python, active in ((off, False), (on, True)):
            question = "import sys; found = sys.modules.get('fastpath._native'); assert "
            quiet([python, "-c", f"{question}bool(found and found.is_installed()) is {active}"])
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PYTHON", "FASTPATH"))
    }
    blocks = bench.rounds(15)
    bench.progress.stage(f"{name}: {blocks} blocks of {per_block} rounds of 2 processes")
    best = {"off": (float("inf"), float("inf")), "on": (float("inf"), float("inf"))}
    commands = {
        "off": partial(run, [off, "-c", "pass"], clean),
        "on": partial(run, [on, "-c", "pass"], clean),
    }
    for _ in range(blocks):
        block = interleave(commands, per_block)
        for who, runs in block.items():
            walls, cpus = best[who]
            best[who] = (min(walls, median(runs, wall)), min(cpus, median(runs, cpu)))
        bench.progress.tick()
    (wall_off, cpu_off), (wall_on, cpu_on) = best["off"], best["on"]
    added = (wall_on - wall_off) * 1e3
    percent = (wall_on / wall_off - 1) * 100
    return [
        Line(name, "wall added", "ms", wall_off * 1e3, wall_on * 1e3, added, 0.5),
        Line(name, "wall added", "%", wall_off * 1e3, wall_on * 1e3, percent, 4.0),
        Line(name, "CPU", "x", cpu_off * 1e3, cpu_on * 1e3, cpu_on / cpu_off, 1.02),
    ]


def long_path(bench: Bench) -> list[Line]:
    """300 more entries in front, hot: ours with them against stock without any."""
    name = "long-path"
    entries = extra_entries(bench.home / "extra", EXTRA)
    stock = Subject(bench.python, statements(TYPICAL))
    stock_long = replace(stock, front=entries)
    ours = replace(stock_long, fastpath=bench.fastpath)
    bench.check(name, {"stock-long": stock_long, "ours": ours})
    runs = bench.time(name, {"stock": stock, "stock-long": stock_long, "ours": ours}, 25)
    base = median(runs["stock"], import_seconds)
    longer = median(runs["stock-long"], import_seconds)
    return [
        Line(name, "stock with them", "x", base * 1e3, longer * 1e3, longer / base, None),
        of_stock(name, "import time", runs, import_seconds, 1.05),
        of_stock(name, "CPU", runs, cpu, 1.02),
    ]


def library(bench: Bench) -> list[Line]:
    """500 modules of the standard library on a path of 10 entries, hot."""
    name = "stdlib"
    stock = bench.library()
    ours = replace(stock, fastpath=bench.fastpath)
    ways = {"stock": stock, "ours": ours}
    bench.check(name, ways)
    runs = bench.time(name, ways, 31)
    return [
        of_stock(name, "import time", runs, import_seconds, 0.97),
        of_stock(name, "CPU", runs, cpu, 1.02),
    ]


def slow(bench: Bench) -> list[Line]:
    """300 more entries and the standard library at 1 ms per operation: the time spent finding.

    Finding is what passes inside PathFinder.find_spec, wrapped alike in stock and ours; for ours
    loading and installing fastpath counts too. Without look-ahead, which finds some modules while
    others are loaded, and reads some while others are found; the import time and the CPU are those
    of all of fastpath. And again with io_uring refused.
    """
    reason = no_slow_mount()
    if reason:
        return bench.skip("slow, refused", reason)
    entries = extra_entries(bench.home / "extra", EXTRA)
    shelf = standard_library(bench.python)
    extra, slow_shelf = (bench.home / "slow" / where for where in ("extra", "library"))
    sources = {extra: str(bench.home / "extra"), slow_shelf: shelf}
    how = partial(run_on_fresh, sources, DELAY_MS)
    stock = Subject(
        bench.python,
        statements(TYPICAL),
        front=[f"{extra}/{Path(entry).name}" for entry in entries],
        moved={shelf: str(slow_shelf), f"{shelf}/lib-dynload": f"{slow_shelf}/lib-dynload"},
        finding=True,
    )
    ours = replace(stock, fastpath=bench.fastpath)
    finder = replace(ours, off=["look-ahead"])
    ways = {"stock": stock, "ours": ours, "finder": finder}
    if "refused" in bench.wanted:
        refuse = testbed("refuse")
        ways["refused"] = replace(finder, prefix=[str(refuse), "--errno", "EPERM", "--"])
    bench.check("slow", ways, how)
    runs = bench.time("slow", ways, 5, how)
    served = {who: round(median(runs[who], operations)) for who in ways}
    lines = [
        of_stock("slow", "finding time", {**runs, "ours": runs["finder"]}, finding_seconds, 0.10),
        of_stock("slow", "import time", runs, import_seconds, None),
        of_stock("slow", "CPU", runs, cpu, 1.02),
        count("slow", "operations served", served["stock"], served["ours"], None),
    ]
    if "refused" in ways:
        base = median(runs["finder"], finding_seconds)
        refused = median(runs["refused"], finding_seconds)
        lines += [
            Line(
                "refused",
                "finding time, to `slow`",
                "x",
                base * 1e3,
                refused * 1e3,
                refused / base,
                1.3,
            ),
            of_stock("refused", "CPU", {**runs, "ours": runs["refused"]}, cpu, 1.02),
        ]
    return lines


HUGE_BODY = """\
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
peak()
before, start = peak(), clock()
import wanted
start, before = clock() - start, peak() - before
assert wanted.__file__.startswith({front!r}), wanted.__file__
print(start, before)
"""


def huge_directory(bench: Bench) -> list[Line]:
    """One import from a directory of 200,000 files: what it adds to one from a small directory."""
    name = "huge-dir"
    if not Path("/proc/self/status").exists():
        return bench.skip(name, "needs /proc/self/status, to see the memory")
    bench.progress.stage(f"{name}: a directory of {CROWD:,} files, made once")
    where = {"small": one_module(bench.home / "small", 10)}
    where["huge"] = one_module(bench.home / "huge", CROWD)
    ways = {}
    for size, directory in where.items():
        body = HUGE_BODY.format(front=str(directory))
        stock = Subject(bench.python, body, front=[str(directory)])
        ways[f"stock-{size}"] = stock
        ways[f"ours-{size}"] = replace(stock, fastpath=bench.fastpath)
    runs = bench.time(name, ways, 9)

    def added(who: str, column: int) -> float:
        huge, small = (
            statistics.median(float(one.output.split()[column]) for one in runs[f"{who}-{size}"])
            for size in ("huge", "small")
        )
        return huge - small

    stock_ms, ours_ms = (added(who, 0) * 1e3 for who in ("stock", "ours"))
    stock_mb, ours_mb = (added(who, 1) / 1024 for who in ("stock", "ours"))
    return [
        Line(name, "time added", "ms", stock_ms, ours_ms, ours_ms, 1.0),
        Line(name, "memory added", "MB", stock_mb, ours_mb, ours_mb, 1.0, hard=True),
    ]


def no_futex(bench: Bench) -> list[Line]:
    """A million `import os` on one thread: no futex call, and no more time than stock.

    The clock starts at the loop: what installing costs is the business of `pass`.
    """
    name = "futex"

    def loop(times: int) -> Subject:
        body = f"start = clock()\nfor _ in range({times}):\n    import os\n"
        return Subject(bench.python, body)

    stock, ours = loop(MILLION), replace(loop(MILLION), fastpath=bench.fastpath)
    lines = []
    tracer = strace()
    if tracer is None:
        bench.skip(name, "the count needs strace; only the time is measured")
    else:
        bench.progress.stage(f"{name}: counting futex calls")
        calls = []
        for who, fastpath in (("stock", None), ("ours", bench.fastpath)):
            once, often = (
                system_calls(
                    tracer,
                    replace(loop(times), fastpath=fastpath).command(
                        bench.program(name, f"{who}-{times}")
                    ),
                    "futex",
                )
                for times in (1, MILLION)
            )
            calls.append(often - once)
        lines = [count(name, "futex calls added", calls[0], calls[1], 0)]
    runs = bench.time(name, {"stock": stock, "ours": ours}, 15)
    return [*lines, of_stock(name, "time", runs, import_seconds, 1.02)]


FIGURES: dict[str, Callable[[Bench], list[Line]]] = {
    "pass": start_up,
    "long-path": long_path,
    "stdlib": library,
    "slow": slow,
    "refused": slow,
    "huge-dir": huge_directory,
    "futex": no_futex,
}
