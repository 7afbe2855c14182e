"""``trace``'s guesses: the phases of a recorded start, and where a command's program begins."""

from pathlib import Path

import pytest

from fastpath._trace_calls import resolved
from fastpath._trace_imports import nodes, python_command
from fastpath._trace_parse import parse
from fastpath._trace_phases import phases

MISSING = "= -1 ENOENT (No such file or directory)"
# A start of CPython 3.11 in /home, `python app.py`, cut down to what the phases are told by.
START = [
    ("loader", 'execve("/v/bin/python", [...], 0x7f /* 9 vars */) = 0'),
    ("loader", f'access("/etc/ld.so.preload", R_OK) {MISSING}'),
    ("loader", f'openat(AT_FDCWD</home>, "/p/lib/tls/libpython3.11.so.1.0", O_RDONLY) {MISSING}'),
    ("loader", f'newfstatat(AT_FDCWD</home>, "/p/lib/tls", 0x7f, 0) {MISSING}'),
    ("loader", 'openat(AT_FDCWD</home>, "/lib/libc.so.6", O_RDONLY) = 3</lib/libc.so.6>'),
    ("loader", 'read(3</lib/libc.so.6>, ""..., 832) = 832'),
    ("interpreter", f'openat(AT_FDCWD</home>, "/usr/lib/locale/C", O_RDONLY) {MISSING}'),
    ("interpreter", 'openat(AT_FDCWD</home>, "/v/pyvenv.cfg", O_RDONLY) = 3</v/pyvenv.cfg>'),
    ("interpreter", 'stat("/p/lib/python3.11/encodings/__init__.py", {st_mode=S_IFREG}) = 0'),
    ("interpreter", 'newfstatat(0</dev/null>, "", {st_mode=S_IFCHR|0666}, AT_EMPTY_PATH) = 0'),
    ("interpreter", 'stat("/p/lib/python3.11/io.py", {st_mode=S_IFREG}) = 0'),
    ("interpreter", "lseek(2</dev/null>, 0, SEEK_CUR) = 0"),
    ("site", 'stat("/v/lib/python3.11/site-packages", {st_mode=S_IFDIR|0755}) = 0'),
    ("site", 'openat(AT_FDCWD</home>, "/l.so", O_RDONLY) = 3</l.so>'),
    ("program", 'openat(AT_FDCWD</home>, "/home/app.py", O_RDONLY) = 3</home/app.py>'),
    ("import numpy", 'stat("/home", {st_mode=S_IFDIR|0755}) = 0'),
    ("import numpy", 'stat("/v/lib/python3.11/site-packages", {st_mode=S_IFDIR|0755}) = 0'),
    ("import numpy", 'stat("/v/lib/python3.11/site-packages/numpy", {st_mode=S_IFDIR}) = 0'),
    ("import numpy", 'stat("/v/lib/python3.11/site-packages/numpy/a.py", {st_mode=S_IFREG}) = 0'),
    ("import leaf", 'openat(AT_FDCWD</home>, "/home/__pycache__/leaf.c.pyc", O_RDONLY) = 3</x>'),
    ("program", 'openat(AT_FDCWD</home>, "/home/data/t.csv", O_RDONLY) = 3</home/data/t.csv>'),
    ("program", 'write(1</dev/null>, ""..., 6) = 6'),
]  # fmt: skip


def told(lines: list[str], *words: str, pythonpath: str = "") -> list[str]:
    text = [f"7 {10 + index / 1000:.6f} {line} <0.000001>\n" for index, line in enumerate(lines)]
    return phases(list(resolved(parse(text).calls, "/home")), words, "/home", pythonpath)


def test_the_phases_of_a_start() -> None:
    expected = [phase for phase, _ in START]
    assert told([line for _, line in START], "app.py") == expected


@pytest.mark.parametrize(
    "first", ['getcwd("/home", 1024) = 6', 'stat("/home", {st_mode=S_IFDIR}) = 0']
)
def test_a_program_without_a_file_begins_with_its_directory(first: str) -> None:
    lines = [line for phase, line in START if phase in ("loader", "interpreter", "site")]
    rest = 'stat("/home/leaf.py", {st_mode=S_IFREG}) = 0'
    phase = told([*lines, first, rest], "-c", "import leaf")
    assert phase[len(lines) - 1] == "site"
    assert phase[-1] == "import leaf"
    assert "site" not in phase[len(lines) :]


def test_the_nearest_path_entry_names_the_module() -> None:
    lines = [line for _, line in START]
    lines += [f'stat("/home/lib/{name}", {{st_mode=S_IFREG}}) = 0' for name in ("near.py", "x.txt")]
    for pythonpath in ("lib", "/home/lib/"):
        assert told(lines, "app.py", pythonpath=pythonpath)[-2:] == ["import near", "program"]
    assert told(lines, "app.py")[-2:] == ["import lib"] * 2


def test_a_command_without_a_python_is_all_program() -> None:
    assert told(['execve("/bin/ls", [...], 0x7f /* 9 vars */) = 0'], "ls") == ["program"]


@pytest.mark.parametrize(
    ("words", "interpreter", "program"),
    [
        ("python app.py -v", "python", "app.py -v"),
        ("/v/bin/python3.12 -I -X dev -Wignore -m mod -c x", "/v/bin/python3.12 -I -X dev -Wignore",
         "-m mod -c x"),
        ("python3.13t -c pass", "python3.13t", "-c pass"),
    ],
)  # fmt: skip
def test_where_a_python_s_program_begins(words: str, interpreter: str, program: str) -> None:
    command = python_command(words.split(), "/nosuch")
    assert command is not None
    assert command == (interpreter.split(), program.split())


@pytest.mark.parametrize("words", ["python", "python -", "python -i", "python -Imjson", "ls -l"])
def test_what_has_no_program_of_a_python_s(words: str) -> None:
    assert python_command(words.split(), "/nosuch") is None


@pytest.mark.parametrize(
    ("first", "interpreter"),
    [
        ("#!/v/bin/python3", ["/v/bin/python3"]),
        ("#! /v/bin/python3 -I", ["/v/bin/python3", "-I"]),
        ("#!/usr/bin/env python3", ["python3"]),
        ("#!/bin/sh", None),
        ("#!", None),
        ("\x7fELF", None),
    ],
)
def test_scripts(tmp_path: Path, first: str, interpreter: list[str] | None) -> None:
    script = tmp_path / "tool"
    script.write_text(f"{first}\nimport sys\n")
    command = python_command(["tool", "-m"], str(script))
    assert command == (None if interpreter is None else (interpreter, [str(script), "-m"]))


def test_the_tree_is_put_together() -> None:
    parts = {"find_ms": 1, "load_ms": 2, "execute_ms": 3}
    lists = [("leaf", "mid"), ("top", None), ("mid", "top"), ("lost", "unknown")]
    modules = [
        {"name": name, "parent": parent, "order": 9 - place, "loaded": "stock", **parts}
        for place, (name, parent) in enumerate(lists)
    ]
    lost, top = nodes(modules)
    assert (top.name, lost.name, lost.inclusive) == ("top", "lost", 6)
    assert (top.own, top.inclusive) == (6, 18)
    assert [child.name for child in top.children] == ["mid"]
    assert top.parts == {"find": 1, "load": 2, "execute": 3}
