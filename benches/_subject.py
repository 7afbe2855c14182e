"""Writes the programs that are measured: the same imports, stock or with fastpath.

Both programs see the same interpreter, the same site-packages and the same `sys.path`; ours alone
puts fastpath's directory in front of it for as long as it takes to import and install fastpath,
inside the measured time. Stock never loads our extension. Each program is a plain file that can
be read and run again by hand. For the programs in benches/.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from _measure import Run, run

DIGEST = Path(__file__).with_name("_digest.py")

PATH = """\
import sys
from time import perf_counter as clock
moved = {moved!r}
sys.path[:] = {front!r} + [moved.get(entry, entry) for entry in sys.path]
{before}start = clock()
"""
INSTALL = """\
sys.path.insert(0, {home!r})
import fastpath
{switches}assert fastpath.install(backend={backend!r}, cache={cache!r}), "it did not install"
del sys.path[0]
"""
# Time inside PathFinder.find_spec, the outermost call only; installing counts as finding.
FINDING = """\
from importlib.machinery import PathFinder
finding, depth, inner = clock() - start, 0, PathFinder.find_spec
def find_spec(fullname, path=None, target=None):
    global finding, depth
    depth += 1
    begin = clock()
    try:
        return inner(fullname, path, target)
    finally:
        depth -= 1
        if not depth:
            finding += clock() - begin
PathFinder.find_spec = find_spec
"""
REPORT = 'print(clock() - start, globals().get("finding", 0.0))\n'


@dataclass(frozen=True)
class Subject:
    """One way of running the same imports."""

    python: str
    body: str
    """The statements that import."""
    fastpath: Path | None = None
    """The directory that holds the fastpath package; None is stock."""
    backend: str = "auto"
    cache: str = "off"
    """Where the table lies that processes share."""
    front: Sequence[str] = ()
    """Entries put in front of `sys.path`."""
    moved: dict[str, str] = field(default_factory=dict)
    """Entries of `sys.path` to replace, old to new."""
    off: Sequence[str] = ()
    """Parts of fastpath that are switched off: finding, loading, look-ahead, collector."""
    before: str = ""
    """Statements that run before the clock starts."""
    finding: bool = False
    """Whether to time PathFinder.find_spec, in stock and ours alike."""
    prefix: Sequence[str] = ()
    """A command that runs the interpreter, such as one that refuses io_uring."""

    def program(self) -> str:
        """The source that is run and timed."""
        parts = [PATH.format(moved=self.moved, front=list(self.front), before=self.before)]
        if self.fastpath is not None:
            switches = "".join(f"fastpath._native._switch({part!r}, False)\n" for part in self.off)
            parts.append(
                INSTALL.format(
                    home=str(self.fastpath),
                    backend=self.backend,
                    cache=self.cache,
                    switches=switches,
                )
            )
        if self.finding:
            parts.append(FINDING)
        return "".join([*parts, self.body.rstrip("\n") + "\n", REPORT])

    def command(self, file: Path) -> list[str]:
        """Write the program to `file`; the command that runs it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.program())
        return [*self.prefix, *self._interpreter(), str(file)]

    def _interpreter(self) -> list[str]:
        """Isolated: the caller's environment and directory take no part. And no warnings."""
        return [self.python, "-I", "-W", "ignore"]

    def modules(
        self, file: Path, how: Callable[[Sequence[str]], Run] = run
    ) -> dict[str, list[object]]:
        """Run the program once, untimed: every module it loaded, described by _digest.py."""
        checked = file.with_name(f"{file.stem}-checked.py")
        checked.parent.mkdir(parents=True, exist_ok=True)
        checked.write_text(f"{self.program()}exec(open({str(DIGEST)!r}).read())\n")
        output = how([*self.prefix, *self._interpreter(), str(checked)]).output
        described = json.loads(output.splitlines()[-1])
        assert isinstance(described, dict)
        return described

    def unusable(self, engine: str, file: Path) -> str | None:
        """Why fastpath cannot use this engine here, in its own words; None if it can.

        Asks by a program written to `file`. Stock uses none, and `auto` can always be used.
        """
        if self.fastpath is None or engine == "auto":
            return None
        body = f"print(fastpath.backends()[{engine!r}] or '')"
        asked = replace(self, body=body, backend="auto", front=(), moved={})
        return run(asked.command(file)).output.splitlines()[0] or None


def import_seconds(run: Run) -> float:
    """From the first import to the last, installing included, as the program timed it."""
    return float(run.output.split()[-2])


def finding_seconds(run: Run) -> float:
    """Inside PathFinder.find_spec, installing included; 0 if it was not asked for."""
    return float(run.output.split()[-1])


def differences(stock: dict[str, list[object]], ours: dict[str, list[object]]) -> list[str]:
    """The names of the modules that are not the same in both, sorted; empty is identical."""
    return sorted(n for n in stock.keys() | ours.keys() if stock.get(n) != ours.get(n))
