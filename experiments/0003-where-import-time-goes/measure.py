"""Divides the import time of CPythons between finding, reading, unmarshalling and executing.

Runs the same modules of the standard library, and the same versions of four packages, in every
CPython from 3.9 to 3.13 that is here; instrument.py, in front of each program, keeps the account.
Nothing is found, read or executed otherwise than stock does, but in the last table, which sets
fastpath beside it.
"""

from __future__ import annotations

import ast
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
for place in (ROOT / "experiments", ROOT / "benches", HERE):
    sys.path.insert(0, str(place))
from _experiment import Experiment, Raw, Setting, main  # noqa: E402
from _ground import (  # noqa: E402
    drop_caches,
    environment,
    install,
    interpreters,
    no_dropping,
    quiet,
    said,
    site_packages,
)
from _measure import run  # noqa: E402
from _modules import PACKAGES, TYPICAL, importable, statements  # noqa: E402
from _shares import LIBRARY, draw, tables  # noqa: E402

INSTRUMENT = HERE / "instrument.py"
PINS = HERE / "requirements.txt"
VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]
BESIDE = ["3.13", "3.11"]
"""Where fastpath is set beside stock: the first of them that is here."""
PROGRAMS = {**PACKAGES, "sympy": "import sympy\n"}
PROGRAM = """\
import sys
scope = {{"__name__": "instrument"}}
exec(compile(open({instrument!r}).read(), {instrument!r}, "exec"), scope)
{before}measurement = scope["Measurement"]({wrapped!r}, {clock!r}, {fastpath})
{body}measurement.end()
"""
INSTALL = """\
sys.path.insert(0, {home!r})
import fastpath
del sys.path[0]
assert fastpath.install(cache="off"), "it did not install"
"""
# Of the modules that another version has, those that can be imported here, too.
PRESENT = """
import contextlib, io, json, sys, warnings
warnings.simplefilter("ignore")
found = []
for name in json.load(sys.stdin):
    with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
        __import__(name)
        found.append(name)
json.dump(found, sys.stdout)
"""
RELEASE = "import platform; print(platform.python_version())"
OPTIMIZED = """
import sysconfig
print("--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""))
"""

T = TypeVar("T")


class WrongAnswer(Exception):
    """Something else was loaded than stock loads, or in another way than is measured."""


@dataclass
class Hot:
    """Sees to it that hot processes are: another program may evict what was in the caches."""

    again: int = 0
    """How many processes were run again, as they had to read from a disk."""
    kept: int = 0
    """How many of them were kept all the same, as it would not end."""

    def __call__(self, do: Callable[[], T]) -> T:
        """What `do` returns of a process that read no block."""
        for _ in range(4):
            before = _blocks()
            done = do()
            if _blocks() == before:
                return done
            self.again += 1
        self.kept += 1
        return done


def _blocks() -> int:
    """Blocks that our children have read, once they were waited for (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock


@dataclass(frozen=True)
class Way:
    """One program, in one interpreter, measured in one way."""

    python: str
    body: str
    wrapped: str = ""
    clock: str = "cpu"
    fastpath: Path | None = None

    def command(self, file: Path) -> list[str]:
        """Write the program to `file`; the command that runs it, isolated and without warnings."""
        text = PROGRAM.format(
            instrument=str(INSTRUMENT),
            before=INSTALL.format(home=str(self.fastpath)) if self.fastpath else "",
            wrapped=self.wrapped,
            clock=self.clock,
            fastpath="fastpath" if self.fastpath else None,
            body=self.body,
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return [self.python, "-I", "-W", "ignore", str(file)]


Report = dict[str, Any]
"""What one process says of itself (Measurement.end)."""
Bodies = Mapping[str, Mapping[str, str]]
"""What is imported, by version and program."""


def measure(setting: Setting) -> Raw:
    """All parts; what is missing here is left out."""
    pythons = _pythons(setting)
    bodies = _bodies(setting, pythons)
    hot = Hot()
    raw: Raw = {
        "versions": {v: said(p, RELEASE) for v, p in pythons.items()},
        "optimized": {v: said(p, OPTIMIZED) == "True" for v, p in pythons.items()},
        "packages": re.findall(rf"^(?:{'|'.join(PROGRAMS)})==.*", PINS.read_text(), re.MULTILINE),
        "starts": _starts(setting, hot, pythons),
        "imports": _imports(setting, hot, pythons, bodies),
    }
    version = next((v for v in BESIDE if v in pythons), None)
    if setting.can("fastpath", None if version else f"needs CPython {' or '.join(BESIDE)}"):
        assert version
        raw["fastpath"] = _beside(setting, hot, version, pythons[version], bodies[version])
    raw["hot"] = {"again": hot.again, "kept": hot.kept}
    return raw


# --- what is measured ----------------------------------------------------------------------


def _pythons(setting: Setting) -> dict[str, str]:
    """Each version's interpreter, in a venv that has the packages; two without them when quick."""
    found = interpreters(VERSIONS)
    for version in VERSIONS:
        setting.can(f"CPython {version}", None if version in found else "not found")
    chosen = [v for v in VERSIONS if v in found]
    if setting.quick:
        chosen = [chosen[0], *(v for v in BESIDE[:1] if v in found)]
    homes = {v: setting.scratch / f"venv-{v}" for v in chosen}
    pythons = {v: environment(home, base=found[v]) for v, home in homes.items()}
    if not setting.quick:
        setting.progress.stage("installing packages")
        for version, python in pythons.items():
            _furnish(homes[version] / "packages", version, python)
    return pythons


