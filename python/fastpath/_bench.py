"""``bench``: whether threads or io_uring beat one stat after the other, on the mounts used here.

Decides what is measured and in which order, and gathers it; ``_bench_clock`` measures,
``_bench_verdict`` judges, ``_bench_text`` and ``_bench_plot`` show. Never writes to a mount.
Used by ``_cli``.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, TypedDict

import fastpath
from fastpath import _bench_names, _bench_slow, _bench_verdict, _entries, _mounts
from fastpath._bench_clock import Bench, Cell, LeftOut, Measured, variants
from fastpath._bench_names import Names
from fastpath._bench_progress import Progress
from fastpath._bench_verdict import BreakEven
from fastpath._problem import USAGE, Problem

SIZES = (1, 10, 100, 1_000, 10_000)
_QUICK_SIZES = SIZES[:-1]
_SECONDS = 40.0
_QUICK_SECONDS = 8.0


class Asked(NamedTuple):
    """What the command line asks for."""

    paths: list[str]
    quick: bool = False
    cold: bool = False
    latency_ms: float | None = None


class MountTold(TypedDict):
    """What was found out about one mount; times are in microseconds per path."""

    mount: str
    type: str | None
    directories: list[str]
    emulated_ms: float | None
    latency_us: float
    names: dict[str, int]
    measured: list[Measured]
    left_out: list[LeftOut]
    break_even: list[BreakEven]
    verdict: str


class Told(TypedDict):
    """What ``bench --json`` writes; docs/lab.md says what each key means."""

    version: str
    python: str
    system: str
    cpus: int | None
    quick: bool
    cold: bool
    refused: dict[str, str]
    seconds: float
    load: float | None
    mounts: list[MountTold]


class _Place(NamedTuple):
    """Directories on one mount, and what is known of it."""

    mount: _mounts.Mount
    directories: list[str]
    emulated_ms: float | None = None


def bench(asked: Asked) -> Told:
    """Measure everything that was asked for. Raises Problem where that cannot be had."""
    start, load = time.monotonic(), _load()
    if asked.cold:
        _bench_slow.check_cold()
        print("fastpath: --cold drops the caches of the whole machine", file=sys.stderr)
    with ExitStack() as stack:
        places = _places(asked, stack)
        mounts = list(_measure(asked, places))
    return {
        "version": fastpath.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "quick": asked.quick,
        "cold": asked.cold,
        "refused": {name: why for name, why in fastpath.backends().items() if why is not None},
        "seconds": round(time.monotonic() - start, 1),
        "load": load,
        "mounts": mounts,
    }


def _load() -> float | None:
    """How many processes wanted a processor in the last minute, ourselves not yet among them."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def _places(asked: Asked, stack: ExitStack) -> list[_Place]:
    for path in asked.paths:
        if not Path(path).is_dir():
            what = "is not a directory" if Path(path).exists() else "does not exist"
            raise Problem(f"bench: {path} {what}", USAGE)
    given = [str(Path(path).absolute()) for path in asked.paths]
    if asked.latency_ms is not None:
        return [
            _Place(
                _mounts.Mount(directory, "slowfs"),
                [stack.enter_context(_bench_slow.mounted(directory, asked.latency_ms))],
                asked.latency_ms,
            )
            for directory in given or [str(Path(os.__file__).parent)]
        ]
    known = _mounts.mounts()
    if given:
        return [_Place(_mounts.mount_of(path, known), [path]) for path in given]
    by_device: dict[int, list[str]] = {}
    for entry in _entries.own_path():
        directory = Path(entry) if isinstance(entry, str) else None  # '' is the working directory
        if directory and directory.is_dir():
            by_device.setdefault(directory.stat().st_dev, []).append(str(directory))
    if not by_device:
        raise Problem("bench: no entry of sys.path is a directory: name one")
    return [_Place(_mounts.mount_of(found[0], known), found) for found in by_device.values()]


def _measure(asked: Asked, places: list[_Place]) -> Iterator[MountTold]:
    sizes = _QUICK_SIZES if asked.quick else SIZES
    collected = [_bench_names.collect(place.directories, max(sizes)) for place in places]
    plans = [_cells(asked, sizes, names) for names in collected]
    progress = Progress(sum(map(len, plans)), sys.stderr)
    bench = Bench(
        seconds=(_QUICK_SECONDS if asked.quick else _SECONDS) * (2 if asked.cold else 1),
        cells=sum(map(len, plans)),
        variants=variants(fastpath.backends(), quick=asked.quick),
        rounds=7 if asked.quick else 15,
    )
    try:
        for place, names, plan in zip(places, collected, plans, strict=True):
            yield _one(bench, progress, place, names, plan)
    finally:
        progress.clear()


def _cells(asked: Asked, sizes: tuple[int, ...], names: Names) -> list[Cell]:
    """All that is to be measured on a mount.

    The cheap come first: what they leave of the time, the others may use.
    """
    kinds = {"hits": names.hits, "misses": names.misses}
    states = ["hot", "cold"] if asked.cold else ["hot"]
    return [
        Cell(state, kind, size, paths)
        for state in states
        for size in sizes
        for kind, paths in kinds.items()
        # One question at a time has nothing to be cold for: it is the first of ten.
        if size <= len(paths) and (state, size) != ("cold", 1)
    ]


def _one(
    bench: Bench, progress: Progress, place: _Place, names: Names, plan: list[Cell]
) -> MountTold:
    latency_us = bench.begin(place.directories[0])
    measured: list[Measured] = []
    left_out: list[LeftOut] = []
    for cell in plan:
        progress.step(f"{place.mount.point}: {cell.state} {cell.kind}, {cell.batch:,} at a time")
        if why := bench.too_slow(cell):
            left_out.append(why)
        else:
            measured += bench.measure(cell)
    break_even = _bench_verdict.break_even(measured)
    refused = fastpath.backends()["uring"]
    return {
        "mount": place.mount.point,
        "type": place.mount.type,
        "directories": place.directories,
        "emulated_ms": place.emulated_ms,
        "latency_us": round(latency_us, 2),
        "names": {"hits": len(names.hits), "misses": len(names.misses)},
        "measured": measured,
        "left_out": left_out,
        "break_even": break_even,
        "verdict": _bench_verdict.sentence(measured, refused),
    }
