"""Two environments of one CPython, alike but for fastpath, and its test modules run in both.

Makes and removes the environments, runs modules, hands back rounds of outcomes. Judges and prints
nothing. Called by run.py; what an outcome is stands in outcomes.py, how a program is started in
places.py.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import outcomes
import places
import suite
from outcomes import Run
from places import Interpreter, Runner

ARMS = ("stock", "ours")
WITNESS = "fastpath_witness"
_WITNESS_DIR = Path(__file__).resolve().parent / "witness"


@dataclass
class Bench:
    """One interpreter with its two environments, in a work directory of its own."""

    interpreter: Interpreter
    runner: Runner
    work: str
    """As the interpreter sees it; short, because sockets are made below it."""
    pythons: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    """Environment variables of the test processes, in both environments alike."""

    def outside(self, name: str) -> Path:
        """Where this machine sees the file `name` of the work directory."""
        return self.interpreter.outside(f"{self.work}/{name}")

    def check(self, argv: list[str]) -> str:
        """Run a command that must succeed, in the work directory, and return its output."""
        return places.check(self.interpreter, argv, self.work, self.runner)

    def run_both(self, module: str, timeout: int, *, ours_first: bool = False) -> tuple[Run, Run]:
        """One round of one module, stock's run and ours, one after the other."""
        order = reversed(ARMS) if ours_first else ARMS
        runs = {arm: self.run(arm, module, timeout) for arm in order}
        return runs["stock"], runs["ours"]

    def run(self, arm: str, module: str, timeout: int) -> Run:
        """One module in one environment, the witness last; `timeout` in seconds."""
        name = f"{arm}.{module}"
        shutil.rmtree(self.outside(name), ignore_errors=True)
        self.outside(name).mkdir()
        cwd = f"{self.work}/{name}"
        argv = [
            self.pythons[arm],
            *self._flags(module, timeout, f"{cwd}/junit.xml"),
            f"test.{module}",
            WITNESS,
        ]
        env = places.environment(self.interpreter.root) | self.settings
        # The table that processes share: a module finds what the ones before it have learnt.
        env["XDG_CACHE_HOME"] = f"{self.work}/caches"
        began = time.monotonic()
        done = self.runner.run(self.interpreter.command(argv, cwd), env=env, seconds=timeout + 30)
        seconds = time.monotonic() - began
        self.outside(f"{name}/console.txt").write_text(done.output)
        own_places = (cwd, f"{self.work}/{arm}", self.work)
        run = outcomes.parse(
            _text(self.outside(f"{name}/junit.xml")), done.output, done.status, own_places
        )
        outcomes.take_witness(run, WITNESS)
        run.seconds = seconds
        run.counters = json.loads(_text(self.outside(f"{name}/witness.json")) or "{}")
        return run

    def _flags(self, module: str, timeout: int, junit: str) -> list[str]:
        patterns = list(suite.PARTS.get(module, ()))
        if patterns:
            patterns.append(f"{WITNESS}.*")
        return [
            *("-m", "test", "-v", "-u", "cpu", "--timeout", str(timeout), "--junit-xml", junit),
            *(flag for pattern in patterns for flag in ("-m", pattern)),
            *("--testdir", f"{self.work}/witness"),
        ]


@contextmanager
def bench(
    interpreter: Interpreter, wheel: Path | None, runner: Runner, *, keep: bool = False
) -> Iterator[Bench]:
    """Both environments, and the witness's word that fastpath is active in ours only.

    Without a wheel both are stock. `keep` leaves the work directory in place.

    # Errors
    PlaceError if an environment cannot be made, or the witness objects.
    """
    work = Path(tempfile.mkdtemp(prefix="fp-", dir=interpreter.outside("/tmp")))
    work.chmod(0o755)
    made = Bench(interpreter, runner, f"/tmp/{work.name}")
    try:
        shutil.copytree(
            _WITNESS_DIR, work / "witness", ignore=shutil.ignore_patterns("__pycache__")
        )
        for arm in ARMS:
            made.pythons[arm] = places.make_venv(interpreter, f"{made.work}/{arm}", runner)
            (work / arm / "fastpath-arm").write_text(arm if wheel else "stock")
        if wheel:
            _enable(made, wheel)
        for arm in ARMS:
            made.check(
                [
                    made.pythons[arm],
                    "-m",
                    "test",
                    "-v",
                    "--testdir",
                    f"{made.work}/witness",
                    WITNESS,
                ]
            )
        yield made
    finally:
        if not keep:
            shutil.rmtree(work, ignore_errors=True)


def _enable(made: Bench, wheel: Path) -> None:
    """Install and enable the wheel in ours; give stock idle start-up files of the same names.

    Some tests skip themselves where there is any start-up file: that must happen in both or in
    neither.
    """
    python = made.pythons["ours"]
    shutil.copy(wheel, made.outside(wheel.name))
    made.check(
        [
            python,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-index",
            "--no-deps",
            f"{made.work}/{wheel.name}",
        ]
    )
    made.check([python, "-m", "fastpath", "enable"])
    sites = {
        arm: places.site_packages(made.interpreter, made.pythons[arm], made.runner) for arm in ARMS
    }
    idle = {".pth": "import sys\n", ".start": "gc:isenabled\n"}
    for file in sites["ours"].iterdir():
        twin = sites["stock"] / file.name
        if file.suffix in idle and not twin.exists():
            twin.write_text(idle[file.suffix])


def _text(file: Path) -> str | None:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else None
