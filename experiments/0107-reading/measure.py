"""Are many files read together by each engine where the filesystem is slow?

Has benches/probe.rs read 10, then 100, then 300 small files of a filesystem that takes 40 ms for
each operation, mounted afresh for each engine, and counts what that filesystem served, and how
much of it one after another: where the kernel keeps attributes for a second, and where it does not.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _cargo import built, no_cargo  # noqa: E402
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import no_slow_mount, slow_mount  # noqa: E402

BENCH = ["bench", "--no-default-features", "--bench", "probe", "--no-run"]
DELAY_MS = 40
FILES = 410
SIZES = (10, 100, 300)
KEPT_S = (1, 0)
# Serial waits for every operation by itself: a minute, and the same each time.
ENGINES = {"serial": 1, "threads": 3, "auto": 3, "uring": 3}


def planted(where: Path) -> Path:
    """Files of 0 to 15 KB."""
    where.mkdir(exist_ok=True)
    for number in range(FILES):
        (where / f"file{number:03}").write_bytes(b"\0" * (number * 37 % 15_360))
    return where


def measure(setting: Setting) -> Raw:
    obstacle = "compiling the benchmark takes minutes" if setting.quick else no_cargo()
    if not setting.can("all of it", obstacle or no_slow_mount()):
        return {"rows": []}
    setting.progress.stage("compiling benches/probe.rs")
    program = built(BENCH, "probe", ROOT)
    source = planted(setting.scratch / "files")
    rows = []
    for kept in KEPT_S:
        for engine, rounds in ENGINES.items():
            if engine == "serial" and not kept:
                continue
            setting.progress.stage(f"{engine}, attributes kept for {kept} s")
            runs = [read(program, source, setting, engine, kept) for _ in range(rounds)]
            rows.append({"engine": engine, "kept_s": kept} | medians(runs))
    return {"rows": rows}


def read(
    program: str, source: Path, setting: Setting, engine: str, kept: float
) -> list[tuple[int, int]]:
    """Operations and waits for each size."""
    with slow_mount(str(source), setting.scratch / "slow", DELAY_MS, kept) as mount:
        variables = os.environ | {"FASTPATH_BENCH_SLOW": str(mount.path)}
        command = [program, "--waits", engine]
        said = subprocess.check_output(command, env=variables, text=True)
    found = []
    for line, size in zip(said.splitlines()[1:], SIZES, strict=True):
        files, read, operations, waits = map(int, line.split()[1:])
        if (files, read) != (size, size):
            raise SystemExit(f"reading: {engine}: wrong: {line}")
        found.append((operations, waits))
    return found


def medians(runs: Sequence[Sequence[tuple[int, int]]]) -> Raw:
    sizes = list(zip(*runs, strict=True))
    return {
        "operations": [round(statistics.median(run[0] for run in mine)) for mine in sizes],
        "waits": [round(statistics.median(run[1] for run in mine)) for mine in sizes],
    }


def tables(raw: Raw) -> str:
    parts = []
    for kept, said in ((1, "kept for a second"), (0, "not kept")):
        rows = []
        for row in (row for row in raw["rows"] if row["kept_s"] == kept):
            pairs = zip(row["waits"], row["operations"], strict=True)
            rows.append([row["engine"], *(f"{waits:,} ({all_:,})" for waits, all_ in pairs)])
        heading = ["", *(f"{size} files" for size in SIZES)]
        parts += [f"**Waits (operations), attributes {said}.**", markdown(heading, rows)]
    return "\n\n".join(parts)


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
