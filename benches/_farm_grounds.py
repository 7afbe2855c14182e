"""Where is launched: a local disk, hot or cold, and a filesystem that takes 1 ms per operation.

A ground says whether this machine has it, makes itself around the environments, settles before
each batch of launches and counts what one launch asks of it; it times nothing. For farm.py and
its modules.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from _farm_ways import Way
from _ground import SlowMount, drop_caches, no_dropping, no_slow_mount, slowed
from _measure import Run, run, strace, system_calls

DELAY_MS = 1.0
FORGOTTEN_S = 1.2
"""A slow mount lets the kernel keep names and attributes for 1 s."""
FILES = "%file,%desc"
"""The system calls that take a path or a descriptor (strace(1))."""


@dataclass(frozen=True)
class Count:
    """What one launch asked of the filesystem."""

    calls: float | None
    """System calls that take a path or a descriptor, or operations of the slow filesystem; None if
    not counted."""
    waits: float | None = None
    """How many of those operations went out one after another; None on a local disk."""


@dataclass
class Hot:
    """The local disk, everything read before."""

    launches: int
    """Of all command lines together, by each way."""
    batch: int
    """How many of one command line in turn, by each way."""
    name: str = "hot"

    def missing(self) -> str | None:
        """Why this machine does not have it; None if it has."""
        return None

    @contextmanager
    def around(self, homes: Iterable[Path]) -> Iterator[None]:
        """Be what the environments in these directories lie on, for as long as this lasts."""
        del homes
        yield

    def settle(self) -> None:
        """Bring about what every batch shall find."""

    def count(self, way: Way, line: str, variables: Mapping[str, str]) -> Count:
        """What one launch asks for, counted by strace if there is one."""
        tracer = strace()
        if tracer is None:
            return Count(None)
        # A traced call makes its thread sleep, which `auto` would take for a slow disk.
        variables = {**variables, "FASTPATH_BACKEND": "serial"}
        return Count(system_calls(tracer, way.command(line), FILES, variables))


@dataclass
class Cold(Hot):
    """The local disk, the kernel's caches dropped before each batch."""

    name: str = "cold"

    def missing(self) -> str | None:
        """Root alone may drop them."""
        return no_dropping()

    def settle(self) -> None:
        """Drop the caches."""
        drop_caches()


@dataclass
class Slow(Hot):
    """The environments on a filesystem that takes its time, at the paths they have on the disk.

    Mounted once, not for each launch: a farm's machines do that too, and what a shared table
    knows is of one mount. The standard library stays on the local disk.
    """

    name: str = "1 ms"
    _mounts: dict[Path, SlowMount] = field(default_factory=dict)

    def missing(self) -> str | None:
        """It takes FUSE, root and the test bed."""
        return no_slow_mount()

    @contextmanager
    def around(self, homes: Iterable[Path]) -> Iterator[None]:
        """Mount each, slow, over itself."""
        with ExitStack() as stack:
            for home in homes:
                self._mounts[home] = stack.enter_context(slowed(home, DELAY_MS))
            yield
        self._mounts.clear()

    def settle(self) -> None:
        """Let the kernel forget what it was told before."""
        time.sleep(FORGOTTEN_S)

    def count(self, way: Way, line: str, variables: Mapping[str, str]) -> Count:
        """What one launch asks for that knows nothing of the one before."""
        return self.asked(way, lambda: run(way.command(line), variables))

    def asked(self, way: Way, launch: Callable[[], Run]) -> Count:
        """What a launch by this way asks its mount for, whatever it launches."""
        self.settle()
        mount = self._mounts[way.home]
        calls, waits = mount.operations(), mount.waits()
        launch()
        return Count(mount.operations() - calls, mount.waits() - waits)
