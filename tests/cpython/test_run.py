"""The comparer's tests: what it reads, calls a difference and believes, and how it exits."""

from __future__ import annotations

import json
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import bench
import outcomes
import places
import run
import suite
from outcomes import MODULE, Run
from places import Interpreter, PlaceError, Runner

JUNIT = """<testsuites tests="7"><testsuite>
<testcase name="test.m.C.test_pass" result="completed" />
<testcase name="test.m.C.test_fail"><failure type="AssertionError">Traceback F</failure></testcase>
<testcase name="test.m.C.test_error"><error type="OSError">Traceback E</error></testcase>
<testcase name="test.m.C.test_skip"><skipped>no /tmp/fp-ab12/ours/x here</skipped></testcase>
<testcase name="test.m.C.test_expected"><output type="ValueError">Traceback V</output></testcase>
<testcase name="test.m.C.test_unexpected"><outcome>UNEXPECTED_SUCCESS</outcome></testcase>
<testcase />
</testsuite></testsuites>"""
LINE = "=" * 70
CONSOLE = f"""test_sub (test.m.C.test_sub) ...
{LINE}
FAIL: test_sub (test.m.C.test_sub) (i=3, path='/tmp/tmpab12cd')
a docstring
{LINE}
FAIL: test_fail (test.m.C.test_fail)
{LINE}
ERROR: test_error (test.m.C)
{LINE}
ERROR: setUpClass (test.m.D)
Warning -- sys.path_hooks was modified by test.m
"""


def made(stock: str = "passed", *, witness: str = "passed", lookups: int = 7) -> Run:
    """A run of one test."""
    counters: dict[str, object] = {"lookups": lookups}
    return Run({"t": (stock,), MODULE: ("exit 0",)}, witness=witness, counters=counters)


def rounds(*pairs: tuple[str, str]) -> list[tuple[Run, Run]]:
    """Rounds of one test: (stock, ours)."""
    return [(made(stock), made(ours)) for stock, ours in pairs]


def test_outcomes_are_read_from_junit_and_console() -> None:
    read = outcomes.parse(JUNIT, CONSOLE, "exit 2", ("/tmp/fp-ab12/ours",))
    assert read.outcomes == {
        "test.m.C.test_pass": ("passed",),
        "test.m.C.test_fail": ("failure AssertionError",),
        "test.m.C.test_error": ("error OSError",),
        "test.m.C.test_skip": ("skipped no <place 0>/x here",),
        "test.m.C.test_expected": ("expected failure",),
        "test.m.C.test_unexpected": ("unexpected success",),
        "<unnamed>": ("not passed",),
        "<FAIL: test_sub (test.m.C.test_sub) (i=3, path='/tmp/?')>": ("failure",),
        "<ERROR: setUpClass (test.m.D)>": ("error",),
        "<sys.path_hooks was modified by test.m>": ("modified",),
        MODULE: ("exit 2",),
    }
    assert read.counts() == (6, 1, 5)
    assert read.details["test.m.C.test_fail"] == "Traceback F"


def test_a_run_that_wrote_no_whole_junit_is_known_by_its_end() -> None:
    for junit in (None, "", JUNIT[:200]):
        assert outcomes.parse(junit, "", "signal 11").outcomes == {MODULE: ("signal 11",)}


def test_a_module_skipped_whole_says_why() -> None:
    read = outcomes.parse(None, "test.test_x skipped -- no fork here\n", "exit 0")
    assert read.outcomes == {MODULE: ("exit 0", "skipped -- no fork here")}
    assert read.counts() == (0, 1, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("<function f at 0x7f01ab>", "<function f at 0x55ee>"),
        ("/tmp/tmpab12cd34/x", "/tmp/tmpzz99yy88/x"),
        ("@test_123_tmp", "@test_4567_tmpæ"),
        ("test_python_worker_21304æ", "test_python_9"),
        ("pid=12", "pid=345"),
    ],
)
def test_what_changes_from_run_to_run_is_no_difference(one: str, other: str) -> None:
    assert outcomes.normalise(one) == outcomes.normalise(other) != one


def test_tests_that_share_an_id_are_counted() -> None:
    case = '<testcase name="a"/>'
    once, twice = (outcomes.parse(f"<x>{case * n}</x>", "", "exit 0").outcomes for n in (1, 2))
    assert outcomes.differing(once, twice) == ["a"]


