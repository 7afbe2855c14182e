"""What a figure is made of: lines with their limits, and the bench that times and compares.

Knows no figure, prints no result and judges none. For _figures.py, _loading.py, _table.py,
_picture.py and figures.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from _ground import environment, extra_entries
from _measure import Run, interleave, median, run
from _modules import PACKAGES, importable, statements
from _report import Progress
from _subject import Subject, differences

EXTRA = 300
DELAY_MS = 1.0

How = Callable[[Sequence[str]], Run]
"""What runs a command and says what that cost."""
Runs = Mapping[str, Sequence[Run]]


class WrongAnswer(Exception):
    """Something was loaded that stock would have loaded otherwise."""


@dataclass(frozen=True)
class Line:
    """One figure: what was measured, and what it may be at most."""

    figure: str
    what: str
    unit: str
    stock: float
    ours: float
    measured: float
    """What is compared with `limit`, in `unit`."""
    limit: float | None
    """At most this; None for what is only shown."""
    hard: bool = False
    """A count, not a time: it holds or it does not."""

    @property
    def holds(self) -> bool:
        """Whether the promise is kept."""
        return self.limit is None or self.measured <= self.limit


@dataclass
class Bench:
    """What all figures share: an interpreter, fastpath, where to work, how often to repeat."""

    home: Path
    python: str
    wheel: Path | None
    fastpath: Path | None
    repeat: float
    """1 is the usual number of rounds."""
    progress: Progress
    wanted: set[str]
    notes: list[str] = field(default_factory=list)

    def rounds(self, usual: int) -> int:
        """How many rounds to run where `usual` is usual; an odd number, for the median."""
        return max(1, round(usual * self.repeat)) | 1

    def time(
        self, name: str, ways: dict[str, Subject], usual: int, how: How = run
    ) -> dict[str, list[Run]]:
        """The ways, each run many times, alternating."""
        rounds = self.rounds(usual)
        self.progress.stage(f"{name}: {rounds} rounds of {len(ways)} processes")
        runs = {
            who: partial(how, way.command(self.program(name, who))) for who, way in ways.items()
        }
        return interleave(runs, rounds, tick=self.progress.tick)

    def check(self, name: str, ways: dict[str, Subject], how: How = run) -> None:
        """Raise WrongAnswer unless all load the same modules with the same specs as the first."""
        self.progress.stage(f"{name}: comparing what is loaded")
        loaded = {who: way.modules(self.program(name, who), how) for who, way in ways.items()}
        expected = next(iter(loaded.values()))
        for who, modules in loaded.items():
            wrong = differences(expected, modules)
            if wrong:
                raise WrongAnswer(f"{name}: {who}: not as stock has them: {', '.join(wrong)}")

    def check_names(self, name: str, ways: dict[str, Subject], how: How = run) -> None:
        """Raise WrongAnswer unless all load modules of the same names, whatever their specs."""
        loaded = {who: way.modules(self.program(name, who), how) for who, way in ways.items()}
        expected = next(iter(loaded.values())).keys()
        for who, modules in loaded.items():
            wrong = sorted(expected ^ modules.keys())
            if wrong:
                raise WrongAnswer(f"{name}: {who}: not the modules of stock: {', '.join(wrong)}")

    def library(self, python: str | None = None) -> Subject:
        """Stock, importing 500 modules of the standard library on a path of 10 entries.

        By this interpreter, or by that of another environment.
        """
        python = python or self.python
        # zip, library, lib-dynload and site-packages make four; without them in front it is no ten.
        entries = extra_entries(self.home / "extra", EXTRA)[:6]
        return Subject(python, statements(importable(python, 500)), front=entries)

    def packages(self) -> Subject:
        """Stock, importing real packages."""
        self.progress.stage(f"installing {', '.join(PACKAGES)} into build/figures/packages")
        python = environment(self.home / "packages", list(PACKAGES))
        return Subject(python, "".join(PACKAGES.values()))

    def program(self, name: str, who: str) -> Path:
        """Where the program of that figure is written."""
        return self.home / "programs" / f"{name}-{who}.py".replace(" ", "-")

    def skip(self, name: str, reason: str) -> list[Line]:
        """No lines, and a note that says why."""
        self.notes.append(f"skip: {name}: {reason}")
        return []


def of_stock(
    figure: str, what: str, runs: Runs, of: Callable[[Run], float], limit: float | None = None
) -> Line:
    """Ours to stock, a ratio of medians; both shown in milliseconds."""
    base, value = (median(runs[who], of) for who in ("stock", "ours"))
    return Line(figure, what, "x", base * 1e3, value * 1e3, value / base, limit)


def count(figure: str, what: str, stock: int, ours: int, limit: float | None) -> Line:
    """A count, which holds or does not."""
    return Line(figure, what, "", stock, ours, ours, limit, hard=True)
