"""Loading cases: what stands in the cache of a source. Fresh, stale, cut, foreign, unreadable.

Each is a function of a ``Loads``; see ``loading.py``.
"""

from __future__ import annotations

import marshal
import os
import struct
from typing import Any

from loading import MAGIC, MOMENT, SOURCE, LoadingCases, Loads

CASES = LoadingCases()
NESTED = "def f():\n    class C:\n        y = lambda: 1\n    return C\nx = f().y()\n"


@CASES
def nothing_cached(w: Loads) -> None:
    w.source(
        "import sys\ndef f():\n    class C:\n        y = lambda: 1\n    return C\nx = f().y()\n"
    )
    w.load()
    w.load()
    w.imports()


@CASES
def fresh(w: Loads) -> None:
    w.source()
    w.pyc(w.stamped())
    w.both()
    w.imports()


@CASES
def made_elsewhere(w: Loads) -> None:
    """The names of files in the code are those of another place; some agree by chance."""
    w.source()
    for filename in ("/elsewhere/m.py", "", w.at() + "c", w.at("d/n.py"), "\udcff", "<string>"):
        w.pyc(w.stamped(NESTED, filename=filename))
        w.load()
        w.imports()
    outer: Any = compile(NESTED, "one.py", "exec", dont_inherit=True)
    inner = [
        c.replace(co_filename="two.py") if hasattr(c, "co_filename") else c for c in outer.co_consts
    ]
    for name in ("one.py", "two.py", w.at()):
        code = outer.replace(co_consts=tuple(inner), co_filename=name)
        w.pyc(w.stamped()[:16] + marshal.dumps(code))
        w.load()


@CASES
def stale_by_time(w: Loads) -> None:
    for past in (MOMENT - 1, MOMENT + 1, 0, MOMENT ^ 0xFF000000, MOMENT ^ 0x00FF0000, MOMENT ^ 256):
        w.source()
        w.pyc(w.stamped(mtime=past))
        w.both()
    w.pyc(w.stamped(mtime=1))
    w.imports()


@CASES
def stale_by_size(w: Loads) -> None:
    for other in (0, len(SOURCE) - 1, len(SOURCE) + 1, len(SOURCE) + 256, len(SOURCE) | 1 << 31):
        w.source()
        w.pyc(w.stamped(size=other))
        w.both()
    w.pyc(w.stamped(size=1))
    w.imports()


@CASES
def edited_within_the_second(w: Loads) -> None:
    w.source("x = 1\n", mtime=MOMENT + 0.25)
    w.both()
    w.source("x = 2\n", mtime=MOMENT + 0.75)
    w.both()
    w.imports()
    w.source("x = 33\n", mtime=MOMENT + 0.75)
    w.both()
    w.source("x = 44\n", mtime=MOMENT + 1.0)
    w.both()
    w.imports()


@CASES
def replaced(w: Loads) -> None:
    w.source()
    for text in ("x = 'first!'\n", "x = 'second'\n", "def f(): return 3\nx = f()\n", ""):
        w.pyc(w.stamped(text))
        w.load()
        w.imports()
    os.unlink(w.cache())
    w.both()


@CASES
def cut_short(w: Loads) -> None:
    whole = w.stamped("def f(a, b=(1, 2)): return {a: b}\nx = f(1)\n")
    for length in [*range(18), len(whole) // 2, len(whole) - 1]:
        w.source()
        w.pyc(whole[:length])
        w.load()
    for length in (0, 4, 12, 16, len(whole) - 1):
        w.source()
        w.pyc(whole[:length])
        w.imports()


@CASES
def cut_short_everywhere_in_the_body(w: Loads) -> None:
    whole = w.stamped("def f(a, b=(1, 2)): return {a: b}\n")
    w.source()
    for length in range(19, len(whole), 11):
        w.pyc(whole[:length])
        w.load()


@CASES
def garbage_body(w: Loads) -> None:
    w.source()
    header = w.stamped()[:16]
    bodies = [
        b"\0" * 40,
        b"\xff" * 40,
        b"?",
        b"garbage",
        b"(\xff\xff\xff\xff",
        b"s\xff\xff\xff\xff",
    ]
    bodies += [b"c" + b"\0" * 60, b"\xe3" + b"\xff" * 60, b"r\x05\0\0\0", b"u\x02\0\0\0\xff\xff"]
    for body in bodies:
        w.pyc(header + body)
        w.load()
    for body in bodies[:4]:
        w.pyc(header + body)
        w.imports()


@CASES
def a_body_too_long(w: Loads) -> None:
    w.source()
    for rest in (b"\0", b"rest", b"x" * 5000, w.body("x = 'second'")):
        w.pyc(w.stamped() + rest)
        w.load()


@CASES
def a_long_body(w: Loads) -> None:
    """Larger than any buffer somebody may have chosen."""
    text = "".join(f"v{n} = 'value {n}', {n}.5, {n} ** 2\n" for n in range(6000))
    w.source(text)
    w.both()
    w.imports()


@CASES
def wrong_magic(w: Loads) -> None:
    good = w.stamped()
    magics = [bytes([*MAGIC[:n], MAGIC[n] ^ 1, *MAGIC[n + 1 :]]) for n in range(4)]
    for magic in [*magics, MAGIC[::-1], b"\0\0\0\0", b"\xff\xff\xff\xff"]:
        w.source()
        w.pyc(magic + good[4:])
        w.both()
    w.pyc(b"\0\0\0\0" + good[4:])
    w.imports()


@CASES
def flags(w: Loads) -> None:
    for bits in (1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0x100, 1 << 31, 0xFFFFFFFF, 0x10000):
        w.source()
        w.pyc(w.stamped(flags=bits))
        w.both()
    w.pyc(w.stamped(flags=4))
    w.imports()


@CASES
def no_code_in_it(w: Loads) -> None:
    w.source()
    header = w.stamped()[:16]
    inner = marshal.loads(w.body())
    values: list[Any] = [None, 1, "text", (inner,), [inner], ..., StopIteration, {}, b"", 1.5]
    for value in values:
        w.pyc(header + marshal.dumps(value))
        w.load()
        w.imports()


@CASES
def code_that_is_no_module(w: Loads) -> None:
    w.source()

    def function(a: int) -> int:
        return a

    for code in (function.__code__, (lambda: 1).__code__, compile("1", "<e>", "eval")):
        w.pyc(w.stamped()[:16] + marshal.dumps(code))
        w.load()


@CASES
def the_first_four_bytes_decide_first(w: Loads) -> None:
    """A wrong magic with wrong flags, a cut header with wrong flags, stale in two ways."""
    w.source()
    w.pyc(b"\0\0\0\0" + struct.pack("<III", 0xFF, 0, 0))
    w.load()
    w.pyc(MAGIC + struct.pack("<I", 0xFF) + b"\0\0\0")
    w.load()
    w.pyc(w.stamped(mtime=1, size=1, flags=0xF0))
    w.load()
