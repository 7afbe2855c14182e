"""Launches real command lines by the hundred, several at a time, as a farm of machines does.

`pip --version`, `django-admin --version` and `aws --version`, each in a fresh process, by stock
and by every way of using fastpath that this fastpath has: without a table shared between
processes, with one, and with a sealed environment. On a local disk with all of it in the page
cache; on the same with the kernel's caches dropped before each batch; and with the environment on
a filesystem that takes 1 ms per operation. The ways take turns, answers are compared with stock's
first; figures are medians over the rounds. Works in build/farm and keeps there what is slow to
make. `make bench-farm` runs this.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from _bench import WrongAnswer
from _farm import TOGETHER, Farm, Row
from _farm_grounds import Cold, Hot, Slow
from _farm_ways import CONTROL, KINDS, prepare
from _ground import ROOT
from _measure import RunFailed, strace
from _report import Progress, ms, ratio, table

LEGEND = f"""\
Medians over rounds of batches; x: to stock. CPU ms: user and system, of one launch. file calls: of
one launch, system calls that take a path or a descriptor (strace, engine serial); at 1 ms,
operations served by the filesystem, and waits: as many of them went out one after another.
{TOGETHER}: each command line as often."""
PICTURES = (".svg", ".png")


def show(rows: Sequence[Row]) -> str:
    """The table."""
    lines: list[list[str]] = [
        ["", "", "", "launches/s", "", "CPU ms", "", "file calls", "", "waits", ""]
    ]
    before = base = rows[0]
    for number, row in enumerate(rows):
        if (row.ground, row.line) != (base.ground, base.line):
            base = row
        if row.ground != before.ground and number:
            lines.append([])
        first = row is base
        lines.append(
            [
                row.ground if number == 0 or row.ground != before.ground else "",
                row.line if first else "",
                row.way,
                rate(row.per_second),
                "" if first else ratio(row.per_second, base.per_second),
                ms(row.cpu_s),
                "" if first else ratio(row.cpu_s, base.cpu_s),
                counted(row.calls),
                "" if first or row.calls is None else ratio(row.calls, base.calls or 0),
                counted(row.waits),
                "" if first or row.waits is None else ratio(row.waits, base.waits or 0),
            ]
        )
        before = row
    return table(lines, left=3)


def rate(value: float) -> str:
    """Three digits, or all that stand before the point."""
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def counted(value: float | None) -> str:
    """A count, empty where nothing was counted."""
    return "" if value is None else f"{value:,.0f}"


def measure(arguments: argparse.Namespace) -> tuple[list[Row], list[str]]:
    """Every ground that this machine has: the rows, and a line for each thing left out."""
    home, progress, jobs = ROOT / "build" / "farm", Progress(), arguments.jobs
    home.mkdir(parents=True, exist_ok=True)
    kinds = CONTROL if arguments.control else KINDS
    ways, notes = prepare(kinds, home, arguments.wheel, stage=progress.stage)
    if strace() is None:
        notes.append("skip: counting system calls: needs strace")
    farm = Farm(ways, home, jobs, progress)
    # What cold launches cost is over after the first of each job; slow ones take seconds.
    for ground in (
        Hot(arguments.launches, arguments.batch),
        Cold(arguments.cold_launches, jobs),
        Slow(arguments.slow_launches, 2 * jobs),
    ):
        if ground.launches:
            farm.on(ground)
    return farm.rows, notes + farm.notes


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="example: benches/farm.py --wheel target/wheels/*.whl --launches 120 "
        "--cold-launches 0 --slow-launches 0 --plot build/farm.svg",
    )
    which = top.add_mutually_exclusive_group(required=True)
    which.add_argument("--wheel", type=Path, help="the fastpath wheel to measure")
    which.add_argument(
        "--control", action="store_true", help="stock in fastpath's place: shows the noise"
    )
    for name, usual, what in (
        ("--launches", 1000, "on the local disk, hot"),
        ("--cold-launches", 60, "with the kernel's caches dropped before each batch (needs root)"),
        ("--slow-launches", 60, "at 1 ms per operation (needs root, FUSE and the test bed)"),
    ):
        top.add_argument(
            name,
            type=natural,
            default=usual,
            metavar="N",
            help=f"how many launches by each way {what}; 0 leaves that out [{usual}]",
        )
    cpus = os.cpu_count() or 1
    top.add_argument(
        "--jobs",
        type=positive,
        default=cpus,
        metavar="P",
        help=f"how many launches at a time [the CPUs, here {cpus}]",
    )
    top.add_argument(
        "--batch",
        type=positive,
        default=20,
        metavar="N",
        help="how many launches by one way before it is another's turn, on the hot disk [20]",
    )
    top.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")
    top.add_argument(
        "--plot",
        type=picture,
        metavar="FILE",
        help="draw them into FILE, .svg or .png; needs matplotlib (requirements/plot.txt)",
    )
    return top


def natural(text: str) -> int:
    """A number, or none at all."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of launches")
    return int(text)


def positive(text: str) -> int:
    """A number of at least 1."""
    if natural(text) == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def picture(text: str) -> Path:
    """Where a picture can be drawn: asked before anything is measured, not after."""
    file = Path(text)
    if file.suffix not in PICTURES:
        raise argparse.ArgumentTypeError(f"{text!r} ends in none of {', '.join(PICTURES)}")
    if importlib.util.find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError(
            "needs matplotlib: python -m pip install -r requirements/plot.txt"
        )
    return file


def main() -> int:
    """Parse, measure, print. 0, or 2 if an answer was wrong or a launch failed."""
    top = parser()
    arguments = top.parse_args()
    if not (arguments.launches or arguments.cold_launches or arguments.slow_launches):
        top.error("nothing to launch")
    try:
        rows, notes = measure(arguments)
    except (RunFailed, WrongAnswer) as wrong:
        print(f"farm: {wrong}", file=sys.stderr)
        return 2
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpus": os.cpu_count(),
        "jobs": arguments.jobs,
    }
    print(
        f"\nCPython {machine['python']}, {machine['system']}, {machine['cpus']} CPUs, "
        f"{machine['jobs']} launches at a time\n"
    )
    if rows:
        print(show(rows))
    print(f"\n{LEGEND}")
    print(*notes, sep="\n")
    if arguments.json:
        report = {"machine": machine, "rows": [asdict(row) for row in rows], "notes": notes}
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    if arguments.plot and rows:
        from _farm_plot import draw

        draw(rows, arguments.plot, f"launches per second, {arguments.jobs} at a time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
