"""Conformance cases: what stands on ``sys.path`` or in the `path` argument.

Relative and empty entries, missing ones, files, zips, odd spellings, values that are not ``str``.
Each is a function of a ``World``; see ``world.py``.
"""

from __future__ import annotations

import importlib
import importlib._bootstrap_external as frozen
import os
import sys
import zipfile
from collections.abc import Iterator
from importlib.machinery import FileFinder, PathFinder, SourceFileLoader
from pathlib import Path
from typing import Any

from oracle import spec_picture
from world import Cases, World

CASES = Cases()
external: Any = frozen


class Text(str):
    """A str that is not exactly str."""


class Upper(str):
    """A str that claims to be equal to nothing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


@CASES
def empty_entry_follows_the_directory(w: World) -> None:
    w.files("a/m.py", "b/m/__init__.py", "c/m/", "d/")
    sys.path[:] = [""]
    for place in "abcdab":
        os.chdir(w.at(place))
        w.names("m")


@CASES
def dot_entry_follows_only_when_told(w: World) -> None:
    w.files("a/m.py", "b/m.py")
    sys.path[:] = ["."]
    for place in "ab":
        os.chdir(w.at(place))
        w.names("m")
    importlib.invalidate_caches()
    w.names("m")
    sys.path_importer_cache.clear()
    w.names("m")


@CASES
def relative_entries(w: World) -> None:
    w.files("a/lib/m.py", "b/lib/m/__init__.py", "a/lib/n/", "lib/m.pyc", "up.py")
    sys.path[:] = ["lib", "./lib", "../lib", "lib/", "lib/../lib", ".."]
    for place in ("a", "b", "."):
        os.chdir(w.at(place))
        w.names("m", "n", "up")
        sys.path_importer_cache.clear()
        w.names("m", "n", "up")
        importlib.invalidate_caches()
        w.names("m")


@CASES
def relative_path_argument(w: World) -> None:
    w.files("p/m.py", "q/p/m.py", "p/n/")
    for place in (".", "q"):
        os.chdir(w.at(place))
        w.find("m", ["p"])
        w.find("m", ["", "p"])
        w.find("n", ["./p"])


@CASES
def the_current_directory_is_deleted(w: World) -> None:
    w.files("gone/m.py", "other/m.py")
    os.chdir(w.at("gone"))
    sys.path[:] = ["", ".", "sub", w.at("other")]
    w.names("m")
    w.remove("gone")
    w.names("m", "absent")
    sys.path_importer_cache.clear()
    w.names("m", "absent")
    sys.path[:] = [""]
    w.names("m")
    os.chdir(w.at("other"))
    w.names("m")


@CASES
def the_current_directory_is_made_again(w: World) -> None:
    w.files("here/m.py")
    os.chdir(w.at("here"))
    sys.path[:] = [""]
    w.names("m")
    w.remove("here")
    w.write("here/m.py")
    w.names("m")
    os.chdir(w.at("here"))
    w.names("m")


@CASES
def the_current_directory_is_renamed(w: World) -> None:
    w.files("old/m.py", "old/sub/n.py")
    os.chdir(w.at("old"))
    sys.path[:] = ["", "sub"]
    w.names("m", "n")
    w.rename("old", "new")
    w.names("m", "n")


@CASES
def entries_that_are_not_there(w: World) -> None:
    w.files("d/m.py", "file.txt")
    sys.path[:] = [w.at("no"), w.at("no/deeper"), w.at("file.txt"), w.at("file.txt/sub"), w.at("d")]
    w.names("m", "absent")
    w.mkdir("no")
    w.write("no/m.py")
    w.names("m")
    importlib.invalidate_caches()
    w.names("m")


@CASES
def a_python_file_as_entry(w: World) -> None:
    w.files("m.py", "d/m.py")
    sys.path[:] = [w.at("m.py"), w.at("d/m.py"), w.at("d")]
    w.names("m", "m.py")


def _zip(w: World, where: str, **members: str) -> str:
    path = w.at(where)
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            # A fixed date: zipimport keeps it in its directory of the archive.
            stamp = zipfile.ZipInfo(name.replace("__", "/"), (2020, 1, 1, 0, 0, 0))
            archive.writestr(stamp, text)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


@CASES
def zips_as_entries(w: World) -> None:
    path = _zip(w, "z.zip", **{"zm.py": "x = 1", "sub__sm.py": "", "zn__deep__x.py": ""})
    w.files("d/zn/", "d/zm.py", "d/dm.py")
    bad = w.write("bad.zip", "not a zip at all")
    sys.path[:] = [w.at("missing.zip"), bad, path, path + "/sub", path + "/nosub", w.at("d")]
    for name in ("zm", "sm", "zn", "dm", "absent"):
        w.see(lambda name=name: PathFinder.find_spec(name), _zip_picture)  # type: ignore[misc]
    sys.path[:] = [w.at("d"), path]
    w.names("zm")
    w.see(lambda: PathFinder.find_spec("zn"), _zip_picture)


def _zip_picture(spec: Any) -> object:
    """A zipimporter has no attributes that compare; its archive and prefix do."""
    if spec is None:
        return None
    loader = spec.loader
    where = (getattr(loader, "archive", None), getattr(loader, "prefix", None))
    found = spec.submodule_search_locations
    return (spec.name, type(loader), where, spec.origin, found and list(found), type(found))


@CASES
def odd_spellings(w: World) -> None:
    w.files("d/m.py", "d/n/", "d/p/__init__.py", "d/sub/x.py")
    d = w.at("d")
    spellings = [d + "/", d + "//", d.replace("/d", "//d"), d + "/.", d + "/sub/..", d + "/./"]
    spellings += ["/" + d, "//" + d, d + "/../d", w.at("no/../d"), " " + d, d + " ", d + "\n"]
    for entry in spellings:
        sys.path[:] = [entry]
        w.names("m", "n", "p")
        w.find("m", [entry, d])


@CASES
def the_root_directory(w: World) -> None:
    sys.path[:] = ["/"]
    w.names("tmp", "m", "etc")
    for entry in ("//", "///", "/.", "/..", "/../tmp"):
        w.find("tmp", [entry])


@CASES
def duplicate_entries(w: World) -> None:
    w.files("d/n/", "e/n/", "e/m.py")
    d, e = w.at("d"), w.at("e")
    sys.path[:] = [d, d, e, d, d + "/", e]
    w.names("n", "m", "absent")


@CASES
def entries_that_are_not_str(w: World) -> None:
    w.files("d/m.py", "e/m.py", "d/n/", "e/n/")
    d = w.at("d")
    odd: list[Any] = [os.fsencode(d), Path(d), None, 7, 1.5, (d,), [d], object, b"", True]
    for value in odd:
        sys.path[:] = [value, w.at("e")]
        w.names("m", "n", "absent")
    sys.path[:] = odd
    w.names("m", "n")


@CASES
def str_subclasses(w: World) -> None:
    w.files("d/m.py", "e/n/", "d/n/")
    for kind in (Text, Upper):
        sys.path[:] = [kind(w.at("no")), kind(w.at("d")), kind(w.at("e")), kind("")]
        w.names("m", "n", "absent")


@CASES
def entries_beyond_ascii(w: World) -> None:
    w.files("dé/m.py", "日本/m.py", "sp ace/m.py", "quo'te/m.py", "new\nline/m.py", "emoji🐍/n/")
    raw = os.fsdecode(os.fsencode(str(w.root)) + b"/\xff\xfe")
    os.mkdir(raw)
    with open(os.path.join(raw, "m.py"), "w"):
        pass
    for entry in os.listdir(w.root):
        sys.path[:] = [w.at(entry)]
        w.names("m", "n")


@CASES
def entries_no_file_system_knows(w: World) -> None:
    w.files("d/m.py")
    for odd in ("\0", w.at("d") + "\0", w.at("d") + "\0x", "\ud800", w.at("\udfff"), "a" * 5000):
        sys.path[:] = [odd, w.at("d")]
        w.names("m")
        sys.path[:] = [odd]
        w.names("m", "absent")


def _generator(entries: list[str]) -> Iterator[str]:
    yield from entries


@CASES
def kinds_of_path_argument(w: World) -> None:
    w.files("a/m.py", "b/n/", "a/n/")
    entries = [w.at("no"), w.at("a"), w.at("b")]
    sys.path[:] = [w.at("b")]
    for name in ("m", "n", "absent"):
        for make in (list, tuple, dict.fromkeys, iter, _generator, frozenset, "/".join):
            if make is not frozenset or name != "n":
                w.find(name, make(entries))
        for odd in (None, [], (), "", w.at("a"), [w.at("a")], 5, b"ab", {}, object()):
            w.find(name, odd)
        w.find(name, path=entries)
        w.find(name, path=entries, target=None)
        w.see(lambda name=name: PathFinder.find_spec(fullname=name), spec_picture)  # type: ignore[misc]


@CASES
def a_generator_is_read_as_far_as_stock_reads_it(w: World) -> None:
    w.files("a/m.py", "b/n/", "c/n/")
    for name in ("m", "n", "absent"):
        rest = _generator([w.at("no"), w.at("a"), w.at("b"), w.at("c")])
        w.find(name, rest)
        w.note(list(rest))


@CASES
def a_path_that_raises(w: World) -> None:
    w.files("a/m.py")

    def broken() -> Iterator[str]:
        yield w.at("a")
        raise LookupError("no more")

    w.find("m", broken())
    w.find("n", broken())


@CASES
def a_path_that_changes_while_read(w: World) -> None:
    w.files("a/n/", "b/n/", "c/m.py")
    path = [w.at("a"), w.at("b")]

    def growing(entry: str) -> object:
        if entry == w.at("b") and w.at("c") not in path:
            path.append(w.at("c"))
        raise ImportError("not mine")

    sys.path_hooks.insert(0, growing)  # type: ignore[arg-type]
    w.find("m", path)
    sys.path_importer_cache.clear()
    path[:] = [w.at("a"), w.at("b")]
    sys.path = path
    w.names("m", "n")


@CASES
def sys_path_replaced(w: World) -> None:
    w.files("a/m.py", "b/m.py")
    global_state: Any = sys
    for value in ([w.at("a")], (w.at("b"),), [w.at("b")], [], iter([w.at("a")])):
        global_state.path = value
        w.names("m")


@CASES
def sys_path_mutated(w: World) -> None:
    w.files("a/m.py", "b/m.py", "c/n/", "a/n/")
    sys.path[:] = [w.at("a")]
    w.names("m", "n")
    sys.path.insert(0, w.at("b"))
    w.names("m", "n")
    sys.path.append(w.at("c"))
    w.names("m", "n")
    sys.path.remove(w.at("a"))
    w.names("m", "n")
    sys.path.clear()
    w.names("m", "n")


@CASES
def sys_path_is_missing_or_wrong(w: World) -> None:
    state: Any = sys
    kept = sys.path
    for value in (None, 5, "/"):
        state.path = value
        w.names("m")
    del state.path
    w.names("m")
    state.path = kept


@CASES
def namespace_paths_follow(w: World) -> None:
    w.files("a/n/x.py", "b/n/y.py", "c/n/z.py")
    sys.path[:] = [w.at("a")]
    spec: Any = PathFinder.find_spec("n")
    path = spec.submodule_search_locations
    w.note(list(path))
    sys.path.append(w.at("b"))
    w.note(list(path), len(path), path[0], w.at("b/n") in path, repr(path))
    w.rename("c/n", "a/m")
    w.mkdir("c/n")
    sys.path.append(w.at("c"))
    w.note(list(path))
    w.remove("a/n")
    w.note(list(path))
    importlib.invalidate_caches()
    w.note(list(path))
    w.write("b/n/__init__.py")
    importlib.invalidate_caches()
    w.note(list(path))
    path.append(w.at("extra"))
    w.note(list(path))


@CASES
def children_of_namespace_packages(w: World) -> None:
    w.files("a/n/x.py", "b/n/y.py", "b/n/x.py", "a/n/deep/", "b/n/deep/w.py", "c/n/late.py")
    sys.path[:] = [w.at("a"), w.at("b")]
    w.run("import n; result = list(n.__path__)")
    w.run("import n.x, n.y, n.deep.w; result = n.x.__file__, n.y.__file__, list(n.deep.__path__)")
    namespace = sys.modules["n"].__path__
    for name in ("n.x", "n.y", "n.deep", "n.late", "n.absent"):
        w.find(name, namespace)
    sys.path.append(w.at("c"))
    w.find("n.late", namespace)
    w.run("import n.late; result = n.late.__file__")
    w.run("import n.absent")


@CASES
def a_path_of_one_entry_asked_again(w: World) -> None:
    """As the path of a package is, once for each of its modules; its finder changed in between."""
    w.files("a/one.py", "a/two.txt", "b/one.py", "b/here/one.py")
    os.chdir(w.at("b"))
    cache: dict[str, Any] = sys.path_importer_cache
    odd: Any = FileFinder(w.at("a"), (SourceFileLoader, [".txt"]))
    other: Any = FileFinder(w.at("b"), *external._get_supported_file_loaders())
    for entry in (w.at("a"), "", "here"):
        path = [entry]

        def ask(path: list[str] = path) -> None:
            for name in ("one", "two", "one"):
                w.find(name, path)

        ask()
        key = entry or os.getcwd()
        for finder in (odd, other, None, FileFinder(key)):
            cache[key] = finder
            ask()
        del cache[key]
        ask()
        own: Any = cache[key]
        own.find_spec = lambda name, target=None: None
        ask()
        del own.find_spec
        own.path = w.at("b")
        ask()
        own._loaders = []
        ask()
        cache.clear()
        sys.path_hooks.insert(0, lambda place: odd)
        ask()
        del sys.path_hooks[0]
        ask()
        cache.clear()
        ask()
        os.chdir(w.at("b/here"))
        ask()
        os.chdir(w.at("b"))
        path[0] = w.at("b")
        ask()
        path.append(w.at("a"))
        ask()
