"""``explain``: what it tells of names that are and are not there, executing nothing."""

import json
import os
from typing import Any

import pytest

from support import Venv


@pytest.fixture(scope="module")
def venv(shared_venv: Venv) -> Venv:
    package = shared_venv.site / "pack"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('executed')\n")
    (package / "inner.py").write_text("raise SystemExit('executed')\n")
    (shared_venv.site / "portion").mkdir()
    return shared_venv


def explain(venv: Venv, *names: str, code: int = 0) -> list[dict[str, Any]]:
    result = venv.fastpath("explain", "--json", *names)
    assert result.returncode == code, result.stderr
    told: list[dict[str, Any]] = json.loads(result.stdout)
    return told


def test_every_kind_of_answer(venv: Venv) -> None:
    told = explain(venv, "pack", "pack.inner", "portion", "sys", "json.decoder")
    assert [e["answer"] for e in told] == [
        "found",
        "found",
        "namespace",
        "not path based",
        "found",
    ]
    assert told[0]["origin"] == str(venv.site / "pack" / "__init__.py")
    assert told[0]["locations"] == [str(venv.site / "pack")]
    assert told[1]["origin"] == str(venv.site / "pack" / "inner.py")
    assert told[2]["origin"] is None
    assert told[2]["locations"] == [str(venv.site / "portion")]


def test_entries_and_costs_add_up(venv: Venv) -> None:
    (told,) = explain(venv, "portion")
    assert [e["entry"] for e in told["entries"]][-1] == str(venv.site)
    assert told["entries"][-1]["answer"] == "portion"
    assert told["calls"] == sum(e["calls"] for e in told["entries"])


def test_a_second_name_is_answered_from_the_table(venv: Venv) -> None:
    first, second = explain(venv, "nosuch", "nosuch", code=1)
    assert second["calls"] < first["calls"]
    assert {entry["source"] for entry in second["entries"]} == {"table"}


@pytest.mark.parametrize("name", ["nosuch", "pack.nosuch", "nosuch.inner", "sys.x", "a..b"])
def test_absent(venv: Venv, name: str) -> None:
    (told,) = explain(venv, name, code=1)
    assert (told["answer"], told["origin"], told["locations"]) == ("absent", None, None)
    result = venv.fastpath("explain", "pack", name)
    assert result.stderr == f"fastpath: error: not found: {name}\n"
    assert result.stdout.startswith("pack: found, ")


@pytest.mark.parametrize("name", ["", ".relative"])
def test_names_that_are_none(venv: Venv, name: str) -> None:
    result = venv.fastpath("explain", name)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == f"fastpath: error: explain: {name!r} is not an absolute module name\n"


def test_text_is_a_table_with_units(venv: Venv) -> None:
    result = venv.fastpath("explain", "pack")
    headline, head, *rows = result.stdout.splitlines()
    assert headline == f"pack: found, {venv.site / 'pack' / '__init__.py'}"
    assert head.split() == ["entry", "finder", "answer", "source", "calls", "us"]
    assert rows[-1].split()[0] == "total"
    assert {len(row) for row in rows} == {len(head)}


def test_text_with_bytes_that_are_no_text(venv: Venv) -> None:
    odd = os.fsencode(venv.site) + b"/caf\xe9"
    env = {"PYTHONPATH": os.fsdecode(odd), "PYTHONIOENCODING": "ascii"}
    result = venv.fastpath("explain", "pack", env=env)
    assert (result.returncode, result.stderr) == (0, "")
    assert "/caf\\udce9" in result.stdout
