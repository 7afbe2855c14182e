"""What is known of a source module's bytecode: where it lies, whether it is good, what it costs.

Judges the file as ``SourceLoader.get_code`` does (PEP 3147, PEP 552; ``_classify_pyc``,
``_validate_timestamp_pyc``, ``_validate_hash_pyc``), then, only if it is good, has it loaded
once to see by whom and at what cost. Executes nothing, compiles nothing, writes nothing, and
leaves ``sys.modules`` alone. Used by ``_explain``, its verdict alone by ``_compiled``.
"""

from __future__ import annotations

import _imp
import importlib.util
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

import fastpath

if TYPE_CHECKING:
    _State = Literal[
        "fresh",
        "stale by time",
        "stale by size",
        "hash-checked, fresh",
        "hash-checked, stale",
        "hash-unchecked",
        "other magic number",
        "not understood",
        "unreadable",
        "missing",
        "not named",
    ]
GOOD = ("fresh", "hash-checked, fresh", "hash-unchecked")
_HEADER = 16  # PEP 552: magic, flags, and 8 bytes of time and size, or of hash


class Bytecode(TypedDict):
    """A source module's bytecode file, and who makes the module's code, in microseconds."""

    path: str | None
    state: _State
    loaded_by: Literal["fastpath", "stock"]
    """Who makes the code of an import; only fastpath's costs are known."""
    why_stock: str | None
    stat_us: float | None
    read_us: float | None
    unmarshal_us: float | None


def examine(name: str, source: str) -> Bytecode:
    """Examine the bytecode of the module of this name, whose source is this file."""
    path = path_of(source)
    found = "not named" if path is None else state(Path(path), Path(source))
    told = Bytecode(
        path=path,
        state=found,
        loaded_by="stock",
        why_stock=None,
        stat_us=None,
        read_us=None,
        unmarshal_us=None,
    )
    if found in GOOD:
        _load(told, SourceFileLoader(name, source), name)
    else:
        told["why_stock"] = f"bytecode {found}"
    return told


def path_of(source: str) -> str | None:
    """Return where a source's bytecode lies, None where this interpreter keeps none."""
    try:
        return importlib.util.cache_from_source(source)
    except NotImplementedError:  # sys.implementation.cache_tag is None
        return None


def state(path: Path, source: Path) -> _State:
    """Judge a bytecode file by its header and its source's stat (and hash, where that decides)."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
        stat = source.stat()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
    if head[:4] != importlib.util.MAGIC_NUMBER:
        return "other magic number"
    flags = int.from_bytes(head[4:8], "little")
    if len(head) < _HEADER or flags & ~0b11:
        return "not understood"
    if flags & 0b1:
        return _state_by_hash(head[8:], source, checked=bool(flags & 0b10))
    if int.from_bytes(head[8:12], "little") != int(stat.st_mtime) & 0xFFFFFFFF:
        return "stale by time"
    if int.from_bytes(head[12:], "little") != stat.st_size & 0xFFFFFFFF:
        return "stale by size"
    return "fresh"


def _state_by_hash(expected: bytes, source: Path, *, checked: bool) -> _State:
    # --check-hash-based-pycs overrules what the file says of itself.
    setting = _imp.check_hash_based_pycs
    if setting == "never" or not (checked or setting == "always"):
        return "hash-unchecked"
    try:
        content = source.read_bytes()
    except OSError:
        return "unreadable"
    is_fresh = importlib.util.source_hash(content) == expected
    return "hash-checked, fresh" if is_fresh else "hash-checked, stale"


def _load(told: Bytecode, loader: SourceFileLoader, name: str) -> None:
    before, may_not_write = fastpath.stats(), sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # the file may have changed since we looked
    try:
        loader.get_code(name)
    except (ImportError, EOFError, ValueError, TypeError, SyntaxError, OSError):
        # What an import would show: the header is good, but what follows it is not.
        told["state"] = "not understood"
        told["why_stock"] = "the code cannot be unmarshalled; an import fails"
        return
    finally:
        sys.dont_write_bytecode = may_not_write
    after = fastpath.stats()
    if after["loaded"] == before["loaded"]:
        told["why_stock"] = _why(asked=after["load_asked"] != before["load_asked"])
        return
    told["loaded_by"] = "fastpath"
    told["stat_us"] = _us(after["stat_seconds"] - before["stat_seconds"])
    told["read_us"] = _us(after["read_seconds"] - before["read_seconds"])
    told["unmarshal_us"] = _us(after["unmarshal_seconds"] - before["unmarshal_seconds"])


def _why(*, asked: bool) -> str:
    if not fastpath.is_installed():
        return "fastpath is not installed in this process"
    if not asked:
        return "loading is left to stock in this process; FASTPATH_DEBUG=1 makes it say why"
    if sys.flags.verbose:
        return "-v wants every step told"
    if sys.pycache_prefix is not None:
        return "sys.pycache_prefix is set"
    return "importlib was changed, or the path is not a plain one"


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 1)
