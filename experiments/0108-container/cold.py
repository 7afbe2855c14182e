"""Read the 500 pieces with none of them in the page cache, each way in turn, in fresh processes.

Usage: cold.py CONTAINER FOLDER, after `CONTAINER pieces TREE FOLDER`. Only the table and the listed
`.pyc` are dropped from the page cache; what is known of directories and inodes stays.
"""

import os
import statistics
import subprocess
import sys
from pathlib import Path

WAYS = ("in-place", "copied", "announced-and-copied", "kept-open", "opened-again", "pyc")
ROUNDS = 7


def drop(path: str) -> None:
    """Write the file back and take it out of the page cache."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def main() -> None:
    """Print the medians."""
    container, folder = sys.argv[1:]
    lines = Path(folder, "list").read_text(encoding="utf-8").splitlines()
    files = [*(line.split(" ", 3)[3] for line in lines), f"{folder}/flat"]
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            for file in files:
                drop(file)
            said = subprocess.check_output([container, "touch", way, folder], text=True)
            times[way].append(float(said) / 1000)
    base = statistics.median(times["pyc"])
    for way, all_times in times.items():
        median = statistics.median(all_times)
        print(f"{way:22} {median:8.1f} µs a piece  {median / base:.3f}")


main()
