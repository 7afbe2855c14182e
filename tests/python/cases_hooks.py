"""Conformance cases: other people's code in the middle. Hooks, finders, subclasses, patches.

Every foreign object notes each call that reaches it, so an extra or a missing call is a difference.
Each is a function of a ``World``; see ``world.py``.
"""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import FileFinder, ModuleSpec, PathFinder, SourceFileLoader
from typing import Any

from oracle import Stock, spec_picture
from world import Cases, World

CASES = Cases()
PATH_HOOKS: list[Any] = sys.path_hooks


class Finder:
    """A path entry finder that answers from a table and notes who asked for what."""

    def __init__(self, w: World, entry: str, answers: dict[str, Any]) -> None:
        self.world, self.entry, self.answers = w, entry, answers

    def find_spec(self, name: str, target: object = None) -> Any:
        """The table's answer; an exception in it is raised."""
        self.world.note("find_spec", self.entry, name, target)
        answer = self.answers.get(name)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def invalidate_caches(self) -> None:
        """Note that it was called."""
        self.world.note("invalidate_caches", self.entry)


class Falsy(Finder):
    """A finder whose truth value is false."""

    def __bool__(self) -> bool:
        return False


class Hook:
    """A path hook for entries below a mark; raises, or makes a finder."""

    def __init__(self, w: World, mark: str, answers: dict[str, Any], kind: Any = Finder) -> None:
        self.world, self.mark, self.answers, self.kind = w, mark, answers, kind

    def __call__(self, entry: Any) -> Any:
        self.world.note("hook", self.mark, entry)
        if self.mark not in str(entry):
            raise ImportError("not mine")
        return self.kind(self.world, entry, self.answers)


def portion(name: str, *places: str) -> ModuleSpec:
    """The spec by which a finder says: a portion of a namespace package."""
    spec = ModuleSpec(name, None)
    spec.submodule_search_locations = list(places)
    return spec


def _tree(w: World) -> None:
    w.files("a/m.py", "b/m.py", "b/n/", "a/k.py", "virtual/", "b/p/__init__.py")
    sys.path[:] = [w.at("a"), w.at("virtual"), w.at("b"), "virtual://x"]


@CASES
def hook_first_and_last(w: World) -> None:
    _tree(w)
    found = ModuleSpec("v", SourceFileLoader("v", "/v.py"), origin="/v.py")
    answers = {"v": found, "n": portion("n", "one", "two"), "m": None}
    for place in (0, 1, len(PATH_HOOKS)):
        hook = Hook(w, "virtual", answers)
        PATH_HOOKS.insert(place, hook)
        sys.path_importer_cache.clear()
        w.names("v", "m", "n", "p", "absent")
        w.find("v", None, sys)
        PATH_HOOKS.remove(hook)
    w.names("v", "m", "n")


@CASES
def hook_inserted_late(w: World) -> None:
    _tree(w)
    w.names("m", "v", "absent")
    PATH_HOOKS.insert(0, Hook(w, "/a", {"v": ModuleSpec("v", None, origin="x")}))
    w.names("m", "v", "absent")
    sys.path_importer_cache.pop(w.at("a"), None)
    w.names("m", "absent")
    importlib.invalidate_caches()
    w.names("m", "absent")
    del PATH_HOOKS[0]
    w.names("m", "absent")


@CASES
def hook_inserted_before_an_entry_was_reached(w: World) -> None:
    _tree(w)
    sys.path[:] = [w.at("a"), w.at("b")]
    w.names("m", "m")
    PATH_HOOKS.insert(0, Hook(w, "/b", {"v": portion("v", "here")}))
    w.names("m", "v", "n", "absent")


@CASES
def hooks_cleared_before_an_entry_was_reached(w: World) -> None:
    _tree(w)
    sys.path[:] = [w.at("a"), w.at("b")]
    w.names("m", "m")
    PATH_HOOKS.clear()
    w.names("m", "n", "absent")


