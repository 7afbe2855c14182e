"""Measures what fastpath promises, and shows each figure beside the promise.

Every figure is a median of alternating fresh processes, as a ratio to (or a difference from)
stock in the same run, after the answers have been compared: a wrong answer ends the run with
status 2. A figure that is a count must hold (status 1 if it does not); times are only reported,
for a busy machine proves nothing either way. Works in build/figures and keeps there what is slow
to make. `make bench` runs this; the figures themselves are in
_figures.py, _loading.py, _table.py and _picture.py.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import _figures
import _loading
import _picture
import _table
from _bench import Bench, Line, WrongAnswer
from _ground import ROOT, environment, unpacked
from _measure import RunFailed
from _report import Progress, table

FIGURES = _figures.FIGURES | _loading.FIGURES | _table.FIGURES | _picture.FIGURES


def show(lines: Sequence[Line]) -> str:
    """The table."""
    rows = [["figure", "", "stock", "fastpath", "measured", "at most", ""]]
    for line in lines:
        verdict = "" if line.limit is None else "holds" if line.holds else "OVER"
        rows.append(
            [
                line.figure,
                line.what,
                number(line.stock),
                number(line.ours),
                f"{number(line.measured)} {line.unit}".rstrip(),
                "" if line.limit is None else f"{line.limit:g} {line.unit}".rstrip(),
                verdict,
            ]
        )
    return table(rows, left=2)


def number(value: float) -> str:
    """As many digits as mean something."""
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:.3f}"


def measure(arguments: argparse.Namespace) -> tuple[list[Line], list[str]]:
    """The figures asked for, in their order, and a note for each that could not be had."""
    home = ROOT / "build" / "figures"
    progress = Progress()
    progress.stage("making build/figures/venv")
    wanted = set(arguments.figure or FIGURES)
    bench = Bench(
        home=home,
        python=environment(home / "venv"),
        wheel=arguments.wheel,
        fastpath=unpacked(arguments.wheel, home / "fastpath") if arguments.wheel else None,
        repeat=0.2 if arguments.quick else 1.0,
        progress=progress,
        wanted=wanted,
    )
    lines: list[Line] = []
    for figure in dict.fromkeys(FIGURES[name] for name in FIGURES if name in wanted):
        lines += figure(bench)
    return lines, bench.notes


def main() -> int:
    """Parse, measure, print. 0, or 1 if a count does not hold, or 2 if an answer was wrong."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="example: benches/figures.py --wheel target/wheels/*.whl pass stdlib",
    )
    parser.add_argument("figure", nargs="*", help=f"all of them, or: {', '.join(FIGURES)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds; figures are rough")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to FILE too")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--wheel", type=Path, help="the fastpath wheel to measure")
    which.add_argument(
        "--control", action="store_true", help="stock in fastpath's place: shows the noise"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.figure) - FIGURES.keys()
    if unknown:
        parser.error(f"no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    try:
        lines, notes = measure(arguments)
    except (RunFailed, WrongAnswer) as wrong:
        print(f"figures: {wrong}", file=sys.stderr)
        return 2
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpus": os.cpu_count(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
    print(f"\nCPython {machine['python']}, {machine['system']}, {machine['cpus']} CPUs\n")
    print(show(lines))
    print("\nstock, fastpath: ms, or the unit of the row; medians of alternating fresh processes")
    for note in notes:
        print(note)
    if arguments.json:
        report = {
            "machine": machine,
            "figures": [{**asdict(line), "holds": line.holds} for line in lines],
            "notes": notes,
        }
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if all(line.holds for line in lines if line.hard) else 1


if __name__ == "__main__":
    sys.exit(main())
