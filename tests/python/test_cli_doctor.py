"""``doctor``: what it finds in environments made to be found fault with."""

import compileall
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from test_look_ahead import slow_mount

import fastpath
from fastpath import _compiled, _doctor, _entries, _mounts
from support import Venv, clean_environment, unwritable


def doctor(venv: Venv, env: dict[str, str] | None = None, *flags: str) -> dict[str, Any]:
    # Whoever runs the tests may have tables of his own, in whatever state.
    env = {"FASTPATH_CACHE_DIR": "off"} | (env or {})
    result = venv.run(*flags, "-m", "fastpath", "doctor", "--json", env=env)
    told: dict[str, Any] = json.loads(result.stdout)
    assert (result.returncode, result.stderr) == (0 if told["ok"] else 1, "")
    return told


def found(told: dict[str, Any], check: str) -> list[dict[str, Any]]:
    return [finding for finding in told["findings"] if finding["check"] == check]


def one(told: dict[str, Any], check: str) -> dict[str, Any]:
    (finding,) = found(told, check)
    return finding


def on_path(*places: Path | str) -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(map(str, places))}


@pytest.fixture(name="venv")
def compiled_venv(venv: Venv) -> Venv:
    """A virtual environment as pip leaves it: with bytecode."""
    return compiled(venv)


@pytest.fixture(scope="module", name="shared_venv")
def compiled_shared_venv(shared_venv: Venv) -> Venv:
    return compiled(shared_venv)


def compiled(venv: Venv) -> Venv:
    assert venv.run("-m", "compileall", "-q", venv.site).returncode == 0
    return venv


@pytest.fixture
def module(tmp_path: Path) -> Path:
    place = tmp_path / "module"
    place.mkdir()
    (place / "mod.py").touch()
    return place


def test_all_is_well(shared_venv: Venv) -> None:
    told = doctor(shared_venv)
    assert told["ok"] is True
    assert [f["check"] for f in told["findings"]] == [
        *("fastpath", "io_uring", "table", "sys.path", "filesystem", "bytecode")
    ]
    assert {finding["remedy"] for finding in told["findings"]} == {None}
    assert told["entries"] == 4  # zip, stdlib, lib-dynload, site-packages
    assert sum(mount["entries"] for mount in told["mounts"]) == 3


def test_missing_entry(shared_venv: Venv, tmp_path: Path) -> None:
    told = doctor(shared_venv, on_path(tmp_path / "gone", tmp_path / "too"))
    assert one(told, "missing") == {
        "check": "missing",
        "ok": False,
        "told": "2 entries not there",
        "places": [str(tmp_path / "gone"), str(tmp_path / "too")],
        "remedy": "take it out of PYTHONPATH",
    }


def test_what_holds_nothing_importable(shared_venv: Venv, tmp_path: Path) -> None:
    barren = tmp_path / "barren"
    for name in ("some-1.0.dist-info", "docs/deep/deeper", "__pycache__"):
        (barren / name).mkdir(parents=True)
    (barren / "docs" / "not-a-module.py").touch()
    (barren / "__pycache__" / "mod.pyc").touch()
    told = doctor(shared_venv, on_path(barren))
    assert one(told, "empty")["places"] == [str(barren)]


@pytest.mark.parametrize(
    "name", ["mod.py", "mod.abi3.so", "mod.pyc", "pkg/__init__.py", "n/s/m.py"]
)
def test_what_holds_one_importable_thing(shared_venv: Venv, tmp_path: Path, name: str) -> None:
    place = tmp_path / "place" / name
    place.parent.mkdir(parents=True)
    place.touch()
    assert found(doctor(shared_venv, on_path(tmp_path / "place")), "empty") == []


