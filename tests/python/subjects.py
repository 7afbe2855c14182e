"""Who answers a lookup: stock importlib, a copy of it, fastpath in each of its modes.

A subject is switched on and off around a question. The copy proves that the oracle is sane: it
must never differ. The broken copies are in ``mutants.py``. Used by the parity suites only.
"""

from __future__ import annotations

import ast
import importlib._bootstrap_external as external
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learner import Learner

Swap = tuple[str, str]


@dataclass(frozen=True)
class Subject:
    """One answerer.

    `sealed`: it hears of changes by ``importlib.invalidate_caches()`` only. `bounded`: it may
    notice a module that shadows another a moment later. `settling`: it is asked when nothing has
    changed for a while, so that it answers from what it has kept. `learner`: another process has
    asked before.
    """

    name: str
    start: Callable[[], Callable[[], None]]
    sealed: bool = False
    bounded: bool = False
    settling: bool = False
    learner: Learner | None = None

    @contextmanager
    def active(self) -> Iterator[None]:
        """Let this subject answer for the duration of a ``with`` block."""
        stop = self.start()
        try:
            yield
        finally:
            stop()


def _nothing() -> Callable[[], None]:
    return lambda: None


STOCK = Subject("stock", _nothing)


def ours(
    freshness: str,
    backend: str,
    settling: bool = False,
    ahead: bool = False,
    learner: Learner | None = None,
) -> Subject:
    """fastpath itself, installed with these options; with `ahead` it looks ahead everywhere.

    What other processes have learnt it knows from a `learner` only.
    """

    def start() -> Callable[[], None]:
        import fastpath
        from fastpath._native import _switch

        options: Any = {"freshness": freshness, "backend": backend, "cache": "off"}
        if learner is not None:
            return learner.start(options)

        assert not fastpath.is_installed(), "stock must have answered before"
        _switch("look-ahead-always", ahead)
        assert fastpath.install(**options), "install() refused"

        def stop() -> None:
            _switch("look-ahead-always", False)
            fastpath.uninstall()

        return stop

    name = f"{freshness}-{backend}" + "-settling" * settling + "-ahead" * ahead
    name += f"-{learner.name}" if learner else ""
    sealed, bounded = freshness == "sealed", freshness == "auto"
    return Subject(name, start, sealed, bounded, settling or learner is not None, learner)


OURS = [
    ours("auto", "auto"),
    ours("strict", "serial"),
    ours("strict", "threads"),
    ours("strict", "uring"),
    ours("sealed", "auto"),
    ours("strict", "serial", settling=True),
    ours("auto", "auto", settling=True),
]
STRICT_AHEAD = ours("strict", "serial", ahead=True)
AUTO_AHEAD = ours("auto", "auto", ahead=True)


def _source() -> str:
    """The source text of this interpreter's importlib._bootstrap_external."""
    import importlib

    return Path(importlib.__file__).with_name("_bootstrap_external.py").read_text()


def _swap(body: str, old: str, new: str) -> str:
    """Replace `old` everywhere; further lines of `new` are indented as the line it stands in."""
    start = body.index(old)
    line = body[body.rfind("\n", 0, start) + 1 : start]
    indent = line[: len(line) - len(line.lstrip())]
    return body.replace(old, new.replace("\n", f"\n{indent}"))


def rebuilt(owner: str, method: str, swaps: tuple[Swap, ...] = ()) -> Any:
    """A method of `external.<owner>` compiled anew, with pieces of its text swapped."""
    text = _source()
    classes = {n.name: n for n in ast.parse(text).body if isinstance(n, ast.ClassDef)}
    node = next(
        n for n in classes[owner].body if isinstance(n, ast.FunctionDef) and n.name == method
    )
    first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    body = textwrap.dedent("\n".join(text.splitlines()[first - 1 : node.end_lineno]))
    for old, new in swaps:
        if old not in body:
            raise LookupError(f"{owner}.{method} of this Python does not contain {old!r}")
        body = _swap(body, old, new)
    original = getattr(getattr(external, owner), method).__code__
    made: dict[str, Any] = {}
    # Filename and line as in the original: warnings and tracebacks show them.
    source = "\n" * (first - 1) + body
    exec(compile(source, original.co_filename, "exec"), vars(external), made)
    result = made[method]
    getattr(result, "__func__", result).__qualname__ = f"{owner}.{method}"
    return result


def patched(methods: dict[tuple[str, str], Any]) -> Callable[[], None]:
    """Put methods into importlib's classes; the answer puts the previous ones back."""
    before = {(o, m): vars(getattr(external, o))[m] for o, m in methods}

    def put(table: dict[tuple[str, str], Any]) -> None:
        for (owner, method), body in table.items():
            setattr(getattr(external, owner), method, body)

    put(methods)
    return lambda: put(before)


def _copy() -> Callable[[], None]:
    names = ["invalidate_caches", "_path_hooks", "_path_importer_cache", "_get_spec", "find_spec"]
    return patched({("PathFinder", name): rebuilt("PathFinder", name) for name in names})


COPY = Subject("copy", _copy)
