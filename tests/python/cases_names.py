"""Conformance cases: the name that is asked for. Empty, dotted, huge, not text, other scripts.

Each is a function of a ``World``; see ``world.py``.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import Any

from world import Cases, World

CASES = Cases()


class Name(str):
    """A str that is not exactly str."""


def _tree(w: World) -> None:
    w.files("d/a.py", "d/p/__init__.py", "d/p/q.py", "d/.py", "d/.pyc", "d/n/", "d/a.b.py")
    sys.path[:] = [w.at("d")]


@CASES
def dots(w: World) -> None:
    _tree(w)
    w.names("", ".", "..", "...", "a.", ".a", "a..b", "p.q", "p.", ".p", "a.b", "x.a", "x.n", "n.")


@CASES
def slashes(w: World) -> None:
    _tree(w)
    w.names("p/q", "/a", "a/", "p/", "../d/a", "./a", w.at("d/a"), "p//q", "n/.", "/")


@CASES
def nul(w: World) -> None:
    _tree(w)
    w.names("\0", "a\0", "\0a", "a\0b", "p.\0", "p.q\0", "a\0.p")


@CASES
def surrogates(w: World) -> None:
    _tree(w)
    raw = os.fsencode(w.at("d"))
    with open(raw + b"/\xff.py", "w"):
        pass
    os.mkdir(raw + b"/\xfe")
    w.names("\udcff", "\udcfe", "\ud800", "\udfff", "a\udcff", "\ud83d\udc0d", "p.\udcff")


@CASES
def other_scripts(w: World) -> None:
    for name in ("é", "日本", "ß", "ﬁ", "naïve", "\u03a9", "\u2126", "🐍"):
        w.files(f"d/{unicodedata.normalize('NFC', name)}.py")
    sys.path[:] = [w.at("d")]
    for name in ("é", "日本", "ß", "ﬁ", "naïve", "\u03a9", "\u2126", "🐍", "fi", "ss"):
        for form in ("NFC", "NFD", "NFKC"):
            w.names(unicodedata.normalize(form, name))


@CASES
def composed_and_decomposed_side_by_side(w: World) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    w.files(f"d/{decomposed}.py", f"e/{composed}.py")
    for path in ("de", "ed"):
        sys.path[:] = [w.at(d) for d in path]
        w.names(composed, decomposed)
    w.run(f"import {decomposed}; result = {composed}.__file__")


@CASES
def endless_names(w: World) -> None:
    _tree(w)
    w.names("x" * 10_000, "x." * 5_000 + "a", "p." + "x" * 300, "a" * 255, "é" * 127, "é" * 128)


@CASES
def letter_case(w: World) -> None:
    w.files("d/Mod.py", "d/pkg/__INIT__.py", "d/PKG2/__init__.py", "d/up.PY")
    sys.path[:] = [w.at("d")]
    w.names("Mod", "mod", "MOD", "pkg", "PKG", "pkg2", "PKG2", "up")
    for flag in ("1", ""):
        os.environ["PYTHONCASEOK"] = flag
        w.names("Mod", "mod", "MOD", "pkg2", "PKG2", "up")


@CASES
def names_that_are_not_str(w: World) -> None:
    _tree(w)
    odd: list[Any] = [None, 5, b"a", ["a"], Name("a"), Name("p"), Name("n"), Name("p.q"), object]
    for name in odd:
        w.find(name)
        w.find(name, [])
        w.find(name, [w.at("d/p")])
        w.find(name, [7])


@CASES
def wrong_calls(w: World) -> None:
    _tree(w)
    finder: Any = sys.meta_path[-1]
    w.find("a", None, None)
    w.find("a", None, None, None)
    w.find("a", nothing=1)
    w.see(lambda: finder.find_spec("a", fullname="a"), repr)
    w.see(lambda: finder.find_spec("a", [], path=[]), repr)
    w.see(lambda: finder.find_spec(), repr)
    w.see(lambda: finder.find_spec(path=[]), repr)
    w.see(lambda: finder.invalidate_caches(1), repr)


@CASES
def whitespace_and_signs(w: World) -> None:
    w.files("d/a b.py", "d/a-b.py", "d/1.py", "d/ .py", "d/$(x).py", "d/%s.py", "d/{}.py", "d/*.py")
    sys.path[:] = [w.at("d")]
    w.names("a b", "a-b", "1", " ", "$(x)", "%s", "{}", "*", "?", "\t", "\n", "a\\b")
