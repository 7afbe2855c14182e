"""``run``: the program must not be able to tell it from ``python``, but by the speed."""

import json
import signal
import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import Python, Result, Venv, make_venv, run_python

# What a program sees of itself; addresses differ between any two processes.
LOOK = """
import sys as _sys, json as _json, re as _re
_names = {k: _re.sub("0x[0-9a-f]+", "", repr(v)) for k, v in globals().items() if k[1:2] != "_"
          or k in ("__name__", "__doc__", "__package__", "__loader__", "__spec__", "__file__",
                   "__cached__", "__annotations__")}
_names.pop("_names", None)
_main = _sys.modules["__main__"].__dict__ is globals()
print(_json.dumps([_names, sorted(globals()), _sys.argv, _sys.path, _main, repr(__builtins__)]))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the same program as a script, a module, a package, a zip and a .pyc."""
    place = tmp_path / "place"
    (place / "package").mkdir(parents=True)
    (place / "folder").mkdir()
    for name in ("script.py", "package/__init__.py", "package/__main__.py", "folder/__main__.py"):
        (place / name).write_text(LOOK if "init" not in name else "")
    with zipfile.ZipFile(place / "program.zip", "w") as archive:
        archive.writestr("__main__.py", LOOK)
    (place / "link.py").symlink_to("package/__main__.py")
    return place


def both(venv: Venv, place: Path, program: Sequence[str | Path]) -> tuple[Result, Result]:
    """Run the program stock and under fastpath."""
    stock = run_python([*program], python=venv.python, cwd=place)
    ours = run_python(["-m", "fastpath", "run", *program], python=venv.python, cwd=place)
    return stock, ours


def same(stock: Result, ours: Result) -> bool:
    return (stock.returncode, stock.stdout, stock.stderr) == (
        ours.returncode,
        ours.stdout,
        ours.stderr,
    )


@pytest.mark.parametrize(
    "program",
    [
        ["script.py"],
        ["./script.py", "-m", "--backend", "x"],
        ["link.py", "a"],
        ["-m", "script", "--freshness", "b"],
        ["-m", "package", "-c"],
        ["-c", LOOK, "-h", "c d"],
        ["folder", "e"],
        ["program.zip", "--json"],
    ],
    ids=lambda program: program[0] + (program[1] if program[0] == "-m" else ""),
)
def test_program_sees_what_it_always_saw(
    each_python: Python, tmp_path: Path, place: Path, program: list[str]
) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    stock, ours = both(venv, place, program)
    assert stock.returncode == 0, stock.stderr
    assert json.loads(ours.stdout or ours.stderr) == json.loads(stock.stdout)
    assert ours.stderr == ""


def test_bytecode(shared_venv: Venv, place: Path) -> None:
    code = f"import py_compile; py_compile.compile({str(place / 'script.py')!r}, 'program.pyc')"
    assert run_python(["-c", code], python=shared_venv.python, cwd=place).returncode == 0
    stock, ours = both(shared_venv, place, ["program.pyc", "f"])
    assert stock.returncode == 0, stock.stderr
    assert same(stock, ours)


@pytest.mark.parametrize("flag", ["-I", "-E", "-P", "-O"])
def test_flags_of_the_interpreter_hold(shared_venv: Venv, place: Path, flag: str) -> None:
    if flag == "-P" and shared_venv.python.version < (3, 11):
        pytest.skip("-P came with 3.11")
    program: list[str | Path] = [place / "script.py", "g"]
    stock = run_python([flag, *program], python=shared_venv.python, cwd=place)
    ours = run_python([flag, "-m", "fastpath", "run", *program], python=shared_venv.python)
    assert stock.returncode == 0, stock.stderr
    assert same(stock, ours)


FAILING = {
    "exit code": "raise SystemExit(7)",
    "exit message": "import sys; sys.exit('sorry')",
    "no exit": "pass",
    "exception": "def f():\n    1 / 0\n\n\nf()\n",
    "chained": "try:\n    {}['a']\nexcept KeyError as e:\n    raise ValueError('b') from e\n",
    "syntax": "x = = 1\n",
    "missing module": "import nosuchmodule\n",
    "excepthook": "import sys\nsys.excepthook = lambda *a: print('hook', a[0])\n1 / 0\n",
    "atexit": "import atexit\natexit.register(print, 'bye')\n1 / 0\n",
    "thread": (
        "import threading, time\n"
        "threading.Thread(target=lambda: (time.sleep(.1), print('end'))).start()\n"
    ),
}


