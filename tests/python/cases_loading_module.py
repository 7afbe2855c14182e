"""Loading cases: what a new module has before it runs, and who makes it.

Each is a function of a ``Loads``; see ``loading.py``.
"""

from __future__ import annotations

import importlib
import importlib._bootstrap as frozen
import importlib.util
import inspect
import os
import sys
import types
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from typing import Any

from loading import (
    LoadingCases,
    Loads,
    external,
    swapped,
)
from oracle import ADDRESS, spec_picture

CASES = LoadingCases()
bootstrap: Any = frozen
BASICS: Any = external._LoaderBasics
# Notes what it has when its first line runs.
BODY = "kept = list(globals())\n"


class Text(str):
    """A str of a type of its own."""

    __slots__ = ()


class Spec(ModuleSpec):
    """A spec of a type of its own."""


def _attributes(one: Any) -> list[tuple[str, str]]:
    """In the order in which they were set."""
    return [(k, ADDRESS.sub("", repr(v))) for k, v in vars(one).items() if k != "__builtins__"]


def _whole(module: Any) -> object:
    """A module, its spec, and which attributes of both are the very same object."""
    if not isinstance(module, types.ModuleType):
        return repr(module)
    spec = vars(module).get("__spec__")
    if spec is None:
        return (type(module), _attributes(module))
    pairs = [
        ("__name__", "name"), ("__loader__", "loader"), ("__path__", "submodule_search_locations"),
        ("__file__", "origin"), ("__package__", "name"), ("__cached__", "_cached"),
    ]  # fmt: skip
    same = [own for own, its in pairs if vars(module).get(own) is vars(spec).get(its)]
    return (type(module), _attributes(module), type(spec), _attributes(spec), same)


def _spec(w: Loads, name: str = "m", where: str = "d/m.py", **more: Any) -> Any:
    return importlib.util.spec_from_file_location(name, w.at(where), **more)


def _made(w: Loads, spec: Any) -> None:
    w.see(partial(importlib.util.module_from_spec, spec), _whole)


@CASES
def modules_of_every_kind(w: Loads) -> None:
    w.source(BODY)
    for where in ("d/p/__init__.py", "d/p/s.py", "d/p/q/__init__.py", "d/p/q/r.py", "d/n/t.py"):
        w.source(BODY, where=where)
    os.link(w.at("d/m.py"), w.at("d/hard.py"))
    os.symlink("m.py", w.at("d/soft.py"))
    w.pyc(w.stamped(BODY), exact=w.at("d/old.pyc"))
    for _ in range(2):
        sys.path[:] = [w.at("d"), *w.world.stdlib]
        importlib.invalidate_caches()
        for name in ("m", "p.q.r", "p.s", "n.t", "hard", "soft", "old"):
            w.see(partial(importlib.import_module, name), _whole)
        for name in ("m", "p", "p.q", "p.s", "p.q.r", "n", "n.t", "hard", "soft", "old"):
            w.see(partial(sys.modules.get, name), _whole)
            w.see(partial(importlib.reload, sys.modules[name]), _whole)
            del sys.modules[name]


@CASES
def specs_that_are_only_found(w: Loads) -> None:
    w.source()
    w.source(where="d/p/__init__.py")
    sys.path[:] = [w.at("d")]
    for name in ("m", "p"):
        spec: Any = importlib.util.find_spec(name)
        w.world.note(_attributes(spec))
        _made(w, spec)
        w.see(partial(getattr, types.SimpleNamespace(spec=spec), "spec"), spec_picture)


@CASES
def called_by_hand(w: Loads) -> None:
    w.source()
    spec = _spec(w)
    one = spec.loader
    asked: list[Callable[[], object]] = [
        lambda: one.create_module(spec),
        lambda: one.create_module(spec=spec),
        lambda: one.create_module(None),
        lambda: one.create_module(types.SimpleNamespace(name="m")),
        lambda: one.create_module(),
        lambda: one.create_module(spec, spec),
        lambda: one.create_module(other=spec),
        lambda: SourceFileLoader.create_module(one, spec),
        lambda: SourceFileLoader.create_module(None, spec),  # type: ignore[arg-type]
        lambda: BASICS.create_module(one, spec),
        lambda: BASICS().create_module(spec),
        lambda: external.SourcelessFileLoader("m", w.at()).create_module(spec),
    ]
    for ask in asked:
        w.see(ask, lambda given: repr(given))
        w.world.note(_attributes(spec))
    w.world.note(BASICS.create_module.__doc__, str(inspect.signature(BASICS.create_module)))


@CASES
def specs_with_another_value(w: Loads) -> None:
    w.source()
    w.source(where="d/p/__init__.py")
    odd = object()
    changes: list[tuple[str, Any]] = [
        ("cached", "c.pyc"), ("cached", Text("c.pyc")), ("cached", 5), ("cached", ""),
        ("cached", None), ("_cached", "c.pyc"), ("_cached", False),
        ("origin", None), ("origin", Text(w.at())), ("origin", Path(w.at())), ("origin", b"m.py"),
        ("origin", "m.py"), ("origin", "/m.py"), ("origin", w.at("d//m.py")), ("origin", ""),
        ("origin", w.at("d/m.pyc")), ("origin", w.at("d/m.txt")), ("origin", w.at("d/m")),
        ("origin", w.at("d/m.x.py")), ("origin", w.at("d/.py")), ("origin", w.at("\udcff.py")),
        ("has_location", False), ("has_location", 5), ("_set_fileattr", 1), ("_set_fileattr", None),
        ("name", "a.b.c"), ("name", ""), ("name", "."), ("name", "a."), ("name", "\udcff.x"),
        ("name", Text("a.b")), ("name", None), ("name", 5), ("name", "é.ü"),
        ("submodule_search_locations", []), ("submodule_search_locations", ()),
        ("submodule_search_locations", None), ("submodule_search_locations", ["a", "b"]),
        ("submodule_search_locations", 0), ("loader", None), ("loader", odd),
        ("loader", SourceFileLoader("m", w.at())), ("loader_state", odd), ("other", 1),
        ("parent", "x"), ("__class__", Spec),
    ]  # fmt: skip
    for where in ("d/m.py", "d/p/__init__.py"):
        for name, value in changes:
            spec = _spec(w, where=where)
            w.see(partial(setattr, spec, name, value), repr)
            _made(w, spec)
            w.world.note(_attributes(spec))
    for attribute in ("_cached", "origin", "name", "_set_fileattr", "submodule_search_locations"):
        spec = _spec(w)
        delattr(spec, attribute)
        _made(w, spec)
        w.world.note(list(vars(spec)))


