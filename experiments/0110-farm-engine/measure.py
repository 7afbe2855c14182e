"""How long until the workers of a farm's engine are up and have run a task, by stock and fastpath?

The engine is Dask's local cluster: a scheduler, and nannies that start an interpreter for each
worker. The ways are those of `make bench-farm` (benches/_farm_ways.py), so that a shared table and
a sealed environment are measured as soon as there are any. On the local disk, and with the
environments at 1 ms per operation. The ways take turns; answers are compared first; medians.

usage: .venv/bin/python experiments/0110-farm-engine/measure.py --wheel target/wheels/*.whl
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches"))
from _farm_grounds import Hot, Slow
from _farm_ways import CONTROL, KINDS, Way, prepare
from _ground import ROOT
from _measure import Run, RunFailed, cpu, interleave, median, run, strace, system_calls
from _report import Progress, ratio, table

HERE = Path(__file__).resolve().parent
PATHS = "%file"  # what waits for its heartbeat takes descriptors, as often as it happens to


class WrongAnswer(Exception):
    """A cluster did something else than it should have."""


@dataclass(frozen=True)
class Row:
    """What starting a cluster cost by one way on one ground; medians."""

    ground: str
    way: str
    rounds: int
    up_s: float
    ran_s: float
    cpu_s: float
    calls: float | None
    waits: float | None


class Engine:
    """Starts clusters of that many workers."""

    def __init__(self, workers: int, home: Path, progress: Progress) -> None:
        self._workers = workers
        self._home = home
        self._progress = progress
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def on(self, ground: Hot, ways: Sequence[Way]) -> None:
        """Warm, count, time. The first way is stock."""
        reason = ground.missing()
        if reason:
            self.notes.append(f"skip: {ground.name}: {reason}")
            return
        tables = self._home / "tables" / ground.name.replace(" ", "-")
        shutil.rmtree(tables, ignore_errors=True)
        tables.mkdir(parents=True)
        with ground.around({way.home for way in ways}):
            self._progress.stage(f"{ground.name}: warming, comparing answers")
            ready = [way for way in ways if self._is_ready(ground, way, tables)]
            self._progress.stage(f"{ground.name}: counting")
            counts = {way.name: self._count(ground, way, tables) for way in ready}
            rounds = ground.launches
            self._progress.stage(f"{ground.name}: {rounds} rounds of {len(ready)} clusters")
            starts = {way.name: partial(self._settled, ground, way, tables) for way in ready}
            runs = interleave(starts, rounds, tick=self._progress.tick)
        for name, mine in runs.items():
            times = (median(mine, told("up")), median(mine, told("ran")), median(mine, cpu))
            self.rows.append(Row(ground.name, name, len(mine), *times, *counts[name]))

    def _is_ready(self, ground: Hot, way: Way, tables: Path) -> bool:
        """Whether its workers are what it claims to be, after two clusters."""
        for _ in range(2):
            self._start(way, self._variables(way, tables))
        if way.is_so(tables):
            return True
        self.notes.append(
            f"skip: {ground.name}: {way.name}: fastpath.stats() of its processes tells otherwise"
        )
        return False

    def _settled(self, ground: Hot, way: Way, tables: Path) -> Run:
        ground.settle()
        return self._start(way, self._variables(way, tables))

    def _start(self, way: Way, variables: dict[str, str]) -> Run:
        """Start a cluster and see it end; its output says how long it took, from the spawn on."""
        with tempfile.TemporaryDirectory() as scratch:
            begin = perf_counter()
            done = run(self._command(way, scratch), variables)
        answer = json.loads(done.output)
        every = self._workers
        totals = [number * (number + 1) // 2 for number in range(every)]
        with_fastpath = 0 if way.kind.is_so(None) else every
        if (answer["totals"], answer["processes"]) != (totals, every):
            raise WrongAnswer(f"{way.name}: {done.output}")
        if answer["fastpath"] != with_fastpath:
            raise WrongAnswer(f"{way.name}: fastpath in {answer['fastpath']} of {every} workers")
        since = {what: answer[what] - begin for what in ("up", "ran")}
        return Run(done.wall_s, done.cpu_s, json.dumps(since))

    def _variables(self, way: Way, tables: Path) -> dict[str, str]:
        """The way's, and Dask silent: workers that close while they report themselves complain."""
        return way.variables(tables) | {"DASK_LOGGING__DISTRIBUTED": "critical"}

    def _command(self, way: Way, scratch: str) -> list[str]:
        return [way.python, str(HERE / "cluster.py"), str(self._workers), scratch]

    def _count(self, ground: Hot, way: Way, tables: Path) -> tuple[float | None, float | None]:
        """System calls that take a path; or operations of the slow filesystem, and waits."""
        variables = self._variables(way, tables)
        if isinstance(ground, Slow):
            counts = [ground.asked(way, lambda: self._start(way, variables)) for _ in range(3)]
            return middle([c.calls for c in counts]), middle([c.waits for c in counts])
        tracer = strace()
        if tracer is None:
            return None, None
        variables["FASTPATH_BACKEND"] = "serial"
        with tempfile.TemporaryDirectory() as scratch:
            return system_calls(tracer, self._command(way, scratch), PATHS, variables), None


