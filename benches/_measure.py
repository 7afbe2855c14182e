"""Runs fresh processes and says what they cost: wall, CPU, memory, system calls.

Measures only; it does not know what it runs or what a good figure is. Processes are started by
posix_spawn(3) and reaped by wait4(2), so that CPU time and peak memory are the kernel's own
account of that one process. For the programs in benches/.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class RunFailed(Exception):
    """A measured process exited with something else than 0: there is nothing to measure."""


@dataclass(frozen=True)
class Run:
    """What one process cost."""

    wall_s: float
    cpu_s: float
    output: str
    operations: int = 0
    """What slow filesystems, if it met any, did for it."""
    waits: int = 0
    """How many of these went out one after another."""


def run(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Run:
    """Run a command to its end; RunFailed if it fails. Its stderr goes to ours."""
    with tempfile.TemporaryFile() as output:
        redirect = [(os.POSIX_SPAWN_DUP2, output.fileno(), 1)]
        env = os.environ if environment is None else environment
        start = time.perf_counter()
        pid = os.posix_spawn(command[0], list(command), env, file_actions=redirect)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        output.seek(0)
        text = output.read().decode(errors="replace")
    code = os.waitstatus_to_exitcode(status)
    if code != 0:
        raise RunFailed(f"exit code {code} from: {' '.join(command)}\n{text}")
    return Run(wall, usage.ru_utime + usage.ru_stime, text)


def interleave(
    commands: Mapping[str, Callable[[], Run]],
    rounds: int,
    seconds: float = float("inf"),
    tick: Callable[[], None] = lambda: None,
) -> dict[str, list[Run]]:
    """Run every command once per round, each round starting with another one.

    A noisy neighbour then disturbs all of them alike, and none is always the one that finds the
    caches as another left them. No round after the first begins once `seconds` have gone by.
    `tick` is called after every round.
    """
    names = list(commands)
    runs: dict[str, list[Run]] = {name: [] for name in names}
    end = time.monotonic() + seconds
    for number in range(rounds):
        if number and time.monotonic() > end:
            break
        first = number % len(names)
        for name in names[first:] + names[:first]:
            runs[name].append(commands[name]())
        tick()
    return runs


def median(runs: Sequence[Run], of: Callable[[Run], float]) -> float:
    """The median of one property of the runs."""
    return statistics.median(of(run) for run in runs)


def wall(run: Run) -> float:
    """Seconds from spawn to exit."""
    return run.wall_s


def cpu(run: Run) -> float:
    """Seconds of CPU, user and system, all threads, kernel workers of a ring included."""
    return run.cpu_s


def operations(run: Run) -> int:
    """Operations served by slow filesystems."""
    return run.operations


def waits(run: Run) -> int:
    """Operations of slow filesystems that went out one after another."""
    return run.waits


def strace() -> str | None:
    """Where strace is, if it is there and may trace."""
    found = shutil.which("strace")
    if found is None:
        return None
    probe = subprocess.run([found, "-qq", "-c", "true"], capture_output=True, check=False)
    return found if probe.returncode == 0 else None


def system_calls(
    tracer: str,
    command: Sequence[str],
    only: str | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """How many system calls a command makes, all threads, as strace counts them.

    `only` is one system call's name, or a class of them (strace(1), `%file`). What goes through a
    ring is not seen, only the entering.
    """
    with tempfile.TemporaryDirectory() as scratch:
        summary = Path(scratch, "summary")
        trace = [tracer, "-f", "-c", "-o", str(summary)]
        if only is not None:
            trace += ["-e", f"trace={only}"]
        run([*trace, *command], environment)
        return total_calls(summary.read_text())


def total_calls(summary: str) -> int:
    """The calls in the last line of `strace -c`; no such line means that there were none."""
    for line in summary.splitlines():
        fields = line.split()
        if fields and fields[-1] == "total":
            return int(fields[3])
    return 0


def kernel_counter(calls: Sequence[str]) -> Callable[[Sequence[str]], int] | None:
    """What runs a command and says how often it, all threads, made one of these system calls.

    The kernel counts (perf-stat(1), tracepoints), so that the command is not stopped at each of
    them as a tracer stops it: to fastpath's engine `auto`, calls that are traced are slow ones.
    Names are those of tracepoints; what this machine has no tracepoint for is left out. None if
    perf is not there, or may not count.
    """
    found = shutil.which("perf")
    events = [f"syscalls:sys_enter_{call}" for call in calls]

    def stat(what: Sequence[str], summary: str, command: Sequence[str]) -> list[str]:
        return [found or "", "stat", "-x,", "-e", ",".join(what), "-o", summary, "--", *command]

    def known(event: str) -> bool:
        probe = stat([event], os.devnull, ["true"])
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0

    def count(command: Sequence[str]) -> int:
        with tempfile.NamedTemporaryFile("r") as summary:
            run(stat(events, summary.name, command))
            lines = summary.read().splitlines()
        return sum(int(line.split(",")[0]) for line in lines if ":sys_enter_" in line)

    events = [event for event in events if found and known(event)]
    return count if events else None
