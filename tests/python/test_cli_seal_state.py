"""A seal that is no longer right, or not used: ``status`` and ``doctor`` say so, and what to do."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support import Venv, need

SOURCES = ["pack/__init__.py", "pack/inner.py", "pack/deep/module.py"]
REMEDY = "python -m fastpath seal (as it was sealed), or python -m fastpath unseal"


@pytest.fixture
def sealed(venv: Venv) -> Venv:
    """An environment with a package in it, sealed."""
    for name in SOURCES:
        path = venv.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("VALUE = 1\n")
        py_compile.compile(str(path), doraise=True)
    time.sleep(0.05)  # what changes later shows in its date
    assert venv.fastpath("seal").returncode == 0
    return venv


def prefix(venv: Venv) -> Path:
    return venv.python.path.parent.parent


def state(venv: Venv, **env: str) -> Any:
    done = venv.fastpath("status", "--json", env=env)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)["seal"]


def finding(venv: Venv, **env: str) -> Any:
    """What ``doctor`` finds of the seal; its exit status agrees."""
    done = venv.fastpath("doctor", "--json", env=env)
    told = json.loads(done.stdout)
    found = [finding for finding in told["findings"] if finding["check"] == "seal"]
    assert len(found) <= 1
    assert done.returncode == (0 if told["ok"] else 1)
    return found[0] if found else None


def test_without_a_seal_there_is_nothing_to_say(shared_venv: Venv) -> None:
    assert state(shared_venv) is None
    assert finding(shared_venv) is None
    assert "seal " not in shared_venv.fastpath("status").stdout


def test_a_seal_that_is_right(sealed: Venv) -> None:
    told = state(sealed)
    assert (told["path"], told["why"]) == (str(prefix(sealed) / "fastpath.seal"), None)
    assert (told["changed"], told["first"]) == (0, None)
    assert (told["directories"], told["modules"]) == (3, 3)
    assert "3 directories and 3 modules" in sealed.fastpath("status").stdout
    found = finding(sealed)
    assert (found["ok"], found["told"]) == (True, "3 directories and 3 modules, as sealed")
    off = finding(sealed, FASTPATH_CACHE_DIR="off")
    assert (off["ok"], "left out" in off["told"]) == (True, True)


def test_what_makes_a_directory_younger_and_not_another(sealed: Venv) -> None:
    shutil.rmtree(sealed.site / "pack/__pycache__")
    for path in sealed.site.rglob("*"):
        if path.is_dir():
            os.utime(path)
    assert state(sealed)["changed"] == 0


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a new module": (lambda site: (site / "pack/new.py").touch(), "pack"),
    "a new distribution": (lambda site: (site / "some-1.0.dist-info").mkdir(), ""),
    "a module gone": (lambda site: (site / "pack/deep/module.py").unlink(), "pack/deep"),
    "a package gone": (lambda site: shutil.rmtree(site / "pack/deep"), "pack"),
    "a source edited": (lambda site: (site / "pack/inner.py").write_text("V = 2\n"), SOURCES[1]),
    "another of its size": (lambda site: (site / SOURCES[1]).write_text("VALUE = 2\n"), SOURCES[1]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_stale_seal(what: str, sealed: Venv) -> None:
    change, first = CHANGES[what]
    change(sealed.site)
    told = state(sealed)
    assert told["changed"] >= 1
    assert told["first"] == str(sealed.site / first)
    shown = sealed.fastpath("status")
    assert shown.returncode == 0, "it tells of more than this"
    assert "stale: " in shown.stdout
    assert "seal again, or unseal" in shown.stdout
    diagnosed = sealed.fastpath("doctor")
    assert diagnosed.returncode == 1
    assert REMEDY in diagnosed.stdout
    found = finding(sealed)
    assert (found["ok"], found["remedy"]) == (False, REMEDY)
    assert str(sealed.site / first) in found["told"]
    assert sealed.fastpath("seal", "--verify").returncode == 1, "it is not seen where there is none"
    assert sealed.fastpath("seal").returncode == 0
    assert state(sealed)["changed"] == 0


def test_a_seal_that_is_not_used(sealed: Venv) -> None:
    (prefix(sealed) / "fastpath.seal").chmod(0o666)
    assert "write" in state(sealed)["why"]
    assert "not used: " in sealed.fastpath("status").stdout
    assert (finding(sealed)["ok"], finding(sealed)["remedy"]) == (False, REMEDY)


def test_what_it_costs(sealed: Venv, tmp_path: Path) -> None:
    """Nothing is opened: a directory that is not younger than the seal is not listed."""
    need("strace")
    trace = tmp_path / "trace"
    code = "from fastpath import _seal\nassert _seal.state()['changed'] == 0"
    words = ["strace", "-f", "-e", "trace=file,getdents64", "-o", str(trace)]
    program = "import os, sys; os.execvp(sys.argv[1], sys.argv[1:])"
    done = sealed.run("-c", program, *words, sealed.python.path, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    calls = [line for line in trace.read_text().splitlines() if f"{sealed.site}/pack" in line]
    assert [line for line in calls if "open" in line] == []
    assert len(calls) == 2 + len(SOURCES), calls
