"""``bench``: what it asks, that its answers are serial's, and what it makes of times."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

import fastpath
from fastpath import (
    _bench,
    _bench_clock,
    _bench_names,
    _bench_plot,
    _bench_slow,
    _bench_verdict,
    _cli,
)
from fastpath._bench_clock import Cell, Measured, Variant
from fastpath._bench_progress import Progress
from fastpath._native import _probe_timed
from fastpath._problem import Problem
from support import Venv, need

BACKENDS = ("serial", "threads", "uring", "auto")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Twelve files in three directories: fifteen names."""
    for number in range(12):
        file = tmp_path / "tree" / f"dir{number % 3}" / f"file{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x" * number)
    return tmp_path / "tree"


def everything(tree: Path) -> dict[str, tuple[int, int]]:
    """Each path below, with what a writer would have changed."""
    paths = [tree, *tree.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ctime_ns) for path in paths}


# ---- the native clock --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("width", [None, 0, 1, 3, 64])
@pytest.mark.parametrize("batch", [1, 4, 100])
def test_every_engine_has_serials_answers(
    tree: Path, backend: Any, width: int | None, batch: int
) -> None:
    paths = [str(p) for p in tree.rglob("*")] + [str(tree / f"no{i}") for i in range(20)]
    serial = _probe_timed(paths, "serial", batch=100)
    told = _probe_timed(paths, backend, width, batch=batch, repeat=2)
    assert told["digest"] == serial["digest"]
    assert told["present"] == 15
    by_ring = backend == "uring" and batch > 1 and fastpath.backends()["uring"] is None
    assert told["by_ring"] == (2 * len(paths) if by_ring else 0)
    assert told["wall_ns"] > 0
    # A processor's time cannot be shorter than what was certainly done, nor missing on Linux.
    assert told["cpu_ns"] is None or told["cpu_ns"] > 0


def test_a_digest_tells_answers_apart(tree: Path) -> None:
    def digest(*paths: Path) -> int:
        return _probe_timed(paths, "serial", batch=1)["digest"]

    one, other, gone = tree / "dir0" / "file0.py", tree / "dir0" / "file3.py", tree / "gone"
    failed = tree / ("x" * 300)
    digests = [
        digest(*paths)
        for paths in ((one,), (other,), (gone,), (failed,), (one, other), (other, one))
    ]
    assert len(set(digests)) == len(digests)
    assert digest(one) == digests[0]
    os.utime(one, ns=(0, one.stat().st_mtime_ns + 1))
    assert digest(one) != digests[0]


def test_the_clock_refuses_what_it_cannot_do() -> None:
    for arguments in ({"batch": 0}, {"batch": 1, "repeat": 0}):
        with pytest.raises(ValueError, match="1 at least"):
            _probe_timed([], "serial", **arguments)
    with pytest.raises(ValueError, match="backend"):
        _probe_timed([], "fast", batch=1)  # type: ignore[arg-type]


# ---- names -------------------------------------------------------------------------------------


def test_hits_are_there_and_misses_are_not(tree: Path) -> None:
    (tree / "link").symlink_to(tree.parent)
    names = _bench_names.collect([str(tree), str(tree)], 100)
    assert sorted(names.hits) == sorted(str(p) for p in tree.rglob("*") if not p.is_symlink())
    assert len(set(names.misses)) == 100
    assert not any(map(os.path.lexists, names.misses))
    assert {os.path.dirname(miss) for miss in names.misses} == {
        os.path.dirname(hit) for hit in names.hits
    }
    assert len(_bench_names.collect([str(tree)], 4).hits) == 4


def test_an_empty_directory_has_itself_to_be_hit(tmp_path: Path) -> None:
    assert _bench_names.collect([str(tmp_path)], 3).hits == [str(tmp_path)]


