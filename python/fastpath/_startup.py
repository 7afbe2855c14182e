r"""The files that start fastpath with the interpreter: their names, texts and directories.

``fastpath.pth`` holds one ``import`` line, which ``site`` executes from CPython 3.10 to 3.17.
It is silent when fastpath has since been uninstalled, when the native module cannot be loaded
and in sub-interpreters (which refuse it); FASTPATH_DEBUG asks it to say why. It does not run
under ``-S``, and does under ``-I`` and ``-E``.

``fastpath.start`` is its counterpart by PEP 829, read from CPython 3.15 on. Where both exist
``site`` drops the .pth's import line (``StartupState._exec_imports``), so fastpath starts
once. It is *not* written by default before 3.18, where import lines stop working: the first
.start file of an environment makes ``site`` import pkgutil and re, which on 3.15 nearly
doubles the time of ``python -c pass`` (``experiments/0102-start-file`` measures it). An entry
point that cannot be imported prints a traceback at every start, so it must outlive ``pip
uninstall``: it stands in ``fastpath_start_hook.py``, written and removed along with it.

This file decides texts and places; it writes nothing. Used by ``_enable`` and ``_status``.
"""

import site
import sys
import sysconfig
from pathlib import Path
from typing import NamedTuple

from fastpath import _native

# The first line of everything `enable` writes: what carries it is ours to replace or remove.
MARK = "# Written by 'python -m fastpath enable'; 'python -m fastpath disable' removes it.\n"

START_SUPPORTED = (3, 15)  # PEP 829
START_NEEDED = (3, 18)  # PEP 829: import lines in .pth files are ignored from here on

# Compiled only once something has failed. KeyboardInterrupt goes through, or Ctrl-C would be
# lost; everything else, even a panic of the native module (a BaseException), must not cost
# anybody their interpreter.
_FAILED = """\
import os, sys
if isinstance(e, KeyboardInterrupt): raise
if os.environ.get('FASTPATH_DEBUG', '0') not in ('', '0') and not sys.flags.ignore_environment:
 print('fastpath: not started:', e, file=sys.stderr)
"""
_HOOK = f"""\
try:
 from fastpath._native import _start
 _start()
except BaseException as e: exec({_FAILED!r})
"""
# The same for a .pth line. Parsing it costs more than loading the native module, at every start,
# and in a virtual environment twice (up to 3.13 `site` reads its .pth files twice): so it acts once
# and has few tokens, at 5000 instructions each, and what follows on a failure is a string. It loads
# the native module from its file as an import would have, without the package around it and without
# a search. `sitedir` is a local of `site` that even 3.15 keeps for such lines. Where that fails, as
# the file is not there any more, the import system is asked.
_PTH_HOOK = """\
try:
 import _frozen_importlib_external as x
 x._bootstrap._load(x.spec_from_file_location({name!r},sitedir+{file!r}))._start()
except BaseException as e: exec({otherwise!r})
"""
_OTHERWISE = f"""\
try:
 if not isinstance(e, Exception): raise
 from fastpath._native import _start
 _start()
except BaseException as e: exec({_FAILED!r})
"""

PTH_NAME = "fastpath.pth"
START_NAME = "fastpath.start"
MODULE_NAME = "fastpath_start_hook.py"
NAMES = (PTH_NAME, START_NAME, MODULE_NAME)


class StartupFile(NamedTuple):
    """A file `enable` writes: where, and its whole text."""

    path: Path
    text: str


def pth_text() -> str:
    """Return fastpath.pth: the mark and one import line."""
    name = _native.__name__
    file = f"/fastpath/{Path(_native.__file__).name}"
    hook = _PTH_HOOK.format(name=name, file=file, otherwise=_OTHERWISE)
    return f"{MARK}import sys; {name!r} in sys.modules or exec({hook!r})\n"


def startup_files(directory: Path, *, start: bool) -> list[StartupFile]:
    """List the files to write into ``directory``, in the order that never leaves a broken pair.

    With ``start`` the PEP 829 pair is included: the module first, then what refers to it.
    """
    pth = StartupFile(directory / PTH_NAME, pth_text())
    if not start:
        return [pth]
    body = "".join(f"    {line}\n" for line in _HOOK.splitlines())
    module = f'{MARK}"""Starts fastpath; see PEP 829."""\n\n\ndef start():\n{body}'
    entry = f"{MARK}{Path(MODULE_NAME).stem}:start\n"
    return [
        StartupFile(directory / MODULE_NAME, module),
        StartupFile(directory / START_NAME, entry),
        pth,
    ]


def is_ours(content: bytes) -> bool:
    """Whether a file of one of our names was written by `enable`."""
    return content.startswith(MARK.encode())


def environment_directory() -> Path:
    """Return the site-packages of this environment, where pip installs pure Python."""
    return Path(sysconfig.get_path("purelib"))


def user_directory() -> Path | None:
    """Return the user's site-packages, or None where this interpreter does not read them."""
    return Path(site.getusersitepackages()) if site.ENABLE_USER_SITE else None


def directories() -> list[Path]:
    """List every directory whose .pth files this interpreter reads at start, without repeats."""
    if sys.flags.no_site:
        return []
    found = [environment_directory(), *map(Path, site.getsitepackages())]
    user = user_directory()
    return list(dict.fromkeys([*found, user] if user else found))


def existing() -> list[tuple[Path, bool]]:
    """List the startup files that exist here, each with whether it is ours."""
    found = []
    for directory in directories():
        for name in NAMES:
            try:
                found.append((directory / name, is_ours((directory / name).read_bytes())))
            except OSError:
                continue  # not there, or not ours to read: it starts nothing of ours
    return found
