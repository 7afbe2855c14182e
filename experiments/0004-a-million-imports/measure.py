"""Counts futex calls of a million imports of a module that is loaded already, and times them.

By every CPython from 3.9 to 3.13 that is found, stock and with fastpath, on one thread and on
eight that share the GIL and the imports. Futex calls are counted by perf in the kernel, or by
strace where perf may not; in other processes than those that are timed.
"""

from __future__ import annotations

import platform
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import interpreters, version_of  # noqa: E402
from _measure import Run, interleave, kernel_counter, run, strace, total_calls  # noqa: E402
from _subject import Subject, differences  # noqa: E402

VERSIONS = ["3.9", "3.10", "3.11", "3.12", "3.13"]
THREADS = 8
NOTHING = "pass"
OS = "import os"
MODULE = 'importlib.import_module("os")'
MISSING = "import of nothing there"
FORMS = {
    NOTHING: 1_000_000,
    OS: 1_000_000,
    "import os.path": 100_000,
    "from os import path": 100_000,
    "import json.decoder": 100_000,
    "from json import decoder": 100_000,
    MODULE: 20_000,
    MISSING: 1_000,
}
"""What is repeated, and how often: by one thread, or by all of the threads together."""
SHARED = [NOTHING, OS, MODULE, MISSING]
"""What the eight threads repeat."""
TRIED = "try:\n    import nothing_there\nexcept ImportError:\n    pass"

# The loop of the article, as it stands there, but for names that changed with Python 3.
ARTICLE = """\
import time
try:
    xrange
except NameError:
    xrange = range
begin = time.time()
for i in xrange({times}):
    import os
print((time.time() - begin) / {times} * 1e9)
"""
# Before fastpath is there, which so has nothing to do with them.
BEFORE = "import importlib, json.decoder, os, threading\nfrom time import process_time as used\n"
# Prints nanoseconds and nanoseconds of CPU for each repetition.
LOOPS = """\
def measured(loop, times, threads):
    workers = [threading.Thread(target=loop, args=(times // threads,)) for _ in range(threads)]
    begin, spent = clock(), used()
    if threads == 1:
        loop(times)
    else:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    return [round(seconds / times * 1e9, 1) for seconds in (clock() - begin, used() - spent)]
"""
LOOP = """\
def loop(times):
    for _ in range(times):
        {statement}
print(*measured(loop, {times}, {threads}))
"""

Counter = Callable[[Sequence[str]], int]
"""Runs a command and says how many futex calls it made, all threads."""


