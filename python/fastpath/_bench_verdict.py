"""What the measured times mean: where an engine begins to beat serial, in numbers and words.

Pure: numbers in, words out. An engine beats serial where its median is 5 % lower, hits and misses
together; a smaller difference is noise. Used by ``_bench``.
"""

from __future__ import annotations

from typing import NamedTuple, TypedDict

from fastpath._bench_clock import Measured

_BEATS = 0.95
_NAMES = {"threads": "threads", "uring": "io_uring"}


class BreakEven(TypedDict):
    """From where on an engine beats serial."""

    state: str
    label: str
    batch: int | None
    """About so many paths at a time; None: at no size measured."""
    latency_us: float | None
    """What a question must take for it to do so at ``at``; None where it does so already."""
    at: int
    """The batch size where it is best, compared with serial."""
    speed: float
    """How many times as fast as serial it is there."""
    cpu: float | None
    """How many times serial's processor time it uses there."""


class _Cost(NamedTuple):
    """What one path costs, hits and misses together."""

    us: float
    cpu_us: float | None


_Costs = dict[str, dict[int, _Cost]]


def break_even(measured: list[Measured]) -> list[BreakEven]:
    """Compare every engine with serial, hot and cold each by itself."""
    told: list[BreakEven] = []
    for state in dict.fromkeys(row["state"] for row in measured):
        costs = _costs(measured, state)
        serial = costs.pop("serial")
        told += [_compare(state, label, serial, own) for label, own in costs.items() if own]
    return told


def _costs(measured: list[Measured], state: str) -> _Costs:
    """The mean of hits and misses, by label and batch size; sizes that have both only."""
    rows: dict[str, dict[int, list[Measured]]] = {}
    for row in measured:
        if row["state"] == state:
            rows.setdefault(row["label"], {}).setdefault(row["batch"], []).append(row)
    # Where hits ran out of names, misses alone would be another thing than the sizes before.
    complete = max((len(found) for sizes in rows.values() for found in sizes.values()), default=0)
    return {
        label: {batch: _mean(found) for batch, found in sizes.items() if len(found) == complete}
        for label, sizes in rows.items()
    }


def _mean(rows: list[Measured]) -> _Cost:
    cpu = [row["cpu_us"] for row in rows]
    known = [us for us in cpu if us is not None]
    return _Cost(
        sum(row["us"] for row in rows) / len(rows),
        sum(known) / len(rows) if len(known) == len(rows) else None,
    )


def _compare(state: str, label: str, serial: dict[int, _Cost], own: dict[int, _Cost]) -> BreakEven:
    # A single question is the same call under every engine.
    sizes = [batch for batch in own if batch > 1] or list(own)
    at = max(sizes, key=lambda batch: serial[batch].us / own[batch].us)
    batch = _first(serial, own)
    theirs, ours = serial[at], own[at]
    cpu = ours.cpu_us / theirs.cpu_us if ours.cpu_us and theirs.cpu_us else None
    return {
        "state": state,
        "label": label,
        "batch": batch,
        "latency_us": None if batch is not None else round(ours.us, 2),
        "at": at,
        "speed": round(theirs.us / ours.us, 3),
        "cpu": None if cpu is None else round(cpu, 3),
    }


def _first(serial: dict[int, _Cost], own: dict[int, _Cost]) -> int | None:
    """The size from which on it is always quicker; none if it never is.

    Between two sizes, as if the cost of a batch grew evenly.
    """
    sizes = sorted(own)
    winning: int | None = None
    for batch in reversed(sizes):
        if own[batch].us > _BEATS * serial[batch].us:
            break
        winning = batch
    if winning is None or winning == sizes[0]:
        return winning
    below = sizes[sizes.index(winning) - 1]
    lost = below * (own[below].us - _BEATS * serial[below].us)
    won = winning * (_BEATS * serial[winning].us - own[winning].us)
    return below + max(1, round((winning - below) * lost / (lost + won))) if won else winning


def sentence(measured: list[Measured], refused: str | None) -> str:
    """Say who wins, from where on and by how much; ``refused`` is why there is no io_uring."""
    compared = break_even(measured)
    said = []
    for state in dict.fromkeys(row["state"] for row in compared):
        fewest = min(row["batch"] for row in measured if row["state"] == state)
        said.append(_said(state, [row for row in compared if row["state"] == state], fewest))
    if refused:
        said.append(f"io_uring is refused here ({refused})")
    return "; ".join(said)


def _said(state: str, compared: list[BreakEven], fewest: int) -> str:
    """About one state, in which so few paths at a time were measured."""
    families = {
        name: found
        for family, name in _NAMES.items()
        if (found := [row for row in compared if row["label"].split("-")[0] == family])
    }
    starts = [row["batch"] for found in families.values() for row in found]
    first = min((start for start in starts if start is not None), default=None)
    if first is None:
        quicker = any(_is_quicker(row) for found in families.values() for row in found)
        whole = f"serial wins at {'most sizes' if quicker else 'every size'}"
    elif first == fewest:
        whole = f"serial wins at no size from {fewest:,} on"
    elif first <= 2:
        whole = "serial wins for single paths only"
    else:
        whole = f"serial wins up to about {first - 1:,} paths"
    parts = [whole, *(_family(name, found) for name, found in families.items())]
    return f"{state}: {'; '.join(parts)}"


def _is_quicker(row: BreakEven) -> bool:
    """Whether it beats serial where it is best, if nowhere else."""
    return row["speed"] * _BEATS >= 1


def _family(name: str, found: list[BreakEven]) -> str:
    """About the best of a family."""
    winners = [row for row in found if row["batch"] is not None]
    best = max(winners or found, key=lambda row: row["speed"])
    verb = "are" if name == "threads" else "is"
    cpu = "" if best["cpu"] is None else f" for {best['cpu']:.1f} x the CPU"
    if winners:
        at = f"at {best['at']:,} ({best['label']})"
        return f"{name} {verb} {best['speed']:.1f} x as fast {at}{cpu}"
    if _is_quicker(best):
        return f"{name} {verb} {best['speed']:.1f} x as fast at {best['at']:,} only,{cpu}"
    takes = "take" if name == "threads" else "takes"
    return (
        f"{name} {takes} {1 / best['speed']:.1f} x its time at best, at {best['at']:,} "
        f"({best['label']}), and would pay where a question takes more than about "
        f"{best['latency_us']:.1f} us"
    )
