"""``enable`` and ``disable`` in fresh environments: what they write, refuse and survive."""

import json
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from fastpath import _enable, _files, _startup, _verify
from fastpath._problem import Problem
from support import Python, Venv, clean_environment, find_pythons, make_venv, need, unwritable


def snapshot(directory: Path) -> dict[str, tuple[int, int]]:
    """Inode and mtime of every file but bytecode: equal only if nothing was touched."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if "__pycache__" not in path.parts and path.is_file()
    }


def refused(result: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """Check that it failed in one line, without a traceback; return that line."""
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith("fastpath: error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def silent(result: subprocess.CompletedProcess[str]) -> bool:
    return (result.returncode, result.stdout, result.stderr) == (0, "", "")


# What it does


def test_every_interpreter_starts_with_it_and_stops_after_disable(
    each_python: Python, tmp_path: Path
) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    assert not venv.is_active()
    enabled = venv.fastpath("enable")
    assert (enabled.returncode, enabled.stderr) == (0, "")
    assert enabled.stdout.splitlines() == [
        f"{venv.pth}: written",
        f"verified: a fresh {venv.python.path} comes up with fastpath installed",
    ]
    assert [venv.is_active(*flags) for flags in ([], ["-I"], ["-E"], ["-s"])] == [True] * 4
    assert silent(venv.run("-W", "error", "-X", "dev", "-c", "pass"))
    assert venv.fastpath("disable").stdout == f"{venv.pth}: removed\n"
    assert not venv.pth.exists()
    assert not venv.is_active()


def test_no_site_no_fastpath(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    assert not venv.is_active("-S")


def test_environment_turns_it_off_unless_it_is_ignored(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    off = {"FASTPATH": "0"}
    assert not venv.is_active(env=off)
    assert venv.is_active("-E", env=off)
    assert venv.is_active("-I", env=off)


def test_enabling_under_fastpath_0_verifies_without_it(venv: Venv) -> None:
    assert venv.fastpath("enable", env={"FASTPATH": "0"}).returncode == 0
    assert venv.is_active()


def test_second_enable_changes_nothing(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    before = snapshot(venv.site)
    again = venv.fastpath("enable", "--json")
    assert json.loads(again.stdout) == {
        "dry_run": False,
        "files": [{"path": str(venv.pth), "change": "unchanged"}],
    }
    assert snapshot(venv.site) == before


def test_text_of_another_version_is_replaced(venv: Venv) -> None:
    venv.pth.write_text(f"{_startup.MARK}import fastpath_of_long_ago\n")
    assert venv.fastpath("enable").stdout.startswith(f"{venv.pth}: written\n")
    assert venv.pth.read_text() == _startup.pth_text()


def test_file_is_readable_by_whom_the_umask_lets(venv: Venv) -> None:
    code = "import os; from fastpath._cli import main; os.umask(0o027); main(['enable'])"
    assert venv.run("-c", code).returncode == 0
    assert stat.S_IMODE(venv.pth.stat().st_mode) == 0o640


def test_startup_line_is_one_import_line() -> None:
    comment, line, end = _startup.pth_text().split("\n")
    assert comment.startswith("#")
    assert line.startswith("import ")
    assert end == ""


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_dry_run_changes_nothing(venv: Venv, command: str) -> None:
    if command == "disable":
        assert venv.fastpath("enable").returncode == 0
    before = snapshot(venv.site)
    told = venv.fastpath(command, "--dry-run")
    verb = "written" if command == "enable" else "removed"
    assert (told.returncode, told.stdout) == (0, f"{venv.pth}: would be {verb}\n")
    assert snapshot(venv.site) == before


def test_disable_when_not_enabled(venv: Venv) -> None:
    result = venv.fastpath("disable")
    assert result.returncode == 0
    assert result.stdout == "nothing to remove: fastpath is not enabled there\n"
    assert json.loads(venv.fastpath("disable", "--json").stdout)["files"] == []


def test_user_site(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", None, "--system-site-packages")
    env = {"PYTHONUSERBASE": str(tmp_path / "user")}
    enabled = venv.fastpath("enable", "--user", "--json", env=env)
    assert enabled.returncode == 0, enabled.stderr
    (file,) = json.loads(enabled.stdout)["files"]
    assert Path(file["path"]).is_relative_to(tmp_path / "user")
    assert not venv.pth.exists()
    assert venv.is_active(env=env)
    assert not venv.is_active()
    assert venv.fastpath("disable", "--user", env=env).returncode == 0
    assert not venv.is_active(env=env)


# What it refuses


def test_user_site_that_is_not_read(venv: Venv) -> None:
    assert "--user" in refused(venv.fastpath("enable", "--user"))


@pytest.mark.parametrize("command", ["enable", "disable"])
@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_foreign_file(venv: Venv, command: str, dry_run: list[str]) -> None:
    venv.pth.write_text("# of somebody else\n")
    before = snapshot(venv.site)
    assert str(venv.pth) in refused(venv.fastpath(command, *dry_run))
    assert venv.pth.read_text() == "# of somebody else\n"
    assert snapshot(venv.site) == before


@pytest.mark.parametrize("command", ["enable", "disable"])
def test_unwritable_directory(venv: Venv, command: str) -> None:
    if command == "disable":
        assert venv.fastpath("enable").returncode == 0
    before = snapshot(venv.site)
    prefix = unwritable(venv.site)
    command_line: list[str | Path] = [*prefix, venv.python.path, "-m", "fastpath", command]
    env = clean_environment()
    result = subprocess.run(command_line, env=env, capture_output=True, text=True, timeout=60)
    line = refused(result)
    assert f"{venv.site} is not writable" in line
    assert snapshot(venv.site) == before


def test_managed_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "EXTERNALLY-MANAGED").touch()
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(tmp_path))
    monkeypatch.setattr(sys, "prefix", sys.base_prefix)
    with pytest.raises(Problem, match="managed by the operating system") as caught:
        _enable.enable(user=False, dry_run=True)
    assert caught.value.code == 1
    changes = _enable.enable(user=False, dry_run=True, break_system_packages=True)
    assert changes == [(tmp_path / "fastpath.pth", "written")]
    # A virtual environment of a managed interpreter is one's own.
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert _enable.enable(user=False, dry_run=True) == changes


def test_start_file_before_it_exists(venv: Venv) -> None:
    if venv.python.version >= _startup.START_SUPPORTED:
        pytest.skip("this CPython reads .start files")
    assert "3.15" in refused(venv.fastpath("enable", "--start-file"))


@pytest.mark.parametrize("arguments", [[], ["enabel"], ["enable", "--usr"], ["explain"]])
def test_usage(shared_venv: Venv, arguments: list[str]) -> None:
    result = shared_venv.fastpath(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert "error:" in result.stderr
    assert "Traceback" not in result.stderr


# What it survives


def test_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    target = tmp_path / "fastpath.pth"
    with pytest.raises(Problem, match="No space left"):
        _files.write(target, b"text")
    assert list(tmp_path.iterdir()) == []


def test_killed_before_the_rename_leaves_nothing_that_is_read(venv: Venv) -> None:
    code = (
        "import os, pathlib, sys\n"
        "pathlib.Path.replace = lambda *_: os._exit(9)\n"
        "from fastpath._cli import main\n"
        "main(['enable'])\n"
    )
    assert venv.run("-c", code).returncode == 9
    assert not venv.pth.exists()
    assert not venv.is_active()
    assert venv.fastpath("enable").returncode == 0
    assert venv.is_active()


def test_unverified_is_taken_back(venv: Venv) -> None:
    (venv.site / "zz.pth").write_text("import fastpath; fastpath.uninstall()\n")
    before = snapshot(venv.site)
    assert "came up without fastpath" in refused(venv.fastpath("enable"))
    assert snapshot(venv.site) == before


def test_unverified_gets_its_former_text_back(venv: Venv) -> None:
    former = f"{_startup.MARK}# of another version\n"
    venv.pth.write_text(former)
    (venv.site / "zz.pth").write_text("import fastpath; fastpath.uninstall()\n")
    refused(venv.fastpath("enable"))
    assert venv.pth.read_text() == former


def test_child_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(Problem, match="cannot start /nonexistent/python"):
        _verify.verify()


def test_start_does_not_make_the_classes_of_ast(each_python: Python, tmp_path: Path) -> None:
    # `compile` makes them when first called, which takes longer than all the rest of our start.
    venv = make_venv(tmp_path / "venv", each_python)
    assert venv.fastpath("enable").returncode == 0
    code = (
        "there = lambda: 'AST' in [kind.__name__ for kind in object.__subclasses__()]\n"
        "print(there()); compile('', '', 'exec'); print(there())"
    )
    assert venv.run("-c", code).stdout == "False\nTrue\n"


def test_leftover_after_uninstallation_is_silent(each_python: Python, tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    assert venv.fastpath("enable").returncode == 0
    shutil.rmtree(venv.site / "fastpath")
    assert silent(venv.run("-W", "error", "-c", "import json"))
    told = venv.run("-c", "pass", env={"FASTPATH_DEBUG": "1"}).stderr.splitlines()
    # Up to 3.13 `site` reads the .pth files of a virtual environment twice.
    assert set(told) == {"fastpath: not started: No module named 'fastpath'"}
    assert silent(venv.run("-E", "-c", "pass", env={"FASTPATH_DEBUG": "1"}))


def test_broken_native_module_is_silent(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    (native,) = (venv.site / "fastpath").glob("_native*.so")
    native.write_bytes(b"not a shared object")
    assert silent(venv.run("-c", "import json"))
    assert "not started" in venv.run("-c", "pass", env={"FASTPATH_DEBUG": "1"}).stderr


def test_any_failure_of_the_native_module_is_silent(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    (native,) = (venv.site / "fastpath").glob("_native*.so")
    native.unlink()
    (venv.site / "fastpath" / "_native.py").write_text(
        "class Panic(BaseException): pass\nraise Panic\n"
    )
    assert silent(venv.run("-c", "import json"))


def test_subinterpreters_are_left_alone(each_python: Python, tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    assert venv.fastpath("enable").returncode == 0
    code = (
        "try: import _interpreters as module\n"
        "except ImportError: import _xxsubinterpreters as module\n"
        "run = getattr(module, 'run_string', None) or module.exec\n"
        "other = module.create()\n"
        "failed = run(other, 'import json.tool, email.message')\n"
        "assert failed is None, failed\n"
        "module.destroy(other)\n"
        "import fastpath; assert fastpath.is_installed()\n"
    )
    assert silent(venv.run("-c", code))


# PEP 829, from CPython 3.15 on


@pytest.fixture
def venv315(tmp_path: Path) -> Venv:
    need("python3.15")
    newest = [python for python in find_pythons() if python.version >= (3, 15)]
    return make_venv(tmp_path / "venv", newest[0])


def test_start_file_pair_starts_once_and_outlives_uninstallation(venv315: Venv) -> None:
    assert venv315.fastpath("enable", "--start-file").returncode == 0
    names = {path.name for path in venv315.site.iterdir() if path.is_file()}
    assert names == {"fastpath.pth", "fastpath.start", "fastpath_start_hook.py"}
    assert venv315.is_active()
    assert venv315.is_active("-I")
    assert silent(venv315.run("-W", "error", "-X", "dev", "-c", "pass"))
    verbose = venv315.run("-v", "-c", "pass").stderr
    assert "are suppressed due to matching" in verbose
    assert verbose.count("Executing entry point: fastpath_start_hook:start") == 1
    before = snapshot(venv315.site)
    assert venv315.fastpath("enable", "--start-file").returncode == 0
    assert snapshot(venv315.site) == before
    shutil.copytree(venv315.site / "fastpath", venv315.site / "aside")
    shutil.rmtree(venv315.site / "fastpath")
    assert silent(venv315.run("-c", "import json"))
    (venv315.site / "aside").rename(venv315.site / "fastpath")
    assert venv315.fastpath("disable").returncode == 0
    assert [path for path in venv315.site.iterdir() if path.is_file()] == []
    assert not list(venv315.site.rglob("fastpath_start_hook*"))


def test_enable_without_start_file_drops_it(venv315: Venv) -> None:
    assert venv315.fastpath("enable", "--start-file").returncode == 0
    assert venv315.fastpath("enable").returncode == 0
    assert [path.name for path in venv315.site.iterdir() if path.is_file()] == ["fastpath.pth"]
    assert venv315.is_active()
    assert "pkgutil" not in venv315.run("-c", "import sys; print(*sys.modules)").stdout.split()


def test_sitecustomize_is_left_alone(venv: Venv) -> None:
    custom = venv.site / "sitecustomize.py"
    custom.write_text("CUSTOM = 1\n")
    before = custom.stat()
    assert venv.fastpath("enable").returncode == 0
    assert venv.fastpath("disable").returncode == 0
    assert (custom.stat().st_ino, custom.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
