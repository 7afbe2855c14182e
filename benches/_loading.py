"""What fastpath promises of loading, figure by figure, and how each is measured.

Made like the figures in _figures.py: answers are compared first, then alternating fresh processes
are timed. On a slow filesystem each of them gets a mount of its own. For figures.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from _bench import DELAY_MS, Bench, How, Line, Runs, of_stock
from _ground import (
    drop_caches,
    environment,
    interpreters,
    no_dropping,
    no_slow_mount,
    run_on_fresh,
    site_packages,
    standard_library,
    version_of,
)
from _measure import Run, cpu, median, run, waits, wall
from _memory import BYTECODE, CODE, from_memory
from _subject import Subject, import_seconds

PARTS = ["finding", "loading", "look-ahead", "collector"]
VERSIONS = ["3.11", "3.13"]


def hot(bench: Bench) -> list[Line]:
    """The line of `stdlib` by several CPythons, and what memory alone would give.

    Without limit, for comparison: the same modules with all bytecode in memory, and with all code
    objects ready, so that executing them is what is left.
    """
    name, lines = "hot", []
    here = version_of(bench.python).split()[1]
    pythons = {here: bench.python}
    others = [version for version in VERSIONS if version != here]
    for version, python in interpreters(others).items():
        pythons[version] = environment(bench.home / f"venv-{version}", base=python)
    for version in others:
        if version not in pythons:
            bench.skip(f"{name} on CPython {version}", "not found (see FASTPATH_TEST_PYTHONS)")
    for version, python in pythons.items():
        lines += _hot_by(bench, f"{name}-{version}", version, python)
    return lines


def _hot_by(bench: Bench, name: str, version: str, python: str) -> list[Line]:
    """The lines of one interpreter."""
    stock = bench.library(python)
    ours = replace(stock, fastpath=bench.fastpath)
    bench.check(name, {"stock": stock, "ours": ours})
    memory = from_memory(stock, bench.home / "programs" / f"{name}-kept.bin")
    bench.check_names(name, {"stock": stock, **memory})
    ways = {"stock": stock, "ours": ours, "memory": memory[BYTECODE], "code": memory[CODE]}
    runs = bench.time(name, ways, 31)

    def reference(what: str, who: str) -> Line:
        return of_stock("hot", f"{version}: {what}", {**runs, "ours": runs[who]}, import_seconds)

    return [
        of_stock("hot", f"{version}: import time", runs, import_seconds, 0.80),
        of_stock("hot", f"{version}: CPU", runs, cpu, 1.00),
        reference("  if bytecode were in memory", "memory"),
        reference("  if it had but to be executed", "code"),
    ]


def packages(bench: Bench) -> list[Line]:
    """Real packages, hot: the whole process."""
    name = "packages"
    stock = bench.packages()
    ours = replace(stock, fastpath=bench.fastpath)
    ways = {"stock": stock, "ours": ours}
    bench.check(name, ways)
    runs = bench.time(name, ways, 21)
    return [of_stock(name, "wall", runs, wall, 0.88), of_stock(name, "CPU", runs, cpu, 0.90)]


def cold(bench: Bench) -> list[Line]:
    """The line of `stdlib` with nothing in the page cache: the whole process."""
    name = "cold"
    reason = no_dropping()
    if reason:
        return bench.skip(name, reason)
    stock = bench.library()
    ours = replace(stock, fastpath=bench.fastpath)
    ways = {"stock": stock, "ours": ours}
    bench.check(name, ways)
    runs = bench.time(name, ways, 7, run_cold)
    return [of_stock(name, "wall", runs, wall, 0.85), of_stock(name, "CPU", runs, cpu)]


def run_cold(command: Sequence[str]) -> Run:
    """Run a command that finds nothing in the kernel's caches."""
    drop_caches()
    return run(command)


