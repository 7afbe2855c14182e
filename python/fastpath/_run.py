"""``run``: one program under fastpath, with nothing installed in the environment.

The program runs in this very process and in the real ``__main__``, so that pickling,
multiprocessing's spawn, exit codes, signals and standard streams are the interpreter's own; a
second interpreter would cost its start and a process id, and could be told to install fastpath
only through ``-c``, which the program would see. ``sys.argv``, ``sys.path[0]``, ``__main__``'s
names and tracebacks are as ``python`` would make them; ``sys.orig_argv`` tells the truth.
Child processes are not under fastpath.

Parses its own few arguments, because everything after the program belongs to the program, and
because argparse would be found imported by it. Called by ``__main__``.
"""

from __future__ import annotations

import sys
from types import CodeType
from typing import TYPE_CHECKING, Literal, NamedTuple

from fastpath._problem import USAGE, Problem, report

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_OPTIONS = ("--backend", "--freshness")
_MISSING = "what to run is missing: SCRIPT, -m MODULE or -c CODE (see --help)"


class Asked(NamedTuple):
    """The options of ``run`` itself: what ``install()`` is called with, and what is told."""

    settings: dict[str, str]
    times: bool = False
    stock: bool = False
    json: str | None = None


class Program(NamedTuple):
    """What to run, with which arguments, under which options."""

    kind: Literal["script", "module", "code"]
    target: str
    arguments: list[str]
    asked: Asked


def main(arguments: list[str]) -> int:
    """Run ``["run", ...]`` and return 0; the program's own exits and exceptions pass through."""
    try:
        program = parse(arguments[1:])
        if program is None:
            return _help()
        _install(program.asked)
        run = _prepared(program)
        if program.asked.times:
            _begin_times(program.asked.json)
    except Problem as problem:
        return report(problem)
    _with_own_tracebacks(run)
    return 0


def parse(arguments: list[str]) -> Program | None:
    """Split options, program and the program's arguments; None when help is asked for.

    Raises Problem (exit code 2) for an unknown option or when nothing is to be run.
    """
    settings: dict[str, str] = {}
    asked = Asked(settings)
    rest = list(arguments)
    while rest:
        word = rest.pop(0)
        option, equals, value = word.partition("=")
        if word in ("-h", "--help"):
            return None
        if option in _OPTIONS:
            settings[option[2:]] = value if equals else _operand(option, rest)
        elif option == "--json":
            asked = asked._replace(json=value if equals else _operand(option, rest))
        elif word == "--times":
            asked = asked._replace(times=True)
        elif word == "--stock":
            asked = asked._replace(stock=True)
        elif word in ("-m", "-c"):
            kind: Literal["module", "code"] = "module" if word == "-m" else "code"
            return Program(kind, _operand(word, rest), rest, _checked(asked))
        elif word.startswith("-"):
            raise Problem(f"run: unknown option {word} (see --help)", USAGE)
        else:
            return Program("script", word, rest, _checked(asked))
    raise Problem(f"run: {_MISSING}", USAGE)


def _checked(asked: Asked) -> Asked:
    if not asked.times and (asked.stock or asked.json is not None):
        option = "--stock" if asked.stock else "--json"
        raise Problem(f"run: {option} goes with --times (see --help)", USAGE)
    if asked.stock and asked.settings:
        raise Problem(f"run: --{next(iter(asked.settings))} means nothing with --stock", USAGE)
    return asked


def _operand(option: str, rest: list[str]) -> str:
    if not rest:
        raise Problem(f"run: {option} needs a value (see --help)", USAGE)
    return rest.pop(0)


def _help() -> int:
    from fastpath._cli import main as cli

    return cli(["run", "--help"])


def _install(asked: Asked) -> None:
    import fastpath

    if asked.stock:
        fastpath.uninstall()  # where the environment has it enabled
        return
    try:
        # False (FASTPATH=0, or an interpreter we do not know) means stock: the program runs.
        fastpath.install(**asked.settings)  # type: ignore[arg-type]  # install() checks the values
    except (TypeError, ValueError) as error:
        raise Problem(f"run: {error}", USAGE) from error


def _begin_times(json: str | None) -> None:
    from fastpath import _timetable

    _timetable.begin(None if json is None else _absolute(json))


