"""Measures what each entry of sys.path costs an import, stock and with fastpath.

None to a thousand more entries in front of the interpreter's own, in which nobody finds anything:
a larger program's imports of the standard library, and imports that fail, on the local disk, and
the former again on a filesystem that takes 1 ms for each operation.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import (  # noqa: E402
    SlowMount,
    environment,
    extra_entries,
    no_slow_mount,
    slow_mount,
    standard_library,
)
from _measure import Run, interleave, kernel_counter, run, strace, system_calls  # noqa: E402
from _modules import TYPICAL, statements  # noqa: E402
from _subject import Subject, differences  # noqa: E402

HOT = [0, 10, 30, 100, 300, 1000]
SLOW = [0, 30, 300]
DELAY_MS = 1.0
FORGOTTEN_S = 1.2
"""A slow mount lets the kernel keep names and attributes for 1 s."""
MISSES = 30
# Of the calls that take a path, those that Python makes to find and read modules.
FILE_CALLS = ["openat", "newfstatat", "newstat", "newlstat", "statx", "access", "faccessat2"]
WAYS = ["stock", "fastpath", "table"]
CALLED = {"stock": "stock", "fastpath": "fastpath", "table": "fastpath, table"}
COLOURS = {"stock": "tab:red", "fastpath": "tab:blue", "table": "tab:green"}

# The clock that starts later is Subject's; this one is of CPU.
BEFORE = "from time import process_time as used\nspent = used()\n"
# Seconds and CPU seconds of the imports, then of the failing ones.
BODY = """\
{imports}
print(clock() - start, used() - spent)
begin, spent = clock(), used()
for number in range({misses}):
    try:
        __import__(f"nothing_there_{{number}}")
    except ImportError:
        pass
print(clock() - begin, used() - spent)
"""
# How many modules there are in the end, and how often a path's finders were asked for one that is
# searched for in sys.path, by what they said.
SEARCHES = """\
from importlib.machinery import PathFinder
inner, found = PathFinder.find_spec, []
def find_spec(name, path=None, target=None):
    spec = inner(name, path, target)
    if path is None:
        found.append(spec is not None)
    return spec
