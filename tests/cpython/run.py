#!/usr/bin/env python3
"""Run CPython's own tests with fastpath and without, and say whether any came out differently.

For every CPython found, two fresh environments are made, alike but for fastpath. Each test module
is run in both by CPython's own runner with the same flags; then the outcomes are compared, test by
test. Failures that stock has too are no matter; a test that passes only with fastpath differs.

What is not done here: nothing is built (give a wheel), and no outcome is ever excused by name.
`README.md` beside this file says what a run proves. Needs the standard library only, 3.10 or newer.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import outcomes
import places
import suite
from bench import ARMS, Bench, bench
from outcomes import SILENT, Difference, Run
from places import Interpreter, PlaceError, Runner

SAME, DIFFERENT, NOTHING, INTERRUPTED = 0, 1, 77, 130
EXAMPLE = """examples:
  run.py --wheel target/wheels/fastpath_import-*.whl --tests quick --python 3.13
  run.py --wheel ... --sid-root /srv/sid --tests full --json result.json
  run.py --control --python 3.13        stock against stock: how steady are the tests themselves?

exit status: 0 no difference, 1 a difference or nothing proved, 2 bad usage, 77 nothing to run
"""

Rounds = list[tuple[Run, Run]]


@dataclass(frozen=True)
class Verdict:
    """What the rounds of one module say."""

    python: str
    module: str
    run: int
    skipped: int
    failed: int
    rounds: int
    differences: list[Difference]
    unproved: str
    """Why nothing is proved however alike the outcomes are; empty if something is."""
    stock_seconds: float
    ours_seconds: float
    counters: dict[str, object]

    @property
    def same(self) -> bool:
        """Nothing differs but what stock itself cannot decide, and fastpath was at work."""
        return not self.unproved and all(one.flaky for one in self.differences)

    def line(self) -> str:
        """The verdict in one line, for people."""
        real = sum(not one.flaky for one in self.differences)
        flaky = len(self.differences) - real
        words = [f"{real} DIFFERENT" if real else "same as stock"]
        words += [f"{flaky} flaky in stock too"] if flaky else []
        words += [f"NOT PROVED: {self.unproved}"] if self.unproved else []
        counts = f"{self.run:5d} run, {self.skipped:3d} skipped, {self.failed:2d} failed"
        times = f"stock {self.stock_seconds:.1f} s, ours {self.ours_seconds:.1f} s"
        return f"{self.python:8} {self.module:35} {counts}; {', '.join(words)}  ({times})"


class Progress:
    """Lines for people: time elapsed, modules done of how many, and what there is to say."""

    def __init__(self, total: int) -> None:
        self._began = time.monotonic()
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def say(self, text: str, *, done: int = 0) -> None:
        """Print a line; `done` modules more are through."""
        with self._lock:
            self._done += done
            minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
            print(f"{minutes:3d}:{seconds:02d} {self._done:3d}/{self._total}  {text}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    options = arguments(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = suite.modules(options.tests)
    interpreters, unusable = places.find(options.python, options.sid_root, names)
    for line in unusable:
        print(f"skipped: {line}")
    total = sum(len(one.tests & set(names)) for one in interpreters)
    if not total or not (options.wheel or options.control):
        why = (
            "no CPython with any of these tests"
            if not total
            else "no --wheel given (nor --control)"
        )
        print(f"skipped: {why}, nothing to run")
        return NOTHING
    runner, progress = Runner(), Progress(total)
    verdicts: list[Verdict] = []
    untested = 0
    for interpreter in interpreters:
        try:
            verdicts += test(interpreter, names, options, runner, progress)
        except PlaceError as error:
            progress.say(f"{interpreter.version} cannot be tested: {error}")
            untested += 1
        except KeyboardInterrupt:
            runner.stop()
            progress.say("interrupted: nothing is proved, and what differs so far stays undecided")
            return INTERRUPTED
    if options.json:
        options.json.write_text(json.dumps(report(verdicts, untested), indent=1) + "\n")
    print(summary(verdicts, untested))
    return SAME if not untested and all(verdict.same for verdict in verdicts) else DIFFERENT


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line's options, checked."""
    parser = argparse.ArgumentParser(
        description="Run CPython's own tests with fastpath and without, and compare each test.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--python",
        action="append",
        default=[],
        metavar="PATH|3.N",
        help="a CPython, or which of those found",
    )
    add(
        "--sid-root",
        type=Path,
        metavar="DIR",
        help="a Debian root with more CPythons and their tests (needs root)",
    )
    add("--wheel", type=Path, metavar="WHEEL", help="the fastpath wheel to test")
    add(
        "--control",
        action="store_true",
        help="compare stock with stock, to see how steady the tests are",
    )
    add(
        "--tests",
        nargs="+",
        default=["quick"],
        metavar="NAME",
        help="quick, full, or modules (default: quick)",
    )
    add("--jobs", type=int, default=2, metavar="N", help="modules run at once (default: 2)")
    add(
        "--timeout",
        type=int,
        default=600,
        metavar="S",
        help="seconds for one module in one environment",
    )
    add(
        "--retries",
        type=int,
        default=1,
        metavar="N",
        help="further rounds of a module that differs (default: 1)",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="FASTPATH_X=Y",
        dest="settings",
        help="a setting for the test processes, such as FASTPATH_BACKEND=uring",
    )
    add(
        "--json",
        type=Path,
        metavar="FILE",
        help="write the verdicts, with a traceback for each difference",
    )
    add("--keep", action="store_true", help="leave the environments and all output in place")
    options = parser.parse_args(argv)
    if options.control and options.wheel:
        parser.error("--control compares stock with stock: it takes no --wheel")
    if options.wheel and not options.wheel.is_file():
        parser.error(f"--wheel: no such file: {options.wheel}")
    if not all(re.fullmatch(r"FASTPATH_\w+=.*", one) for one in options.settings):
        parser.error("--set takes FASTPATH_SOMETHING=VALUE: fastpath's settings only")
    options.settings = dict(one.split("=", 1) for one in options.settings)
    if options.jobs < 1 or options.timeout < 1 or options.retries < 0:
        parser.error("--jobs and --timeout must be at least 1, --retries at least 0")
    return options


