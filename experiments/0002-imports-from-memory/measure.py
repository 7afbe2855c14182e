"""What does it give to import the standard library from memory, and what does fastpath give?

Hot, cold and in system calls: stock, zipimport, fastpath without a table, with a learnt and with
a sealed one, oxidized_importer where there is a wheel of it, and the floor: the same modules with
their bytecode, or their code objects, in memory already. Each CPython is a copy of itself in
build/, where everybody may read it: what only some may read is not sealed.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import (  # noqa: E402
    drop_caches,
    environment,
    interpreters,
    no_dropping,
    quiet,
    said,
    standard_library,
)
from _measure import Run, cpu, interleave, run, strace, wall  # noqa: E402
from _memory import BYTECODE, CODE, from_memory  # noqa: E402
from _modules import importable, statements  # noqa: E402
from _subject import Subject, differences, import_seconds  # noqa: E402

HERE = Path(__file__).resolve().parent
VERSIONS = ["3.10", "3.11", "3.13"]
WHEEL_FOR = "3.10"
"""The newest CPython that oxidized_importer has wheels for."""

STOCK, FLOOR, MEMORY, OXIDIZED = "stock", "execute only", "bytecode in memory", "oxidized_importer"
ZIP, DEFLATED = "zipimport", "zipimport, deflated"
ALONE, LEARNT, SEALED = "fastpath", "fastpath, learnt table", "fastpath, sealed"
OURS = [ALONE, LEARNT, SEALED]
WAYS = [STOCK, ZIP, DEFLATED, OXIDIZED, *OURS, MEMORY, FLOOR]
LOADERS = {ZIP: "zipimporter", DEFLATED: "zipimporter", OXIDIZED: "OxidizedFinder"}
LOADERS |= {MEMORY: "Memory", FLOOR: "Memory"}

# Seconds for all rounds of one interpreter: the whole has to end in three minutes.
HOT_S, COLD_S = 18.0, 16.0

ARTICLE: dict[str, dict[str, tuple[float, float]]] = {
    "the article, Linux": {
        "hot wall": (193, 152),
        "hot cpu": (193, 152),
        "cold wall": (405, 227),
        "cold cpu": (230, 161),
    },
    "the article, macOS": {
        "hot wall": (319, 221),
        "hot cpu": (313, 217),
        "cold wall": (694, 442),
        "cold cpu": (475, 311),
        "calls": (2679, 837),
    },
}
"""Of stock CPython 3.7.2 and of PyOxidizer: ms (CPU: user and system), and the system calls that
its dtruss lists, those that occur more than ten times."""

TITLES = {
    "hot wall": "whole process, hot",
    "hot cpu": "CPU, hot",
    "cold wall": "whole process, cold",
    "calls": "system calls (article: macOS)",
}

# What the article calls system calls of the same purpose, whatever a libc makes of them.
KINDS = {
    "open": ["open", "openat", "openat2"],
    "stat": ["stat", "lstat", "newfstatat", "statx"],
    "readlink": ["readlink", "readlinkat"],
    "fstat": ["fstat"],
    "read": ["read", "pread64"],
    "lseek": ["lseek"],
    "close": ["close"],
    "getdents": ["getdents64"],
    "mmap": ["mmap"],
}
KIND_OF = {call: kind for kind, calls in KINDS.items() for call in calls}
WITH_A_PATH = ["open", "stat", "readlink", "other with a path"]
OTHER_WITH_A_PATH = {"access", "faccessat", "faccessat2", "execve", "getcwd", "statfs"}
STRACE = ["-f", "-qq", "-e", "signal=none", "-o"]

# Packages that are loaded before any program runs lead to the zip file too.
REDIRECT = """\
for loaded in list(sys.modules.values()):
    if isinstance(getattr(loaded, "__path__", None), list):
        loaded.__path__[:] = [path.replace({old!r}, {new!r}) for path in loaded.__path__]
