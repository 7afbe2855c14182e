"""Whom a table is for, and what is seen of it: keys, flags, auditing, forks, threads, system calls.

Every program runs in children that share a directory for tables; some of what they print must be as
stock's, and some of what they count tells that a table was at work.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from children import Children, Result
from test_look_ahead import LISTENING, LONG_AGO, PICTURE, PROGRAMS, TREE, WAYS, plant
from test_process import END

from support import Python, make_venv, need

HOW = "strict-serial-learning"
MODES = [HOW, "auto-auto-learning"]

COUNT = """
import atexit, json, os, sys
if os.getcwd() not in sys.path: sys.path.insert(0, os.getcwd())
def told():
    native = sys.modules.get("fastpath._native")
    if native is None or not native.is_installed(): return
    stats = native.stats()
    with open(os.environ["TOLD"], "w") as file:
        json.dump({k: v for k, v in stats.items() if k.startswith("table") or k == "loaded"}, file)
atexit.register(told)
"""


@dataclass
class Place:
    """A tree, a directory for tables, and who imports from the one and learns into the other."""

    root: Path
    children: Children

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    def run(
        self,
        *arguments: str,
        how: str = HOW,
        env: Mapping[str, str] | None = None,
        python: Sequence[str] = (sys.executable,),
    ) -> Result:
        """A child that ends well."""
        there = {"FASTPATH_CACHE_DIR": str(self.tables), **(env or {})}
        there["TOLD"] = str(self.root / "told.json")
        done = self.children.run(how, arguments, cwd=self.tree, env=there, python=python)
        assert done.status == 0, done
        return done

    def known(self, *flags: str, program: str = "import top", **more: object) -> int:
        """How many facts a child takes from a table; it hands on what it learns."""
        return sum(self.facts(*flags, program=program, **more))

    def facts(self, *flags: str, program: str = "import top", **more: object) -> tuple[int, int]:
        """The same, directories and files."""
        arguments = ["-Wignore", *flags, "-c", COUNT + self.children.preamble() + program]
        self.run(*arguments, **more)  # type: ignore[arg-type]
        path = self.root / "told.json"
        counts: dict[str, int] = json.loads(path.read_text())
        path.unlink()
        return counts["table_directories"], counts["table_files"]

    def state(self) -> dict[str, tuple[int, int, int]]:
        """Every file below the directory for tables, and its version."""
        found = {}
        for place, _, names in os.walk(self.tables):
            for name in names:
                status = os.stat(os.path.join(place, name))
                found[name] = (status.st_ino, status.st_mtime_ns, status.st_size)
        return found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path, Children(tmp_path / "boot"))
    plant(place.tree, TREE)
    return place


# --- keys


def tables(place: Place) -> set[str]:
    return {name for name in place.state() if name.endswith(".table")}


def test_optimizing_shares_with_nobody_else(place: Place) -> None:
    for number, flags in enumerate((["-Wd"], ["-O"], ["-OO"])):
        assert place.known(*flags) == 0, flags
        assert len(tables(place)) == number + 1
    for flags in ([], ["-O"], ["-OO"]):
        assert place.known(*flags) > 30, flags
    assert len(tables(place)) == 3


def test_each_python_has_its_own(place: Place, pythons: tuple[Python, ...]) -> None:
    for number, python in enumerate(pythons):
        assert place.known(python=[str(python.path)], env={"PYTHONDONTWRITEBYTECODE": ""}) == 0
        assert len(tables(place)) == number + 1, python.name
    for python in pythons:
        place.known(python=[str(python.path)])
        assert place.known(python=[str(python.path)]) > 60, python.name


def test_another_environment_has_its_own(place: Place) -> None:
    venv = [str(make_venv(place.root / "venv").python.path)]
    assert place.known() == 0
    assert place.known(python=venv) == 0
    assert len(tables(place)) == 2
    assert place.known(python=venv) > 60


def test_who_may_not_be_told_by_the_environment_is_not(place: Place) -> None:
    home = {"XDG_CACHE_HOME": str(place.root / "home")}
    for flags in (["-E"], ["-I"]):
        assert place.known(*flags, env=home) == 0
        assert not place.state()
        assert list((place.root / "home").glob("fastpath/*.table")), "shared where it always is"
        shutil.rmtree(place.root / "home")


@pytest.mark.parametrize("told", [["-B"], []], ids=["flag", "variable"])
def test_without_bytecode_nothing_is_written_unless_it_is_said_where(
    told: list[str], place: Place
) -> None:
    home = place.root / "home"
    env = {"XDG_CACHE_HOME": str(home), "PYTHONDONTWRITEBYTECODE": "" if told else "1"}
    place.known(*told, env={**env, "FASTPATH_CACHE_DIR": ""})
    assert not home.exists()
    place.known(*told, env=env)
    assert len(tables(place)) == 1
    assert not home.exists()


# --- the same answers


def same(place: Place, *arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Stock, learning, and learnt: all say the same. Some of it comes from the table in the end."""
    there = {"FASTPATH_CACHE_DIR": str(place.tables), **(env or {})}
    for _ in range(2):
        done = place.children.same(arguments, cwd=place.tree, env=there, modes=MODES, ignore=END)
        assert done.status == 0, done
    return done