PathFinder.find_spec, before = find_spec, len(sys.modules)
"""


def measure(setting: Setting) -> Raw:
    hot, slow = ([0, 30], [0, 10]) if setting.quick else (HOT, SLOW)
    extra = setting.scratch / "extra"
    extra_entries(extra, max(hot))
    stock = Subject(environment(setting.scratch / "venv"), "", before=BEFORE)
    fastpath = setting.fastpath()
    raw: Raw = {"searches": searches(setting, stock), "misses": MISSES}
    grounds = [
        Ground(setting, way, entries, stock, fastpath, extra) for entries in hot for way in WAYS
    ]
    learn_and_compare(setting, "hot", grounds)
    raw["calls"] = counted(setting, grounds)
    raw["hot"] = timed(setting, "hot", grounds, setting.rounds(7), hot_facts)
    raw["slow"] = {}
    if setting.can("1 ms for each operation", no_slow_mount()):
        grounds = [
            Ground(setting, way, entries, stock, fastpath, extra, slow=True)
            for entries in slow
            for way in WAYS
        ]
        with ExitStack() as stack:
            for ground in grounds:
                stack.enter_context(ground.mounted())
            learn_and_compare(setting, "slow", grounds)
            raw["slow"] = timed(setting, "slow", grounds, setting.rounds(3), slow_facts)
    return raw


def searches(setting: Setting, stock: Subject) -> Raw:
    """What is asked of sys.path by these imports: modules loaded; searches found and missing."""
    body = f"{statements(TYPICAL)}print(len(sys.modules) - before, sum(found), len(found))\n"
    asked = replace(stock, before=SEARCHES, body=body)
    output = run(asked.command(setting.scratch / "searches.py")).output
    modules, found, all_of_them = map(int, output.split()[:3])
    return {"modules": modules, "found": found, "missing": all_of_them - found}


@dataclass
class Ground:
    """One way of running the imports, with so many entries, on a disk of its own if it is slow.

    Of its own, so that no process finds what another has had the kernel keep.
    """

    setting: Setting
    way: str
    entries: int
    stock: Subject
    fastpath: Path
    extra: Path
    slow: bool = False
    mounts: list[SlowMount] = field(default_factory=list)
    used: float = 0.0

    @property
    def name(self) -> str:
        return f"{'slow' if self.slow else 'hot'}-{self.way}-{self.entries}"

    @property
    def place(self) -> Path:
        """Where its slow filesystems are."""
        return self.setting.scratch / "slow" / f"{self.way}-{self.entries}"

    @contextmanager
    def mounted(self) -> Iterator[None]:
        sources = {"extra": str(self.extra), "library": standard_library(self.stock.python)}
        with ExitStack() as stack:
            self.mounts = [
                stack.enter_context(slow_mount(source, self.place / name, DELAY_MS))
                for name, source in sources.items()
            ]
            yield

    def subject(self, misses: int) -> Subject:
        body = BODY.format(imports=statements(TYPICAL), misses=misses)
        extra = self.place / "extra" if self.slow else self.extra
        front = [str(extra / f"entry_{number:03}") for number in range(self.entries)]
        subject = replace(self.stock, body=body, front=front)
        if self.slow:
            shelf, library = standard_library(self.stock.python), self.place / "library"
            moved = {shelf: str(library), f"{shelf}/lib-dynload": f"{library}/lib-dynload"}
            subject = replace(subject, moved=moved)
        if self.way != "stock":
            cache = str(self.table) if self.way == "table" else "off"
            subject = replace(subject, fastpath=self.fastpath, cache=cache)
        return subject

    @property
    def table(self) -> Path:
        return self.setting.scratch / "tables" / self.name

    def command(self, misses: int) -> list[str]:
        return self.subject(misses).command(self.setting.scratch / f"{self.name}-{misses}.py")

    def run(self, command: Sequence[str]) -> Run:
        """Run it; on a slow filesystem, when the kernel has forgotten the last process."""
        if self.mounts:
            time.sleep(max(0.0, self.used + FORGOTTEN_S - time.monotonic()))
        asked, waits = self._served()
        done = run(command)
        more, longer = self._served()
        self.used = time.monotonic()
        return replace(done, operations=more - asked, waits=longer - waits)

    def _served(self) -> tuple[int, int]:
        return (
            sum(mount.operations() for mount in self.mounts),
            sum(mount.waits() for mount in self.mounts),
        )

    def modules(self) -> dict[str, list[object]]:
        """What is loaded, without the place where its own filesystems are."""
        file = self.setting.scratch / f"{self.name}.py"
        loaded = self.subject(1).modules(file, self.run)
        described = json.loads(json.dumps(loaded).replace(str(self.place), "slow"))
        assert isinstance(described, dict)
        return described


def learn_and_compare(setting: Setting, what: str, grounds: Sequence[Ground]) -> None:
    """Nothing is measured unless all load what stock loads; two processes learn a table."""
    setting.progress.stage(f"{what}: learning, comparing what is loaded")
    expected: dict[int, dict[str, list[object]]] = {}
    for ground in grounds:
        if ground.way == "table":
            shutil.rmtree(ground.table, ignore_errors=True)
            ground.table.mkdir(parents=True)
            ground.run(ground.command(MISSES))
            ground.modules()
        loaded = ground.modules()
        if wrong := differences(expected.setdefault(ground.entries, loaded), loaded):
            raise SystemExit(f"{ground.name}: not as stock has them: {', '.join(wrong)}")
        if ground.way == "table" and not any(ground.table.rglob("*")):
            raise SystemExit(f"{ground.name}: no table was written")


def counted(setting: Setting, grounds: Sequence[Ground]) -> Raw:
    """System calls that take a path, of whole processes: without failing imports, and with."""
    counter, tracer = kernel_counter(FILE_CALLS), strace()
    name = "perf stat" if counter else "strace"
    if counter is None and tracer:
        counter = partial(system_calls, tracer, only="%file")
    setting.can("system calls", None if counter else "needs perf or strace")
    if counter is None:
        return {}
    setting.progress.stage("counting system calls that take a path")
    repeated = range(1 if setting.quick else 2)
    raw: Raw = {"by": name, **{way: {} for way in WAYS}}
    for ground in grounds:
        raw[ground.way][str(ground.entries)] = {
            str(misses): [counter(ground.command(misses)) for _ in repeated]
            for misses in (0, MISSES)
        }
    return raw


Facts = Callable[[Sequence[Run]], Raw]


def timed(setting: Setting, what: str, grounds: Sequence[Ground], rounds: int, facts: Facts) -> Raw:
    """Way, entries, and of each fact a list with one for each round."""
    setting.progress.stage(f"{what}: {rounds} rounds of {len(grounds)} processes")
    # The kernel keeps attributes of a slow filesystem so long that misses would measure that.
    misses = 0 if what == "slow" else MISSES
    commands = {ground.name: partial(ground.run, ground.command(misses)) for ground in grounds}
    runs = interleave(commands, rounds, tick=setting.progress.tick)
    raw: Raw = {way: {} for way in WAYS}
    for ground in grounds:
        raw[ground.way][str(ground.entries)] = facts(runs[ground.name])
    return raw


def column(runs: Sequence[Run], number: int, factor: float) -> list[float]:
    return [round(float(one.output.split()[number]) * factor, 2) for one in runs]


def hot_facts(runs: Sequence[Run]) -> Raw:
    return {
        "import_ms": column(runs, 0, 1e3),
        "cpu_ms": column(runs, 1, 1e3),
        "miss_us": column(runs, 2, 1e6 / MISSES),
        "miss_cpu_us": column(runs, 3, 1e6 / MISSES),
    }


def slow_facts(runs: Sequence[Run]) -> Raw:
    return {
        "import_ms": column(runs, 0, 1e3),
        "cpu_ms": column(runs, 1, 1e3),
        "operations": [one.operations for one in runs],
        "waits": [one.waits for one in runs],
    }


def tables(raw: Raw) -> str:
    asked = raw["searches"]
    parts = [
        f"{asked['modules']} modules are loaded; `sys.path` is searched {asked['found']} times for "
        f"one that is there and {asked['missing']} times for one that is not. Medians; ratios are "
        "to stock with the same entries, medians of the ratios of the rounds.",
        "Local disk, in the page cache: import time and its CPU, in ms",
        times(raw["hot"], ["import_ms", "cpu_ms"], ["time", "CPU"]),
        f"The same: an import that fails, µs (of {raw['misses']}, each of another name)",
        times(raw["hot"], ["miss_us", "miss_cpu_us"], ["time", "CPU"]),
    ]
    if raw["calls"]:
        parts += [
            "System calls that take a path (or a descriptor, as fstat does), whole process without "
            f"the misses, counted by `{raw['calls']['by']}`",
            calls(raw),
        ]
    parts += ["What each entry adds (least squares over all lengths)", slopes(raw)]
    if raw["slow"]:
        parts += [
            "1 ms for each operation, entries and standard library: import time and its CPU in "
            "ms, and how many operations the process waited for one after another",
            times(raw["slow"], ["import_ms", "cpu_ms"], ["time", "CPU"], waits=True),
        ]
    return "\n\n".join(parts)


def times(kept: Raw, facts: Sequence[str], names: Sequence[str], waits: bool = False) -> str:
    heading = ["more entries"]
    for name in names:
        heading += [f"{name}: {CALLED[way]}" for way in WAYS]
    if waits:
        heading += [f"waits: {CALLED[way]}" for way in WAYS]
    rows = []
    for entries in kept["stock"]:
        cells = [time_cell(kept, fact, way, entries) for fact in facts for way in WAYS]
        if waits:
            cells += [f"{middle(kept[way][entries]['waits']):,.0f}" for way in WAYS]
        rows.append([f"{int(entries):,}", *cells])
    return markdown(heading, rows)


def time_cell(kept: Raw, fact: str, way: str, entries: str) -> str:
    values, base = kept[way][entries][fact], kept["stock"][entries][fact]
    text = number(middle(values))
    if way != "stock":
        ratio = middle([one / other for one, other in zip(values, base, strict=True)])
        text += f"; {ratio:.2f} ×"  # noqa: RUF001
    return text


def middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def number(value: float) -> str:
    """With as many digits as mean something."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def calls(raw: Raw) -> str:
    """How many, and how many more than with no more entries, for each entry."""
    heading = ["more entries", *(CALLED[way] for way in WAYS)]
    heading += [f"for each entry: {CALLED[way]}" for way in WAYS]
    rows = []
    for entries in raw["calls"]["stock"]:
        counts = [raw["calls"][way][entries]["0"] for way in WAYS]
        none = [middle(raw["calls"][way]["0"]["0"]) for way in WAYS]
        each = [
            f"{(middle(count) - base) / int(entries):.1f}" if int(entries) else ""
            for count, base in zip(counts, none, strict=True)
        ]
        rows.append([f"{int(entries):,}", *map(span, counts), *each])
    return markdown(heading, rows)