"""
INDEX = """\
sys.path.insert(0, {home!r})
import oxidized_importer
del sys.path[0]
finder = oxidized_importer.OxidizedFinder()
finder.index_file_memory_mapped({packed!r})
sys.meta_path.insert(0, finder)
"""


def measure(setting: Setting) -> Raw:
    """Every version's ways, after their answers have been compared."""
    found = interpreters(VERSIONS)
    for version in VERSIONS:
        setting.can(f"CPython {version}", None if version in found else "not found")
    cold = setting.can("cold", no_dropping())
    counted = setting.can("system calls", None if strace() else "strace may not be used here")
    fastpath = setting.fastpath()
    results: Raw = {"modules": {}, "loaded": {}, "hot": {}, "cold": {}, "calls": {}}
    chosen = list(found)[:1] if setting.quick else list(found)
    for version in chosen:
        ways = _ways(setting, version, found[version], fastpath)
        results["modules"][version] = len(ways[STOCK].body.splitlines())
        programs = setting.scratch / version / "programs"
        results["loaded"][version] = _compared(setting, version, ways, programs)
        files = {who: programs / f"{number}.py" for number, who in enumerate(ways)}
        commands = {who: way.command(files[who]) for who, way in ways.items()}
        rounds = 1 if setting.quick else setting.rounds(11)
        results["hot"][version] = _timed(setting, f"{version}, hot", commands, run, rounds, HOT_S)
        if cold:
            rounds = 1 if setting.quick else setting.rounds(7)
            results["cold"][version] = _timed(
                setting, f"{version}, cold", commands, _from_nothing, rounds, COLD_S
            )
        if counted:
            results["calls"][version] = _counted(setting, version, ways, programs)
    return results


# --- what is measured ----------------------------------------------------------------------


def _ways(setting: Setting, version: str, base: str, fastpath: Path) -> dict[str, Subject]:
    """Each way of importing the same modules, ready to run."""
    home = setting.scratch / version
    setting.progress.stage(f"{version}: preparing")
    oxidized = _oxidized(setting, version)
    copied = _copied(home, base, oxidized)
    python = environment(home / "venv", base=copied)
    stock = Subject(python, statements(importable(python, 30 if setting.quick else 500)))
    shelf = standard_library(python)
    ways = {STOCK: stock}
    for who, file in ((ZIP, "stored.zip"), (DEFLATED, "deflated.zip")):
        archive = str(home / "made" / file)
        before = REDIRECT.format(old=shelf, new=archive)
        ways[who] = replace(stock, moved={shelf: archive}, before=before)
    if oxidized:
        index = INDEX.format(home=str(oxidized), packed=str(home / "made" / "packed"))
        ways[OXIDIZED] = replace(stock, body=index + stock.body)
    ways[ALONE] = replace(stock, fastpath=fastpath)
    ways[LEARNT] = _learnt(replace(ways[ALONE], cache=str(home / "tables" / "learnt")))
    sealed = replace(stock, python=environment(home / "sealed", base=copied))
    _seal(sealed, fastpath, home / "programs" / "sealed.py")
    ways[SEALED] = _learnt(
        replace(sealed, fastpath=fastpath, cache=str(home / "tables" / "sealed"))
    )
    memory = from_memory(stock, home / "programs" / "kept.bin")
    return ways | {MEMORY: memory[BYTECODE], FLOOR: memory[CODE]}


def _copied(home: Path, base: str, oxidized: Path | None) -> str:
    """The python of a copy of this interpreter, packed beside it; made once."""
    base = said(base, "import os, sys; print(os.path.realpath(sys._base_executable))")
    tell = "import os, sys; print(os.path.dirname(os.__file__), sys.base_prefix, sep='\\n')"
    library, prefix = said(base, tell).splitlines()
    made, stamp = home / "made", home / "stamp"
    python = home / "prefix" / "bin" / Path(base).name
    key = f"{base} {said(base, 'import sys; print(sys.version)')} {oxidized}"
    if stamp.exists() and stamp.read_text() == key:
        return str(python)
    shutil.rmtree(home, ignore_errors=True)
    python.parent.mkdir(parents=True)
    made.mkdir()
    shutil.copy(base, python)
    shelf = home / "prefix" / Path(library).relative_to(prefix)
    left = ["test", "tests", "idle_test", "site-packages", "dist-packages", "config-*"]
    left += ["idlelib", "lib2to3", "turtledemo", "ensurepip", "__pycache__"]
    shutil.copytree(library, shelf, ignore=shutil.ignore_patterns(*left))
    quiet([str(python), "-I", "-m", "compileall", "-q", str(shelf)])
    quiet(
        [str(python), "-I", str(HERE / "pack.py"), str(made), *([str(oxidized)] * bool(oxidized))]
    )
    stamp.write_text(key)
    return str(python)


def _oxidized(setting: Setting, version: str) -> Path | None:
    """Where oxidized_importer for this CPython is: from pip, or built as README.md says."""
    where = setting.scratch / f"oxidized-{version}"
    obstacle = None
    if not where.exists():
        obstacle = "not built, see Commands"
        if version == WHEEL_FOR:
            setting.progress.stage("installing oxidized_importer")
            obstacle = _installed(where)
    return where if setting.can(f"oxidized_importer on CPython {version}", obstacle) else None


