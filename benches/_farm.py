"""Launches command lines by the hundred, several at a time, and says what a launch costs.

On each ground the ways are warmed first and their answers compared with stock's, then what one
launch asks of the filesystem is counted, then batches of them are timed, the ways in turn. Prints
nothing but progress. For farm.py.
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

from _bench import WrongAnswer
from _farm_grounds import Count, Hot
from _farm_ways import LINES, Way
from _measure import Run, cpu, interleave, median, run
from _report import Progress

WARM = 2
"""Launches of each command line before anything is measured: the first learns, by the second it
is seen that what was learnt is used."""
COUNTED = 3
TOGETHER = "all of them"


@dataclass(frozen=True)
class Row:
    """What launching one command line cost by one way on one ground; medians over the rounds."""

    ground: str
    line: str
    way: str
    launches: int
    per_second: float
    """Launches, several at a time."""
    cpu_s: float
    """User and system, of one launch and all its threads."""
    calls: float | None
    """System calls that take a path or a descriptor, or operations of the slow filesystem."""
    waits: float | None
    """How many of those operations went out one after another; None on a local disk."""
    rounds: list[float]
    """Launches per second, round by round."""


class Farm:
    """Measures one ground after the other, and collects the rows."""

    def __init__(
        self,
        ways: Sequence[Way],
        home: Path,
        jobs: int,
        progress: Progress,
        lines: Sequence[str] = LINES,
    ) -> None:
        """The first of the ways is stock. `jobs` launches at a time; tables lie below `home`."""
        self._ways = ways
        self._home = home
        self._jobs = jobs
        self._progress = progress
        self._lines = lines
        self.rows: list[Row] = []
        self.notes: list[str] = []

    def on(self, ground: Hot) -> None:
        """Measure one ground; WrongAnswer if a way answers otherwise than stock."""
        reason = ground.missing()
        if reason:
            self.notes.append(f"skip: {ground.name}: {reason}")
            return
        tables = self._home / "tables" / ground.name.replace(" ", "-")
        shutil.rmtree(tables, ignore_errors=True)
        tables.mkdir(parents=True)
        with ground.around({way.home for way in self._ways}):
            self._progress.stage(f"{ground.name}: warming, comparing answers")
            ways = self._warmed(ground.name, tables)
            self._progress.stage(f"{ground.name}: counting what a launch asks of the filesystem")
            counts = {
                (line, way.name): self._count(ground, way, line, tables)
                for line in self._lines
                for way in ways
            }
            runs = {line: self._time(ground, line, ways, tables) for line in self._lines}
        for line in self._lines:
            for way in ways:
                self._add(ground, line, way.name, runs[line][way.name], counts[line, way.name])
        for way in ways:
            total = [counts[line, way.name] for line in self._lines]
            rounds = together([runs[line][way.name] for line in self._lines])
            self._add(ground, TOGETHER, way.name, rounds, summary(total, statistics.fmean))

    def _warmed(self, ground: str, tables: Path) -> list[Way]:
        """The ways that are what they claim to be, after a few launches of each."""
        ready = []
        expected: dict[str, str] = {}
        for way in self._ways:
            for line in [*self._lines] * WARM:
                output = run(way.command(line), way.variables(tables)).output
                answer = way.answer(output)
                if answer != expected.setdefault(line, answer):
                    raise WrongAnswer(
                        f"{ground}: {way.name}: {line}: said {answer!r}, not {expected[line]!r}"
                    )
            if way.is_so(tables):
                ready.append(way)
            elif not ready:
                raise WrongAnswer(f"{ground}: {way.name}: there is fastpath in its processes")
            else:
                self.notes.append(
                    f"skip: {ground}: {way.name}: fastpath.stats() of its processes tells otherwise"
                )
        return ready

    def _count(self, ground: Hot, way: Way, line: str, tables: Path) -> Count:
        """The medians of a few launches by themselves."""
        counts = [ground.count(way, line, way.variables(tables)) for _ in range(COUNTED)]
        return summary(counts, statistics.median)

    def _time(
        self, ground: Hot, line: str, ways: Sequence[Way], tables: Path
    ) -> dict[str, list[Run]]:
        """What a launch cost, on average over a batch, in each round."""
        size, rounds = plan(ground, len(self._lines), self._jobs)
        self._progress.stage(
            f"{ground.name}: {line}: {rounds} rounds of {size} launches by each of {len(ways)} ways"
        )

        def measured(way: Way) -> Run:
            launch = partial(run, way.command(line), way.variables(tables))
            ground.settle()
            return batch(launch, size, self._jobs)

        commands = {way.name: partial(measured, way) for way in ways}
        return interleave(commands, rounds, tick=self._progress.tick)

    def _add(self, ground: Hot, line: str, way: str, runs: Sequence[Run], count: Count) -> None:
        """Put what was measured into a row."""
        size, rounds = plan(ground, len(self._lines), self._jobs)
        launches = size * rounds * (len(self._lines) if line == TOGETHER else 1)
        rates = [1 / one.wall_s for one in runs]
        of_all = statistics.median(rates), median(runs, cpu)
        self.rows.append(
            Row(ground.name, line, way, launches, *of_all, count.calls, count.waits, rates)
        )


def plan(ground: Hot, lines: int, jobs: int) -> tuple[int, int]:
    """How many launches a batch has, and how many rounds of batches each command line gets.

    No batch leaves a job idle, and there is an odd number of rounds, for the median.
    """
    size = max(ground.batch, jobs)
    return size, max(1, round(ground.launches / lines / size)) | 1


def batch(launch: Callable[[], Run], size: int, jobs: int) -> Run:
    """Launch `size` times, `jobs` at a time; wall and CPU seconds are those per launch.

    So the launches per second are the inverse of its wall time.
    """
    start = perf_counter()
    with ThreadPoolExecutor(jobs) as pool:
        runs = list(pool.map(lambda _: launch(), range(size)))
    return average(runs, perf_counter() - start)


def average(runs: Sequence[Run], seconds: float) -> Run:
    """One run that stands for all of them, which took `seconds` together."""
    return Run(seconds / len(runs), statistics.fmean(one.cpu_s for one in runs), "")


def together(runs: Sequence[Sequence[Run]]) -> list[Run]:
    """Of several command lines' rounds, the rounds in which each was launched as often."""
    return [average(one, sum(run.wall_s for run in one)) for one in zip(*runs, strict=True)]


def summary(counts: Sequence[Count], of: Callable[[Sequence[float]], float]) -> Count:
    """The median, or the mean, of calls and of waits; None of what was not counted."""

    def one(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return of(known) if len(known) == len(values) else None

    return Count(one([count.calls for count in counts]), one([count.waits for count in counts]))