def _furnish(stamp: Path, version: str, python: str) -> None:
    """Install the pinned packages for that interpreter, unless they are there."""
    pins = PINS.read_text()
    if stamp.exists() and stamp.read_text() == pins:
        return
    where = site_packages(python)
    quiet(["rm", "-rf", where])
    # Another interpreter's pip than the one it installs for would answer its own markers: there
    # are none in the list, which is complete. Bytecode is written by whoever imports it.
    arguments = ["--no-deps", "--no-compile", "--only-binary", ":all:", "--python-version", version]
    install([*arguments, "--requirement", str(PINS)], Path(where))
    stamp.write_text(pins)


def _bodies(setting: Setting, pythons: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The packages' programs, and the modules of the library that all versions have."""
    setting.progress.stage("choosing the modules of the standard library")
    if setting.quick:
        names = TYPICAL
    else:
        # What asks for them needs sys.stdlib_module_names, of 3.10.
        names = importable([p for v, p in pythons.items() if v != "3.9"][-1], 10**6)
    for python in pythons.values():
        names = _present(python, names)
    programs = {LIBRARY: statements(names)} | ({} if setting.quick else PROGRAMS)
    return dict.fromkeys(pythons, programs)


def _present(python: str, names: Sequence[str]) -> list[str]:
    command = [python, "-I", "-c", PRESENT]
    done = subprocess.run(
        command, input=json.dumps(names), stdout=subprocess.PIPE, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return found


# --- how it is measured --------------------------------------------------------------------


def _starts(setting: Setting, hot: Hot, pythons: Mapping[str, str]) -> Raw:
    """What `-X importtime` says of an interpreter that runs nothing."""
    setting.progress.stage("the start of an interpreter")
    raw: Raw = {}
    for kind, how, rounds in _temperatures(setting, hot, 15, 5):
        for _ in range(rounds):
            for version, python in pythons.items():
                wall, lines = how(partial(_importtime, python))
                entry = raw.setdefault(version, {}).setdefault(
                    kind, {"wall_ms": [], "import_ms": []}
                )
                entry["wall_ms"].append(round(wall * 1e3, 2))
                entry["import_ms"].append(round(sum(lines) / 1e3, 2))
                entry["modules"] = len(lines)
    return raw


def _importtime(python: str) -> tuple[float, list[int]]:
    """Seconds of an empty program, and the microseconds of each module's own import."""
    with tempfile.TemporaryFile("w+") as lines:
        start = time.perf_counter()
        command = [python, "-I", "-X", "importtime", "-c", "pass"]
        subprocess.run(command, stderr=lines, check=True)
        wall = time.perf_counter() - start
        lines.seek(0)
        own = re.findall(r"^import time: +(\d+) ", lines.read(), re.MULTILINE)
    return wall, list(map(int, own))


def _temperatures(
    setting: Setting, hot: Hot, hot_rounds: int, cold_rounds: int
) -> list[tuple[str, Callable[[Callable[[], T]], T], int]]:
    """The states of the kernel's caches: their name, what runs something in it, how often."""
    states: list[tuple[str, Callable[[Callable[[], T]], T], int]]
    states = [("hot", hot, setting.rounds(hot_rounds))]
    obstacle = no_dropping()
    if obstacle is None:
        states.append(("cold", _cold, setting.rounds(cold_rounds)))
    elif not any(line.startswith("cold") for line in setting.left_out):
        setting.can("cold", obstacle)
    return states


def _cold(do: Callable[[], T]) -> T:
    """What `do` returns when nothing is in the caches."""
    drop_caches()
    return do()


def _imports(setting: Setting, hot: Hot, pythons: Mapping[str, str], bodies: Bodies) -> Raw:
    """The account of every program in every version, hot and cold."""
    setting.progress.stage("comparing what is loaded")
    raw: Raw = {v: {program: {} for program in programs} for v, programs in bodies.items()}
    expected = {}
    for version, programs in bodies.items():
        for program, body in programs.items():
            way = Way(pythons[version], body)
            # The first run may have to write bytecode.
            expected[version, program] = _loaded(setting, way, None)["names"]
    for kind, how, rounds in _temperatures(setting, hot, 3, 2):
        ways = {}
        for version, program in expected:
            python, body = pythons[version], bodies[version][program]
            clock = "cpu" if kind == "hot" else "wall"
            ways[version, program, "pieces"] = Way(python, body, "pieces", clock)
            if kind == "hot":
                ways[version, program, ""] = Way(python, body)
        setting.progress.stage(f"{kind}: {rounds} rounds of {len(ways)} processes")
        for number in range(rounds):
            for (version, program, wrapped), way in list(ways.items())[:: -1 if number % 2 else 1]:
                report = how(partial(_loaded, setting, way, expected[version, program]))
                _enter(raw[version][program], kind, wrapped, report)
            setting.progress.tick()
    return raw


def _loaded(setting: Setting, way: Way, expected: list[str] | None) -> Report:
    """Run a program; what it says, if it loaded what is expected."""
    command = way.command(setting.scratch / "program.py")
    if way.clock == "wall":
        # The interpreter's own files are no part of what is asked.
        run([way.python, "-I", "-c", "pass"])
    report: Report = ast.literal_eval(run(command).output.splitlines()[-1])
    names = [n for n in report["names"] if n.partition(".")[0] != "fastpath"]
    if expected is not None and (wrong := set(names) ^ set(expected)):
        raise WrongAnswer(f"{command}: not what stock loads: {', '.join(sorted(wrong))}")
    if expected is not None and report["compiled"]:
        raise WrongAnswer(f"{command}: {report['compiled']} modules have no bytecode")
    return report


def _enter(entry: Raw, kind: str, wrapped: str, report: Report) -> None:
    """Add a process to a program's account."""
    if not wrapped:
        entry.setdefault("plain_cpu_ms", []).append(round(report["cpu"] * 1e3, 1))
        entry["collections"] = report["collections"]
        return
    calls = report["calls"]
    # Each extension or built-in module is created and executed.
    entry["modules"] = report["modules"]
    entry["loads"], entry["native"] = calls["check"], calls["native"] // 2
    entry["finds"], entry["bytes"] = calls["find"], report["bytes"]
    for part, seconds in report["spent"].items():
        entry.setdefault(kind, {}).setdefault(part, []).append(round(seconds * 1e3, 2))


def _beside(
    setting: Setting, hot: Hot, version: str, python: str, bodies: Mapping[str, str]
) -> Raw:
    """Stock and fastpath in one version, with get_code in one piece."""
    home = setting.fastpath()
    rounds = setting.rounds(3)
    setting.progress.stage(f"fastpath beside stock: {rounds} rounds")
    raw: Raw = {"version": version, "programs": {}}
    for program, body in bodies.items():
        entry: Raw = {"stock": {}, "fastpath": {}}
        raw["programs"][program] = entry
        stock = Way(python, body, "whole")
        ours = Way(python, body, "whole", fastpath=home)
        names = _loaded(setting, stock, None)["names"]
        for _ in range(rounds):
            for who, way in (("stock", stock), ("fastpath", ours)):
                report = hot(partial(_loaded, setting, way, names))
                if way.fastpath and not report["by_fastpath"]:
                    raise WrongAnswer(f"{program}: fastpath left it all to stock")
                for part, seconds in report["spent"].items():
                    entry[who].setdefault(part, []).append(round(seconds * 1e3, 2))
    return raw


EXPERIMENT = Experiment(measure, tables, draw)

if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
