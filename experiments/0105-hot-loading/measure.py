"""How many instructions of user space does importing 500 modules of the standard library take?

Counts with callgrind, which no other load disturbs, what the figure `hot` times: stock, fastpath,
fastpath with each part switched off, and the same modules from memory. What the interpreter and
the preparation take is counted by a program without imports, and taken off. Look-ahead is off
but in one row, for valgrind makes every filesystem slow.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _bench import Bench  # noqa: E402
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import environment  # noqa: E402
from _loading import PARTS  # noqa: E402
from _memory import BYTECODE, CODE, from_memory  # noqa: E402
from _subject import Subject  # noqa: E402

CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
QUICK = "import json\n"


def no_valgrind() -> str | None:
    """Why nothing can be counted here; None if it can."""
    return None if shutil.which(CALLGRIND[0]) else "needs valgrind"


def instructions(way: Subject, file: Path) -> int:
    """Of one process, with names hashed the same in all of them."""
    python, program = way.python, way.command(file)[-1]
    # As -I, but for the seed of hashes; the program's directory holds nothing that is imported.
    command = [*CALLGRIND, python, "-s", "-W", "ignore", program]
    env = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def ways(bench: Bench, stock: Subject) -> Mapping[str, Subject]:
    """What is compared, after what fastpath loads has been compared with what stock does."""
    ours = replace(stock, fastpath=bench.fastpath)
    local = [part for part in PARTS if part != "look-ahead"]
    found = {"stock": stock, "fastpath": replace(ours, off=["look-ahead"])}
    for part in local:
        found[f"without {part}"] = replace(ours, off=["look-ahead", part])
    found["with look-ahead, as if the disk were slow"] = ours
    bench.check("instructions", found)
    memory = from_memory(stock, bench.home / "programs" / "instructions-kept.bin")
    found["all bytecode in memory"] = memory[BYTECODE]
    found["all code objects in memory: execute only"] = memory[CODE]
    return found


def measure(setting: Setting) -> Raw:
    million: dict[str, float] = {}
    if setting.can("counting", no_valgrind()):
        python = environment(setting.scratch / "venv")
        bench = Bench(
            home=setting.scratch,
            python=python,
            wheel=None,
            fastpath=setting.fastpath(),
            repeat=1,
            progress=setting.progress,
            wanted=set(),
        )
        stock = Subject(python, QUICK) if setting.quick else bench.library()
        file = setting.scratch / "programs" / "counted.py"
        idle: dict[str, int] = {}
        compared = ways(bench, stock)
        for who in list(compared)[:2] if setting.quick else compared:
            setting.progress.stage(who)
            way = compared[who]
            # The interpreter alone, and what is prepared; installing fastpath is counted.
            if way.before not in idle:
                idle[way.before] = instructions(replace(way, body="", fastpath=None), file)
            million[who] = round((instructions(way, file) - idle[way.before]) / 1e6, 2)
    return {"million": million}


def tables(raw: Raw) -> str:
    million = raw["million"]
    rows = [
        [who, f"{value:,.1f}", f"{value / million['stock']:.3f}"] for who, value in million.items()
    ]
    return (
        "**Instructions of user space**, in millions, without those of an interpreter that imports "
        "nothing.\n\n" + markdown(["", "instructions", "to stock"], rows)
    )


def draw(raw: Raw, figure: Any) -> None:
    million = raw["million"]
    figure.set_size_inches(8, 3.2)
    axes = figure.subplots()
    values = [value / million["stock"] for value in million.values()]
    looks = {"stock": "0.4", "all": "#ccb974"}
    colours = [looks.get(who.split()[0], "#4c72b0") for who in million]
    bars = axes.barh(range(len(values)), values, color=colours)
    axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=8)
    axes.axvline(0.8, color="#c44e52", linewidth=1, linestyle="--", label="the bound, 0.80")
    axes.set_yticks(range(len(values)), list(million), fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.15 * max(values, default=1))
    axes.set_xlabel("instructions of user space (stock = 1)")
    axes.legend(fontsize=8, loc="lower right")


EXPERIMENT = Experiment(measure, tables, draw)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