def middle(values: Sequence[float | None]) -> float:
    return statistics.median(value for value in values if value is not None)


def told(what: str) -> Callable[[Run], float]:
    """Seconds from the spawn until that, as the cluster told."""
    return lambda one: float(json.loads(one.output)[what])


def show(rows: Sequence[Row]) -> str:
    """The table."""
    lines = [["", "", "up ms", "", "task ms", "", "CPU ms", "", "path calls", "", "waits", ""]]
    for row in rows:
        base = next(one for one in rows if one.ground == row.ground)
        cells = [row.ground if row is base else "", row.way]
        for value, first in (
            (row.up_s * 1e3, base.up_s * 1e3),
            (row.ran_s * 1e3, base.ran_s * 1e3),
            (row.cpu_s * 1e3, base.cpu_s * 1e3),
            (row.calls, base.calls),
            (row.waits, base.waits),
        ):
            cells.append("" if value is None else f"{value:,.0f}")
            cells.append("" if row is base or value is None else ratio(value, first or 0))
        lines.append(cells)
    return table(lines, left=2)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="example: experiments/0110-farm-engine/measure.py --wheel target/wheels/*.whl "
        "--workers 8",
    )
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--wheel", type=Path, help="the fastpath wheel to measure")
    which.add_argument("--control", action="store_true", help="stock in its place: the noise")
    parser.add_argument("--workers", type=int, default=4, metavar="N", help="of a cluster [4]")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="local disk [15]")
    parser.add_argument("--slow-rounds", type=int, default=5, metavar="N", help="1 ms [5]")
    arguments = parser.parse_args()
    home, progress = ROOT / "build" / "farm-engine", Progress()
    home.mkdir(parents=True, exist_ok=True)
    pins = HERE / "requirements.txt"
    packages = ["distributed", "pandas"]
    kinds = CONTROL if arguments.control else KINDS
    ways, notes = prepare(
        kinds, home, arguments.wheel, packages=packages, pinned=pins, stage=progress.stage
    )
    engine = Engine(arguments.workers, home, progress)
    try:
        for ground in (Hot(arguments.rounds, 1), Slow(arguments.slow_rounds, 1)):
            if ground.launches:
                engine.on(ground, ways)
    except (RunFailed, WrongAnswer) as wrong:
        print(f"measure: {wrong}", file=sys.stderr)
        return 2
    print(f"\n{arguments.workers} workers of Dask; medians\n")
    print(show(engine.rows))
    print("\nup: until the last worker is there; task: until each has run one that imports pandas")
    print(*notes, *engine.notes, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
