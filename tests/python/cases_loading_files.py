"""Loading cases: sources and pycs that are links, directories, gone, not to be read or written.

Each is a function of a ``Loads``; see ``loading.py``.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from typing import Any

from loading import CACHED, MOMENT, SOURCE, LoadingCases, Loads, module_picture

CASES = LoadingCases()


@CASES
def other_things_in_the_place_of_the_pyc(w: Loads) -> None:
    w.source()
    good = w.pyc(w.stamped(), exact=w.at("kept/good"))
    place = w.cache()
    for target in (good, "m-2.pyc", os.path.basename(place), w.at("absent"), w.at("d"), "/"):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        if os.path.lexists(place):
            os.unlink(place)
        os.symlink(target, place)
        w.both()
    os.unlink(place)
    os.link(good, place)
    w.both()
    os.unlink(place)
    os.mkdir(place)
    w.both()
    w.imports()


@CASES
def other_things_in_the_place_of_the_cache(w: Loads) -> None:
    w.source()
    folder = os.path.dirname(w.cache())
    w.world.write("d/__pycache__", "a file")
    w.both()
    w.imports()
    os.unlink(folder)
    os.symlink(w.at("elsewhere"), folder)
    w.both()
    w.world.mkdir("elsewhere")
    w.both()
    w.imports()


@CASES
def not_to_be_read(w: Loads) -> None:
    w.source()
    w.pyc(w.stamped())
    os.chmod(w.cache(), 0)
    with w.world.nobody():
        w.load()
        w.imports()
    os.chmod(w.cache(), 0o644)
    os.chmod(w.at(), 0)
    with w.world.nobody():
        w.load()
        w.imports()
    w.pyc(w.stamped(mtime=5))
    with w.world.nobody():
        w.load()
        w.imports()
    os.chmod(os.path.dirname(w.cache()), 0)
    with w.world.nobody():
        w.load()
    os.chmod(os.path.dirname(w.cache()), 0o755)
    os.chmod(w.at("d"), 0)
    with w.world.nobody():
        w.load()
    os.chmod(w.at("d"), 0o755)


@CASES
def not_to_be_written(w: Loads) -> None:
    w.source()
    with w.world.nobody():
        w.both()
    w.pyc(w.stamped(mtime=5))
    with w.world.nobody():
        w.both()
        w.imports()


@CASES
def permissions_of_what_is_written(w: Loads) -> None:
    for mode in (0o444, 0o600, 0o777, 0o640, 0o4755):
        w.source()
        os.chmod(w.at(), mode)
        w.load()
        os.unlink(w.cache())
    os.umask(0o077)
    w.load()
    w.source(where="new/m.py")
    w.load("new/m.py")


@CASES
def a_source_that_is_a_link(w: Loads) -> None:
    w.source(where="real/other.py")
    w.world.link("d/m.py", w.at("real/other.py"))
    w.both()
    w.pyc(w.stamped())
    w.both()
    w.imports()
    w.touch("real/other.py", MOMENT + 7)
    w.both()
    os.unlink(w.at("real/other.py"))
    w.load()
    w.imports()


@CASES
def a_source_that_is_gone(w: Loads) -> None:
    w.source()
    w.pyc(w.stamped())
    os.unlink(w.at())
    w.load()
    w.imports()
    os.mkdir(w.at())
    w.load()
    w.touch()
    w.pyc(w.stamped(size=os.stat(w.at()).st_size))
    w.load()
    os.rmdir(w.at())
    os.unlink(w.cache())
    w.load()
    w.source(where="file")
    w.load("file/m.py")


@CASES
def gone_between_finding_and_loading(w: Loads) -> None:
    sys.path[:] = [w.at("d")]
    for gone in (True, False):
        w.source()
        w.pyc(w.stamped())
        spec: Any = importlib.util.find_spec("m")
        if gone:
            os.unlink(w.at())
        else:
            w.source(SOURCE + "y = 1\n")
        w.see(functools.partial(_made, spec), module_picture)


def _made(spec: Any) -> Any:
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@CASES
def without_source(w: Loads) -> None:
    w.pyc(w.stamped(), exact=w.at("d/m.pyc"))
    w.imports()
    for cut in (3, 10, 16, 20):
        w.pyc(w.stamped()[:cut], exact=w.at("d/m.pyc"))
        w.imports()
    w.source()
    w.imports()
    w.pyc(w.stamped(CACHED, mtime=1), exact=w.at("d/m.pyc"))
    w.imports()