def span(counts: Sequence[int]) -> str:
    """The least and the most; once, if they are the same."""
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,}..{most:,}"


def slopes(raw: Raw) -> str:
    """What one entry more costs, by each way."""
    all_searches = raw["searches"]["found"] + raw["searches"]["missing"]
    rows = []
    for what, fact, factor in (
        ("import time, µs", "import_ms", 1e3),
        ("CPU of the imports, µs", "cpu_ms", 1e3),
        ("an import that fails: time, µs", "miss_us", 1),
        ("an import that fails: CPU, µs", "miss_cpu_us", 1),
    ):
        each = [slope({n: middle(of[fact]) for n, of in raw["hot"][way].items()}) for way in WAYS]
        rows.append([what, *(cents(value * factor) for value in each)])
    if raw["calls"]:
        imports, missed = [], []
        for way in WAYS:
            of_way = raw["calls"][way].items()
            without = {n: middle(of["0"]) for n, of in of_way}
            imports.append(slope(without))
            with_them = {n: middle(of[str(raw["misses"])]) for n, of in of_way}
            missed.append(slope({n: with_them[n] - without[n] for n in without}) / raw["misses"])
        rows += [
            ["calls of the imports", *(cents(value) for value in imports)],
            [
                f"the same, for each of the {all_searches} searches",
                *(cents(value / all_searches) for value in imports),
            ],
            ["calls of an import that fails", *(cents(value) for value in missed)],
        ]
    for what, fact in (("waits of the imports at 1 ms", "waits"), ("operations", "operations")):
        if raw["slow"]:
            each = [
                slope({n: middle(of[fact]) for n, of in raw["slow"][way].items()}) for way in WAYS
            ]
            rows.append([what, *(cents(value) for value in each)])
    return markdown(["", *(CALLED[way] for way in WAYS)], rows)


