"""What does a path of 300 more entries cost at least, and what does it cost?

Imports what benches/_modules.py calls typical with 300 directories in front of `sys.path`: counts
how often fastpath asks them, times what asking costs by `os` alone, and times whole processes,
stock without the entries, stock with them and fastpath with them, in turn.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import environment, extra_entries  # noqa: E402
from _measure import Run, cpu, interleave, median, wall  # noqa: E402
from _measure import run as run_once  # noqa: E402
from _modules import TYPICAL, statements  # noqa: E402
from _subject import Subject, differences, import_seconds  # noqa: E402

SHORT, LONG, OURS = "stock, without the entries", "stock", "fastpath"
TIMES = {"import": import_seconds, "process": wall, "CPU": cpu}


def measure(setting: Setting) -> Raw:
    count = 30 if setting.quick else 300
    python = environment(setting.scratch / "venv")
    entries = extra_entries(setting.scratch / "extra", count)
    home = setting.fastpath()
    long = Subject(python, statements(TYPICAL), front=entries)
    ways = {SHORT: replace(long, front=()), LONG: long, OURS: replace(long, fastpath=home)}
    programs = setting.scratch / "programs"
    setting.progress.stage("comparing what is loaded")
    loaded = {who: way.modules(programs / f"{at}.py") for at, (who, way) in enumerate(ways.items())}
    for who, modules in loaded.items():
        if wrong := differences(loaded[SHORT], modules):
            raise SystemExit(f"long-path: {who}: not as stock has them: {', '.join(wrong)}")
    setting.progress.stage("counting what is asked")
    floors = [floor(setting, python, home, entries) for _ in range(setting.rounds(7))]
    setting.progress.stage("timing")
    commands = {
        who: partial(run_once, way.command(programs / f"{at}.py"))
        for at, (who, way) in enumerate(ways.items())
    }
    runs = interleave(commands, setting.rounds(31), tick=setting.progress.tick)
    return {
        "entries": count,
        "floor": {key: round(statistics.median(f[key] for f in floors), 3) for key in floors[0]},
        "ways": {who: compared(mine, runs[SHORT]) for who, mine in runs.items()},
    }


def floor(setting: Setting, python: str, home: Path, entries: list[str]) -> dict[str, float]:
    """What was asked in a fresh process, and what that costs at least there."""
    listed = setting.scratch / "entries"
    listed.write_text("\n".join(entries))
    script = str(Path(__file__).with_name("floor.py"))
    rounds = "5" if setting.quick else "100"
    command = [python, "-I", "-W", "ignore", script, str(home), str(listed), rounds, *TYPICAL]
    found: dict[str, float] = json.loads(subprocess.check_output(command, text=True))
    return found


def compared(mine: list[Run], base: list[Run]) -> Raw:
    """Medians, milliseconds, and medians of the ratios to the first way in the same round."""
    found: Raw = {}
    for what, of in TIMES.items():
        ratios = [of(one) / of(other) for one, other in zip(mine, base, strict=True)]
        found[what] = [round(median(mine, of) * 1e3, 2), round(statistics.median(ratios), 3)]
    return found


def tables(raw: Raw) -> str:
    of, entries = raw["floor"], raw["entries"]
    rows = []
    for what in ("listings", "stats"):
        each = of["listing_us" if what == "listings" else "stat_us"]
        rows.append([what, f"{of[what]:,.0f}", f"{each:.2f} µs", f"{of[what] * each / 1e3:.2f} ms"])
    least = (of["listings"] * of["listing_us"] + of["stats"] * of["stat_us"]) / 1e3
    share = least / raw["ways"][SHORT]["CPU"][0]
    rows.append(
        ["together", "", "", f"{least:.2f} ms, {share:.1%} of the CPU of stock without them"]
    )
    times = [
        [who, *(f"{ms:.1f} ms, {ratio:.3f} ×" for ms, ratio in costs.values())]  # noqa: RUF001
        for who, costs in raw["ways"].items()
    ]
    return "\n\n".join(
        [
            f"**What {entries} entries are asked** by {of['modules']:.0f} modules in "
            f"{of['lookups']:.0f} lookups, and the least that takes by `os.stat` and `os.scandir`.",
            markdown(["", "count", "each, at least", "together"], rows),
            "**What it comes to**: medians, and ratios to stock without the entries in the same "
            "round; fastpath has the entries.",
            markdown(["", *TIMES], times),
        ]
    )


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