def test_names_stay_on_the_mount(tree: Path) -> None:
    other = Path("/proc/self")
    if not other.exists():
        pytest.skip("skipped: no other mount is known here")
    assert all(
        hit.startswith(str(tree)) for hit in _bench_names.collect([str(tree), str(other)], 99).hits
    )
    assert _bench_names.collect([str(other)], 9).hits[0].startswith(str(other))


# ---- measuring ---------------------------------------------------------------------------------


def small(paths: list[str], *variants: Variant) -> list[Measured]:
    bench = _bench_clock.Bench(seconds=0, cells=1, variants=list(variants), rounds=3)
    return bench.measure(Cell("hot", "hits", 5, paths))


def test_an_engine_that_answers_otherwise_is_not_timed(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lying(paths: Any, backend: Any, *arguments: Any, **named: Any) -> Any:
        told = _probe_timed(paths, backend, *arguments, **named)
        return told if backend == "serial" else {**told, "digest": told["digest"] ^ 1}

    monkeypatch.setattr(_bench_clock, "_probe_timed", lying)
    paths = [str(path) for path in tree.rglob("*")]
    assert small(paths, _bench_clock.SERIAL)[0]["rounds"] == 3
    with pytest.raises(Problem, match="auto answers otherwise than serial"):
        small(paths, _bench_clock.SERIAL, Variant("auto", "auto"))


def test_what_others_change_is_asked_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changing = tree / "dir0" / "file0.py"
    times = 0

    def changed(paths: Any, backend: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal times
        if backend == "auto" and times < limit:
            times += 1
            os.utime(changing, ns=(0, times))
        return _probe_timed(paths, backend, *arguments, **named)

    monkeypatch.setattr(_bench_clock, "_probe_timed", changed)
    paths = [str(changing)] * 5
    engines = (_bench_clock.SERIAL, Variant("auto", "auto"))
    limit = 3
    assert [row["rounds"] for row in small(paths, *engines)] == [3, 3]
    limit = 1000
    with pytest.raises(Problem, match="keeps changing"):
        small(paths, *engines)


def test_what_is_too_slow_is_left_out_and_told() -> None:
    bench = _bench_clock.Bench(seconds=1, cells=1, variants=[_bench_clock.SERIAL], rounds=3)
    bench._latency_us = 1000.0
    assert bench.too_slow(Cell("hot", "hits", 100, [])) is None
    left_out = bench.too_slow(Cell("hot", "hits", 1000, []))
    assert left_out is not None
    assert left_out["why"] == "serial alone would take about 1.0 s"


def test_refused_engines_are_left_out() -> None:
    labels = [v.label for v in _bench_clock.variants({"uring": "EPERM"}, quick=False)]
    assert labels == ["serial", "auto", "threads", "threads-4", "threads-16", "threads-64"]
    quick = [v.label for v in _bench_clock.variants({"uring": None}, quick=True)]
    assert quick == ["serial", "auto", "threads", "uring"]


# ---- verdicts ----------------------------------------------------------------------------------


def rows(label: str, *us: float, state: str = "hot") -> list[Measured]:
    """An engine's times for 1, 10, 100, ... at a time, hits and misses alike; twice that of CPU."""
    return [
        Measured(
            state=state,
            kind=kind,
            batch=10**power,
            label=label,
            engine=label.partition("-")[0],
            width=None,
            us=time,
            cpu_us=2 * time,
            rounds=3,
            by_ring=0,
        )
        for kind in ("hits", "misses")
        for power, time in enumerate(us)
    ]


def test_where_serial_always_wins() -> None:
    measured = [
        *rows("serial", 1, 1, 1),
        *rows("threads", 1, 9, 2),
        *rows("threads-4", 1, 8, 4),
        *rows("uring", 1, 9, 1),  # as good is not better
    ]
    told = {row["label"]: row for row in _bench_verdict.break_even(measured)}
    assert {label: row["batch"] for label, row in told.items()} == {
        **{"threads": None, "threads-4": None, "uring": None}
    }
    assert (told["threads"]["at"], told["threads"]["speed"]) == (100, 0.5)
    assert told["threads"]["latency_us"] == 2
    assert _bench_verdict.sentence(measured, None) == (
        "hot: serial wins at every size; threads take 2.0 x its time at best, at 100 (threads), "
        "and would pay where a question takes more than about 2.0 us; io_uring takes 1.0 x its "
        "time at best, at 100 (uring), and would pay where a question takes more than about 1.0 us"
    )


def test_where_an_engine_begins_to_win() -> None:
    # A batch costs serial 10 n; threads 9 n + 91: even where 9.5 n is that, at 182.
    measured = [*rows("serial", 10, 10, 10, 10), *rows("threads", 100, 18.1, 9.91, 9.091)]
    (told,) = _bench_verdict.break_even(measured)
    assert (told["batch"], told["at"], told["speed"], told["cpu"]) == (182, 1000, 1.1, 0.909)
    assert told["latency_us"] is None
    assert _bench_verdict.sentence(measured, "EPERM") == (
        "hot: serial wins up to about 181 paths; threads are 1.1 x as fast at 1,000 (threads) for "
        "0.9 x the CPU; io_uring is refused here (EPERM)"
    )


def test_one_size_in_between_is_no_break_even() -> None:
    measured = [*rows("serial", 1, 1, 1), *rows("threads", 1, 0.5, 2)]
    assert _bench_verdict.break_even(measured)[0]["batch"] is None
    assert _bench_verdict.sentence(measured, None) == (
        "hot: serial wins at most sizes; threads are 2.0 x as fast at 10 only, for 0.5 x the CPU"
    )


def test_where_serial_never_wins() -> None:
    measured = [*rows("serial", 1000, 1000), *rows("uring", 1000, 100)]
    assert _bench_verdict.sentence(measured, None) == (
        "hot: serial wins for single paths only; io_uring is 10.0 x as fast at 10 (uring) for "
        "0.1 x the CPU"
    )


def test_where_the_smallest_batch_measured_is_won() -> None:
    measured = [row for row in [*rows("serial", 9, 9), *rows("threads", 9, 3)] if row["batch"] > 1]
    assert _bench_verdict.sentence(measured, None).startswith(
        "hot: serial wins at no size from 10 on; threads are 3.0 x as fast at 10 (threads)"
    )


def test_hot_and_cold_are_two_sentences() -> None:
    measured = [
        *rows("serial", 1, 1),
        *rows("serial", 9, 9, state="cold"),
        *rows("threads", 1, 2),
        *rows("threads", 9, 3, state="cold"),
    ]
    told = _bench_verdict.sentence(measured, None)
    assert told.startswith("hot: serial wins at every size; ")
    assert "; cold: serial wins for single paths only; threads are 3.0 x as fast" in told


# ---- the command -------------------------------------------------------------------------------

MOUNT = (
    {"mount", "type", "directories", "emulated_ms", "latency_us", "names"}  # what it is
    | {"measured", "left_out", "break_even", "verdict"}  # what was found out
)
TOP = {
    "version",
    "python",
    "system",
    "cpus",
    "quick",
    "cold",
    "refused",
    "seconds",
    "load",
    "mounts",
}


def test_json_has_the_documented_keys(shared_venv: Venv, tree: Path) -> None:
    before = everything(tree)
    result = shared_venv.fastpath("bench", "--quick", "--json", "-", tree)
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(result.stdout)
    assert everything(tree) == before
    assert set(told) == TOP == set(_bench.Told.__annotations__)
    (mount,) = told["mounts"]
    assert set(mount) == MOUNT
    assert (mount["directories"], mount["emulated_ms"]) == ([str(tree)], None)
    assert mount["names"] == {"hits": 15, "misses": 1000}
    assert mount["left_out"] == []
    labels = ["serial", "auto", "threads", *([] if told["refused"] else ["uring"])]
    sizes = [("hits", 1), ("misses", 1), ("hits", 10), ("misses", 10), ("misses", 100)]
    assert [(row["kind"], row["batch"], row["label"]) for row in mount["measured"]] == [
        (*cell, label) for cell in [*sizes, ("misses", 1000)] for label in labels
    ]
    for row in mount["measured"]:
        assert set(row) == set(Measured.__annotations__)
        assert (row["state"], row["rounds"] >= 3, row["us"] > 0) == ("hot", True, True)
        assert (row["by_ring"] > 0) == (row["label"] == "uring" and row["batch"] > 1)
    assert [row["label"] for row in mount["break_even"]] == labels[1:]
    assert {tuple(row) for row in mount["break_even"]} == {
        tuple(_bench_verdict.BreakEven.__annotations__)
    }
    assert mount["verdict"].startswith("hot: serial wins ")


def test_text_for_people_and_a_file_for_programs(
    shared_venv: Venv, tree: Path, tmp_path: Path
) -> None:
    file = tmp_path / "out.json"
    result = shared_venv.fastpath("bench", "--quick", "--json", file, tree, tree / "dir0")
    assert (result.returncode, result.stderr) == (0, "")
    told = json.loads(file.read_text())
    assert len(told["mounts"]) == 2
    for mount in told["mounts"]:
        assert f"\nverdict: {mount['verdict']}" in result.stdout
    for title in ("hot hits ", "hot misses "):
        assert result.stdout.count(title) == 2


def test_without_arguments_every_mount_of_sys_path(shared_venv: Venv, tree: Path) -> None:
    code = (
        "import sys\nfrom fastpath import _bench\nfrom contextlib import ExitStack\n"
        "for place in _bench._places(_bench.Asked([]), ExitStack()): print(place.directories)"
    )
    result = shared_venv.run("-c", code, env={"PYTHONPATH": str(tree)})
    listed = [
        entry for line in result.stdout.splitlines() for entry in json.loads(line.replace("'", '"'))
    ]
    assert str(tree) in listed
    assert str(shared_venv.site) in listed
    assert len({os.stat(line.split("'")[1]).st_dev for line in result.stdout.splitlines()}) == len(
        result.stdout.splitlines()
    )


def refused(venv: Venv, code: int, *arguments: str | Path, env: Any = None) -> str:
    result = venv.fastpath("bench", *arguments, env=env)
    assert (result.returncode, result.stdout) == (code, "")
    return result.stderr


def test_bad_arguments_are_one_clear_line(shared_venv: Venv, tree: Path) -> None:
    gone, file = tree / "gone", tree / "dir0" / "file0.py"
    said = "fastpath: error: bench: "
    assert refused(shared_venv, 2, gone) == f"{said}{gone} does not exist\n"
    assert refused(shared_venv, 2, file) == f"{said}{file} is not a directory\n"
    assert refused(shared_venv, 2, "--plot", "x.pdf", tree) == (
        f"{said}--plot draws .svg or .png, not x.pdf\n"
    )
    assert refused(shared_venv, 2, "--json", gone / "x", tree) == (
        f"{said}can't write {gone / 'x'}: no such directory\n"
    )
    assert "invalid" in refused(shared_venv, 2, "--emulate-latency", "-1", tree)
    # A virtual environment of the tests has no matplotlib.
    assert refused(shared_venv, 1, "--plot", "x.svg", tree) == (
        f"{said}--plot needs matplotlib: pip install 'fastpath-import[plot]'\n"
    )
    nowhere = {"FASTPATH_TESTBED": str(tree), "PATH": str(tree)}
    assert refused(shared_venv, 1, "--emulate-latency", "1", tree, env=nowhere).startswith(
        f"{said}--emulate-latency needs slowfs of fastpath's sources, in FASTPATH_TESTBED or on "
    )


def test_interrupted_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tree: Path
) -> None:
    def interrupted(asked: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_bench, "bench", interrupted)
    assert _cli.main(["bench", str(tree)]) == 130
    assert capsys.readouterr().err == "fastpath: error: bench: interrupted\n"


def test_what_needs_root_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_bench_slow, "_DROP_CACHES", tmp_path / "gone")
    with pytest.raises(Problem, match="--cold needs root"):
        _bench.bench(_bench.Asked([str(tmp_path)], cold=True))
    (tmp_path / "slowfs").touch(mode=0o755)
    monkeypatch.setenv("FASTPATH_TESTBED", str(tmp_path))
    monkeypatch.setattr(_bench_slow, "_FUSE", tmp_path / "gone")
    with pytest.raises(Problem, match=r"--emulate-latency needs .*gone"):
        _bench.bench(_bench.Asked([str(tmp_path)], latency_ms=1))


