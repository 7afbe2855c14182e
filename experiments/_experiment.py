"""What the experiments share: options, the machine's description, raw results, tables, a picture.

An experiment is a folder NNNN-name with a README.md, and a measure.py that says how to measure,
how to write its results as Markdown tables, and how to draw them. This file does the rest: it runs
them, and with --record keeps results.json, figure.svg and the part of README.md between two marks
in step with each other. What somebody thought about the results is theirs alone to write.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "benches"))
from _ground import unpacked  # noqa: E402
from _report import Progress  # noqa: E402

Raw = dict[str, Any]
"""What was measured, as JSON has it: nothing that can be computed from the rest of it."""

BEGIN = "<!-- results: written by measure.py --record -->"
END = "<!-- end of results -->"
FIGURE = "figure.svg"
RESULTS = "results.json"


@dataclass
class Setting:
    """What an experiment works with."""

    quick: bool
    """Whether only to show that it works: the smallest sizes that have all the parts."""
    scratch: Path
    """build/experiments/NNNN: kept, so that what is slow to make is made once."""
    progress: Progress = field(default_factory=Progress)
    left_out: list[str] = field(default_factory=list)
    rounds_factor: float = 1.0

    def rounds(self, many: int) -> int:
        """How often to repeat what wants `many` rounds; 2 when quick."""
        return 2 if self.quick else max(2, round(many * self.rounds_factor))

    def can(self, what: str, obstacle: str | None) -> bool:
        """Whether there is no obstacle; else it is told, and kept with the results."""
        if obstacle:
            self.left_out.append(f"{what}: {obstacle}")
            print(f"left out: {what}: {obstacle}", file=sys.stderr, flush=True)
        return not obstacle

    def fastpath(self) -> Path:
        """A directory that holds the package of target/wheels and nothing else."""
        wheels = sorted((ROOT / "target" / "wheels").glob("*.whl"))
        if not wheels:
            raise SystemExit("there is no wheel in target/wheels: make build")
        return unpacked(wheels[-1], self.scratch / "fastpath")


@dataclass(frozen=True)
class Experiment:
    """How one experiment is done."""

    measure: Callable[[Setting], Raw]
    tables: Callable[[Raw], str]
    """Results as Markdown."""
    draw: Callable[[Raw, Any], None] | None = None
    """Draws results into an empty matplotlib Figure, of which it may set the size."""


def main(file: str, experiment: Experiment) -> int:
    """Do what the command line of a measure.py asks for; its exit code."""
    home = Path(file).resolve().parent
    options = _arguments(file)
    if options.render:
        report = json.loads((home / RESULTS).read_text())
    else:
        report = _measured(home, experiment, options)
    block = results_block(report, experiment)
    if options.json:
        options.json.write_text(_json(report))
    if options.plot:
        _draw(experiment, report, options.plot)
    if options.record or options.render:
        if report["quick"]:
            raise SystemExit("--quick measures nothing that is worth keeping")
        (home / RESULTS).write_text(_json(report))
        if experiment.draw:
            _draw(experiment, report, home / FIGURE)
        readme = home / "README.md"
        readme.write_text(with_block(readme.read_text(), block))
    else:
        print(block.replace(BEGIN, "").replace(END, "").strip())
    return 0


def _arguments(file: str) -> argparse.Namespace:
    doc = sys.modules["__main__"].__doc__ or ""
    parser = argparse.ArgumentParser(
        description=doc,
        epilog=f"example: python experiments/{Path(file).parent.name}/measure.py --quick",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: only shows that it works"
    )
    parser.add_argument("--rounds", type=float, default=1.0, metavar="X", help="X times the rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the raw results to FILE")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw them (svg, png)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--record", action="store_true", help="replace what this folder says")
    what.add_argument(
        "--render", action="store_true", help="measure nothing: tables and picture of what is kept"
    )
    return parser.parse_args()


def _measured(home: Path, experiment: Experiment, options: argparse.Namespace) -> Raw:
    scratch = ROOT / "build" / "experiments" / home.name
    scratch.mkdir(parents=True, exist_ok=True)
    setting = Setting(options.quick, scratch, rounds_factor=options.rounds)
    before = machine(scratch)
    start = time.monotonic()
    results = experiment.measure(setting)
    return {
        "machine": before,
        "quick": options.quick,
        "seconds": round(time.monotonic() - start),
        "left_out": setting.left_out,
        "results": results,
    }


def machine(place: Path) -> Raw:
    """What a reader has to know to compare: processors, kernel, disk, load, day."""
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", info.read_text()) if info.exists() else []
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cpus": os.cpu_count(),
        "cpu": " ".join(names[0].split()) if names else platform.machine(),
        "filesystem": filesystem(place),
        "load": round(os.getloadavg()[0], 1),
    }


def filesystem(place: Path) -> str:
    """The type of the filesystem that a path lies on, as stat(1) of GNU calls it."""
    done = subprocess.run(
        ["stat", "--file-system", "--format", "%T", str(place)], capture_output=True, text=True
    )
    return done.stdout.strip().replace("ext2/ext3", "ext4") or "unknown"


def results_block(report: Raw, experiment: Experiment) -> str:
    """What stands between the marks of README.md, marks included."""
    of = report["machine"]
    where = (
        f"{of['date']}, {of['system']}, {of['cpus']} × {of['cpu']}, {of['filesystem']}, "  # noqa: RUF001
        f"load {of['load']} before; {report['seconds']} s."
    )
    parts = [BEGIN, where, experiment.tables(report["results"]).strip()]
    if experiment.draw:
        parts.append(f"![the same as a picture]({FIGURE})")
    if report["left_out"]:
        parts.append("Left out: " + "; ".join(report["left_out"]) + ".")
    return "\n\n".join([*parts, END])


def with_block(text: str, block: str) -> str:
    """A README with this in place of what stood between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"README.md has no place for results: {BEGIN} ... {END}")
    return before + block + after


def markdown(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [list(heading), ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _json(report: Raw) -> str:
    """Indented, but for lists of numbers, which have a line each."""
    text = json.dumps(report, indent=1, sort_keys=False, ensure_ascii=False)
    return re.sub(r"\[[-0-9eE.,\s]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


def _draw(experiment: Experiment, report: Raw, file: Path) -> None:
    if experiment.draw is None:
        raise SystemExit("this experiment has no picture")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise SystemExit(
            "a picture needs matplotlib: pip install -r requirements/plot.txt"
        ) from None
    # The same results give the same file, and its text is text.
    mpl.rcParams.update({"svg.hashsalt": "experiment", "svg.fonttype": "none"})
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    experiment.draw(report["results"], figure)
    metadata = {"Date": None} if file.suffix == ".svg" else None
    figure.savefig(file, metadata=metadata)
