"""``seal --for``: runs a command once and tells which modules it has imported, in their order.

Every interpreter that the command starts writes down at its end what is in ``sys.modules``: a
``sitecustomize`` of ours, in a directory that PYTHONPATH names, sees to that and then has the
environment's own take its place. Interpreters that read neither (-S, -E, -I), or end by
``os._exit`` or a signal, tell nothing. Used by ``_seal``.
"""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fastpath._problem import USAGE, Problem

# `__main__` run by -m has its spec, and its bytecode is used; a script has none.
_CUSTOMIZE = """\
def begin(place, name):
    import atexit, os, sys, time

    began, cwd, executed = time.time_ns(), os.getcwd(), {}

    def hear(event, arguments):
        if event == "exec":
            executed.setdefault(getattr(arguments[0], "co_filename", ""))

    def tell():
        modules = []
        for module in list(sys.modules.values()):
            spec = getattr(module, "__spec__", None)
            origin = getattr(spec, "origin", None)
            places = getattr(spec, "submodule_search_locations", None) or ()
            modules.append((str(origin), [*map(str, places)]))
        # Some have failed and are gone again: they will be tried each time.
        places = {os.path.dirname(origin) for origin, _ in modules}.union(map(str, sys.path))
        modules += [(file, []) for file in executed if os.path.dirname(file) in places]
        # `sys.modules` has them in the order in which they were done.
        turns = {name: turn for turn, name in enumerate(executed)}
        modules.sort(key=lambda module: turns.get(module[0], len(turns)))
        told = {"began": began, "argv": sys.orig_argv, "tag": sys.implementation.cache_tag}
        told.update(cwd=cwd, path=[*map(str, sys.path)], modules=modules)
        target = f"{place}/{began}-{os.getpid()}"
        with open(target + ".new", "w", encoding="ascii") as file:
            file.write(ascii(told))
        os.rename(target + ".new", target + ".told")

    sys.addaudithook(hear)
    atexit.register(tell)
    if place in sys.path:
        sys.path.remove(place)
    sys.path_importer_cache.pop(place, None)
    ours = sys.modules.pop(name)
    try:
        import sitecustomize
    except ImportError as error:
        if error.name != name:
            raise
    finally:
        sys.modules.setdefault(name, ours)


begin(__file__.rpartition("/")[0], __name__)
del begin
"""


class Touched(NamedTuple):
    """What a command has imported."""

    argv: list[str]
    """The command line of the interpreter that was started first, and where it was started."""
    cwd: str
    path: list[str]
    """Every entry of ``sys.path``, in any of the interpreters."""
    files: list[str]
    """The origins of its modules, in the order in which they were first imported."""
    packages: list[str]
    """The directories of its packages."""


def touched(command: str) -> Touched:
    """Run the command, its output passed through, and return what it has imported.

    Raises Problem if it cannot be started, fails, or starts no interpreter that tells anything.
    """
    words = _words(command)
    with tempfile.TemporaryDirectory(prefix="fastpath-seal-") as made:
        place = os.path.realpath(made)
        (Path(place) / "sitecustomize.py").write_text(_CUSTOMIZE)
        path = [place, *filter(None, [os.environ.get("PYTHONPATH")])]
        # A seal that is there may be older than what the command is to find.
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path),
            "FASTPATH_CACHE_DIR": "off",
        }
        try:
            code = subprocess.run(words, env=environment, check=False).returncode
        except OSError as error:
            raise Problem(f"cannot run {words[0]}: {error.strerror or error}") from error
        if code != 0:
            raise Problem(f"{words[0]} ended with exit code {code}; nothing was sealed")
        told = [ast.literal_eval(file.read_text()) for file in Path(place).glob("*.told")]
    told = [one for one in told if one["tag"] == sys.implementation.cache_tag]
    if not told:
        raise Problem(
            f"{words[0]} ran no interpreter of this version that could tell what it imported "
            "(one with -S, -E or -I does not, nor one that ends by os._exit); nothing was sealed"
        )
    told.sort(key=lambda one: one["began"])
    modules = [module for one in told for module in one["modules"]]
    return Touched(
        argv=told[0]["argv"],
        cwd=told[0]["cwd"],
        path=_absolute(entry for one in told for entry in one["path"] if entry != place),
        files=_absolute(origin for origin, _ in modules if not origin.startswith(place)),
        packages=_absolute(entry for _, places in modules for entry in places),
    )


def _absolute(paths: Iterable[str]) -> list[str]:
    return [path for path in dict.fromkeys(paths) if path.startswith("/")]


def _words(command: str) -> list[str]:
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Problem(f"--for {command!r} is no command: {error}", USAGE) from error
    if not words:
        raise Problem("--for needs a command, in quotes", USAGE)
    return words
