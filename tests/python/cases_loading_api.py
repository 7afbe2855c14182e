"""Loading cases: a loader's own methods and attributes, called and changed by hand.

Each is a function of a ``Loads``; see ``loading.py``.
"""

from __future__ import annotations

import importlib.util
import os
import types
from functools import partial
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

from loading import SOURCE, LoadingCases, Loads, code_picture, module_picture
from oracle import ADDRESS

CASES = LoadingCases()


class Text(str):
    """A str of a type of its own."""

    __slots__ = ()


def _text(value: object) -> object:
    return (type(value), ADDRESS.sub("", repr(value)))


def _loader(w: Loads, name: Any = "m", path: Any = None) -> Any:
    return SourceFileLoader(name, w.at() if path is None else path)


def _asked(w: Loads, one: Any) -> None:
    w.see(lambda: one.get_code("m"), code_picture)


@CASES
def names_asked_for(w: Loads) -> None:
    w.source()
    w.pyc(w.stamped())
    names: list[Any] = ["m", "other", "", None, 5, Text("m"), Text("n"), b"m", "m\0", "\udcff"]
    for own in names:
        one = _loader(w, own)
        for asked in names:
            w.see(partial(one.get_code, asked), code_picture)
    one = _loader(w)
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((), {}),
        (("m", "m"), {}),
        ((), {"fullname": "m"}),
        ((), {"name": "m"}),
        (("m",), {"fullname": "m"}),
        (("m",), {"more": 1}),
    ]
    for args, more in calls:
        w.see(partial(one.get_code, *args, **more), code_picture)


@CASES
def the_other_methods(w: Loads) -> None:
    w.source("x = 'é'\n")
    one = _loader(w)
    path = w.at()
    asked: list[Any] = [
        lambda: one.get_filename("m"),
        lambda: one.get_filename("n"),
        lambda: one.get_filename(),
        lambda: one.get_data(path),
        lambda: one.get_data(Path(path)),
        lambda: one.get_data(w.at("absent")),
        lambda: one.get_data(w.at("d")),
        lambda: one.get_source("m"),
        lambda: one.get_source("n"),
        lambda: one.path_stats(path),
        lambda: one.path_stats(w.at("absent")),
        lambda: one.path_mtime(path),
        lambda: one.is_package("m"),
        lambda: one.is_package("n"),
        lambda: one.create_module(None),
        lambda: sorted(one.get_resource_reader("m").__dict__),
        lambda: one.get_resource_reader("n"),
        lambda: one.set_data(w.at("new/deep/file"), b"data"),
        lambda: one.set_data(w.at("d/m.py/deep"), b"data"),
        lambda: one._cache_bytecode(path, w.cache(), b"data"),
        lambda: (one == _loader(w), hash(one) == hash(_loader(w)), one != _loader(w, "n")),
        lambda: one.source_to_code(b"1", "<x>").co_filename,
        lambda: one.nothing,
    ]
    for ask in asked:
        w.see(ask, _text)


@CASES
def modules_made_by_hand(w: Loads) -> None:
    w.source("x = __name__, __file__\n")
    w.pyc(w.stamped("x = __name__\ny = __spec__\n"))
    one = _loader(w)
    for name in ("m", "other"):
        made = types.ModuleType(name)
        w.see(partial(one.exec_module, made), _text)
        w.see(partial(sorted, vars(made)), _text)
    for name in ("m", "other"):
        w.see(partial(one.load_module, name), module_picture)
    w.see(lambda: one.exec_module(None), _text)
    w.see(lambda: one.exec_module(types.SimpleNamespace(__name__="m")), _text)


