"""How many modules below a directory have up-to-date bytecode, as far as can be told soon.

Judges by headers alone, as ``_bytecode`` does; stops when its time is up and says so. Compiles
nothing. Used by ``_doctor``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from fastpath._bytecode import GOOD, path_of, state


class Census(NamedTuple):
    """What was counted below a directory."""

    modules: int
    """Source modules looked at."""
    stale: int
    """Those of them without up-to-date bytecode."""
    is_whole: bool
    """Whether all were looked at."""


def count(directory: str, seconds: float) -> Census:
    """Count the modules in a directory and in what could be a package below it.

    Links to directories are not followed, or a circle of them would never end.
    """
    deadline = time.monotonic() + seconds
    modules = stale = 0
    pending = [directory]
    while pending:
        if time.monotonic() > deadline:
            return Census(modules, stale, is_whole=False)
        sources, below = _list(pending.pop())
        pending += below
        for source in sources:
            if time.monotonic() > deadline:
                return Census(modules, stale, is_whole=False)
            modules += 1
            stale += not _is_compiled(source)
    return Census(modules, stale, is_whole=True)


def _list(directory: str) -> tuple[list[str], list[str]]:
    try:
        with os.scandir(directory) as listing:
            found = [(entry, Path(entry.name)) for entry in listing]
    except OSError:
        return [], []
    sources = [e.path for e, name in found if name.suffix == ".py" and name.stem.isidentifier()]
    below = [
        entry.path
        for entry, name in found
        if entry.name.isidentifier()
        and entry.name != "__pycache__"
        and entry.is_dir(follow_symlinks=False)
    ]
    return sources, below


def _is_compiled(source: str) -> bool:
    bytecode = path_of(source)
    return bytecode is not None and state(Path(bytecode), Path(source)) in GOOD
