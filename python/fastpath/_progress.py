"""How far something has come, on standard error, once it has taken longer than a second.

Only on a terminal; elsewhere it says nothing. It leaves no line behind. For the command line only.
"""

from __future__ import annotations

import sys
import time

_PATIENCE = 1.0  # seconds
_PAUSE = 0.1
_WIDTH = 30


class Progress:
    """A bar of so many steps, to be used in a ``with``."""

    def __init__(self, doing: str, steps: int, things: str) -> None:
        """Begin; nothing is shown yet."""
        self._doing, self._steps, self._things = doing, steps, things
        self._done = 0
        self._next = time.monotonic() + _PATIENCE
        self._shown = False

    def __enter__(self) -> Progress:
        """Return itself."""
        return self

    def step(self) -> None:
        """Note that one more step is done."""
        self._done += 1
        now = time.monotonic()
        if now >= self._next and sys.stderr.isatty():
            self._next, self._shown = now + _PAUSE, True
            filled = _WIDTH * self._done // max(self._steps, 1)
            bar = "#" * filled + "." * (_WIDTH - filled)
            told = f"{self._doing} [{bar}] {self._done} of {self._steps} {self._things}"
            print(f"\r{told}", end="", file=sys.stderr, flush=True)

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
