"""The farm: what it launches and compares, whom it takes for whom, what it prints and refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import farm
import pytest
from _bench import WrongAnswer
from _farm import TOGETHER, WARM, Farm, Row, batch, plan, summary, together
from _farm_grounds import Count, Hot, Slow
from _farm_ways import CONTROL, KINDS, Kind, Stats, Way, has_table, is_stock, prepare
from _ground import no_slow_mount, slowed
from _measure import Run, strace, system_calls
from _report import Progress

from support import Venv, need

FARM = Path(farm.__file__)
LINE = "hello --version"


def way(home: Path, kind: Kind = KINDS[0], says: str = "hello 1") -> Way:
    """One whose only script notes each launch, and says this."""
    script = home / "bin" / "hello"
    script.parent.mkdir(parents=True)
    script.write_text(f"open({str(home / 'launched')!r}, 'a').write('.')\nprint({says!r})\n")
    return Way(kind, home, sys.executable, str(home), home)


def launched(home: Path) -> int:
    return len((home / "launched").read_text())


def on_hot(ways: Sequence[Way], home: Path, launches: int = 4) -> Farm:
    used = Farm(ways, home, 2, Progress(), [LINE])
    used.on(Hot(launches, 2))
    return used


@pytest.fixture
def no_strace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_farm_grounds.strace", lambda: None)


@pytest.mark.usefixtures("no_strace")
def test_each_way_is_launched_as_often_as_its_rows_say(tmp_path: Path) -> None:
    ways = [way(tmp_path / "a"), replace(way(tmp_path / "b"), kind=CONTROL[1])]
    rows = on_hot(ways, tmp_path).rows
    assert [(r.ground, r.line, r.way, r.launches) for r in rows] == [
        ("hot", line, who, 6) for line in (LINE, TOGETHER) for who in ("stock", "stock again")
    ]
    for one, row in zip(ways, rows, strict=False):
        assert launched(one.home) == WARM + row.launches
        assert (len(row.rounds), row.calls, row.waits) == (3, None, None)
        assert row.per_second > 0 < row.cpu_s


@pytest.mark.usefixtures("no_strace")
def test_another_answer_ends_it_before_anything_is_timed(tmp_path: Path) -> None:
    ways = [way(tmp_path / "a"), way(tmp_path / "b", CONTROL[1], says="hello 2")]
    with pytest.raises(WrongAnswer, match=r"^hot: stock again: hello --version: said 'hello 2"):
        on_hot(ways, tmp_path)
    assert launched(tmp_path / "a") == WARM


@pytest.mark.usefixtures("no_strace")
def test_the_place_of_the_environment_is_no_difference(tmp_path: Path) -> None:
    ways = [
        way(tmp_path / name, kind, says=f"from {tmp_path / name}/site")
        for name, kind in zip("ab", CONTROL, strict=True)
    ]
    assert len(on_hot(ways, tmp_path).rows) == 4


@pytest.mark.usefixtures("no_strace")
def test_who_is_not_what_it_claims_is_left_out(tmp_path: Path) -> None:
    shared = next(kind for kind in KINDS if kind.is_so is has_table)
    used = on_hot([way(tmp_path / "a"), way(tmp_path / "b", shared)], tmp_path)
    assert {row.way for row in used.rows} == {"stock"}
    assert used.notes == [
        f"skip: hot: {shared.name}: fastpath.stats() of its processes tells otherwise"
    ]
    with pytest.raises(WrongAnswer, match="there is fastpath in its processes"):
        on_hot([way(tmp_path / "c", replace(shared, name="stock"))], tmp_path)


def test_a_ground_that_is_missing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_farm_grounds.no_slow_mount", lambda: "needs a mount")
    used = Farm([way(tmp_path / "a")], tmp_path, 1, Progress(), [LINE])
    used.on(Slow(1, 1))
    assert (used.rows, used.notes) == ([], ["skip: 1 ms: needs a mount"])


def test_ways_are_known_by_what_their_processes_tell(tmp_path: Path, venv: Venv) -> None:
    with_it = Way(KINDS[1], tmp_path, str(venv.python.path), str(venv.site), tmp_path)
    assert not with_it.is_so(tmp_path)
    assert replace(with_it, kind=KINDS[0]).is_so(tmp_path)
    assert venv.fastpath("enable").returncode == 0
    assert with_it.is_so(tmp_path)
    assert not replace(with_it, kind=KINDS[0]).is_so(tmp_path)
    told: list[Stats | None] = [{"table": "/there/0.table"}, {"table": None}, {}, None]
    assert [has_table(stats) for stats in told] == [True, False, False, False]
    assert [KINDS[1].is_so(stats) for stats in told] == [False, True, True, False]
    assert [is_stock(stats) for stats in told] == [False, False, False, True]


def test_variables_are_the_ways_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHONPATH", "FASTPATH", "PIP_INDEX_URL", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, "the user's")
    shared = next(kind for kind in KINDS if kind.is_so is has_table)
    variables = way(tmp_path / "a", shared).variables(tmp_path / "tables")
    assert "the user's" not in variables.values()
    assert variables["FASTPATH_CACHE_DIR"] == str(tmp_path / "tables")
    assert variables["HOME"] == str(tmp_path / "a")


def test_environments_are_prepared_once_for_those_who_share_one(tmp_path: Path) -> None:
    stages: list[str] = []
    unknown = Kind("later", "one", is_stock, ["no-such-command"])
    kinds = [Kind("stock", "one", is_stock), unknown, Kind("same", "one", is_stock)]
    ways, notes = prepare(kinds, tmp_path / "farm", None, packages=[], stage=stages.append)
    assert [one.name for one in ways] == ["stock", "same"]
    assert notes == ["skip: later: there is no `python -m fastpath no-such-command`"]
    assert stages == ["preparing farm/one"]
    assert ways[0].is_so(tmp_path)


def test_a_batch_has_as_many_at_a_time_as_asked() -> None:
    gate = threading.Barrier(3, timeout=30)  # passed only by three at a time

    def launch() -> Run:
        gate.wait()
        return Run(0.0, 0.5, "")

    measured = batch(launch, 9, 3)
    assert measured.cpu_s == 0.5
    assert measured.wall_s > 0


def test_plans_leave_no_job_idle_and_have_a_median() -> None:
    assert plan(Hot(1000, 20), 3, 2) == (20, 17)
    assert plan(Hot(1, 20), 3, 2) == (20, 1)
    assert plan(Hot(120, 1), 3, 8) == (8, 5)


def test_all_of_them_is_each_as_often() -> None:
    rounds = together([[Run(0.1, 1.0, "")], [Run(0.3, 2.0, "")]])
    assert [(one.wall_s, one.cpu_s) for one in rounds] == [(0.2, 1.5)]
    assert summary([Count(1, 2), Count(3, None)], max) == Count(3, None)


def test_system_calls_of_a_class_with_variables() -> None:
    need("strace")
    tracer = strace()
    assert tracer is not None, "strace is there, and may not trace"
    program = "import os; [os.stat('/') for _ in range(int(os.environ['TIMES']))]"
    few, many = (
        system_calls(tracer, [sys.executable, "-I", "-c", program], "%file", {"TIMES": times})
        for times in ("10", "110")
    )
    assert many - few == 100


@pytest.fixture
def slow_home(tmp_path: Path) -> Iterator[Path]:
    need("fuse")
    reason = no_slow_mount()
    assert reason is None, reason
    yield tmp_path / "home"
    assert not os.path.ismount(tmp_path / "home")
    assert not os.path.ismount(tmp_path / "home-beside")


def test_a_directory_is_slow_in_its_own_place(slow_home: Path) -> None:
    slow_home.mkdir()
    (slow_home / "file").write_text("here")
    local = slow_home.stat().st_dev
    with slowed(slow_home, 0.1) as mount:
        before = mount.operations()
        assert (slow_home / "file").read_text() == "here"
        assert mount.operations() > before
        assert slow_home.stat().st_dev != local
    assert (slow_home / "file").read_text() == "here"
    assert slow_home.stat().st_dev == local


def test_a_slow_launch_is_counted_by_itself(slow_home: Path) -> None:
    launched_on = way(slow_home)
    # The mount is read-only, so it must not note anything.
    Path(slow_home, "bin", "hello").write_text("print('hello')\n")
    ground = Slow(1, 1)
    with ground.around([slow_home]):
        counts = [ground.count(launched_on, LINE, {}) for _ in range(2)]
    assert counts[0] == counts[1]
    calls, waits = counts[0].calls, counts[0].waits
    assert calls is not None
    assert waits is not None
    assert calls >= waits > 0


def row(who: str = "stock", **changes: object) -> Row:
    values = {"ground": "hot", "line": LINE, "way": who, "launches": 6, "per_second": 10.0}
    values |= {"cpu_s": 0.1, "calls": 3000.0, "waits": None, "rounds": [10.0]}
    return Row(**{**values, **changes})  # type: ignore[arg-type]


def test_the_table_has_ratios_to_the_stock_of_the_same_line() -> None:
    shown = farm.show(
        [
            row(),
            row("shared table", per_second=15.0, calls=600.0),
            row(ground="1 ms", per_second=2.0, waits=500.0),
            row("shared table", ground="1 ms", per_second=8.0, waits=50.0),
        ]
    ).splitlines()
    assert shown[3].split()[2:] == ["15.0", "1.50", "x", "100", "1.00", "x", "600", "0.20", "x"]
    assert shown[4] == ""
    assert shown[6].split()[2:4] == ["8.00", "4.00"]
    assert shown[6].endswith("50  0.10 x")
    assert [farm.rate(value) for value in (0.196, 15.55, 1234.5)] == ["0.20", "15.6", "1,234"]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """Runs farm.py, which measures these rows, or raises."""

    def status(rows: list[Row], *arguments: str, fails: Exception | None = None) -> int:
        def measure(_: object) -> tuple[list[Row], list[str]]:
            if fails:
                raise fails
            return rows, ["skip: x"]

        monkeypatch.setattr(farm, "measure", measure)
        report = ["--json", str(tmp_path / "farm.json")]
        monkeypatch.setattr(sys, "argv", ["farm.py", "--control", *report, *arguments])
        return farm.main()

    return status


def test_figures_are_written_for_programs_too(
    main: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([row()], "--jobs", "3") == 0
    shown = capsys.readouterr().out
    assert "3 launches at a time" in shown
    assert shown.endswith("skip: x\n")
    report = json.loads((tmp_path / "farm.json").read_text())
    assert (report["machine"]["jobs"], report["notes"]) == (3, ["skip: x"])
    assert Row(**report["rows"][0]) == row()


def test_a_wrong_answer_is_an_error(
    main: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([], fails=WrongAnswer("hot: sealed: said 'x'")) == 2
    assert capsys.readouterr().err == "farm: hot: sealed: said 'x'\n"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--launches", "0", "--cold-launches", "0", "--slow-launches", "0"], "nothing to launch"),
        (["--launches", "many"], "'many' is not a number of launches"),
        (["--jobs", "0"], "must be at least 1"),
        (["--plot", "farm.gif"], "ends in none of .svg, .png"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_made(
    arguments: list[str], complaint: str
) -> None:
    command = [sys.executable, str(FARM), "--control", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_plot_without_matplotlib_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(SystemExit):
        farm.parser().parse_args(["--control", "--plot", "farm.svg"])
    assert "requirements/plot.txt" in capsys.readouterr().err


def test_a_plot_names_grounds_and_ways(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="skipped: no matplotlib: `make bench-farm` gets it")
    from _farm_plot import draw, spread_of

    rows = [row(), row("shared table", per_second=15.0, rounds=[14.0, 15.0, 18.0])]
    draw(rows, tmp_path / "farm.svg", "launches per second")
    drawn = (tmp_path / "farm.svg").read_text()
    for text in ("hot", LINE, "stock", "shared table", "10/s", "1.50"):
        assert f">{text}" in drawn
    assert spread_of(rows[0]) == (0.0, 0.0)
    assert spread_of(rows[1]) == (0.5, 1.5)
