"""What a long path costs at least: how often its entries are asked, and what asking costs.

Run by an interpreter that has fastpath installed (`pip install target/wheels/*.whl`) but not
enabled. Makes 300 directories in a temporary place, puts them in front of `sys.path`, imports what
benches/_modules.py calls typical, and multiplies what was asked by what asking costs here.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import fastpath

sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))
from _modules import TYPICAL

ENTRIES = 300


def least(what: Callable[[str], object], of: list[str], rounds: int = 200) -> float:
    """The least time of a call, in microseconds, averaged over all arguments."""
    times = []
    for _ in range(rounds):
        begin = perf_counter()
        for argument in of:
            what(argument)
        times.append(perf_counter() - begin)
    return min(times) / len(of) * 1e6


def list_one(path: str) -> None:
    """List a directory, to the end."""
    with os.scandir(path) as names:
        list(names)


def main() -> None:
    """Import, count, time, print."""
    with tempfile.TemporaryDirectory() as place:
        entries = [str(Path(place) / f"entry_{number:03}") for number in range(ENTRIES)]
        for number, entry in enumerate(entries):
            (Path(entry) / f"unused_{number:03}").mkdir(parents=True)
        sys.path[:0] = entries
        fastpath.install()
        begin = perf_counter()
        for name in TYPICAL:
            __import__(name)
        took = (perf_counter() - begin) * 1e3
        stats = fastpath.stats()
        fastpath.uninstall()
        stat, listing = least(os.stat, entries), least(list_one, entries)
    asked = stats["probes_serial"] + stats["probes_threads"]
    print(f"{len(sys.modules)} modules in {took:.1f} ms, {stats['lookups']} lookups")
    print(f"asked: {asked} stats, {stats['listings']} listings")
    print(f"each, by os: stat {stat:.2f} us, listing {listing:.2f} us")
    print(f"together: {(asked * stat + stats['listings'] * listing) / 1e3:.1f} ms")


if __name__ == "__main__":
    main()
