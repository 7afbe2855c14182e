"""``trace``: one command under strace, and where the calls of its start go.

Runs the command once, or twice with --compare (FASTPATH=0, then fastpath), and tells at the end,
on standard error, since standard output is the command's. The import tree, for --html or where
there is no strace, takes one more run for each, silent and not traced. Changes nothing but what
the command changes. Used by ``_cli``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import fastpath
from fastpath import (
    _trace_calls,
    _trace_count,
    _trace_imports,
    _trace_phases,
    _trace_save,
    _trace_strace,
    _trace_text,
)
from fastpath._problem import USAGE, Problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fastpath._trace_calls import FileCall
    from fastpath._trace_count import Counts, Row
    from fastpath._trace_imports import Command, Interpreter, Node, Tree

NOT_FOUND = 127  # as env(1) and POSIX's shell have it
NOT_RUN = 126

_BY_RUN = (
    "fastpath is not enabled in this environment, so its side ran by `python -m fastpath run`, and "
    "the calls\nof that itself (to import fastpath, runpy) are counted with it; after `python -m "
    "fastpath enable` they are not there"
)

_LOOKS_SLOW = (
    "under strace every filesystem looks slow to fastpath, which may then look ahead and hire "
    "threads\nwhere it would not; FASTPATH_BACKEND=serial keeps it from that"
)


class Asked(NamedTuple):
    """The options of ``trace``."""

    words: list[str]
    save: Path | None
    html: Path | None
    json: Path | None
    compare: bool


class _Way(NamedTuple):
    """One way to run the command."""

    label: str
    words: list[str]
    env: dict[str, str]
    stock: bool


def main(asked: Asked) -> int:
    """Trace a command, tell what it asked, and return its exit code (see docs/lab.md)."""
    path = _found(asked.words)
    _check_files(asked)
    strace = _trace_strace.find()
    command = _trace_imports.python_command(asked.words, path)
    python = _trace_imports.UNKNOWN
    # Only where it matters, as this starts an interpreter, which may learn from it.
    if command is not None and (asked.compare or asked.html or isinstance(strace, str)):
        env = {name: value for name, value in os.environ.items() if name != "FASTPATH"}
        python = _trace_imports.ask(command, env)
    ways = _ways(asked, command, python)
    if isinstance(strace, str):
        return _without(strace, ways, asked, command, python)
    named = [path, *asked.words[1:]] if command is None else command.program
    runs: list[Counts] = []
    for way in ways:
        ran = _trace_strace.run(strace, way.words, way.env)
        _check_begun(ran, way.words)
        cwd = os.getcwd()  # noqa: PTH109  # a string is what is asked for
        pythonpath = way.env.get("PYTHONPATH", "")
        calls = list(_trace_calls.resolved(ran.parsed.calls, cwd))
        phases = _trace_phases.phases(calls, named, cwd, pythonpath)
        runs.append(_trace_count.counted(way.label, ran.code, ran.parsed, calls, phases))
        runs[-1].is_off = way.env.get("FASTPATH") == "0"
        if way is ways[0]:
            _save(asked, calls)
    trees = _trees(ways, command, python) if asked.html else {}
    notes = [_BY_RUN] if asked.compare and not python.starts_fastpath else []
    if any(run.has_fastpath and not run.is_off for run in runs):
        notes.append(_LOOKS_SLOW)
    _say(_trace_text.render(runs, notes))
    if asked.html is not None and not trees:
        _say(f"\n{_trace_text.NO_TREE}")
    for label, tree in trees.items():
        _say("\n" + _trace_text.render_tree(tree, label))
    _write_told(asked, runs, trees, notes)
    return next(filter(None, (run.code for run in runs)), 0)


def _found(words: Sequence[str]) -> str:
    """Return the path of the command; raise Problem as env(1) fails where it cannot be run."""
    path = shutil.which(words[0])
    if path is not None:
        return path
    exists = shutil.which(words[0], mode=os.F_OK) or (
        os.sep in words[0] and Path(words[0]).exists()
    )
    why = "Permission denied" if exists else "No such file or directory"
    code = NOT_RUN if exists else NOT_FOUND
    raise Problem(f"trace: can't run {words[0]!r}: {why}", code)


def _check_begun(ran: _trace_strace.Run, words: Sequence[str]) -> None:
    """Raise Problem where the very first execve(2) failed: strace's exit code is its own then."""
    calls = ran.parsed.calls
    if calls and calls[0].name == "execve" and calls[0].error is not None and ran.code:
        raise Problem(f"trace: can't run {words[0]!r}: {calls[0].error}", NOT_RUN)


def _check_files(asked: Asked) -> None:
    """See that every file can be written before anything has run."""
    for path in (asked.save, asked.html, asked.json):
        if path is not None:
            _write(path, b"")