@pytest.mark.parametrize("way", WAYS)
def test_a_tree_is_imported_the_same(way: str, place: Place) -> None:
    done = same(place, "-Wignore", "-c", PICTURE + WAYS[way])
    assert done.out.count("ModuleSpec") > 60
    assert place.known(program=PICTURE + WAYS[way]) > 60


@pytest.mark.parametrize("program", PROGRAMS)
def test_odd_programs_are_the_same(program: str, place: Place) -> None:
    assert same(place, "-Wignore", "-c", PICTURE + PROGRAMS[program]).err == ""


@pytest.mark.parametrize("flag", ["-v", "-Xdev", "-Ximporttime", "-Xutf8=0", "-OO"])
def test_flags(flag: str, place: Place) -> None:
    same(place, flag, "-Wignore", "-c", PICTURE + "import top\npicture()")


@pytest.mark.parametrize("check", ["default", "always", "never"])
@pytest.mark.parametrize("kind", ["checked-hash", "unchecked-hash"])
def test_hashes_are_checked_as_it_is_said(kind: str, check: str, place: Place) -> None:
    command: list[str | Path] = [sys.executable, "-m", "compileall", "-qf"]
    subprocess.run([*command, "--invalidation-mode", kind, place.tree], check=True)
    flags = ["--check-hash-based-pycs", check]
    picture = PICTURE + "import top, deep\nprint(deep.x if hasattr(deep, 'x') else 0); picture()"
    assert place.known(*flags) == 0
    assert place.known(*flags) > 60
    (place.tree / "deep" / "__init__.py").write_text("x = 5\n")
    said = [place.run(*flags, "-Wignore", "-c", picture, how=how) for how in ("stock", HOW)]
    assert said[0] == said[1]
    is_seen = check == "always" or (check, kind) == ("default", "checked-hash")
    assert said[0].out.startswith("5" if is_seen else "0")


def test_a_prefix_for_bytecode_leaves_loading_to_stock(place: Place) -> None:
    env = {"PYTHONPYCACHEPREFIX": str(place.root / "prefix"), "PYTHONDONTWRITEBYTECODE": ""}
    program = PICTURE + "import top\npicture()"
    said = [place.run("-Wignore", "-c", program, how=how, env=env) for how in ("stock", HOW, HOW)]
    assert said[0] == said[1] == said[2]
    (place.tree / "deep" / "a" / "b" / "__init__.py").write_text("from .c import d\nx = 7\n")
    said = [
        place.run(
            "-Wignore", "-c", program + "; print(sys.modules['deep.a.b'].x)", how=how, env=env
        )
        for how in ("stock", HOW)
    ]
    assert said[0] == said[1]
    assert said[0].out.endswith("7\n")


LISTINGS = LISTENING.replace('        if event != "os.listdir":\n    ', "")


