"""Conformance cases: the level at which people see imports. Statements, reload, importlib's guests.

Each is a function of a ``World``; see ``world.py``. The standard library stays on the path here.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.resources
import importlib.util
import os
import pickle
import pkgutil
import runpy
import sys
from typing import Any

from oracle import spec_picture
from world import Cases, World

CASES = Cases()


def _path(w: World, *entries: str) -> None:
    sys.path[:] = [*(w.at(e) for e in entries), *w.stdlib]


@CASES
def missing_modules(w: World) -> None:
    w.files("d/p/__init__.py", "d/m.py", "d/n/x.py", "d/p/deep/__init__.py")
    _path(w, "d")
    for name in ("absent", "p.absent", "m.absent", "n.absent", "absent.p", "p.deep.absent"):
        w.run(f"import {name}")
        w.run(f"import {name} as x")
        w.run(f"from {name} import x")
    for statement in ("from p import absent", "from n import absent", "from m import absent"):
        w.run(statement)
        w.run(f"{statement} as other")


@CASES
def modules_that_fail(w: World) -> None:
    w.write("d/bad.py", "import absent_within")
    w.write("d/raises.py", "raise ValueError('from inside')")
    w.write("d/syntax.py", "def")
    w.write("d/p/__init__.py", "from . import missing")
    w.write("d/nul.py", "x = '\0'")
    w.files(f"d/ext{importlib.machinery.EXTENSION_SUFFIXES[0]}", "d/cut.pyc")
    _path(w, "d")
    for name in ("bad", "raises", "syntax", "p", "nul", "ext", "cut"):
        w.run(f"import {name}")
        w.note(name in sys.modules)


@CASES
def circular_imports(w: World) -> None:
    w.write("d/a.py", "import b\nfrom b import y\nx = 1")
    w.write("d/b.py", "import a\ny = 2\nz = getattr(a, 'x', 'not yet')")
    w.write("d/c.py", "from e import y\nx = 1")
    w.write("d/e.py", "from c import x\ny = 2")
    _path(w, "d")
    w.run("import a, b; result = a.x, b.y, b.z")
    w.run("import c")


@CASES
def relative_imports(w: World) -> None:
    w.write("d/p/__init__.py", "from . import q\nfrom .r import *")
    w.write("d/p/q.py", "from .s import t\nfrom .. import nothing")
    w.write("d/p/r.py", "__all__ = ['sub']\nfrom . import sub")
    w.files("d/p/sub.py", "d/p/s/__init__.py", "d/p/s/t.py")
    _path(w, "d")
    w.run("import p")
    w.write("d/p/q.py", "from .s import t")
    w.run("import p; result = sorted(k for k in vars(p) if k[0] != '_')")
    w.run("from p.s import *; from p import s; result = s.t.__name__")


@CASES
def attributes_of_modules(w: World) -> None:
    w.files("d/m.py", "d/p/__init__.py", "d/n/x.py", "d/p/c.py")
    _path(w, "d")
    names = "__name__ __file__ __cached__ __path__ __package__ __loader__"
    for name in ("m", "p", "p.c", "n", "n.x"):
        w.run(
            f"import sys, {name}; m = sys.modules[{name!r}];"
            f"result = [(k, str(getattr(m, k, 'none'))) for k in {names!r}.split()"
            " if k != '__loader__'], type(m.__loader__).__name__, sorted(vars(m))"
        )
        w.see(lambda name=name: sys.modules[name].__spec__, spec_picture)  # type: ignore[misc]


@CASES
def reload(w: World) -> None:
    w.write("d/m.py", "x = 1")
    w.write("d/p/__init__.py", "x = 1")
    w.files("d/n/y.py")
    _path(w, "d")
    w.run("import m, p, n; result = m.x, p.x, list(n.__path__)")
    w.write("d/m.py", "x = 22")
    w.run("import importlib, m; result = importlib.reload(m).x")
    w.remove("d/m.py")
    w.run("import importlib, m; result = importlib.reload(m)")
    w.write("d/m/__init__.py", "x = 333")
    w.run("import importlib, m; m = importlib.reload(m); result = m.x, m.__path__, m.__file__")
    w.write("e/p.py", "x = 4444")
    w.write("e/n/z.py")
    _path(w, "e", "d")
    w.run("import importlib, p; result = importlib.reload(p).x")
    w.run("import importlib, n; result = list(importlib.reload(n).__path__)")


@CASES
def find_spec_of_util(w: World) -> None:
    w.files("d/m.py", "d/p/__init__.py", "d/p/c.py", "d/n/x.py")
    _path(w, "d")
    find = importlib.util.find_spec
    for name in ("m", "p.c", "p", "n.x", "n", "absent", "p.absent", "absent.x", "m.x", ".c", "sys"):
        w.see(lambda name=name: find(name), spec_picture)  # type: ignore[misc]
    w.see(lambda: find(".c", "p"), spec_picture)
    w.see(lambda: find(""), spec_picture)
    w.see(lambda: find("..c", "p"), spec_picture)
    state: Any = sys.modules
    state["odd"] = None
    w.see(lambda: find("odd"), spec_picture)
    w.run("import odd")
    del state["odd"]
    state["m"].__spec__ = None
    w.see(lambda: find("m"), spec_picture)


@CASES
def specs_survive_pickle(w: World) -> None:
    w.files("d/m.py", "d/p/__init__.py", f"d/x{importlib.machinery.EXTENSION_SUFFIXES[0]}")
    _path(w, "d")
    for name in ("m", "p", "x"):
        spec = importlib.machinery.PathFinder.find_spec(name)
        w.see(lambda spec=spec: pickle.loads(pickle.dumps(spec)), spec_picture)  # type: ignore[misc]


@CASES
def specs_are_independent(w: World) -> None:
    """Two answers to one question share nothing that a caller may change."""
    w.files("d/m.py", "d/p/__init__.py", "d/n/")
    sys.path[:] = [w.at("d")]
    for name in ("m", "p", "n"):
        one: Any = importlib.machinery.PathFinder.find_spec(name)
        two: Any = importlib.machinery.PathFinder.find_spec(name)
        w.note(one is two, one.loader is two.loader, one == two)
        w.note(one.submodule_search_locations is two.submodule_search_locations)
        if one.submodule_search_locations is not None:
            one.submodule_search_locations.append("mine")
        one.origin = one.name = "mine"
        one.extra = 1
        w.find(name)


@CASES
def modules_from_specs(w: World) -> None:
    w.write("d/m.py", "x = __spec__.name, __file__")
    w.files("d/n/")
    _path(w, "d")
    w.run(
        "import importlib.util as u; s = u.find_spec('m'); m = u.module_from_spec(s);"
        "s.loader.exec_module(m); result = m.x, repr(m)"
    )
    w.run(
        "import importlib.util as u; m = u.module_from_spec(u.find_spec('n'));"
        "result = repr(m).split(' at ')[0]"
    )


@CASES
def walking_packages(w: World) -> None:
    w.files("d/p/__init__.py", "d/p/a.py", "d/p/q/__init__.py", "d/p/q/b.py", "d/m.py", "d/n/x.py")
    w.files("e/m2.pyc", "e/p/late.py")
    sys.path[:] = [w.at("d"), w.at("e")]
    w.see(lambda: [tuple(m)[1:] for m in pkgutil.iter_modules()], repr)
    w.see(lambda: [tuple(m)[1:] for m in pkgutil.walk_packages()], repr)
    w.see(lambda: [type(m.module_finder) for m in pkgutil.walk_packages([w.at("d")])], repr)
    w.see(lambda: pkgutil.extend_path([w.at("d/p")], "p"), repr)
    w.see(lambda: pkgutil.resolve_name("p.q.b").__file__, repr)
    w.see(lambda: [str(i) for i in pkgutil.iter_importers("p.q")], repr)


@CASES
def distributions(w: World) -> None:
    w.write("d/one-1.0.dist-info/METADATA", "Name: one\nVersion: 1.0\n")
    w.write("e/two-2.0.dist-info/METADATA", "Name: two\nVersion: 2.0\n")
    sys.path[:] = [w.at("d"), w.at("e")]
    metadata = importlib.metadata
    w.see(lambda: sorted((d.metadata["Name"], d.version) for d in metadata.distributions()), repr)
    w.see(lambda: metadata.version("two"), repr)
    w.see(lambda: metadata.version("three"), repr)
    w.write("d/three-3.0.dist-info/METADATA", "Name: three\nVersion: 3.0\n")
    importlib.invalidate_caches()
    w.see(lambda: metadata.version("three"), repr)
    finder: Any = importlib.machinery.PathFinder
    w.see(lambda: len(list(finder.find_distributions())), repr)


@CASES
def resources(w: World) -> None:
    w.write("d/p/__init__.py")
    w.write("d/p/data.txt", "in a package")
    w.write("d/n/data.txt", "in a portion")
    w.write("e/n/more.txt", "in another")
    _path(w, "d", "e")
    files: Any = importlib.resources.files
    w.see(lambda: files("p").joinpath("data.txt").read_text(), repr)
    w.see(lambda: files("n").joinpath("data.txt").read_text(), repr)
    w.see(lambda: sorted(f.name for f in files("n").iterdir()), repr)


@CASES
def running_modules(w: World) -> None:
    w.write("d/m.py", "answer = __name__, __file__, __spec__ and __spec__.name")
    w.write("d/p/__init__.py")
    w.write("d/p/__main__.py", "answer = __name__, __package__, __spec__.origin")
    _path(w, "d")
    w.see(lambda: runpy.run_module("m")["answer"], repr)
    w.see(lambda: runpy.run_module("p")["answer"], repr)
    w.see(lambda: runpy.run_path(w.at("d/m.py"))["answer"], repr)
    w.see(lambda: runpy.run_module("absent"), repr)
    w.see(lambda: runpy.run_module("p.absent"), repr)


@CASES
def package_path_changed_by_hand(w: World) -> None:
    w.files("d/p/__init__.py", "d/p/a.py", "x/b.py", "x/a.py")
    _path(w, "d")
    w.run("import p, p.a; result = p.a.__file__")
    w.run("import p; p.__path__.append('x'); import p.b; result = p.b.__file__")
    w.run("import p; p.__path__ = ('x',); import sys; del sys.modules['p.a']; import p.a")
    w.run("import p.a; result = p.a.__file__")
    w.run("import p; p.__path__ = None; import p.c")
    w.run("import p; del p.__path__; import p.d")


@CASES
def __init___that_loses_its_source(w: World) -> None:
    w.write("d/p/__init__.py", "x = 1")
    w.files("d/p/a.py")
    _path(w, "d")
    w.run("import p; result = p.x")
    del sys.modules["p"]
    w.remove("d/p/__init__.py")
    w.run("import p; result = p.__file__, list(p.__path__)")
    del sys.modules["p"]
    w.remove("d/p/a.py")
    os.rmdir(w.at("d/p/__pycache__")) if os.path.isdir(w.at("d/p/__pycache__")) and not os.listdir(
        w.at("d/p/__pycache__")
    ) else None
    w.run("import p; result = list(p.__path__)")


@CASES
def path_finder_as_a_plugin_system_uses_it(w: World) -> None:
    w.files("plug/one.py", "plug/two/__init__.py", "other/one.py")
    for _ in range(3):
        for place in ("plug", "other"):
            for name in ("one", "two", "three"):
                w.find(name, [w.at(place)])
                w.find(f"plugins.{name}", [w.at(place)])
