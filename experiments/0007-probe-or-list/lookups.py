"""Looks one absent module after another up in one directory, with fastpath, and prints JSON.

usage: python lookups.py FASTPATH DIRECTORY MOST PREFIX [STATS]

For each lookup, of PREFIX_0, PREFIX_1, ... and at most MOST: its microseconds of CPU, what it
listed and how many paths it probed, by fastpath's own counters, and with STATS, the .slowfs-stats
of a slow filesystem, its waits. It ends soon after names are known: when lookups have probed no
candidate for a while.
"""

from __future__ import annotations

import importlib.machinery
import json
import sys
from time import process_time

# So many lookups in a row without a candidate probed: the names are known.
SETTLED = 16


def main() -> None:
    home, directory, most, prefix, *stats = sys.argv[1:]
    sys.path.insert(0, home)
    import fastpath

    assert fastpath.install(cache="off"), "it did not install"
    del sys.path[0]

    find = importlib.machinery.PathFinder.find_spec
    # What the first lookup of all costs is none of the directory's business.
    assert find("absent", [home]) is None

    def so_far() -> tuple[int, int, int]:
        of = fastpath.stats()
        probes = of["probes_serial"] + of["probes_threads"] + of["probes_uring"]
        waits = 0
        for file in stats:
            with open(file) as counts:  # noqa: PTH123
                waits = json.load(counts)["waits"]
        return of["listings"], probes, waits

    taken = []
    settled = 0
    before = so_far()
    for number in range(int(most)):
        name = f"{prefix}_{number}"
        begin = process_time()
        spec = find(name, [directory])
        us = (process_time() - begin) * 1e6
        after = so_far()
        assert spec is None, spec
        listings, probes, waits = (b - a for a, b in zip(before, after, strict=True))
        taken.append([round(us, 1), listings, probes, waits])
        before = after
        # A directory whose names are known is asked for its own state, nothing else.
        settled = settled + 1 if probes <= 1 and not listings else 0
        if settled == SETTLED:
            break
    print(json.dumps(taken))


main()
