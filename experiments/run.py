"""Runs the experiments of this directory again, one after the other.

Results and pictures go to build/experiments; with --record into the experiments' own folders,
where README.md then has the new tables. An experiment that fails is told at the end, and the
others run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "build" / "experiments"


def experiments() -> list[Path]:
    """The folders, by number."""
    return sorted(script.parent for script in HERE.glob("[0-9]*/measure.py"))


def run(folder: Path, options: argparse.Namespace) -> int:
    """Run one; its exit code. Its tables go to our output, its progress to our stderr."""
    command = [sys.executable, str(folder / "measure.py"), "--rounds", str(options.rounds)]
    if options.record:
        command.append("--record")
    else:
        command += ["--json", str(OUT / f"{folder.name}.json")]
        if find_spec("matplotlib") and (folder / "figure.svg").exists():
            command += ["--plot", str(OUT / f"{folder.name}.svg")]
    if options.quick:
        command.append("--quick")
    return subprocess.run(command, check=False).returncode


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python experiments/run.py --quick 0004 0006",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("number", nargs="*", help="as 0004; all of them if there is none")
    parser.add_argument("--list", action="store_true", help="only say which there are")
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: only shows that they work"
    )
    parser.add_argument("--record", action="store_true", help="replace what the folders say")
    parser.add_argument("--rounds", type=float, default=1.0, metavar="X", help="X times the rounds")
    options = parser.parse_args()
    known = {folder.name[:4] for folder in experiments()}
    if unknown := sorted(set(options.number) - known):
        there_are = ", ".join(sorted(known))
        parser.error(f"no experiment {', '.join(unknown)}; there are {there_are}")
    return options


def main() -> int:
    """0, or 1 if an experiment failed."""
    options = arguments()
    chosen = [f for f in experiments() if not options.number or f.name[:4] in options.number]
    if options.list:
        print("\n".join(folder.name for folder in chosen))
        return 0
    OUT.mkdir(parents=True, exist_ok=True)
    lines = []
    failed = 0
    for folder in chosen:
        print(f"\n== {folder.name}", flush=True)
        start = time.monotonic()
        status = run(folder, options)
        failed += status != 0
        how = "done" if status == 0 else f"FAILED ({status})"
        lines.append(f"{folder.name:32} {how:12} {time.monotonic() - start:6.0f} s")
    print("\n" + "\n".join(lines))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
