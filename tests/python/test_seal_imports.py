"""A sealed environment: what is imported is stock's, nothing is asked, and who is not believed.

The environment is a copy of the running interpreter's own prefix, so that the standard library is
sealed too; with packages, and with fastpath enabled in it.
"""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastpath import _native
from support import PACKAGE, Python, Venv, find_pythons, make_venv, need

IMPORTED = ("json", "asyncio", "email.mime.text", "xml.dom.minidom", "pack.inner", "space.portion")
# Tells of every module that was imported what stock and we must agree on, and what was asked.
CHILD = """\
import importlib, json, sys
names = {names}
for name in names:
    importlib.import_module(name)
# As it was started: the package is not sealed.
native = sys.modules.get("fastpath._native") or importlib.import_module("fastpath._native")

def told(code):
    inner = [told(const) for const in code.co_consts if hasattr(const, "co_code")]
    consts = [repr(const) for const in code.co_consts if not hasattr(const, "co_code")]
    return [code.co_filename, code.co_name, code.co_code.hex(), consts, code.co_names,
            list(code.co_lines()), inner]

stats = native.stats()
modules = {{}}
for name, module in list(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec is None or name.partition(".")[0] == "fastpath":
        continue
    locations = spec.submodule_search_locations
    modules[name] = [
        getattr(module, "__file__", None), getattr(module, "__cached__", None), spec.origin,
        spec.cached, spec.has_location, locations and list(locations), type(spec.loader).__name__,
        type(module.__loader__).__name__, list(getattr(module, "__path__", ())),
        told(spec.loader.get_code(name)) if hasattr(spec.loader, "path")
        and spec.origin.endswith(".py") else None,
    ]
print(json.dumps({{"stats": stats, "modules": modules, "value": sys.modules["pack.inner"].VALUE}}))
"""