@CASES
def an_entry_changes_kind_before_it_is_reached(w: World) -> None:
    _tree(w)
    sys.path[:] = [w.at("a"), w.at("b"), w.at("late")]
    w.names("m", "m")
    w.remove("b")
    w.write("b")
    w.mkdir("late/n")
    w.names("m", "n", "absent")


@CASES
def hook_that_takes_everything(w: World) -> None:
    _tree(w)
    PATH_HOOKS.insert(0, Hook(w, "", {}))
    w.names("m", "n", "absent")
    sys.path_importer_cache.clear()
    del PATH_HOOKS[0]
    w.names("m", "n", "absent")


@CASES
def hook_that_raises(w: World) -> None:
    _tree(w)
    for error in (ValueError("v"), KeyError("k"), OSError(5, "io"), ModuleNotFoundError("m")):

        def hook(entry: str, error: Exception = error) -> Any:
            if entry == w.at("b"):
                raise error
            raise ImportError("not mine")

        PATH_HOOKS.insert(0, hook)
        sys.path_importer_cache.clear()
        w.names("k", "n", "absent")
        PATH_HOOKS.remove(hook)


@CASES
def hook_that_returns_none(w: World) -> None:
    _tree(w)
    PATH_HOOKS.insert(0, lambda entry: None)
    w.names("m", "n", "absent")


@CASES
def no_hooks(w: World) -> None:
    _tree(w)
    kept = list(PATH_HOOKS)
    PATH_HOOKS.clear()
    w.names("m", "absent")
    PATH_HOOKS.extend(kept)
    w.names("m", "absent")
    sys.path_importer_cache.clear()
    w.names("m", "absent")
    state: Any = sys
    for value in ((), [], None, tuple(kept), list(kept)):
        state.path_hooks = value
        sys.path_importer_cache.clear()
        w.names("m")


@CASES
def hook_of_the_same_kind(w: World) -> None:
    """A second FileFinder hook, made by hand with other loaders: not the one importlib made."""
    w.files("a/m.txt", "a/m.py", "a/p/__init__.txt", "a/n/")
    sys.path[:] = [w.at("a")]

    class TextLoader(SourceFileLoader):
        """A loader of our own."""

    for details in ([(TextLoader, [".txt"])], [(TextLoader, [".txt", ".py"])], []):
        PATH_HOOKS.insert(0, FileFinder.path_hook(*details))
        sys.path_importer_cache.clear()
        w.names("m", "p", "n", "absent")
        del PATH_HOOKS[0]


@CASES
def hook_taken_away(w: World) -> None:
    _tree(w)
    PATH_HOOKS[:] = [h for h in PATH_HOOKS if "FileFinder" not in repr(h)]
    w.names("m", "n", "absent")


@CASES
def finders_that_answer_oddly(w: World) -> None:
    _tree(w)
    no_places = ModuleSpec("x", None)
    answers: dict[str, Any] = {
        "no loader": no_places,
        "raises": LookupError("from the finder"),
        "import error": ImportError("from the finder", name="q"),
        "not a spec": 5,
        "empty": portion("empty"),
        "tuple": portion("tuple", "t"),
    }
    answers["tuple"].submodule_search_locations = ("t1", "t2")
    PATH_HOOKS.insert(0, Hook(w, "virtual", answers))
    w.names(*answers)


@CASES
def falsy_finders(w: World) -> None:
    _tree(w)
    PATH_HOOKS.insert(0, Hook(w, "virtual", {"v": portion("v", "here")}, Falsy))
    w.names("v", "m", "absent")


@CASES
def finders_without_find_spec(w: World) -> None:
    _tree(w)
    cache: dict[str, Any] = sys.path_importer_cache
    cache[w.at("a")] = object()
    w.names("m", "absent")
    importlib.invalidate_caches()
    w.names("m")


