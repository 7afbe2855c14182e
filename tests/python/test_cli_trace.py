"""``trace``: what it tells of real commands, what it writes, and how it ends."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from support import Python, Result, Venv, make_venv, need

PROGRAM = "import pack\nopen('/nosuch-data') if 'data' in __import__('sys').argv else None\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A program with a package of its own."""
    place = tmp_path / "place"
    (place / "pack").mkdir(parents=True)
    (place / "pack/__init__.py").write_text("import pack.inner, leaf\n")
    (place / "pack/inner.py").write_text("")
    (place / "leaf.py").write_text("")
    (place / "app.py").write_text(PROGRAM)
    return place


@pytest.fixture
def strace() -> None:
    need("strace")


def trace(venv: Venv, *arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return venv.fastpath("trace", *arguments, env=env)


def told(venv: Venv, place: Path, *arguments: str | Path) -> Any:
    """Trace a command with --json and more options in front of ``--``."""
    file = place / "told.json"
    result = trace(venv, "--json", file, *arguments)
    assert result.returncode == 0, result.stderr
    return json.loads(file.read_text())


def row(rows: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [row for row in rows if row["name"] == name]
    return found


@pytest.mark.usefixtures("strace")
def test_the_sums_are_the_total(shared_venv: Venv, place: Path) -> None:
    (run,) = told(shared_venv, place, "--", shared_venv.python.path, place / "app.py")["runs"]
    assert (run["exit_code"], run["lines_not_understood"]) == (0, 0)
    total = run["total"]["calls"]
    for rows in ("kinds", "phases", "histogram"):
        assert sum(row["calls"] for row in run[rows]) == total, rows
    assert sum(row["enoent"] for row in run["kinds"]) == run["total"]["enoent"]
    assert 0 < sum(row["calls"] for row in run["directories"]) <= total
    assert row(run["kinds"], "execve")["calls"] == 1


@pytest.mark.usefixtures("strace")
def test_the_phases_of_a_start(shared_venv: Venv, place: Path) -> None:
    (run,) = told(shared_venv, place, "--", shared_venv.python.path, place / "app.py")["runs"]
    names = [row["name"] for row in run["phases"]]
    assert names[:3] == ["loader", "interpreter", "site"]
    assert names[-1] == "program"
    assert {"import pack", "import leaf"} <= set(names)
    assert "other processes" not in names


@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("way", ["script", "module", "code"])
def test_an_import_is_the_program_s(shared_venv: Venv, place: Path, way: str) -> None:
    words = {"script": ["app.py"], "module": ["-m", "app"], "code": ["-c", PROGRAM]}[way]
    # The traced interpreter is started in `place`, as a user would.
    script = f"cd {place} && exec {shared_venv.python.path} -m fastpath trace --json told.json -- "
    script += f'{shared_venv.python.path} "$@"'
    result = subprocess.run(["sh", "-c", script, "sh", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    (run,) = json.loads((place / "told.json").read_text())["runs"]
    phases = {row["name"]: row["calls"] for row in run["phases"]}
    # A directory's listing and stats, source and bytecode: more than three calls for each.
    assert phases["import pack"] > 3
    assert phases["import leaf"] > 3
    assert phases["site"] > 3


@pytest.mark.usefixtures("strace")
def test_the_phases_of_every_python(each_python: Python, tmp_path: Path, place: Path) -> None:
    venv = make_venv(tmp_path / "venv", each_python)
    (run,) = told(venv, place, "--", venv.python.path, place / "app.py")["runs"]
    names = [row["name"] for row in run["phases"]]
    assert names[:3] == ["loader", "interpreter", "site"]
    assert {"import pack", "import leaf"} <= set(names)
    # Whatever an interpreter needs before site is the interpreter's.
    assert {"import encodings", "import site", "import io"}.isdisjoint(names)


@pytest.mark.usefixtures("strace")
def test_calls_of_threads_and_children_are_counted_exactly(shared_venv: Venv, place: Path) -> None:
    code = (
        "import os, threading\n"
        f"def ask(): [os.path.exists('{place}/void/%d\\n\\udcff' % n) for n in range(50)]\n"
        "threads = [threading.Thread(target=ask) for _ in range(4)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "if not os.fork(): ask(); os._exit(0)\n"
        "os.wait()\n"
    )
    (run,) = told(shared_venv, place, "--", shared_venv.python.path, "-c", code)["runs"]
    void = row(run["directories"], f"{place}/void")
    assert (void["calls"], void["enoent"]) == (250, 250)
    assert row(run["phases"], "other processes")["enoent"] == 50
    assert (run["threads"], run["lines_not_understood"]) == (6, 0)


@pytest.mark.usefixtures("strace")
def test_a_path_gives_the_terminal_no_orders(shared_venv: Venv) -> None:
    code = "import os; [os.path.exists('/nosuch\\x1b[31m\\n/x') for _ in range(500)]"
    result = trace(shared_venv, "--", shared_venv.python.path, "-c", code)
    assert r"/nosuch\x1b[31m\n" in result.stderr
    assert "\x1b" not in result.stderr


@pytest.mark.usefixtures("strace")
def test_the_command_keeps_its_streams_and_codes(shared_venv: Venv) -> None:
    result = trace(shared_venv, "--", "sh", "-c", "echo out; echo err >&2; exit 5")
    assert (result.returncode, result.stdout) == (5, "out\n")
    assert result.stderr.startswith("err\nfastpath: as it is: ")
    assert "looks slow to fastpath" not in result.stderr
    assert "times are inflated by strace" in result.stderr
    killed = trace(shared_venv, "--", "sh", "-c", "kill -TERM $$")
    assert killed.returncode == 128 + 15


@pytest.mark.usefixtures("strace")
def test_children_are_other_processes(shared_venv: Venv, place: Path) -> None:
    python = shared_venv.python.path
    shell = told(shared_venv, place, "--", "sh", "-c", f"cat /dev/null; {python} -c 'import leaf0'"
                 " 2>/dev/null; true")  # fmt: skip
    (run,) = shell["runs"]
    names = [row["name"] for row in run["phases"]]
    assert run["processes"] >= 3
    assert names[0] == "loader"
    assert names[-1] == "other processes"


@pytest.mark.usefixtures("strace")
def test_compare(shared_venv: Venv, place: Path) -> None:
    python = shared_venv.python.path
    both = told(shared_venv, place, "--compare", "--", python, place / "app.py")
    stock, ours = both["runs"]
    assert [run["label"] for run in both["runs"]] == ["stock", "fastpath"]
    assert (stock["fastpath_loaded"], ours["fastpath_loaded"]) == (False, True)


@pytest.mark.usefixtures("strace")
def test_compare_where_fastpath_is_enabled(venv: Venv, place: Path) -> None:
    assert venv.fastpath("enable").returncode == 0
    python = venv.python.path
    for directory in (place, venv.site):  # no bytecode is left to write
        assert venv.run("-m", "compileall", "-q", directory).returncode == 0
    words: list[str | Path] = [
        "trace",
        "--compare",
        "--json",
        place / "told.json",
        "--",
        python,
        place / "app.py",
    ]
    result = venv.fastpath(*words, env={"FASTPATH_CACHE_DIR": "off"})
    assert result.returncode == 0, result.stderr
    assert "fastpath run" not in result.stderr
    assert result.stderr.count("every filesystem looks slow to fastpath") == 1
    runs = json.loads((place / "told.json").read_text())["runs"]
    # FASTPATH=0 has the native module loaded, and rest.
    assert [(run["fastpath_loaded"], run["fastpath_off"]) for run in runs] == [
        (True, True),
        (True, False),
    ]
    assert "fastpath was loaded, and off by FASTPATH=0" in result.stderr.splitlines()[0]
    isolated = venv.fastpath("trace", "--compare", "--", python, "-I", "-c", "pass")
    assert (isolated.returncode, isolated.stdout) == (1, "")
    assert "FASTPATH=0 does not turn fastpath off" in isolated.stderr
    assert all("import runpy" not in {row["name"] for row in run["phases"]} for run in runs)


@pytest.mark.usefixtures("strace")
def test_the_recording_is_true(shared_venv: Venv, place: Path) -> None:
    file = place / "app.recording"
    python = shared_venv.python.path
    for _ in range(2):  # the first run writes bytecode
        result = trace(shared_venv, "--save", file, "--", python, place / "app.py", "data")
    assert result.returncode == 1  # the program's, which opens a file that is not there
    header, *lines = file.read_bytes().splitlines()
    assert header == b"# fastpath-recording 1"
    recorded = [line.split(b"\t") for line in lines]
    assert [b"openat", b"ENOENT", b"/nosuch-data"] in recorded
    assert [b"openat", b"0", os.fsencode(place / "app.py")] in recorded
    letters = {b"f": os.path.isfile, b"d": os.path.isdir}
    for kind, answer, path in recorded:
        if kind == b"stat" and answer in letters:
            assert letters[answer](path), path
        if answer == b"ENOENT":
            assert not os.path.exists(path), path


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.boxes: list[tuple[str, str]] = []
        self.links: list[str] = []
        self.policy = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.links += [given[name] for name in ("src", "href") if name in given]
        if given.get("role") == "treeitem":
            self.boxes.append((given["aria-label"].partition("\n")[0], given["aria-level"]))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]


@pytest.mark.usefixtures("strace")
def test_the_page_is_whole(shared_venv: Venv, place: Path) -> None:
    page = place / "page.html"
    command: list[str | Path] = [shared_venv.python.path, place / "app.py", "<script>"]
    both = told(shared_venv, place, "--compare", "--html", page, "--", *command)
    text = page.read_text()
    read = _Page()
    read.feed(text)
    assert read.links == []
    assert re.findall(r"https?://|@import|url\(", text) == []
    assert text.count("<script>") == 1
    assert read.boxes == 2 * [("pack", "1"), ("pack.inner", "2"), ("leaf", "2")]
    assert read.policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha")
    for label in ("stock", "fastpath"):
        assert "runpy" in both["imports_hidden"][label]
        assert {"os", "sys", "pack", "fastpath"}.isdisjoint(both["imports_hidden"][label])
        (pack,) = both["imports"][label]
        assert (pack["name"], len(pack["children"])) == ("pack", 2)
        within = sum(child["inclusive_ms"] for child in pack["children"])
        assert pack["inclusive_ms"] == pytest.approx(pack["self_ms"] + within)


@pytest.mark.usefixtures("strace")
def test_a_command_of_no_known_format(shared_venv: Venv, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("neither a program nor a script\n")
    (tmp_path / "text").chmod(0o755)
    result = trace(shared_venv, "--", tmp_path / "text")
    assert (result.returncode, result.stdout) == (126, "")
    assert result.stderr.endswith(f"trace: can't run '{tmp_path}/text': ENOEXEC\n")


def no_strace(tmp_path: Path, script: str | None) -> dict[str, str]:
    """A PATH without strace, or with one of ours."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    for name in ("sh", "true"):
        (bin_ / name).symlink_to(str(shutil.which(name)))
    if script is not None:
        (bin_ / "strace").write_text(f"#!/bin/sh\n{script}\n")
        (bin_ / "strace").chmod(0o755)
    return {"PATH": str(bin_)}


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (None, "strace is not installed (Debian, Ubuntu: apt install strace)"),
        (
            "echo 'strace: ptrace(TRACEME): Operation not permitted' >&2; exit 1",
            "strace is not permitted here (strace: ptrace(TRACEME): Operation not permitted); "
            "a container needs --cap-add SYS_PTRACE, and kernel.yama.ptrace_scope may not be 3",
        ),
    ],
)
def test_without_strace(
    shared_venv: Venv, place: Path, tmp_path: Path, script: str | None, said: str
) -> None:
    env = no_strace(tmp_path, script)
    page, file = place / "page.html", place / "told.json"
    command: list[str | Path] = [shared_venv.python.path, "-c", "import json, sys; sys.exit(7)"]
    result = trace(shared_venv, "--html", page, "--json", file, "--", *command, env=env)
    assert result.returncode == 7
    assert result.stderr.splitlines()[0] == f"fastpath: trace: {said}"
    assert "json.decoder" in result.stderr
    assert "json.decoder" in page.read_text()
    assert json.loads(file.read_text())["runs"] == []
    counter = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(3)"
    runs: list[str | Path] = [shared_venv.python.path, "-c", counter, place / "runs"]
    both = trace(shared_venv, "--compare", "--", *runs, env=env)
    assert both.returncode == 3
    assert (place / "runs").read_text() == "xxxx"  # each way twice: one for the import tree
    other = trace(shared_venv, "--", "true", env=env)
    assert other.returncode == 1
    assert other.stderr.splitlines()[-1].startswith("fastpath: error: trace: without strace")
    saved = trace(shared_venv, "--save", place / "x", "--", *command, env=env)
    assert saved.returncode == 1
    assert "--save needs strace" in saved.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "stands behind --"),
        (("--",), 2, "stands behind --"),
        (("true",), 2, "stands behind --"),
        (("--nosuch", "--", "true"), 2, "unrecognized arguments: --nosuch"),
        (("--save", "/nosuch/file", "--", "true"), 2, "can't write '/nosuch/file'"),
        (("--compare", "--", "true"), 2, "--compare needs a command that is a Python"),
        (("--", "nosuch-command"), 127, "can't run 'nosuch-command': No such file"),
        (("--", "./nosuch"), 127, "can't run './nosuch': No such file"),
        (("--", __file__), 126, "Permission denied"),
    ],
)
def test_bad_input(shared_venv: Venv, arguments: tuple[str, ...], code: int, said: str) -> None:
    result = trace(shared_venv, *arguments)
    assert (result.returncode, result.stdout) == (code, "")
    *usage, line = result.stderr.splitlines()
    assert said in line
    assert all(text.startswith(("usage: ", " ")) for text in usage), usage
    assert ("--nosuch" in arguments) == bool(usage)