def _installed(where: Path) -> str | None:
    """Have pip put its wheel there; else what pip says."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pip += ["--no-deps", "--only-binary", ":all:", "--timeout", "20", "--target", str(where)]
    pip += ["--python-version", WHEEL_FOR, "--requirement", str(HERE / "requirements.txt")]
    done = subprocess.run(pip, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    shutil.rmtree(where, ignore_errors=True)
    return (done.stderr.strip().splitlines() or ["pip failed"])[-1]


def _learnt(way: Subject) -> Subject:
    """The same, after two processes of it have left what they have learnt."""
    shutil.rmtree(way.cache, ignore_errors=True)
    program = Path(way.cache).with_suffix(".py")
    for _ in range(2):
        run(way.command(program))
    return way


def _seal(stock: Subject, fastpath: Path, program: Path) -> None:
    """Seal an environment and the library below it: what `stock` imports, in that order."""
    stock.command(program)
    # Not isolated, or it could not tell what it has imported.
    words = [stock.python, "-W", "ignore", str(program)]
    seal = [stock.python, "-m", "fastpath", "seal", "--base", "--for", shlex.join(words)]
    quiet(seal, {**os.environ, "PYTHONPATH": str(fastpath)})


def _compared(
    setting: Setting, version: str, ways: dict[str, Subject], programs: Path
) -> dict[str, int]:
    """How many modules come from where a way has them; ends it all if they are not stock's."""
    setting.progress.stage(f"{version}: comparing what is loaded")
    stock = ways[STOCK].modules(programs / "compared.py")
    loaded = {}
    for who, way in ways.items():
        modules = way.modules(programs / "compared.py")
        modules.pop("oxidized_importer", None)
        # Loaders and files are stock's only in stock and in ours.
        wrong = differences(stock, modules) if who in OURS else stock.keys() ^ modules.keys()
        if wrong:
            raise SystemExit(f"{version}, {who}: not as stock has them: {', '.join(wrong)}")
        loader = LOADERS.get(who, "SourceFileLoader")
        specs: list[Any] = [spec for spec, *_ in modules.values() if spec]
        loaded[who] = sum(spec[2][1] == loader for spec in specs)
    return loaded


# --- how -----------------------------------------------------------------------------------


def _from_nothing(command: Sequence[str]) -> Run:
    drop_caches()
    return run(command)


def _timed(
    setting: Setting,
    stage: str,
    commands: dict[str, list[str]],
    how: Callable[[Sequence[str]], Run],
    rounds: int,
    seconds: float,
) -> Raw:
    """Milliseconds of alternating fresh processes."""
    setting.progress.stage(f"{stage}: {rounds} rounds of {len(commands)} processes")
    runs = interleave(
        {who: partial(how, command) for who, command in commands.items()},
        rounds,
        seconds,
        setting.progress.tick,
    )
    of = {"import": import_seconds, "wall": wall, "cpu": cpu}
    return {
        who: {what: [round(f(one) * 1e3, 1) for one in each] for what, f in of.items()}
        for who, each in runs.items()
    }


def _counted(setting: Setting, version: str, ways: dict[str, Subject], programs: Path) -> Raw:
    """System calls of one process each, by kind. Engine serial: traced, any disk seems slow."""
    setting.progress.stage(f"{version}: counting system calls")
    calls = {}
    for who, way in ways.items():
        command = replace(way, backend="serial").command(programs / "counted.py")
        with tempfile.TemporaryDirectory() as scratch:
            trace = Path(scratch, "trace")
            run([str(strace()), *STRACE, str(trace), *command])
            calls[who] = dict(_kinds(trace.read_text(errors="replace")).most_common())
    return calls


def _kinds(trace: str) -> Counter[str]:
    """Calls of a trace by kind. A stat of no path but a descriptor is an fstat."""
    kinds: Counter[str] = Counter()
    for line in re.finditer(r'^\d+ +(\w+)\((\d+, "",)?', trace, re.MULTILINE):
        call, by_descriptor = line.groups()
        if by_descriptor and KIND_OF.get(call) == "stat":
            call = "fstat"
        other = "other with a path" if call in OTHER_WITH_A_PATH else "other"
        kinds[KIND_OF.get(call, other)] += 1
    return kinds


# --- what is shown -------------------------------------------------------------------------


