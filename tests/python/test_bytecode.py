"""What is read off compiled modules is what ``dis`` and ``ast`` of their interpreter say."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support import Python, find_pythons, need, run_python

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).with_name("bytecode_child.py")
EVERY = pytest.mark.parametrize("python", find_pythons(), ids=lambda python: python.name)
# The standard library has never had fewer modules, and most of them import something.
FEWEST_MODULES, FEWEST_IMPORTS = 400, 2000

# What counts imports a letter, and what does not, `_`.
STATEMENTS = """
import a
import b.b as x
from . import c
from ..d import x, y as z
from e import *
from f import TYPE_CHECKING
if TYPE_CHECKING:
    import _
elif x:
    import g
else:
    import h
if not typing.TYPE_CHECKING:
    import i
else:
    import _
if TYPE_CHECKING and x:
    import _
if TYPE_CHECKING or x:
    import j
if x or TYPE_CHECKING:
    import k
if TYPE_CHECKING:
    try:
        import _
    except ImportError:
        import _
    for each in x:
        import _
if __name__ == "__main__":
    import _
else:
    import l
if __name__ != "__main__":
    import m
try:
    import n
except ImportError:
    import _
except (ValueError, TypeError) as error:
    import _
except:
    import _
    raise
finally:
    import o
with open(x) as file:
    import p
for each in file:
    import q
else:
    import r
while each:
    import s
def function():
    import _
lambda: __import__("_")
class Class:
    import _
[__import__("_") for _ in file]
match each:
    case 1:
        import t
    case _:
        import u
import v
"""
LETTERS = [*"abcdefghijklmnopqrstuv"]
# An exception on purpose, so that all that is left of the module goes through a handler.
RAISING = """
try:
    raise TypeError
except TypeError as error:
    traceback = error.__traceback__
import a
"""


def read(python: Python, names: list[str]) -> list[list[Any] | None]:
    """Ask the test bed's `imports`, a window into ours."""
    built = Path(os.environ.get("FASTPATH_TESTBED", ROOT / "target" / "release"), "imports")
    if not built.exists():
        pytest.skip("skipped: imports: the testbed is not built (cargo build --release -p testbed)")
    command = [str(built), str(python.version[1])]
    done = subprocess.run(command, input="\n".join(names), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def by_dis(python: Python, *arguments: Path) -> dict[str, list[Any]]:
    """Ask the interpreter itself: the imports in each compiled file."""
    result = run_python([CHILD, *arguments], python=python)
    assert (result.returncode, result.stderr) == (0, "")
    return dict(json.loads(line) for line in result.stdout.splitlines())


@EVERY
def test_the_standard_library(python: Python, tmp_path: Path) -> None:
    expected = by_dis(python, tmp_path)
    ours = dict(zip(expected, read(python, list(expected)), strict=True))
    differing = {name: (ours[name], want) for name, want in expected.items() if ours[name] != want}
    assert differing == {}
    assert len(ours) >= FEWEST_MODULES
    assert sum(map(len, expected.values())) >= FEWEST_IMPORTS


@EVERY
@pytest.mark.parametrize("names", [0, 300], ids=["short", "with-extended-operands"])
def test_every_kind_of_statement(python: Python, tmp_path: Path, names: int) -> None:
    """With many names before, every operand is too long for its instruction, and jumps are far."""
    source = tmp_path / "module.py"
    before = "".join(f"name_{number} = {number + 1000}\n" for number in range(names))
    source.write_text(before + STATEMENTS)
    (compiled,) = by_dis(python, tmp_path, source)
    (found,) = read(python, [compiled])
    assert found is not None
    assert [(name or names[0])[0] for _, name, names in found] == LETTERS
    assert found[:5] == [
        [0, "a", []],
        [0, "b.b", []],
        [1, "", ["c"]],
        [2, "d", ["x", "y"]],
        [0, "e", ["*"]],
    ]


def test_an_import_that_is_lazy_loads_nothing(tmp_path: Path) -> None:
    need("python3.15")
    python = find_pythons()[-1]
    source = tmp_path / "module.py"
    source.write_text("lazy import a\nimport b\nlazy from c import d\nfrom e import f\n")
    (compiled,) = by_dis(python, tmp_path, source)
    assert read(python, [compiled]) == [[[0, "b", []], [0, "e", ["f"]]]]


@EVERY
def test_what_follows_a_handler_counts(python: Python, tmp_path: Path) -> None:
    source = tmp_path / "module.py"
    source.write_text(RAISING)
    (compiled,) = by_dis(python, tmp_path, source)
    assert read(python, [compiled]) == [[[0, "a", []]]]
