"""Conformance cases: what lies in the directories. Packages, modules, portions, links, odd files.

Each is a function of a ``World``; see ``world.py``. They ask and note, they compare nothing.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import EXTENSION_SUFFIXES
from types import ModuleType
from typing import Any

from world import SUFFIX, Cases, World

CASES = Cases()


@CASES
def nothing_there(w: World) -> None:
    w.mkdir("d")
    sys.path[:] = [w.at("d")]
    w.names("a", "a.b", "a")


@CASES
def every_kind_of_module(w: World) -> None:
    w.files("d/src.py", "d/byte.pyc", "d/pkg/__init__.py", "d/bare/", f"d/ext{SUFFIX}")
    w.files("d/pkgc/__init__.pyc", f"d/pkgx/__init__{SUFFIX}")
    sys.path[:] = [w.at("d")]
    w.names("src", "byte", "pkg", "bare", "ext", "pkgc", "pkgx", "absent")


@CASES
def package_before_module_before_portion(w: World) -> None:
    w.files("d/both/__init__.py", "d/both.py", "d/mod/", "d/mod.py", "d/init/__init__.txt")
    w.files("d/init.pyc")
    sys.path[:] = [w.at("d")]
    w.names("both", "mod", "init")


@CASES
def suffixes_in_order(w: World) -> None:
    for count, suffix in enumerate([*EXTENSION_SUFFIXES, ".py", ".pyc"]):
        for rest in [*EXTENSION_SUFFIXES, ".py", ".pyc"][count:]:
            w.files(f"d/m{count}{rest}", f"d/p{count}/__init__{rest}")
        w.names(f"m{count}")
        sys.path[:] = [w.at("d")]
        w.names(f"m{count}", f"p{count}")
        w.note(suffix)


@CASES
def suffixes_nobody_knows(w: World) -> None:
    w.files("d/a.pyw", "d/b.PY", "d/c.py~", "d/e.so.1", "d/f.cpython-27-x.so", "d/g", "d/h.pyo")
    sys.path[:] = [w.at("d")]
    w.names("a", "b", "c", "e", "f", "g", "h", "e.so", "f.cpython-27-x")


@CASES
def portions_over_entries(w: World) -> None:
    w.files("a/n/", "b/n/x.py", "c/other.py", "d/n/", "e/m.py")
    sys.path[:] = [w.at(d) for d in "abcde"]
    w.names("n", "m", "other")


@CASES
def module_after_a_portion_wins(w: World) -> None:
    w.files("a/n/", "b/n.py", "c/n/", "a/p/", "b/p/__init__.py", "a/q/", "b/q/", f"c/q{SUFFIX}")
    sys.path[:] = [w.at(d) for d in "abc"]
    w.names("n", "p", "q")


@CASES
def first_entry_wins(w: World) -> None:
    w.files("a/x.py", "b/x/__init__.py", "b/y.pyc", "c/y.py", "c/z/", "a/z/__init__.py")
    sys.path[:] = [w.at(d) for d in "abc"]
    w.names("x", "y", "z")
    sys.path.reverse()
    w.names("x", "y", "z")


@CASES
def file_kinds_that_are_not_modules(w: World) -> None:
    w.files("d/dir.py/", "d/pkg/__init__.py/", "d/deep.py/__init__.py")
    os.mkfifo(w.at("d", "pipe.py"))
    os.mkfifo(w.at("d", "pipedir"))
    os.makedirs(w.at("d", "pipepkg"))
    os.mkfifo(w.at("d", "pipepkg", "__init__.py"))
    os.mknod(w.at("d", "device.py"), 0o600 | 0o010000)
    sys.path[:] = [w.at("d")]
    w.names("dir", "pkg", "deep", "deep.py", "pipe", "pipedir", "pipepkg", "device")


@CASES
def links_to_everything(w: World) -> None:
    w.files("real/mod.py", "real/pkg/__init__.py", "real/bare/x.py", "d/")
    w.link("d/lm.py", w.at("real/mod.py"))
    w.link("d/lp", w.at("real/pkg"))
    w.link("d/lb", "../real/bare")
    w.link("d/gone.py", "nowhere")
    w.link("d/goner", "nowhere/at/all")
    w.link("d/loop.py", "loop.py")
    w.link("d/loop", "loop2")
    w.link("d/loop2", "loop")
    w.link("d/init/__init__.py", w.at("real/mod.py"))
    w.link("d/noinit/__init__.py", "gone")
    w.link("d/asdir.py", w.at("real/bare"))
    w.link("d/asfile", w.at("real/mod.py"))
    sys.path[:] = [w.at("d")]
    w.names("lm", "lp", "lb", "gone", "goner", "loop", "loop2", "init", "noinit", "asdir", "asfile")


@CASES
def linked_entry(w: World) -> None:
    w.files("real/mod.py", "real/n/")
    w.link("entry", "real")
    w.link("twice", "entry")
    sys.path[:] = [w.at("entry"), w.at("twice"), w.at("real")]
    w.names("mod", "n")


@CASES
def what_a_link_points_to_changes(w: World) -> None:
    w.files("far/mod.py", "far/pkg/__init__.py", "far2/pkg/", "d/")
    w.link("d/mod.py", w.at("far/mod.py"))
    w.link("d/pkg", w.at("far/pkg"))
    sys.path[:] = [w.at("d")]
    w.names("mod", "pkg")
    w.remove("far/mod.py")
    w.remove("far/pkg/__init__.py")
    w.names("mod", "pkg")
    w.write("far/mod.py")
    w.write("far/pkg/__init__.pyc")
    w.names("mod", "pkg")
    w.remove("far/pkg")
    w.names("mod", "pkg")


@CASES
def an_unreadable_directory(w: World) -> None:
    w.files("shut/mod.py", "shut/pkg/__init__.py", "blind/mod.py", "inner/pkg/__init__.py")
    w.files("inner/pkg2/", "inner/pkg2.py", "list/mod.py", "list/pkg/__init__.py", "z/mod.py")
    os.chmod(w.at("shut"), 0o000)
    os.chmod(w.at("blind"), 0o311)
    os.chmod(w.at("list"), 0o744)
    os.chmod(w.at("inner/pkg"), 0o600)
    os.chmod(w.at("inner/pkg2"), 0o600)
    with w.nobody():
        for first in ("shut", "blind", "list", "inner"):
            sys.path[:] = [w.at(first), w.at("z")]
            w.names("mod", "pkg", "pkg2")
            sys.path[:] = [w.at(first, "pkg")]
            w.names("mod")
    for shut in ("shut", "blind", "list", "inner/pkg", "inner/pkg2"):
        os.chmod(w.at(shut), 0o755)


@CASES
def rights_are_given_back(w: World) -> None:
    w.files("d/mod.py", "e/mod.py")
    sys.path[:] = [w.at("d"), w.at("e")]
    os.chmod(w.at("d"), 0o000)
    with w.nobody():
        w.names("mod")
    os.chmod(w.at("d"), 0o755)
    w.changed(w.at("d/mod.py"))
    w.names("mod")


@CASES
def unreadable_files_are_found(w: World) -> None:
    w.files("d/mod.py", "d/pkg/__init__.py")
    os.chmod(w.at("d/mod.py"), 0)
    os.chmod(w.at("d/pkg/__init__.py"), 0)
    sys.path[:] = [w.at("d")]
    with w.nobody():
        w.names("mod", "pkg")


@CASES
def submodules_by_path(w: World) -> None:
    w.files("p/__init__.py", "p/sub.py", "p/q/__init__.py", "p/q/r.py", "p/n/", "sub.py", "r.py")
    stand_in: Any = ModuleType("stand_in")
    paths: list[Any] = [[w.at("p")], (w.at("p"), w.root), [w.at("p/q")], [w.at("p"), w.at("p/q")]]
    for path in paths:
        for name in ("p.sub", "p.q", "p.q.r", "q.sub", "sub", "p.n", "p.absent"):
            sys.modules["p"] = sys.modules["q"] = sys.modules["p.q"] = stand_in
            stand_in.__path__ = path
            try:
                w.find(name, path)
            finally:
                del sys.modules["p"], sys.modules["q"], sys.modules["p.q"]


@CASES
def namespace_without_parent_module(w: World) -> None:
    w.mkdir("p/n")
    w.find("p.n", [w.at("p")])
    w.find("no.such.n", [w.at("p")])


@CASES
def files_come_and_go(w: World) -> None:
    w.mkdir("d")
    sys.path[:] = [w.at("d")]
    w.names("m")
    w.write("d/m.py")
    w.names("m")
    w.remove("d/m.py")
    w.names("m")
    w.write("d/m/__init__.py")
    w.names("m")
    w.remove("d/m/__init__.py")
    w.names("m")
    w.write("d/m/__init__.pyc")
    w.names("m")
    w.remove("d/m")
    w.write("d/m.pyc")
    w.names("m")
    w.remove("d/m.pyc")
    w.names("m")
    w.mkdir("d/m.py")
    w.names("m")


@CASES
def an_earlier_directory_shadows(w: World) -> None:
    w.files("a/", "b/", "c/m.py")
    sys.path[:] = [w.at(d) for d in "abc"]
    w.names("m")
    w.write("b/m.py")
    w.names("m")
    w.mkdir("a/m")
    w.names("m")
    w.write("a/m.pyc")
    w.names("m")
    w.remove("a/m.pyc")
    w.remove("b/m.py")
    w.remove("c/m.py")
    w.names("m")


@CASES
def entries_come_and_go(w: World) -> None:
    w.files("a/m.py", "b/m.py")
    sys.path[:] = [w.at("late"), w.at("a"), w.at("b")]
    w.names("m")
    w.write("late/m.py")
    w.names("m")
    importers = sys.path_importer_cache
    importers.clear()
    w.names("m")
    w.remove("late")
    w.names("m")
    w.rename("a", "gone")
    w.names("m")
    w.rename("b", "a")
    w.names("m")
    w.remove("a")
    w.write("a")
    w.names("m")


@CASES
def two_directories_change_places(w: World) -> None:
    w.files("a/m.py", "b/n.py")
    sys.path[:] = [w.at("a"), w.at("b")]
    w.names("m", "n")
    w.rename("a", "c")
    w.rename("b", "a")
    w.rename("c", "b")
    w.changed(w.at("a/n.py"))
    w.changed(w.at("b/m.py"))
    w.names("m", "n")


@CASES
def names_of_the_machinery(w: World) -> None:
    w.files("d/__init__.py", "d/__pycache__/m.pyc", "d/__main__.py", "d/pkg/__main__.py")
    sys.path[:] = [w.at("d")]
    w.names("__init__", "__pycache__", "__main__", "pkg", "m", "sys", "os", "_frozen_importlib")


@CASES
def a_crowded_directory(w: World) -> None:
    w.mkdir("d")
    for n in range(3000):
        with open(w.at("d", f"f{n}.txt"), "w"):
            pass
    w.files("d/mod.py", "d/pkg/__init__.py", "d/bare/")
    sys.path[:] = [w.at("d")]
    w.names("mod", "pkg", "bare", "f1", "f1.txt", "absent")


@CASES
def many_entries(w: World) -> None:
    for n in range(120):
        w.mkdir(f"e{n}")
    w.files("e7/n/", "e50/n/", "e90/n/", "e111/m.py", "e119/n2.py")
    sys.path[:] = [w.at(f"e{n}") for n in range(120)]
    w.names("m", "n", "n2", "absent")


@CASES
def long_file_names(w: World) -> None:
    longest = "l" * 252
    w.files(f"d/{longest}.py", f"d/{'p' * 255}/__init__.py", f"d/{'k' * 255}/")
    sys.path[:] = [w.at("d")]
    w.names(longest, "p" * 255, "k" * 255, "l" * 253, "l" * 255, "l" * 256)


@CASES
def paths_beyond_path_max(w: World) -> None:
    deep = w.at("d", *["x" * 250] * 15)
    os.makedirs(deep)
    sys.path[:] = [deep + "/" + "y" * 250, deep, w.at("d") + "/." * 3000]
    w.names("m", "m" * 250)
