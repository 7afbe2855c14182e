"""Asks stock and fastpath, in one interpreter, for every name there is and as many there are not.

Run as a script by ``test_differential.py``: ``differential_child.py FRESHNESS BACKEND [ahead]``.
Walks every directory from ``sys.path`` down (not what pkgutil thinks importable: everything), and
prints one JSON object: how many questions, how many found and missing, and where answers differ.
The code of every module found by a source is loaded by both, and must be the same to the byte.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder, SourceFileLoader, all_suffixes
from pathlib import Path
from types import ModuleType
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from loading import code_picture
from oracle import Stock, differing, exception_picture, spec_picture

del sys.path[0]
import fastpath  # noqa: E402

DEEPEST = 9
# A directory of data may have thousands of names, all alike; so many of each are asked for.
WIDEST = 400
SHOWN = 10


class Comparison:
    """The questions asked so far, and what came of them."""

    def __init__(self) -> None:
        self.stock_cache: dict[str, Any] = {}
        self.counts = {"asked": 0, "modules": 0, "packages": 0, "namespaces": 0, "absent": 0}
        self.different: list[str] = []
        self.seen: set[str] = set()
        self.sources: dict[str, str] = {}

    def ask(self, name: str, path: Any) -> Any:
        """Ask both; remember any difference; give stock's spec."""
        ours = _answer(PathFinder, name, path)
        cache = sys.path_importer_cache
        sys.path_importer_cache = self.stock_cache
        spec = _answer(Stock, name, path)
        stock_picture = _picture(spec)
        sys.path_importer_cache = cache
        self.different += differing(stock_picture, _picture(ours), name)
        self.counts["asked"] += 1
        self.counts[_kind(spec)] += 1
        if type(getattr(spec, "loader", None)) is SourceFileLoader:
            self.sources[spec.origin] = name
        return spec

    def walk(self, prefix: str, path: Any, depth: int = 0) -> None:
        """Ask for everything in the directories of `path`, and below what is a package."""
        for name in sorted(_names(path)):
            full = prefix + name
            for wrong in _wrong(full, self.counts["asked"]):
                self.ask(wrong, path)
            spec = self.ask(full, path)
            below = getattr(spec, "submodule_search_locations", None)
            if below is None or depth == DEEPEST or not self._is_new(below):
                continue
            with_parent = sys.modules.get(full)
            if not hasattr(with_parent, "__path__"):
                sys.modules[full] = ModuleType(full)
                sys.modules[full].__path__ = below
            self.walk(full + ".", below, depth + 1)
            if with_parent is None:
                del sys.modules[full]
            else:
                sys.modules[full] = with_parent

    def _is_new(self, below: Any) -> bool:
        """Whether these directories were not walked before: links may lead in circles."""
        real = os.pathsep.join(os.path.realpath(p) for p in below)
        known = real in self.seen
        self.seen.add(real)
        return not known


def _answer(finder: Any, name: str, path: Any) -> Any:
    try:
        return finder.find_spec(name, path)
    except Exception as error:
        return error


def _picture(answer: Any) -> object:
    return exception_picture(answer) if isinstance(answer, Exception) else spec_picture(answer)


def _kind(spec: Any) -> str:
    if spec is None or isinstance(spec, Exception):
        return "absent"
    if spec.loader is None:
        return "namespaces"
    return "modules" if spec.submodule_search_locations is None else "packages"


def _names(path: Any) -> set[str]:
    """All that may be asked for in these directories, importable or not."""
    names: set[str] = set()
    for entry in path:
        try:
            listed = sorted(os.listdir(entry or "."))
        except (OSError, TypeError):
            continue
        if len(listed) > WIDEST:
            listed = listed[:: len(listed) // WIDEST + 1]
        for file in listed:
            names.add(file)
            names.update(file[: -len(s)] for s in all_suffixes() if file.endswith(s))
    return names


def _wrong(name: str, number: int) -> Iterator[str]:
    """A name much like `name` that probably is not there; another kind each time."""
    kinds = [name + "x", name[:-1], name.swapcase(), "_" + name, name + ".py", name + "." + name]
    yield kinds[number % len(kinds)]


def through_meta_path() -> Iterator[str]:
    """Differences when whole ``sys.meta_path`` is asked, editable finders and all."""
    names = sorted({n for n in _names(sys.path) if n.isidentifier()} | {"by_finder", "own_space"})
    mine = sys.meta_path[:]
    for name in names:
        if name in sys.modules:
            continue
        pictures = []
        for finders in (mine, [Stock if f is PathFinder else f for f in mine]):
            sys.meta_path[:] = finders
            try:
                pictures.append(_picture(importlib.util.find_spec(name)))
            except Exception as error:
                pictures.append(_picture(error))
        sys.meta_path[:] = mine
        yield from differing(pictures[1], pictures[0], f"meta_path: {name}")


def loaded(sources: dict[str, str]) -> list[str]:
    """A digest of the code of each source, or of what came instead."""
    return [_digest(SourceFileLoader(name, path), name) for path, name in sources.items()]


def _digest(loader: SourceFileLoader, name: str) -> str:
    try:
        picture = code_picture(loader.get_code(name))
    except Exception as error:
        picture = exception_picture(error)
    return hashlib.sha256(repr(picture).encode(errors="surrogatepass")).hexdigest()


def main() -> None:
    """Compare, and print the result."""
    sys.dont_write_bytecode = True  # whoever loads second must find what the first one found
    options: Any = dict(zip(("freshness", "backend"), sys.argv[1:3], strict=True))
    fastpath._native._switch("look-ahead-always", sys.argv[3:] == ["ahead"])
    comparison = Comparison()
    assert fastpath.install(**options)
    comparison.walk("", sys.path)
    different = [*comparison.different, *through_meta_path()]
    stats = fastpath.stats()
    ours = loaded(comparison.sources)
    fastpath.uninstall()
    different += differing(loaded(comparison.sources), ours, "code")
    more = {"lookups": stats["lookups"], "loaded": len(ours)}
    shown = {"different": different[:SHOWN], "differences": len(different)}
    print(json.dumps({**comparison.counts, **shown, **more}))


if __name__ == "__main__":
    main()
