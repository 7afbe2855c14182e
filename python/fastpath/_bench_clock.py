"""Measures one kind of question at one batch size, by every engine in turn.

The answers are compared first: no engine is timed whose answers are not serial's. The clock is the
native module's, with no Python beside it. Used by ``_bench``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict

from fastpath import _bench_slow
from fastpath._native import _probe_timed
from fastpath._problem import Problem

if TYPE_CHECKING:
    from fastpath._native import Timed, _Backend

    _Engine = Literal["serial", "auto", "threads", "uring"]

# The kernel's limit of workers for a ring is another thing than ours: both are asked about.
KERNELS_OWN = 0
_WIDTHS = (4, 16, 64)
# A sample of quick questions is as long as this, so that the clock's own time is nothing.
_SAMPLE_US = 2000.0
_FEWEST_ROUNDS = 3
# Up to here a batch is measured however slow the mount is.
_ALWAYS = 100
# Directories that others are writing into answer otherwise now and then.
_CHANGES = 5


class Variant(NamedTuple):
    """An engine at a width, and what people call the two."""

    label: str
    engine: _Engine
    width: int | None = None


SERIAL = Variant("serial", "serial")
_MAIN = (SERIAL, Variant("auto", "auto"), Variant("threads", "threads"), Variant("uring", "uring"))


class Cell(NamedTuple):
    """One thing to be measured: hot or cold, hits or misses, so many at a time."""

    state: str
    kind: str
    batch: int
    paths: list[str]


class Measured(TypedDict):
    """One engine's median in one cell."""

    state: str
    kind: str
    batch: int
    label: str
    engine: str
    width: int | None
    us: float
    cpu_us: float | None
    rounds: int
    by_ring: int


class LeftOut(TypedDict):
    """A cell that would have taken too long."""

    state: str
    kind: str
    batch: int
    why: str


def variants(refused: Mapping[str, str | None], *, quick: bool) -> list[Variant]:
    """List what is to be compared: every engine that is usable here, serial first."""
    wide = [
        *(Variant(f"threads-{width}", "threads", width) for width in _WIDTHS),
        Variant("uring-default", "uring", KERNELS_OWN),
    ]
    wanted = [*_MAIN, *([] if quick else wide)]
    return [variant for variant in wanted if refused.get(variant.engine) is None]


class Bench:
    """Measures cell after cell, within a time for all of them together."""

    def __init__(self, *, seconds: float, cells: int, variants: list[Variant], rounds: int) -> None:
        """Start the clock: so many seconds for so many cells."""
        self._end = time.monotonic() + seconds
        self._cells = cells
        self._variants = variants
        self._rounds = rounds
        self._pace: dict[tuple[str, str], float] = {}
        self._latency_us = 0.0

    def begin(self, directory: str) -> float:
        """Measure how long one question takes on the next mount, in microseconds.

        The median of questions about names that nobody has asked about before.
        """
        stem = f"{directory}/not-there-{time.time_ns()}"
        times = [
            _probe_timed([f"{stem}-{i}"], "serial", batch=1)["wall_ns"] / 1e3 for i in range(33)
        ]
        self._pace.clear()
        self._latency_us = median(times)
        return self._latency_us

    def too_slow(self, cell: Cell) -> LeftOut | None:
        """Whether this cell would take more than its share of the time; it counts as done then."""
        us = self._pace.get((cell.state, cell.kind), self._latency_us)
        seconds = us * cell.batch / 1e6
        if cell.batch <= _ALWAYS or seconds * (_FEWEST_ROUNDS + 1) <= 1.5 * self._share():
            return None
        self._cells -= 1
        why = f"serial alone would take about {seconds:.1f} s"
        return {"state": cell.state, "kind": cell.kind, "batch": cell.batch, "why": why}

    def _share(self) -> float:
        return max(self._end - time.monotonic(), 0.0) / max(self._cells, 1)

    def measure(self, cell: Cell) -> list[Measured]:
        """Measure each engine, several times in alternation; the medians."""
        end = time.monotonic() + self._share()
        sample = _Sample(cell, self._pace.get((cell.state, cell.kind), self._latency_us))
        chosen = [variant for variant in self._variants if _suits(variant, cell)]
        sample.round(chosen)  # answers are compared, and what is to be hot is hot
        taken: list[dict[Variant, Timed]] = []
        while len(taken) < self._rounds:
            if len(taken) >= _FEWEST_ROUNDS and time.monotonic() > end:
                break
            # Each is the first once, so that none is always behind the same one.
            first = len(taken) % len(chosen)
            taken.append(sample.round(chosen[first:] + chosen[:first]))
        self._cells -= 1
        told = [_told(cell, v, [timed[v] for timed in taken], sample.count) for v in chosen]
        self._pace[cell.state, cell.kind] = told[0]["us"]
        return told


def _suits(variant: Variant, cell: Cell) -> bool:
    if cell.state == "cold":
        return variant in _MAIN
    return (variant.width or 0) <= cell.batch


class _Sample:
    """The questions of a cell, and the answers that serial gave to them."""

    def __init__(self, cell: Cell, us: float) -> None:
        self._cell = cell
        batches = 1
        if cell.state == "hot":
            batches = max(1, round(_SAMPLE_US / max(us, 0.1) / cell.batch))
        distinct = min(batches, len(cell.paths) // cell.batch)
        self._paths = cell.paths[: distinct * cell.batch]
        self._repeat = max(1, batches // distinct)
        self.count = len(self._paths) * self._repeat
        """How many questions it asks."""
        self._digest: int | None = None
        self._changes = 0

    def round(self, variants: list[Variant]) -> dict[Variant, Timed]:
        """Ask by each engine once; again, if somebody has changed the answers meanwhile."""
        while True:
            if self._digest is None:
                self._digest = self._ask(SERIAL)["digest"]
            taken = {variant: self._ask(variant) for variant in variants}
            others = [v.label for v, timed in taken.items() if timed["digest"] != self._digest]
            if not others:
                return taken
            now = self._ask(SERIAL)["digest"]
            self._changes += 1
            where = str(Path(self._paths[0]).parent)
            if now == self._digest:
                raise Problem(f"bench: {others[0]} answers otherwise than serial in {where}")
            if self._changes > _CHANGES:
                raise Problem(f"bench: what lies in {where} keeps changing: nothing to compare")
            self._digest = now

    def _ask(self, variant: Variant) -> Timed:
        engine: _Backend = variant.engine
        if self._cell.state == "cold":
            _bench_slow.drop_caches()
        return _probe_timed(
            self._paths, engine, variant.width, batch=self._cell.batch, repeat=self._repeat
        )


def _told(cell: Cell, variant: Variant, taken: list[Timed], count: int) -> Measured:
    cpu = [timed["cpu_ns"] for timed in taken]
    known = [ns for ns in cpu if ns is not None]
    return {
        "state": cell.state,
        "kind": cell.kind,
        "batch": cell.batch,
        "label": variant.label,
        "engine": variant.engine,
        "width": variant.width,
        "us": _us(median(timed["wall_ns"] for timed in taken), count),
        "cpu_us": _us(median(known), count) if known else None,
        "rounds": len(taken),
        "by_ring": taken[-1]["by_ring"],
    }


def _us(ns: float, count: int) -> float:
    return round(ns / count / 1e3, 4)
