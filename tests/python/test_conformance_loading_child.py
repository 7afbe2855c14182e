"""Loading in interpreters of its own: auditing, -v, flags, environment, threads, many processes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from test_conformance import open_to_all

from support import run_python

CHILD = Path(__file__).with_name("loading_child.py")


@pytest.mark.parametrize("flags", [[], ["-v"]], ids=["silent", "verbose"])
@pytest.mark.parametrize("how", ["auto-auto", "strict-serial"])
def test_what_is_heard_is_the_same(how: str, flags: list[str], tmp_path: Path) -> None:
    base = open_to_all(tmp_path)
    done = run_python([*flags, CHILD, *how.split("-"), base])
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert not result["differences"], "\n".join(result["different"])
    assert result["heard"] > 5000, result
    assert result["verbose"] == len(flags)
    assert sys.version_info >= (3, 10)
