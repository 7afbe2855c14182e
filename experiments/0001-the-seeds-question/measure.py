"""Is a Python start's list of filesystem calls quicker as io_uring batches, or on threads?

Traces ``python -c 'import ...'`` with strace, keeps the calls that concern the standard library,
and replays them on a copy of it with cshim/'s `replay`, which compares every result with the
recorded one: serially, through a ring and on threads, on the disk of build/ and on tmpfs, and, as
root, on an overlay, cold, and through a filesystem that takes 0.1, 1 and 10 ms for each operation.
The ways take turns, a fresh process each.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, filesystem, main, markdown  # noqa: E402
from _ground import (  # noqa: E402
    drop_caches,
    no_dropping,
    no_slow_mount,
    quiet,
    slow_mount,
    standard_library,
)
from _measure import strace  # noqa: E402

PROGRAM = "import argparse, asyncio, email.message, http.client, json, logging, unittest"
# Milliseconds for each operation, and how many rounds: serial at 10 takes as long as all the rest.
DELAYS = {0.1: 3, 1: 3, 10: 2}

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


Recorded = Callable[[Path], list[Call]]
"""The calls, as they are made to a copy of the library."""


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
    """Replays every way in turn, on one ground after the other."""

    def __init__(self, setting: Setting, scratch: Path) -> None:
        self._setting, self._scratch = setting, scratch
        self.results: list[Raw] = []

    def recording(self, calls: Recorded, tree: Path) -> Path:
        """The recording of these calls to this copy."""
        path = self._scratch / "recording"
        path.write_bytes(b"# fastpath-recording 1\n" + b"".join(c.line() for c in calls(tree)))
        return path

    def on(self, group: str, name: str, rounds: int, once: Callable[[str], Cost]) -> None:
        """Measure, interleaved."""
        self._setting.progress.stage(f"{group}, {name}")
        costs: dict[str, list[Cost]] = {way: [] for way in WAYS}
        for number in range(1 if self._setting.quick else self._setting.rounds(rounds)):
            ways = list(WAYS)
            for turn in range(len(ways)):
                way = ways[(number + turn) % len(ways)]
                costs[way].append(once(way))
            self._setting.progress.tick()
        self.results.append({"group": group, "name": name, "ways": summary(costs)})

    def hot(self, name: str, calls: Recorded, tree: Path) -> None:
        recording = self.recording(calls, tree)
        for way in WAYS:
            replay(recording, way, 1)
        self.on("hot", name, 7, lambda way: replay(recording, way, 11))

    def cold(self, name: str, calls: Recorded, tree: Path) -> None:
        recording = self.recording(calls, tree)

        def once(way: str) -> Cost:
            drop_caches()
            recording.read_bytes()
            return replay(recording, way, 1)

        self.on("cold", name, 5, once)

    def slow(self, name: str, calls: Recorded, tree: Path, delay_ms: float) -> None:
        mounted = self._scratch / "slow"
        recording = self.recording(calls, mounted)

        def once(way: str) -> Cost:
            # Mounted afresh: what one way has asked, the next would find in the kernel's cache.
            with slow_mount(str(tree), mounted, delay_ms) as mount:
                cost = replay(recording, way, 1)
                return Cost(cost.wall_ms, cost.cpu_ms, mount.operations(), mount.waits())

        self.on("slow", name, DELAYS[delay_ms], once)


def summary(costs: Mapping[str, Sequence[Cost]]) -> Raw:
    """Medians, and medians of the ratios to serial within a round."""
    found = {}
    for way, mine in costs.items():
        pairs = list(zip(mine, costs["serial"], strict=True))
        found[way] = {
            "wall_ms": round(statistics.median(cost.wall_ms for cost in mine), 3),
            "wall_ratio": round(statistics.median(c.wall_ms / b.wall_ms for c, b in pairs), 3),
            "cpu_ms": round(statistics.median(cost.cpu_ms for cost in mine), 3),
            "cpu_ratio": round(statistics.median(c.cpu_ms / b.cpu_ms for c, b in pairs), 3),
            "operations": round(statistics.median(cost.operations for cost in mine)),
            "waits": round(statistics.median(cost.waits for cost in mine)),
        }
    return found


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
        yield None, " ".join(done.stderr.split())
        return
    try:
        yield where, ""
    finally:
        quiet(["umount", str(where)])


def counted(calls: Sequence[Call], all_calls: int) -> Raw:
    """What was recorded, in numbers."""
    kinds = {kind: sum(call.kind == kind for call in calls) for kind in sorted(set(KINDS.values()))}
    return {
        "with_a_path": all_calls,
        "of_the_library": len(calls),
        "kinds": {kind: count for kind, count in kinds.items() if count},
        "missing": sum(call.result == "ENOENT" for call in calls),
    }


def measure(setting: Setting) -> Raw:
    quiet(["make", "--silent", "-C", str(ROOT), "replay"])
    # Not that of a virtual environment, which may have fastpath enabled.
    version = ".".join(map(str, sys.version_info[:2]))
    python = str(Path(sys.base_prefix, "bin", f"python{version}"))
    library = Path(standard_library(python))
    every = traced(python, "import json" if setting.quick else PROGRAM)
    calls = concerning(every, library)

    def recorded(tree: Path) -> list[Call]:
        return moved(calls, library, tree)

    with tempfile.TemporaryDirectory(dir=setting.scratch) as place, on_tmpfs() as shm:
        scratch = Path(place)
        grounds = Grounds(setting, scratch)
        tree = copied(library, scratch / "library")
        with overlaid(tree, scratch) as (overlay, no_overlay):
            on_this_machine(setting, grounds, recorded, tree, overlay, no_overlay)
        if shm:
            grounds.hot("tmpfs", recorded, copied(library, shm / "library"))
        if not setting.quick and setting.can("slow", no_slow_mount()):
            slowly(grounds, recorded, tree)
    return {"recorded": counted(calls, len(every)), "grounds": grounds.results}


def on_this_machine(
    setting: Setting,
    grounds: Grounds,
    recorded: Recorded,
    tree: Path,
    overlay: Path | None,
    no_overlay: str,
) -> None:
    """Its disk and an overlay of that, hot and cold."""
    kind = filesystem(tree)
    trees = {kind: tree}
    if setting.can("overlay", no_overlay) and overlay:
        trees[f"overlay of {kind}"] = overlay
    for name, there in trees.items():
        grounds.hot(name, recorded, there)
    if not setting.quick and setting.can("cold", no_dropping()):
        for name, there in trees.items():
            grounds.cold(name, recorded, there)


def slowly(grounds: Grounds, recorded: Recorded, tree: Path) -> None:
    """Through filesystems that take their time; once more without what no ring can be asked for."""
    for delay_ms in DELAYS:
        grounds.slow(f"{delay_ms:g} ms", recorded, tree, delay_ms)

    def without_listings(tree: Path) -> list[Call]:
        return [call for call in recorded(tree) if call.kind != "getdents"]

    grounds.slow("1 ms, no listings", without_listings, tree, 1)


# ---- what came out ----------------------------------------------------------------------------

TITLES = {
    "hot": "**Hot**: wall and CPU, to serial in the same round.",
    "cold": "**Cold** (caches dropped): the same.",
    "slow": "**Slow filesystem** (FUSE): waits (operations that went out one after another); "
    "wall and CPU, to serial in the same round.",
}


def tables(raw: Raw) -> str:
    said = raw["recorded"]
    kinds = ", ".join(f"{kind} {count}" for kind, count in said["kinds"].items())
    parts = [
        f"{said['with_a_path']} calls with a path, {said['of_the_library']} of them of the "
        f"library, which are replayed: {kinds}; {said['missing']} times ENOENT."
    ]
    for group, title in TITLES.items():
        grounds = [ground for ground in raw["grounds"] if ground["group"] == group]
        if grounds:
            parts += [title, group_table(grounds)]
    return "\n\n".join(parts)


def group_table(grounds: Sequence[Raw]) -> str:
    """A row for each way, two or three columns for each ground."""
    is_slow = grounds[0]["group"] == "slow"
    heading = [""]
    for ground in grounds:
        name = ground["name"]
        heading += [f"{name}: waits", "wall", "CPU"] if is_slow else [f"{name}: wall", "CPU"]
    rows = []
    for way in WAYS:
        cells = [way]
        for ground in grounds:
            cost = ground["ways"][way]
            if is_slow:
                cells.append(f"{cost['waits']}")
            if way == "serial":
                cells += [f"{cost['wall_ms']:,.1f} ms", f"{cost['cpu_ms']:,.1f} ms"]
            else:
                cells += [f"{cost['wall_ratio']:.2f} ×", f"{cost['cpu_ratio']:.2f} ×"]  # noqa: RUF001
        rows.append(cells)
    return markdown(heading, rows)


COLOURS = dict(
    zip(
        WAYS,
        ("0.3", "#4c72b0", "#6c92d0", "#a8c0e8", "#c44e52", "#dd8452", "#f0b890"),
        strict=True,
    )
)


def draw(raw: Raw, figure: Any) -> None:
    """CPU where it is hot, waits where it is slow."""
    figure.set_size_inches(10, 4.8)
    left, right = figure.subplots(1, 2, width_ratios=[3, 4])
    hot = [ground for ground in raw["grounds"] if ground["group"] == "hot"]
    slow = [ground for ground in raw["grounds"] if ground["group"] == "slow"]
    bars(left, hot, "cpu_ratio", "CPU (serial = 1)", "hot")
    bars(right, slow, "waits", "waits: operations one after another", "slow filesystem")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=4)


def bars(axes: Any, grounds: Sequence[Raw], what: str, label: str, title: str) -> None:
    width = 0.8 / len(WAYS)
    for number, way in enumerate(WAYS):
        where = [at + (number - len(WAYS) / 2 + 0.5) * width for at in range(len(grounds))]
        values = [ground["ways"][way][what] for ground in grounds]
        axes.bar(where, values, width, label=way, color=COLOURS[way])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter("")
    axes.set_xticks(range(len(grounds)), [ground["name"] for ground in grounds], fontsize=9)
    axes.set_ylabel(label)
    axes.set_title(title, fontsize=10)


EXPERIMENT = Experiment(measure, tables, draw)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