def test(
    interpreter: Interpreter,
    names: list[str],
    options: argparse.Namespace,
    runner: Runner,
    progress: Progress,
) -> list[Verdict]:
    """All of one interpreter's modules: each once, then again, alone, what differed."""
    shipped = [name for name in names if name in interpreter.tests]
    absent = [name for name in names if name not in interpreter.tests]
    if absent:
        progress.say(f"{interpreter.version:8} comes without {', '.join(absent)}")
    if not shipped:
        return []
    control: bool = options.control
    with bench(interpreter, options.wheel, runner, keep=options.keep) as made:
        made.settings = options.settings
        if options.keep:
            progress.say(f"{interpreter.version:8} output and environments in {made.outside('')}")
        by_name = first_rounds(made, shipped, options, progress)
        for number, name in enumerate(name for name in shipped if outcomes.judge(by_name[name])):
            progress.say(
                f"{interpreter.version:8} {name} differs, once more with nothing beside it"
            )
            further(made, name, by_name[name], options, ours_first=number % 2 == 1)
            progress.say(show(verdict(interpreter, name, by_name[name], control=control)), done=1)
    return [verdict(interpreter, name, by_name[name], control=control) for name in shipped]


def first_rounds(
    made: Bench, names: list[str], options: argparse.Namespace, progress: Progress
) -> dict[str, Rounds]:
    """One round of every module, `--jobs` at a time; what does not differ is shown at once."""

    def first(numbered: tuple[int, str]) -> Rounds:
        number, name = numbered
        rounds = [made.run_both(name, options.timeout, ours_first=number % 2 == 1)]
        if outcomes.judge(rounds):
            progress.say(f"{made.interpreter.version:8} {name} DIFFERS so far, to be run again")
        else:
            progress.say(
                verdict(made.interpreter, name, rounds, control=options.control).line(), done=1
            )
        return rounds

    pool = ThreadPoolExecutor(options.jobs)
    try:
        return dict(zip(names, pool.map(first, enumerate(names)), strict=True))
    except KeyboardInterrupt:
        made.runner.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def further(
    made: Bench, name: str, rounds: Rounds, options: argparse.Namespace, *, ours_first: bool
) -> None:
    """The further rounds of a module that differed, appended to `rounds`.

    The whole module again, not the one test: whether stock can decide an outcome is only known
    from two runs under the same conditions, and some tests depend on those before them.
    """
    for _ in range(options.retries):
        rounds.append(made.run_both(name, options.timeout, ours_first=ours_first))


