"""Divides the time of a process between the parts of importing.

Executed in front of a program by measure.py, in the CPython that is measured, 3.9 or later. Wraps
importlib's own functions with one clock: a wrapper stops the part that runs, starts its own, and
turns back at its end, so that every moment between begin() and end() belongs to exactly one part,
the innermost. Does not wait, decide or correct: what wrapping itself costs is in the figures, and
is told by running the same program with nothing wrapped.

Imports nothing that the interpreter has not imported by itself.
"""

from __future__ import annotations

import _frozen_importlib as bootstrap
import _frozen_importlib_external as external
import gc
import sys
from time import perf_counter, process_time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any

PARTS = (
    "execute",  # what modules' code does, but importing: the program's own lines as well
    "importlib",  # what remains of _find_and_load: locks, specs, new modules, other finders
    "find",  # PathFinder.find_spec
    "stat",  # the stat of the source, which says whether its bytecode is up to date
    "read",  # open, fstat, read, close
    "check",  # what remains of get_code: the bytecode's path, its header
    "unmarshal",  # from bytes to a code object
    "collect",  # the cyclic garbage collector, wherever it runs
    "native",  # extension and built-in modules: the dynamic loader and their own C code
)
EXECUTE, IMPORTLIB, FIND, STAT, READ, CHECK, UNMARSHAL, COLLECT, NATIVE = range(len(PARTS))


class Account:
    """What each part took, and what was counted."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Start this clock, in the program's own lines; nothing is wrapped yet."""
        self.spent = spent = [0.0] * len(PARTS)
        self.calls = [0] * len(PARTS)
        self.bytes = 0
        self.compiled = 0
        self._interrupted = EXECUTE
        part, since = EXECUTE, clock()

        # A closure, as a method would take twice as long, some ten times per module.
        def turn(to: int) -> int:
            """Stop the part that runs and start this one; the one that ran."""
            nonlocal part, since
            now = clock()
            spent[part] += now - since
            since, before, part = now, part, to
            return before

        self.turn = turn

    def _timed(self, part: int, call: Callable[..., Any]) -> Callable[..., Any]:
        turn, calls = self.turn, self.calls

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            before = turn(part)
            calls[part] += 1
            try:
                return call(*args, **kwargs)
            finally:
                turn(before)

        return wrapper

    def collecting(self, phase: str, _info: dict[str, int]) -> None:
        """What gc.callbacks calls before and after each collection, which never nest."""
        if phase == "start":
            self._interrupted = self.turn(COLLECT)
        else:
            self.turn(self._interrupted)

    def wrap(
        self, owner: object, name: str, part: int, note: Callable[[Any], None] | None = None
    ) -> None:
        """Put a wrapper in place of a function or method; `note` sees what it returns."""
        before: Any = vars(owner)[name]
        bound = isinstance(before, (classmethod, staticmethod))
        call = before.__func__ if bound else before
        if note:
            call = noted(call, note)
        call = self._timed(part, call)
        setattr(owner, name, type(before)(call) if bound else call)

    def wrap_all(self, pieces: bool) -> None:
        """Wrap what the parts are made of; without `pieces`, get_code is one piece, "check".

        As it has to be with fastpath, which reads natively only where what it takes for granted
        of importlib is as it was, stock's pieces among that.
        """
        if pieces:
            self.wrap(external.SourceFileLoader, "path_stats", STAT)
            self.wrap(external.FileLoader, "get_data", READ, self._read)
            self.wrap(external, "_compile_bytecode", UNMARSHAL)
        self.wrap(bootstrap, "_find_and_load", IMPORTLIB)
        self.wrap(external.PathFinder, "find_spec", FIND)
        self.wrap(external.SourceLoader, "get_code", CHECK)
        self.wrap(external._LoaderBasics, "exec_module", EXECUTE)
        for owner in (external.ExtensionFileLoader, bootstrap.BuiltinImporter):
            self.wrap(owner, "create_module", NATIVE)
            self.wrap(owner, "exec_module", NATIVE)
        self.wrap(bootstrap.FrozenImporter, "exec_module", EXECUTE)
        self.wrap(external.SourceLoader, "source_to_code", CHECK, self._compiled)
        gc.callbacks.append(self.collecting)

    def _read(self, data: bytes) -> None:
        self.bytes += len(data)

    def _compiled(self, _code: object) -> None:
        self.compiled += 1


def noted(call: Callable[..., Any], note: Callable[[Any], None]) -> Callable[..., Any]:
    """The same call, whose result is shown to somebody."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        note(result)
        return result

    return wrapper


def collections() -> list[int]:
    """How often the collector has run, by generation."""
    return [generation["collections"] for generation in gc.get_stats()]


class Measurement:
    """One program's, from its first line to its last."""

    def __init__(
        self, wrapped: str = "", clock: str = "cpu", fastpath: ModuleType | None = None
    ) -> None:
        """Start.

        `wrapped` is "" for nothing, "whole" for all but the pieces of get_code, or "pieces";
        `clock` is "cpu" or "wall"; `fastpath` is its package, if that is installed.
        """
        self._account = account = Account(process_time if clock == "cpu" else perf_counter)
        self._fastpath = fastpath
        if wrapped:
            account.wrap_all(wrapped == "pieces")
        self._modules, self._collected = len(sys.modules), collections()
        self._cpu, self._wall = process_time(), perf_counter()
        account.turn(EXECUTE)
        account.spent[:] = [0.0] * len(PARTS)

    def end(self) -> None:
        """Stop, and print a literal of what is known."""
        wall, cpu = perf_counter() - self._wall, process_time() - self._cpu
        account = self._account
        account.turn(EXECUTE)
        if account.collecting in gc.callbacks:
            gc.callbacks.remove(account.collecting)
        report = {
            "wall": wall,
            "cpu": cpu,
            "spent": {name: account.spent[part] for part, name in enumerate(PARTS)},
            "calls": {name: account.calls[part] for part, name in enumerate(PARTS)},
            "bytes": account.bytes,
            "compiled": account.compiled,
            "by_fastpath": self._fastpath.stats()["loaded"] if self._fastpath else 0,
            "collections": list(map(int.__sub__, collections(), self._collected)),
            "modules": len(sys.modules) - self._modules,
            "names": sorted(sys.modules),
        }
        print(report)
