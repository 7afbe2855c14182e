"""Names to ask about on a mount: some that are there, and as many that never were.

Lists directories, follows no link and stays on the mount; creates nothing. Used by ``_bench``.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

# On a slow mount the listing itself takes long; what was found by then has to do.
_SECONDS = 3.0


class Names(NamedTuple):
    """Paths, no two the same, neighbours next to each other."""

    hits: list[str]
    misses: list[str]


def collect(directories: list[str], count: int) -> Names:
    """Find up to so many paths in and below these directories; make misses up beside them."""
    hits = list(islice(_walk(directories), count)) or directories[:1]
    stem = f"not-there-{os.getpid()}-{time.time_ns()}"
    parents = islice(cycle([os.path.dirname(path) for path in hits]), count)  # noqa: PTH120
    misses = [os.path.join(at, f"{stem}-{i}.py") for i, at in enumerate(parents)]  # noqa: PTH118
    return Names(hits, misses)


def _walk(directories: list[str]) -> Iterator[str]:
    """Every path in and below these directories once, the upper ones first."""
    end = time.monotonic() + _SECONDS
    pending = deque(directories)
    device = Path(directories[0]).stat().st_dev
    seen: set[tuple[int, int]] = set()
    while pending and time.monotonic() < end:
        directory = pending.popleft()
        for entry in _list(directory, device, seen):
            yield entry.path
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)


def _list(directory: str, device: int, seen: set[tuple[int, int]]) -> list[os.DirEntry[str]]:
    """What lies in a directory, links left out.

    Nothing if it is another mount's, was seen before, or is not ours to read.
    """
    try:
        stat = Path(directory).stat()
        identity = (stat.st_dev, stat.st_ino)
        if stat.st_dev != device or identity in seen:
            return []
        seen.add(identity)
        with os.scandir(directory) as listing:
            return [entry for entry in listing if not entry.is_symlink()]
    except OSError:
        return []
