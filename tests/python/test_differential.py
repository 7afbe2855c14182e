"""Every module of a real environment and of the standard library: spec and code as stock.

Each comparison runs in a child, where stock and fastpath answer the same questions side by side.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from children import Children
from environment import PROJECTS, REQUIREMENTS, environment

import fastpath
from support import Python, clean_environment, need

CHILD = Path(__file__).with_name("differential_child.py")
MODES = ["auto-auto", "strict-serial-ahead", "strict-threads", "strict-uring"]

# Packages whose import alone brings in most of the environment.
IMPORTS = """
import sys, json
import attrs, boto3, botocore.session, click, django, django.db.models, flask, google.auth
import google.api, jinja2, jsonschema, markdown_it, numpy, google.protobuf.message, pydantic
import pygments.lexers, requests, rich.console, sphinxcontrib, sqlalchemy.orm, sympy
import tomlkit, zope.event, zope.interface, azure.core, azure.common, azure.ours.module
import by_path.inner.module, by_finder.module, by_finder.inner, by_finder_alone, own_space.part
boto3.client("s3", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")
for name, module in sorted(sys.modules.items()):
    if name.partition(".")[0] not in ("fastpath", "__main__"):
        path = getattr(module, "__path__", None)
        spec = getattr(module, "__spec__", None)
        print(name, getattr(module, "__file__", None), path and list(path), spec)
"""


def compared(python: Path, how: str, boot: Path) -> dict[str, Any]:
    """Run the comparison under `python`; what it printed."""
    env = clean_environment() | {"PYTHONPATH": str(boot)}
    command: list[str | Path] = [python, CHILD, *how.split("-")]
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, Any] = json.loads(done.stdout)
    assert not result["differences"], "\n".join(result["different"])
    return result


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    """A directory with nothing but fastpath in it, fit for any interpreter: the module is abi3."""
    (tmp_path / "fastpath").symlink_to(Path(fastpath.__file__).parent)
    return tmp_path


def test_standard_library(each_python: Python, boot: Path) -> None:
    result = compared(each_python.path, "auto-auto", boot)
    assert result["modules"] > 1000, result
    assert result["packages"] > 50, result
    assert result["loaded"] > 500, result
    assert result["absent"] > 2000, result


@pytest.mark.parametrize("how", MODES)
def test_real_environment(how: str, boot: Path) -> None:
    if "uring" in how:
        need("uring")
    result = compared(environment(), how, boot)
    assert result["modules"] > 5000, result
    assert result["packages"] > 500, result
    assert result["namespaces"] > 50, result
    assert result["loaded"] > 4000, result
    assert result["absent"] > 5000, result
    assert result["lookups"] > result["asked"] / 4, "fastpath was hardly asked"


def test_the_environment_is_a_real_one() -> None:
    packages = [line for line in REQUIREMENTS.read_text().splitlines() if "==" in line]
    assert len(packages) + len(PROJECTS) >= 20
    site = subprocess.run(
        [environment(), "-c", "import sys; print(*sys.path_hooks, *sys.meta_path, *sys.path)"],
        capture_output=True, text=True, check=True, env=clean_environment(),
    ).stdout  # fmt: skip
    assert "_EditableFinder" in site
    assert "__path_hook__" in site
    assert "by-path/src" in site


def test_the_programs_load_the_same(tmp_path: Path) -> None:
    python = [str(environment())]
    children = Children(tmp_path / "boot")
    env = {"PYTHONHASHSEED": "0"}
    done = children.same(["-Wignore", "-c", IMPORTS], cwd=tmp_path, env=env, python=python)
    assert (done.status, done.err) == (0, "")
    assert len(done.out.splitlines()) > 1500
    assert sys.version_info[:2] > (3, 9)
