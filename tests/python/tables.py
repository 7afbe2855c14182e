"""A package tree, a cache directory, and whole interpreters that share what they learn.

What a module must be is told by its name, so that any process can check what it imported. What is
shared may be as young as the test, which nobody but a test asks for. Used by the tests of the
shared table only.
"""

from __future__ import annotations

import compileall
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from support import SECONDS, clean_environment, make_venv

PACKAGES = 4
MODULES = 5
NAMES = [f"p{p}.m{m}" for p in range(PACKAGES) for m in range(MODULES)]
"""Every module of the tree, packages aside."""
FILES = len(NAMES) + PACKAGES
"""Files that a process loads that imports all of it."""

# In front of every program. What is imported by now is no part of the test.
START = """\
import importlib, os, sys
import fastpath
def must(be, *what):
    # No assert: -O has a table of its own.
    if not be: raise RuntimeError(what)
def start(**settings):
    fastpath._native._switch("settling", False)
    must(fastpath.install(**settings))
def right(name):
    module = importlib.import_module(name)
    must(module.VALUE == "the value of " + name, name, module.VALUE)
    must(module.__spec__.origin == module.__file__, module)
    must(module.__file__.endswith(name.replace(".", "/") + ".py"), module.__file__)
def forget():
    for name in [name for name in sys.modules if name in NAMES or name in PACKAGES]:
        del sys.modules[name]
NAMES = {names!r}
PACKAGES = {packages!r}
def everything():
    for name in NAMES: right(name)
    try: import p0.absent
    except ModuleNotFoundError as e: must(e.name == "p0.absent")
    else: must(False, "there is no such module")
if os.environ["TABLE_CHILD"] == "ours": start()
"""
START = START.replace("{names!r}", repr(NAMES))
START = START.replace("{packages!r}", repr([f"p{p}" for p in range(PACKAGES)]))


class Ended(NamedTuple):
    """How a process ended."""

    status: int
    out: str
    err: str


def settle() -> None:
    """Wait: what the clock may not yet tell apart from a later change is never shared."""
    time.sleep(0.05)


class Shop:
    """A tree of packages in `tree`, and tables for whoever imports from it in `cache`."""

    python = sys.executable
    """Who imports, unless another one is named."""

    def __init__(self, place: Path, names: Sequence[str] = NAMES) -> None:
        self.tree = place / "tree"
        self.cache = place / "cache"
        self.cache.mkdir(mode=0o700)
        for name in names:
            package, module = name.split(".")
            home = self.tree / package
            home.mkdir(parents=True, exist_ok=True)
            (home / "__init__.py").touch()
            (home / f"{module}.py").write_text(f"VALUE = 'the value of {name}'\n")
        for level in (0, 1):
            assert compileall.compile_dir(self.tree, quiet=2, optimize=level)
        settle()

    def environment(self, how: str = "ours") -> dict[str, str]:
        """The environment that a child is started with."""
        ours = {"TABLE_CHILD": how, "FASTPATH_CACHE_DIR": str(self.cache)}
        return clean_environment() | {"PYTHONPATH": str(self.tree)} | ours

    def run(
        self,
        program: str,
        *flags: str,
        how: str = "ours",
        env: Mapping[str, str] | None = None,
        without: str = "",
        before: tuple[str, ...] = (),
        python: str | None = None,
        cwd: Path | None = None,
    ) -> Ended:
        """Run it, with the variable `without` unset.

        As `how`: "stock", "ours", or "later", when it calls `start`.
        """
        full = self.environment(how) | dict(env or {})
        full.pop(without, None)
        done = subprocess.run(
            [*before, python or self.python, *flags, "-c", START + program],
            env=full,
            cwd=cwd or self.tree,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def learn(self, *flags: str, env: Mapping[str, str] | None = None) -> Path:
        """Have a process import everything; the table that it leaves."""
        known = set(self.tables())
        done = self.run("everything()", *flags, env=env)
        assert done == Ended(0, "", "")
        learnt = set(self.tables()) - known
        youngest = max(path.stat().st_ctime_ns for path in self.tree.rglob("*"))
        assert len(learnt) == 1, f"{learnt}, {(time.time_ns() - youngest) / 1e6} ms after a change"
        return learnt.pop()

    def tables(self) -> list[Path]:
        """The tables there are."""
        return sorted(self.cache.glob("*.table"))

    def check(self) -> None:
        """A fresh process is right in everything."""
        assert self.run("everything()") == Ended(0, "", "")

    def known(self) -> int:
        """How many files a fresh process has out of the table; -1 without one. Writes nothing."""
        count = (
            "everything()\nstats = fastpath.stats()\n"
            "print(stats['table_files'] if stats['table'] else -1, flush=True)\nos._exit(0)"
        )
        done = self.run(count)
        assert (done.status, done.err) == (0, "")
        return int(done.out)


class Sealed(Shop):
    """The same in an environment of its own, in which the tree's packages can be sealed."""

    def __init__(self, place: Path, names: Sequence[str] = NAMES) -> None:
        self.venv = make_venv(place / "venv")
        self.python = str(self.venv.python.path)
        self.table = place / "venv" / "fastpath.seal"
        super().__init__(place / "venv", names)

    def seal(self) -> None:
        """Seal what is in the tree now."""
        done = self.venv.fastpath("seal", self.tree)
        assert done.returncode == 0, done.stderr
