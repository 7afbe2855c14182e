"""Which engine should ask for a batch of paths, and how near to the best does `auto` come?

Runs the benchmark benches/probe.rs, which compares every engine's answers with the serial one's
and then has them take turns: on hot files, on cold ones (root), and on absent names of a slow
filesystem that takes 1 ms for each operation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _cargo import built, no_cargo  # noqa: E402
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import no_dropping, no_slow_mount, slow_mount  # noqa: E402

BENCH = ["bench", "--no-default-features", "--bench", "probe", "--no-run"]
ENGINES = ("serial", "threads", "uring", "auto", "auto first")
FIXED, AUTO = ENGINES[:3], ENGINES[3:]


def measure(setting: Setting) -> Raw:
    obstacle = "compiling the benchmark takes minutes" if setting.quick else no_cargo()
    if not setting.can("all of it", obstacle):
        return {"rows": []}
    setting.progress.stage("compiling benches/probe.rs")
    program = built(BENCH, "probe", ROOT)
    setting.can("cold", no_dropping())
    variables = dict(os.environ)
    with ExitStack() as stack:
        if setting.can("slow", no_slow_mount()):
            empty = setting.scratch / "empty"
            empty.mkdir(exist_ok=True)
            stack.enter_context(slow_mount(str(empty), setting.scratch / "slow", 1))
            variables["FASTPATH_BENCH_SLOW"] = str(setting.scratch / "slow")
        setting.progress.stage("measuring")
        command = [program, "--regret", "--json"]
        said = subprocess.check_output(command, env=variables, cwd=ROOT, text=True)
    return {"rows": json.loads(said)}


def best(row: Raw) -> float:
    """Microseconds of the quickest engine that was chosen beforehand."""
    return min(float(row[engine]["wall_us"]) for engine in FIXED if engine in row)


def tables(raw: Raw) -> str:
    rows = []
    for row in raw["rows"]:
        costs = [f"{shown(row[e])}" if e in row else "" for e in ENGINES]
        ratios = [f"{row[engine]['wall_us'] / best(row):.2f} ×" for engine in AUTO]  # noqa: RUF001
        rows.append([row["bed"], f"{row['paths']:,}", *costs, *ratios])
    return (
        "**A batch of paths**: wall (CPU), milliseconds, medians; and the wall time of `auto` to "
        "that of the quickest engine. *Dense*: thirty files to a directory; *spread*: one.\n\n"
        + markdown(["", "paths", *ENGINES, "auto to best", "first to best"], rows)
    )


def shown(cost: Mapping[str, float]) -> str:
    wall, cpu = cost["wall_us"] / 1e3, cost["cpu_us"] / 1e3
    return f"{wall:.3g} ({cpu:.3g})" if wall < 1000 else f"{wall:,.0f} ({cpu:.0f})"


def draw(raw: Raw, figure: Any) -> None:
    rows = raw["rows"]
    figure.set_size_inches(10, 4.5)
    axes = figure.subplots()
    colours = ("0.4", "#c44e52", "#4c72b0", "#55a868", "#a1d0ae")
    for number, (engine, colour) in enumerate(zip(ENGINES, colours, strict=True)):
        where = [at + (number - 2) * 0.16 for at, row in enumerate(rows) if engine in row]
        values = [row[engine]["wall_us"] / best(row) for row in rows if engine in row]
        axes.bar(where, values, 0.16, label=engine, color=colour)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.axhline(1, color="0.2", linewidth=0.8)
    axes.set_xticks(range(len(rows)), [label(row) for row in rows], fontsize=8)
    axes.set_ylabel("wall time of a batch (quickest engine = 1)")
    axes.set_xlabel("where, and paths in a batch")
    figure.legend(fontsize=8, ncols=len(ENGINES), loc="outside upper center")


def label(row: Raw) -> str:
    return f"{row['bed'].replace(' ', chr(10))}\n{row['paths']:,}"


EXPERIMENT = Experiment(measure, tables, draw)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