@pytest.mark.parametrize("how", ["script", "module"])
@pytest.mark.parametrize("what", FAILING)
def test_end_is_the_same(shared_venv: Venv, tmp_path: Path, what: str, how: str) -> None:
    (tmp_path / "prog.py").write_text(FAILING[what])
    program = ["prog.py"] if how == "script" else ["-m", "prog"]
    stock, ours = both(shared_venv, tmp_path, program)
    assert (ours.returncode, ours.stdout) == (stock.returncode, stock.stdout)
    # Where stock was left to compile, its `get_code` was called by ours: docs/semantics.md.
    added = '  File "<frozen importlib._bootstrap_external>", line 1, in get_code\n'
    assert ours.stderr.replace(added, "") == stock.stderr


@pytest.mark.parametrize("program", [["prog.py"], ["-m", "prog"]], ids=["script", "module"])
def test_interrupted_ends_by_the_signal(
    shared_venv: Venv, tmp_path: Path, program: list[str]
) -> None:
    (tmp_path / "prog.py").write_text("raise KeyboardInterrupt\n")
    stock, ours = both(shared_venv, tmp_path, program)
    assert ours.stderr == stock.stderr
    assert ours.returncode == -signal.SIGINT


def test_missing_excepthook(shared_venv: Venv, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text("import sys\ndel sys.excepthook\n1 / 0\n")
    stock, ours = both(shared_venv, tmp_path, ["prog.py"])
    assert ours.returncode == stock.returncode == 1
    for line in stock.stderr.splitlines():
        assert line in ours.stderr.splitlines()


def test_program_is_under_fastpath(shared_venv: Venv, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        "import sys, fastpath; stats = fastpath.stats()\n"
        "print(fastpath.is_installed(), stats['backend'], stats['freshness'])\n"
        "print('argparse' in sys.modules)\n"
    )
    arguments: list[str | Path] = [
        "run",
        "--backend=serial",
        "--freshness",
        "strict",
        tmp_path / "prog.py",
    ]
    result = shared_venv.fastpath(*arguments)
    assert result.stdout == "True serial strict\nFalse\n", result.stderr


def test_fastpath_0_runs_it_stock(shared_venv: Venv) -> None:
    code = "import fastpath; print(fastpath.is_installed())"
    assert shared_venv.fastpath("run", "-c", code, env={"FASTPATH": "0"}).stdout == "False\n"


def test_pickling_and_spawn(shared_venv: Venv, tmp_path: Path) -> None:
    (tmp_path / "prog.py").write_text(
        textwrap.dedent("""
        import multiprocessing, pickle

        class Point:
            def __init__(self, x): self.x = x

        def double(point): return Point(point.x * 2)

        if __name__ == "__main__":
            print(pickle.loads(pickle.dumps(Point(3))).x, Point.__module__)
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(double, [Point(21)])[0].x)
        """)
    )
    for program in (["prog.py"], ["-m", "prog"]):
        stock, ours = both(shared_venv, tmp_path, program)
        assert ours.stdout == "3 __main__\n42\n", ours.stderr
        assert same(stock, ours)


def test_standard_input_is_the_programs(shared_venv: Venv) -> None:
    arguments = ["-m", "fastpath", "run", "-c", "print(input())"]
    result = run_python(arguments, python=shared_venv.python, input="line\n")
    assert result.stdout == "line\n", result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "what to run is missing"),
        (["--backend"], "--backend needs a value"),
        (["--backend", "fast", "-c", ""], "'fast'"),
        (["--freshness=old", "-c", ""], "'old'"),
        (["--unknown", "x.py"], "unknown option --unknown"),
        (["-m"], "-m needs a value"),
        (["nosuchscript.py"], "nosuchscript.py': No such file or directory"),
    ],
)
def test_usage(shared_venv: Venv, arguments: list[str], message: str) -> None:
    result = shared_venv.fastpath("run", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("fastpath: error: run: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("program", [["-m", "nosuchmodule"], ["folder"]])
def test_nothing_to_run_there(shared_venv: Venv, tmp_path: Path, program: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    assert same(*both(shared_venv, tmp_path, program))
