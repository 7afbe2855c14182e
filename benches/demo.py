"""Imports real packages, stock and with fastpath, and shows what each way cost, in one table.

Three situations: the environment as it is; 300 more entries in front of sys.path; and the same
with site-packages and those entries on a filesystem that takes 1 ms per operation, where every
engine is shown beside the others, and each process gets a fresh mount. In each, what was loaded is
compared with stock first: every module, its spec, its __file__ and its __path__. Runs alternate,
each in a fresh process; figures are medians. Works in build/demo and leaves it there; the measured
programs are in build/demo/programs, to be read and run by hand. `make demo` runs this.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from _ground import (
    ROOT,
    environment,
    extra_entries,
    no_slow_mount,
    run_on_fresh,
    site_packages,
    unpacked,
)
from _measure import (
    Run,
    RunFailed,
    cpu,
    interleave,
    median,
    operations,
    run,
    strace,
    system_calls,
    waits,
    wall,
)
from _modules import PACKAGES
from _report import Progress, ms, ratio, table
from _subject import Subject, differences

IMPORTS = {**PACKAGES, "numpy": "import numpy\n"}
EXTRA = 300
DELAY_MS = 1.0
SECONDS = 35
"""No further round of a situation begins later than this after its first."""
AS_IS = "the environment as it is"
LONG = f"{EXTRA} more entries in front"
SLOW = f"the same, {DELAY_MS:g} ms per operation"


@dataclass(frozen=True)
class Row:
    """What one way of importing cost in one situation."""

    situation: str
    who: str
    modules: int
    different: list[str]
    """The modules that were not as stock has them."""
    wall_s: float
    cpu_s: float
    calls: int | None
    """System calls, or operations that the slow filesystem served; None if not counted."""
    waits: int | None = None
    """How many of those operations went out one after another; None on a local disk."""


class Demo:
    """Runs one situation after the other and collects the rows."""

    def __init__(self, home: Path, progress: Progress) -> None:
        """Work in `home`, and say so to `progress`."""
        self._programs = home / "programs"
        self._progress = progress
        self._tracer = strace()
        self.rows: list[Row] = []

    def situation(
        self,
        name: str,
        ways: dict[str, Subject],
        rounds: int,
        how: Callable[[Sequence[str]], Run] = run,
    ) -> None:
        """Check, count and time the ways; the first one is stock. `how` runs a command."""
        slug = name.replace(",", "").replace(" ", "-")
        files = {who: self._programs / f"{slug}-{who}.py" for who in ways}

        self._progress.stage(f"{name}: comparing what is loaded")
        loaded = {who: way.modules(files[who], how) for who, way in ways.items()}
        stock = next(iter(loaded.values()))

        commands = {who: way.command(files[who]) for who, way in ways.items()}
        calls: dict[str, int] = {}
        if self._tracer and how is run:
            self._progress.stage(f"{name}: counting system calls")
            for who, way in ways.items():
                # A traced call makes its thread sleep, which `auto` would take for a slow disk.
                counted = replace(way, backend="serial")
                command = counted.command(files[who].with_suffix(".counted.py"))
                calls[who] = system_calls(self._tracer, command)

        self._progress.stage(f"{name}: timing, up to {rounds} rounds of {len(ways)} processes")
        timed = interleave(
            {who: partial(how, command) for who, command in commands.items()},
            rounds,
            SECONDS,
            self._progress.tick,
        )
        for who in ways:
            served = round(median(timed[who], operations))
            self.rows.append(
                Row(
                    name,
                    who,
                    len(loaded[who]),
                    differences(stock, loaded[who]),
                    median(timed[who], wall),
                    median(timed[who], cpu),
                    calls.get(who, served or None),
                    round(median(timed[who], waits)) if served else None,
                )
            )


def demonstrate(arguments: argparse.Namespace, progress: Progress) -> tuple[list[Row], list[str]]:
    """Every situation that this machine allows: the rows, and a line for each left out."""
    home = ROOT / "build" / "demo"
    notes = []
    progress.stage(f"installing {', '.join(IMPORTS)} into build/demo/venv")
    python = environment(home / "venv", list(IMPORTS))
    fastpath = unpacked(arguments.wheel, home / "fastpath") if arguments.wheel else None
    entries = extra_entries(home / "extra", EXTRA)
    rounds, slow_rounds = (3, 1) if arguments.quick else (9, 3)
    demo = Demo(home, progress)
    if strace() is None:
        notes.append("skip: counting system calls: needs strace")

    stock = Subject(python, "".join(IMPORTS.values()))
    ours = replace(stock, fastpath=fastpath)
    # What is loaded is compared first: that process leaves a table for those that are timed.
    shared = replace(ours, cache=str(home / "tables"))
    ways = {"stock": stock, "fastpath": ours, "with a table": shared}
    demo.situation(AS_IS, ways, rounds)
    ways = {who: replace(way, front=entries) for who, way in ways.items()}
    stock = ways["stock"]
    demo.situation(LONG, ways, rounds)

    reason = no_slow_mount()
    if reason:
        notes.append(f"skip: {SLOW}: {reason}")
        return demo.rows, notes
    site, slow = site_packages(python), home / "slow"
    front = [str(slow / "extra" / Path(entry).name) for entry in entries]
    stock = replace(stock, front=front, moved={site: str(slow / "site-packages")})
    ways = {"stock": stock}
    for engine in ("serial", "threads", "uring", "auto"):
        way = replace(stock, fastpath=fastpath, backend=engine)
        why = way.unusable(engine, home / "programs" / f"usable-{engine}.py")
        if why:
            notes.append(f"skip: engine {engine}: {why}")
        else:
            ways[engine] = way
    sources = {slow / "site-packages": site, slow / "extra": str(home / "extra")}
    demo.situation(SLOW, ways, slow_rounds, partial(run_on_fresh, sources, DELAY_MS))
    return demo.rows, notes


def show(rows: Sequence[Row]) -> str:
    """The table."""
    lines: list[list[str]] = [
        ["", "", "wall ms", "", "CPU ms", "", "calls", "", "waits", "", "modules and specs"]
    ]
    base = rows[0]
    for row in rows:
        first = row.situation != base.situation or row is rows[0]
        if first:
            base = row
            lines += [[]] if row is not rows[0] else []
        same = f"{row.modules:,}" if first else verdict(row)
        lines.append(
            [
                row.situation if first else "",
                row.who,
                ms(row.wall_s),
                "" if first else ratio(row.wall_s, base.wall_s),
                ms(row.cpu_s),
                "" if first else ratio(row.cpu_s, base.cpu_s),
                "" if row.calls is None else f"{row.calls:,}",
                "" if first or row.calls is None else ratio(row.calls, base.calls or 0),
                "" if row.waits is None else f"{row.waits:,}",
                "" if first or row.waits is None else ratio(row.waits, base.waits or 0),
                same,
            ]
        )
    return table(lines, left=2)


def verdict(row: Row) -> str:
    """Whether what was loaded is what stock loads."""
    if not row.different:
        return "identical"
    more = ", ..." if len(row.different) > 3 else ""
    return f"{len(row.different)} DIFFER: {', '.join(row.different[:3])}{more}"


def main() -> int:
    """Parse, run, print. 0 if every way loaded what stock loads, 1 if not, 2 if one failed."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="example: benches/demo.py --wheel target/wheels/*.whl --quick --json",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds; figures are rough")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--wheel", type=Path, help="the fastpath wheel to show")
    which.add_argument(
        "--control",
        action="store_true",
        help="stock in fastpath's place: shows the noise",
    )
    arguments = parser.parse_args()
    try:
        rows, notes = demonstrate(arguments, Progress())
    except RunFailed as failed:
        print(f"demo: {failed}", file=sys.stderr)
        return 2
    if arguments.json:
        json.dump(
            {"rows": [asdict(row) for row in rows], "notes": notes},
            sys.stdout,
            indent=2,
        )
        print()
    else:
        print(f"\nimporting {', '.join(IMPORTS)}, medians of alternating fresh processes\n")
        print(show(rows))
        print("\ncalls: system calls (strace, engine serial); in the last block, operations served")
        print("by the filesystem, and waits: as many of them went out one after another. Executing")
        print("the modules is in every figure, and is the same in all of them.")
        print(*notes, sep="\n")
    return 1 if any(row.different for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
