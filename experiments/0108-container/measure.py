"""How big are the containers of a shared table, and what do opening, asking and reading them cost?

Builds the program of this folder, has it store what is known of a standard library in LMDB, as an
rkyv archive and laid by hand, and times, all ways in turn, opening these, asking them, and reading
pieces of the one laid by hand. Then a small one of these is damaged in every byte.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _cargo import built, no_cargo  # noqa: E402
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import standard_library  # noqa: E402

HERE = Path(__file__).resolve().parent
MEDIAN = re.compile(r"  (\S.*?)  +([0-9.]+)  +([0-9.]+)")
SIZE = re.compile(r"(\w+) +(\d+) bytes  ([0-9.]+) of the bytecode")
TIMES = {
    "opening": "Opening, µs",
    "name": "Generation and one name, ns",
    "module": "A module's stamps and a copy of its bytes, ns",
    "again": "A piece, again and again, ns",
    "small": "A piece of the smaller half, ns",
    "large": "A piece of the larger half, ns",
    "fresh": "A piece, the first time, in fresh processes, ns",
}


def measure(setting: Setting) -> Raw:
    obstacle = "compiling the program takes minutes" if setting.quick else no_cargo()
    if not setting.can("all of it", obstacle):
        return {"stored": "", "sizes": {}, "times": {}, "damaged": {}}
    setting.progress.stage("compiling")
    program = built(["build", "--release"], "container", HERE)
    tree = standard_library(sys.executable)
    folder = setting.scratch / "big"
    folder.mkdir(exist_ok=True)

    def said(*words: str | Path) -> list[str]:
        setting.progress.stage(words[0] if isinstance(words[0], str) else "")
        return subprocess.check_output([program, *words], text=True).splitlines()

    stored, *sizes = said("write", tree, folder)
    opens = said("opens", folder)
    lookups = said("lookups", tree, folder)
    pieces = said("pieces", tree, folder)
    small = setting.scratch / "small"
    small.mkdir(exist_ok=True)
    hostile = said("hostile", f"{tree}/ctypes/macholib", small, "flat-read")
    taken = [*groups(opens), *groups(lookups), *groups(pieces[1:])]
    return {
        "stored": stored,
        "sizes": {m[1]: [int(m[2]), float(m[3])] for m in map(SIZE.fullmatch, sizes) if m},
        "times": dict(zip(TIMES, taken, strict=True)),
        "damaged": dict(line.strip().split(": ", 1) for line in hostile[1:]),
    }


def groups(lines: Sequence[str]) -> list[Raw]:
    """Medians and ratios by way, for each heading that has any."""
    found: list[Raw] = []
    is_heading = True
    for line in lines:
        match = MEDIAN.fullmatch(line)
        if match:
            if is_heading:
                found.append({})
            found[-1][match[1]] = [float(match[2]), float(match[3])]
        is_heading = match is None
    return found


def tables(raw: Raw) -> str:
    sizes = [[kind, f"{size:,}", f"{share:.3f}"] for kind, (size, share) in raw["sizes"].items()]
    damaged = [[what, counts] for what, counts in raw["damaged"].items()]
    parts = [
        raw["stored"] + ".",
        markdown(["container", "bytes", "to the bytecode's"], sizes),
        "**Containers**: medians, and ratios to *flat-copied*.",
        times_table(raw["times"], ("opening", "name", "module")),
        "**Reading pieces** of the flat file: medians, and ratios to reading the `.pyc`.",
        times_table(raw["times"], ("again", "small", "large", "fresh")),
        "**A small flat file, damaged**, and everything asked of it by `flat-read`: how many ended "
        "how.",
        markdown(["", "outcomes"], damaged),
    ]
    return "\n\n".join(parts)


def times_table(times: Raw, which: Sequence[str]) -> str:
    """A row for each way, a column for each of these measurements."""
    ways = sorted({way for what in which for way in times.get(what, {})})
    rows = []
    for way in ways:
        cells = [times[what].get(way) for what in which]
        rows.append([way, *(f"{c[0]:,.0f}; {c[1]:.2f} ×" if c else "" for c in cells)])  # noqa: RUF001
    return markdown(["", *(TIMES[what] for what in which)], rows)


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