@CASES
def foreign_portions_between_ours(w: World) -> None:
    w.files("a/n/", "b/n/", "virtual/")
    sys.path[:] = [w.at("a"), w.at("virtual"), w.at("b")]
    PATH_HOOKS.insert(0, Hook(w, "virtual", {"n": portion("n", "in between", "and more")}))
    w.names("n")


@CASES
def module_in_a_foreign_entry_after_a_portion(w: World) -> None:
    w.files("a/n/", "virtual/", "b/n.py")
    sys.path[:] = [w.at("a"), w.at("virtual"), w.at("b")]
    found = ModuleSpec("n", SourceFileLoader("n", "/v.py"), origin="/v.py")
    PATH_HOOKS.insert(0, Hook(w, "virtual", {"n": found}))
    w.names("n", "absent")


@CASES
def importer_cache_replaced(w: World) -> None:
    _tree(w)
    w.names("m", "n")
    state: Any = sys
    for fresh in ({}, {w.at("a"): None}, {}):
        state.path_importer_cache = fresh
        w.names("m", "n", "absent")


@CASES
def importer_cache_poked(w: World) -> None:
    _tree(w)
    w.names("m")
    cache: dict[str, Any] = sys.path_importer_cache
    cache[w.at("a")] = None
    w.names("m", "k")
    cache[w.at("a")] = Finder(w, "poked", {"k": portion("k", "poked")})
    w.names("m", "k")
    cache[w.at("a")] = FileFinder(w.at("b"), (SourceFileLoader, [".py"]))
    w.names("m", "k", "n", "p")
    cache[w.at("a")] = FileFinder(w.at("b"))
    w.names("m", "k", "n", "p")
    cache.clear()
    w.names("m")
    importlib.invalidate_caches()
    w.names("k")


@CASES
def importer_cache_filled_beforehand(w: World) -> None:
    _tree(w)
    make = PATH_HOOKS[-1]
    cache: dict[str, Any] = sys.path_importer_cache
    cache[w.at("a")] = make(w.at("b"))
    cache["virtual://x"] = make(w.at("a"))
    w.names("m", "k", "n")


@CASES
def importer_cache_is_a_kind_of_dict(w: World) -> None:
    _tree(w)

    class Noting(dict[str, Any]):
        """Notes every key asked for."""

        def __getitem__(self, key: str) -> Any:
            w.note("get", key)
            return super().__getitem__(key)

        def __setitem__(self, key: str, value: object) -> None:
            w.note("set", key)
            super().__setitem__(key, value)

    state: Any = sys
    state.path_importer_cache = Noting()
    w.names("m", "n", "absent", "absent")


@CASES
def finders_in_the_cache_answer_themselves(w: World) -> None:
    """pkgutil and friends take finders from the cache and ask them directly."""
    _tree(w)
    w.names("k", "absent")
    cache: dict[str, Any] = sys.path_importer_cache
    for entry in list(cache):
        if cache[entry] is not None:
            for name in ("m", "n", "k"):
                w.see(lambda e=entry, n=name: cache[e].find_spec(n), spec_picture)  # type: ignore[misc]
    w.write("a/new.py")
    w.see(lambda: cache[w.at("a")].find_spec("new"), spec_picture)
    w.names("new")


@CASES
def file_finder_subclass(w: World) -> None:
    w.files("a/m.py", "a/n/", "b/m.py")
    sys.path[:] = [w.at("a"), w.at("b")]

    class Careful(FileFinder):
        """Says no to one name."""

        def find_spec(self, fullname: str, target: Any = None) -> Any:
            w.note("asked", self.path, fullname)
            return None if fullname == "m" else super().find_spec(fullname, target)

    class Quiet(FileFinder):
        """Changes nothing at all."""

    for kind in (Careful, Quiet):
        PATH_HOOKS.insert(0, kind.path_hook((SourceFileLoader, [".py"])))
        sys.path_importer_cache.clear()
        w.names("m", "n", "absent")
        del PATH_HOOKS[0]


