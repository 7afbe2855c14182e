"""Which filesystem a directory lies on, and how long it takes to answer.

Measures with names that are not there, each asked about once, as an import asks about them: a
filesystem behind a network answers none of those from memory. Writes nothing. Used by ``_doctor``.
"""

from __future__ import annotations

import os
import re
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

import fastpath

_TABLE = Path("/proc/self/mountinfo")
_QUESTIONS = 9
_SLOW_US = 100.0


class Mount(NamedTuple):
    """A place where a filesystem begins, and its type if the system tells."""

    point: str
    type: str | None


class Pace(NamedTuple):
    """How long one question took, and whether a thread sleeps meanwhile."""

    us: float
    """The median, in microseconds."""
    slept: bool
    """Whether most questions made this thread wait; None of a busy machine's doing."""

    @property
    def is_slow(self) -> bool:
        """Whether it is as slow as only a wait for somebody else makes it."""
        return self.slept and self.us >= _SLOW_US


def mounts() -> list[Mount]:
    """List the mounts of this process in the order they were made; empty but on Linux.

    The format is proc_pid_mountinfo(5)'s.
    """
    try:
        lines = os.fsdecode(_TABLE.read_bytes()).split("\n")
    except OSError:
        return []
    return [mount for line in lines if (mount := _parse(line))]


def _parse(line: str) -> Mount | None:
    head, dash, tail = line.partition(" - ")
    fields, described = head.split(" "), tail.split(" ")
    if not dash or len(fields) < 5:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4])
    return Mount(point, described[0])


def mount_of(directory: str, known: list[Mount]) -> Mount:
    """Tell on which mount a directory lies: the longest, of equal ones the last made."""
    real = Path(directory).resolve()
    around = [mount for mount in known if real.is_relative_to(mount.point)]
    if around:
        longest = max(len(mount.point) for mount in around)
        return [mount for mount in around if len(mount.point) == longest][-1]
    point = next(place for place in (real, *real.parents) if place.is_mount())
    return Mount(str(point), None)


def measure(directory: str) -> Pace:
    """Ask for a few names in a directory that are not there, one after the other."""
    stem = f"not-there-{time.time_ns()}"
    results = [_ask(Path(directory, f"{stem}-{number}")) for number in range(_QUESTIONS)]
    slept = sum(result.slept for result in results)
    return Pace(round(median(result.us for result in results), 1), 2 * slept > _QUESTIONS)


def _ask(path: Path) -> Pace:
    naps, start = _naps(), time.perf_counter_ns()
    fastpath.probe([path], backend="serial")
    us = (time.perf_counter_ns() - start) / 1e3
    return Pace(us, naps is None or _naps() != naps)


def _naps() -> int | None:
    """How often this thread has slept so far, None where the system does not tell."""
    try:
        import resource

        return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
    except (ImportError, AttributeError):
        return None
