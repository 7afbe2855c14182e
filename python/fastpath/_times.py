"""What each module of a program costs to import, for ``run --times``.

Wraps the methods of importlib that finding, loading and executing go through, around whatever
is installed there, and puts them back. A module's time is what passes in its own calls less
what passes in calls nested in them; how loading is made up comes from ``fastpath.stats()``.
The clock rests while this file is at work, so that it does not measure itself. Modules that
never pass those methods (built-in, frozen, of loaders with an ``exec_module`` of their own)
are in the time of whoever imports them.

In Python, and slow for an import: for diagnosis only. Tells nobody; ``_timetable`` does.
Imports nothing that an interpreter has not imported by itself, or the program would find it
for nothing. Used by ``_timetable``.
"""

from __future__ import annotations

import _frozen_importlib_external as external
import _thread
import functools
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Literal

from fastpath._native import stats

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastpath._native import Stats

    _Loaded = Literal["fastpath", "stock", "extension", "other", "namespace", "found", "not found"]
    _Name = Callable[[Any], object]
    _End = Callable[["_Span", Any], None]

# CPython leaves frames of this file out of the tracebacks that it shows of failing imports
# (remove_importlib_frames in Python/import.c), warnings do not count them, and look-ahead
# passes them by when it looks for the code that imports: as all must for ours.
_IMPORTLIB = "<frozen importlib._bootstrap_external>"

_WITHOUT_CODE = ("namespace", "found", "not found")


class Module:
    """One module's account, in nanoseconds; a module imported again adds to it."""

    __slots__ = (
        "cumulative",
        "execute",
        "find",
        "loaded",
        "name",
        "order",
        "parent",
        "read",
        "stat",
        "unmarshal",
    )

    def __init__(self, name: str, parent: str | None = None, order: int = 0) -> None:
        """Open the account of a module by its full name, first imported by ``parent``.

        ``order`` says how many accounts were opened before.
        """
        self.name = name
        self.parent = parent
        self.order = order
        self.loaded: _Loaded = "not found"
        self.cumulative = self.find = self.stat = self.read = self.unmarshal = self.execute = 0

    @property
    def load(self) -> int:
        """The time from the module's file to its code object."""
        return self.stat + self.read + self.unmarshal

    @property
    def own(self) -> int:
        """The module's time without the modules that it imported."""
        return self.find + self.load + self.execute


