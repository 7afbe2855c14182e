"""``run --times``: what it tells adds up, and the program cannot tell it from ``run``."""

import _frozen_importlib_external as external
import json
from pathlib import Path
from typing import Any

import pytest

import fastpath
from fastpath._times import Times
from support import Python, Result, Venv, make_venv

PARTS = ("find_ms", "stat_ms", "read_ms", "unmarshal_ms", "execute_ms")
HOOKED = [
    (external.PathFinder, "find_spec"),
    (external.SourceLoader, "get_code"),
    (external.SourcelessFileLoader, "get_code"),
    (external._LoaderBasics, "exec_module"),
    (external.ExtensionFileLoader, "create_module"),
    (external.ExtensionFileLoader, "exec_module"),
]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Modules that import each other, and programs that end in different ways."""
    place = tmp_path / "place"
    (place / "pack").mkdir(parents=True)
    (place / "portion").mkdir()
    (place / "pack/__init__.py").write_text("import pack.inner\n")
    (place / "pack/inner.py").write_text("import time, leaf\ntime.sleep(.02)\n")
    (place / "leaf.py").write_text("import time\ntime.sleep(.01)\n")
    (place / "fails.py").write_text("import leaf\n1 / 0\n")
    (place / "broken.py").write_text("x = = 1\n")
    (place / "prog.py").write_text(
        "import pack, portion\n"
        "try:\n    import nosuch\nexcept ImportError:\n    print('none')\n"
        "import sys; print('said', file=sys.stderr)\n"
    )
    return place


def run_times(
    venv: Venv, place: Path, *arguments: str | Path, options: tuple[str, ...] = ()
) -> tuple[Result, dict[str, Any]]:
    """Run a program with --times; return how it went and the JSON."""
    told = place / "times.json"
    result = venv.fastpath(
        "run", "--times", *options, "--json", told, *arguments, env={"PYTHONPATH": str(place)}
    )
    return result, json.loads(told.read_text())


def by_name(told: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {module["name"]: module for module in told["modules"]}


def compiled(venv: Venv, place: Path) -> None:
    assert venv.run("-m", "compileall", "-q", place / "pack", place / "leaf.py").returncode == 0


def test_parts_add_up(each_python: Python, tmp_path: Path, place: Path) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    compiled(venv, place)
    result, told = run_times(venv, place, place / "prog.py")
    assert result.returncode == 0, result.stderr
    assert (told["stock"], told["version"]) == (False, fastpath.__version__)
    assert {"sys", "fastpath._times"} <= set(told["already"])
    assert set(told["already"]).isdisjoint(module["name"] for module in told["modules"])
    assert set(told["ahead"]) == {"files", "used_files", "bytes", "used_bytes"}
    for module in told["modules"]:
        assert module["self_ms"] == pytest.approx(sum(module[part] for part in PARTS))
        assert module["load_ms"] == pytest.approx(
            module["stat_ms"] + module["read_ms"] + module["unmarshal_ms"]
        )
        assert module["cumulative_ms"] >= module["self_ms"] - 1e-9
        assert min(module[part] for part in PARTS) >= 0
    for part in ("self_ms", "load_ms", *PARTS):
        assert told["totals"][part] == pytest.approx(sum(m[part] for m in told["modules"]))
    slowest = [module["self_ms"] for module in told["modules"]]
    assert slowest == sorted(slowest, reverse=True)


def test_each_module_is_charged_with_its_own(shared_venv: Venv, place: Path) -> None:
    compiled(shared_venv, place)
    _, told = run_times(shared_venv, place, place / "prog.py")
    modules = by_name(told)
    assert {name: module["loaded"] for name, module in modules.items()} == {
        "pack": "fastpath",
        "pack.inner": "fastpath",
        "leaf": "fastpath",
        "portion": "namespace",
        "nosuch": "not found",
    }
    parents = {name: module["parent"] for name, module in modules.items()}
    assert parents == {
        "pack": None,
        "pack.inner": "pack",
        "leaf": "pack.inner",
        "portion": None,
        "nosuch": None,
    }
    order = sorted(modules, key=lambda name: modules[name]["order"])
    assert order == ["pack", "pack.inner", "leaf", "portion", "nosuch"]
    # Who sleeps is known: 10 ms in leaf, 20 in pack.inner, which imports it, none in pack.
    assert modules["leaf"]["execute_ms"] >= 10
    assert modules["pack.inner"]["execute_ms"] >= 20
    for outer, inner in (("pack.inner", "leaf"), ("pack", "pack.inner")):
        nested = modules[outer]["cumulative_ms"] - modules[outer]["self_ms"]
        assert nested == pytest.approx(modules[inner]["cumulative_ms"])
    assert modules["leaf"]["unmarshal_ms"] > 0


def test_what_stock_loads_is_marked(shared_venv: Venv, place: Path) -> None:
    result, told = run_times(shared_venv, place, place / "prog.py")
    leaf = by_name(told)["leaf"]
    assert leaf["loaded"] == "stock"
    assert (leaf["stat_ms"], leaf["unmarshal_ms"]) == (0, 0)
    assert leaf["read_ms"] == leaf["load_ms"] > 0
    lines = result.stderr.splitlines()
    assert [line.split()[-1] for line in lines if line.endswith("leaf*")] == ["leaf*"]
    assert "* loaded by stock importlib: read is the whole of its loading" in lines


def test_stock(shared_venv: Venv, place: Path) -> None:
    code = "import fastpath; print(fastpath.is_installed()); import leaf"
    result, told = run_times(shared_venv, place, "-c", code, options=("--stock",))
    assert result.stdout == "False\n"
    assert told["stock"] is True
    leaf = by_name(told)["leaf"]
    keys = {"self_ms", "cumulative_ms", "find_ms", "load_ms", "execute_ms"}
    assert set(leaf) == {"name", "parent", "order", "loaded", *keys}
    assert leaf["self_ms"] == pytest.approx(leaf["find_ms"] + leaf["load_ms"] + leaf["execute_ms"])
    title, head, *_ = result.stderr.splitlines()
    assert title == "fastpath: import time in ms, found and loaded by stock importlib"
    assert head.split() == ["self", "cumulative", "find", "load", "execute", "module"]


def test_table(shared_venv: Venv, place: Path) -> None:
    names = [f"m{number}" for number in range(30)]
    for name in names:
        (place / f"{name}.py").write_text("")
    code = f"import leaf, {', '.join(names)}"
    result = shared_venv.fastpath("run", "--times", "-c", code, env={"PYTHONPATH": str(place)})
    title, head, *rows, more, legend, total = result.stderr.splitlines()
    assert title == "fastpath: import time in ms, found and loaded by fastpath"
    columns = ["self", "cumulative", "find", "stat", "read", "unmarshal", "execute", "module"]
    assert head.split() == columns
    assert len(rows) == 20
    assert len({row.rindex("  ") for row in [head, *rows]}) == 1
    assert rows[0].split()[-1] == "leaf*"
    assert more == "... and 11 more, all with --json FILE"
    assert legend.startswith("* ")
    assert "total of 31 modules; look-ahead: " in total


ENDS = {
    "exit code": "import leaf; raise SystemExit(7)",
    "exit message": "import leaf, sys; sys.exit('sorry')",
    "exception": "import leaf\ndef f():\n    1 / 0\nf()\n",
    "failing module": "import fails",
    "failing import": "import leaf, nosuchmodule",
    "syntax error": "import broken",
    "atexit": "import atexit, leaf; atexit.register(print, 'bye')",
    "interrupt": "import leaf; raise KeyboardInterrupt",
    "no standard error": "import leaf, sys; sys.stderr = None; sys.exit(3)",
}


@pytest.mark.parametrize("what", ENDS)
def test_end_is_the_programs(shared_venv: Venv, place: Path, what: str) -> None:
    (place / "ends.py").write_text(ENDS[what])
    env = {"PYTHONPATH": str(place)}
    stock = shared_venv.run(place / "ends.py", env=env)
    timed = shared_venv.fastpath("run", "--times", place / "ends.py", env=env)
    assert (timed.returncode, timed.stdout) == (stock.returncode, stock.stdout)
    said, title, table = timed.stderr.partition("fastpath: import time in ms")
    assert said == stock.stderr
    assert title
    assert table.count("\n") >= 3


def test_nothing_is_told_by_the_child_of_a_fork(shared_venv: Venv, place: Path) -> None:
    (place / "forks.py").write_text(
        "import os, leaf, sys\nif not os.fork(): sys.exit()\nsys.exit(os.wait()[1])\n"
    )
    result, told = run_times(shared_venv, place, place / "forks.py")
    assert result.returncode == 0
    assert result.stderr.count("fastpath: import time") == 1
    assert "leaf" in by_name(told)


def test_closed_standard_error(shared_venv: Venv, place: Path) -> None:
    result, told = run_times(shared_venv, place, "-c", "import leaf, sys; sys.stderr.close()")
    assert (result.returncode, result.stderr) == (0, "")
    assert "leaf" in by_name(told)


def test_threads_have_their_own_accounts(shared_venv: Venv, place: Path) -> None:
    code = (
        "import threading, importlib\n"
        "names = ['pack', 'portion', 'fails']\n"
        "def load(name):\n"
        "    try: importlib.import_module(name)\n"
        "    except ZeroDivisionError: pass\n"
        "threads = [threading.Thread(target=load, args=(name,)) for name in names]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    result, told = run_times(shared_venv, place, "-c", code)
    assert result.returncode == 0, result.stderr
    assert {"pack", "pack.inner", "leaf", "portion", "fails"} <= set(by_name(told))
    for module in told["modules"]:
        assert module["self_ms"] == pytest.approx(sum(module[part] for part in PARTS))
        assert module["cumulative_ms"] >= module["self_ms"] - 1e-9


AHEAD = """
import sys
from fastpath import _native, _run
_native._switch("look-ahead-always", True)
_run.main(["run", *sys.argv[1:]])
"""


def test_look_ahead_sees_the_program_as_without(shared_venv: Venv, place: Path) -> None:
    compiled(shared_venv, place)
    (place / "looks.py").write_text(
        "import fastpath, json\n"
        "before = fastpath.stats()\n"
        "import leaf, pack\n"
        "after = fastpath.stats()\n"
        "names = ('files', 'used_files', 'bytes', 'used_bytes')\n"
        "print(json.dumps({n: after['ahead_' + n] - before['ahead_' + n] for n in names}))\n"
    )
    env, told = {"PYTHONPATH": str(place)}, place / "times.json"
    plain = shared_venv.run("-c", AHEAD, place / "looks.py", env=env)
    timed = shared_venv.run("-c", AHEAD, "--times", "--json", told, place / "looks.py", env=env)
    assert timed.stdout == plain.stdout
    within = json.loads(plain.stdout)
    assert within["used_files"] == 3, "it was not looked ahead at all"
    ahead = json.loads(told.read_text())["ahead"]
    assert all(ahead[name] >= within[name] for name in within)
    assert f"look-ahead: {ahead['files']} files, {ahead['used_files']} used, " in timed.stderr


def test_module_as_program_and_relative_file(shared_venv: Venv, place: Path) -> None:
    code = "import os, leaf; os.chdir('/')"
    (place / "moves.py").write_text(code)
    result = shared_venv.run(
        "-c",
        "import os, sys; os.chdir(sys.argv[1]); os.execv(sys.executable, [sys.executable, '-m',"
        "'fastpath', 'run', '--times', '--json=here.json', '-m', 'moves'])",
        place,
    )
    assert result.returncode == 0, result.stderr
    assert {"moves", "leaf"} <= set(by_name(json.loads((place / "here.json").read_text())))


def test_everything_is_put_back() -> None:
    before = [owner.__dict__[name] for owner, name in HOOKED]
    times = Times()
    times.start()
    during = [owner.__dict__[name] for owner, name in HOOKED]
    with pytest.raises(TypeError):
        external.PathFinder.find_spec()  # type: ignore[call-arg]
    times.stop()
    after = [owner.__dict__[name] for owner, name in HOOKED]
    assert all(a is b for a, b in zip(after, before, strict=True))
    assert not any(d is b for d, b in zip(during, before, strict=True))


def test_what_others_put_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    times = Times()
    times.start()
    wrapper = external.SourceLoader.get_code

    def get_code(self: object, fullname: str) -> object:
        return wrapper(self, fullname)  # type: ignore[arg-type]

    monkeypatch.setattr(external.SourceLoader, "get_code", get_code)
    times.stop()
    assert external.SourceLoader.__dict__["get_code"] is get_code
    monkeypatch.undo()
    external.SourceLoader.get_code = wrapper.__wrapped__  # type: ignore[attr-defined,method-assign]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stock", "-c", ""], "--stock goes with --times"),
        (["--json", "x", "-c", ""], "--json goes with --times"),
        (["--times", "--json"], "--json needs a value"),
        (["--times", "--stock", "--backend", "serial", "-c", ""], "--backend means nothing"),
        (["--times", "--json=/nosuch/x", "-c", ""], "can't write '/nosuch/x': No such file"),
    ],
)
def test_usage(shared_venv: Venv, arguments: list[str], message: str) -> None:
    result = shared_venv.fastpath("run", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("fastpath: error: run: ")
    assert message in result.stderr
