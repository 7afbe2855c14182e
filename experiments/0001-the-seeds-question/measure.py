"""Is a Python start's list of filesystem calls quicker as io_uring batches, or on threads?

Traces ``python -c 'import ...'`` with strace, keeps the calls that concern the standard library,
and replays them on a copy of it with cshim/'s `replay`, which compares every result with the
recorded one: serially, through a ring and on threads, on the disk of build/ and on tmpfs, and, as
root, on an overlay, cold, and through a filesystem that takes 0.1, 1 and 10 ms for each operation.
The ways take turns, a fresh process each. Prints medians, ratios to serial within a round, and the
load it was taken under.

usage: python experiments/0001-the-seeds-question/measure.py --rounds 11 --slow-rounds 3
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches"))
from _ground import ROOT, drop_caches, no_dropping, no_slow_mount, quiet, slow_mount
from _measure import strace
from _report import Progress, table

PROGRAM = "import argparse, asyncio, email.message, http.client, json, logging, unittest"
DELAYS_MS = (0.1, 1, 10)

# What is measured: a name, and the arguments of `replay`.
WAYS = {
    "serial": ["--mode", "serial"],
    "uring": ["--mode", "uring"],
    "uring, 128 workers": ["--mode", "uring", "--width", "128"],
    "uring, 128, by 16": ["--mode", "uring", "--width", "128", "--batch", "16"],
    "threads, 16": ["--mode", "threads", "--width", "16"],
    "threads, 128": ["--mode", "threads", "--width", "128"],
    "threads, 16, by 16": ["--mode", "threads", "--width", "16", "--batch", "16"],
}


# ---- the recording ---------------------------------------------------------------------------

KINDS = {
    "stat": "stat",
    "lstat": "lstat",
    "newfstatat": "stat",
    "statx": "statx",
    "open": "open",
    "openat": "openat",
    "access": "access",
    "faccessat": "access",
    "faccessat2": "access",
    "readlink": "readlink",
    "readlinkat": "readlink",
    "getdents64": "getdents",
}
CALL = re.compile(rb"(?:\d+ +)?(\w+)\((.*)\) += (-?\d+)(?:<.*>)?(?: (E[A-Z0-9]+) )?")
QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"')
LISTED = re.compile(rb"\d+<((?:[^\\>]|\\.)*)>")
TYPE = re.compile(rb"(?:st_mode|stx_mode)=S_IF(REG|DIR|LNK)")
LETTER = {b"REG": "f", b"DIR": "d", b"LNK": "l"}


@dataclass(frozen=True)
class Call:
    """A line of a recording."""

    kind: str
    result: str
    path: bytes

    def line(self) -> bytes:
        """As `replay` reads it (cshim/recording.c)."""
        path = self.path.replace(b"\\", b"\\\\").replace(b"\t", b"\\t").replace(b"\n", b"\\n")
        return b"\t".join([self.kind.encode(), self.result.encode(), path]) + b"\n"


def unquoted(text: bytes) -> bytes:
    """What a string of strace's stands for: its escapes are Python's as well."""
    value: bytes = ast.literal_eval("b" + text.decode("ascii"))
    return value


def parsed(line: bytes) -> Call | None:
    """One line of ``strace -y``, if it is a call that a recording can have."""
    match = CALL.match(line)
    if match is None or match[1].decode() not in KINDS:
        return None
    name, arguments, error = match[1].decode(), match[2], match[4]
    kind = KINDS[name]
    if name == "getdents64":
        listed = LISTED.match(arguments)
        # A listing ends with a call that finds no entry: the one that counts.
        if listed is None or match[3] != b"0":
            return None
        return Call(kind, "0", unquoted(b'"' + listed[1].replace(b'"', b'\\"') + b'"'))
    quoted = QUOTED.search(arguments)
    if quoted is None or not quoted[0].startswith(b'"/'):
        return None  # of a descriptor, or of a relative path
    if b"AT_SYMLINK_NOFOLLOW" in arguments:
        kind = "lstat"
    if error:
        return Call(kind, error.decode(), unquoted(quoted[0]))
    found = TYPE.search(arguments)
    letter = LETTER[found[1]] if found else "o"
    is_stat = kind in ("stat", "lstat", "statx")
    return Call(kind, letter if is_stat else "0", unquoted(quoted[0]))


def traced(python: str, program: str) -> list[Call]:
    """The filesystem calls of a start. The first start is for what is written only once."""
    tracer = strace()
    if tracer is None:
        sys.exit("the-seeds-question: needs strace, and leave to use it")
    command = [python, "-I", "-c", program]
    subprocess.run(command, check=True)
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch, "log")
        known = ",".join(f"?{name}" for name in KINDS)
        options = ["-f", "-y", "-s", "8192", "-e", f"trace={known}", "-o", str(log)]
        subprocess.run([tracer, *options, *command], check=True)
        lines = log.read_bytes().splitlines()
    return [call for call in map(parsed, lines) if call]


def concerning(calls: list[Call], library: Path) -> list[Call]:
    """Those that ask about the library or what is in it, but for packages that were added to it."""
    home, added = os.fsencode(library), os.fsencode(library / "site-packages")
    below = [call for call in calls if (call.path + b"/").startswith(home + b"/")]
    return [call for call in below if not call.path.startswith(added + b"/")]


def moved(calls: list[Call], library: Path, to: Path) -> list[Call]:
    """The same calls of a copy."""
    length = len(os.fsencode(library))
    return [Call(c.kind, c.result, os.fsencode(to) + c.path[length:]) for c in calls]


# ---- where ------------------------------------------------------------------------------------


def copied(library: Path, to: Path) -> Path:
    """A copy of the library, without tests and without what was added to it."""
    shutil.rmtree(to, ignore_errors=True)
    ignore = shutil.ignore_patterns("test", "tests", "idlelib", "config-*", "*.opt-?.pyc")

    def left_out(directory: str, names: list[str]) -> set[str]:
        if Path(directory).name == "site-packages":
            return set(names)
        return set(ignore(directory, names))

    shutil.copytree(library, to, ignore=left_out, symlinks=True)
    return to


def filesystem(place: Path) -> str:
    """The type of the filesystem there."""
    done = subprocess.run(["stat", "-f", "-c", "%T", place], capture_output=True, text=True)
    return done.stdout.strip().replace("ext2/ext3", "ext4")


@dataclass(frozen=True)
class Cost:
    """What one replay cost, milliseconds; and what a slow filesystem did for it."""

    wall_ms: float
    cpu_ms: float
    operations: int = 0
    waits: int = 0


def replay(recording: Path, way: str, repeat: int) -> Cost:
    """A replay in a fresh process; the median of its runs."""
    program = [str(ROOT / "build" / "replay"), str(recording)]
    command = [*program, *WAYS[way], "--json", "--repeat", str(repeat)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"the-seeds-question: {way}: wrong: {done.stderr.decode(errors='replace')}")
    (mode,) = json.loads(done.stdout)["modes"]
    if mode["refused"]:
        sys.exit(f"the-seeds-question: no io_uring: {mode['refused']}")
    return Cost(mode["wall_us"]["all"] / 1e3, mode["cpu_us"]["all"] / 1e3)


class Grounds:
    """Replays every way in turn on one ground after the other, and prints what came out."""

    def __init__(self, calls: list[Call], library: Path, scratch: Path) -> None:
        self._calls, self._library, self._scratch = calls, library, scratch
        self._progress = Progress()

    def recording(self, tree: Path) -> Path:
        """The recording of the calls to this copy."""
        lines = [call.line() for call in moved(self._calls, self._library, tree)]
        path = self._scratch / "recording"
        path.write_bytes(b"# fastpath-recording 1\n" + b"".join(lines))
        return path

    def on(self, name: str, rounds: int, once: Callable[[str], Cost]) -> None:
        """Measure, interleaved, and print a table."""
        self._progress.stage(name)
        costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
        load = os.getloadavg()[0]
        for number in range(rounds):
            ways = list(WAYS)
            for turn in range(len(ways)):
                way = ways[(number + turn) % len(ways)]
                costs[way].append(once(way))
            self._progress.tick()
        print(f"\n{name}; {rounds} rounds, load {load:.1f} to {os.getloadavg()[0]:.1f}\n")
        print(shown(costs), flush=True)

    def hot(self, name: str, tree: Path, rounds: int) -> None:
        recording = self.recording(tree)
        for way in WAYS:
            replay(recording, way, 1)
        self.on(name, rounds, lambda way: replay(recording, way, 11))

    def cold(self, name: str, tree: Path, rounds: int) -> None:
        recording = self.recording(tree)

        def once(way: str) -> Cost:
            drop_caches()
            recording.read_bytes()
            return replay(recording, way, 1)

        self.on(name, rounds, once)

    def slow(self, tree: Path, delay_ms: float, rounds: int) -> None:
        mounted = self._scratch / "slow"
        recording = self.recording(mounted)

        def once(way: str) -> Cost:
            # Mounted afresh: what one way has asked, the next would find in the kernel's cache.
            with slow_mount(str(tree), mounted, delay_ms) as mount:
                cost = replay(recording, way, 1)
                return Cost(cost.wall_ms, cost.cpu_ms, mount.operations(), mount.waits())

        self.on(f"{delay_ms:g} ms for each operation (FUSE), fresh mounts", rounds, once)


def shown(costs: Mapping[str, list[Cost]]) -> str:
    """Medians, and ratios to serial round by round."""
    rows = [["", "wall, ms", "to serial", "CPU, ms", "to serial", "operations", "waits"]]
    serial = costs["serial"]
    for way, all_ in costs.items():
        walls = [cost.wall_ms / base.wall_ms for cost, base in zip(all_, serial, strict=True)]
        cpus = [cost.cpu_ms / base.cpu_ms for cost, base in zip(all_, serial, strict=True)]
        served = [
            f"{statistics.median(cost.operations for cost in all_):.0f}",
            f"{statistics.median(cost.waits for cost in all_):.0f}",
        ]
        rows.append(
            [
                way,
                f"{statistics.median(cost.wall_ms for cost in all_):.2f}",
                f"{statistics.median(walls):.2f} x",
                f"{statistics.median(cost.cpu_ms for cost in all_):.2f}",
                f"{statistics.median(cpus):.2f} x",
                *(served if all_[0].operations else ["", ""]),
            ]
        )
    return table(rows)


@contextmanager
def on_tmpfs() -> Iterator[Path | None]:
    """A directory on tmpfs, if there is one."""
    place = Path("/dev/shm")
    if not place.is_dir() or filesystem(place) != "tmpfs":
        yield None
        return
    with tempfile.TemporaryDirectory(dir=place) as directory:
        yield Path(directory)


@contextmanager
def overlaid(tree: Path, scratch: Path) -> Iterator[tuple[Path | None, str]]:
    """The tree as an overlay of itself and an empty directory, or why there is none."""
    empty, where = scratch / "empty", scratch / "overlay"
    empty.mkdir()
    where.mkdir()
    layers = f"lowerdir={empty}:{tree}"
    command = ["mount", "-t", "overlay", "overlay", "-o", layers, str(where)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        yield None, done.stderr.strip()
        return
    try:
        yield where, ""
    finally:
        quiet(["umount", str(where)])


def said(calls: list[Call], all_calls: int) -> str:
    """What was recorded, in numbers."""
    kinds = {kind: sum(call.kind == kind for call in calls) for kind in sorted(set(KINDS.values()))}
    missing = sum(call.result == "ENOENT" for call in calls)
    by_kind = ", ".join(f"{kind} {count}" for kind, count in kinds.items() if count)
    return (
        f"{all_calls} calls with a path, {len(calls)} of them of the library, which are replayed: "
        f"{by_kind}; {missing} ENOENT"
    )


def arguments() -> argparse.Namespace:
    description, usage = (__doc__ or "").split("usage: ")
    parser = argparse.ArgumentParser(
        description=description,
        epilog=f"example: {usage}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--python", default=sys.executable, help="whose start [this one]")
    parser.add_argument("--program", default=PROGRAM, help=f"what it does [{PROGRAM}]")
    parser.add_argument("--rounds", type=int, default=11, help="hot and cold [11]")
    parser.add_argument("--slow-rounds", type=int, default=3, help="slow filesystems [3]")
    kinds = sorted(set(KINDS.values()))
    parser.add_argument("--leave-out", choices=kinds, help="calls that are not replayed [none]")
    parser.add_argument("--only", choices=["hot", "cold", "slow"], help="these grounds [all]")
    return parser.parse_args()


def main() -> None:
    """Measure and print."""
    options = arguments()
    quiet(["make", "--silent", "-C", str(ROOT), "replay"])
    ask = "import os; print(os.path.dirname(os.__file__))"
    home = subprocess.check_output([options.python, "-I", "-c", ask], text=True).strip()
    library = Path(home)
    every = traced(options.python, options.program)
    calls = [c for c in concerning(every, library) if c.kind != options.leave_out]
    print(said(calls, len(every)))
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as scratch, on_tmpfs() as shm:
        grounds = Grounds(calls, library, Path(scratch))
        tree = copied(library, Path(scratch, "library"))
        name = filesystem(tree)
        with overlaid(tree, Path(scratch)) as (overlay, no_overlay):
            if options.only in (None, "hot"):
                grounds.hot(f"hot {name}", tree, options.rounds)
                if is_possible("hot overlay", no_overlay) and overlay:
                    grounds.hot(f"hot overlay of {name}", overlay, options.rounds)
                if is_possible("hot tmpfs", "" if shm else "/dev/shm is none") and shm:
                    grounds.hot("hot tmpfs", copied(library, shm / "library"), options.rounds)
            if options.only in (None, "cold") and is_possible("cold", no_dropping()):
                grounds.cold(f"cold {name}", tree, options.rounds)
                if is_possible("cold overlay", no_overlay) and overlay:
                    grounds.cold(f"cold overlay of {name}", overlay, options.rounds)
        if options.only in (None, "slow") and is_possible("slow", no_slow_mount()):
            for delay_ms in DELAYS_MS:
                grounds.slow(tree, delay_ms, options.slow_rounds)


def is_possible(ground: str, reason: str | None) -> bool:
    """Whether there is no reason against it; else says it."""
    if reason:
        print(f"skip: {ground}: {reason}")
    return not reason


if __name__ == "__main__":
    main()
