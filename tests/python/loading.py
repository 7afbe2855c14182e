"""Loading seen from outside: a source file, what stands in its cache, and all that a load leaves.

``Loads`` puts files of exactly known times, sizes and headers into a ``World`` and notes of each
load the code object, the exception with its traceback, and every file there is afterwards. It
knows no rule of importlib: what must be noted is whatever stock does. Used by the cases_loading
files and by ``loading_child.py``, which listens to auditing events as well.
"""

from __future__ import annotations

import _imp
import functools
import gc
import importlib._bootstrap_external as bootstrap
import importlib.util
import marshal
import os
import re
import stat
import struct
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from importlib.machinery import SourceFileLoader
from typing import Any

from oracle import ADDRESS, spec_picture
from world import Case, Cases, World

external: Any = bootstrap
MAGIC: bytes = importlib.util.MAGIC_NUMBER
MOMENT = 1_600_000_000  # when a source was written, if nothing else is said; seconds
SOURCE = "x = 'source'\n"
CACHED = "x = 'cached'\n"  # of the same size, so that only its value tells where code came from

# As they are before a case patches them.
dumps, loads, VERSION = marshal.dumps, marshal.loads, marshal.version
ATTRIBUTES = ["co_code", "co_consts", "co_names", "co_filename", "co_name", "co_flags"]

# A native body has no frame of its own; whatever it calls must look as if stock had called it.
WITHOUT_FRAME = {"get_code"}
IMPORTLIB = external.SourceLoader.get_source.__code__.co_filename
# importlib writes to a name with an address in it, and renames.
TEMPORARY = re.compile(r"\.\d{9,}")

# What a load was heard to do: nothing here, auditing events and -v lines in loading_child.py.
Listening = Callable[[], AbstractContextManager[list[object]]]
listening: list[Listening] = [lambda: nullcontext([])]


def code_picture(code: Any) -> object:
    """A code object as bytes that tell everything but how often its parts are shared."""
    if not isinstance(code, types.CodeType):
        return (type(code), repr(code))
    return {"filenames": _filenames(code), "marshalled": code_bytes(code)}


def code_bytes(code: types.CodeType) -> bytes:
    """Marshalled without references, for these depend on who else holds a string."""
    for version in (2, VERSION):  # some constants came with a later version of the format
        try:
            return dumps(code, version)
        except ValueError:
            continue
    # A filename that is not a str, or a constant that is none.
    shown = {k: getattr(code, k) for k in ATTRIBUTES}
    return ADDRESS.sub("", repr(shown)).encode(errors="surrogatepass")


def _filenames(code: types.CodeType) -> list[object]:
    inner = [c for c in code.co_consts if isinstance(c, types.CodeType)]
    return [code.co_name, code.co_filename, [_filenames(c) for c in inner]]


def module_picture(module: Any) -> object:
    """Every name of a module in order, with its value as text."""
    if not isinstance(module, types.ModuleType):
        return repr(module)
    hidden = ("__builtins__", "__spec__")
    shown = {k: ADDRESS.sub("", repr(v)) for k, v in vars(module).items() if k not in hidden}
    return {"names": list(vars(module)), "values": shown, "spec": spec_picture(module.__spec__)}


def traceback_picture(error: BaseException) -> list[object]:
    """Each frame: file, line, function, and the text of the line."""
    frames = traceback.extract_tb(error.__traceback__)
    return [
        (f.filename, f.lineno, f.name, f.line)
        for f in frames
        if not (f.filename == IMPORTLIB and f.name in WITHOUT_FRAME)
    ]


def error_text(error: BaseException) -> list[str]:
    """What would be printed of an exception itself, a syntax error's place included."""
    return traceback.format_exception_only(type(error), error)


def files_picture(root: str) -> dict[str, object]:
    """Every file below `root`: kind, permissions, contents; of a pyc what is in it."""
    found: dict[str, object] = {}
    for place, folders, names in os.walk(root):
        for name in sorted(folders + names):
            path = os.path.join(place, name)
            found[os.path.relpath(path, root)] = _file_picture(path)
    return found


def _file_picture(path: str) -> object:
    mode = os.lstat(path).st_mode
    if not stat.S_ISREG(mode):
        return (stat.filemode(mode), os.readlink(path) if stat.S_ISLNK(mode) else None)
    if os.lstat(path).st_size > 1 << 20:
        return (stat.filemode(mode), os.lstat(path).st_size)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except PermissionError:
        return stat.filemode(mode)
    return (stat.filemode(mode), _pyc_picture(data) if path.endswith(".pyc") else data)


def _pyc_picture(data: bytes) -> object:
    """Header and code; the bytes themselves where there is no code in it."""
    try:
        code = loads(data[16:])
    except (EOFError, ValueError, TypeError):
        return data
    return (data[:16], code_picture(code)) if isinstance(code, types.CodeType) else data


def _versions(root: str) -> dict[str, object]:
    """What changes when a file is replaced, even by its equal."""
    found: dict[str, object] = {}
    for place, _, names in os.walk(root):
        for name in names:
            status = os.lstat(os.path.join(place, name))
            found[os.path.join(place, name)] = (status.st_ino, status.st_mtime_ns)
    return found