def cents(value: float) -> str:
    """Two digits, and no zero below zero."""
    return f"{round(value, 2) + 0:.2f}"


def slope(points: dict[str, float]) -> float:
    fit = statistics.linear_regression([int(n) for n in points], list(points.values()))
    return fit.slope


def draw(raw: Raw, figure: Any) -> None:
    from matplotlib.ticker import LogLocator

    panels = [
        ("import time, local disk", "ms", raw["hot"], "import_ms", "cpu_ms"),
        ("an import that fails, local disk", "µs", raw["hot"], "miss_us", "miss_cpu_us"),
    ]
    if raw["slow"]:
        slow = ("import time, 1 ms for each operation", "ms", raw["slow"], "import_ms", "cpu_ms")
        panels.insert(1, slow)
    figure.set_size_inches(4.2 * len(panels), 4.2)
    for axes, (title, unit, kept, *facts) in zip(
        figure.subplots(1, len(panels)), panels, strict=True
    ):
        for way in WAYS:
            # Its own entries are four; and a logarithm of none there is not.
            at = [int(entries) + 4 for entries in kept[way]]
            for fact, line, what in zip(facts, ("o-", ":"), ("", ", CPU"), strict=True):
                values = [middle(of[fact]) for of in kept[way].values()]
                label = CALLED[way] + what
                axes.plot(at, values, line, ms=4, color=COLOURS[way], label=label)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:,.0f}")
        axes.minorticks_off()
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("entries of sys.path")
        axes.set_ylabel(f"{unit} (logarithmic)")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize=8)


EXPERIMENT = Experiment(measure, tables, draw)

if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