def tables(raw: Raw) -> str:
    """One table for each CPython, the article's own, and the calls by kind."""
    parts = []
    for version, modules in raw["modules"].items():
        rounds = len(raw["hot"][version][STOCK]["wall"])
        colds = len(raw["cold"].get(version, {STOCK: {"wall": []}})[STOCK]["wall"])
        parts.append(
            f"CPython {version}, {modules} modules imported by name; medians of {rounds} processes "
            f"hot, {colds} cold; ratios to stock in the same round."
        )
        parts.append(_table(raw, version))
    parts.append("The article, CPython 3.7.2: PyOxidizer to stock, ms (or calls).")
    columns = list(ARTICLE["the article, macOS"])
    rows = [
        [who, *(_pair(*claims[column]) if column in claims else "" for column in columns)]
        for who, claims in ARTICLE.items()
    ]
    parts.append(markdown(["", *columns], rows))
    if raw["calls"]:
        version = next(iter(raw["calls"]))
        kinds = [*KINDS, "other with a path", "other"]
        rows = [
            [who, *(calls.get(kind, 0) for kind in kinds)]
            for who, calls in raw["calls"][version].items()
        ]
        parts += [f"System calls of one process, CPython {version}:", markdown(["", *kinds], rows)]
    return "\n\n".join(parts)


def _table(raw: Raw, version: str) -> str:
    heading = ["", "import, hot", "process, hot", "CPU, hot", "import, cold", "process, cold"]
    heading += ["CPU, cold", "calls with a path", "calls", "modules from there"]
    rows = []
    for who in (who for who in WAYS if who in raw["hot"][version]):
        row = [who]
        for when in ("hot", "cold"):
            for what in ("import", "wall", "cpu"):
                row.append(_cell(raw[when].get(version), who, what))
        for kinds in (WITH_A_PATH, None):
            row.append(_calls(raw["calls"].get(version), who, kinds))
        rows.append([*row, str(raw["loaded"][version][who])])
    return markdown(heading, rows)


def _cell(runs: Raw | None, who: str, what: str) -> str:
    """A ratio and milliseconds. What is put into memory beforehand is no part of a process."""
    if runs is None or (who == FLOOR and what != "import"):
        return ""
    value = statistics.median(runs[who][what])
    return f"{value:,.0f} ms" if who == STOCK else f"{to_stock(runs, who, what):.2f} ({value:,.0f})"


def to_stock(runs: Raw, who: str, what: str) -> float:
    """The median of the ratios, each of two processes of the same round."""
    pairs = zip(runs[who][what], runs[STOCK][what], strict=True)
    ratio: float = statistics.median(ours / stock for ours, stock in pairs)
    return ratio


def _calls(calls: Raw | None, who: str, kinds: Sequence[str] | None) -> str:
    if calls is None:
        return ""
    stock, ours = (_sum(calls[one], kinds) for one in (STOCK, who))
    return f"{ours:,}" if who == STOCK else f"{ours / stock:.2f} ({ours:,})"


def _sum(calls: dict[str, int], kinds: Sequence[str] | None) -> int:
    return sum(number for kind, number in calls.items() if kinds is None or kind in kinds)


def _pair(stock: float, ours: float) -> str:
    return f"{ours / stock:.2f} ({ours:,.0f} of {stock:,.0f})"


def draw(raw: Raw, figure: Any) -> None:
    """Ratios to stock: whole processes hot and cold, CPU, and system calls; the article's too."""
    figure.set_size_inches(12, 5.5)
    panels = figure.subplots(1, 4, sharey=True)
    ways = [who for who in WAYS if who not in (STOCK, FLOOR)]
    height = 0.8 / len(raw["modules"])
    for axes, (what, where) in zip(
        panels,
        (("hot wall", "Linux"), ("hot cpu", "Linux"), ("cold wall", "Linux"), ("calls", "macOS")),
        strict=True,
    ):
        for number, version in enumerate(raw["modules"]):
            values = _ratios(raw, version, what)
            shift = (number - (len(raw["modules"]) - 1) / 2) * height
            axes.barh(
                [place + shift for place in range(len(ways))],
                [values.get(who, 0) for who in ways],
                height,
                color=f"C{number}",
                label=f"CPython {version}",
            )
        stock, ours = ARTICLE[f"the article, {where}"][what]
        axes.axvline(ours / stock, color="black", linestyle="--", linewidth=1, label="the article")
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_title(TITLES[what], fontsize=10)
        axes.set_xlabel("ratio to stock (stock = 1)")
    panels[0].set_yticks(range(len(ways)), ways)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)


def _ratios(raw: Raw, version: str, what: str) -> dict[str, float]:
    """Of each way; none where that could not be measured."""
    if what == "calls":
        return _call_ratios(raw["calls"].get(version))
    when, _, quantity = what.partition(" ")
    runs = raw[when].get(version, {})
    return {who: to_stock(runs, who, quantity) for who in runs}


def _call_ratios(calls: Raw | None) -> dict[str, float]:
    if not calls:
        return {}
    stock = _sum(calls[STOCK], None)
    return {who: _sum(kinds, None) / stock for who, kinds in calls.items()}


EXPERIMENT = Experiment(measure, tables, draw)

if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
