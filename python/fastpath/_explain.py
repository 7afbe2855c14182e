"""``explain NAME...``: how each name is found, where the answer came from, what it cost.

Executes nothing: the native ``explain`` walks from parent to child by their specs, so a parent
package is never imported (``importlib.util.find_spec`` would run its ``__init__``). A package
that changes its own ``__path__`` when it runs is therefore explained as it lies on the disk.
What a found source's bytecode is like, ``_bytecode`` tells. Used by ``_cli``.
"""

from __future__ import annotations

from importlib.machinery import SOURCE_SUFFIXES
from typing import TYPE_CHECKING, NamedTuple

import fastpath
from fastpath._bytecode import Bytecode, examine
from fastpath._problem import USAGE, Problem
from fastpath._text import table

if TYPE_CHECKING:
    from fastpath._native import Explanation

_HEAD = ("entry", "finder", "answer", "source", "calls", "us")  # us: a terminal may lack the sign
_NUMBERS = frozenset({4, 5})


class Explained(NamedTuple):
    """How a name is found and, if that is a source in a directory, its bytecode."""

    explanation: Explanation
    bytecode: Bytecode | None


def explain(names: list[str]) -> list[Explained]:
    """Explain every name, in order, over one table that fills as a program's would.

    Raises Problem (exit code 2) for what is not an absolute name.
    """
    for name in names:
        if not name or name.startswith("."):
            raise Problem(f"explain: {name!r} is not an absolute module name", USAGE)
    fastpath.install()  # or each name would be explained over a table of its own
    return [_explained(name) for name in names]


def _explained(name: str) -> Explained:
    explanation = fastpath.explain(name)
    origin, entries = explanation["origin"], explanation["entries"]
    is_source = origin is not None and origin.endswith(tuple(SOURCE_SUFFIXES))
    # Any other finder has loaders of its own.
    if origin is None or not is_source or not entries or entries[-1]["finder"] != "FileFinder":
        return Explained(explanation, None)
    return Explained(explanation, examine(name, origin))


def as_json(explained: Explained) -> dict[str, object]:
    """Return what ``explain --json`` prints of one name."""
    return {**explained.explanation, "bytecode": explained.bytecode}


def check(told: list[Explained]) -> None:
    """Raise Problem naming every name that was not found."""
    missing = [e["name"] for e, _ in told if e["answer"] == "absent"]
    if missing:
        raise Problem(f"not found: {', '.join(missing)}")


def render(explained: Explained) -> str:
    """Return a headline and, where the path was asked, an aligned table and the bytecode."""
    explanation, bytecode = explained
    if explanation["answer"] == "not path based":
        return _headline(explanation)
    rows = [
        (e["entry"], e["finder"], e["answer"], e["source"], str(e["calls"]), f"{e['us']:.1f}")
        for e in explanation["entries"]
    ]
    total = ("total", "", "", "", str(explanation["calls"]), f"{explanation['us']:.1f}")
    body = table([_HEAD, *rows, total], _NUMBERS) if rows else []
    if bytecode is not None:
        body += _bytecode_lines(bytecode)
    return "\n".join([_headline(explanation), *(f"  {line}" for line in body)])


def _bytecode_lines(bytecode: Bytecode) -> list[str]:
    lines = [f"bytecode: {bytecode['state']}, {bytecode['path'] or 'no file'}"]
    if bytecode["why_stock"] is not None:
        return [*lines, f"loaded by stock importlib: {bytecode['why_stock']}"]
    stat, read = bytecode["stat_us"], bytecode["read_us"]
    costs = f"stat {stat} us, read {read} us, unmarshal {bytecode['unmarshal_us']} us"
    return [*lines, f"loaded by fastpath: {costs}"]


def _headline(explanation: Explanation) -> str:
    where = explanation["origin"] or ", ".join(explanation["locations"] or [])
    headline = f"{explanation['name']}: {explanation['answer']}"
    return f"{headline}, {where}" if where else headline
