"""How many instructions of user space does importing 500 modules of the standard library take?

Counts with callgrind, which no other load disturbs, what the figure `hot` times: stock, fastpath,
fastpath with each part switched off, and the same modules from memory. What the interpreter and
the preparation take is counted by a program without imports, and taken off. Look-ahead is off
but in one row, for valgrind makes every filesystem slow.

usage, after benches/figures.py has made build/figures:
    .venv/bin/python experiments/0105-hot-loading/measure.py
"""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benches"))
from _bench import Bench  # noqa: E402
from _loading import PARTS  # noqa: E402
from _memory import BYTECODE, CODE, from_memory  # noqa: E402
from _report import Progress  # noqa: E402
from _subject import Subject  # noqa: E402

HOME = ROOT / "build" / "figures"
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]


def instructions(way: Subject, file: Path) -> int:
    """Of one process, with names hashed the same in all of them."""
    python, program = way.python, way.command(file)[-1]
    # As -I, but for the seed of hashes.
    command = [*CALLGRIND, python, "-s", "-P", "-W", "ignore", program]
    env = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def main() -> None:
    bench = Bench(
        home=HOME,
        python=str(HOME / "venv" / "bin" / "python"),
        wheel=None,
        fastpath=HOME / "fastpath",
        repeat=1,
        progress=Progress(),
        wanted=set(),
    )
    stock = bench.library()
    ours = replace(stock, fastpath=bench.fastpath)
    memory = from_memory(stock, HOME / "programs" / "instructions-kept.bin")
    local = [part for part in PARTS if part != "look-ahead"]
    ways = {"stock": stock, "fastpath": replace(ours, off=["look-ahead"])}
    for part in local:
        ways[f"without {part}"] = replace(ours, off=["look-ahead", part])
    ways["with look-ahead"] = ours
    ways |= {"bytecode in memory": memory[BYTECODE], "execute only": memory[CODE]}
    base = 0
    for who, way in ways.items():
        file = HOME / "programs" / "instructions.py"
        # The interpreter alone, and what is prepared; installing fastpath is part of the import.
        idle = instructions(replace(way, body="", fastpath=None), file)
        million = (instructions(way, file) - idle) / 1e6
        base = base or million
        print(f"{who:22} {million:8.1f}  {million / base:.3f}", flush=True)


if __name__ == "__main__":
    main()
