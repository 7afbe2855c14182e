"""What a long path costs at least: how often its entries must be asked, and what asking costs.

Run by an interpreter that has fastpath installed (`pip install target/wheels/*.whl`), not enabled.
Makes 300 directories in a temporary place, puts them in front of `sys.path`, imports what
benches/_modules.py calls typical, and multiplies what was asked with what asking costs here.
"""

import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import fastpath

sys.path.insert(0, str(Path(__file__).parents[2] / "benches"))
from _modules import TYPICAL

ENTRIES = 300


def least(what, rounds=200):
    """The least time of a call, in seconds."""
    times = []
    for _ in range(rounds):
        begin = perf_counter()
        what()
        times.append(perf_counter() - begin)
    return min(times)


with tempfile.TemporaryDirectory() as place:
    entries = [os.path.join(place, f"entry_{number:03}") for number in range(ENTRIES)]
    for number, entry in enumerate(entries):
        os.makedirs(os.path.join(entry, f"unused_{number:03}"))
    sys.path[:0] = entries
    fastpath.install()
    begin = perf_counter()
    for name in TYPICAL:
        __import__(name)
    took = perf_counter() - begin
    stats = fastpath.stats()
    fastpath.uninstall()
    stat = least(lambda: fastpath.probe(entries, backend="serial")) / ENTRIES
    by_call = least(lambda: [os.stat(entry) for entry in entries]) / ENTRIES
    listing = least(lambda: [os.listdir(entry) for entry in entries]) / ENTRIES
    asked = stats["probes_serial"] + stats["probes_threads"]
    print(f"{len(sys.modules)} modules, {took * 1e3:.1f} ms; {stats['lookups']} lookups")
    print(f"asked: {asked} stats, {stats['listings']} listings")
    print(f"each at least: stat {stat * 1e6:.2f} us (os.stat {by_call * 1e6:.2f}), ", end="")
    print(f"listing {listing * 1e6:.2f} us")
    print(f"together at least {(asked * stat + stats['listings'] * listing) * 1e3:.1f} ms")