def _prepared(program: Program) -> Callable[[], None]:
    """Arrange sys and ``__main__`` as ``python`` does; return what runs the program.

    Raises Problem (exit code 2, as ``python``) for a script that cannot be opened.
    """
    sys.argv[:] = [program.target, *program.arguments]
    if program.kind == "script":
        return _prepared_script(program.target)
    if program.kind == "module":
        sys.argv[0] = "-m"  # until runpy has found the module, as under `python -m`
        _reset_main({})
        return lambda: _run_module(program.target, alter_argv=True)
    sys.argv[0] = "-c"
    _set_first_path("")
    _reset_main({})
    return lambda: _execute(program.target, "<string>")


def _prepared_script(path: str) -> Callable[[], None]:
    import os
    from importlib.machinery import SourceFileLoader, SourcelessFileLoader

    directory = os.path.dirname(os.path.realpath(path))  # noqa: PTH120  # no pathlib
    path = _absolute(path)
    if _is_importable(path):  # a directory or a zip with a __main__ in it
        _set_first_path(path)
        _reset_main({})
        return lambda: _run_module("__main__", alter_argv=False)
    _set_first_path(directory)
    main: dict[str, object] = {"__file__": path}
    if sys.version_info < (3, 15):
        main["__cached__"] = None
    if path.endswith(".pyc"):
        _readable(path)
        compiled = SourcelessFileLoader("__main__", path)
        _reset_main({**main, "__loader__": compiled})
        return lambda: _execute(compiled.get_code("__main__"), path)
    source = _readable(path)
    _reset_main({**main, "__loader__": SourceFileLoader("__main__", path)})
    return lambda: _execute(source, path)


def _readable(path: str) -> bytes:
    import io

    try:
        with io.open_code(path) as file:
            return file.read()
    except OSError as error:
        raise Problem(f"run: can't open file {path!r}: {error.strerror}", USAGE) from error


def _absolute(path: str) -> str:
    """Make ``__file__`` of the script's name as ``_Py_abspath`` does, which normalises nothing."""
    import os

    if os.path.isabs(path):  # noqa: PTH117
        return path
    return f"{os.getcwd()}{os.sep}{path}"  # noqa: PTH109


def _is_importable(path: str) -> bool:
    for hook in sys.path_hooks:
        try:
            hook(path)
        except ImportError:
            continue
        return True
    return False


def _set_first_path(entry: str) -> None:
    # `python -m` has put the current directory there, unless it was told to be safe.
    if not (sys.flags.isolated or getattr(sys.flags, "safe_path", False)):
        sys.path[0] = entry


def _reset_main(names: dict[str, object]) -> None:
    """Make ``__main__`` look as if nothing had run in it, plus ``names``."""
    import builtins
    from importlib.machinery import BuiltinImporter

    main = sys.modules["__main__"].__dict__
    main.clear()
    main.update(__name__="__main__", __doc__=None, __package__=None)
    main.update(__loader__=BuiltinImporter, __spec__=None)
    if sys.version_info < (3, 14):
        main["__annotations__"] = {}
    main.update(__builtins__=builtins, **names)


def _with_own_tracebacks(run: Callable[[], None]) -> None:
    """Call ``run``; let exceptions out to the interpreter, to be shown without our frames."""
    try:
        run()
    except SystemExit:
        raise
    except BaseException:
        hook = getattr(sys, "excepthook", None)
        if hook is None:  # the program took it out; the interpreter has its own words for that
            raise

        def show(
            kind: type[BaseException], value: BaseException, traceback: TracebackType | None
        ) -> None:
            sys.excepthook = hook
            trimmed = _trimmed(traceback)
            hook(kind, value.with_traceback(trimmed), trimmed)

        sys.excepthook = show
        raise


def _trimmed(traceback: TracebackType | None) -> TracebackType | None:
    entry = traceback
    while entry is not None:
        if entry.tb_frame.f_code in (_execute.__code__, _run_module.__code__):
            return entry.tb_next
        entry = entry.tb_next
    return traceback


def _execute(source: str | bytes | CodeType | None, path: str) -> None:
    if isinstance(source, str | bytes):
        source = compile(source, path, "exec", dont_inherit=True)
    exec(source or "", sys.modules["__main__"].__dict__)  # noqa: S102  # `run`


def _run_module(name: str, *, alter_argv: bool) -> None:
    # What the interpreter itself calls for -m, for directories and for zips (Modules/main.c).
    import runpy

    runpy._run_module_as_main(name, alter_argv)  # type: ignore[attr-defined]
