"""``seal``, ``seal --verify`` and ``unseal``: what they write, leave out and refuse."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fastpath import _native
from support import Python, Result, Venv, make_venv, unwritable

PACKAGE = {
    "pack/__init__.py": "from pack import inner\n",
    "pack/inner.py": "VALUE = 1\n",
    "pack/deep/er/module.py": "def f():\n    return 2\n",
    "pack/data/table.txt": "no module\n",
    "pack/data/more/table.txt": "no module\n",
    "pack/with.dot/module.py": "",
    "alone.py": "import pack.deep.er.module\n",
}


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    """A virtual environment with a package in it, which everybody may read."""
    made = make_venv(tmp_path / "venv")
    fill(made.site)
    return made


def fill(site: Path, files: dict[str, str] = PACKAGE) -> None:
    for name, text in files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        if path.suffix == ".py":
            py_compile.compile(str(path), doraise=True)


def prefix(venv: Venv) -> Path:
    return venv.python.path.parent.parent


def seal_of(venv: Venv) -> Path:
    return prefix(venv) / "fastpath.seal"


def sealed(venv: Venv, *arguments: str | Path, **env: str) -> dict[str, Any]:
    """Seal; return what was said of it."""
    done = venv.fastpath("seal", "--json", *arguments, env=env)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def differences(venv: Venv) -> list[str]:
    """What differs, without the path of site-packages."""
    done = venv.fastpath("seal", "--verify", "--json")
    assert done.stderr == ""
    found: list[str] = json.loads(done.stdout)["differences"]
    assert done.returncode == (1 if found else 0)
    return [line.replace(f"{venv.site}/", "") for line in found]


def refused(result: Result, code: int = 1) -> str:
    assert (result.returncode, result.stdout) == (code, "")
    assert result.stderr.startswith("fastpath: error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def facts(venv: Venv) -> dict[str, _native._SealFactsDirectory]:
    """Every sealed directory by its path below the prefix."""
    found = _native._seal_facts(seal_of(venv), [str(prefix(venv)), sys.base_prefix], True)
    assert found["damaged"] == 0
    by_path = {directory["path"]: directory for directory in found["directories"]}
    top = f"{prefix(venv)}/"
    return {path.removeprefix(top): d for path, d in by_path.items() if path.startswith(top)}


def below_site(venv: Venv) -> dict[str, _native._SealFactsDirectory]:
    """The same by the path below site-packages."""
    site = f"{venv.site.relative_to(prefix(venv))}/"
    return {path.removeprefix(site): d for path, d in facts(venv).items() if path.startswith(site)}


def sources(directory: _native._SealFactsDirectory) -> list[str]:
    return [name.decode() for name, *_ in directory["files"]]


# What it holds


def test_a_seal_holds_the_names_and_the_bytecode_of_all_that_can_be_imported(venv: Venv) -> None:
    told = sealed(venv)
    assert told["path"] == str(seal_of(venv))
    assert told["size"] == seal_of(venv).stat().st_size
    found = below_site(venv)
    assert {path: sources(directory) for path, directory in found.items()} == {
        "pack": ["__init__.py", "inner.py"],
        "pack/deep": [],
        "pack/deep/er": ["module.py"],
    }
    names = dict(found["pack"]["names"])
    assert names == {
        b"__init__.py": "file",
        b"inner.py": "file",
        b"__pycache__": "dir",
        b"deep": "dir",
        b"data": "dir",
        b"with.dot": "dir",
    }
    assert all(directory["sealed"] for directory in found.values())


def test_bytecode_is_what_lies_beside_the_source(venv: Venv) -> None:
    sealed(venv)
    (inner,) = [file for file in below_site(venv)["pack"]["files"] if file[0] == b"inner.py"]
    source = venv.site / "pack/inner.py"
    cached = next((venv.site / "pack/__pycache__").glob("inner.*.pyc"))
    stamp = (0, 0, source.stat().st_size, source.stat().st_mtime_ns, 0)
    assert inner[1] == stamp
    assert inner[4] == cached.read_bytes()


def test_what_has_no_bytecode_is_compiled_and_none_is_written(venv: Venv) -> None:
    cache = venv.site / "pack/__pycache__"
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    shutil.rmtree(cache)
    (venv.site / "pack/broken.py").write_text("def (:\n")
    told = sealed(venv, PYTHONDONTWRITEBYTECODE="1")
    assert not cache.exists()
    found = {name.decode(): data for name, _, _, _, data in below_site(venv)["pack"]["files"]}
    assert list(found) == ["__init__.py", "inner.py"]
    tag = sys.implementation.cache_tag
    assert found["inner.py"] == before[f"inner.{tag}.pyc"]
    assert told["compiled"] >= 2
    broken = {"what": "sources that do not compile", "count": 1}
    assert {**broken, "first": f"{venv.site}/pack/broken.py"} in told["left_out"]
    assert differences(venv) == []


@pytest.mark.parametrize(
    ("mode", "same"),
    [
        (py_compile.PycInvalidationMode.CHECKED_HASH, True),
        (py_compile.PycInvalidationMode.UNCHECKED_HASH, True),
        (py_compile.PycInvalidationMode.CHECKED_HASH, False),
        (py_compile.PycInvalidationMode.TIMESTAMP, False),
    ],
)
def test_bytecode_is_judged_as_stock_judges_it(
    venv: Venv, mode: py_compile.PycInvalidationMode, same: bool
) -> None:
    source = venv.site / "alone.py"
    cached = py_compile.compile(str(source), invalidation_mode=mode, doraise=True)
    assert cached is not None
    if not same:
        source.write_text("import pack.deep.er.module # longer\n")
    assert sealed(venv)["compiled"] == (0 if same else 1)
    site = facts(venv)[str(venv.site.relative_to(prefix(venv)))]
    (data,) = [data for name, *_, data in site["files"] if name == b"alone.py"]
    assert (data == Path(cached).read_bytes()) is same


def test_links_are_what_they_lead_to_and_lead_nowhere_outside(venv: Venv, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    fill(outside, {"secret.py": "SECRET = 1\n", "package/__init__.py": ""})
    site = venv.site
    (site / "inside").symlink_to(site / "pack")
    (site / "round").mkdir()
    (site / "round/module.py").write_text("")
    (site / "round/again").symlink_to(site / "round")
    (site / "secret.py").symlink_to(outside / "secret.py")
    (site / "package").symlink_to(outside / "package")
    (site / "dangling.py").symlink_to(site / "nothing")
    (site / "self").symlink_to(site / "self")
    told = sealed(venv)
    top = dict(facts(venv)[str(site.relative_to(prefix(venv)))]["names"])
    kinds = [top[name] for name in (b"inside", b"secret.py", b"package", b"dangling.py", b"self")]
    assert kinds == ["dir", "file", "dir", "other", "other"]
    found = below_site(venv)
    assert not found.keys() & {"package", "round/again"}
    # The second way to a directory gives its names, and not all its bytes once more.
    assert [sources(found[name]) for name in ("pack", "inside")] == [
        ["__init__.py", "inner.py"],
        [],
    ]
    assert b"SECRET" not in seal_of(venv).read_bytes()
    assert {left["what"]: left["count"] for left in told["left_out"]}[
        "links that lead out of the environment"
    ] == 2
    assert differences(venv) == []


def test_what_not_everybody_may_read_stays_out(venv: Venv) -> None:
    (venv.site / "pack/inner.py").chmod(0o640)
    (venv.site / "pack/deep").chmod(0o750)
    next((venv.site / "pack/__pycache__").glob("__init__.*")).chmod(0o600)
    told = sealed(venv)
    left = {left["what"]: left["count"] for left in told["left_out"]}
    assert left["files and directories that not everybody may read"] >= 3
    found = below_site(venv)
    # Of a source that may be read, what it compiles to is no secret.
    assert {path: sources(directory) for path, directory in found.items()} == {
        "pack": ["__init__.py"]
    }
    assert dict(found["pack"]["names"])[b"inner.py"] == "file"


def test_a_directory_of_too_many_names_is_asked_as_ever(venv: Venv) -> None:
    crowd = venv.site / "crowd"
    fill(venv.site, {"crowd/module.py": ""})
    for number in range(70_000):  # of 255 bytes each: more than the 16 MB that a block may have
        os.symlink("x", crowd / f"{number:0255}")
    told = sealed(venv)
    left = {"what": "directories of too many names", "count": 1, "first": str(crowd)}
    assert left in told["left_out"]
    assert "crowd" not in below_site(venv)
    assert told["directories"] == len(facts(venv))


def test_equal_environments_give_equal_bytes_wherever_they_lie(venv: Venv, tmp_path: Path) -> None:
    assert venv.run("-m", "compileall", "-q", venv.site).returncode == 0
    sealed(venv)
    first = seal_of(venv).read_bytes()
    sealed(venv)
    assert seal_of(venv).read_bytes() == first
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", prefix(venv), copy], check=True)
    moved = Venv(
        venv.python._replace(path=copy / "bin/python"), copy / venv.site.relative_to(prefix(venv))
    )
    assert differences(moved) == []
    sealed(moved)
    assert seal_of(moved).read_bytes() == first


def test_the_seal_is_readable_for_all_and_no_other_file_is_left(venv: Venv) -> None:
    before = set(prefix(venv).iterdir())
    done = venv.run(
        "-c",
        "import os, runpy, sys; os.umask(0o077); sys.argv = ['fastpath', 'seal']; "
        "runpy.run_module('fastpath', run_name='__main__', alter_sys=True)",
    )
    assert done.returncode == 0, done.stderr
    assert set(prefix(venv).iterdir()) - before == {seal_of(venv)}
    assert seal_of(venv).stat().st_mode & 0o7777 == 0o644


def test_a_seal_is_about_as_large_as_the_bytecode_in_it(venv: Venv) -> None:
    shutil.copytree(Path(pytest.__file__).parent.parent / "_pytest", venv.site / "_pytest")
    told = sealed(venv)
    assert told["modules"] > 50
    assert told["bytecode"] < told["size"] <= 1.1 * told["bytecode"]


def test_every_python_seals_and_imports_from_it(each_python: Python, tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    fill(venv.site)
    shutil.rmtree(venv.site / "pack/__pycache__")
    assert venv.fastpath("enable").returncode == 0
    assert venv.run("-m", "compileall", "-q", venv.site / "pack/inner.py").returncode == 0
    told = sealed(venv)
    assert told["compiled"] > 0
    assert differences(venv) == []
    code = (
        "import fastpath; before = fastpath.stats()['table_files']\n"
        "import pack.inner, pack.deep.er.module\n"
        "print(fastpath.stats()['table_files'] - before, pack.inner.__file__)"
    )
    told_code = venv.run("-c", code)
    assert (told_code.stdout, told_code.stderr) == (f"3 {venv.site}/pack/inner.py\n", "")
    by_command = venv.fastpath("seal", "--for", f"{venv.python.path} -c 'import alone'")
    assert (by_command.returncode, by_command.stderr) == (0, "")
    assert differences(venv) == []


# What it is asked for


def test_paths_are_all_that_is_sealed(venv: Venv) -> None:
    told = sealed(venv, venv.site / "pack")
    assert (told["directories"], told["modules"]) == (3, 3)
    assert set(facts(venv)) == {
        f"{venv.site.relative_to(prefix(venv))}/{d}" for d in below_site(venv)
    }


def test_where_it_was_started_is_not_sealed(venv: Venv) -> None:
    own = prefix(venv) / "own"
    own.mkdir()
    (own / "module.py").write_text("")
    done = subprocess.run(
        [venv.python.path, "-m", "fastpath", "seal"], cwd=own, capture_output=True, check=True
    )
    assert done.stderr == b""
    assert "own" not in facts(venv)


def test_for_a_command_only_what_it_imports_in_that_order(venv: Venv, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys; print('said', *sys.argv[1:]); import alone; import pack\n")
    done = venv.fastpath("seal", "--for", f"{venv.python.path} {script} 'a b'")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("said a b\n")
    found = below_site(venv)
    assert {path: sources(directory) for path, directory in found.items()} == {
        "pack": ["__init__.py", "inner.py"],
        "pack/deep": [],
        "pack/deep/er": ["module.py"],
    }
    top = facts(venv)[str(venv.site.relative_to(prefix(venv)))]
    assert sources(top) == ["alone.py"]
    whole = seal_of(venv).read_bytes()
    order = ["alone.py", "pack/__init__.py", "pack/inner.py", "pack/deep/er/module.py"]
    places = [whole.index(bytecode(venv, name)) for name in order]
    assert places == sorted(places)
    assert differences(venv) == []
    # What is sealed need not be asked about ahead.
    found_facts = _native._seal_facts(seal_of(venv), [str(prefix(venv)), sys.base_prefix], False)
    ((program, plan),) = found_facts["plans"]
    assert program == f"script {script}".encode()
    assert not [path for path in plan if path.startswith(str(prefix(venv)))]
    assert [path for path in plan if "encodings" in path]
    assert "directories that cannot be read" not in done.stdout


def bytecode(venv: Venv, source: str) -> bytes:
    path = venv.site / source
    return next((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")).read_bytes()


def test_the_environments_own_sitecustomize_runs_under_for(venv: Venv) -> None:
    fill(venv.site, {"sitecustomize.py": "import alone; print('customized')\n"})
    code = (
        "import sys; print(sys.modules['sitecustomize'].__file__, "
        "[p for p in sys.path if 'seal' in p])"
    )
    done = venv.fastpath("seal", "--for", f'{venv.python.path} -c "{code}"')
    # Once for us, once for the command.
    assert done.stdout.splitlines()[1:3] == ["customized", f"{venv.site}/sitecustomize.py []"]
    assert "alone.py" in sources(facts(venv)[str(venv.site.relative_to(prefix(venv)))])


def test_a_module_that_fails_is_sealed_for_the_command_that_tries_it(venv: Venv) -> None:
    fill(venv.site, {"pack/failing.py": "import no_such_module\n"})
    code = "import pack\ntry: import pack.failing\nexcept ImportError: pass"
    done = venv.fastpath("seal", "--for", f'{venv.python.path} -c "{code}"')
    assert (done.returncode, done.stderr) == (0, "")
    assert sources(below_site(venv)["pack"]) == ["__init__.py", "failing.py", "inner.py"]


def test_a_command_finds_what_is_newer_than_the_seal(venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    sealed(venv)
    fill(venv.site, {"fresh.py": ""})
    code = "import fresh, alone"
    assert "No module named 'fresh'" in venv.run("-c", code).stderr
    done = venv.fastpath("seal", "--for", f"{venv.python.path} -c '{code}'")
    assert (done.returncode, done.stderr) == (0, "")
    assert venv.run("-c", code).returncode == 0


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("PYTHON -c 'import sys; sys.exit(3)'", 1, "ended with exit code 3; nothing was sealed"),
        ("/nothing/there", 1, "cannot run /nothing/there: No such file or directory"),
        ("true", 1, "ran no interpreter"),
        ("PYTHON -I -c pass", 1, "ran no interpreter"),
        ("unfinished '", 2, "is no command"),
        ("", 2, "needs a command"),
    ],
)
def test_a_command_that_tells_nothing_seals_nothing(
    venv: Venv, command: str, code: int, said: str
) -> None:
    command = command.replace("PYTHON", str(venv.python.path))
    assert said in refused(venv.fastpath("seal", "--for", command), code)
    assert not list(prefix(venv).glob("*fastpath*"))


# What it refuses


def test_it_refuses_what_lies_elsewhere(venv: Venv, tmp_path: Path) -> None:
    assert "is below neither" in refused(venv.fastpath("seal", tmp_path))
    assert "is not a directory" in refused(venv.fastpath("seal", venv.site / "alone.py"))
    assert not seal_of(venv).exists()


def test_it_refuses_where_it_may_not_write(venv: Venv) -> None:
    words = unwritable(prefix(venv))
    done = subprocess.run(
        [*words, venv.python.path, "-m", "fastpath", "seal"], capture_output=True, text=True
    )
    assert f"{prefix(venv)} is not writable" in refused(done)
    assert not seal_of(venv).exists()


def test_it_refuses_where_interpreters_would_not_read_it(venv: Venv) -> None:
    prefix(venv).chmod(0o775)
    said = refused(venv.fastpath("seal"))
    assert "interpreters would not use" in said
    assert "others than its owner may write to it" in said
    assert not list(prefix(venv).glob("*fastpath*"))


@pytest.mark.parametrize("option", ["--base", "--for=true", "."])
def test_verify_goes_alone(venv: Venv, option: str) -> None:
    assert "--verify goes with no" in refused(venv.fastpath("seal", "--verify", option), 2)


# Verifying


def test_verify_lists_every_difference(venv: Venv) -> None:
    sealed(venv)
    assert differences(venv) == []
    pack = venv.site / "pack"
    (pack / "new.py").write_text("")
    (pack / "inner.py").unlink()
    (pack / "deep/er/module.py").write_text("changed = True\n")
    shutil.rmtree(pack / "data")
    (pack / "data").write_text("a file now")
    os.utime(venv.site / "alone.py", (5, 5))
    shutil.rmtree(pack / "__pycache__")
    assert differences(venv) == [
        "alone.py: the source has changed",
        "pack/data: was a dir, is a file",
        "pack/inner.py: gone since it was sealed",
        "pack/new.py: new since it was sealed",
        "pack/inner.py: it is gone, cannot be read or does not compile",
        "pack/deep/er/module.py: the source has changed",
    ]
    done = venv.fastpath("seal", "--verify")
    assert done.stdout.splitlines()[-1].endswith("modules, 6 differences")


def test_verify_sees_other_bytecode_for_the_same_source(venv: Venv) -> None:
    sealed(venv)
    source = venv.site / "pack/inner.py"
    found = source.stat()
    source.write_text("VALUE = 2\n")
    os.utime(source, ns=(found.st_atime_ns, found.st_mtime_ns))
    py_compile.compile(str(source), doraise=True)
    assert differences(venv) == ["pack/inner.py: its bytecode is another one now"]


def test_verify_sees_damage(venv: Venv) -> None:
    sealed(venv)
    whole = seal_of(venv).read_bytes()
    at = whole.index(bytecode(venv, "pack/inner.py")) + 20
    seal_of(venv).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    assert differences(venv) == ["pack/inner.py: its bytecode is damaged in the seal"]


def test_verify_refuses_what_no_interpreter_uses(venv: Venv) -> None:
    assert "there is no seal" in refused(venv.fastpath("seal", "--verify"))
    sealed(venv)
    assert "for another interpreter" in refused(
        venv.run("-O", "-m", "fastpath", "seal", "--verify")
    )
    seal_of(venv).chmod(0o664)
    assert "others than its owner" in refused(venv.fastpath("seal", "--verify"))
    seal_of(venv).chmod(0o644)
    whole = seal_of(venv).read_bytes()
    seal_of(venv).write_bytes(whole[:-9])
    assert "it is damaged" in refused(venv.fastpath("seal", "--verify"))


# Unsealing


def test_unseal_removes_what_seal_wrote_and_nothing_else(venv: Venv) -> None:
    sealed(venv)
    assert venv.fastpath("unseal").stdout == f"{seal_of(venv)}: removed\n"
    assert not seal_of(venv).exists()
    again = venv.fastpath("unseal", "--json")
    assert (again.returncode, json.loads(again.stdout)) == (
        0,
        {"path": str(seal_of(venv)), "removed": False},
    )
    seal_of(venv).write_text("somebody else's")
    assert "was not written by fastpath" in refused(venv.fastpath("unseal"))
    assert seal_of(venv).read_text() == "somebody else's"


def test_a_damaged_seal_can_be_removed_and_replaced(venv: Venv) -> None:
    sealed(venv)
    seal_of(venv).write_bytes(seal_of(venv).read_bytes()[:100])
    sealed(venv)
    assert differences(venv) == []
    seal_of(venv).write_bytes(seal_of(venv).read_bytes()[:100])
    assert venv.fastpath("unseal").returncode == 0


# What people see


def test_it_says_what_was_sealed(venv: Venv) -> None:
    done = venv.fastpath("seal")
    assert done.stderr == ""
    assert [line.split("  ")[0] for line in done.stdout.splitlines()][:6] == [
        "sealed",
        "directories",
        "modules",
        "compiled",
        "size",
        "time",
    ]


def test_a_bar_is_shown_on_a_terminal_only_and_only_of_long_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fastpath import _progress

    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with _progress.Progress("sealing", 4, "directories") as progress:
        progress.step()
        now[0] = 0.9
        progress.step()
        assert capsys.readouterr().err == ""
        now[0] = 1.0
        progress.step()
        assert capsys.readouterr().err.endswith("3 of 4 directories")
    assert capsys.readouterr().err == "\r\x1b[K"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with _progress.Progress("sealing", 4, "directories") as progress:
        now[0] = 9.0
        progress.step()
    assert capsys.readouterr().err == ""
