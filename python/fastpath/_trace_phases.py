r"""Which part of an interpreter's start each call of a trace belongs to.

The phases of the first process that is a Python, told by what it asks for:

- ``loader``: ld.so(8) looks for shared objects, up to the first question about anything else;
- ``interpreter``: from there until standard error has been looked at, which CPython does just
  before ``site`` (``init_interp_main`` in Python/pylifecycle.c);
- ``site``: until the program is named, or the directory it was started in, which is the first
  path entry of ``-c`` and ``-m``;
- ``import NAME``: calls on files of that top-level module or package; the stats and listings of
  path entries before them, in the same thread, are counted with what they were searched for;
- ``program``: every other file.

``other processes`` holds the rest; a command with no Python in it is all ``program``. Guesses
from paths, then, where an interpreter has no way to say it: the sums are exact, the borders may
be a few calls off. Used by ``_trace_count``.
"""

from __future__ import annotations

import os.path
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastpath._trace_calls import FileCall, Process

LOADER, INTERPRETER, SITE, PROGRAM = "loader", "interpreter", "site", "program"
OTHERS = "other processes"

_PYTHON = re.compile(r"/(?:encodings(?:/|$)|pyvenv\.cfg$|python3\d+\.zip$)")
_SHARED_OBJECT = re.compile(r"(?:.*\.so(?:\.[^/]*)?|ld\.so\.[a-z]+)")
_ROOT = re.compile(r"(.*/(?:site-packages|dist-packages|lib-dynload|python3\.\d+))(?:/(.*))?")
_CODE = (".py", ".pyc", ".so")
_LAST_STREAM = 2  # stdin, stdout, stderr: in this order (init_sys_streams)
_ASKS_OF_STREAM = ("fstat", "lseek", "ioctl", "fcntl")


def main_process(calls: Sequence[FileCall]) -> Process | None:
    """Return the first process that is a Python."""
    for call in calls:
        if call.path is not None and _PYTHON.search(call.path):
            return call.process
    return None


def phases(
    calls: Sequence[FileCall], words: Sequence[str], cwd: str, pythonpath: str = ""
) -> list[str]:
    """Return the phase of every call.

    ``words`` name the program, with its arguments; the command was run in ``cwd``, with
    ``pythonpath`` as PYTHONPATH.
    """
    python = main_process(calls)
    if python is None:
        return [PROGRAM if call.process.is_first else OTHERS for call in calls]
    named = {os.path.join(cwd, word) for word in words}  # noqa: PTH118  # paths as asked
    start = _Start(named, cwd)
    roots = [cwd, *pythonpath.split(":"), *(os.path.dirname(word) for word in words)]  # noqa: PTH120
    imports = _Imports([os.path.join(cwd, root) for root in roots], calls)  # noqa: PTH118
    told: list[str] = []
    for index, call in enumerate(calls):
        phase = OTHERS
        if call.process is python:
            phase = start.phase_of(call)
            if phase == PROGRAM and call.path not in named:
                phase = imports.phase_of(call, index, told)
        told.append(phase)
    return told


class _Start:
    """How far the interpreter has come."""

    def __init__(self, named: set[str], cwd: str) -> None:
        self._named = named
        self._cwd = cwd
        self._phase = LOADER
        self._missed = ""
        self._saw_stream = False

    def phase_of(self, call: FileCall) -> str:
        is_question = call.path is not None and call.descriptor is None
        if self._phase == LOADER and is_question and not self._asked_by_loader(call):
            self._phase = INTERPRETER
        if self._phase == INTERPRETER:
            if call.descriptor == _LAST_STREAM and call.kind in _ASKS_OF_STREAM:
                self._saw_stream = True
            elif self._saw_stream and is_question:
                self._phase = SITE
        if self._phase == SITE and self._is_program(call):
            self._phase = PROGRAM
        return self._phase

    def _asked_by_loader(self, call: FileCall) -> bool:
        assert call.path is not None
        if call.kind == "execve":
            return True
        directory, name = os.path.split(call.path)
        if _SHARED_OBJECT.fullmatch(name):
            # Where an object is not, ld.so asks whether the directory is there at all.
            self._missed = directory if call.answer == "ENOENT" else ""
            return True
        return call.path == self._missed

    def _is_program(self, call: FileCall) -> bool:
        return call.path is not None and (call.path in self._named or call.path == self._cwd)


class _Imports:
    """Which top-level module the program's calls are for."""

    def __init__(self, roots: list[str], calls: Sequence[FileCall]) -> None:
        self._roots = sorted({root.rstrip("/") for root in roots} - {""}, key=len, reverse=True)
        paths = {call.path for call in calls if call.path and call.path.endswith(_CODE)}
        self._known = {self._first(path) for path in paths}
        self._waiting: dict[int, list[int]] = {}

    def phase_of(self, call: FileCall, index: int, told: list[str]) -> str:
        """Return the phase of a call; put the searches before it into the same, in ``told``."""
        if call.path is None:
            return PROGRAM
        name = self._module(call.path)
        if name is None:
            return PROGRAM
        waiting = self._waiting.setdefault(call.thread, [])
        if not name:
            waiting.append(index)
            return PROGRAM
        phase = f"import {name}"
        for earlier in waiting:
            told[earlier] = phase
        waiting.clear()
        return phase

    def _module(self, path: str) -> str | None:
        """Return the module's name, nothing for a path entry itself, None for other files."""
        name = self._first(path)
        return name if not name or name in self._known else None

    def _first(self, path: str) -> str | None:
        inside = self._inside(path)
        if not inside:
            return inside
        first, _, rest = inside.partition("/")
        return (rest if first == "__pycache__" else first).partition(".")[0]

    def _inside(self, path: str) -> str | None:
        if path in self._roots:
            return ""
        matched = _ROOT.fullmatch(path)
        if matched is not None:
            return matched[2] or ""
        for root in self._roots:
            if path.startswith(root + "/"):
                return path[len(root) + 1 :]
        return None