def slow_load(bench: Bench) -> list[Line]:
    """The line of `stdlib` with the library at 1 ms per operation, the whole process.

    And once more with the extension modules on the local disk: what loads them is the dynamic
    loader, which asks one thing after the other whatever we do.
    """
    name = "slow-load"
    reason = no_slow_mount()
    if reason:
        return bench.skip(name, reason)
    shelf, slow = standard_library(bench.python), bench.home / "slow" / "library"
    how = partial(run_on_fresh, {slow: shelf}, DELAY_MS)
    everything = {shelf: str(slow), f"{shelf}/lib-dynload": f"{slow}/lib-dynload"}
    sources_only = {shelf: str(slow)}
    lines = []
    for what, moved, most, share, share_cpu in (
        ("", everything, 60, 0.15, 1.10),
        (", extensions local", sources_only, 60, None, None),
    ):
        stock = replace(bench.library(), moved=moved)
        ours = replace(stock, fastpath=bench.fastpath)
        ways = {"stock": stock, "ours": ours}
        bench.check(name, ways, how)
        runs = bench.time(name, ways, 5, how)
        lines += [
            of_stock(name, f"wall{what}", runs, wall, share),
            waited(name, f"waits{what}", runs, most),
        ]
        if share_cpu:
            lines.append(of_stock(name, "CPU", runs, cpu, share_cpu))
    return lines


def waited(figure: str, what: str, runs: Runs, limit: float | None = None) -> Line:
    """Stock's and ours, medians. No hard count: how often the kernel forgets depends on time."""
    stock, ours = (round(median(runs[who], waits)) for who in ("stock", "ours"))
    return Line(figure, what, "", stock, ours, ours, limit)


def slow_packages(bench: Bench) -> list[Line]:
    """Real packages at 1 ms per operation, by each engine: the whole process."""
    name = "slow-packages"
    reason = no_slow_mount()
    if reason:
        return bench.skip(name, reason)
    stock, how = _slow_packages(bench)
    ways = {"stock": stock}
    for engine in ("auto", "uring", "threads", "serial"):
        way = replace(stock, fastpath=bench.fastpath, backend=engine)
        why = way.unusable(engine, bench.program(name, f"usable-{engine}"))
        if why:
            bench.skip(f"{name}, engine {engine}", why)
        else:
            ways[engine] = way
    bench.check(name, ways, how)
    runs = bench.time(name, ways, 5, how)
    most = {"auto": 0.18, "uring": 0.18, "threads": 0.20, "serial": 1.00}
    lines = []
    for engine in list(ways)[1:]:
        pair = {**runs, "ours": runs[engine]}
        lines += [
            of_stock(name, f"{engine}: wall", pair, wall, most[engine]),
            of_stock(name, f"{engine}: CPU", pair, cpu, 1.10),
            waited(name, f"{engine}: waits", pair),
        ]
    return lines


def _slow_packages(bench: Bench) -> tuple[Subject, How]:
    """Stock, importing real packages from a slow filesystem, and how to run it."""
    stock = bench.packages()
    site, slow = site_packages(stock.python), bench.home / "slow" / "packages"
    return replace(stock, moved={site: str(slow)}), partial(run_on_fresh, {slow: site}, DELAY_MS)


def parts(bench: Bench) -> list[Line]:
    """What each part gives: everything on, then each part off by itself."""
    lines = []
    for what, stock, how, rounds, of in _grounds_for_parts(bench):
        name = f"parts-{what}"
        ways = {"stock": stock, "all on": replace(stock, fastpath=bench.fastpath)}
        for part in PARTS:
            ways[f"without {part}"] = replace(ways["all on"], off=[part])
        bench.check(name, ways, how)
        runs = bench.time(name, ways, rounds, how)
        for way in list(ways)[1:]:
            pair = {**runs, "ours": runs[way]}
            lines.append(of_stock("parts", f"{what}, {way}", pair, of))
            if any(one.waits for one in runs["stock"]):
                lines.append(waited("parts", f"{what}, {way}: waits", pair))
    return lines


def _grounds_for_parts(
    bench: Bench,
) -> list[tuple[str, Subject, How, int, Callable[[Run], float]]]:
    """Where the parts are measured: name, stock, how to run, rounds, and which time."""
    grounds: list[tuple[str, Subject, How, int, Callable[[Run], float]]] = [
        ("hot", bench.library(), run, 21, import_seconds)
    ]
    reason = no_slow_mount()
    if reason:
        bench.skip("parts on slow packages", reason)
    else:
        stock, how = _slow_packages(bench)
        grounds.append(("slow packages", stock, how, 3, wall))
    return grounds


FIGURES: dict[str, Callable[[Bench], list[Line]]] = {
    "hot": hot,
    "packages": packages,
    "cold": cold,
    "slow-load": slow_load,
    "slow-packages": slow_packages,
    "parts": parts,
}
