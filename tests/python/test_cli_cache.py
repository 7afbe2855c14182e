"""``cache``: what it tells of tables, and what it removes and leaves alone."""

import compileall
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fastpath._text import date, size
from support import Result, Venv, clean_environment

TODAY = int(time.time() // 86400)
OTHER = f"{'0' * 32}.table"


class Cache(NamedTuple):
    """A cache directory with the tables of an environment."""

    venv: Venv
    directory: Path
    modules: Path
    file: Path
    """This interpreter's table."""

    def run(self, *arguments: str | Path, env: dict[str, str] | None = None) -> Result:
        env = {"FASTPATH_CACHE_DIR": str(self.directory)} | (env or {})
        return self.venv.fastpath("cache", *arguments, env=env)

    def told(self, *arguments: str | Path, code: int = 0) -> Any:
        result = self.run(*arguments, "--json")
        assert (result.returncode, result.stderr) == (code, "")
        return json.loads(result.stdout)

    def learn(
        self,
        *directories: Path,
        file: Path | None = None,
        day: int = TODAY,
        environment: bytes | None = None,
    ) -> Path:
        """Have a process write what lies in directories into a table, ours or another."""
        file = file or self.file
        dirs = [str(directory) for directory in directories or (self.modules,)]
        code = (
            "import sys; from fastpath import _native; "
            "print(_native._tables().learn(*eval(sys.argv[1])))"
        )
        result = self.venv.run("-c", code, repr((str(file), dirs, day, environment)))
        assert (result.stdout, result.stderr) == ("True\n", "")
        return file


def make_modules(place: Path, *names: str) -> Path:
    place.mkdir()
    for name in names:
        (place / f"{name}.py").write_text(f"value = 'what is in {name}'\n")
        assert compileall.compile_file(place / f"{name}.py", quiet=1)
    return place


@pytest.fixture
def cache(shared_venv: Venv, tmp_path: Path) -> Cache:
    directory = tmp_path / "cache"
    modules = make_modules(tmp_path / "modules", "one", "two")
    env = {"FASTPATH_CACHE_DIR": str(directory)}
    result = shared_venv.fastpath("cache", "info", "--json", env=env)
    return Cache(shared_venv, directory, modules, Path(json.loads(result.stdout)["file"]))


def left(cache: Cache) -> list[str]:
    return sorted(path.name for path in cache.directory.iterdir())


@pytest.mark.parametrize("action", ["info", "list", "verify", "clear", "gc"])
def test_help_shows_an_example_and_the_exit_codes(shared_venv: Venv, action: str) -> None:
    result = shared_venv.fastpath("cache", action, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert f"example: python -m fastpath cache {action}" in result.stdout
    assert "exit codes:" in result.stdout
    assert "--dir DIR" in result.stdout


@pytest.mark.parametrize(
    "arguments", [[], ["empty"], ["gc", "--days", "-1"], ["gc", "--days", "x"]]
)
def test_usage_errors(shared_venv: Venv, arguments: list[str]) -> None:
    assert shared_venv.fastpath("cache", *arguments).returncode == 2


def test_where_there_is_none(cache: Cache) -> None:
    told = cache.told("info")
    assert told == {
        "directory": str(cache.directory),
        "file": str(cache.file),
        "used": False,
        "why": "there is none yet",
        "tables": [],
    }
    assert cache.told("list") == []
    assert cache.run("list").stdout == "nothing is known yet\n"
    assert cache.told("verify")["why"] == "there is none yet"
    for action in ("clear", "gc"):
        assert cache.told(action) == {"dry_run": False, "files": []}
        assert cache.run(action).stdout == "nothing to remove\n"
    assert not cache.directory.exists()


def test_the_directory_is_the_argument_or_the_variable_or_the_platforms(
    shared_venv: Venv, tmp_path: Path
) -> None:
    def directory(*arguments: str, **env: str) -> Any:
        result = shared_venv.fastpath("cache", "info", "--json", *arguments, env=env)
        assert result.returncode == 0, result.stderr
        told = json.loads(result.stdout)
        return told["directory"] or told["why"]

    home, named = {"HOME": "/h", "XDG_CACHE_HOME": "/x"}, {"FASTPATH_CACHE_DIR": "/c"}
    assert directory("--dir", "/d", **named) == "/d"
    assert directory("--dir", "d", **named) == str(Path.cwd() / "d")
    assert directory(**named, **home) == "/c"
    assert directory(FASTPATH_CACHE_DIR="auto", **home) == "/x/fastpath"
    assert directory(HOME="/h", XDG_CACHE_HOME="") == "/h/.cache/fastpath"
    off = "it is switched off by FASTPATH_CACHE_DIR or an argument"
    assert directory(FASTPATH_CACHE_DIR="off") == off
    assert directory("--dir", "/d", FASTPATH_CACHE_DIR="off") == "/d"
    result = shared_venv.fastpath("cache", "list", env={"FASTPATH_CACHE_DIR": "off"})
    assert (result.returncode, result.stderr) == (1, f"fastpath: error: {off}\n")
    result = shared_venv.fastpath("cache", "info", env={"FASTPATH_CACHE_DIR": "c"})
    assert (result.returncode, result.stdout) == (2, "")


def test_info_of_a_table(cache: Cache) -> None:
    cache.learn()
    cache.learn(file=cache.directory / OTHER, day=7, environment=b"/gone\0/usr")
    told = cache.told("info")
    other, own = told["tables"]
    assert (told["used"], told["why"]) == (False, "fastpath is not active in this process")
    assert (own["own"], own["why"], own["size"]) == (True, None, cache.file.stat().st_size)
    facts = own["facts"]
    assert (facts["directories"], facts["modules"], facts["plans"]) == (1, 2, 1)
    assert facts["names"] == len(list(cache.modules.iterdir()))
    assert facts["environment"][0] == str(cache.venv.site.parents[2])
    assert facts["used_day"] == TODAY
    assert (other["own"], other["facts"]["environment"]) == (False, ["/gone", "/usr"])
    text = cache.run("info").stdout
    assert "knows      1 directory, 3 names, 2 modules, 1 plan\n" in text
    assert f"last used  {date(TODAY)}\n" in text
    assert f"2 tables, {size(own['size'] + other['size'])}\n" in text
    assert "last used 1970-01-08, cpython-" in text


def test_a_table_is_used_where_fastpath_is_active(cache: Cache, venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    own = cache._replace(venv=venv)
    file = Path(own.told("info")["file"])  # the process that tells leaves a table, or uses one
    assert file != cache.file
    assert file.exists()
    told = own.told("info")
    assert (told["used"], told["why"]) == (True, None)
    assert "used       yes\n" in own.run("info").stdout
    assert own.told("verify", "--files")["damaged"] == []


def test_what_is_cleared_is_not_written_again_by_who_clears(cache: Cache, venv: Venv) -> None:
    assert venv.fastpath("enable").returncode == 0
    own = cache._replace(venv=venv)
    assert own.told("clear")["files"] == []
    assert not cache.directory.exists()
    own.run("info")
    assert [change["change"] for change in own.told("clear")["files"]] == ["removed", "removed"]
    assert left(own) == []


def test_a_directory_given_to_install_counts(cache: Cache, venv: Venv, tmp_path: Path) -> None:
    code = f"import fastpath; fastpath.install(cache={str(tmp_path / 'given')!r})\n"
    (venv.site / "zz.pth").write_text(code)
    told = cache._replace(venv=venv).told("info")
    assert told["directory"] == str(tmp_path / "given")


def damage(file: Path) -> None:
    content = file.read_bytes()
    assert content.count(b"what is in one") == 1
    file.write_bytes(content.replace(b"what is in one", b"what is IN one"))


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def later_format(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:-16] + (99).to_bytes(8, "little") + content[-8:])


def open_to_others(file: Path) -> None:
    file.chmod(0o622)


def linked(file: Path) -> None:
    shutil.copy(file, file.with_suffix(".copy"))
    file.unlink()
    file.symlink_to(file.with_suffix(".copy"))


def directory_instead(file: Path) -> None:
    file.unlink()
    file.mkdir()


def another_users(file: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("skipped: giving files away needs root")
    os.chown(file, 12345, -1)


def another_interpreters(file: Path) -> None:
    code = (
        "import sys; from fastpath import _native; "
        "_native._tables().learn(sys.argv[1], ['/'], 1, b'/elsewhere')"
    )
    file.unlink()
    subprocess.run([sys.executable, "-c", code, file], check=True, env=clean_environment())


REFUSALS: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (cut, "it is damaged: it does not end as a table does"),
    "later format": (later_format, "it is of a later format (99)"),
    "open to others": (open_to_others, "others than its owner may write to it (mode 0622)"),
    "linked": (linked, "it is a symbolic link"),
    "directory": (directory_instead, "it is no regular file"),
    "another user's": (another_users, "it belongs to another user (uid 12345)"),
    "another interpreter's": (another_interpreters, "it is for another interpreter or environment"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_table_says_why(cache: Cache, case: str) -> None:
    spoil, why = REFUSALS[case]
    spoil(cache.learn())
    told = cache.told("info")
    assert (told["used"], told["why"]) == (False, why)
    (own,) = told["tables"]
    assert (own["own"], own["why"]) == (True, why)
    text = cache.run("info").stdout
    assert f"used       no: {why}\n" in text


def test_list(cache: Cache, tmp_path: Path) -> None:
    more = make_modules(tmp_path / "more", "three", "four", "five")
    cache.learn(cache.modules, more)
    first, second = cache.told("list")
    assert (first["path"], second["path"]) == (str(more), str(cache.modules))
    assert sorted(name for name, _ in first["modules"]) == ["five.py", "four.py", "three.py"]
    bytecode = [path for path in (more / "__pycache__").iterdir() if "three" in path.name]
    assert ["three.py", bytecode[0].stat().st_size] in first["modules"]
    assert (second["names"], second["used_day"]) == (3, TODAY)
    lines = cache.run("list").stdout.splitlines()
    assert lines[0].split() == ["bytecode", "modules", "names", "last", "used", "directory"]
    assert lines[1].endswith(f"3      4  {date(TODAY)}  {more}")
    lines = cache.run("list", "--modules").stdout.splitlines()
    assert len(lines) == 6
    assert lines[-1].endswith("  total")
    assert {line.split()[-1] for line in lines[3:5]} == {
        str(cache.modules / "one.py"),
        str(cache.modules / "two.py"),
    }


def test_a_table_by_its_name(cache: Cache) -> None:
    other = cache.learn(file=cache.directory / OTHER, environment=b"/gone")
    assert cache.told("list") == []
    assert [one["path"] for one in cache.told("list", other)] == [str(cache.modules)]
    assert cache.told("verify", other)["directories"] == 1
    later_format(other)
    for action in ("list", "verify"):
        result = cache.run(action, other)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr == f"fastpath: error: {other}: it is of a later format (99)\n"


def test_verify_checksums(cache: Cache) -> None:
    cache.learn()
    assert cache.told("verify") == {
        "file": str(cache.file),
        "why": None,
        "size": cache.file.stat().st_size,
        "directories": 1,
        "modules": 2,
        "plans": 1,
        "damaged": [],
        "changed": None,
    }
    assert cache.run("verify").stdout.endswith("1 plan\nevery checksum is right\n")
    damage(cache.file)
    told = cache.told("verify", code=1)
    assert told["damaged"] == [f"bytecode of {cache.modules / 'one.py'}"]
    assert f"damaged: 1 piece\n  {told['damaged'][0]}\n" in cache.run("verify").stdout
    cut(cache.file)
    assert cache.told("verify", code=1)["damaged"] == [REFUSALS["cut"][1]]


def test_verify_compares_every_version_with_the_filesystem(cache: Cache, tmp_path: Path) -> None:
    still, gone = make_modules(tmp_path / "still", "m"), make_modules(tmp_path / "gone", "m")
    cache.learn(cache.modules, still, gone)
    assert cache.told("verify", "--files")["changed"] == []
    assert cache.run("verify", "--files").stdout.endswith("has every version that is stored\n")
    (cache.modules / "one.py").write_text("value = 1\n")
    cached = next((still / "__pycache__").iterdir())
    cached.write_bytes(cached.read_bytes())
    shutil.rmtree(gone)
    changed = [cache.modules / "one.py", still / "m.py", gone, gone / "m.py"]
    assert cache.told("verify", "--files")["changed"] == list(map(str, changed))
    assert f"changed since: 4 paths\n  {changed[0]}\n" in cache.run("verify", "--files").stdout
    (cache.modules / "new.py").touch()
    assert str(cache.modules) in cache.told("verify", "--files")["changed"]
    assert cache.told("verify")["changed"] is None


def plant_strangers(cache: Cache) -> set[str]:
    """Files that look as if they were ours, or nearly."""
    d = cache.directory
    (d / f"{'1' * 32}.table").write_text("no table")
    (d / f"{'2' * 31}.table").write_text("fastpath")
    (d / f"{'A' * 32}.table").write_text("fastpath")
    (d / f"{'3' * 32}.table.bak").write_text("fastpath")
    (d / f"{'4' * 32}.table").mkdir()
    (d / f"{'5' * 32}.table").symlink_to(cache.modules / "one.py")
    (d / f"{'6' * 32}.table.lock").mkdir()
    return set(left(cache))


def test_clear_removes_what_is_ours_and_nothing_else(cache: Cache) -> None:
    cache.learn()
    cache.learn(file=cache.directory / OTHER, environment=b"/gone")
    unfinished = cache.directory / f"{'7' * 32}.table.new"
    unfinished.write_text("fast")
    ours = {*left(cache)}
    strangers = plant_strangers(cache) - ours
    damage(cache.file)
    dry = cache.told("clear", "--dry-run")
    assert {Path(change["file"]).name for change in dry["files"]} == ours
    assert set(left(cache)) == ours | strangers
    assert "would be removed" in cache.run("clear", "--dry-run").stdout
    told = cache.told("clear")
    assert (dry["dry_run"], told["dry_run"]) == (True, False)
    assert told["files"] == dry["files"]
    assert set(left(cache)) == strangers
    assert (cache.modules / "one.py").exists()


@pytest.mark.parametrize("action", ["clear", "gc"])
def test_what_is_being_written_stays(cache: Cache, action: str) -> None:
    cache.learn(day=TODAY - 1000)
    before = left(cache)
    with (cache.directory / f"{cache.file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # whoever removes needs it alone
        told = cache.told(action, code=1)
        assert {change["change"] for change in told["files"]} == {"busy"}
        assert "is writing it just now" in cache.run(action).stdout
    assert left(cache) == before
    assert cache.told(action)["files"][0]["change"] in ("removed", "shortened")


def test_gc_leaves_out_directories_that_are_gone_or_were_not_used_for_long(
    cache: Cache, tmp_path: Path
) -> None:
    gone, old = make_modules(tmp_path / "gone", "m"), make_modules(tmp_path / "old", "m", "n")
    cache.learn(old, day=TODAY - 91)
    cache.learn(cache.modules, day=TODAY - 90)
    cache.learn(gone, day=TODAY - 30)
    assert cache.told("gc")["files"][0]["change"] == "shortened"
    assert [one["path"] for one in cache.told("list")] == [str(cache.modules), str(gone)]
    shutil.rmtree(gone)
    dry = cache.told("gc", "--dry-run")["files"]
    assert (dry[0]["directories"], dry[0]["freed"]) == ([str(gone)], None)
    assert len(cache.told("list")) == 2
    before = cache.file.stat().st_size
    text = cache.run("gc").stdout
    freed = before - cache.file.stat().st_size
    assert text == (
        f"{cache.file} shortened: without 1 directory, 1 module\n  {gone}\n{size(freed)} freed\n"
    )
    assert cache.told("gc")["files"][0]["change"] == "unchanged"
    assert cache.told("gc", "--days", "89")["files"][0]["directories"] == [str(cache.modules)]
    assert cache.told("verify")["damaged"] == []


def test_gc_keeps_what_it_cannot_reach(cache: Cache, tmp_path: Path) -> None:
    loop = tmp_path / "place"
    make_modules(loop, "m")
    cache.learn(loop)
    shutil.rmtree(loop)
    loop.symlink_to(loop)  # ELOOP is no evidence of absence
    assert cache.told("gc")["files"][0]["change"] == "unchanged"


def test_gc_removes_tables_that_nobody_can_use(cache: Cache, tmp_path: Path) -> None:
    prefix, base = str(cache.venv.site.parents[2]).encode(), str(tmp_path / "base").encode()
    (tmp_path / "base" / "lib" / "python2.7").mkdir(parents=True)
    names = iter("89abcdef")

    def table(environment: bytes) -> Path:
        file = cache.directory / f"{next(names) * 32}.table"
        return cache.learn(file=file, environment=environment)

    gone = [table(b"/gone\0/usr"), table(prefix + b"\0/gone"), table(prefix + b"\0" + base)]
    spoilt = table(prefix)
    cut(spoilt)
    later = table(prefix)
    later_format(later)
    cache.learn()
    lone = cache.directory / f"{'7' * 32}.table.lock"
    lone.touch()
    told = {Path(change["file"]): change for change in cache.told("gc")["files"]}
    removed = {path for path, change in told.items() if change["change"] == "removed"}
    assert {path for path in removed if path.suffix == ".table"} == {*gone, spoilt}
    assert lone in removed
    assert told[gone[0]]["why"].startswith("its interpreter is gone (cpython-")
    assert told[spoilt]["why"].startswith("it is damaged")
    assert told[later]["why"] == "it is of a later format (99)"
    tables = [path for path in cache.directory.iterdir() if path.suffix == ".table"]
    assert sorted(tables) == sorted([later, cache.file])


def test_gc_mends_a_damaged_piece(cache: Cache) -> None:
    damage(cache.learn())
    assert "1 damaged piece" in cache.told("gc")["files"][0]["why"]
    assert [len(one["modules"]) for one in cache.told("list")] == [1]
    assert cache.told("verify")["damaged"] == []


@pytest.mark.parametrize(
    ("number", "text"),
    [
        *((0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9949, "9.9 kB"), (9950, "10 kB")),
        *((999_499, "999 kB"), (999_500, "1.0 MB"), (256 << 20, "268 MB"), (4 << 30, "4.3 GB")),
    ],
)
def test_sizes(number: int, text: str) -> None:
    assert size(number) == text


def test_dates() -> None:
    assert (date(0), date(20_000), date(2**32 - 1)) == (
        "1970-01-01",
        "2024-10-04",
        "day 4294967295",
    )
