"""Loading cases: other people's code in the middle. Subclasses, and patches of importlib.

Every foreign function notes each call that reaches it, so an extra or a missing call is a
difference. Each is a function of a ``Loads``; see ``loading.py``.
"""

from __future__ import annotations

import _imp
import _io
import marshal
import os
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from typing import Any

from loading import CACHED, SOURCE, TEMPORARY, LoadingCases, Loads, code_bytes, external, swapped

CASES = LoadingCases()


def _shown(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)[:16]
    if hasattr(value, "co_filename"):
        return code_bytes(value)  # type: ignore[arg-type]
    if isinstance(value, str):
        return TEMPORARY.sub("", value)
    return value if isinstance(value, (int, float, dict, type(None))) else type(value).__name__


def _noting(w: Loads, name: str, original: Any) -> Callable[..., Any]:
    """A function that notes its arguments and what `original` did with them."""

    def called(*args: Any, **more: Any) -> Any:
        w.world.note("called", name, [_shown(a) for a in args], {k: _shown(more[k]) for k in more})
        return original(*args, **more)

    return called


def _every_way(w: Loads, loader: Any = SourceFileLoader, imports: bool = True) -> None:
    """Fresh, stale, hashed, missing, broken; imported too if that concerns no finder."""
    w.source()
    for data in (w.stamped(), w.stamped(mtime=1), w.hashed(), w.hashed(checked=False), b"cut"):
        w.pyc(data)
        w.load(loader=loader)
    os.unlink(w.cache())
    w.load(loader=loader)
    if imports:
        w.imports()
        w.imports()


METHODS = [
    "get_data", "path_stats", "set_data", "get_filename", "source_to_code", "_cache_bytecode",
    "path_mtime", "get_code", "get_source", "is_package", "exec_module", "create_module",
]  # fmt: skip


@CASES
def subclasses(w: Loads) -> None:
    for name in METHODS:
        original = getattr(SourceFileLoader, name)
        sub: Any = type("Sub", (SourceFileLoader,), {name: _noting(w, name, original)})
        _every_way(w, sub)
    _every_way(w, type("Plain", (SourceFileLoader,), {}))


@CASES
def subclasses_that_answer_otherwise(w: Loads) -> None:
    answers: list[dict[str, Any]] = [
        {"get_data": lambda self, path: b"x = 'own'\n"},
        {"path_stats": lambda self, path: {"mtime": 5.9, "size": 3}},
        {"path_stats": lambda self, path: {"mtime": 5.9}},
        {"path_stats": lambda self, path: {}},
        {"path_stats": lambda self, path: {"mtime": "x", "size": None}},
        {"path_stats": _raising(OSError("no stats"))},
        {"path_stats": _raising(ImportError("no stats"))},
        {"get_data": _raising(OSError("no data"))},
        {"get_data": _raising(ImportError("no data"))},
        {"get_data": _raising(ValueError("no data"))},
        {"get_filename": lambda self, name: os.fspath(self.path) + "x"},
        {"get_filename": _raising(ImportError("no name"))},
        {"set_data": _raising(NotImplementedError())},
        {"_cache_bytecode": _raising(NotImplementedError())},
        {"_cache_bytecode": _raising(OSError("full"))},
        {"source_to_code": lambda self, data, path: None},
        {"__getattribute__": lambda self, name: object.__getattribute__(self, name)},
    ]
    for body in answers:
        _every_way(w, type("Sub", (SourceFileLoader,), body))


def _raising(error: Exception) -> Callable[..., Any]:
    def raising(*_: Any, **__: Any) -> Any:
        raise type(error)(*error.args)

    return raising


@CASES
def patched_methods(w: Loads) -> None:
    """On the very class, and on each of those it inherits from."""
    for name in METHODS[:7]:
        for owner in ("SourceFileLoader", "FileLoader", "SourceLoader"):
            place = getattr(external, owner)
            if hasattr(place, name):
                with swapped(place, name, _noting(w, f"{owner}.{name}", getattr(place, name))):
                    _every_way(w)
    _every_way(w)


@CASES
def a_patched_get_code(w: Loads) -> None:
    for owner in ("SourceLoader", "SourceFileLoader"):
        place = getattr(external, owner)
        with swapped(place, "get_code", _noting(w, owner, place.get_code)):
            _every_way(w)
    _every_way(w)