class Times:
    """The accounts of every module imported between ``start`` and ``stop``."""

    def __init__(self) -> None:
        """Open the books; nothing is wrapped yet."""
        self.modules: dict[str, Module] = {}
        self._thread = _Thread()
        self._wrapped: list[tuple[type, str, object, object]] = []

    def start(self) -> None:
        """Wrap importlib's methods, as they are now."""
        for owner, name, named, end in (
            (external.PathFinder, "find_spec", _by_itself, self._found),
            (external.SourceLoader, "get_code", _by_itself, self._read),
            (external.SourcelessFileLoader, "get_code", _by_itself, self._read),
            (external._LoaderBasics, "exec_module", _of_module, self._executed),
            (external.ExtensionFileLoader, "create_module", _of_spec, self._extended),
            (external.ExtensionFileLoader, "exec_module", _of_module, self._extended),
        ):
            before = owner.__dict__[name]
            after = self._wrap(before, named, end)
            setattr(owner, name, after)
            self._wrapped.append((owner, name, before, after))

    def stop(self) -> None:
        """Put back what was there, but where somebody else has put something since."""
        for owner, name, before, after in self._wrapped:
            if owner.__dict__.get(name) is after:
                setattr(owner, name, before)
        self._wrapped.clear()

    def _wrap(self, before: Any, named: _Name, end: _End) -> object:
        is_classmethod = isinstance(before, classmethod)
        call = before.__func__ if is_classmethod else before
        begin = self._begin

        def wrapper(*args: Any, **kwargs: Any) -> Any:
            span = begin(named, args, kwargs)
            result = None
            try:
                result = call(*args, **kwargs)
            finally:
                end(span, result)
            return result

        functools.update_wrapper(wrapper, call)
        code = wrapper.__code__
        wrapper.__code__ = code.replace(co_filename=_IMPORTLIB, co_name=call.__name__)
        return classmethod(wrapper) if is_classmethod else wrapper

    def _begin(self, named: _Name, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Span:
        now = perf_counter_ns()
        thread = self._thread
        # A call without its argument is an error, which is the wrapped method's to raise.
        name = str(named(args[1] if len(args) > 1 else next(iter(kwargs.values()), "?")))
        outer = thread.spans[-1] if thread.spans else None
        module = self.modules.get(name)
        if module is None:
            parent = None if outer is None else outer.module.name
            module = self.modules.setdefault(name, Module(name, parent, len(self.modules)))
        span = _Span(module, outer, now - thread.rested)
        thread.spans.append(span)
        self._rest(now)
        return span

    def _close(self, span: _Span, now: int) -> int:
        """Take the span off the books of its thread; return its own time."""
        thread = self._thread
        elapsed = now - thread.rested - span.began
        thread.spans.remove(span)
        if span.outer is not None:
            span.outer.nested += elapsed
        if not any(outer.module is span.module for outer in thread.spans):
            span.module.cumulative += elapsed
        return elapsed - span.nested

    def _found(self, span: _Span, spec: Any) -> None:
        now = perf_counter_ns()
        own = self._close(span, now)
        module, after = span.module, stats()
        module.find += own
        if _went_ahead(span.before, after):
            # Finding is what triggers look-ahead, and is done by then: the rest was reading.
            found = min(own, _ns(span.before, after, "find_seconds"))
            module.find -= own - found
            module.read += own - found
        if spec is not None and module.loaded in _WITHOUT_CODE:
            module.loaded = "found" if spec.origin is not None else "namespace"
        self._rest(now)

    def _read(self, span: _Span, _code: object) -> None:
        now = perf_counter_ns()
        own = self._close(span, now)
        module, after = span.module, stats()
        stat = unmarshal = 0
        if _loaded_one(span.before, after):
            stat = _ns(span.before, after, "stat_seconds")
            unmarshal = _ns(span.before, after, "unmarshal_seconds")
        is_ours = _loaded_one(span.before, after) and stat + unmarshal <= own
        if not is_ours:
            stat = unmarshal = 0
        module.stat += stat
        module.unmarshal += unmarshal
        module.read += own - stat - unmarshal
        module.loaded = "fastpath" if is_ours else "stock"
        self._rest(now)

    def _executed(self, span: _Span, _none: object) -> None:
        now = perf_counter_ns()
        span.module.execute += self._close(span, now)
        if span.module.loaded in _WITHOUT_CODE:
            span.module.loaded = "other"
        self._rest(now)

    def _extended(self, span: _Span, _module: object) -> None:
        now = perf_counter_ns()
        span.module.execute += self._close(span, now)
        span.module.loaded = "extension"
        self._rest(now)

    def _rest(self, since: int) -> None:
        self._thread.rested += perf_counter_ns() - since


class _Thread(_thread._local):
    """What one thread is at, outermost first, and how long its clock has rested."""

    def __init__(self) -> None:
        self.spans: list[_Span] = []
        self.rested = 0


class _Span:
    """One call of a wrapped method."""

    __slots__ = ("before", "began", "module", "nested", "outer")

    def __init__(self, module: Module, outer: _Span | None, began: int) -> None:
        self.module = module
        self.outer = outer
        self.began = began
        self.nested = 0
        self.before = stats()


def _by_itself(fullname: object) -> object:
    return fullname


def _of_module(module: object) -> object:
    return getattr(module, "__name__", "?")


def _of_spec(spec: object) -> object:
    return getattr(spec, "name", "?")


def _loaded_one(before: Stats, after: Stats) -> bool:
    # Another thread's loading in the meantime cannot be told from this one's.
    loaded = after["loaded"] - before["loaded"]
    return loaded == 1 and after["load_asked"] == before["load_asked"]


def _went_ahead(before: Stats, after: Stats) -> bool:
    return (before["ahead_steps"], before["ahead_refreshes"]) != (
        after["ahead_steps"],
        after["ahead_refreshes"],
    )


def _ns(
    before: Stats,
    after: Stats,
    name: Literal["find_seconds", "stat_seconds", "unmarshal_seconds"],
) -> int:
    return round((after[name] - before[name]) * 1e9)
