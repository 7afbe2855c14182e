"""Plain pictures of what a module lookup did, so that two finders compare with ``==``.

Turns specs, loaders, exceptions, warnings and ``sys.path_importer_cache`` into dicts and lists of
plain values, and keeps ``Stock``: importlib's own ``PathFinder`` as it was before anything was
installed. It asserts nothing and touches no file. Used by the parity suites (conformance,
differential, stateful, threads, process).
"""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib.machinery import PathFinder
from typing import Any

Picture = dict[str, object]

# Where an object lies in memory is no part of what it is.
ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def _stock_class() -> Any:
    """A class with PathFinder's present methods: what it finds, it finds without fastpath.

    The methods call each other through ``cls``, so a copy taken before ``install()`` stays stock
    for ever, whatever is done to the real class afterwards.
    """
    native = [k for k, v in vars(PathFinder).items() if "fastpath" in _home(v)]
    if native:
        raise RuntimeError(f"oracle imported after fastpath.install(): {native} are not stock")
    body = {k: v for k, v in vars(PathFinder).items() if k not in ("__dict__", "__weakref__")}
    return type("PathFinder", (), body)


def _home(method: object) -> str:
    """Where a method of a class is from, looking through classmethod and staticmethod."""
    function = getattr(method, "__func__", method)
    owner = getattr(function, "__self__", None)
    return f"{getattr(function, '__module__', '')} {getattr(owner, '__name__', '')}"


Stock = _stock_class()


def type_name(value: object) -> str:
    """``module.qualname`` of the type of a value."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def kind(value: object) -> object:
    """The very type of a value; by name only if a test made the type, anew each time."""
    made_by_a_test = "<locals>" in type(value).__qualname__
    return type_name(value) if made_by_a_test else type(value)


def plain(value: object) -> object:
    """Text as it is but for addresses; a value of another kind as its type and text."""
    text = ADDRESS.sub("", str(value))
    return text if isinstance(value, str) else (kind(value), text)


def namespace_path_picture(path: Any) -> Picture:
    """Every attribute of a ``_NamespacePath``, read before and after it recalculates itself."""
    finder = path._path_finder
    return {
        "type": type_name(path),
        "attributes": list(vars(path)),
        "name": path._name,
        "path": (type(path._path).__name__, list(path._path)),
        "parent": path._last_parent_path,
        "epoch is current": path._last_epoch == type(path)._epoch,
        "finder": (finder.__name__, getattr(finder, "__self__", None) in (PathFinder, Stock)),
        "iterated": list(path),
        "path after": list(path._path),
    }


def locations_picture(locations: object) -> object:
    """Type and contents of ``submodule_search_locations``."""
    if locations is None:
        return None
    if hasattr(locations, "_recalculate"):
        return namespace_path_picture(locations)
    assert isinstance(locations, list), locations
    return (type_name(locations), list(locations))


def loader_picture(loader: object) -> object:
    """The loader's very type (compared by identity) and its attributes."""
    if loader is None:
        return None
    attributes = {
        k: namespace_path_picture(v) if hasattr(v, "_recalculate") else v
        for k, v in getattr(loader, "__dict__", {}).items()
    }
    return (kind(loader), attributes)


def spec_picture(spec: Any) -> object:
    """Every attribute of a spec, in the order in which they were set."""
    if spec is None:
        return None
    raw = {k: v for k, v in vars(spec).items() if k not in ("loader", "submodule_search_locations")}
    return {
        "type": type(spec),
        "attributes": list(vars(spec)),
        "raw": {k: (type_name(v), v) for k, v in raw.items()},
        "loader": loader_picture(spec.loader),
        "locations": locations_picture(spec.submodule_search_locations),
        "cached": spec.cached,
        "has_location": spec.has_location,
        "parent": spec.parent,
        "repr": ADDRESS.sub("", repr(spec)),
    }


def exception_picture(error: BaseException | None, depth: int = 3) -> object:
    """Type, arguments and import attributes of an exception and of what it came from."""
    if error is None or not depth:
        return None
    extra = {k: getattr(error, k, "missing") for k in ("name", "path", "name_from", "errno")}
    return {
        "type": type(error),
        "text": plain(str(error)),
        "args": [plain(a) for a in error.args],
        "extra": {k: plain(v) for k, v in extra.items()},
        "cause": exception_picture(error.__cause__, depth - 1),
        "context": exception_picture(error.__context__, depth - 1),
    }


def finder_picture(finder: Any) -> object:
    """What a path entry finder is, without its private listing (a cache, not an answer)."""
    if finder is None:
        return None
    loaders = getattr(finder, "_loaders", None)
    listed = loaders and [(suffix, loader.__name__) for suffix, loader in loaders]
    return (kind(finder), getattr(finder, "path", None), listed)


def importer_cache_picture() -> list[tuple[object, object]]:
    """``sys.path_importer_cache`` in the order in which it was filled."""
    return [(k, finder_picture(v)) for k, v in sys.path_importer_cache.items()]


def outcome(ask: Callable[[], object], picture: Callable[[Any], object] = spec_picture) -> Picture:
    """Call `ask` and picture all it did: result or exception, warnings, the importer cache."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        result, error = None, None
        try:
            result = ask()
        except Exception as caught:
            error = caught
        shown = picture(result)
    return {
        "result": shown,
        "error": exception_picture(error),
        "warnings": [(w.category, str(w.message), w.filename, w.lineno) for w in heard],
        "importer cache": importer_cache_picture(),
    }


def truth(name: str, path: Any = None, target: object = None) -> Any:
    """Stock's spec for `name` when it lists every directory anew: what the filesystem says now.

    Swaps ``sys.path_importer_cache`` while it asks, so no other thread may import meanwhile.
    """
    kept = sys.path_importer_cache
    sys.path_importer_cache = {}
    try:
        return Stock.find_spec(name, path, target)
    finally:
        sys.path_importer_cache = kept


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 300 else text[:300] + " ..."


def differing(stock: object, ours: object, where: str = "") -> Iterator[str]:
    """One line for each place at which two pictures differ."""
    if isinstance(stock, dict) and isinstance(ours, dict) and stock.keys() == ours.keys():
        for key in stock:
            yield from differing(stock[key], ours[key], f"{where}.{key}")
    elif isinstance(stock, (list, tuple)) and isinstance(ours, (list, tuple)):
        for number, (one, other) in enumerate(zip(stock, ours, strict=False)):
            yield from differing(one, other, f"{where}[{number}]")
        if len(stock) != len(ours) or type(stock) is not type(ours):
            yield f"{where}: stock has {len(stock)}, ours {len(ours)}, {type(ours).__name__}"
    elif stock != ours:
        yield f"{where}: stock {_short(stock)}, ours {_short(ours)}"