def verdict(interpreter: Interpreter, name: str, rounds: Rounds, *, control: bool) -> Verdict:
    """What the rounds of one module say; the counts are stock's, in its first round."""
    stock, ours = rounds[0]
    run, skipped, failed = stock.counts()
    return Verdict(
        python=interpreter.version,
        module=name,
        run=run,
        skipped=skipped,
        failed=failed,
        rounds=len(rounds),
        differences=outcomes.judge(rounds),
        unproved=unproved(rounds, control=control),
        stock_seconds=round(stock.seconds, 2),
        ours_seconds=round(ours.seconds, 2),
        counters=ours.counters,
    )


def unproved(rounds: Rounds, *, control: bool) -> str:
    """Why these rounds prove nothing; empty if they do.

    They do not where fastpath was not at work, or was where it must not be. A round whose process
    ended before the witness spoke is no proof, but another may be.
    """
    for pair in rounds:
        for arm, one in zip(ARMS, pair, strict=True):
            if one.witness not in {"passed", SILENT}:
                return f"in {arm} the witness {one.witness}"
    heard = [ours for stock, ours in rounds if stock.witness == ours.witness == "passed"]
    if not heard:
        return f"the witness {SILENT}"
    if not control and not all(ours.counters.get("lookups") for ours in heard):
        return "fastpath was asked nothing"
    return ""


def show(one: Verdict) -> str:
    """A verdict for people, its differences below it."""
    lines = [one.line()]
    for difference in one.differences:
        lines.append(f"    {'flaky' if difference.flaky else 'DIFFERENT'}  {difference.test}")
        lines += [
            f"        {arm}: {' | '.join(getattr(difference, arm))}" for arm in ("stock", "ours")
        ]
    return "\n".join(lines)


def summary(verdicts: list[Verdict], untested: int) -> str:
    """The last line: how much was compared, how much differed; `untested` counts interpreters."""
    different = sum(not each.flaky for one in verdicts for each in one.differences)
    flaky = sum(each.flaky for one in verdicts for each in one.differences)
    unproved = sum(bool(one.unproved) for one in verdicts)
    same = not untested and all(one.same for one in verdicts)
    tests, versions = sum(one.run for one in verdicts), len({one.python for one in verdicts})
    words = [
        f"{tests} tests in {len(verdicts)} modules of {versions} CPythons",
        f"{different} different",
    ]
    words += [f"{flaky} flaky in stock too"] if flaky else []
    words += [f"{unproved} modules prove nothing"] if unproved else []
    words += [f"{untested} CPythons could not be tested"] if untested else []
    return f"{'same as stock' if same else 'NOT THE SAME as stock'}: {', '.join(words)}"


def report(verdicts: list[Verdict], untested: int) -> dict[str, object]:
    """The same for programs."""
    return {
        "same": not untested and all(one.same for one in verdicts),
        "untested": untested,
        "results": [{**asdict(one), "same": one.same} for one in verdicts],
    }


if __name__ == "__main__":
    sys.exit(main())
