"""Shows people what is going on and what came out: progress on stderr, tables on stdout.

Knows nothing of what is measured. For the programs in benches/.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence


class Progress:
    """One line per stage on stderr, with its seconds; on a terminal, a count of rounds too."""

    def __init__(self) -> None:
        """The clock starts here."""
        self._start = time.monotonic()
        self._stage = ""
        self._rounds = 0

    def stage(self, name: str) -> None:
        """Say what begins now."""
        self._stage, self._rounds = name, 0
        seconds = time.monotonic() - self._start
        print(f"[{seconds:4.0f} s] {name}", file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Say that one more round of the stage is done; only a terminal shows it."""
        self._rounds += 1
        if sys.stderr.isatty():
            print(f"         round {self._rounds}", end="\r", file=sys.stderr, flush=True)


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Columns aligned: the first `left` of them to the left, the others to the right.

    The first row is the heading and is underlined; an empty row becomes an empty line.
    """
    full = [row for row in rows if row]
    widths = [max(len(row[column]) for row in full) for column in range(len(full[0]))]

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip() if row else ""

    heading, *rest = rows
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([line(heading), rule, *(line(row) if row else "" for row in rest)])


def ms(seconds: float) -> str:
    """Milliseconds, with as many digits as mean something."""
    value = seconds * 1e3
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"


def ratio(value: float, base: float) -> str:
    """How many times the base; empty where there is no base."""
    return f"{value / base:.2f} x" if base else ""
