r"""The recording: the questions of a trace that can be asked again, one to a line.

``# fastpath-recording 1``, then ``kind TAB result TAB path``. Kinds: stat, lstat, statx, open,
openat, access, readlink, getdents. Results: ``0``, or the type of what a stat found (f, d, l, or o
for others), or the name of an errno. In a path a tab is ``\t``, a newline ``\n``, a backslash
``\\``; all other bytes stand as they are.

Only what changes nothing and answers the same to everybody is recorded: no open for writing, or
that failed by its flags alone, no call on a descriptor (but one getdents for each listing),
nothing below /proc, no access that depends on who asks. Used by ``_trace``; ``cshim`` replays it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from fastpath._trace_calls import FileCall

HEADER = b"# fastpath-recording 1\n"
_KINDS = frozenset(("stat", "lstat", "statx", "open", "openat", "access", "readlink"))
_CHANGING = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "O_TMPFILE", "O_PATH")
# Every access(2), whatever its mode, fails with these.
_FOR_EVERYBODY = frozenset(("0", "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG"))
_BY_FLAG = {"ENOTDIR": "O_DIRECTORY", "ELOOP": "O_NOFOLLOW"}
_ESCAPES = {b"\\": rb"\\", b"\t": rb"\t", b"\n": rb"\n"}


def recording(calls: Iterable[FileCall]) -> Iterator[bytes]:
    """Yield the lines of a recording, the header first."""
    yield HEADER
    listing: set[tuple[int, int | None]] = set()
    for call in calls:
        if call.path is None or not _returned(call) or call.path.startswith("/proc/"):
            continue
        if call.kind == "getdents":
            if not _continues(call, listing):
                yield _line(call)
        elif call.kind in _KINDS and call.descriptor is None and _can_be_repeated(call):
            yield _line(call)


def _returned(call: FileCall) -> bool:
    return call.answer != "?" and not call.answer.startswith("ERESTART")


def _continues(call: FileCall, listing: set[tuple[int, int | None]]) -> bool:
    """Whether the call goes on with a listing; it ends with the call that finds nothing."""
    opened = (id(call.process), call.descriptor)
    was_listing = opened in listing
    if call.answer != "0" or "/* 0 entries */" in call.arguments:
        listing.discard(opened)
    else:
        listing.add(opened)
    return was_listing


def _can_be_repeated(call: FileCall) -> bool:
    if call.kind in ("open", "openat"):
        flags = [*_CHANGING, *filter(None, [_BY_FLAG.get(call.answer)])]
        return not any(flag in call.arguments for flag in flags)
    if call.kind == "access":
        return call.answer in _FOR_EVERYBODY
    return True


def _line(call: FileCall) -> bytes:
    path = os.fsencode(call.path or "")
    for byte, escape in _ESCAPES.items():
        path = path.replace(byte, escape)
    return b"%b\t%b\t%b\n" % (call.kind.encode(), call.answer.encode(), path)