@CASES
def finder_instances_patched(w: World) -> None:
    _tree(w)
    w.names("m", "m", "absent", "absent", "m")
    finder: Any = sys.path_importer_cache[w.at("a")]
    finder.find_spec = lambda name, target=None: w.note("patched", name)
    w.names("m", "n")
    del finder.find_spec
    w.names("m")
    finder.path = w.at("b")
    w.names("m", "n", "k")
    finder.path = w.at("a")
    finder._loaders = [(".py", SourceFileLoader)]
    w.names("m", "k")
    finder._loaders = []
    w.names("m", "k")
    finder._get_spec = lambda *a: w.note("made", a[1:3])
    finder._loaders = [(".py", SourceFileLoader)]
    w.names("k")


@CASES
def finder_class_patched(w: World) -> None:
    _tree(w)
    w.names("m", "n")
    original: Any = FileFinder.find_spec
    kind: Any = FileFinder

    def spy(self: Any, name: str, target: object = None) -> Any:
        w.note("spy", self.path, name)
        return original(self, name, target)

    kind.find_spec = spy
    try:
        w.names("m", "n", "absent")
        sys.path_importer_cache.clear()
        w.names("m", "n", "absent")
    finally:
        kind.find_spec = original
    w.names("m", "n")


@CASES
def finder_internals_patched(w: World) -> None:
    _tree(w)
    kind: Any = FileFinder
    for name in ("_get_spec", "__init__", "_fill_cache"):
        original = vars(FileFinder)[name]

        def spy(self: Any, *rest: Any, name: str = name, original: Any = original) -> Any:
            w.note("spy", name, [r for r in rest if isinstance(r, str)])
            return original(self, *rest)

        setattr(kind, name, spy)
        try:
            sys.path_importer_cache.clear()
            w.names("m", "n")
        finally:
            setattr(kind, name, original)


@CASES
def path_finder_patched(w: World) -> None:
    """Someone replaces a helper of PathFinder itself; find_spec goes through ``cls``."""
    _tree(w)
    kind: Any = PathFinder
    for name in ("_path_hooks", "_path_importer_cache"):
        original = vars(PathFinder)[name]
        plain = getattr(PathFinder, name)

        def spy(entry: str, name: str = name, plain: Any = plain) -> Any:
            w.note("spy", name, entry)
            return plain(entry)

        setattr(kind, name, staticmethod(spy))
        try:
            sys.path_importer_cache.clear()
            w.names("m", "n", "absent")
        finally:
            setattr(kind, name, original)
    w.names("m")


@CASES
def path_finder_subclasses(w: World) -> None:
    _tree(w)

    class Plain(PathFinder):
        """Adds nothing."""

    class OwnHooks(PathFinder):
        """Its own hooks."""

        @staticmethod
        def _path_hooks(path: str) -> Any:
            w.note("own hooks", path)
            return Finder(w, path, {"m": portion("m", "own")})

    class OwnCache(PathFinder):
        """Its own cache."""

        @classmethod
        def _path_importer_cache(cls, path: str) -> Any:
            w.note("own cache", path)
            return Finder(w, path, {"m": portion("m", "own")})

    class OwnSearch(PathFinder):
        """Its own search."""

        @classmethod
        def _get_spec(cls, fullname: str, path: Any, target: Any = None) -> Any:
            w.note("own search", fullname, list(path), target)
            return portion(fullname, "own")

    class OwnFind(PathFinder):
        """Calls up."""

        @classmethod
        def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
            w.note("own find", fullname)
            return super().find_spec(fullname, path, target)

    for kind in (Plain, OwnHooks, OwnCache, OwnSearch, OwnFind):
        sys.path_importer_cache.clear()
        for name in ("m", "n", "absent"):
            w.find(name, finder=kind)
            w.find(name, [w.at("b")], sys, finder=kind)
            w.find(name, finder=kind())
        found: Any = kind.find_spec("n")
        if found:
            w.note(found.submodule_search_locations._path_finder.__self__.__name__)


