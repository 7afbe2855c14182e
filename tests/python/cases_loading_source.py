"""Loading cases: what is in a source and what becomes of it. Encodings, errors, reload, tools.

Each is a function of a ``Loads``; see ``loading.py``.
"""

from __future__ import annotations

import compileall
import gc
import importlib
import os
import py_compile
import runpy
import sys
import zipfile
import zipimport
from typing import Any

from loading import IMPORTLIB, MOMENT, LoadingCases, Loads, module_picture

CASES = LoadingCases()
TRACED = (
    "def f():\n    return 1\nclass C:\n    x = f()\ntry:\n    1 / 0\nexcept Exception:\n    pass\n"
)
Mode = py_compile.PycInvalidationMode


@CASES
def encodings(w: Loads) -> None:
    sources = [
        b"\xef\xbb\xbfx = '\xc3\xa9'\n",
        b"# -*- coding: latin-1 -*-\nx = '\xe9'\n",
        b"#!/usr/bin/python\n# vim: set fileencoding=utf-16 :\nx = 1\n",
        b"# coding: nonsense\nx = 1\n",
        b"\xef\xbb\xbf# coding: latin-1\nx = 1\n",
        b"x = '\xe9'\n",
        b"x = 1\r\ny = '''a\r\nb'''\r\n",
        b"x = 1\ry = 2\r",
        b"x = 1",
        b"\x0cx = 1\n",
    ]
    for source in sources:
        w.source(source)
        w.both()
        w.imports()


@CASES
def sources_that_do_not_compile(w: Loads) -> None:
    sources = [
        b"x = (\n",
        b"def",
        b"x = 1\0\n",
        b"\0",
        b"if 1:\n\tx = 1\n        y = 2\n",
        b"if 1:\nx = 1\n",
        b"return 1\n",
        b"x = '\n",
        b"from __future__ import nothing\n",
        b"x = " + b"(" * 300 + b")" * 300,
        b"from __future__ import annotations\nx = 1\nnonlocal x\n",
        b"f(**a, *b)\n",
    ]
    for source in sources:
        w.source(source)
        w.load()
        w.imports()


@CASES
def warnings_of_the_compiler(w: Loads) -> None:
    w.source("x = 1 is 1\ny = '\\d'\nassert (1, 2)\n")
    w.load()
    w.load()
    w.imports()


@CASES
def modules_that_raise(w: Loads) -> None:
    texts = [
        "1 / 0\n",
        "import absent_thing\n",
        "raise ImportError('mine')\n",
        "def f():\n    g()\nf()\n",
    ]
    texts += ["raise SystemError\n", "import sys\ndel sys.modules[__name__]\n", "raise EOFError\n"]
    for text in texts:
        w.source(text)
        w.imports()
        w.imports()
        w.pyc(w.stamped("\n" * 3 + text, size=len(text), filename="/elsewhere/m.py"))
        w.imports()


@CASES
def packages(w: Loads) -> None:
    w.source("from . import a\nfrom .a import y\n", where="d/p/__init__.py")
    w.source("y = __package__\n", where="d/p/a.py")
    w.imports("p")
    w.imports("p.a")
    w.source("y = 2\n", where="d/p/a.py", mtime=MOMENT + 5)
    w.imports("p")
    w.pyc(w.stamped("y = 'cached'\n", size=6, mtime=MOMENT + 5), where="d/p/a.py")
    w.imports("p")


@CASES
def reloads(w: Loads) -> None:
    w.source("x = 1\n")
    sys.path[:] = [w.at("d"), *w.world.stdlib]
    importlib.invalidate_caches()
    module = importlib.import_module("m")
    for text, mtime in (("x = 2\n", 0), ("x = 33\n", 0), ("x = 44\n", 1), ("y = (\n", 2), ("", 3)):
        w.source(text, mtime=MOMENT + mtime)
        w.see(lambda: importlib.reload(module), module_picture)
    w.source()
    w.pyc(w.stamped())
    w.see(lambda: importlib.reload(module), module_picture)