def test_a_file_that_is_no_zip(shared_venv: Venv, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    told = doctor(shared_venv, on_path(tmp_path / "file"))
    assert one(told, "no directory")["places"] == [str(tmp_path / "file")]


def test_a_zip_is_well(shared_venv: Venv, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "modules.zip", "w") as archive:
        archive.writestr("mod.py", "")
    assert doctor(shared_venv, on_path(tmp_path / "modules.zip"))["ok"] is True


def test_what_a_hook_answers_for_is_not_missing(venv: Venv) -> None:
    (venv.site / "hooked.pth").write_text(
        "import sys, types, hooked; 'editable-1.0' in sys.path or hooked.begin()\n"
    )
    (venv.site / "hooked.py").write_text(
        "import sys, types\n"
        "def hook(entry):\n"
        "    if entry != 'editable-1.0': raise ImportError\n"
        "    return types.SimpleNamespace(find_spec=lambda *_: None)\n"
        "def begin():\n"
        "    sys.path_hooks.append(hook)\n"
        "    sys.path.append('editable-1.0')\n"
    )
    told = doctor(venv)
    assert (told["ok"], told["entries"]) == (True, 5)


def test_the_same_directory_twice(shared_venv: Venv, module: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(module, target_is_directory=True)
    told = doctor(shared_venv, on_path(module, link))
    assert one(told, "twice")["places"] == [f"{link} is {module}"]


def test_of_the_interpreters_own_the_other_is_to_go(shared_venv: Venv, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(shared_venv.site, target_is_directory=True)
    told = one(doctor(shared_venv, on_path(link)), "twice")
    assert told["places"] == [f"{link} is {shared_venv.site}"]
    assert told["remedy"] == "take it out of PYTHONPATH"


def test_what_the_interpreter_has_twice_is_its_own_affair() -> None:
    own = [
        _entries.Entry(path, "directory", _entries._OURSELVES, (1, 2))
        for path in ("/lib", "/lib64")
    ]
    assert list(_doctor._twice(own)) == []
    (finding,) = _doctor._twice([*own, own[0]._replace(path="/l", origin=None)])
    assert finding["places"] == ["/l is /lib"]


def test_what_a_pth_file_adds_is_taken_out_there(venv: Venv, tmp_path: Path, module: Path) -> None:
    (tmp_path / "void").mkdir()
    pth = venv.site / "more.pth"
    pth.write_text(f"# {tmp_path}/comment\nimport sys\n{module}\n{tmp_path}/void\n")
    told = doctor(venv)
    assert one(told, "empty")["remedy"] == f"take it out of {pth}"
    assert one(told, "empty")["places"] == [f"{tmp_path}/void"]
    (venv.site / "zz.pth").write_text(f"import sys; sys.path.append({str(tmp_path / 'gone')!r})\n")
    remedy = one(doctor(venv), "missing")["remedy"]
    assert remedy.startswith("take it out where it is added: sitecustomize")


def test_relative_items(venv: Venv, tmp_path: Path) -> None:
    told = doctor(
        venv, {"PYTHONPATH": f"{os.pathsep}rel"}, "-P" if sys.version_info >= (3, 11) else "-s"
    )
    assert one(told, "relative")["places"] == ["'' (the working directory)", "rel"]
    (venv.site / "zz.pth").write_text(
        "import sys; 'later' in sys.path or sys.path.append('later')\n"
    )
    told = doctor(venv)
    assert one(told, "relative")["places"] == ["later"]
    assert "stock importlib's" in one(told, "relative")["told"]


def test_the_working_directory_of_the_command_is_left_out(venv: Venv) -> None:
    result = venv.run("-m", "fastpath", "doctor", "--json", env=on_path("/gone"))
    isolated = venv.run("-I", "-m", "fastpath", "doctor", "--json")
    assert json.loads(result.stdout)["entries"] == json.loads(isolated.stdout)["entries"] + 1


def test_a_huge_directory_needs_something_unless_fastpath_is_active(
    venv: Venv, module: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(_doctor._HUGE - 1):
        (module / f"data{number}").touch()
    told = one(doctor(venv, on_path(module)), "huge")
    assert told["places"] == [f"{module}, 5,000 names"]
    assert (told["ok"], told["remedy"][:26]) == (False, "python -m fastpath enable,")
    assert venv.fastpath("enable").returncode == 0
    told = one(doctor(venv, on_path(module)), "huge")
    assert (told["ok"], told["remedy"]) == (True, None)
    (module / "mod.py").rename(module.parent / "mod.py")
    assert found(doctor(venv, on_path(module)), "huge") == []


def test_a_long_path(shared_venv: Venv, tmp_path: Path) -> None:
    places = [tmp_path / f"place{number}" for number in range(_doctor._LONG - 4)]
    for place in places:
        place.mkdir()
        (place / "mod.py").touch()
    told = one(doctor(shared_venv, on_path(*places)), "sys.path")
    assert (told["ok"], told["told"][:11]) == (False, "40 entries:")
    assert one(doctor(shared_venv, on_path(*places[1:])), "sys.path")["ok"] is True


def test_fastpath_enabled_active_and_off(venv: Venv) -> None:
    assert one(doctor(venv), "fastpath")["told"].startswith("not enabled; python -m fastpath")
    assert venv.fastpath("enable").returncode == 0
    assert one(doctor(venv), "fastpath")["told"] == "active in this process"
    assert one(doctor(venv, {"FASTPATH": "0"}), "fastpath")["told"] == "turned off by FASTPATH=0"
    (venv.site / "zz.pth").write_text("import fastpath; fastpath.uninstall()\n")
    told = one(doctor(venv), "fastpath")
    assert (told["ok"], told["remedy"]) == (False, "FASTPATH_DEBUG=1 python -c pass says why")


def test_a_cache_prefix_takes_loading_away(venv: Venv, tmp_path: Path) -> None:
    env = {"PYTHONPYCACHEPREFIX": str(tmp_path)}
    assert all(f["ok"] for f in found(doctor(venv, env), "fastpath"))
    assert venv.fastpath("enable").returncode == 0
    assert [f["ok"] for f in found(doctor(venv, env), "fastpath")] == [True, False]


def test_the_ring_is_wanting_only_if_asked_for() -> None:
    def status(backend: str, why: str | None) -> Any:
        setting = {"value": backend, "origin": "FASTPATH_BACKEND"}
        return {"backends": {"uring": why}, "settings": {"backend": setting}}

    def told(backend: str, why: str | None) -> tuple[bool, str]:
        (finding,) = _doctor._engine(status(backend, why))
        return finding["ok"], finding["told"]

    assert told("uring", None) == (True, "usable")
    assert told("auto", "EPERM") == (True, "not usable: EPERM; engine auto does without")
    assert told("uring", "EPERM") == (False, "not usable: EPERM")


def test_the_table(shared_venv: Venv, tmp_path: Path) -> None:
    place = tmp_path / "cache"
    env = {"FASTPATH_CACHE_DIR": str(place)}
    assert one(doctor(shared_venv, env), "table")["told"] == f"none yet in {place}"
    code = (
        "import os, sys; from fastpath import _native; tables = _native._tables(); "
        "file = tables.place(sys.argv[1])['file']; print(file); "
        "tables.learn(file, [os.path.dirname(_native.__file__)], 1)"
    )
    file = Path(shared_venv.run("-c", code, place).stdout.strip())
    told = one(doctor(shared_venv, env), "table")
    assert (told["ok"], told["told"].split(", ")[1][:16]) == (True, "1 directory and ")
    place.chmod(0o777)
    assert one(doctor(shared_venv, env), "table") == {
        "check": "table",
        "ok": False,
        "told": "not used: others than its owner may write to it (mode 0777)",
        "places": [str(file)],
        "remedy": f"chmod go-w {place} {file}",
    }
    place.chmod(0o700)
    file.write_bytes(file.read_bytes()[:-1])
    told = one(doctor(shared_venv, env), "table")
    assert (told["ok"], told["remedy"]) == (False, "python -m fastpath cache gc")
    assert shared_venv.fastpath("cache", "gc", env=env).returncode == 0
    assert one(doctor(shared_venv, env), "table")["ok"] is True


def test_no_place_for_a_table(shared_venv: Venv) -> None:
    assert one(doctor(shared_venv, {"FASTPATH_CACHE_DIR": "off"}), "table")["ok"] is True
    homeless = {"FASTPATH_CACHE_DIR": "auto", "HOME": "", "XDG_CACHE_HOME": ""}
    told = one(doctor(shared_venv, homeless), "table")
    assert (told["ok"], told["remedy"][:23]) == (False, "set FASTPATH_CACHE_DIR ")
    assert told["told"].endswith("neither XDG_CACHE_HOME nor HOME is an absolute path")


def test_no_table_is_written_where_no_bytecode_is(shared_venv: Venv, tmp_path: Path) -> None:
    env = {"PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": str(tmp_path)}
    told = one(doctor(shared_venv, env | {"FASTPATH_CACHE_DIR": "auto"}), "table")["told"]
    assert told.startswith("none, and PYTHONDONTWRITEBYTECODE")
    told = one(doctor(shared_venv, env | {"FASTPATH_CACHE_DIR": str(tmp_path)}), "table")["told"]
    assert told == f"none yet in {tmp_path}"


def test_installed_modules_without_bytecode(venv: Venv) -> None:
    for number in range(40):
        (venv.site / f"mod{number}.py").touch()
    told = one(doctor(venv), "bytecode")
    assert told["ok"] is False
    assert told["places"] == [str(venv.site)]
    assert told["remedy"] == f"python -m compileall -q {venv.site}"
    told = one(doctor(venv, {"PYTHONDONTWRITEBYTECODE": "1"}), "bytecode")
    assert told["remedy"].startswith("every process compiles them again; unset PYTHONDONT")
    assert venv.run("-m", "compileall", "-q", venv.site).returncode == 0
    assert one(doctor(venv), "bytecode")["ok"] is True


def test_what_is_being_worked_on_needs_no_bytecode(shared_venv: Venv, module: Path) -> None:
    assert one(doctor(shared_venv, on_path(module)), "bytecode")["ok"] is True


def test_what_cannot_be_written_needs_its_owner(shared_venv: Venv, module: Path) -> None:
    command = [*unwritable(module), str(shared_venv.python.path), "-m", "fastpath", "doctor"]
    environment = clean_environment() | on_path(module)
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert "1 of 1 modules have none that is up to date" in done.stdout
    assert f"as the directory's owner: python -m compileall -q {module}" in done.stdout


def test_census_judges_each_header(tmp_path: Path) -> None:
    package = tmp_path / "package" / "inner"
    package.mkdir(parents=True)
    for name in ("fresh", "newer", "never", "cut", "not-a-name"):
        (package / f"{name}.py").write_text("")
        compileall.compile_file(package / f"{name}.py", quiet=1)
    (package / "newer.py").write_text("changed")
    cache = {path.name.split(".")[0]: path for path in (package / "__pycache__").iterdir()}
    cache["never"].unlink()
    cache["cut"].write_bytes(cache["cut"].read_bytes()[:10])
    (package / "circle").symlink_to(tmp_path, target_is_directory=True)
    assert _compiled.count(str(tmp_path), 60) == (4, 3, True)
    assert _compiled.count(str(tmp_path), -1) == (0, 0, False)
    (tmp_path / "void").mkdir()
    assert _compiled.count(str(tmp_path / "void"), -1) == (0, 0, False)


def test_mountinfo_is_read_as_the_manual_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "36 27 0:31 / /mnt\\040two/x rw,noatime master:1 shared:2 - nfs4 server:/x rw\n"
        "37 36 0:32 / /mnt\\040two/x rw - tmpfs tmpfs rw\n"
        "nonsense\n\n"
    )
    monkeypatch.setattr(_mounts, "_TABLE", table)
    known = _mounts.mounts()
    assert known == [("/", "ext4"), ("/mnt two/x", "nfs4"), ("/mnt two/x", "tmpfs")]
    assert _mounts.mount_of("/mnt two/x/y", known) == ("/mnt two/x", "tmpfs")
    assert _mounts.mount_of("/mnt two/xy", known) == ("/", "ext4")
    assert _mounts.mount_of("/proc/self", []) == ("/proc", None)


def test_each_question_is_asked_once_and_none_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(fastpath, "probe", lambda paths, backend: asked.extend(paths))
    _mounts.measure(str(tmp_path))
    _mounts.measure(str(tmp_path))
    assert len(asked) == len(set(asked)) == 2 * _mounts._QUESTIONS
    assert {path.parent for path in asked} == {tmp_path}


def test_a_slow_filesystem_is_told_by_name(venv: Venv, module: Path, tmp_path: Path) -> None:
    with slow_mount(module, tmp_path / "slow") as slow:
        told = doctor(venv, on_path(slow))
        (mount,) = [mount for mount in told["mounts"] if mount["slow"]]
        assert (mount["mount"], mount["type"], mount["entries"]) == (str(slow), "fuse", 1)
        assert one(told, "slow")["remedy"].startswith("python -m fastpath enable, or")
        assert venv.fastpath("enable").returncode == 0
        assert one(doctor(venv, on_path(slow)), "slow")["ok"] is True


def test_slow_is_what_makes_the_thread_sleep() -> None:
    assert _mounts.Pace(100.0, slept=True).is_slow
    assert not _mounts.Pace(99.9, slept=True).is_slow
    assert not _mounts.Pace(5000.0, slept=False).is_slow


def test_text_is_grouped_and_lines_up(shared_venv: Venv, tmp_path: Path) -> None:
    env = on_path(tmp_path / "gone") | {"FASTPATH_CACHE_DIR": "off"}
    lines = shared_venv.fastpath("doctor", env=env).stdout.splitlines()
    at = lines.index("to do")
    assert (lines[0], at > 1) == ("ok", True)
    assert lines[at + 1 :] == [
        "  missing     1 entry not there",
        f"                {tmp_path / 'gone'}",
        "              take it out of PYTHONPATH",
    ]
    assert all(line[:2] == "  " and line[12:14] == "  " for line in lines[1:at])


@pytest.mark.parametrize("variable", ["FASTPATH", "FASTPATH_BACKEND"])
def test_an_invalid_variable_is_a_usage_error(shared_venv: Venv, variable: str) -> None:
    result = shared_venv.fastpath("doctor", env={variable: "never"})
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"fastpath: error: {variable} is 'never'")


def test_nothing_is_left_behind(shared_venv: Venv, module: Path) -> None:
    before = sorted(module.rglob("*"))
    doctor(shared_venv, on_path(module))
    assert sorted(module.rglob("*")) == before
    assert _entries.examine([str(module)])[0].names == 1
