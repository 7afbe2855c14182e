"""The commands in benches/: what they print, and what their exit status means."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import demo
import figures
import pytest
from _bench import Bench, Line, WrongAnswer
from demo import Row
from figures import FIGURES

BENCHES = Path(demo.__file__).parent


@pytest.mark.parametrize("command", ["demo.py", "figures.py"])
def test_help_has_an_example(command: str) -> None:
    argv = [sys.executable, str(BENCHES / command), "--help"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert "example: benches/" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize("command", ["demo.py", "figures.py"])
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
