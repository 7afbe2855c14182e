"""``explain NAME...``: how each name is found, where the answer came from, what it cost.

Executes nothing: the native ``explain`` walks from parent to child by their specs, so a parent
package is never imported (``importlib.util.find_spec`` would run its ``__init__``). A package
that changes its own ``__path__`` when it runs is therefore explained as it lies on the disk.
Used by ``_cli``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import fastpath
from fastpath._problem import USAGE, Problem
from fastpath._text import table

if TYPE_CHECKING:
    from fastpath._native import Explanation

_HEAD = ("entry", "finder", "answer", "source", "calls", "us")  # us: a terminal may lack the sign
_NUMBERS = frozenset({4, 5})


def explain(names: list[str]) -> list[Explanation]:
    """Explain every name, in order, over one table that fills as a program's would.

    Raises Problem (exit code 2) for what is not an absolute name.
    """
    for name in names:
        if not name or name.startswith("."):
            raise Problem(f"explain: {name!r} is not an absolute module name", USAGE)
    fastpath.install()  # or each name would be explained over a table of its own
    return [fastpath.explain(name) for name in names]


def check(explanations: list[Explanation]) -> None:
    """Raise Problem naming every name that was not found."""
    missing = [e["name"] for e in explanations if e["answer"] == "absent"]
    if missing:
        raise Problem(f"not found: {', '.join(missing)}")


def render(explanation: Explanation) -> str:
    """Return one explanation as a headline and, where the path was asked, an aligned table."""
    if explanation["answer"] == "not path based":
        return _headline(explanation)
    rows = [
        (e["entry"], e["finder"], e["answer"], e["source"], str(e["calls"]), f"{e['us']:.1f}")
        for e in explanation["entries"]
    ]
    total = ("total", "", "", "", str(explanation["calls"]), f"{explanation['us']:.1f}")
    body = table([_HEAD, *rows, total], _NUMBERS) if rows else []
    return "\n".join([_headline(explanation), *(f"  {line}" for line in body)])


def _headline(explanation: Explanation) -> str:
    where = explanation["origin"] or ", ".join(explanation["locations"] or [])
    headline = f"{explanation['name']}: {explanation['answer']}"
    return f"{headline}, {where}" if where else headline