@CASES
def tools_that_compile(w: Loads) -> None:
    w.source("def f():\n    '''Doc.'''\n    assert False\nx = __file__\n")
    for mode in (Mode.TIMESTAMP, Mode.CHECKED_HASH, Mode.UNCHECKED_HASH):
        for level in (-1, 0, 1, 2):
            for shown in (None, "/shown/elsewhere.py"):
                py_compile.compile(
                    w.at(), dfile=shown, doraise=True, optimize=level, invalidation_mode=mode
                )
        w.load()
        w.imports()
        w.source("def f():\n    '''Doc.'''\n    assert False\nx = __name__\n")
        w.load()
        w.imports()
    for more in ({"stripdir": w.at("")}, {"prependdir": "/shown"}, {"ddir": "shown"}):
        options: Any = {"force": True, "quiet": 2, **more}
        compileall.compile_dir(w.at("d"), **options)
        w.load()
        w.imports()
    py_compile.compile(w.at(), cfile=w.at("d/m.pyc"), doraise=True)
    os.unlink(w.at())
    w.imports()


@CASES
def optimised_pycs_are_not_taken(w: Loads) -> None:
    w.source()
    for level in ("1", "2"):
        w.pyc(w.stamped(), exact=importlib.util.cache_from_source(w.at(), optimization=level))
    w.both()
    w.imports()


@CASES
def modules_run(w: Loads) -> None:
    w.source("x = __name__, __file__, __cached__ if '__cached__' in globals() else None\n")
    sys.path[:] = [w.at("d"), *w.world.stdlib]
    importlib.invalidate_caches()
    for _ in range(2):
        w.see(lambda: runpy.run_module("m")["x"], repr)
    w.pyc(w.stamped(size=os.stat(w.at()).st_size))
    w.see(lambda: runpy.run_module("m")["x"], repr)
    w.see(lambda: runpy.run_module("m", run_name="__main__", alter_sys=True)["x"], repr)
    w.see(lambda: runpy.run_path(w.at())["x"], repr)


@CASES
def zip_files(w: Loads) -> None:
    w.world.mkdir("d")
    with zipfile.ZipFile(w.at("d/z.zip"), "w") as archive:
        files = {
            "m.py": "x = __file__\n",
            "p/__init__.py": "from . import q\n",
            "p/q.py": "y = 1\n",
        }
        for name, text in files.items():  # of a fixed date, for the archive's bytes are compared
            archive.writestr(zipfile.ZipInfo(name), text)
    for _ in range(2):
        directories: Any = vars(zipimport)["_zip_directory_cache"]
        directories.clear()
        w.imports("m", "d/z.zip")
    w.imports("p", "d/z.zip")


@CASES
def the_garbage_collector(w: Loads) -> None:
    text = "import gc\nx = gc.isenabled(), gc.get_threshold(), gc.get_debug(), len(gc.callbacks)\n"
    w.source(text)
    enabled, threshold = gc.isenabled(), gc.get_threshold()
    try:
        for on in (True, False):
            for numbers in ((700, 10, 10), (1, 1, 1), (0, 5, 5)):
                (gc.enable if on else gc.disable)()
                gc.set_threshold(*numbers)
                w.imports()
                w.imports()  # the second time from bytecode
                w.world.note("collecting", gc.isenabled(), gc.get_threshold())
                w.pyc(w.stamped(text, size=len(text))[:-1])
                w.load()
                w.world.note("after an error", gc.isenabled(), gc.get_threshold())
                os.unlink(w.cache())
        w.source("import gc\ngc.disable()\n")
        gc.enable()
        w.imports()
        w.imports()
        w.world.note("as the module left it", gc.isenabled())
        w.source("import gc\ngc.enable()\n", mtime=MOMENT + 1)
        gc.disable()
        w.imports()
        w.imports()
        w.world.note("as the module left it", gc.isenabled())
    finally:
        gc.set_threshold(*threshold)
        (gc.enable if enabled else gc.disable)()


@CASES
def traced_and_profiled(w: Loads) -> None:
    """What a tracer sees of the module, importlib's own frames left out."""
    w.source(TRACED)
    tracers: list[Any] = [sys.settrace, sys.setprofile]
    for install in tracers:
        for _ in range(2):
            events: list[object] = []

            def listen(frame: Any, event: str, arg: object, events: list[object] = events) -> Any:
                code = frame.f_code
                if code.co_filename == w.at():
                    events.append((event, code.co_name, frame.f_lineno))
                elif IMPORTLIB in code.co_filename and event == "call":
                    return None
                return listen

            before: Any = sys.gettrace() if install is sys.settrace else sys.getprofile()
            install(listen)
            try:
                w.imports()
            finally:
                install(before)
            w.world.note(install.__name__, events)
