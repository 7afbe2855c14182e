"""The measuring itself: what is counted, in which order things run, what is called different."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _ground import interpreters, no_slow_mount, run_on_fresh
from _measure import (
    Run,
    RunFailed,
    interleave,
    kernel_counter,
    run,
    strace,
    system_calls,
    total_calls,
)
from _memory import BYTECODE, CODE, from_memory
from _modules import TYPICAL, importable
from _report import table
from _subject import Subject, differences, finding_seconds, import_seconds

from support import need

SUMMARY = """\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 66.67    0.000200           2       100        99 statx
 33.33    0.000100           4        25           openat
------ ----------- ----------- --------- --------- ----------------
100.00    0.000300           2       125        99 total
"""

# A fastpath that installs nothing; {mend} is run by install().
STAND_IN = """\
import sys
def install(*, backend, cache):
    assert (backend, cache) == ("auto", "off")
    {mend}
    return True
"""


def subject(body: str = "import colorsys\n", **how: object) -> Subject:
    return Subject(sys.executable, body, **how)  # type: ignore[arg-type]


def stand_in(where: Path, mend: str = "pass") -> Path:
    (where / "fastpath").mkdir(parents=True)
    (where / "fastpath" / "__init__.py").write_text(STAND_IN.format(mend=mend))
    return where


def test_total_of_a_summary() -> None:
    assert total_calls(SUMMARY) == 125
    assert total_calls("") == 0


def test_run_reports_the_failure_and_what_was_said() -> None:
    with pytest.raises(RunFailed, match=r"exit code 3 from.*\nlast words"):
        run([sys.executable, "-c", "print('last words'); raise SystemExit(3)"])


def test_run_counts_cpu_of_the_child_only() -> None:
    busy = run([sys.executable, "-I", "-c", "sum(range(10_000_000))"])
    idle = run([sys.executable, "-I", "-c", "import time; time.sleep(0.2)"])
    assert idle.wall_s > 0.2 > idle.cpu_s
    assert busy.cpu_s > idle.cpu_s


def test_interleave_starts_each_round_with_another() -> None:
    order: list[str] = []

    def one(name: str) -> Run:
        order.append(name)
        return Run(0.0, 0.0, name)

    runs = interleave({name: lambda name=name: one(name) for name in "abc"}, 3)  # type: ignore[misc]
    assert "".join(order) == "abcbcacab"
    assert {name: [r.output for r in found] for name, found in runs.items()} == {
        name: [name] * 3 for name in "abc"
    }


def test_interleave_runs_once_even_without_time() -> None:
    assert len(interleave({"a": lambda: Run(0.0, 0.0, "")}, 5, seconds=-1)["a"]) == 1


def test_system_calls_are_counted(tmp_path: Path) -> None:
    need("strace")
    tracer = strace()
    assert tracer is not None, "strace is there, and may not trace"

    def opening(times: int) -> int:
        program = f"for _ in range({times}): open({str(tmp_path / 'f')!r}, 'w').close()"
        return system_calls(tracer, [sys.executable, "-I", "-c", program], "openat")

    assert opening(120) - opening(20) == 100


def test_the_kernel_counts_those_of_all_threads(tmp_path: Path) -> None:
    assert kernel_counter(["of_no_such_name"]) is None
    counter = kernel_counter(["openat", "of_no_such_name"])
    if counter is None:
        pytest.skip("skipped: perf is not installed, or may not count system calls")

    def opening(times: int) -> int:
        loop = f"[open({str(tmp_path / 'f')!r}, 'w').close() for _ in range({times})]"
        program = f"import threading; threading.Thread(target=lambda: {loop}).start()"
        return counter([sys.executable, "-I", "-c", program])

    assert opening(120) - opening(20) == 100


def test_programs_differ_in_fastpath_alone(tmp_path: Path) -> None:
    front = [str(tmp_path / "one")]
    stock = subject(front=front).program()
    ours = subject(front=front, fastpath=tmp_path).program()
    assert "fastpath" not in stock
    assert [line for line in ours.splitlines() if line not in stock.splitlines()] == [
        f"sys.path.insert(0, {str(tmp_path)!r})",
        "import fastpath",
        "assert fastpath.install(backend='auto', cache='off'), \"it did not install\"",
        "del sys.path[0]",
    ]


def test_parts_are_switched_off_before_installing(tmp_path: Path) -> None:
    lines = subject(fastpath=tmp_path, off=["loading", "collector"]).program().splitlines()
    install = lines.index("import fastpath") + 3
    assert lines[install - 2 : install] == [
        "fastpath._native._switch('loading', False)",
        "fastpath._native._switch('collector', False)",
    ]
    assert "fastpath.install(" in lines[install]


def test_what_is_prepared_is_not_timed() -> None:
    program = subject(before="prepare = 1\n").program()
    assert program.index("prepare = 1\n") < program.index("start = clock()\n")


@pytest.mark.parametrize("kind", [BYTECODE, CODE])
def test_memory_hands_out_what_stock_has_loaded(kind: str, tmp_path: Path) -> None:
    stock = subject("import json.decoder, colorsys, _ctypes_test\n")
    expected = stock.modules(tmp_path / "stock.py")
    way = from_memory(stock, tmp_path / "kept.bin")[kind]
    loaded = way.modules(tmp_path / "memory.py")
    assert loaded.keys() == expected.keys()
    for name in ("json", "json.decoder", "colorsys"):
        (spec, *places), (_, *stock_places) = loaded[name], expected[name]
        assert isinstance(spec, list)
        assert spec[2][:2] == ["__main__", "Memory"]
        assert places == stock_places
    assert loaded["_ctypes_test"] == expected["_ctypes_test"]


def test_every_run_gets_a_fresh_slow_mount(tmp_path: Path) -> None:
    need("fuse")
    reason = no_slow_mount()
    assert reason is None, reason
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").touch()
    there = tmp_path / "there"
    program = f"import os; [os.path.exists({str(there)!r} + name) for name in ('/file', '/none')]"
    sources = {there: str(tmp_path / "source")}
    command = [sys.executable, "-I", "-c", program]
    runs = [run_on_fresh(sources, 0.1, command) for _ in range(2)]
    # The first of them knows nothing, and neither does the second.
    assert [(one.operations, one.waits) for one in runs] == [(2, 2)] * 2


def test_interpreters_are_found_by_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert interpreters([here, "3.99"]) == {here: sys.executable}


def test_both_see_the_same_path(tmp_path: Path) -> None:
    home = stand_in(tmp_path / "home")
    shown = []
    for fastpath in (None, home):
        way = subject("print(sys.path)\n", fastpath=fastpath, front=[str(tmp_path)])
        shown.append(run(way.command(tmp_path / "program.py")).output.splitlines()[0])
    assert shown[0] == shown[1]
    assert str(tmp_path) in shown[0]


def test_the_same_modules_are_identical(tmp_path: Path) -> None:
    home = stand_in(tmp_path / "home")
    stock = subject().modules(tmp_path / "stock.py")
    ours = subject(fastpath=home).modules(tmp_path / "ours.py")
    assert "colorsys" in stock
    assert "fastpath" not in ours
    assert differences(stock, ours) == []


@pytest.mark.parametrize(
    "mend",
    [
        "import wave",
        "import colorsys; colorsys.__file__ += 'x'",
        "import colorsys; colorsys.__spec__.origin += 'x'",
        "import colorsys; colorsys.__spec__.cached = 'x'",
        "import colorsys; colorsys.__spec__.loader = object()",
        "import colorsys; colorsys.__spec__.has_location = False",
        "import json; json.__spec__.submodule_search_locations.append('x')",
        "import json; json.__path__ = ['x']",
    ],
)
def test_any_difference_is_seen(mend: str, tmp_path: Path) -> None:
    home = stand_in(tmp_path / "home", mend)
    body = "import colorsys, json\n"
    stock = subject(body).modules(tmp_path / "stock.py")
    ours = subject(body, fastpath=home).modules(tmp_path / "ours.py")
    assert differences(stock, ours) != []


def test_finding_is_part_of_importing(tmp_path: Path) -> None:
    measured = run(subject(finding=True).command(tmp_path / "program.py"))
    assert 0 < finding_seconds(measured) < import_seconds(measured)
    assert finding_seconds(run(subject().command(tmp_path / "program.py"))) == 0


def test_moved_entries_replace_the_old(tmp_path: Path) -> None:
    (tmp_path / "colorsys.py").touch()
    shelf = str(Path(pytest.__file__).parent.parent)
    way = subject("print(sys.path)\n", moved={shelf: str(tmp_path)})
    shown = run(way.command(tmp_path / "program.py")).output
    assert shelf not in shown
    assert str(tmp_path) in shown


def test_library_modules_are_chosen_the_same_every_time() -> None:
    names = importable(sys.executable, 50)
    assert len(names) == 50
    assert names == sorted(names) == importable(sys.executable, 50)
    assert {"antigravity", "this"}.isdisjoint(importable(sys.executable, 10_000))


def test_typical_modules_are_more_than_a_hundred(tmp_path: Path) -> None:
    plain = subject("").modules(tmp_path / "plain.py")
    typical = subject("".join(f"import {name}\n" for name in TYPICAL)).modules(tmp_path / "t.py")
    assert len(typical) - len(plain) > 100


def test_tables_are_aligned() -> None:
    rows = [["what", "ms"], ["a", "1"], [], ["longer", "1,000"]]
    assert table(rows) == ("what       ms\n------  -----\na           1\n\nlonger  1,000")
