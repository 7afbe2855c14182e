"""The commands in benches/: what they print, and what their exit status means."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import _ground
import _loading
import demo
import figures
import pytest
from _bench import Bench, Line, WrongAnswer
from _measure import Run
from _report import Progress
from _subject import Subject
from demo import Row
from figures import FIGURES

BENCHES = Path(demo.__file__).parent


@pytest.mark.parametrize("command", ["demo.py", "figures.py", "farm.py", "draw.py"])
def test_help_has_an_example(command: str) -> None:
    argv = [sys.executable, str(BENCHES / command), "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "example: benches/" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize("command", ["demo.py", "figures.py", "farm.py"])
def test_a_wheel_or_the_control_must_be_asked_for(command: str) -> None:
    argv = [sys.executable, str(BENCHES / command)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--wheel" in done.stderr


def line(**changes: object) -> Line:
    values = {"figure": "f", "what": "w", "unit": "x", "stock": 1.0, "ours": 2.0, "measured": 2.0}
    return Line(**{**values, "limit": 1.0, "hard": True, **changes})  # type: ignore[arg-type]


@pytest.fixture
def only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs figures.py with one figure that answers with these lines, or raises."""

    def status(*lines: Line, fails: Exception | None = None) -> int:
        def figure(_: Bench) -> list[Line]:
            if fails:
                raise fails
            return list(lines)

        monkeypatch.setattr(figures, "FIGURES", {"f": figure})
        monkeypatch.setattr(figures, "ROOT", tmp_path)
        report = str(tmp_path / "figures.json")
        monkeypatch.setattr(sys, "argv", ["figures.py", "--control", "--json", report])
        return figures.main()

    return status


def test_a_count_that_does_not_hold_fails(
    only: Callable[..., int], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert only(line()) == 1
    assert "OVER" in capsys.readouterr().out
    assert [f["holds"] for f in json.loads((tmp_path / "figures.json").read_text())["figures"]] == [
        False
    ]


def test_a_time_that_does_not_hold_is_only_shown(
    only: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert only(line(hard=False)) == 0
    assert "OVER" in capsys.readouterr().out


def test_what_holds_holds(only: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert only(line(limit=2.0), line(limit=None)) == 0
    shown = capsys.readouterr().out
    assert "holds" in shown
    assert "OVER" not in shown


def test_a_wrong_answer_ends_it(
    only: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert only(fails=WrongAnswer("stdlib: not as stock has them: json")) == 2
    assert "not as stock has them: json" in capsys.readouterr().err


def bench(home: Path) -> Bench:
    return Bench(home, sys.executable, None, None, 0.1, Progress(), set())


def test_a_comparison_names_the_way_that_differs(tmp_path: Path) -> None:
    stock = Subject(sys.executable, "import colorsys\n")
    bench(tmp_path).check("f", {"stock": stock, "same": stock})
    other = Subject(sys.executable, "import wave\n")
    with pytest.raises(WrongAnswer, match=r"^f: serial: not as stock has them: .*colorsys"):
        bench(tmp_path).check("f", {"stock": stock, "same": stock, "serial": other})


def test_a_comparison_by_name_overlooks_specs_only(tmp_path: Path) -> None:
    stock = Subject(sys.executable, "import colorsys\n")
    moved = replace(stock, body=stock.body + "colorsys.__spec__.origin = 'memory'\n")
    with pytest.raises(WrongAnswer):
        bench(tmp_path).check("f", {"stock": stock, "moved": moved})
    bench(tmp_path).check_names("f", {"stock": stock, "moved": moved})
    other = Subject(sys.executable, "import wave\n")
    with pytest.raises(WrongAnswer, match=r"^f: other: not the modules of stock: .*colorsys"):
        bench(tmp_path).check_names("f", {"stock": stock, "other": other})


def test_ways_are_run_as_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def how(command: Sequence[str]) -> Run:
        asked.append(Path(command[-1]).name)
        return Run(0.0, 0.0, "{}")

    ways = {who: Subject(sys.executable, "") for who in ("stock", "without x")}
    bench(tmp_path).check("f", ways, how)
    bench(tmp_path).time("f", ways, 10, how)
    assert asked == [
        "f-stock-checked.py",
        "f-without-x-checked.py",
        "f-stock.py",
        "f-without-x.py",
    ]


def test_waits_are_counted_not_timed() -> None:
    runs = {
        who: [Run(0.0, 0.0, "", waits=waits) for waits in (many, 0, 900)]
        for who, many in (("stock", 500), ("ours", 70))
    }
    line = _loading.waited("f", "waits", runs, 60)
    assert (line.stock, line.ours, line.hard, line.holds) == (500, 70, False, False)


def test_caches_are_dropped_by_root_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(_ground, "DROP_CACHES", tmp_path / "untouched")
    used = bench(tmp_path)
    assert _loading.cold(used) == []
    assert used.notes == ["skip: cold: needs root, to drop the kernel's caches"]
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(_ground, "DROP_CACHES", tmp_path / "no" / "such")
    assert _loading.cold(used) == []
    assert "cannot be dropped: " in used.notes[-1]


def test_an_unknown_figure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = [sys.executable, str(BENCHES / "figures.py"), "--control", "pass", "speed"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no figure speed" in done.stderr
    assert ", ".join(FIGURES) in done.stderr


def row(situation: str, who: str, different: list[str]) -> Row:
    return Row(situation, who, 1000, different, 0.5, 0.4, 2000)


def test_the_demo_names_what_differs() -> None:
    shown = demo.show(
        [
            row("as it is", "stock", []),
            row("as it is", "fastpath", []),
            row("slow", "stock", []),
            row("slow", "uring", ["a", "b", "c", "d"]),
        ]
    )
    assert shown.count("identical") == 1
    assert "4 DIFFER: a, b, c, ..." in shown


def test_the_demo_shows_waits_where_there_are_any() -> None:
    local, slow = row("as it is", "stock", []), replace(row("slow", "stock", []), waits=1234)
    waited = replace(row("slow", "uring", []), waits=617)
    shown = demo.show([local, slow, waited]).splitlines()
    assert "waits" in shown[0]
    assert "1,234" in shown[-2]
    assert "617  0.50 x" in shown[-1]


def test_the_demo_fails_if_anything_differs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo.py", "--control", "--json"])
    for different, status in (([], 0), (["json"], 1)):
        rows = [row("as it is", "stock", []), row("as it is", "fastpath", different)]
        monkeypatch.setattr(demo, "demonstrate", lambda *_, rows=rows: (rows, ["skip: x"]))
        assert demo.main() == status
        shown = json.loads(capsys.readouterr().out)
        assert shown["rows"][1]["different"] == different
        assert shown["notes"] == ["skip: x"]