def test_auditing_hears_the_same_from_a_table(place: Place) -> None:
    """Listings too: they are told when their names are used, wherever those come from."""
    assert LISTINGS != LISTENING
    program = PICTURE + LISTINGS + "import top\nprint(*heard, sep='\\n')\n"
    cold = place.run("-Wignore", "-c", program)
    assert tables(place)
    warm = place.run("-Wignore", "-c", program)
    assert warm == cold
    assert warm.out.count("marshal.loads") > 60
    assert warm.out.count("os.listdir") > 5
    assert place.known(program=program) > 60
    stock = place.run("-Wignore", "-c", program, how="stock")

    def without_listings(out: str) -> list[str]:
        return [line for line in out.splitlines() if "'os.listdir'" not in line]

    assert without_listings(stock.out) == without_listings(warm.out)


FORKS = """
import os, sys
sys.path.insert(0, os.getcwd())
import deep
for end in (os._exit, sys.exit):
    sys.stdout.flush()
    child = os.fork()
    if not child:
        import wide, relative, circle_a
        print(sorted(n for n in sys.modules if n.startswith(("wide", "relative"))))
        sys.stdout.flush()
        end(0)
    print(os.waitpid(child, 0)[1])
import top
picture()
"""


def test_forks_hand_on_and_say_the_same(place: Place) -> None:
    same(place, "-Wignore", "-c", PICTURE + FORKS)
    # A child that hands on something new takes the rest of the table from its parent.
    place.known(program=PICTURE + FORKS)
    assert place.known(program=PICTURE + FORKS) > 60


EDITS = """
import os, subprocess, sys
for number in range(12):
    with open("edited.py", "w") as file: file.write(f"value = {number % 10}\\n")
    os.utime("edited.py", (5.5, 5.5))
    if number % 3:
        import py_compile
        py_compile.compile("edited.py")
    command = [sys.executable, "-Wignore", "-c", "import edited; print(edited.value)"]
    print(number, subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)
"""


def test_edits_within_a_tick_are_seen(place: Place) -> None:
    """A source that keeps its size and its time, and a pyc that is made anew, or not."""
    env = {"PYTHONDONTWRITEBYTECODE": ""}
    said = []
    for how in ("stock", HOW):
        for cache in place.tree.rglob("edited*"):
            cache.unlink()
        said.append(place.run("-c", EDITS, how=how, env=env).out)
    assert said[0] == said[1]


TWICE = """
import importlib, sys
import top
native = sys.modules["fastpath._native"]
before = native.stats()
importlib.invalidate_caches()
for name in [n for n in sys.modules if n.startswith(("wide", "deep"))]: del sys.modules[name]
import deep, wide
importlib.reload(deep)
after = native.stats()
assert before["table_directories"] > 5 < before["table_files"]
assert after["table_directories"] == before["table_directories"], "believed after all"
assert after["table_files"] >= before["table_files"] + 41
"""


def test_names_are_not_believed_after_caches_are_invalidated(place: Place) -> None:
    place.known()
    place.run("-Wignore", "-c", TWICE)


def test_what_could_change_unnoticed_is_not_handed_on(place: Place) -> None:
    """Whole seconds may be all that a filesystem keeps: two of them must pass."""
    others = [place.facts(program="import os"), place.facts(program="import os")][1]

    def known_of(suffix: str) -> tuple[int, int]:
        shutil.rmtree(place.tables)
        for path in [place.tree, *place.tree.rglob("*")]:
            if path.suffix == suffix:
                os.utime(path, (LONG_AGO, LONG_AGO))
        place.facts()
        directories, files = place.facts()
        return directories - others[0], files - others[1]

    assert place.facts(how="strict-serial-sharing")[0] <= others[0] + 2, "it has just changed"
    assert place.facts(how="strict-serial-sharing")[0] <= others[0] + 2
    directories, files = known_of(".pyc")
    assert directories > 5
    assert files <= 0
    time.sleep(2)
    directories, files = known_of("")
    assert directories <= 0
    assert files > 50


# --- system calls

MANY = """
import sys
left_out = ("_", "idle", "lib2to3", "test", "distutils", "turtle", "tkinter", "this", "antigravity",
            "msilib", "nt", "win", "pty", "curses", "readline")
names = sorted(n for n in sys.stdlib_module_names if not n.startswith(left_out))
import os
os.path.exists("/the beginning")
for name in names:
    try: __import__(name)
    except ImportError: pass
os.path.exists("/the end")
"""


