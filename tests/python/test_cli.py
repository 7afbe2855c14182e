"""The command line as a whole: help, version, and what it may cost to import."""

import subprocess
from importlib.metadata import version

import pytest

import fastpath
from support import Venv, run_python

COMMANDS = ["enable", "disable", "status", "explain", "doctor", "cache", "seal", "unseal"]
COMMANDS += ["bench", "trace", "run"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_and_the_exit_codes(shared_venv: Venv, command: str) -> None:
    result = shared_venv.fastpath(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"usage: python -m fastpath {command}" in result.stdout
    assert f"example: python -m fastpath {command}" in result.stdout
    assert "exit codes:" in result.stdout


def test_help_lists_every_command(shared_venv: Venv) -> None:
    result = shared_venv.fastpath("--help")
    assert result.returncode == 0
    listed = [line.split()[0] for line in result.stdout.splitlines() if line.startswith("    ")]
    assert listed[: len(COMMANDS)] == COMMANDS
    assert "example: python -m fastpath enable" in result.stdout


def test_version(shared_venv: Venv) -> None:
    result = shared_venv.fastpath("--version")
    assert (result.returncode, result.stdout) == (0, f"fastpath {fastpath.__version__}\n")


def test_version_is_the_distributions() -> None:
    assert fastpath.__version__ == version("fastpath-import")


def test_public_names_have_documentation() -> None:
    for name in fastpath.__all__:
        assert getattr(fastpath, name).__doc__, name


def test_install_imports_sys_and_the_native_module_only(shared_venv: Venv) -> None:
    code = (
        "import sys; before = set(sys.modules)\n"
        "import fastpath; fastpath.install()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    result = shared_venv.run("-c", code)
    assert result.stdout == "['fastpath', 'fastpath._native']\n", result.stderr


def test_no_traceback_into_a_closed_pipe(shared_venv: Venv) -> None:
    command = [str(shared_venv.python.path), "-m", "fastpath", "status"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert b"Traceback" not in child.stderr.read()


def test_package_runs_without_being_installed() -> None:
    result = run_python(["-m", "fastpath", "status"])
    assert result.returncode == 0, result.stderr
