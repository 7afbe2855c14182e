"""A trace in numbers: calls by kind, phase and directory, and how long they took.

Counts and sums only; says nothing. The times are those under strace, so good for comparing one
kind with another, not for telling how long a start takes. Used by ``_trace``.
"""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING, NamedTuple

from fastpath import _trace_phases

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fastpath._trace_calls import FileCall
    from fastpath._trace_parse import Parsed

_LISTS = ("getdents", "getcwd")
BINS = 400
"""How many pieces the timeline has."""


class Row:
    """The calls of one kind, phase or directory."""

    __slots__ = ("calls", "enoent", "name", "seconds")

    def __init__(self, name: str) -> None:
        """Begin with none."""
        self.name = name
        self.calls = self.enoent = 0
        self.seconds = 0.0

    def add(self, call: FileCall) -> None:
        """Count one call."""
        self.calls += 1
        self.enoent += call.answer == "ENOENT"
        self.seconds += call.seconds


class Band(NamedTuple):
    """A piece of the timeline: how many calls began in it, in which phase most of them."""

    calls: int
    enoent: int
    phase: str


class Counts:
    """One run's numbers."""

    def __init__(self, label: str, code: int, parsed: Parsed) -> None:
        """Begin with the run's name, its exit code, and what the parser has met."""
        self.label = label
        self.code = code
        self.signals = parsed.signals
        self.not_understood = parsed.not_understood
        self.total = Row("total")
        self.kinds: list[Row] = []
        self.phases: list[Row] = []
        self.directories: list[Row] = []
        self.histogram: list[int] = []
        self.processes = self.threads = self.uring = 0
        self.wall = 0.0
        self.bands: list[Band] = []
        self.is_python = False
        self.has_fastpath = False
        """Whether fastpath's native module was opened; FASTPATH=0 has it opened, and rest."""
        self.is_off = False


def counted(
    label: str,
    code: int,
    parsed: Parsed,
    calls: Sequence[FileCall],
    phases: Sequence[str],
) -> Counts:
    """Count the calls of one run, each with its phase."""
    told = Counts(label, code, parsed)
    kinds: dict[str, Row] = {}
    by_phase: dict[str, Row] = {}
    directories: dict[str, Row] = {}
    for call, phase in zip(calls, phases, strict=True):
        told.total.add(call)
        _row(kinds, call.kind).add(call)
        _row(by_phase, phase).add(call)
        if call.path is not None:
            _row(directories, _directory(call)).add(call)
        _into_histogram(told.histogram, call.seconds)
    told.kinds = _largest(kinds.values())
    told.phases = _in_order(by_phase.values())
    told.directories = _largest(directories.values())
    told.processes = len({id(call.process) for call in calls})
    told.threads = len({call.thread for call in calls})
    told.uring = sum(call.kind == "io_uring_enter" for call in calls)
    told.is_python = _trace_phases.main_process(calls) is not None
    told.has_fastpath = any(_is_fastpath(call) for call in calls)
    _into_bands(told, calls, phases)
    return told


def _row(rows: dict[str, Row], name: str) -> Row:
    row = rows.get(name)
    if row is None:
        row = rows[name] = Row(name)
    return row


def _directory(call: FileCall) -> str:
    assert call.path is not None
    if call.answer == "d" or call.kind in _LISTS or "O_DIRECTORY" in call.arguments:
        return call.path
    return os.path.dirname(call.path)  # noqa: PTH120  # a path as it was asked


def _largest(rows: Iterable[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (-row.calls, row.name))


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """Sort as a start goes: the fixed phases, imports from the largest, and the rest."""
    order = {
        name: place
        for place, name in enumerate(
            (_trace_phases.LOADER, _trace_phases.INTERPRETER, _trace_phases.SITE)
        )
    }
    order |= {_trace_phases.PROGRAM: 4, _trace_phases.OTHERS: 5}
    return sorted(rows, key=lambda row: (order.get(row.name, 3), -row.calls, row.name))


def _into_histogram(histogram: list[int], seconds: float) -> None:
    """Count a duration into the bucket of its power of two, from up to 1 us on."""
    bucket = max(0, int(seconds * 1e6)).bit_length()
    histogram.extend([0] * (bucket + 1 - len(histogram)))
    histogram[bucket] += 1


def _is_fastpath(call: FileCall) -> bool:
    path = call.path or ""
    if call.answer != "0" or not call.kind.startswith("open"):
        return False
    return "/fastpath/_native" in path and path.endswith(".so")


def _into_bands(told: Counts, calls: Sequence[FileCall], phases: Sequence[str]) -> None:
    if not calls:
        return
    first = calls[0].began
    told.wall = max(call.began + call.seconds for call in calls) - first
    bins: list[list[int]] = [[] for _ in range(BINS)]
    for index, call in enumerate(calls):
        place = int((call.began - first) / told.wall * BINS) if told.wall else 0
        bins[min(place, BINS - 1)].append(index)
    for inside in bins:
        names = [phases[index] for index in inside]
        told.bands.append(
            Band(
                len(inside),
                sum(calls[index].answer == "ENOENT" for index in inside),
                max(dict.fromkeys(names), key=names.count, default=""),
            )
        )
