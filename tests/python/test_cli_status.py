"""``status``: what it tells, and what it takes for an error."""

import json
from typing import Any

import pytest

from fastpath._startup import MARK
from support import Venv


def status(venv: Venv, env: dict[str, str] | None = None, *flags: str) -> dict[str, Any]:
    result = venv.run(*flags, "-m", "fastpath", "status", "--json", env=env)
    assert (result.returncode, result.stderr) == (0, "")
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_not_enabled(shared_venv: Venv) -> None:
    told = status(shared_venv)
    assert (told["enabled"], told["active"], told["turned_off"]) == ([], False, False)
    assert set(told["counters"].values()) == {0}
    assert told["settings"]["backend"] == {"value": "auto", "origin": "default"}


def test_enabled(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    told = status(venv)
    assert (told["enabled"], told["active"]) == ([str(venv.pth)], True)
    assert told["counters"]["lookups"] > 0
    assert sorted(told["backends"]) == ["serial", "threads", "uring"]
    assert told["backends"]["serial"] is None


def test_turned_off_is_not_a_problem(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    told = status(venv, {"FASTPATH": "0"})
    assert (told["active"], told["turned_off"]) == (False, True)
    assert "no: FASTPATH=0" in venv.fastpath("status", env={"FASTPATH": "0"}).stdout


def test_settings_tell_where_they_come_from(venv: Venv) -> None:
    env = {"FASTPATH_BACKEND": "threads"}
    assert status(venv, env)["settings"]["backend"] == {
        "value": "threads",
        "origin": "FASTPATH_BACKEND",
    }
    assert status(venv, env, "-E")["settings"]["backend"]["origin"] == "default"
    code = "import fastpath; fastpath.install(backend='serial', freshness='sealed')\n"
    (venv.site / "zz.pth").write_text(code)
    assert status(venv, env)["settings"] == {
        "backend": {"value": "serial", "origin": "argument"},
        "freshness": {"value": "sealed", "origin": "argument"},
        "cache": {"value": "auto", "origin": "default"},
    }


def test_enabled_but_not_active_is_a_problem(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    (venv.site / "zz.pth").write_text("import fastpath; fastpath.uninstall()\n")
    result = venv.fastpath("status")
    assert result.returncode == 1
    assert result.stderr.startswith(f"fastpath: error: enabled by {venv.pth}, but not active")


def test_foreign_file_is_told(venv: Venv) -> None:
    venv.pth.write_text("# of somebody else\n")
    told = status(venv)
    assert (told["enabled"], told["foreign"]) == ([], [str(venv.pth)])


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("FASTPATH", "off", "0, 1"),
        ("FASTPATH_BACKEND", "uringg", "auto, serial, threads, uring"),
        ("FASTPATH_FRESHNESS", "never", "auto, strict, sealed"),
    ],
)
def test_invalid_variable(shared_venv: Venv, name: str, value: str, allowed: str) -> None:
    result = shared_venv.fastpath("status", env={name: value})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"fastpath: error: {name} is {value!r}; allowed: {allowed}\n"
    assert status(shared_venv, {name: value}, "-E")["settings"]["backend"]["value"] == "auto"


def test_an_empty_variable_is_an_unset_one(shared_venv: Venv) -> None:
    assert status(shared_venv, {"FASTPATH": "", "FASTPATH_BACKEND": ""}) == status(shared_venv)


def test_text_lines_up(venv: Venv) -> None:
    venv.pth.write_text(MARK)
    lines = venv.fastpath("status").stdout.splitlines()
    at = lines.index("counters of this process")
    head, counters = lines[:at], lines[at + 1 :]
    assert {line[:11].rstrip() for line in head} >= {"version", "enabled", "backend", "engine"}
    assert all(line[9:11] == "  " and line[11] != " " for line in head)
    assert len({len(line) for line in counters}) == 1
    titles = [line[2:14].strip() for line in counters if line[2] != " "]
    assert titles == ["finding", "loading", "filesystem", "look-ahead", "shared table", "time, ms"]
    told = json.loads(venv.fastpath("status", "--json").stdout)
    assert len(counters) == len(told["counters"]) + len(told["seconds"])


def test_seconds_are_those_of_the_stats(shared_venv: Venv) -> None:
    told = status(shared_venv)
    assert set(told["seconds"]) == {"find", "stat", "read", "unmarshal"}
    assert set(told["seconds"].values()) == {0.0}