# What an import asks for in vain.
CANDIDATE = re.compile(r'stat.*\.(py|pyc|so)".*ENOENT')


def calls(place: Place, program: str) -> tuple[list[str], list[str]]:
    """The system calls between the marks of a program, and those behind them."""
    trace = place.root / "trace"
    strace = ["strace", "-f", "-qq", "-o", str(trace), sys.executable]
    env = {"PYTHONDONTWRITEBYTECODE": ""}
    place.run("-Wignore", "-c", program, python=strace, env=env)
    lines = trace.read_text().splitlines()
    begin = next(n for n, line in enumerate(lines) if "/the beginning" in line)
    end = next(n for n, line in enumerate(lines) if "/the end" in line)
    return lines[begin + 1 : end], lines[end + 1 :]


def test_what_is_known_is_not_read_again(place: Place) -> None:
    need("strace")
    first, last = calls(place, MANY)
    assert sum("getdents64(" in line for line in first) > 10
    assert sum(".pyc" in line and "open" in line for line in first) > 150
    assert any(str(place.tables) in line for line in last)
    assert tables(place)
    calls(place, MANY)
    known = place.state()
    for _ in range(2):
        between, last = calls(place, MANY)
        listed = [line for line in between if "getdents64(" in line]
        assert not listed, listed
        opened = [line for line in between if ".pyc" in line and "open" in line]
        assert not opened, opened
        missed = [line for line in between if CANDIDATE.search(line)]
        assert not missed, missed
        asked = [line for line in last if ".pyc" in line or str(place.tables) in line]
        assert not asked, asked
        assert place.state() == known


def test_a_third_run_writes_nothing(place: Place) -> None:
    place.known()
    place.known()
    settled = place.state()
    for _ in range(3):
        assert place.known() > 60
        assert place.state() == settled


NOBODY, GROUP = 65534, 4242
IN_A_GROUP = """
import os, sys
how, groups, tables, tree = sys.argv[1], eval(sys.argv[2]), sys.argv[3], sys.argv[4]
os.setgroups(groups)
os.setegid({NOBODY})
os.seteuid({NOBODY})
if how == "ours":
    fastpath._native._switch("settling", False)
    assert fastpath.install(freshness="strict", cache=tables)
sys.path[:] = [tree + "/listed", tree + "/closed"]
for name in ("private", "compiled", "hidden"):
    try: print(name, __import__(name).value)
    except Exception as error: print(name, repr(error))
if how == "ours":
    known = fastpath.stats()
    said = fastpath._native._hand_on()
    print(known["table_directories"], known["table_files"], said, file=sys.stderr)
""".replace("{NOBODY}", str(NOBODY))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take a group from itself")
def test_what_is_no_longer_to_be_read_is_not_taken_from_a_table(place: Place) -> None:
    """By a group that the process was in when it learnt, and is not in now."""
    tree = place.root / "groups"
    files = {"listed/private.py": 1, "listed/compiled.py": 2, "closed/hidden.py": 3}
    plant(tree, {name: f"value = {value}\n" for name, value in files.items()})
    for path in [tree / "closed", *tree.glob("listed/__pycache__/*"), tree / "listed/private.py"]:
        os.chown(path, 0, GROUP)
        path.chmod(0o751 if path.is_dir() else 0o640)
    place.tables.mkdir(mode=0o700)
    os.chown(place.tables, NOBODY, NOBODY)
    for above in (place.root, place.root.parent, place.root.parent.parent):
        above.chmod(0o755)
    time.sleep(0.05)  # what has just changed is not learnt

    def said(how: str, groups: list[int]) -> Result:
        program = "import sys, fastpath\n" + IN_A_GROUP
        arguments = ["-c", program, how, str(groups), str(place.tables), str(tree)]
        return place.run(*arguments, how="stock")

    for groups in ([GROUP], []):
        stock, ours = said("stock", groups), said("ours", groups)
        assert ours.out == stock.out, groups
    assert ours.out.count("Error") == 2, (
        "one not to be read, and one in a directory not to be listed"
    )
    learnt = said("ours", [])
    assert learnt.err.startswith("1 0 "), "the names in the directory that everybody may list"
