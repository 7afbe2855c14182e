"""strace: whether it can be used here, and one run of a command under it.

The command keeps its standard streams, its environment and its exit status. Follows children
and threads, and stops the command at calls on files only, where strace knows how. What it writes
goes into a temporary file, removed after. Used by ``_trace``.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from fastpath import _trace_parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_CALLS = "trace=%file,%desc,clone,?clone3,?fork,?vfork"
_PLAIN = ["-f", "-ttt", "-T", "-y", "-s", "0", "-e", _CALLS]
# Since strace 5.3: calls that are not asked for do not stop; times in nanoseconds.
_BETTER = [
    "--seccomp-bpf",
    "-f",
    "--absolute-timestamps=format:unix,precision:ns",
    "--syscall-times=ns",
    "-y",
    "-s",
    "0",
    "-e",
    _CALLS,
]


class Strace(NamedTuple):
    """A strace that works here."""

    command: list[str]


class Run(NamedTuple):
    """One run of a command."""

    code: int
    """As a shell has it: 128 and the signal's number for a process that one has killed."""
    parsed: _trace_parse.Parsed


def find() -> Strace | str:
    """Return how to call strace, or a sentence: why it cannot be used, and how to get it."""
    path = shutil.which("strace")
    if path is None:
        return "strace is not installed (Debian, Ubuntu: apt install strace)"
    why = ""
    for options in (_BETTER, _PLAIN):
        command = [path, *options]
        try:
            tried = subprocess.run(
                [*command, "-o", os.devnull, "--", "true"], capture_output=True, check=False
            )
        except OSError as error:
            return f"strace cannot be run: {error.strerror}"
        if tried.returncode == 0:
            return Strace(command)
        why = os.fsdecode(tried.stderr).strip().rpartition("\n")[2]
    return (
        f"strace is not permitted here ({why or 'it failed'}); a container needs --cap-add "
        "SYS_PTRACE, and kernel.yama.ptrace_scope may not be 3"
    )


def run(strace: Strace, words: Sequence[str], env: Mapping[str, str]) -> Run:
    """Run a command under strace; return its exit code and its calls."""
    with tempfile.TemporaryDirectory(prefix="fastpath-trace-") as directory:
        output = Path(directory, "strace")
        code = exit_code([*strace.command, "-o", str(output), "--", *words], env)
        try:
            with output.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
                return Run(code, _trace_parse.parse(lines))
        except FileNotFoundError:
            return Run(code, _trace_parse.parse([]))


def exit_code(command: Sequence[str], env: Mapping[str, str]) -> int:
    """Run a command to its end; return its exit code as a shell has it."""
    with subprocess.Popen(command, env=env) as child:
        return wait(child)


def wait(child: subprocess.Popen[bytes]) -> int:
    """Wait for a child, through interrupts, which are for it alone; return its exit code."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        code = child.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code
