"""How long until the workers of a farm's engine are up and have run a task, by stock and fastpath?

The engine is Dask's local cluster: a scheduler, and nannies that start an interpreter for each
worker. The ways are those of `make bench-farm` (benches/_farm_ways.py). On the local disk, and
with the environments at 1 ms per operation. The ways take turns; answers are compared first.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _farm_grounds import Hot, Slow  # noqa: E402
from _farm_ways import KINDS, Way, prepare  # noqa: E402
from _measure import (  # noqa: E402
    Run,
    cpu,
    interleave,
    median,
    operations,
    run,
    strace,
    system_calls,
    waits,
)
from _report import Progress  # noqa: E402

WORKERS = 2
HERE = Path(__file__).resolve().parent
PATHS = "%file"  # what waits for its heartbeat takes descriptors, as often as it happens to


class WrongAnswer(Exception):
    """A cluster did something else than it should have."""


class Engine:
    """Starts clusters of that many workers."""

    def __init__(self, setting: Setting, workers: int) -> None:
        self._setting = setting
        self._workers = workers
        self._progress: Progress = setting.progress
        self.rows: list[Raw] = []

    def on(self, ground: Hot, ways: Sequence[Way]) -> None:
        """Warm, count, time. The first way is stock."""
        if not self._setting.can(ground.name, ground.missing()):
            return
        tables = self._setting.scratch / "tables" / ground.name.replace(" ", "-")
        shutil.rmtree(tables, ignore_errors=True)
        tables.mkdir(parents=True)
        with ground.around({way.home for way in ways}):
            self._progress.stage(f"{ground.name}: warming, comparing answers")
            ready = [way for way in ways if self._is_ready(ground, way, tables)]
            self._progress.stage(f"{ground.name}: counting")
            calls = {way.name: self._path_calls(ground, way, tables) for way in ready}
            rounds = ground.launches
            self._progress.stage(f"{ground.name}: {rounds} rounds of {len(ready)} clusters")
            starts = {way.name: partial(self._settled, ground, way, tables) for way in ready}
            runs = interleave(starts, rounds, tick=self._progress.tick)
        is_slow = isinstance(ground, Slow)
        self.rows += [
            {
                "ground": ground.name,
                "way": name,
                "up_s": round(median(mine, told("up")), 3),
                "ran_s": round(median(mine, told("ran")), 3),
                "cpu_s": round(median(mine, cpu), 3),
                "calls": round(median(mine, operations)) if is_slow else calls[name],
                "waits": round(median(mine, waits)) if is_slow else None,
            }
            for name, mine in runs.items()
        ]

    def _is_ready(self, ground: Hot, way: Way, tables: Path) -> bool:
        """Whether its workers are what it claims to be, after two clusters."""
        for _ in range(2):
            self._start(way, self._variables(way, tables))
        if way.is_so(tables):
            return True
        said = "fastpath.stats() of its processes tells otherwise"
        return self._setting.can(f"{ground.name}, {way.name}", said)

    def _settled(self, ground: Hot, way: Way, tables: Path) -> Run:
        variables = self._variables(way, tables)
        if not isinstance(ground, Slow):
            ground.settle()
            return self._start(way, variables)
        runs: list[Run] = []

        def launch() -> Run:
            runs.append(self._start(way, variables))
            return runs[0]

        asked = ground.asked(way, launch)
        return replace(runs[0], operations=round(asked.calls or 0), waits=round(asked.waits or 0))

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

    def _path_calls(self, ground: Hot, way: Way, tables: Path) -> int | None:
        """System calls that take a path, on a local disk."""
        tracer = strace()
        if tracer is None or isinstance(ground, Slow):
            return None
        variables = self._variables(way, tables) | {"FASTPATH_BACKEND": "serial"}
        with tempfile.TemporaryDirectory() as scratch:
            return system_calls(tracer, self._command(way, scratch), PATHS, variables)


def told(what: str) -> Callable[[Run], float]:
    """Seconds from the spawn until that, as the cluster told."""
    return lambda one: float(json.loads(one.output)[what])


def measure(setting: Setting) -> Raw:
    if not setting.can("all of it", "installing Dask takes minutes" if setting.quick else None):
        return {"workers": WORKERS, "rows": []}
    wheels = sorted((ROOT / "target" / "wheels").glob("*.whl"))
    if not wheels:
        raise SystemExit("there is no wheel in target/wheels: make build")
    ways, notes = prepare(
        KINDS,
        setting.scratch,
        wheels[-1],
        packages=["distributed", "pandas"],
        pinned=HERE / "requirements.txt",
        stage=setting.progress.stage,
    )
    for note in notes:
        _, way, reason = note.split(": ", 2)
        setting.can(way, reason)
    engine = Engine(setting, WORKERS)
    for ground in (Hot(setting.rounds(3), 1), Slow(setting.rounds(2), 1)):
        engine.on(ground, ways)
    return {"workers": WORKERS, "rows": engine.rows}


def tables(raw: Raw) -> str:
    rows = []
    for row in raw["rows"]:
        base = next(one for one in raw["rows"] if one["ground"] == row["ground"])
        cells = [row["ground"] if row is base else "", row["way"]]
        for what in ("up_s", "ran_s", "cpu_s"):
            cells.append(compared(row, base, what, f"{row[what]:.2f} s"))
        for what in ("calls", "waits"):
            text = "" if row[what] is None else f"{row[what]:,}"
            cells.append(compared(row, base, what, text))
        rows.append(cells)
    heading = ["", "", "workers up", "tasks run", "CPU", "path calls, or operations", "waits"]
    return (
        f"{raw['workers']} workers, medians, and ratios to stock. On the local disk system calls "
        "that take a path, at 1 ms operations that the filesystem served.\n\n"
        + markdown(heading, rows)
    )


def compared(row: Raw, base: Raw, what: str, text: str) -> str:
    """A cell, with its ratio to that of stock."""
    if row is base or not base[what] or row[what] is None:
        return text
    return f"{text}, {row[what] / base[what]:.2f} ×"  # noqa: RUF001


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