@CASES
def a_class_that_looks_its_attributes_up_otherwise(w: Loads) -> None:
    def looked_up(self: Any, name: str) -> Any:
        w.world.note("asked for", name)
        return object.__getattribute__(self, name)

    with swapped(SourceFileLoader, "__getattribute__", looked_up):
        _every_way(w)


FUNCTIONS = [
    "_classify_pyc", "_validate_timestamp_pyc", "_validate_hash_pyc", "cache_from_source",
    "_path_stat", "_compile_bytecode", "_code_to_timestamp_pyc", "_code_to_hash_pyc",
    "_write_atomic", "_calc_mode", "_unpack_uint32", "_pack_uint32", "_path_split", "_path_isdir",
]  # fmt: skip


@CASES
def patched_functions(w: Loads) -> None:
    for name in FUNCTIONS:
        with swapped(external, name, _noting(w, name, getattr(external, name))):
            _every_way(w, imports=False)


@CASES
def patched_functions_that_answer_otherwise(w: Loads) -> None:
    odd: list[tuple[str, Any]] = [
        ("_classify_pyc", lambda data, name, details: 0),
        ("_classify_pyc", _raising(ImportError("never good"))),
        ("_classify_pyc", _raising(ValueError("never good"))),
        ("_validate_timestamp_pyc", lambda *a: None),
        ("_validate_timestamp_pyc", _raising(EOFError("stale"))),
        ("_validate_hash_pyc", lambda *a: None),
        ("cache_from_source", _raising(NotImplementedError())),
        ("cache_from_source", lambda path: w.at("elsewhere.pyc")),
        ("_path_stat", _raising(OSError("no stat"))),
        ("_path_stat", lambda path: os.stat(w.at("d"))),
        ("_compile_bytecode", lambda *a, **k: compile("x = 'own'", "<own>", "exec")),
        ("MAGIC_NUMBER", b"mine"),
        ("_RAW_MAGIC_NUMBER", 7),
        ("_code_type", int),
    ]
    for name, value in odd:
        if hasattr(external, name):
            with swapped(external, name, value):
                _every_way(w, imports=False)


@CASES
def patched_modules_below(w: Loads) -> None:
    places: list[tuple[Any, str]] = [
        (marshal, "loads"), (marshal, "dumps"), (_io, "open_code"),
        (_imp, "source_hash"), (_imp, "_fix_co_filename"), (external._os, "stat"),
        (external._os, "open"), (external._os, "replace"), (external._os, "mkdir"),
        (external._os, "fspath"),
    ]  # fmt: skip
    for owner, name in places:
        noting = _noting(w, name, getattr(owner, name))
        with swapped(owner, name, noting):
            w.source()
            for data in (w.stamped(), w.stamped(mtime=1), w.hashed()):
                _written(w, data)
                one = SourceFileLoader("m", w.at())
                w.world.note("code", code_bytes(_code(one)))


def _written(w: Loads, data: bytes) -> None:
    os.makedirs(os.path.dirname(w.cache()), exist_ok=True)
    with open(w.cache(), "wb") as file:
        file.write(data)


def _code(one: Any) -> Any:
    return one.get_code("m")


@CASES
def patched_names_in_importlib(w: Loads) -> None:
    """The modules that importlib calls by name: another object under the same name."""
    for name, attribute in (("marshal", "loads"), ("_io", "open_code"), ("_imp", "source_hash")):
        real = getattr(external, name)
        own: Any = type(sys)(name)
        vars(own).update(vars(real))
        setattr(own, attribute, _noting(w, attribute, getattr(real, attribute)))
        with swapped(external, name, own):
            _every_way(w)


@CASES
def files_opened_by_somebody(w: Loads) -> None:
    """``io.open_code`` may be replaced to hand out other bytes than those of the file."""

    class Other(_io.BytesIO):
        """Anything that can be read and closed."""

    answers = {".py": SOURCE.replace("source", "opened").encode(), ".pyc": w.stamped(CACHED)}
    w.source()
    with swapped(_io, "open_code", lambda path: Other(answers[os.path.splitext(path)[1]])):
        w.load()
        w.touch(mtime=7)
        w.load()