@CASES
def specs_made_by_hand(w: Loads) -> None:
    w.source()
    w.pyc(w.stamped())
    for name in ("d/m.txt", "d/m", "d/m.pyw", "d/.py", "d/a.b.py"):
        w.source(where=name)
        spec: Any = importlib.util.spec_from_file_location(
            "m", w.at(name), loader=SourceFileLoader("m", w.at(name))
        )
        w.see(partial(_loaded, spec), module_picture)
        w.see(partial(_loaded, spec), module_picture)
    os.chdir(w.at("d"))
    places: list[Any] = ["m.py", "./m.py", "../d/m.py", Path("m.py"), b"m.py", w.at("d//m.py")]
    for place in places:
        w.see(partial(_found, place), module_picture)


def _found(place: Any) -> Any:
    return _loaded(importlib.util.spec_from_file_location("m", place))


def _loaded(spec: Any) -> Any:
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@CASES
def paths_of_every_kind(w: Loads) -> None:
    w.source()
    os.chdir(w.at("d"))
    paths: list[Any] = [
        "m.py", "./m.py", "../d/m.py", w.at("d//m.py"), w.at("d/./m.py"), w.at("d/m.py/"),
        Path(w.at()), os.fsencode(w.at()), Text(w.at()), "", ".", "/", None, 5,
        "m.py\0", "\udcff.py",
        w.at("absent"), "a" * 300 + ".py", [w.at()],
    ]  # fmt: skip
    for path in paths:
        w.see_code(path)
        w.see_code(path)
    for path in paths[:8]:
        w.pyc(w.stamped())
        w.see_code(path)


@CASES
def names_beyond_ascii(w: Loads) -> None:
    for name in ("é", "e\u0301", "日本", "a b", "a\nb", "\udcff\udc80", "😀", "x" * 230):
        where = f"d/{name}.py"
        w.source(where=where)
        w.load(where, name)
        w.load(where, name)
        w.imports(name)


@CASES
def attributes_changed(w: Loads) -> None:
    w.source()
    w.source("x = 'another'\n", where="d/n.py")
    w.pyc(w.stamped())
    changes: list[tuple[str, Any]] = [
        ("path", w.at("d/n.py")), ("path", Text(w.at())), ("path", Text(w.at("d/n.py"))),
        ("path", None), ("path", 5), ("path", w.at("absent.py")), ("path", os.fsencode(w.at())),
        ("name", "n"), ("name", Text("m")), ("name", None), ("other", 1),
        ("get_data", lambda path: b"x = 'own'\n"), ("path_stats", lambda path: {"mtime": 1}),
        ("get_filename", lambda name: w.at("d/n.py")), ("_cache_bytecode", lambda *a: None),
        ("source_to_code", lambda data, path: compile("1", "<own>", "exec")),
        ("set_data", lambda *a, **k: None),
    ]  # fmt: skip
    for name, value in changes:
        one = _loader(w)
        setattr(one, name, value)
        _asked(w, one)
        w.pyc(w.stamped(mtime=1))
        _asked(w, one)
        w.pyc(w.stamped())
    for name in ("path", "name"):
        one = _loader(w)
        delattr(one, name)
        _asked(w, one)
    one = _loader(w)
    one.__dict__ = {"path": w.at("d/n.py"), "name": "m"}
    w.see(lambda: one.get_code("m"), code_picture)


@CASES
def called_on_the_class(w: Loads) -> None:
    w.source()
    w.pyc(w.stamped())
    body: Any = SourceFileLoader.get_code
    one: Any = types.SimpleNamespace(
        get_filename=lambda name: w.at(),
        path_stats=lambda path: {"mtime": 1, "size": 2},
        get_data=lambda path: SOURCE.encode(),
        source_to_code=lambda data, path: compile(data, path, "exec"),
        _cache_bytecode=lambda *a: None,
    )
    w.see(lambda: body(_loader(w), "m"), code_picture)
    w.see(lambda: body(one, "m"), code_picture)
    w.see(lambda: body(None, "m"), code_picture)
    w.see(lambda: body(self=_loader(w), fullname="m"), code_picture)
    w.see(lambda: body(), code_picture)
    w.see(lambda: body.__get__(_loader(w))("m"), code_picture)
