"""The import tree of a command: what ``run --times`` tells, in a run of its own without strace.

strace makes imports slower by what they ask of the filesystem, so their times come from another
run. That is possible where the command is a Python that has fastpath: ``python ... PROGRAM``
becomes ``python ... -m fastpath run --times --json FILE PROGRAM``, and a script whose first line
names a Python is one. Used by ``_trace``.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastpath import _trace_strace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PYTHON = re.compile(r"(?:.*/)?python[0-9.]*t?")
# Python's own options that take a value, and those behind which the program stands.
_WITH_VALUE = ("-W", "-X", "--check-hash-based-pycs")

_QUESTION = """
import sys
modules = sorted(sys.modules)
native = sys.modules.get("fastpath._native")
starts = native is not None and native.is_installed()
try:
    import fastpath
except Exception:
    fastpath = None
import json
print(json.dumps([fastpath is not None, starts, modules]))
"""


class Node(NamedTuple):
    """One module of the tree, in milliseconds."""

    name: str
    loaded: str
    parts: dict[str, float]
    """find, stat, read, unmarshal, execute; on stock, where it is all one, find, load, execute."""
    children: list[Node]

    @property
    def own(self) -> float:
        """The module's time without what it imported."""
        return sum(self.parts.values())

    @property
    def inclusive(self) -> float:
        """With what it imported."""
        return self.own + sum(child.inclusive for child in self.children)


class Tree(NamedTuple):
    """What a program imported, and what cannot be told of."""

    roots: list[Node]
    hidden: list[str]
    """Modules that were there only because of the measuring: the program would import them."""


class Command(NamedTuple):
    """A command that is a Python: the interpreter with its options, and what it runs."""

    interpreter: list[str]
    program: list[str]

    def under_fastpath(self, *options: str) -> list[str]:
        """Return the command that runs the same program by ``python -m fastpath run``."""
        return [*self.interpreter, "-m", "fastpath", "run", *options, *self.program]


def python_command(words: Sequence[str], path: str) -> Command | None:
    """Split a command at its program; ``path`` is what words[0] is found at.

    None where it is no Python, or one without a program, or one that is told by options that run
    together, as in ``-Imjson``.
    """
    if not _PYTHON.fullmatch(words[0]):
        interpreter = _interpreter_of(path)
        return None if interpreter is None else Command(interpreter, [path, *words[1:]])
    rest = list(words[1:])
    interpreter = [words[0]]
    while rest:
        word = rest[0]
        if word in ("-m", "-c") or not word.startswith("-"):
            return Command(interpreter, rest)
        if word == "-" or (word[1] not in "-WX" and set(word) & {"c", "m"}):
            break  # the program comes from standard input, or as in -Imjson: too clever for us
        taken = 2 if word in _WITH_VALUE else 1
        interpreter += rest[:taken]
        del rest[:taken]
    return None


def _interpreter_of(path: str) -> list[str] | None:
    """Return the words behind ``#!`` if they are a Python (execve(2), "Interpreter scripts")."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # one read
            first = file.read(256)
    except OSError:
        return None
    if not first.startswith(b"#!"):
        return None
    words = os.fsdecode(first[2:].partition(b"\n")[0]).split(maxsplit=1)
    if words and os.path.basename(words[0]) == "env" and len(words) == 2:  # noqa: PTH119
        words = words[1].split()
    return words if words and _PYTHON.fullmatch(words[0]) else None


class Interpreter(NamedTuple):
    """What an interpreter says of itself."""

    has_fastpath: bool
    starts_fastpath: bool
    modules: frozenset[str]
    """What it has imported when a program begins."""


UNKNOWN = Interpreter(False, False, frozenset())


def ask(command: Command, env: Mapping[str, str]) -> Interpreter:
    """Ask the interpreter of a command whether it has fastpath, and starts with it."""
    try:
        asked = subprocess.run(
            [*command.interpreter, "-c", _QUESTION], env=env, capture_output=True, check=False
        )
        has, starts, modules = json.loads(asked.stdout)
    except (OSError, ValueError):
        return UNKNOWN
    return Interpreter(has, starts, frozenset(modules))


def tree(command: Command, env: Mapping[str, str], *, stock: bool, plain: frozenset[str]) -> Tree:
    """Run the command once more, silently, and return the modules that its program imported.

    ``plain`` is what the interpreter has imported by itself.
    """
    with tempfile.TemporaryDirectory(prefix="fastpath-trace-") as directory:
        told = Path(directory, "times.json")
        options = ["--times", *(["--stock"] if stock else []), "--json", str(told)]
        words = command.under_fastpath(*options)
        with subprocess.Popen(
            words,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as child:
            _trace_strace.wait(child)
        try:
            times = json.loads(told.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return Tree([], [])  # the process has ended in a way that tells nothing
    hidden = [name for name in times["already"] if name not in plain and not _is_ours(name)]
    return Tree(nodes(times["modules"]), hidden)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] == "fastpath"


def nodes(modules: Sequence[Mapping[str, Any]]) -> list[Node]:
    """Make the tree of what ``run --times --json`` has written, in the order of the imports."""
    modules = sorted(modules, key=lambda module: int(module["order"]))
    made = {
        str(module["name"]): Node(str(module["name"]), str(module["loaded"]), _parts(module), [])
        for module in modules
    }
    roots = []
    for module in modules:
        node = made[str(module["name"])]
        parent = made.get(str(module["parent"])) if module["parent"] is not None else None
        if parent is None or parent is node:
            roots.append(node)
        else:
            parent.children.append(node)
    return roots


def _parts(module: Mapping[str, Any]) -> dict[str, float]:
    whole = ("load",) if "read_ms" not in module else ("stat", "read", "unmarshal")
    return {part: float(module[f"{part}_ms"]) for part in ("find", *whole, "execute")}
