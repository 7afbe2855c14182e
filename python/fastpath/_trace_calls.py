"""A trace's calls on files: which process made each, on which path, with which answer.

Makes relative paths absolute, knows which threads are one process and when it became another
program (``execve``), and gives the calls the names of their POSIX functions, since newfstatat(2)
is stat, lstat or fstat by its arguments. Leaves out what concerns no file. Used by ``_trace``
and, through the calls, by every part of it.
"""

from __future__ import annotations

import os.path
import re
from typing import TYPE_CHECKING, NamedTuple

from fastpath._trace_parse import unescaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastpath import _trace_parse

_STRING = r"\"((?:[^\"\\]|\\.)*)\""
_PATH = re.compile(_STRING)
_AT_PATH = re.compile(rf"(?:AT_FDCWD|-?\d+)(?:<([^<>]*)>)?(?:\([a-z]+\))?, {_STRING}")
_TAKES_DIRECTORY = re.compile(r".*at\d*|statx")
_FD = re.compile(r"(\d+)(?:<([^<>]*)>)?")
_MODE = re.compile(r"stx?_mode=S_IF([A-Z]+)\b")
_LETTERS = {"REG": "f", "DIR": "d", "LNK": "l"}
_FORKS = frozenset(("clone", "clone3", "fork", "vfork"))
# They wait for whatever comes, and would drown the rest in their time.
_WAITS = frozenset(
    ("poll", "ppoll", "select", "pselect6", "epoll_wait", "epoll_pwait", "epoll_pwait2")
)
_STATS = frozenset(("newfstatat", "fstatat64", "statx"))
_NAMES = {
    "getdents64": "getdents",
    "pread64": "pread",
    "stat64": "stat",
    "lstat64": "lstat",
    "fstat64": "fstat",
    "faccessat": "access",
    "faccessat2": "access",
    "readlinkat": "readlink",
}


class Process:
    """One program in one process: what was between two execve(2) of it, all threads."""

    __slots__ = ("cwd", "is_first", "program")

    def __init__(self, program: str, cwd: str, *, is_first: bool) -> None:
        """Begin with the program's path, its directory, and whether it is the command itself."""
        self.program = program
        self.cwd = cwd
        self.is_first = is_first


class FileCall(NamedTuple):
    """One call on a file."""

    process: Process
    thread: int
    began: float
    seconds: float
    """Under strace; 0 for a call that did not return."""
    name: str
    kind: str
    """The name of its POSIX function."""
    path: str | None
    """Absolute, as os.fsdecode has it; None if the descriptor is no file, or it is not told."""
    descriptor: int | None
    """For calls on an open file."""
    arguments: str
    answer: str
    """``0``, or the errno's name; of a stat that succeeded f, d, l, o (other); ``?``: no return."""


def resolved(calls: Iterable[_trace_parse.Call], cwd: str) -> Iterator[FileCall]:
    """Tell every call's process and path; ``cwd`` is where the command was started."""
    processes: dict[int, Process] = {}
    for call in calls:
        process = processes.get(call.thread)
        if process is None:
            process = Process("", cwd, is_first=not processes)
            processes[call.thread] = process
        if call.name in _FORKS:
            _fork(call, process, processes)
            continue
        if _is_memory(call) or call.name in _WAITS:
            continue
        path, descriptor = _path(call, process)
        if call.name == "execve" and call.error is None:
            # The other threads are gone; the process keeps its id, which is the first thread's.
            process = Process(path or "", process.cwd, is_first=process.is_first)
            processes[call.thread] = process
        elif call.name in ("chdir", "fchdir") and call.error is None and path is not None:
            process.cwd = path
        kind = _kind(call, descriptor)
        yield FileCall(
            process,
            call.thread,
            call.began,
            call.seconds or 0.0,
            call.name,
            kind,
            path,
            descriptor,
            call.arguments,
            _answer(call, kind),
        )


def _fork(call: _trace_parse.Call, parent: Process, processes: dict[int, Process]) -> None:
    child = re.match(r"\d+", call.result)
    if child is None:
        return
    if "CLONE_THREAD" in call.arguments:
        processes[int(child[0])] = parent
    else:
        processes[int(child[0])] = Process(parent.program, parent.cwd, is_first=False)


def _is_memory(call: _trace_parse.Call) -> bool:
    return call.name in ("mmap", "mmap2") and "MAP_ANONYMOUS" in call.arguments


def _path(call: _trace_parse.Call, process: Process) -> tuple[str | None, int | None]:
    found = _AT_PATH.match(call.arguments) if _TAKES_DIRECTORY.fullmatch(call.name) else None
    if found is not None and found[2]:
        base = unescaped(found[1]) if found[1] else process.cwd
        return os.path.join(base, unescaped(found[2])), None  # noqa: PTH118  # as it was asked
    path = _PATH.match(call.arguments) if call.name != "memfd_create" else None
    if path is not None and path[1]:
        return os.path.join(process.cwd, unescaped(path[1])), None  # noqa: PTH118
    fd = _FD.match(_file_arguments(call))
    if fd is None:
        return None, None
    name = unescaped(fd[2]) if fd[2] else ""
    return (name if name.startswith("/") else None), int(fd[1])


def _file_arguments(call: _trace_parse.Call) -> str:
    if call.name in ("mmap", "mmap2"):  # the descriptor is the last but one
        found = re.search(r"\d+(?:<[^<>]*>)?, [^,]+$", call.arguments)
        return found[0] if found else ""
    return call.arguments


def _kind(call: _trace_parse.Call, descriptor: int | None) -> str:
    if call.name in _STATS:
        if descriptor is not None:
            return "fstat"
        if "AT_SYMLINK_NOFOLLOW" in call.arguments:
            return "lstat"
        return "statx" if call.name == "statx" else "stat"
    return _NAMES.get(call.name, call.name)


def _answer(call: _trace_parse.Call, kind: str) -> str:
    if call.error is not None:
        return call.error
    if call.result.startswith("?"):
        return "?"
    mode = _MODE.search(call.arguments) if kind in ("stat", "lstat", "statx") else None
    return _LETTERS.get(mode[1], "o") if mode else "0"