@CASES
def other_loaders_and_specs(w: Loads) -> None:
    w.source()

    class Sub(SourceFileLoader):
        pass

    class Made(SourceFileLoader):
        def create_module(self, spec: Any) -> Any:
            w.world.note("asked", _attributes(spec))
            return super().create_module(spec)

    class Keeping(SourceFileLoader):
        def create_module(self, spec: Any) -> Any:
            module = types.ModuleType("kept")
            module.__file__ = "kept"
            return module

    for kind in (Sub, Made, Keeping):
        _made(w, _spec(w, loader=kind("m", w.at())))
    w.see(lambda: importlib.util.module_from_spec(Spec("m", SourceFileLoader("m", "m"))), _whole)
    away: Any = importlib.util.spec_from_loader("m", SourceFileLoader("m", w.at()))
    _made(w, away)
    lazy = importlib.util.LazyLoader(SourceFileLoader("m", w.at()))
    spec = _spec(w, loader=lazy)
    module = importlib.util.module_from_spec(spec)
    w.see(lambda: module, _whole)
    lazy.exec_module(module)
    w.see(lambda: module.x, repr)
    w.see(lambda: module, _whole)


@CASES
def where_bytecode_lies(w: Loads) -> None:
    """What is set when a module is made counts, not what was set when it was found."""
    w.source()
    with swapped(sys, "pycache_prefix", w.at("before")):
        spec = _spec(w)
    _made(w, spec)
    for prefix in (w.at("prefix"), "relative", "", None, Text(w.at("prefix"))):
        spec = _spec(w)
        with swapped(sys, "pycache_prefix", prefix):
            _made(w, spec)
            w.imports()
    flags = types.SimpleNamespace(
        **{n: getattr(sys.flags, n) for n in dir(sys.flags) if n[0] != "_"}
    )
    flags.optimize = 2
    for owner, name, value in (
        (sys, "flags", flags),
        (sys.implementation, "cache_tag", None),
        (sys.implementation, "cache_tag", "other"),
        (sys, "implementation", types.SimpleNamespace(cache_tag="another")),
    ):
        spec = _spec(w)
        with swapped(owner, name, value):
            _made(w, spec)
    kept = list(external.SOURCE_SUFFIXES)
    for suffixes in ([], [".txt"], [".txt", ".py"], [*kept, ".txt"], [".PY"]):
        for where in ("d/m.py", "d/m.txt"):
            spec = _spec(w, where=where, loader=SourceFileLoader("m", w.at(where)))
            external.SOURCE_SUFFIXES[:] = suffixes
            try:
                _made(w, spec)
            finally:
                external.SOURCE_SUFFIXES[:] = kept


def _noting(w: Loads, name: str, original: Any) -> Any:
    """A function that notes what it is given and calls `original`."""

    def called(*args: Any, **more: Any) -> Any:
        shown = [_attributes(a) if hasattr(a, "__dict__") else a for a in args]
        w.world.note("called", name, shown, sorted(more))
        return original(*args, **more)

    return called


@CASES
def replaced_functions(w: Loads) -> None:
    """Whoever has put a function there is called as in stock, with what stock gives."""
    w.source(BODY)
    places = [(bootstrap, n) for n in ("_init_module_attrs", "_new_module", "module_from_spec")]
    places += [(external, n) for n in ("_get_cached", "cache_from_source", "_path_join")]
    classes = [BASICS, external.SourceLoader, external.FileLoader, SourceFileLoader]
    for owner, name in [*places, *((one, "create_module") for one in classes)]:
        original = getattr(owner, name, BASICS.create_module)
        with swapped(owner, name, _noting(w, name, original)):
            if name != "_path_join":  # finding calls it as well
                w.imports()
            _made(w, _spec(w))
    for value in (None, types.SimpleNamespace(_get_cached=lambda origin: "theirs")):
        spec = _spec(w)
        with swapped(bootstrap, "_bootstrap_external", value):
            _made(w, spec)
    w.imports()


@CASES
def a_spec_class_changed(w: Loads) -> None:
    w.source(BODY)
    for name in ("cached", "parent", "has_location"):
        theirs: Any = vars(ModuleSpec)[name]
        ours = property(_noting(w, name, theirs.fget), theirs.fset)
        with swapped(ModuleSpec, name, ours):
            w.imports()
    for name in ("__getattribute__", "__setattr__"):

        def heard(self: Any, *args: Any, name: str = name) -> Any:
            w.world.note(name, args[0])
            return getattr(object, name)(self, *args)

        with swapped(ModuleSpec, name, heard):
            _made(w, _spec(w))
