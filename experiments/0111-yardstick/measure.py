"""Are our engines within 5 % of the same work in C, on the same paths?

Runs the benchmark benches/cshim.rs, which compares every answer and then has ours and the C of
cshim/ take turns on hot files and on absent names.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _cargo import built, no_cargo  # noqa: E402
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402

BENCH = ["bench", "--no-default-features", "--features", "cshim", "--bench", "cshim", "--no-run"]
PAIRS = 101
NAMES = {"present": "files", "absent": "absent names"}


def measure(setting: Setting) -> Raw:
    obstacle = "compiling the benchmark takes minutes" if setting.quick else no_cargo()
    if not setting.can("all of it", obstacle):
        return {"pairs": PAIRS, "rows": []}
    setting.progress.stage("compiling benches/cshim.rs")
    program = built(BENCH, "cshim", ROOT)
    pairs = setting.rounds(PAIRS)
    setting.progress.stage(f"{pairs} pairs of each")
    said = subprocess.check_output([program, "--ratios", str(pairs)], cwd=ROOT, text=True)
    # The first line is the heading, and then: kind, engine, paths, C's times, and the ratios.
    rows = [line.split() for line in said.splitlines()[1:] if line.strip()]
    keys = ("kind", "engine", "paths", "c_us", "c_cpu_us", "wall", "cpu")
    return {"pairs": pairs, "rows": [dict(zip(keys, row, strict=True)) for row in rows]}


def tables(raw: Raw) -> str:
    found = {(row["engine"], row["kind"], row["paths"]): row for row in raw["rows"]}
    sizes = sorted({row["paths"] for row in raw["rows"]}, key=int)
    rows = []
    for engine, kind in dict.fromkeys((row["engine"], row["kind"]) for row in raw["rows"]):
        cells = [_cell(found[engine, kind, size]) for size in sizes]
        rows.append([f"{engine}, {NAMES[kind]}", *cells])
    heading = ["paths", *(f"{int(size):,}" for size in sizes)]
    return (
        "**A batch, ours to C**: CPU (wall), medians of the ratios of "
        f"{raw['pairs']} pairs. One path is a plain call under every engine of ours, and a ring in "
        "C.\n\n" + markdown(heading, rows)
    )


def _cell(row: Raw) -> str:
    return f"{float(row['cpu']):.2f} ({float(row['wall']):.2f})"


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
