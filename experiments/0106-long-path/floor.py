"""What a long path costs at least: how often its entries are asked, and what asking costs.

usage: floor.py FASTPATH ENTRIES ROUNDS MODULE...

Puts the directories that the file ENTRIES names in front of `sys.path`, imports the modules with
the fastpath of the directory FASTPATH, and prints, as JSON, what was asked, and the least of
ROUNDS times that asking takes by `os`. For measure.py.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter


def least(what: Callable[[str], object], of: list[str], rounds: int) -> float:
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
    home, listed, rounds, *modules = sys.argv[1:]
    entries = Path(listed).read_text().splitlines()
    sys.path.insert(0, home)
    import fastpath

    sys.path[:1] = entries
    before = len(sys.modules)
    fastpath.install()
    begin = perf_counter()
    for name in modules:
        __import__(name)
    took = perf_counter() - begin
    stats = fastpath.stats()
    fastpath.uninstall()
    json.dump(
        {
            "modules": len(sys.modules) - before,
            "import_ms": took * 1e3,
            "lookups": stats["lookups"],
            "stats": stats["probes_serial"] + stats["probes_threads"] + stats["probes_uring"],
            "listings": stats["listings"],
            "stat_us": least(os.stat, entries, int(rounds)),
            "listing_us": least(list_one, entries, int(rounds)),
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
