"""Tells where import time went, when the program has ended: for ``run --times``.

A table on standard error, the slowest modules by their own time first, and with ``--json``
all of them in a file. It comes from an ``atexit`` function that was registered before the
program's, so behind everything that the program, its threads and its traceback say; not at
all where the process ends without such functions (``os._exit``, a signal, ``exec``), nor in
the child of a fork. The program's exit status stays its own. Used by ``_run``.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from typing import TYPE_CHECKING

import fastpath
from fastpath._problem import USAGE, Problem
from fastpath._text import table
from fastpath._times import Module, Times

if TYPE_CHECKING:
    from typing import TextIO

    from fastpath._native import Stats

_SHOWN = 20
_LOADING = ("stat", "read", "unmarshal")
_AHEAD = ("files", "used_files", "bytes", "used_bytes")
_NOTES = {
    "stock": "*",
    "extension": " (extension)",
    "other": " (other loader)",
    "namespace": " (namespace)",
    "found": " (found only)",
    "not found": " (not found)",
}


def begin(json_path: str | None) -> None:
    """Measure imports from now on; tell at the end of the process, once.

    With fastpath not installed the columns are stock's: its loading cannot be told apart.
    ``json_path`` is the absolute path of a file to be written, or None. Raises Problem (exit
    code 2) where it cannot be, before anything has run.
    """
    if json_path is not None:
        _write(json_path, "")
    times = Times()
    report = _Report(times, json_path)
    atexit.register(report.tell)
    times.start()


class _Report:
    """What is to be told, by which process, where."""

    def __init__(self, times: Times, json_path: str | None) -> None:
        self._times = times
        self._json_path = json_path
        self._process = os.getpid()
        # The program may put something else there.
        self._stream: TextIO | None = sys.stderr
        self._is_stock = not fastpath.is_installed()
        self._before = fastpath.stats()
        self._already = sorted(map(str, sys.modules))

    def tell(self) -> None:
        """Stop measuring; print the table and write the file."""
        if os.getpid() != self._process:
            return
        self._times.stop()
        ahead = _ahead(self._before, fastpath.stats())
        modules = sorted(self._times.modules.values(), key=lambda module: -module.own)
        try:
            if self._json_path is not None:
                import json

                told = as_json(modules, ahead, stock=self._is_stock)
                told["already"] = self._already
                _write(self._json_path, json.dumps(told, indent=1) + "\n")
        except Problem as problem:
            self._say(f"fastpath: error: {problem}")
        self._say(render(modules, ahead, stock=self._is_stock))

    def _say(self, text: str) -> None:
        # There may be no standard error, or the program closed it, or its reader has gone.
        if self._stream is not None:
            with contextlib.suppress(OSError, ValueError):
                print(text, file=self._stream)


def render(modules: list[Module], ahead: dict[str, int], *, stock: bool) -> str:
    """Return the table: the first modules of the list, in milliseconds, and the totals of all."""
    parts = ("find", "load", "execute") if stock else ("find", *_LOADING, "execute")
    shown = modules[:_SHOWN]
    rows = [
        [*(_ms(getattr(m, part)) for part in ("own", "cumulative", *parts)), _label(m, stock)]
        for m in shown
    ]
    sums = [_ms(sum(getattr(m, part) for m in modules)) for part in parts]
    told = f"total of {len(modules)} modules"
    if not stock:
        told += (
            f"; look-ahead: {ahead['files']} files, {ahead['used_files']} used, "
            f"{ahead['bytes']} bytes"
        )
    total = [_ms(sum(m.own for m in modules)), "", *sums, told]
    head = ["self", "cumulative", *parts, "module"]
    lines = table([head, *rows, total], frozenset(range(len(head) - 1)))
    if len(modules) > len(shown):
        lines.insert(-1, f"... and {len(modules) - len(shown)} more, all with --json FILE")
    if not stock and any(m.loaded == "stock" for m in shown):
        lines.insert(-1, "* loaded by stock importlib: read is the whole of its loading")
    by = "stock importlib" if stock else "fastpath"
    return "\n".join([f"fastpath: import time in ms, found and loaded by {by}", *lines])


def as_json(modules: list[Module], ahead: dict[str, int], *, stock: bool) -> dict[str, object]:
    """Return everything, in milliseconds, for programs; see docs/times.md for the keys."""
    parts = ("own", "cumulative", "find", "load", "execute") + (() if stock else _LOADING)

    def costs(of: list[Module]) -> dict[str, float]:
        return {_key(part): sum(getattr(m, part) for m in of) / 1e6 for part in parts}

    totals = costs(modules)
    del totals[_key("cumulative")]
    return {
        "version": fastpath.__version__,
        "stock": stock,
        "modules": [
            {
                "name": m.name,
                "parent": m.parent,
                "order": m.order,
                "loaded": m.loaded,
                **costs([m]),
            }
            for m in modules
        ],
        "totals": totals,
        "ahead": ahead,
    }


def _key(part: str) -> str:
    return "self_ms" if part == "own" else f"{part}_ms"


def _label(module: Module, stock: bool) -> str:
    if module.loaded == "stock" and stock:
        return module.name
    return module.name + _NOTES.get(module.loaded, "")


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.3f}"


def _ahead(before: Stats, after: Stats) -> dict[str, int]:
    then, now = dict(before), dict(after)
    return {name: _int(now, name) - _int(then, name) for name in _AHEAD}


def _int(counts: dict[str, object], name: str) -> int:
    count = counts[f"ahead_{name}"]
    assert isinstance(count, int)
    return count


def _write(path: str, text: str) -> None:
    try:
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123  # no pathlib
            file.write(text)
    except OSError as error:
        raise Problem(f"run: can't write {path!r}: {error.strerror}", USAGE) from error
