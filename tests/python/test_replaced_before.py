"""Somebody was there before us: a function of importlib's replaced, or a hook that opens code.

What theirs does ours cannot stand for, so that part is left to stock, whose code calls theirs. Each
case is an interpreter of its own; ``loaded`` tells by fastpath's own count who loaded a module.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from support import run_python

IMPORT = """
import json, sys
from importlib import _bootstrap_external as external
import fastpath
{before}
installed = fastpath.install()
import decimal, wave
stats = fastpath.stats()
print(json.dumps([installed, stats["lookups"] > 0, stats["loaded"] > 0, seen]))
"""
WRAP = """
seen = []
def wrap(owner, name, make=lambda f: f):
    inner = getattr(owner, name)
    def theirs(*args, **kwargs):
        seen.append(name)
        return inner(*args, **kwargs)
    setattr(owner, name, make(theirs))
"""
FINDING = {
    "find_spec": "wrap(external.PathFinder, 'find_spec', staticmethod)",
    "_get_spec": "wrap(external.PathFinder, '_get_spec', staticmethod)",
    "_path_hooks": "wrap(external.PathFinder, '_path_hooks', staticmethod)",
    "_fill_cache": "wrap(external.FileFinder, '_fill_cache')",
}
LOADING = {
    "get_code": "wrap(external.SourceLoader, 'get_code')",
    "path_stats": "wrap(external.SourceFileLoader, 'path_stats')",
    "get_data": "wrap(external.FileLoader, 'get_data')",
    "cache_from_source": "wrap(external, 'cache_from_source')",
    "_compile_bytecode": "wrap(external, '_compile_bytecode')",
    "loads": "wrap(external.marshal, 'loads')",
    "open_code": "wrap(external._io, 'open_code')",
}
# What makes modules; loading them is another matter.
MAKING = {
    "create_module": "wrap(external._LoaderBasics, 'create_module')",
    "_get_cached": "wrap(external, '_get_cached')",
    "_init_module_attrs": "wrap(external._bootstrap, '_init_module_attrs')",
}
# From Python, ctypes alone can set the hook of PEP 578; it answers as `open` would.
HOOK = """
import ctypes, io
seen = []
@ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p)
def opens(path, data):
    seen.append("hook")
    return io.open(path, "rb")
assert ctypes.pythonapi.PyFile_SetOpenCodeHook(opens, None) == 0
"""


def outcome(before: str, tmp_path: Path) -> tuple[bool, bool, bool, list[str]]:
    """Installed, found something, loaded something; and what of theirs was called."""
    result = run_python(["-c", IMPORT.format(before=before)], cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    installed, found, loaded, seen = json.loads(result.stdout)
    return installed, found, loaded, seen


def test_nothing_replaced(tmp_path: Path) -> None:
    assert outcome("seen = []", tmp_path) == (True, True, True, [])


@pytest.mark.parametrize("name", FINDING)
def test_who_has_replaced_a_part_of_finding_keeps_it_all(name: str, tmp_path: Path) -> None:
    installed, found, loaded, seen = outcome(WRAP + FINDING[name], tmp_path)
    assert (installed, found, loaded) == (False, False, False)
    assert name in seen


@pytest.mark.parametrize("name", LOADING)
def test_who_has_replaced_a_part_of_loading_keeps_loading(name: str, tmp_path: Path) -> None:
    installed, found, loaded, seen = outcome(WRAP + LOADING[name], tmp_path)
    assert (installed, found, loaded) == (True, True, False)
    assert name in seen


@pytest.mark.parametrize("name", MAKING)
def test_who_has_replaced_a_part_of_making_modules_keeps_that(name: str, tmp_path: Path) -> None:
    installed, found, loaded, seen = outcome(WRAP + MAKING[name], tmp_path)
    assert (installed, found, loaded) == (True, True, True)
    assert name in seen or (name == "_get_cached" and sys.version_info >= (3, 15))


def test_a_hook_that_opens_code_is_honoured(tmp_path: Path) -> None:
    installed, found, loaded, seen = outcome(HOOK, tmp_path)
    assert (installed, found, loaded) == (True, True, False)
    assert "hook" in seen


def test_the_question_for_a_hook_leaves_none(tmp_path: Path) -> None:
    """One may still be set after fastpath was installed, as CPython allows one and no more."""
    before = "seen = []\nfastpath.install()\n" + HOOK.replace("seen = []", "")
    installed, found, loaded, _ = outcome(before, tmp_path)
    assert (installed, found, loaded) == (True, True, True)
