"""``explain``: what it tells of names that are and are not there, executing nothing."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support import Python, Venv, make_venv, run_python


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
    headline, head, *rows, bytecode, _loading = result.stdout.splitlines()
    assert bytecode.startswith("  bytecode: ")
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


SOURCE = "raise SystemExit('executed')\n"


def compiled(venv: Venv, mode: str = "TIMESTAMP") -> Path:
    """A module of this venv, compiled; returns its bytecode file."""
    source = venv.site / "subject.py"
    source.write_text(SOURCE)
    code = (
        "import py_compile as p, sys; "
        "print(p.compile(sys.argv[1], invalidation_mode=p.PycInvalidationMode[sys.argv[2]]))"
    )
    result = venv.run("-c", code, source, mode)
    assert result.returncode == 0, result.stderr
    return Path(result.stdout.strip())


def bytecode(venv: Venv, *flags: str, name: str = "subject") -> dict[str, Any]:
    result = venv.run(*flags, "-m", "fastpath", "explain", "--json", name)
    assert result.returncode == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)[0]["bytecode"]
    return told


def test_fresh_bytecode_and_its_cost(each_python: Python, tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    path = compiled(venv)
    told = bytecode(venv)
    assert (told["path"], told["state"]) == (str(path), "fresh")
    assert (told["loaded_by"], told["why_stock"]) == ("fastpath", None)
    assert min(told[f"{part}_us"] for part in ("stat", "read", "unmarshal")) > 0


def later(venv: Venv, _path: Path) -> None:
    os.utime(venv.site / "subject.py", (0, 1_000_000_000))


def longer(venv: Venv, _path: Path) -> None:
    source = venv.site / "subject.py"
    before = source.stat()
    source.write_text(SOURCE + "# more\n")
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))


def foreign(_venv: Venv, path: Path) -> None:
    path.write_bytes(b"\0\0\r\n" + path.read_bytes()[4:])


def odd_flags(_venv: Venv, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:4] + b"\4" + path.read_bytes()[5:])


def short(_venv: Venv, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:10])


def cut(_venv: Venv, path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20])


def gone(_venv: Venv, path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize(
    ("change", "state"),
    [
        (later, "stale by time"),
        (longer, "stale by size"),
        (foreign, "other magic number"),
        (odd_flags, "not understood"),
        (short, "not understood"),
        (cut, "not understood"),
        (gone, "missing"),
    ],
)
def test_bytecode_that_is_not_good_stays_as_it_is(
    shared_venv: Venv, change: Any, state: str
) -> None:
    path = compiled(shared_venv)
    change(shared_venv, path)
    before = path.read_bytes() if path.exists() else None
    told = bytecode(shared_venv)
    assert (told["state"], told["loaded_by"]) == (state, "stock")
    assert told["why_stock"]
    assert (told["stat_us"], told["read_us"], told["unmarshal_us"]) == (None, None, None)
    assert (path.read_bytes() if path.exists() else None) == before


@pytest.mark.parametrize(
    ("mode", "setting", "state"),
    [
        ("CHECKED_HASH", "default", "hash-checked"),
        ("CHECKED_HASH", "never", "hash-unchecked"),
        ("UNCHECKED_HASH", "default", "hash-unchecked"),
        ("UNCHECKED_HASH", "always", "hash-checked"),
    ],
)
def test_bytecode_by_hash(shared_venv: Venv, mode: str, setting: str, state: str) -> None:
    compiled(shared_venv, mode)
    flags = ("--check-hash-based-pycs", setting)
    is_checked = state == "hash-checked"
    told = bytecode(shared_venv, *flags)
    fresh = f"{state}, fresh" if is_checked else state
    assert (told["state"], told["loaded_by"]) == (fresh, "fastpath")
    (shared_venv.site / "subject.py").write_text(SOURCE + "# more\n")
    told = bytecode(shared_venv, *flags)
    changed = (f"{state}, stale", "stock") if is_checked else (state, "fastpath")
    assert (told["state"], told["loaded_by"]) == changed


def test_stock_decides_and_says_why(shared_venv: Venv, tmp_path: Path) -> None:
    compiled(shared_venv)
    prefix = f"pycache_prefix={tmp_path}"
    assert bytecode(shared_venv, "-X", prefix)["state"] == "missing"
    result = run_python(
        ["-X", prefix, "-m", "compileall", "-q", shared_venv.site / "subject.py"],
        python=shared_venv.python,
    )
    assert result.returncode == 0, result.stderr
    told = bytecode(shared_venv, "-X", prefix)
    assert told["path"].startswith(str(tmp_path))
    assert (told["state"], told["loaded_by"]) == ("fresh", "stock")
    assert told["why_stock"] == "sys.pycache_prefix is set"


def test_bytecode_is_of_sources_only(venv: Venv) -> None:
    told = explain(venv, "portion", "sys", "nosuch", "pack", code=1)
    assert [e["bytecode"] is None for e in told] == [True, True, True, False]


def test_looking_at_bytecode_imports_nothing(shared_venv: Venv) -> None:
    compiled(shared_venv)
    code = (
        "import sys; from fastpath import _explain\n"
        "_explain.explain(['json'])  # what it needs itself\n"
        "before = set(sys.modules); told = _explain.explain(['subject'])\n"
        "print(told[0].bytecode['loaded_by'], set(sys.modules) - before)\n"
    )
    assert shared_venv.run("-c", code).stdout == "fastpath set()\n"
