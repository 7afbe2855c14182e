"""What ``bench`` found out, for people: tables of times, and a verdict for each mount.

Knows nothing of measuring. Used by ``_cli``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastpath._text import count, duration, table

if TYPE_CHECKING:
    from fastpath._bench import MountTold, Told
    from fastpath._bench_clock import Measured


def render(told: Told) -> str:
    """Return everything, mount after mount."""
    processors = count(told["cpus"] or 1, "processor", "processors")
    head = f"microseconds per path, by the clock and of CPU; {told['system']}, {processors}"
    blocks = [head, *map(_mount, told["mounts"])]
    if told["load"] is not None and told["load"] > (told["cpus"] or 1) / 4:
        blocks.append(
            f"note: others are at work here (load {told['load']:g}): times are too long, and "
            "differences may be theirs; compare the CPU"
        )
    return "\n\n".join(blocks)


def _mount(mount: MountTold) -> str:
    kind = f" ({mount['type']})" if mount["type"] else ""
    slow = "" if mount["emulated_ms"] is None else f", {mount['emulated_ms']:g} ms per operation"
    lines = [f"{mount['mount']}{kind}{slow}: one question takes {duration(mount['latency_us'])}"]
    rows = mount["measured"]
    for state, asked in dict.fromkeys((row["state"], row["kind"]) for row in rows):
        own = [row for row in rows if (row["state"], row["kind"]) == (state, asked)]
        lines += ["", *_table(f"{state} {asked}", own)]
    lines += [
        f"left out: {row['state']} {row['kind']}, {row['batch']:,} at a time: {row['why']}"
        for row in mount["left_out"]
    ]
    return "\n".join([*lines, "", f"verdict: {mount['verdict']}"])


def _table(title: str, rows: list[Measured]) -> list[str]:
    """A line for each engine, two columns for each batch size."""
    sizes = sorted({row["batch"] for row in rows})
    cells = {(row["label"], row["batch"]): row for row in rows}
    lines = [[title, *(cell for size in sizes for cell in (f"{size:,}", "CPU"))]]
    for label in dict.fromkeys(row["label"] for row in rows):
        found = [cells.get((label, size)) for size in sizes]
        lines.append([label, *(cell for row in found for cell in _cells(row))])
    return table(lines, frozenset(range(1, 1 + 2 * len(sizes))))


def _cells(row: Measured | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    return _us(row["us"]), "" if row["cpu_us"] is None else _us(row["cpu_us"])


def _us(us: float) -> str:
    return f"{us:.2f}" if us < 99.995 else f"{us:,.0f}"