def _ways(asked: Asked, command: Command | None, python: Interpreter) -> list[_Way]:
    env = dict(os.environ)
    stock = env | {"FASTPATH": "0"}
    if not asked.compare:
        off = not python.starts_fastpath or env.get("FASTPATH") == "0"
        return [_Way("as it is", asked.words, env, off)]
    env.pop("FASTPATH", None)
    if command is None:
        raise Problem("trace: --compare needs a command that is a Python, as python app.py", USAGE)
    if not python.has_fastpath:
        raise Problem(f"trace: --compare: {command.interpreter[0]} cannot import fastpath")
    if python.starts_fastpath and _ignores_environment(command):
        raise Problem("trace: --compare: under -I or -E, FASTPATH=0 does not turn fastpath off")
    words = asked.words if python.starts_fastpath else command.under_fastpath()
    return [_Way("stock", asked.words, stock, True), _Way("fastpath", words, env, False)]


def _ignores_environment(command: Command) -> bool:
    short = [word for word in command.interpreter[1:] if re.fullmatch(r"-[a-zA-Z]+", word)]
    return any(set("IE") & set(word) for word in short if word[1] not in "WX")


def _trees(ways: Sequence[_Way], command: Command | None, python: Interpreter) -> dict[str, Tree]:
    if command is None or not python.has_fastpath:
        return {}
    return {
        way.label: _trace_imports.tree(command, way.env, stock=way.stock, plain=python.modules)
        for way in ways
    }


def _without(
    why: str, ways: Sequence[_Way], asked: Asked, command: Command | None, python: Interpreter
) -> int:
    """Tell what can be told without strace: the import tree, of a Python."""
    _say(f"fastpath: trace: {why}")
    if asked.save is not None:
        raise Problem("trace: --save needs strace")
    if command is None or not python.has_fastpath:
        raise Problem("trace: without strace only a Python that has fastpath can be told of")
    codes = [_trace_strace.exit_code(way.words, way.env) for way in ways]
    trees = _trees(ways, command, python)
    for label, tree in trees.items():
        _say(_trace_text.render_tree(tree, label))
    _write_told(asked, [], trees, [])
    return next(filter(None, codes), 0)


def _save(asked: Asked, calls: Sequence[FileCall]) -> None:
    if asked.save is not None:
        _write(asked.save, b"".join(_trace_save.recording(calls)))


def _write_told(
    asked: Asked, runs: Sequence[Counts], trees: Mapping[str, Tree], notes: Sequence[str]
) -> None:
    if asked.json is not None:
        text = json.dumps(as_json(asked.words, runs, trees), indent=1) + "\n"
        _write(asked.json, text.encode())
    if asked.html is not None:
        from fastpath import _trace_html

        page = _trace_html.page(asked.words, runs, trees, notes)
        _write(asked.html, page.encode("utf-8", "backslashreplace"))


def as_json(
    words: Sequence[str], runs: Sequence[Counts], trees: Mapping[str, Tree]
) -> dict[str, object]:
    """Return everything, for programs; see docs/lab.md for the keys."""
    return {
        "version": fastpath.__version__,
        "command": list(words),
        "runs": [_run_json(run) for run in runs],
        "imports": {
            label: [_node_json(node) for node in tree.roots] for label, tree in trees.items()
        },
        "imports_hidden": {label: tree.hidden for label, tree in trees.items()},
    }


def _run_json(run: Counts) -> dict[str, object]:
    return {
        "label": run.label,
        "exit_code": run.code,
        "fastpath_loaded": run.has_fastpath,
        "fastpath_off": run.is_off,
        "processes": run.processes,
        "threads": run.threads,
        "signals": run.signals,
        "io_uring_batches": run.uring,
        "lines_not_understood": run.not_understood,
        "total": _row_json(run.total),
        "kinds": [_row_json(row) for row in run.kinds],
        "phases": [_row_json(row) for row in run.phases],
        "directories": [_row_json(row) for row in run.directories],
        "histogram": [
            {"below_us": 1 << place, "calls": number} for place, number in enumerate(run.histogram)
        ],
    }


def _row_json(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "calls": row.calls,
        "enoent": row.enoent,
        "traced_ms": row.seconds * 1e3,
    }


def _node_json(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "loaded": node.loaded,
        "self_ms": node.own,
        "inclusive_ms": node.inclusive,
        **{f"{part}_ms": cost for part, cost in node.parts.items()},
        "children": [_node_json(child) for child in node.children],
    }


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Problem(f"trace: can't write {str(path)!r}: {error.strerror}", USAGE) from error


def _say(text: str) -> None:
    print(text, file=sys.stderr)