def measure(setting: Setting) -> Raw:
    versions = VERSIONS if not setting.quick else [version_of(sys.executable).split()[1]]
    pythons = interpreters(versions)
    for version in versions:
        setting.can(f"CPython {version}", None if version in pythons else "not found")
    ways = subjects(pythons, setting.fastpath())
    forms = {form: times // 50 if setting.quick else times for form, times in FORMS.items()}
    setting.progress.stage("comparing what is loaded")
    compare(setting, ways, forms)
    raw: Raw = {"libc": " ".join(platform.libc_ver()), "threads": THREADS, "times": forms}
    raw["counted by"], counter = counted_by(setting)
    raw["article"] = article(setting, pythons, forms[OS], counter)
    raw["timed"] = timed(setting, ways, forms)
    raw["futexes"] = counted(setting, ways, forms, counter) if counter else {}
    return raw


def subjects(pythons: dict[str, str], fastpath: Path) -> dict[str, dict[str, Subject]]:
    """Stock by each version, and fastpath by those that it supports."""
    ways = {}
    for version, python in pythons.items():
        stock = Subject(python, "", before=BEFORE)
        ways[version] = {"stock": stock}
        if version != "3.9":
            ways[version]["fastpath"] = replace(stock, fastpath=fastpath)
    return ways


def source(forms: dict[str, int], threads: int) -> str:
    """A program that repeats one form after the other and prints what each took."""
    parts = [LOOPS]
    for form, times in forms.items():
        statement = TRIED.replace("\n", "\n        ") if form == MISSING else form
        parts.append(LOOP.format(statement=statement, times=times, threads=threads))
    return "".join(parts)


def compare(setting: Setting, ways: dict[str, dict[str, Subject]], forms: dict[str, int]) -> None:
    """Nothing is measured unless the same modules are loaded with fastpath as by stock."""
    body = source(dict.fromkeys(forms, THREADS), THREADS)
    for version, both in ways.items():
        loaded = [
            replace(way, body=body).modules(setting.scratch / f"{version}-{who}.py")
            for who, way in both.items()
        ]
        if wrong := differences(loaded[0], loaded[-1]):
            raise SystemExit(f"{version}: not as stock has them: {', '.join(wrong)}")


def counted_by(setting: Setting) -> tuple[str, Counter | None]:
    """What counts futex calls here: perf(1), which does not stop the threads, or strace(1)."""
    if counter := kernel_counter(["futex"]):
        return "perf stat", counter
    tracer = strace()
    setting.can("counts of futex calls", None if tracer else "needs perf or strace")
    return ("strace --seccomp-bpf", partial(by_strace, tracer)) if tracer else ("", None)


def by_strace(tracer: str, command: Sequence[str]) -> int:
    with tempfile.NamedTemporaryFile("r") as summary:
        only = ["-f", "--seccomp-bpf", "-c", "-e", "trace=futex"]
        run([tracer, *only, "-o", summary.name, *command])
        return total_calls(summary.read())


def article(setting: Setting, pythons: dict[str, str], times: int, counter: Counter | None) -> Raw:
    """The article's own loop by stock interpreters, Python 2.7 among them."""
    old = [*sorted(Path.home().glob(".pyenv/versions/2.7.*/bin/python")), shutil.which("python2.7")]
    found = next((str(python) for python in old if python), None)
    if setting.can("the article's loop by Python 2.7", None if found else "not found"):
        pythons = {"2.7": str(found), **pythons}
    program = setting.scratch / "article.py"
    program.write_text(ARTICLE.format(times=times))
    commands = {version: [python, "-E", "-s", str(program)] for version, python in pythons.items()}
    rounds = setting.rounds(5)
    setting.progress.stage(f"the article's loop: {rounds} rounds of {len(commands)} processes")
    runs = interleave({v: partial(run, command) for v, command in commands.items()}, rounds)
    return {
        version: {
            "ns": [round(float(one.output), 1) for one in runs[version]],
            "futexes": [counter(command) for _ in range(2)] if counter else [],
        }
        for version, command in commands.items()
    }


def timed(setting: Setting, ways: dict[str, dict[str, Subject]], forms: dict[str, int]) -> Raw:
    """Nanoseconds for each repetition: threads, form, version, who, wall or CPU, rounds."""
    raw: Raw = {}
    for threads in (1, THREADS):
        chosen = repeated(forms, threads)
        commands = {}
        for version, both in ways.items():
            for who, way in both.items():
                file = setting.scratch / f"timed-{threads}-{version}-{who}.py"
                written = replace(way, body=source(chosen, threads)).command(file)
                commands[f"{version} {who}"] = partial(run, written)
        rounds = setting.rounds(5)
        setting.progress.stage(f"{threads} threads: {rounds} rounds of {len(commands)} processes")
        runs = interleave(commands, rounds, tick=setting.progress.tick)
        raw[str(threads)] = {
            form: {
                version: {who: of_form(runs[f"{version} {who}"], number) for who in both}
                for version, both in ways.items()
            }
            for number, form in enumerate(chosen)
        }
    return raw


def repeated(forms: dict[str, int], threads: int) -> dict[str, int]:
    return {form: times for form, times in forms.items() if threads == 1 or form in SHARED}


def of_form(runs: Sequence[Run], number: int) -> Raw:
    fields = [one.output.split() for one in runs]
    return {
        what: [float(words[2 * number + which]) for words in fields]
        for which, what in enumerate(("ns", "cpu"))
    }


def counted(
    setting: Setting,
    ways: dict[str, dict[str, Subject]],
    forms: dict[str, int],
    counter: Counter,
) -> Raw:
    """Futex calls of whole processes: threads, form, version, who, and one for each round."""
    raw: Raw = {}
    for threads in (1, THREADS):
        rounds = 1 if threads == 1 else setting.rounds(3)
        setting.progress.stage(f"{threads} threads: counting futex calls, {rounds} rounds")
        kept: Raw = raw.setdefault(str(threads), {})
        for form, times in repeated(forms, threads).items():
            for version, both in ways.items():
                for who, way in both.items():
                    file = setting.scratch / "counted.py"
                    command = replace(way, body=source({form: times}, threads)).command(file)
                    of_version = kept.setdefault(form, {}).setdefault(version, {})
                    of_version[who] = [counter(command) for _ in range(rounds)]
    return raw


def tables(raw: Raw) -> str:
    times, many = raw["times"], str(raw["threads"])
    parts = [
        "Futex calls are those of whole processes, counted by "
        f"`{raw['counted by']}`; {raw['libc']}. Times are medians; ratios are fastpath to "
        "stock, medians of the ratios of the rounds.",
        f"The article's loop, {times[OS]:,} times, stock:",
        markdown(
            ["Python", "futex calls", "ns for each `import os`"],
            [
                [version, span(of["futexes"]), f"{statistics.median(of['ns']):,.0f}"]
                for version, of in raw["article"].items()
            ],
        ),
    ]
    for threads, what in (
        ("1", "One thread, in a function"),
        (many, f"{many} threads, which share the repetitions"),
    ):
        parts += [
            f"{what}: futex calls, stock; fastpath",
            by_version(raw, threads, raw["futexes"].get(threads, {}), count_cell),
            f"{what}: ns for each, and ratio",
            by_version(raw, threads, raw["timed"][threads], partial(time_cell, "ns")),
            f"{what}: ns of CPU for each, and ratio",
            by_version(raw, threads, raw["timed"][threads], partial(time_cell, "cpu")),
        ]
    return "\n\n".join(parts)


def by_version(raw: Raw, threads: str, kept: Raw, cell: Callable[[Raw], str]) -> str:
    """A row for each form, a column for each version."""
    versions = list(raw["timed"]["1"][OS])
    rows = []
    for form in raw["timed"][threads]:
        cells = [cell(kept.get(form, {}).get(version, {})) for version in versions]
        rows.append([f"`{form}`" if form != MISSING else form, f"{raw['times'][form]:,}", *cells])
    return markdown(["", "times", *versions], rows)


def time_cell(what: str, both: Raw) -> str:
    stock = both["stock"][what]
    text = f"{statistics.median(stock):,.0f}"
    if "fastpath" in both:
        pairs = zip(both["fastpath"][what], stock, strict=True)
        text += f"; {statistics.median(ours / base for ours, base in pairs):.2f} ×"  # noqa: RUF001
    return text


def count_cell(futexes: dict[str, list[int]]) -> str:
    return "; ".join(map(span, futexes.values())) or "–"  # noqa: RUF001


def span(counts: Sequence[int]) -> str:
    """The least and the most; once, if they are the same."""
    if not counts:
        return "–"  # noqa: RUF001
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,}..{most:,}"