class World:
    """An environment that can be sealed, and interpreters of it."""

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self.python = next((prefix / "bin").glob("python3.*"))
        self.site = Path(self.told("import sysconfig; print(sysconfig.get_path('purelib'))"))
        self.seal = prefix / "fastpath.seal"
        self.home = prefix.parent / "home"
        self.home.mkdir(exist_ok=True)

    def run(self, *words: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        # With a seed, sets among the constants are told in the same order.
        home = {"HOME": str(self.prefix.parent / "home"), "PATH": os.environ["PATH"]}
        home["PYTHONHASHSEED"] = "1"
        return subprocess.run(
            [self.python, *words], env=home | env, capture_output=True, text=True, check=False
        )

    def told(self, code: str, *flags: str, **env: str) -> str:
        done = self.run("-s", *flags, "-c", code, **env)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.strip()

    def fastpath(self, *words: str | Path) -> None:
        done = self.run("-m", "fastpath", *words)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr

    def imports(self, names: tuple[str, ...] = IMPORTED, **env: str) -> dict[str, Any]:
        """What the child tells, in a directory of no modules, which is not on the path."""
        script = CHILD.format(names=names)
        env = {"FASTPATH_CACHE_DIR": str(self.home / "cache"), **env}
        told: dict[str, Any] = json.loads(
            self.told(f"import sys; del sys.path[0]\n{script}", **env)
        )
        return told

    def answers(self) -> tuple[bool, int]:
        """Whether the seal is used, and what an edited module says."""
        told = self.imports()
        return told["stats"]["table"] == str(self.seal), told["value"]

    def edit(self, value: int) -> None:
        path = self.site / "pack/inner.py"
        path.unlink()  # other environments may have it too
        path.write_text(f"VALUE = {value}  # edited\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A copy of the base interpreter with packages and fastpath, not sealed; not to be changed."""
    prefix = tmp_path_factory.mktemp("sealed") / "prefix"
    # What is made by pytest is nobody else's to read, and so would not be sealed.
    stdlib = Path(sysconfig.get_path("stdlib"))
    base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    (prefix / "bin").mkdir(parents=True)
    python = prefix / f"bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    shutil.copy(base, python)
    unneeded = ["test", "site-packages", "dist-packages", "config-*", "idlelib", "tkinter"]
    unneeded += ["lib2to3", "turtledemo", "ensurepip", "pydoc_data", "__pycache__"]
    lib = prefix / stdlib.relative_to(sys.base_prefix)
    shutil.copytree(stdlib, lib, ignore=shutil.ignore_patterns(*unneeded))
    world = World(prefix)
    shutil.copytree(PACKAGE, world.site / "fastpath")
    for name, text in {
        "pack/__init__.py": "",
        "pack/inner.py": "VALUE = 1\n\n\ndef f():\n    return [lambda: VALUE]\n",
        "space/portion.py": "",
    }.items():
        path = world.site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert world.run("-m", "compileall", "-q", "-j2", lib, world.site).returncode == 0
    world.fastpath("enable", "--break-system-packages")
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> World:
    """The same, sealed, to be changed at will."""
    return sealed_copy(made, tmp_path)


@pytest.fixture(scope="module")
def still(made: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The same, sealed, for tests that leave it as it is."""
    return sealed_copy(made, tmp_path_factory.mktemp("still"))


def sealed_copy(made: World, place: Path) -> World:
    """Of other directories with the same files, which are much quicker had than copies."""
    subprocess.run(["cp", "-al", made.prefix, place / "prefix"], check=True)
    world = World(place / "prefix")
    world.fastpath("seal")
    return world


def operations(told: dict[str, Any]) -> list[int]:
    names = ("probes_serial", "probes_threads", "probes_uring", "listings", "reads")
    return [told["stats"][name] for name in names]


# What is imported, and at what cost


def test_modules_are_stocks_and_nothing_is_asked(still: World) -> None:
    stock = still.imports(FASTPATH="0")
    ours = still.imports()
    assert stock["stats"]["table"] is None
    assert ours["stats"]["table"] == str(still.seal)
    assert ours["modules"] == stock["modules"]
    assert ours["stats"]["table_files"] > 40
    assert operations(ours) == [0] * 5
    assert ours["stats"]["load_asked"] == ours["stats"]["asked"] == 0


def test_a_sealed_import_makes_no_call_for_a_sealed_directory(still: World, tmp_path: Path) -> None:
    need("strace")
    trace = tmp_path / "trace"
    names = [name for name in IMPORTED if name != "asyncio"]  # it has extension modules
    quiet = "import sys, os; del sys.path[0]; os.stat('/from'); "
    code = f"{quiet} import {', '.join(names)}; os.stat('/to')"
    words = ["strace", "-f", "-e", "trace=%file,getdents64", "-o", str(trace)]
    env = {"HOME": str(still.home), "PATH": os.environ["PATH"]}
    code = code.replace("os.stat('/", "os.path.exists('/")
    subprocess.run([*words, still.python, "-s", "-c", code], env=env, check=True)
    calls = trace.read_text()
    between = calls[calls.index('"/from"') : calls.index('"/to"')].splitlines()[1:-1]
    assert [line for line in between if "fastpath.seal" in line], between
    of_sealed = [line for line in between if str(still.prefix / "lib") in line]
    assert [line for line in of_sealed if ".so" not in line] == []


def test_absence_is_answered_from_the_seal(still: World) -> None:
    code = (
        "import sys; del sys.path[0]\n"
        "for name in ('no_such', 'json.no_such', 'pack.no_such', 'space.no_such'):\n"
        "    try: __import__(name)\n"
        "    except ModuleNotFoundError as error: print(error)\n"
        "native = sys.modules.get('fastpath._native')\n"
        "print(native and sum(native.stats()[n] for n in ('probes_serial', 'listings')))"
    )
    ours, stock = still.told(code), still.told(code, FASTPATH="0")
    assert ours.splitlines()[:-1] == stock.splitlines()[:-1]
    assert len(ours.splitlines()) == 5
    assert ours.splitlines()[-1] == "0"


def test_a_seal_moves_with_its_environment(made: World, tmp_path: Path) -> None:
    first = sealed_copy(made, tmp_path)
    # As an image is unpacked: on other inodes, with the dates of sources and no others.
    subprocess.run(["cp", "-a", first.prefix, tmp_path / "elsewhere"], check=True)
    shutil.rmtree(first.prefix)
    moved = World(tmp_path / "elsewhere")
    for path in moved.prefix.rglob("*"):
        if path.is_dir() or path.suffix == ".pyc":
            os.utime(path)
    ours = moved.imports()
    assert operations(ours) == [0] * 5
    assert ours["modules"] == moved.imports(FASTPATH="0")["modules"]
    assert str(first.prefix) not in json.dumps(ours)


def test_a_virtual_environments_seal_trusts_its_own_directories_only(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv")
    fill(venv)
    assert venv.fastpath("enable").returncode == 0
    done = venv.fastpath("seal")
    assert done.returncode == 0, done.stderr
    shutil.move(tmp_path / "venv", tmp_path / "moved")
    python = Python(tmp_path / "moved/bin/python", venv.python.version)
    moved = Venv(python, tmp_path / "moved" / venv.site.relative_to(tmp_path / "venv"))
    code = (
        "import fastpath, sys; before = fastpath.stats()\n"
        "import pack.inner; after = fastpath.stats()\n"
        "print(pack.inner.__file__, pack.inner.f.__code__.co_filename)\n"
        "print(after['table_files'] - before['table_files'], after['reads'] - before['reads'])"
    )
    told = moved.run("-c", code)
    inner = moved.site / "pack/inner.py"
    assert (told.stdout, told.stderr) == (f"{inner} {inner}\n2 0\n", "")
    listed = _native._seal_facts(
        tmp_path / "moved/fastpath.seal", [str(tmp_path / "moved"), sys.base_prefix], False
    )
    for directory in listed["directories"]:
        assert directory["sealed"] is directory["path"].startswith(str(tmp_path / "moved"))


def test_the_base_is_compared_unless_it_is_sealed_too(made: World, tmp_path: Path) -> None:
    subprocess.run(["cp", "-al", made.prefix, tmp_path / "base"], check=True)
    base = World(tmp_path / "base")
    venv = tmp_path / "venv"
    assert base.run("-m", "venv", "--without-pip", venv).returncode == 0
    inside = World(venv)
    shutil.copytree(base.site / "fastpath", inside.site / "fastpath")
    shutil.copytree(base.site / "pack", inside.site / "pack")
    shutil.copytree(base.site / "space", inside.site / "space")
    inside.fastpath("enable")
    inside.fastpath("seal")
    compared = inside.imports()["stats"]
    assert (compared["listings"], compared["reads"]) == (0, 0)
    assert compared["probes_serial"] > 0
    for path in base.prefix.rglob("*"):
        if path.is_dir():
            os.utime(path)  # as on another machine: what is known of them is not believed
    verified = inside.run("-m", "fastpath", "seal", "--verify")
    assert verified.returncode == 0
    assert f"directories of {base.prefix} are others here: not used" in verified.stdout
    time.sleep(2.1)  # what is younger is not handed on
    first, second = inside.imports()["stats"], inside.imports()["stats"]
    assert first["listings"] > 0
    assert second["listings"] == 0, "what a seal is wrong about is learnt once"
    inside.fastpath("seal", "--base")
    assert operations(inside.imports()) == [0] * 5


def test_what_the_operating_system_manages_is_sealed_only_if_insisted(
    made: World, tmp_path: Path
) -> None:
    subprocess.run(["cp", "-al", made.prefix, tmp_path / "prefix"], check=True)
    world = World(tmp_path / "prefix")
    stdlib = Path(world.told("import sysconfig; print(sysconfig.get_path('stdlib'))"))
    (stdlib / "EXTERNALLY-MANAGED").write_text("[externally-managed]\n")
    refused = world.run("-m", "fastpath", "seal")
    assert refused.returncode == 1
    assert "is managed by the operating system" in refused.stderr
    assert not world.seal.exists()
    world.fastpath("seal", "--break-system-packages")
    assert world.answers() == (True, 1)


def fill(venv: Venv) -> None:
    for name, text in {"__init__.py": "", "inner.py": "def f():\n    return 1\n"}.items():
        path = venv.site / "pack" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        py_compile.compile(str(path), doraise=True)


# What is trusted, and for how long


def test_an_edit_is_not_seen_until_it_is_unsealed(world: World) -> None:
    world.edit(2)
    assert world.answers() == (True, 1)
    assert world.imports(FASTPATH="0")["value"] == 2
    assert world.imports(FASTPATH_CACHE_DIR="off")["value"] == 2
    assert world.run("-m", "fastpath", "seal", "--verify").returncode == 1
    world.fastpath("unseal")
    assert world.answers() == (False, 2)


def test_sealing_again_shows_what_was_edited(world: World) -> None:
    world.edit(2)
    world.fastpath("seal")
    assert world.answers() == (True, 2)
    told = world.imports()
    assert operations(told) == [0] * 5


def test_invalidate_caches_ends_the_trust(world: World) -> None:
    world.edit(2)
    (world.site / "pack/new.py").write_text("")
    code = (
        "import importlib, pack\n"
        "try: import pack.new\n"
        "except ModuleNotFoundError: print('not seen')\n"
        "importlib.invalidate_caches()\n"
        "import pack.new, pack.inner; print(pack.inner.VALUE)"
    )
    assert world.told(code).split("\n") == ["not seen", "2"]


def test_a_new_module_is_not_seen_until_it_is_sealed(world: World) -> None:
    (world.site / "fresh.py").write_text("")
    code = "import importlib.util; print(importlib.util.find_spec('fresh') is not None)"
    assert world.told(code) == "False"
    assert world.told(code, FASTPATH="0") == "True"
    world.fastpath("seal")
    assert world.told(code) == "True"


def test_what_the_seal_has_not_is_found_as_ever(world: World) -> None:
    script = "import sys; del sys.path[0]; import json"
    world.fastpath("unseal")
    world.fastpath("seal", "--for", f"{world.python} -s -c '{script}'")
    ours = world.imports()
    assert ours["stats"]["table"] == str(world.seal)
    assert ours["stats"]["table_files"] > 0
    assert ours["stats"]["reads"] > 0
    assert ours["modules"] == world.imports(FASTPATH="0")["modules"]


# Who is not believed


def damaged(world: World) -> None:
    whole = world.seal.read_bytes()
    world.seal.write_bytes(whole[: len(whole) // 2])


def of_optimized_bytecode(world: World) -> None:
    done = world.run("-O", "-m", "fastpath", "seal")
    assert done.returncode == 0, done.stderr


def writable_by_the_group(world: World) -> None:
    world.seal.chmod(0o664)


def in_a_directory_that_others_write_to(world: World) -> None:
    world.prefix.chmod(0o777)


def a_link(world: World) -> None:
    world.seal.rename(world.prefix / "real.seal")
    world.seal.symlink_to("real.seal")


def foreign(world: World) -> None:
    need("root")
    os.chown(world.seal, 12345, 12345)


def of_another_python(world: World) -> None:
    others = [python for python in find_pythons() if python.version != sys.version_info[:2]]
    if not others:
        need("pythons")
    venv = make_venv(world.home / "venv", others[0])
    assert venv.fastpath("seal").returncode == 0
    shutil.copy(world.home / "venv/fastpath.seal", world.seal)
    world.seal.chmod(0o644)


@pytest.mark.parametrize(
    "spoil",
    [
        damaged,
        of_optimized_bytecode,
        writable_by_the_group,
        in_a_directory_that_others_write_to,
        a_link,
        foreign,
        of_another_python,
    ],
)
def test_a_seal_that_is_not_believed_changes_nothing(
    world: World, spoil: Callable[[World], None]
) -> None:
    spoil(world)
    world.edit(2)
    assert world.answers() == (False, 2)
    assert world.imports()["modules"] == world.imports(FASTPATH="0")["modules"]


def test_damage_in_one_place_is_told_from_the_rest(world: World) -> None:
    whole = world.seal.read_bytes()
    cached = next((world.site / "pack/__pycache__").glob("inner.*.pyc")).read_bytes()
    at = whole.index(cached) + len(cached) // 2
    world.seal.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
    ours = world.imports()
    assert (ours["stats"]["table"], ours["value"]) == (str(world.seal), 1)
    assert ours["modules"] == world.imports(FASTPATH="0")["modules"]
    assert ours["stats"]["reads"] == 1
