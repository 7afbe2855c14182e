"""A virtual environment with real packages in it, made once and kept under ``build/test-env``.

The packages are those of ``requirements/envs.txt``, and three projects of ours installed editable:
one by a path in a ``.pth``, one by a finder of setuptools', one as a portion of a namespace. Made
anew when the requirements, the projects or the interpreter change. Skips the test where the package
index cannot be reached. Used by ``test_differential.py`` only.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "build" / "test-env"
REQUIREMENTS = ROOT / "requirements" / "envs.txt"

# The very layouts for which setuptools chooses one kind of editable install or another.
PROJECTS = {
    "by-path": {
        "pyproject.toml": '[project]\nname = "by-path"\nversion = "1"\n'
        '[tool.setuptools.packages.find]\nwhere = ["src"]\n',
        "src/by_path/__init__.py": "",
        "src/by_path/inner/__init__.py": "",
        "src/by_path/inner/module.py": "",
    },
    "by-finder": {
        "pyproject.toml": '[project]\nname = "by-finder"\nversion = "1"\n[tool.setuptools]\n'
        'packages = ["by_finder", "by_finder.inner"]\n'
        'py-modules = ["by_finder_alone"]\n'
        '[tool.setuptools.package-dir]\nby_finder = "lib"\n"by_finder.inner" = "other/inner"\n',
        "lib/__init__.py": "",
        "lib/module.py": "",
        "other/inner/__init__.py": "",
        "by_finder_alone.py": "",
    },
    "by-portion": {
        "pyproject.toml": '[project]\nname = "by-portion"\nversion = "1"\n[tool.setuptools]\n'
        'packages = ["azure.ours", "own_space.part"]\n'
        '[tool.setuptools.package-dir]\n"azure.ours" = "a"\n"own_space.part" = "o"\n',
        "a/__init__.py": "",
        "a/module.py": "",
        "o/__init__.py": "",
    },
}


def environment() -> Path:
    """The interpreter of the environment, which is made if need be."""
    home = PLACE / f"cpython-{sys.version_info[0]}.{sys.version_info[1]}"
    stamp = home / "made-of"
    wanted = _digest()
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(home, ignore_errors=True)
        _make(home)
        stamp.write_text(wanted)
    return home / "bin" / "python"


def _digest() -> str:
    whole = (sys.version, REQUIREMENTS.read_text(), sorted(map(repr, PROJECTS.items())))
    return hashlib.sha256(repr(whole).encode()).hexdigest()


def _make(home: Path) -> None:
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", home], check=True)
    pip: list[str | Path] = [
        home / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]
    _install([*pip, "--only-binary", ":all:", "-r", REQUIREMENTS])
    for name, files in PROJECTS.items():
        for where, text in files.items():
            path = home / "projects" / name / where
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        _install([*pip, "--editable", home / "projects" / name])


def _install(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    unreachable = ("NewConnectionError", "ConnectTimeout", "Temporary failure in name resolution")
    if any(sign in done.stderr for sign in unreachable):
        pytest.skip("skipped: the package index cannot be reached")
    assert done.returncode == 0, done.stderr[-2000:]