def draw(raw: Raw, figure: Any) -> None:
    figure.set_size_inches(12, 5)
    left, right = figure.subplots(1, 2)
    versions = list(raw["timed"]["1"][OS])
    shades = {version: 0.15 + 0.7 * n / len(versions) for n, version in enumerate(versions)}
    _times(raw, left, shades)
    _futexes(raw, right, shades)


def _times(raw: Raw, axes: Any, shades: dict[str, float]) -> None:
    timed = raw["timed"]["1"]
    forms = [form for form in timed if form != NOTHING]
    height = 0.8 / len(shades)
    for number, (version, shade) in enumerate(shades.items()):
        at = [row + (number - len(shades) / 2 + 0.5) * height for row in range(len(forms))]
        stock = [statistics.median(timed[f][version]["stock"]["cpu"]) for f in forms]
        axes.barh(at, stock, height, color=_shade(shade), label=f"{version}, stock")
        ours = [timed[f][version].get("fastpath") for f in forms]
        points = [(statistics.median(of["cpu"]), y) for of, y in zip(ours, at, strict=True) if of]
        label = "with fastpath" if number == len(shades) - 1 else None
        axes.plot([x for x, _ in points], [y for _, y in points], "|k", ms=9, mew=2, label=label)
    axes.set_yticks(range(len(forms)), forms)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlim(left=50)
    axes.set_xlabel("ns of CPU for each (logarithmic)")
    axes.set_title("One thread: CPU")
    axes.legend(fontsize=8)


def _futexes(raw: Raw, axes: Any, shades: dict[str, float]) -> None:
    threads = str(raw["threads"])
    counts = raw["futexes"].get(threads, {})
    height = 0.8 / len(shades)
    for number, (version, shade) in enumerate(shades.items()):
        at = [row + (number - len(shades) / 2 + 0.5) * height for row in range(len(counts))]
        for who, mark in (("stock", None), ("fastpath", "|k")):
            each = [
                (statistics.median(of[version][who]) / raw["times"][form] * 1000, y)
                for (form, of), y in zip(counts.items(), at, strict=True)
                if who in of[version]
            ]
            x, y = [x for x, _ in each], [y for _, y in each]
            if mark:
                axes.plot(x, y, mark, ms=9, mew=2)
            else:
                axes.barh(y, x, height, color=_shade(shade))
    axes.set_yticks(range(len(counts)), list(counts))
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.set_xlabel("calls in 1,000 repetitions (logarithmic)")
    axes.set_title(f"{threads} threads: futex calls of the process")


def _shade(shade: float) -> tuple[float, float, float]:
    return (0.85 - 0.75 * shade, 0.9 - 0.5 * shade, 1 - 0.2 * shade)


EXPERIMENT = Experiment(measure, tables, draw)

if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
