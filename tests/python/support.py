"""What the Python tests share: interpreters, environments, child processes, optional features.

Starts children from lists of arguments and with an environment of its own making, so that the
variables of whoever runs the tests decide nothing. May be imported by every test.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import browser
import pytest

import fastpath

OLDEST = (3, 10)
SECONDS = 240  # a child that takes longer hangs; a busy machine may take a while
PACKAGE = Path(fastpath.__file__).parent

Result = subprocess.CompletedProcess[str]


class Python(NamedTuple):
    """An interpreter to test with."""

    path: Path
    version: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.version[0]}.{self.version[1]}"


class Venv(NamedTuple):
    """A virtual environment without pip, with fastpath copied into its site-packages."""

    python: Python
    site: Path

    @property
    def pth(self) -> Path:
        return self.site / "fastpath.pth"

    def run(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
        return run_python(arguments, env, self.python)

    def fastpath(self, *arguments: str | Path, env: Mapping[str, str] | None = None) -> Result:
        return self.run("-m", "fastpath", *arguments, env=env)

    def is_active(self, *flags: str, env: Mapping[str, str] | None = None) -> bool:
        """Whether an interpreter comes up with fastpath, told without importing it."""
        code = (
            "import sys; native = sys.modules.get('fastpath._native'); "
            "print(native is not None and native.is_installed())"
        )
        result = self.run(*flags, "-c", code, env=env)
        assert (result.returncode, result.stderr) == (0, "")
        return {"True\n": True, "False\n": False}[result.stdout]


def here() -> Python:
    """The interpreter that runs the tests."""
    return Python(Path(sys.executable), sys.version_info[:2])


def run_python(
    arguments: Sequence[str | Path],
    env: Mapping[str, str] | None = None,
    python: Python | None = None,
    **options: Any,
) -> Result:
    """Run an interpreter (ours by default) with ``env`` added to a clean environment."""
    command = [(python or here()).path, *arguments]
    options = {"capture_output": True, "text": True, "timeout": SECONDS, "check": False} | options
    return subprocess.run(command, env=clean_environment() | dict(env or {}), **options)


def clean_environment() -> dict[str, str]:
    """This process's environment without anything meant for Python or for fastpath."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FASTPATH"))}


def make_venv(directory: Path, python: Python | None = None, *flags: str) -> Venv:
    """Make a virtual environment with fastpath in it; ``flags`` go to ``python -m venv``."""
    base = python or here()
    made = run_python(["-m", "venv", "--without-pip", *flags, directory], python=base)
    assert made.returncode == 0, made.stderr
    bin_, lib = ("Scripts", "Lib") if os.name == "nt" else ("bin", f"lib/python{base.name}")
    site = directory / lib / "site-packages"
    shutil.copytree(PACKAGE, site / "fastpath", ignore=shutil.ignore_patterns("__pycache__"))
    return Venv(Python(directory / bin_ / "python", base.version), site)


@cache
def find_pythons() -> tuple[Python, ...]:
    """Find one CPython of each version from 3.10 on, oldest first.

    Looks at FASTPATH_TEST_PYTHONS (paths, separated as in PATH), at the interpreter that runs
    the tests, at pyenv's versions and at PATH; the first of a version wins.
    """
    found: dict[tuple[int, int], Python] = {}
    for candidate in _candidates():
        python = _identify(candidate)
        if python is not None and python.version >= OLDEST:
            found.setdefault(python.version, python)
    return tuple(found[version] for version in sorted(found))


def _candidates() -> list[Path]:
    named = os.environ.get("FASTPATH_TEST_PYTHONS", "").split(os.pathsep)
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    pyenv = sorted((root / "versions").glob("3.*/bin/python"))
    # pyenv's shims answer for whichever version is selected, or not at all.
    path = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if "shims" not in p]
    on_path = [folder / f"python3.{minor}" for minor in range(10, 30) for folder in path]
    everything = [*(Path(name) for name in named if name), here().path, *pyenv, *on_path]
    return [candidate for candidate in everything if candidate.exists()]


def _identify(path: Path) -> Python | None:
    code = "import sys, json; print(json.dumps([sys.implementation.name, sys.version_info[:2]]))"
    try:
        result = run_python(["-I", "-c", code], python=Python(path, OLDEST))
        name, (major, minor) = json.loads(result.stdout)
    except (OSError, ValueError):
        return None
    return Python(path, (major, minor)) if name == "cpython" else None


def _no_fuse() -> str | None:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse cannot be opened"
    return None if os.geteuid() == 0 else "mounting needs root"


def _no_other_pythons() -> str | None:
    if len(find_pythons()) > 1:
        return None
    return f"no CPython but {here().name} was found (see FASTPATH_TEST_PYTHONS)"


def _no_python315() -> str | None:
    if any(python.version >= (3, 15) for python in find_pythons()):
        return None
    return "no CPython 3.15 was found (see FASTPATH_TEST_PYTHONS)"


def _no_unwritable() -> str | None:
    if os.geteuid() != 0:
        return None
    try:
        made = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False)
    except OSError:
        return "root writes everywhere, and there is no unshare to make a read-only mount"
    return None if made.returncode == 0 else "root writes everywhere, and unshare is refused"


# Each optional feature, with what tells why it is missing here, or None.
FEATURES: dict[str, Callable[[], str | None]] = {
    "browser": lambda: None if browser.find() else "chromium is not installed",
    "fuse": _no_fuse,
    "strace": lambda: None if shutil.which("strace") else "strace is not installed",
    "pythons": _no_other_pythons,
    "python3.15": _no_python315,
    "unwritable": _no_unwritable,
    "root": lambda: None if os.name == "posix" and os.geteuid() == 0 else "this is not root",
    "uring": lambda: fastpath.backends()["uring"],
}


def need(feature: str) -> None:
    """Skip the test, saying why, if this machine lacks the feature.

    Fail instead if FASTPATH_REQUIRE (names separated by commas) lists it.
    """
    reason = FEATURES[feature]()
    if reason is None:
        return
    required = os.environ.get("FASTPATH_REQUIRE", "").replace(" ", "").split(",")
    if feature in required:
        pytest.fail(f"FASTPATH_REQUIRE lists {feature}, but {reason}", pytrace=False)
    pytest.skip(f"skipped: {feature}: {reason}")


def unwritable(directory: Path) -> list[str]:
    """Return the words to put before a command so that it cannot write into ``directory``.

    As root, to whom permissions mean nothing, by a read-only mount of the command's own.
    """
    need("unwritable")
    if os.geteuid() != 0:
        directory.chmod(0o555)
        return []
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    return ["unshare", "--mount", "sh", "-c", script, str(directory)]
