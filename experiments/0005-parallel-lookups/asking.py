"""What 0005 and 0007 share: ask.c, trees of empty files, and the filesystems that show them.

Knows nothing of what is compared. A tree is kept where making it is slow (the build disk), and
made anew each time on tmpfs; whatever is mounted is unmounted again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches"))
from _ground import DROP_CACHES, quiet

SOURCE = Path(__file__).with_name("ask.c")
SHARED_MEMORY = Path("/dev/shm")


def compiled(scratch: Path) -> Path:
    """The program of ask.c."""
    program = scratch / "ask"
    compiler = os.environ.get("CC", "cc")
    quiet([compiler, "-std=c11", "-O2", "-pthread", str(SOURCE), "-o", str(program)])
    return program


@dataclass(frozen=True)
class Cost:
    """What the operations of one process cost together."""

    wall_ns: int
    cpu_ns: int
    """Of all its threads; what a FUSE server does for them is not theirs."""
    sleeps: int
    """How often a thread stopped to wait for something: a lock, a disk, a server."""


@dataclass(frozen=True)
class Tree:
    """Directories d00, d01, ... with as many regular files m000000.py, ... each."""

    root: Path
    names: int


def planted(root: Path, directories: int, names: int) -> Tree:
    """That tree, made if it is not there yet."""
    done = root / "planted"
    if not done.exists():
        for directory in (root / f"d{number:02}" for number in range(directories)):
            directory.mkdir(parents=True, exist_ok=True)
            for number in range(names):
                name = directory / f"m{number:06}.py"
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644))
        done.touch()
    return Tree(root, names)


@dataclass(frozen=True)
class Asker:
    """The compiled program, ready to be run."""

    program: Path

    def ask(
        self,
        what: str,
        tree: Tree,
        operations: int,
        *,
        threads: int = 1,
        directories: int = 1,
        repeat: int = 1,
        salt: str = "",
        warm: bool = True,
    ) -> Cost:
        """Run it (ask.c says what the arguments are); a wrong result ends the measurement."""
        numbers = [directories, tree.names, threads, operations, repeat]
        command = [self.program, what, tree.root, *numbers, salt, int(warm)]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"not what it should be: {done.stderr.strip()}")
        return Cost(**json.loads(done.stdout))


@contextmanager
def in_front() -> Iterator[str | None]:
    """Real-time priority, for us and whom we start; yields why not, where we may not have it.

    Where others' work takes half of each processor away, two threads look as if they waited for
    each other. The kernel keeps a twentieth of each second for the others (sched(7)).
    """
    before = os.sched_getscheduler(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError as error:
        yield f"no real-time priority: {error.strerror}"
        return
    try:
        yield None
    finally:
        os.sched_setscheduler(0, before, os.sched_param(0))


def forget_names() -> None:
    """Drop directory entries and inodes, as far as nothing has changed in them, not the blocks."""
    DROP_CACHES.write_text("2\n")


def no_tmpfs() -> str | None:
    """Why there is no tmpfs to work in; None where there is."""
    mounts = Path("/proc/mounts")
    lines = mounts.read_text().splitlines() if mounts.exists() else []
    if not any(line.split()[1:3] == [str(SHARED_MEMORY), "tmpfs"] for line in lines):
        return f"no tmpfs at {SHARED_MEMORY}"
    return None if os.access(SHARED_MEMORY, os.W_OK) else f"{SHARED_MEMORY} is not writable"


@contextmanager
def on_tmpfs() -> Iterator[Path]:
    """A directory on tmpfs, which is gone afterwards."""
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY, prefix="fastpath-") as where:
        yield Path(where)


def no_mount(what: str) -> str | None:
    """Why no filesystem of this type (proc_filesystems(5)) can be mounted; None where it can."""
    known = Path("/proc/filesystems")
    types = known.read_text().split() if known.exists() else []
    if os.geteuid() != 0:
        return "needs root, to mount"
    return None if what in types else f"this kernel has no {what}"


@contextmanager
def overlay(lower: Path, scratch: Path) -> Iterator[Path]:
    """What is in `lower`, through an overlay whose upper directory, in `scratch`, is empty."""
    parts = [scratch / "overlay" / part for part in ("upper", "work", "merged")]
    shutil.rmtree(scratch / "overlay", ignore_errors=True)
    for part in parts:
        part.mkdir(parents=True)
    upper, work, merged = parts
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    quiet(["mount", "-t", "overlay", "overlay", "-o", options, str(merged)])
    try:
        yield merged
    finally:
        quiet(["umount", str(merged)])


def no_squashfs() -> str | None:
    """Why there can be no squashfs here; None where there can."""
    if shutil.which("mksquashfs") is None:
        return "needs mksquashfs"
    if not Path("/dev/loop-control").exists():
        return "needs loop devices"
    return no_mount("squashfs")


@contextmanager
def squashfs(tree: Path, scratch: Path) -> Iterator[Path]:
    """What is in `tree`, as an image through a loop device."""
    image, mounted = scratch / "image.squashfs", scratch / "squashfs"
    mounted.mkdir(exist_ok=True)
    quiet(["mksquashfs", str(tree), str(image), "-noappend", "-quiet", "-no-progress"])
    quiet(["mount", "-o", "loop,ro", str(image), str(mounted)])
    try:
        yield mounted
    finally:
        quiet(["umount", str(mounted)])
        image.unlink()