@CASES
def an_instance_and_the_class_agree(w: World) -> None:
    _tree(w)
    w.find("m", finder=PathFinder())
    w.find("n", finder=PathFinder())
    w.see(lambda: PathFinder().invalidate_caches(), repr)


@CASES
def private_search(w: World) -> None:
    """``_get_spec`` is what namespace paths call; its answer for nothing is an empty spec."""
    _tree(w)
    search: Any = PathFinder
    for name in ("m", "n", "absent"):
        w.see(lambda n=name: search._get_spec(n, sys.path), spec_picture)  # type: ignore[misc]
        w.see(lambda n=name: search._get_spec(n, (), None), spec_picture)  # type: ignore[misc]
        w.see(lambda n=name: search._get_spec(n, iter(sys.path), target=5), spec_picture)  # type: ignore[misc]
    w.see(lambda: search._get_spec("n", None), spec_picture)
    w.see(lambda: search._get_spec("n"), spec_picture)


@CASES
def private_helpers_keep_working(w: World) -> None:
    _tree(w)
    helper: Any = PathFinder
    for entry in (w.at("a"), "", ".", w.at("no"), "relative"):
        w.see(lambda e=entry: helper._path_importer_cache(e), lambda f: f and f.path)  # type: ignore[misc]
        w.see(lambda e=entry: helper._path_hooks(e), lambda f: f and f.path)  # type: ignore[misc]


@CASES
def target_is_passed_on(w: World) -> None:
    _tree(w)
    PATH_HOOKS.insert(0, Hook(w, "virtual", {}))
    for target in (None, sys, 5, "x"):
        w.find("absent", None, target)
        w.find("m", None, target)


@CASES
def invalidate_reaches_everyone(w: World) -> None:
    _tree(w)
    PATH_HOOKS.insert(0, Hook(w, "virtual", {}))
    w.names("absent")
    cache: dict[str, Any] = sys.path_importer_cache
    cache["relative"] = None
    cache["relative/finder"] = Finder(w, "relative", {})
    cache[w.at("silent")] = object()
    cache[w.at("none")] = None
    w.see(PathFinder.invalidate_caches, repr)
    finder: Any = cache[w.at("a")]
    w.note(finder._path_mtime)
    w.names("m", "n", "absent")
    importlib.invalidate_caches()
    w.names("m", "n", "absent")


@CASES
def invalidate_with_a_broken_finder(w: World) -> None:
    _tree(w)

    class Broken(Finder):
        """Fails when told."""

        def invalidate_caches(self) -> None:
            raise RuntimeError("broken")

    cache: dict[str, Any] = sys.path_importer_cache
    cache[w.at("x")] = Broken(w, "x", {})
    w.names("m")
    w.see(PathFinder.invalidate_caches, repr)
    w.names("m", "n")


@CASES
def the_stock_copy_agrees(w: World) -> None:
    """The copy taken before installation and the class itself fill one cache alike."""
    _tree(w)
    w.find("m", finder=Stock)
    w.find("m")
    w.find("n")
    w.find("n", finder=Stock)


@CASES
def meta_path_order_is_respected(w: World) -> None:
    w.files("d/m.py", "d/sys.py", "d/zipimport.py", "d/other.py")
    sys.path[:] = [w.at("d"), *w.stdlib]
    asked: list[str] = []

    class First:
        """Comes before everything and notes."""

        @staticmethod
        def find_spec(name: str, path: object = None, target: object = None) -> None:
            asked.append(name)

    sys.meta_path.insert(0, First)
    w.run("import other; result = other.__spec__.origin")
    w.run("import importlib.util as u; result = u.find_spec('sys').origin")
    w.run("import importlib.util as u; result = u.find_spec('m').origin")
    sys.meta_path.clear()
    w.run("import quite_absent")
    w.note([n for n in asked if n in ("other", "m")])
