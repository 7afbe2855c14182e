"""Who is launched: environments that differ in fastpath alone, and what tells each from another.

Prepares the environments and says how a command line is run in them; it runs and times none. Each
is a venv with the same packages and the same wheel, below the directory the caller names. A way
to be measured is one line of KINDS. For farm.py and its modules.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from _ground import environment, install, quiet, site_packages
from _measure import run

LINES = ("pip --version", "django-admin --version", "aws --version")
PACKAGES = ("pip", "django", "awscli")
STOCK = "stock"
TABLES = "{tables}"
"""Stands for the directory of the shared tables, in the value of a variable."""

Stats = Mapping[str, object]
STATS = """\
import json, sys
native = sys.modules.get("fastpath._native")
print(json.dumps(native.stats() if native and native.is_installed() else None))
"""
# What the user has set for these must not decide what is measured.
NOT_INHERITED = ("PYTHON", "FASTPATH", "XDG_", "PIP_", "AWS_", "DJANGO_", "VIRTUAL_ENV")


def is_stock(stats: Stats | None) -> bool:
    """Whether a process runs without fastpath."""
    return stats is None


def is_without_table(stats: Stats | None) -> bool:
    """Whether a process runs with fastpath, and with no table shared with others."""
    return stats is not None and not has_table(stats)


def has_table(stats: Stats | None) -> bool:
    """Whether a process uses a table shared with others, as `fastpath.stats()` has it."""
    return stats is not None and bool(stats.get("table"))


@dataclass(frozen=True)
class Kind:
    """A way of starting Python: how it is prepared, and how it is recognized."""

    name: str
    environment: str
    """The directory of its environment; kinds may share one."""
    is_so: Callable[[Stats | None], bool]
    """Whether a process is of this kind, by its `fastpath.stats()`; None without fastpath."""
    commands: Sequence[str] = ()
    """Commands of `python -m fastpath` that prepare the environment."""
    variables: Mapping[str, str] = field(default_factory=dict)


KINDS = (
    Kind(STOCK, "stock", is_stock),
    Kind("no table", "fastpath", is_without_table, ["enable"], {"FASTPATH_CACHE_DIR": "off"}),
    Kind("shared table", "fastpath", has_table, ["enable"], {"FASTPATH_CACHE_DIR": TABLES}),
    Kind("sealed", "sealed", has_table, ["enable", "seal"], {"FASTPATH_CACHE_DIR": TABLES}),
)
CONTROL = (KINDS[0], Kind("stock again", "again", is_stock))


@dataclass(frozen=True)
class Way:
    """A kind, ready to be launched."""

    kind: Kind
    home: Path
    """Its environment."""
    python: str
    site: str
    """Its site-packages, whose bin/ holds the scripts."""
    user: Path
    """What it takes for the user's home, so that nobody's settings are read or written."""

    @property
    def name(self) -> str:
        """How people call it."""
        return self.kind.name

    def command(self, line: str) -> list[str]:
        """What runs a command line: the interpreter is named, so that `#!` starts nothing else."""
        script, *arguments = line.split()
        return [self.python, f"{self.site}/bin/{script}", *arguments]

    def variables(self, tables: Path) -> dict[str, str]:
        """The environment of its processes; shared tables are below `tables`."""
        own = {k: v.replace(TABLES, str(tables)) for k, v in self.kind.variables.items()}
        return variables_of(self.user) | own

    def answer(self, output: str) -> str:
        """What a command line said, without what names the environment."""
        return output.replace(str(self.home), "<environment>")

    def is_so(self, tables: Path) -> bool:
        """Whether its processes are what it claims to be: asks one of them."""
        said = run([self.python, "-c", STATS], self.variables(tables)).output
        return self.kind.is_so(json.loads(said))


def variables_of(user: Path) -> dict[str, str]:
    """Our variables, for a process of somebody who has `user` for a home and has set nothing."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(NOT_INHERITED)}
    return {**inherited, "HOME": str(user), "LC_ALL": "C.UTF-8"}


def prepare(
    kinds: Sequence[Kind],
    home: Path,
    wheel: Path | None,
    *,
    packages: Sequence[str] = PACKAGES,
    pinned: str | Path = "farm.txt",
    stage: Callable[[str], None] = lambda _: None,
) -> tuple[list[Way], list[str]]:
    """The kinds, ready, in their order; and a line for each that this fastpath cannot be.

    Environments are kept in `home` between runs, fastpath is installed anew each time.
    """
    ways, notes, pythons = [], [], {}
    user = home / "user"
    user.mkdir(parents=True, exist_ok=True)
    for kind in kinds:
        where = home / kind.environment
        if kind.environment not in pythons:
            stage(f"preparing {where.parent.name}/{where.name}")
            pythons[kind.environment] = _environment(where, wheel, packages, pinned)
        python = pythons[kind.environment]
        unknown = [command for command in kind.commands if not _knows(python, command, user)]
        if unknown:
            notes.append(f"skip: {kind.name}: there is no `python -m fastpath {unknown[0]}`")
            continue
        for command in kind.commands:
            quiet([python, "-m", "fastpath", command], variables_of(user))
        ways.append(Way(kind, where, python, site_packages(python), user))
    return ways, notes


def _environment(
    where: Path, wheel: Path | None, packages: Sequence[str], pinned: str | Path
) -> str:
    """The python of a venv with the packages and the wheel, nothing of which is enabled."""
    if os.path.ismount(where):
        raise SystemExit(f"a run that was killed has left a mount: umount {where} {where}-beside")
    python = environment(where, packages, pinned=pinned)
    if wheel is not None:
        install(["--no-deps", "--upgrade", str(wheel)], Path(site_packages(python)))
    return python


def _knows(python: str, command: str, user: Path) -> bool:
    """Whether the fastpath of that environment has this command."""
    asked = [python, "-m", "fastpath", command, "--help"]
    done = subprocess.run(asked, env=variables_of(user), capture_output=True, check=False)
    return done.returncode == 0