def test_only_what_differs_is_a_difference() -> None:
    stock: outcomes.Outcomes = {"a": ("passed",), "b": ("failure X",), MODULE: ("exit 2",)}
    assert outcomes.differing(stock, dict(stock)) == []
    assert outcomes.differing(stock, stock | {"b": ("failure Y",)}) == ["b"]
    assert outcomes.differing(stock, {k: v for k, v in stock.items() if k != "a"}) == ["a"]
    assert outcomes.differing(stock, stock | {"b": ("passed",), MODULE: ("exit 0",)}) == ["b"]
    assert outcomes.differing(stock, stock | {MODULE: ("signal 11",)}) == [MODULE]


@pytest.mark.parametrize(
    ("pairs", "flaky"),
    [
        ([("passed", "failed")], [False]),
        ([("passed", "failed"), ("passed", "failed")], [False]),
        ([("passed", "failed"), ("passed", "passed")], [False]),  # ours alone cannot decide
        ([("passed", "passed"), ("passed", "failed")], [False]),
        ([("passed", "failed"), ("failed", "failed")], [True]),
        ([("failed", "passed"), ("passed", "passed")], [True]),
        ([("passed", "error"), ("failed", "error")], [False]),  # stock flips, but never to this
        ([("passed", "passed"), ("failed", "failed")], []),
    ],
)
def test_flaky_is_only_what_stock_cannot_decide(
    pairs: list[tuple[str, str]], flaky: list[bool]
) -> None:
    assert [one.flaky for one in outcomes.judge(rounds(*pairs))] == flaky


def test_a_difference_shows_every_round_and_the_traceback() -> None:
    both = rounds(("passed", "failure X"), ("passed", "failure Y"))
    both[0][1].details["t"] = "Traceback"
    (one,) = outcomes.judge(both)
    assert (one.test, one.stock, one.ours) == (
        "t",
        ("passed", "passed"),
        ("failure X", "failure Y"),
    )
    assert one.detail == "Traceback"


def test_the_witness_is_taken_out_and_believed() -> None:
    def witnessed(console: str, junit: str) -> Run:
        read = outcomes.parse(f'<x><testcase name="test.m.C.a"/>{junit}</x>', console, "exit 0")
        outcomes.take_witness(read, "test_w")
        assert set(read.outcomes) == {"test.m.C.a", MODULE}
        return read

    assert witnessed("", "").witness == "did not run"
    assert witnessed("", '<testcase name="test_w.W.one"/>').witness == "passed"
    failed = '<testcase name="test_w.W.one"><failure type="E">no</failure></testcase>'
    assert "test_w.W.one no" in witnessed("", failed).witness
    heading = f"{LINE}\nFAIL: test_children (test_w.W) (flags=('-I',))\n"
    assert "-I" in witnessed(heading, '<testcase name="test_w.W.one"/>').witness


@pytest.mark.parametrize(
    ("stock", "ours", "control", "why"),
    [
        (made(), made(), False, ""),
        (made(), made(witness="failed"), False, "in ours the witness failed"),
        (made(witness="failed"), made(), False, "in stock the witness failed"),
        (made(witness="did not run"), made(), False, "the witness did not run"),
        (made(), made(witness="did not run"), False, "the witness did not run"),
        (made(), made(lookups=0), False, "fastpath was asked nothing"),
        (made(), made(lookups=0), True, ""),
    ],
)
def test_a_run_without_fastpath_proves_nothing(
    stock: Run, ours: Run, control: bool, why: str
) -> None:
    assert run.unproved([(stock, ours)], control=control) == why


def test_a_round_cut_short_is_made_good_by_another() -> None:
    silent = made(witness="did not run")
    assert run.unproved([(silent, made()), (made(), made())], control=False) == ""
    assert run.unproved([(silent, made()), (made(), silent)], control=False) != ""


class FakeBench:
    """Hands out rounds by module, and counts how often it was asked."""

    def __init__(self, given: dict[str, list[tuple[Run, Run]]]) -> None:
        self.interpreter = Interpreter("3.13.0", "python", frozenset(given))
        self.settings: dict[str, str] = {}
        self.given = {name: list(each) for name, each in given.items()}
        self.asked: list[str] = []

    def run_both(self, module: str, timeout: int, *, ours_first: bool = False) -> tuple[Run, Run]:
        """The next round of `module`."""
        self.asked.append(module)
        return self.given[module].pop(0)


def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fake: FakeBench, *more: str) -> int:
    """run.py's main over `fake`, with a wheel."""

    @contextmanager
    def bench_of(*_: object, **__: object) -> Iterator[FakeBench]:
        yield fake

    monkeypatch.setattr(places, "find", lambda *_: ([fake.interpreter], []))
    monkeypatch.setattr(run, "bench", bench_of)
    wheel = tmp_path / "x.whl"
    wheel.touch()
    names = sorted(fake.interpreter.tests)
    return run.main(
        ["--wheel", str(wheel), "--tests", *names, "--json", str(tmp_path / "out.json"), *more]
    )