@contextmanager
def swapped(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Give an attribute another value for a moment; also one that is inherited."""
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextmanager
def without(owner: Any, name: str) -> Iterator[None]:
    """Take an attribute away for a moment."""
    before = vars(owner)[name]
    delattr(owner, name)
    try:
        yield
    finally:
        setattr(owner, name, before)


class Loads:
    """A ``World`` with one source, ``d/m.py`` unless said otherwise, and its cache."""

    def __init__(self, w: World) -> None:
        self.world = w

    def at(self, where: str = "d/m.py") -> str:
        """The absolute path of something in the tree."""
        return self.world.at(where)

    def cache(self, where: str = "d/m.py") -> str:
        """Where stock looks for the pyc of a source now."""
        return importlib.util.cache_from_source(self.at(where))

    def source(
        self, text: str | bytes = SOURCE, where: str = "d/m.py", mtime: float = MOMENT
    ) -> str:
        """Write a source that was last changed at `mtime` seconds."""
        path = self.at(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        self.touch(where, mtime)
        self.world.changed(path)
        return path

    def touch(self, where: str = "d/m.py", mtime: float = MOMENT) -> None:
        """Set when a file was last changed, in seconds."""
        nanoseconds = int(mtime * 1_000_000_000)
        os.utime(self.at(where), ns=(nanoseconds, nanoseconds))

    def pyc(self, data: bytes, where: str = "d/m.py", exact: str | None = None) -> str:
        """Put bytes into the cache of a source, or into the file `exact`."""
        path = exact or self.cache(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        with open(path, "wb") as file:
            file.write(data)
        self.world.changed(path)
        return path

    def body(self, text: str = CACHED, filename: str | None = None) -> bytes:
        """Marshalled code of a text."""
        return dumps(compile(text, filename or self.at(), "exec", dont_inherit=True))

    def stamped(
        self,
        text: str = CACHED,
        mtime: int = MOMENT,
        size: int = len(SOURCE),
        flags: int = 0,
        filename: str | None = None,
    ) -> bytes:
        """A pyc with a time and a size; both are cut to 32 bits."""
        numbers = [flags, mtime & 0xFFFFFFFF, size & 0xFFFFFFFF]
        return MAGIC + struct.pack("<III", *numbers) + self.body(text, filename)

    def hashed(self, source: str = SOURCE, text: str = CACHED, checked: bool = True) -> bytes:
        """A pyc with the hash of `source` and the code of `text`."""
        flags = 0b01 | checked << 1
        digest = importlib.util.source_hash(source.encode())
        return MAGIC + struct.pack("<I", flags) + digest + self.body(text)

    def see(self, ask: Callable[[], object], picture: Callable[[Any], object]) -> None:
        """Call `ask`; note its outcome, traceback, what was heard, and the files afterwards."""
        raised: list[Exception] = []
        root = str(self.world.root)
        before = _versions(root)

        def asked() -> object:
            try:
                return ask()
            except Exception as error:
                raised.append(error)
                raise

        with listening[-1]() as heard:
            self.world.see(asked, picture)
        after = _versions(root)
        changed = sorted(TEMPORARY.sub("", p) for p in after if before.get(p) != after[p])
        for error in raised:
            self.world.note("raised", traceback_picture(error), error_text(error))
        self.world.note("heard", *heard)
        self.world.note("written", *changed)
        self.world.note("files", files_picture(root))

    def load(self, where: str = "d/m.py", name: str = "m", loader: Any = SourceFileLoader) -> None:
        """Ask a new loader for the code of a source."""
        one = loader(name, self.at(where))
        self.see(lambda: one.get_code(name), code_picture)

    def see_code(self, path: Any, name: str = "m") -> None:
        """Ask a new loader for the code of whatever `path` is."""
        one = SourceFileLoader(name, path)
        self.see(lambda: one.get_code(name), code_picture)

    def imports(self, name: str = "m", *entries: str) -> None:
        """Import a module anew from these entries (``d`` if none); note all of it."""
        sys.path[:] = [self.at(e) for e in entries or ("d",)] + self.world.stdlib
        for known in [k for k in sys.modules if k == name or k.startswith(name + ".")]:
            del sys.modules[known]
        importlib.invalidate_caches()
        self.see(lambda: importlib.import_module(name), module_picture)
        sys.modules.pop(name, None)

    def both(self, where: str = "d/m.py", name: str = "m") -> None:
        """Load twice: the second sees what the first wrote."""
        self.load(where, name)
        self.load(where, name)


@contextmanager
def interpreter_kept() -> Iterator[None]:
    """Defaults for everything that loading asks the interpreter; all put back afterwards."""
    places: list[tuple[Any, str, object]] = [
        (sys, "dont_write_bytecode", False),
        (sys, "pycache_prefix", None),
        (sys, "flags", sys.flags),
        (sys.implementation, "cache_tag", sys.implementation.cache_tag),
        (_imp, "check_hash_based_pycs", "default"),
    ]
    mask = os.umask(0o022)
    with ExitStack() as undo:
        undo.callback(os.umask, mask)
        undo.callback(gc.enable if gc.isenabled() else gc.disable)
        for owner, name, value in places:
            undo.enter_context(swapped(owner, name, value))
        yield


class LoadingCases(Cases):
    """A table of cases that are given a ``Loads`` and an interpreter that writes bytecode."""

    def __call__(self, case: Any) -> Case:
        @functools.wraps(case)
        def played(w: World) -> None:
            with interpreter_kept():
                case(Loads(w))

        return super().__call__(played)
