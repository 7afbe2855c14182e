"""A progress bar on one line of a terminal; elsewhere nothing. Used by ``_bench``."""

from __future__ import annotations

import shutil
from typing import TextIO

_WIDTH = 20


class Progress:
    """So many steps, the one under way told by name."""

    def __init__(self, total: int, stream: TextIO | None) -> None:
        """Draw nothing yet; never draw where ``stream`` is no terminal."""
        self._total, self._done = total, 0
        self._stream = stream if stream is not None and stream.isatty() else None

    def step(self, text: str) -> None:
        """Tell that the next step begins."""
        done = _WIDTH * self._done // max(self._total, 1)
        share = 100 * self._done // max(self._total, 1)
        bar = f"[{'#' * done}{'.' * (_WIDTH - done)}] {share:3d} %  {text}"
        self._draw(bar)
        self._done += 1

    def clear(self) -> None:
        """Leave the line as it was."""
        self._draw("")

    def _draw(self, text: str) -> None:
        if self._stream is not None:
            columns = shutil.get_terminal_size().columns
            # Erase to the end of the line (ECMA-48, EL); a longer text would wrap.
            self._stream.write(f"\r{text[: columns - 1]}\x1b[K")
            self._stream.flush()
