"""Loading cases: pycs with a hash, times and sizes at their limits, and what the interpreter says
of writing bytecode and of where it belongs.

Each is a function of a ``Loads``; see ``loading.py``.
"""

from __future__ import annotations

import _imp
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from loading import MOMENT, SOURCE, LoadingCases, Loads, swapped, without

CASES = LoadingCases()
STALE = "x = 'before'\n"
imp: Any = _imp
interpreter: Any = sys
implementation: Any = sys.implementation


class Text(str):
    """A str of a type of its own."""

    __slots__ = ()


def _every_kind(w: Loads) -> None:
    """Checked and not, valid and not."""
    for checked in (True, False):
        for source in (SOURCE, STALE):
            w.source()
            w.pyc(w.hashed(source, checked=checked))
            w.both()


@CASES
def hashes(w: Loads) -> None:
    _every_kind(w)
    w.pyc(w.hashed(STALE))
    w.imports()
    w.pyc(w.hashed(SOURCE))
    w.imports()


@CASES
def hashes_always_checked(w: Loads) -> None:
    imp.check_hash_based_pycs = "always"
    _every_kind(w)


@CASES
def hashes_never_checked(w: Loads) -> None:
    imp.check_hash_based_pycs = "never"
    _every_kind(w)


@CASES
def hashes_checked_in_odd_ways(w: Loads) -> None:
    for value in (Text("never"), Text("always"), "", "ALWAYS", None, 1, b"never"):
        imp.check_hash_based_pycs = value
        _every_kind(w)
    with without(imp, "check_hash_based_pycs"):
        _every_kind(w)
        w.pyc(w.stamped())
        w.load()


@CASES
def hashes_do_not_look_at_times(w: Loads) -> None:
    for mtime in (0, MOMENT, MOMENT + 9):
        w.source(mtime=mtime)
        w.pyc(w.hashed())
        w.load()
        w.pyc(w.hashed(checked=False))
        w.load()


@CASES
def hashes_cut_short(w: Loads) -> None:
    for whole in (w.hashed(), w.hashed(checked=False), w.hashed(STALE)):
        for length in (7, 8, 12, 15, 16, 17, len(whole) - 1):
            w.source()
            w.pyc(whole[:length])
            w.load()


@CASES
def hashes_of_what_cannot_be_read(w: Loads) -> None:
    for data in (w.hashed(), w.hashed(checked=False)):
        w.source()
        w.pyc(data)
        os.chmod(w.at(), 0)
        with w.world.nobody():
            w.load()
            w.imports()
        os.unlink(w.at())


@CASES
def hashes_that_are_not_written(w: Loads) -> None:
    interpreter.dont_write_bytecode = True
    _every_kind(w)


@CASES
def hashes_of_sources_that_do_not_compile(w: Loads) -> None:
    w.source("x = (\n")
    w.pyc(w.hashed(STALE))
    w.load()
    w.pyc(w.hashed("x = (\n"))
    w.load()


@CASES
def times_out_of_range(w: Loads) -> None:
    for mtime in (0, 0.5, -0.5, -1, -1.5, -(2**31), 2**31, 2**32 - 1, 2**32, 2**32 + 5.75, 2**33):
        w.source(mtime=mtime)
        w.pyc(w.stamped(mtime=int(mtime)))
        w.both()
        w.pyc(w.stamped(mtime=int(mtime) - 1))
        w.both()
    w.source(mtime=2**32 + 5)
    w.pyc(w.stamped(mtime=5))
    w.imports()


@CASES
def fractions_of_seconds(w: Loads) -> None:
    for nanoseconds in (1, 499_999_999, 500_000_000, 999_999_999):
        w.source()
        for base in (MOMENT, -1, -2):
            moment = base * 1_000_000_000 + nanoseconds
            os.utime(w.at(), ns=(moment, moment))
            for stamp in (base, base + 1):
                w.pyc(w.stamped(mtime=stamp))
                w.load()


@CASES
def sizes_out_of_range(w: Loads) -> None:
    """Never to be read: whoever takes the pyc for stale is refused the source."""
    for size in (2**32, 2**32 + 10):
        w.source()
        os.truncate(w.at(), size)
        w.touch()
        os.chmod(w.at(), 0)
        for written in (size, size + 1):
            w.pyc(w.stamped(size=written))
            with w.world.nobody():
                w.load()
        os.unlink(w.at())


@CASES
def empty_sources(w: Loads) -> None:
    w.source("")
    w.both()
    w.imports()
    w.pyc(w.stamped(size=0))
    w.imports()


@CASES
def writing_switched_off(w: Loads) -> None:
    for value in (True, 1, "yes", [0], 0, None, "", [], False):
        interpreter.dont_write_bytecode = value
        w.source()
        w.both()
        w.pyc(w.stamped(mtime=1))
        w.both()
        os.unlink(w.cache())
    with without(interpreter, "dont_write_bytecode"):
        w.load()
        w.imports()
        w.pyc(w.stamped())
        w.load()


@CASES
def caches_elsewhere(w: Loads) -> None:
    w.source()
    for prefix in (w.at("far"), w.at("far") + "/", "near", "./near", "../here/near", Text("near")):
        interpreter.pycache_prefix = prefix
        w.both()
        w.pyc(w.stamped())
        w.both()
        w.imports()
    interpreter.pycache_prefix = None
    w.both()
    w.imports()


@CASES
def caches_elsewhere_in_odd_places(w: Loads) -> None:
    w.source()
    w.pyc(w.stamped())
    w.source(where="file")
    for prefix in ("", w.at("file"), 5, b"near", Path("near"), "nul\0", "\udcff", "/"):
        interpreter.pycache_prefix = prefix
        interpreter.dont_write_bytecode = True
        w.load()
        w.imports()
    with without(interpreter, "pycache_prefix"):
        w.load()


@CASES
def a_relative_prefix_follows_the_working_directory(w: Loads) -> None:
    w.source()
    interpreter.pycache_prefix = "near"
    w.both()
    os.chdir(w.world.mkdir("other"))
    w.both()
    w.source(where="other/m.py")
    for path in ("m.py", "./m.py", "../d/m.py"):
        w.see_code(path)


@CASES
def tags(w: Loads) -> None:
    w.source()
    w.both()
    odd: list[Any] = ["other-1", "", "a.b", Text("other-2"), None, 5, b"x"]
    for tag in odd:
        implementation.cache_tag = tag
        w.both()
        w.imports()
    with without(implementation, "cache_tag"):
        w.load()


@CASES
def another_implementation(w: Loads) -> None:
    w.source()
    with swapped(interpreter, "implementation", SimpleNamespace(cache_tag="mine", name="x")):
        w.both()


@CASES
def other_flags(w: Loads) -> None:
    """Stock asks ``sys.flags`` at each load, whatever stands there."""
    w.source()
    for optimize in (0, 1, 2, "", "x", "é", "./"):
        interpreter.flags = SimpleNamespace(optimize=optimize, verbose=0)
        w.both()
    interpreter.flags = SimpleNamespace(verbose=0)
    w.load()
    interpreter.flags = SimpleNamespace(optimize=0)
    w.load()
