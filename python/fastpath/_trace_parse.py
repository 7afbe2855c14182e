r"""What strace wrote, line by line, as calls. Knows strace's output format, and nothing of Python.

Understands ``strace -f -ttt -T -y -o FILE`` (strace(1)): calls cut in two because another thread
came between (``<unfinished ...>``, ``<... resumed>``), signals, exits, paths of any bytes in C's
escapes, and a file that ends in the middle, as when strace was killed. What it does not
understand it counts and leaves out; it raises nothing for the text. Used by ``_trace_calls``.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

_LINE = re.compile(r"(?:(\d+) +)?(\d+\.\d+) (.*)")
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>(.*)", re.DOTALL)
# execve(2) in a thread that is not the first gives it the first one's id.
_BEGUN = re.compile(r"(\w+)\((.*)<(?:unfinished|pid changed to (\d+)) \.\.\.>$", re.DOTALL)
# Strings and the paths that -y adds in <> may hold ") = " themselves, so they are skipped whole.
_CALL = re.compile(
    r"(\w+)\(((?:\"(?:[^\"\\]|\\.)*\"|<[^<>]*>|[^\"<)]|\)(?! += ))*)\) += (.*)", re.DOTALL
)
_ANY_CALL = re.compile(r"(\w+)\((.*)\) += (.*)", re.DOTALL)
_SECONDS = re.compile(r"(.*?)(?: <(\d+\.\d+)>)?", re.DOTALL)
_ERROR = re.compile(r"(?:-1|\?) (E[A-Z0-9]+)\b")
_ESCAPE = re.compile(rb"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f", b"a": b"\a"}


class Call(NamedTuple):
    """One system call as strace tells it."""

    thread: int
    began: float
    """Seconds since the epoch."""
    name: str
    arguments: str
    """As strace writes them."""
    result: str
    """What stands behind ``=``; ``?`` where the call did not return."""
    error: str | None
    """The name of the errno, as ENOENT."""
    seconds: float | None
    """How long it took under strace; None where it did not return."""


class Parsed(NamedTuple):
    """Everything in a file of strace's."""

    calls: list[Call]
    """In the order in which they began."""
    signals: int
    exits: int
    """Threads and processes that ended."""
    not_understood: int
    """Lines that are none of the above; the last one of a file that ends in the middle."""


class _Begun(NamedTuple):
    began: float
    name: str
    arguments: str


def parse(lines: Iterable[str]) -> Parsed:
    """Read the lines of a file of strace's; see the top of this file for the options."""
    calls: list[Call] = []
    begun: dict[int, _Begun] = {}
    signals = exits = unknown = 0
    for line in lines:
        matched = _LINE.fullmatch(line.rstrip("\n"))
        if matched is None or not line.endswith("\n"):  # the end of a file that was cut off
            unknown += bool(line.strip())
            continue
        thread, began, rest = int(matched[1] or 0), float(matched[2]), matched[3]
        if rest.startswith("--- "):
            signals += 1
        elif rest.startswith("+++ "):
            exits += 1
        elif half := _BEGUN.match(rest):
            begun[int(half[3] or thread)] = _Begun(began, half[1], half[2])
        elif (call := _whole(thread, began, rest, begun)) is not None:
            calls.append(call)
        else:
            unknown += 1
    calls += [
        Call(thread, half.began, half.name, half.arguments, "?", None, None)
        for thread, half in begun.items()
    ]
    calls.sort(key=lambda call: call.began)
    return Parsed(calls, signals, exits, unknown)


def _whole(thread: int, began: float, rest: str, begun: dict[int, _Begun]) -> Call | None:
    if resumed := _RESUMED.match(rest):
        half = begun.get(thread)
        if half is None or half.name != resumed[1]:
            return None
        del begun[thread]
        began, rest = half.began, f"{half.name}({half.arguments}{resumed[2]}"
    matched = _CALL.fullmatch(rest) or _ANY_CALL.fullmatch(rest)
    if matched is None:
        return None
    tail = _SECONDS.fullmatch(matched[3])
    assert tail is not None  # it matches anything
    error = _ERROR.match(tail[1])
    seconds = None if tail[2] is None else float(tail[2])
    return Call(
        thread, began, matched[1], matched[2], tail[1], error[1] if error else None, seconds
    )


def unescaped(text: str) -> str:
    """Return the path that strace wrote in C's escapes, as os.fsdecode has it."""
    if "\\" not in text:
        return text
    return os.fsdecode(_ESCAPE.sub(_byte, os.fsencode(text)))


def _byte(escape: re.Match[bytes]) -> bytes:
    if escape[1]:
        return bytes([int(escape[1], 8) & 0xFF])
    if escape[2]:
        return bytes([int(escape[2], 16)])
    return _LETTERS.get(escape[3], escape[3])