def test_all_alike_exits_0(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeBench(
        {"test_a": rounds(("passed", "passed")), "test_b": rounds(("failure X", "failure X"))}
    )
    assert main(monkeypatch, tmp_path, fake) == run.SAME
    assert sorted(fake.asked) == ["test_a", "test_b"]
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "same as stock: 2 tests in 2 modules of 1 CPythons, 0 different"


def test_a_difference_exits_1_and_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    differs = rounds(("passed", "failure X"), ("passed", "failure X"))
    fake = FakeBench({"test_a": differs, "test_b": rounds(("passed", "passed"))})
    assert main(monkeypatch, tmp_path, fake) == run.DIFFERENT
    assert sorted(fake.asked) == ["test_a", "test_a", "test_b"]
    out = capsys.readouterr().out
    assert (
        "DIFFERENT  t\n        stock: passed | passed\n        ours: failure X | failure X" in out
    )
    assert out.splitlines()[-1].startswith("NOT THE SAME as stock: 2 tests")
    told = json.loads((tmp_path / "out.json").read_text())
    assert told["same"] is False
    assert [(one["module"], one["same"], one["rounds"]) for one in told["results"]] == [
        ("test_a", False, 2),
        ("test_b", True, 1),
    ]
    assert told["results"][0]["differences"][0]["test"] == "t"


def test_a_difference_is_said_before_its_second_round(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeBench({"test_a": rounds(("passed", "failure X"))})

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "further", interrupted)
    assert main(monkeypatch, tmp_path, fake) == run.INTERRUPTED
    out = capsys.readouterr().out
    assert "test_a DIFFERS so far" in out
    assert "interrupted: nothing is proved" in out


def test_what_stock_cannot_decide_exits_0(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeBench({"test_a": rounds(("passed", "failure X"), ("failure X", "passed"))})
    assert main(monkeypatch, tmp_path, fake) == run.SAME


def test_without_retries_a_difference_stands(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = FakeBench({"test_a": rounds(("passed", "failure X"))})
    assert main(monkeypatch, tmp_path, fake, "--retries", "0") == run.DIFFERENT
    assert fake.asked == ["test_a"]


def test_alike_but_unproved_exits_1(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = FakeBench({"test_a": [(made(), made(witness="did not run"))]})
    assert main(monkeypatch, tmp_path, fake) == run.DIFFERENT


def test_an_interpreter_that_cannot_be_tested_exits_1(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeBench({"test_a": []})

    def refuse(*_: object, **__: object) -> None:
        raise PlaceError("no venv")

    monkeypatch.setattr(FakeBench, "run_both", refuse)
    assert main(monkeypatch, tmp_path, fake) == run.DIFFERENT
    out = capsys.readouterr().out
    assert "3.13.0 cannot be tested: no venv" in out
    assert "NOT THE SAME as stock: 0 tests" in out


def test_nothing_to_run_exits_77(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        places, "find", lambda *_: ([], ["3.19: no such CPython with its tests found"])
    )
    assert run.main(["--control", "--python", "3.19"]) == run.NOTHING
    assert capsys.readouterr().out.startswith("skipped: 3.19: no such CPython")
    one = Interpreter("3.13.0", "python", frozenset(["test_import"]))
    monkeypatch.setattr(places, "find", lambda *_: ([one], []))
    assert run.main(["--tests", "test_import"]) == run.NOTHING
    assert "no --wheel given" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        ["--jobs", "0"],
        ["--retries", "-1"],
        ["--wheel", "/no/such.whl"],
        ["--control", "--wheel", __file__],
        ["--set", "PYTHONPATH=x"],
        ["x"],
    ],
)
def test_bad_usage_exits_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        run.main(argv)
    assert raised.value.code == 2


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        run.main(["--help"])
    assert "examples:\n  run.py --wheel " in capsys.readouterr().out


def test_a_command_that_takes_too_long_is_ended_with_its_children(tmp_path: Path) -> None:
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    code = f"import subprocess; subprocess.run({sleep!r})"
    done = Runner().run([sys.executable, "-c", code], env={}, seconds=1)
    assert (
        done.status == "timeout"
    )  # communicate() would wait for the grandchild, which holds the pipe


def test_what_a_command_leaves_running_is_ended_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    late = f"import pathlib, time; time.sleep(2); pathlib.Path({str(mark)!r}).touch()"
    leave = [sys.executable, "-c", late]
    code = f"import subprocess as s; s.Popen({leave!r}, stdout=s.DEVNULL, stderr=s.DEVNULL)"
    assert Runner().run([sys.executable, "-c", code], env={}, seconds=60).status == "exit 0"
    time.sleep(3)
    assert not mark.exists()


def test_how_a_command_ended() -> None:
    runner = Runner()
    end = "import os, signal; print('said'); os.kill(os.getpid(), signal.SIGTERM)"
    assert (
        runner.run([sys.executable, "-c", "raise SystemExit(3)"], env={}, seconds=60).status
        == "exit 3"
    )
    assert runner.run([sys.executable, "-c", end], env={}, seconds=60).status == "signal 15"
    runner.stop()
    assert runner.run([sys.executable, "-c", ""], env={}, seconds=60).status == "interrupted"


def test_test_processes_are_steered_by_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "FASTPATH",
        "FASTPATH_DEBUG",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "VIRTUAL_ENV",
        "TMPDIR",
    ):
        monkeypatch.setenv(name, "x")
    env = places.environment(Path("/"))
    assert not {name for name in env if name.startswith(("FASTPATH", "VIRTUAL", "TMP"))}
    assert {name for name in env if name.startswith("PYTHON")} == {"PYTHONHASHSEED"}


def test_an_unusable_interpreter_is_a_line(tmp_path: Path) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no luck >&2; exit 1\n")
    broken.chmod(0o755)
    found, lines = places.find([str(broken), "3.19"], None, ["test_import"])
    assert found == []
    assert lines == [f"{broken}: no luck", "3.19: no such CPython with its tests found"]


def test_lists_name_no_module_twice_and_parts_are_listed() -> None:
    assert len(set(suite.FULL)) == len(suite.FULL)
    assert set(suite.QUICK) < set(suite.FULL)
    assert set(suite.PARTS) <= set(suite.FULL)
    assert suite.modules(["quick", "test_bdb", "test_import"]) == [*suite.QUICK, "test_bdb"]


# A fastpath in pure Python: what it does with a lookup is the one thing that varies.
STAND_IN = """
import sys
_external = sys.modules["_frozen_importlib_external"]
_original = _external.PathFinder.__dict__["find_spec"]
_stats = {"lookups": 0}
def find_spec(cls, fullname, path=None, target=None):
    _stats["lookups"] += COUNT
    spec = _original.__func__(cls, fullname, path, target)
    return spec if KEEP else None
find_spec.__module__ = _original.__func__.__module__
find_spec.__qualname__ = _original.__func__.__qualname__
def _start():
    _external.PathFinder.find_spec = classmethod(find_spec)
def is_installed():
    return _external.PathFinder.__dict__["find_spec"] is not _original
def stats():
    return dict(_stats)
"""
ENABLE = """
import os, sysconfig
with open(os.path.join(sysconfig.get_path("purelib"), "fastpath.pth"), "w") as file:
    file.write("import fastpath; fastpath._start()\\n")
"""


def wheel_of(stand_in: str, directory: Path) -> Path:
    """A wheel that installs `stand_in` as the package fastpath."""
    info = "fastpath_import-0.0.1.dist-info"
    files = {
        "fastpath/__init__.py": stand_in,
        "fastpath/__main__.py": ENABLE,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: fastpath-import\nVersion: 0.0.1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    wheel = directory / "fastpath_import-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return wheel


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (("1", "True"), run.SAME, "same as stock"),
        (("1", "fullname != 'foo'"), run.DIFFERENT, "ExtendPathTests"),
        (("0", "True"), run.DIFFERENT, "cannot be tested"),
    ],
    ids=["faithful", "one name never found", "asleep"],
)
def test_a_real_run_with_a_stand_in(
    body: tuple[str, str],
    status: int,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    found, _ = places.find([], None, ["test_pkgutil"])
    if not found:
        pytest.skip("no CPython 3.10 or newer with its own tests on this machine")
    wheel = wheel_of(STAND_IN.replace("COUNT", body[0]).replace("KEEP", body[1]), tmp_path)
    newest = found[-1].executable
    argv = ["--wheel", str(wheel), "--python", newest, "--tests", "test_pkgutil", "--retries", "0"]
    assert run.main(argv) == status
    assert said in capsys.readouterr().out


def test_the_witness_is_what_the_bench_runs() -> None:
    assert (Path(bench.__file__).parent / "witness" / f"{bench.WITNESS}.py").is_file()