def test_cold_forgets_before_each_sample(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tree: Path
) -> None:
    drops = tmp_path / "drop_caches"
    drops.touch()
    written: list[str] = []
    monkeypatch.setattr(_bench_slow, "_DROP_CACHES", drops)
    monkeypatch.setattr(_bench_slow, "drop_caches", lambda: written.append("3"))
    told = _bench.bench(_bench.Asked([str(tree)], quick=True, cold=True))
    cold = [row for row in told["mounts"][0]["measured"] if row["state"] == "cold"]
    assert {(row["kind"], row["batch"]) for row in cold} == {
        *(("hits", 10), ("misses", 10), ("misses", 100), ("misses", 1000))
    }
    # Each engine in each round, the round that compares answers, and serial's answers themselves.
    engines = len({row["label"] for row in cold})
    rounds = sum(row["rounds"] for row in cold) + len(cold)
    assert len(written) == rounds + len(cold) // engines


def test_latency_is_emulated_and_taken_away_again(shared_venv: Venv, tree: Path) -> None:
    need("fuse")
    testbed = os.environ.get("FASTPATH_TESTBED", "")
    if not Path(testbed, "slowfs").exists():
        pytest.skip("skipped: slowfs: the testbed is not built (cargo build -p testbed)")
    arguments = ("bench", "--quick", "--json", "-", "--emulate-latency", "1", tree)
    result = shared_venv.fastpath(*arguments, env={"FASTPATH_TESTBED": testbed})
    assert (result.returncode, result.stderr) == (0, "")
    (mount,) = json.loads(result.stdout)["mounts"]
    assert (mount["mount"], mount["type"], mount["emulated_ms"]) == (str(tree), "slowfs", 1)
    assert mount["latency_us"] >= 1000
    assert not Path(mount["directories"][0]).exists()


def test_plot_draws_what_was_measured(tmp_path: Path, tree: Path) -> None:
    pytest.importorskip("matplotlib", reason="skipped: matplotlib is not installed")
    told = _bench.bench(_bench.Asked([str(tree)], quick=True))
    for name, magic in (("plot.svg", b"<?xml"), ("plot.png", b"\x89PNG")):
        _bench_plot.check(tmp_path / name)
        _bench_plot.draw(told, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(magic)


class Terminal:
    """A stream that is one, or is not."""

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal, self.text = is_terminal, ""

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        pass


def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    for is_terminal in (True, False):
        stream = Terminal(is_terminal)
        progress = Progress(2, stream)  # type: ignore[arg-type]
        progress.step("one")
        progress.step("x" * 100)
        progress.clear()
        if not is_terminal:
            assert stream.text == ""
            continue
        lines = stream.text.split("\r")
        assert lines[1] == "[....................]   0 %  one\x1b[K"
        assert lines[2].startswith("[##########..........]  50 %  xxx")
        assert max(len(line.removesuffix("\x1b[K")) for line in lines) == 59
        assert lines[-1] == "\x1b[K"
    Progress(1, None).step("nobody hears it")
