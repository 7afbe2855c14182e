"""The native module: the batched finder and its face.

Everything public is re-exported by ``fastpath``; import it from there.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol, TypeAlias, TypedDict, type_check_only

_Backend: TypeAlias = Literal["auto", "serial", "threads", "uring"]
_Freshness: TypeAlias = Literal["auto", "strict", "sealed"]
_Cache: TypeAlias = str
"""``"auto"``, ``"off"`` or the absolute path of a directory."""
_Refusal: TypeAlias = Literal[
    "missing",
    "link",
    "not regular",
    "owner",
    "writable",
    "secure",
    "no place",
    "future",
    "other key",
    "damaged",
    "io",
]

__version__: str

_Dated: TypeAlias = tuple[int, int, int, int]
_Stamp: TypeAlias = tuple[int, int, int, int, int]
_SealedKind: TypeAlias = Literal["dir", "file", "other"]
_SealedName: TypeAlias = tuple[bytes, _SealedKind]
_SealedFile: TypeAlias = tuple[bytes, _Stamp, _Stamp, bytes]
_SealedDirectory: TypeAlias = tuple[str, tuple[_Dated, list[_SealedName]] | None, list[_SealedFile]]

@type_check_only
class _SealFactsDirectory(TypedDict):
    path: str
    sealed: bool
    generation: _Dated | None
    names: list[_SealedName]
    files: list[tuple[bytes, _Stamp, _Stamp, int, bytes | None]]

@type_check_only
class _SealFacts(TypedDict):
    size: int
    damaged: int
    """Directories whose facts cannot be read."""
    directories: list[_SealFactsDirectory]
    plans: list[tuple[bytes, list[str]]]

@type_check_only
class Stats(TypedDict):
    """The counters of this process since fastpath was first installed in it."""

    installed: bool
    backend: str
    freshness: str
    cache: str
    lookups: int
    """Calls of ``PathFinder.find_spec`` answered by us or handed to stock importlib."""
    hit: int
    """Answers from the table."""
    revalidated: int
    """Answers from the table after a directory's generation was checked and found unchanged."""
    miss: int
    """Answers that needed the filesystem."""
    stale: int
    """Table entries thrown away because their directory had changed."""
    asked: int
    """Path entries left to stock importlib (foreign hooks, zips, what we may not read)."""
    batches: int
    """Batches of questions sent to the filesystem."""
    probes_serial: int
    """Paths probed by one system call after another."""
    probes_threads: int
    """Paths probed by threads."""
    probes_uring: int
    """Paths probed through io_uring."""
    listings: int
    """Directories listed."""
    reads: int
    """Files read: bytecode, and sources where their hash decides."""
    loaded: int
    """Modules whose code we loaded."""
    load_asked: int
    """Modules whose code was left to stock importlib (no bytecode, an old one, foreign methods)."""
    ahead_steps: int
    """Rounds of look-ahead: what is imported next, what that imports, and so on."""
    ahead_refreshes: int
    """Batches that asked once more about files fetched ahead, as the kernel forgot them."""
    ahead_files: int
    """Bytecode files fetched ahead."""
    ahead_bytes: int
    """Their size in bytes."""
    ahead_used_files: int
    """Files fetched ahead that were then loaded."""
    ahead_used_bytes: int
    """Their size in bytes."""
    table: str | None
    """The file of the shared table in use: the sealed one's, if there are two."""
    table_directories: int
    """Directories whose names another process had found."""
    table_files: int
    """Bytecode files that another process had read."""
    table_bytes: int
    """Their size in bytes."""
    plan_paths: int
    """Paths that this program's plan named, asked about in one batch."""
    find_seconds: float
    """Time spent on finding, stock importlib's part included."""
    stat_seconds: float
    """Time spent on the stats of sources that were loaded."""
    read_seconds: float
    """Time spent on reading."""
    unmarshal_seconds: float
    """Time spent on making code objects of what was read."""

@type_check_only
class ConsultedEntry(TypedDict):
    """One path entry's part in an explanation."""

    entry: str
    finder: str
    answer: Literal["found", "portion", "absent", "skipped", "asked"]
    source: Literal["table", "listing", "probe", "stock"]
    calls: int
    """Questions to the filesystem."""
    us: float
    """Microseconds."""

@type_check_only
class Explanation(TypedDict):
    """How one name is found."""

    name: str
    answer: Literal["found", "namespace", "absent", "not path based"]
    origin: str | None
    """The file, when found."""
    locations: list[str] | None
    """The directories of a package or namespace package."""
    entries: list[ConsultedEntry]
    calls: int
    us: float

@type_check_only
class TablePlace(TypedDict):
    """Where the running interpreter's shared table is, or why there is no place for it."""

    dir: str | None
    file: str | None
    why: str | None

@type_check_only
class _TableState(TypedDict):
    why: str | None
    """Why it is not used, a sentence without a full stop; None if it is."""
    refusal: _Refusal | None
    """The same for programs."""

@type_check_only
class TableFacts(_TableState, total=False):
    """What a shared table says of itself; ``why`` and ``refusal`` alone if it is not used."""

    format: int
    cache_tag: str
    magic: str
    """``importlib.util.MAGIC_NUMBER``, in hexadecimal digits."""
    optimize: int
    environment: list[str]
    """``sys.prefix`` and ``sys.base_prefix``."""
    sealed: bool
    size: int
    """Bytes of the whole file."""
    directories: int
    names: int
    modules: int
    bytes: int
    """Those of all modules' bytecode."""
    plans: int
    used_day: int | None
    """When a directory was last used: days since the epoch; None if there is none."""

@type_check_only
class TableDirectory(TypedDict):
    """What a shared table has of one directory."""

    path: str
    names: int | None
    """How many there are in it; None where they are not known."""
    modules: list[tuple[str, int]]
    """Names of sources, with the bytes of their bytecode."""
    used_day: int
    """Days since the epoch."""

@type_check_only
class TableVerdict(TypedDict):
    """What is wrong with a shared table."""

    damaged: list[str]
    changed: list[str]
    """Directories and sources that are another version now, or gone."""

@type_check_only
class TablePruned(TypedDict):
    """What was left out of a shared table, or would be."""

    directories: list[str]
    modules: int
    damaged: int
    busy: bool
    """Somebody else is writing it: nothing was done."""

def install(
    *, backend: _Backend = "auto", freshness: _Freshness = "auto", cache: _Cache = "auto"
) -> bool:
    """Put native bodies into stock importlib; tell whether they are active.

    Those of ``PathFinder.find_spec`` and ``SourceLoader.get_code``; nothing else changes.

    ``backend`` chooses the engine that asks the filesystem; ``"auto"`` measures. ``freshness``
    says when a directory is checked again before an answer from the table is given: ``"auto"``
    while that costs at most 2 % of elapsed time, ``"strict"`` always, ``"sealed"`` never before
    ``importlib.invalidate_caches()``. ``cache`` says where the table lies that processes share:
    ``"auto"`` where the platform keeps caches ($XDG_CACHE_HOME/fastpath or ~/.cache/fastpath),
    a directory's absolute path there, ``"off"`` nowhere.

    An argument other than ``"auto"`` wins over FASTPATH_BACKEND, FASTPATH_FRESHNESS and
    FASTPATH_CACHE_DIR. Returns
    False, changing nothing, under FASTPATH=0, on an interpreter it does not know, and where
    somebody has replaced a part of finding before. Called again with other settings, it starts
    over with those. Raises ValueError or TypeError for a bad argument, naming it and the allowed
    ones.
    """

def uninstall() -> None:
    """Put the original bodies back, the very same objects. Harmless when not installed."""

def is_installed() -> bool:
    """Tell whether the native bodies are in place in this process."""

def stats() -> Stats:
    """Return the counters of this process and the settings in force."""

def probe(
    paths: Iterable[str | bytes | os.PathLike[str] | os.PathLike[bytes]],
    *,
    backend: _Backend = "auto",
) -> list[os.stat_result | None]:
    """Ask about every path in one batch; an ``os.stat_result``, or None, for each.

    Symbolic links are followed. None means that ``os.stat`` would raise an OSError. Results are
    in the order of ``paths``. Raises ValueError or TypeError for a bad argument.
    """

def backends() -> dict[str, str | None]:
    """Return each engine's name with None if it is usable here, else with the reason why not."""

def explain(name: str) -> Explanation:
    """Tell how ``name`` is found, entry by entry, without importing it or its parents."""

def _start() -> bool:
    """Install as the environment asks; called when an interpreter starts.

    Reads FASTPATH, FASTPATH_BACKEND, FASTPATH_FRESHNESS, FASTPATH_CACHE_DIR, FASTPATH_CACHE_LIMIT
    and FASTPATH_DEBUG (none of them under -E or -I) and tells whether fastpath is active. Never
    raises; silent unless FASTPATH_DEBUG asks.
    """

def _hand_on() -> str:
    """Write into the shared table now what else is written at the end; for tests."""

def _seal(
    path: str | bytes | os.PathLike[str],
    roots: list[tuple[str, bool]],
    directories: Iterable[_SealedDirectory],
    plan: tuple[bytes, list[str]] | None,
) -> None:
    """Write a sealed table into the file at ``path``, and sync it.

    ``roots`` are the directories that paths are stored relative to, each with whether what lies
    below it is trusted without a look. ``directories`` has, for each: its path; its generation
    (device, inode, mtime and ctime in nanoseconds) and its names with their kinds, or None if
    they were told before; and of each source the name, stamp (device, inode, size, mtime,
    ctime), its bytecode's stamp and bytes, which are written in the order in which they are
    told. ``plan`` is a program with the files it touches. Equal arguments give equal bytes.
    Raises OSError and ValueError.
    """

def _seal_facts(
    path: str | bytes | os.PathLike[str], roots: list[str], contents: bool
) -> _SealFacts:
    """Return what a sealed table for this interpreter says; with ``contents``, bytes too.

    The bytes are None where they are damaged. Raises ValueError, with the reason in words for
    people, where the file is not one that this interpreter would use.
    """

def _program(argv: list[str], cwd: str) -> bytes:
    """Return what a table calls the program of an interpreter's command line, empty if nothing."""

def _switch(part: str, on: bool) -> None:
    """Switch a part on or off for the next ``install``; for benches and tests."""

@type_check_only
class _Tables(Protocol):
    """What looks into shared tables, whoever they are for."""

    def place(self, directory: str | None = None) -> TablePlace:
        """Tell where this interpreter's table is: in ``directory``, or where caches are."""

    def facts(self, path: str, own: bool) -> TableFacts:
        """Look into a table; with ``own``, one that is not for this interpreter is refused."""

    def directories(self, path: str) -> list[TableDirectory]:
        """List a table's directories. Raises OSError with the reason if it is refused."""

    def verify(self, path: str, files: bool) -> TableVerdict:
        """Compare a table's checksums; with ``files``, also its versions with the filesystem."""

    def gc(self, path: str, day: int, dry_run: bool) -> TablePruned:
        """Leave out what is gone, damaged, or was last used before ``day`` (since the epoch)."""

    def learn(
        self, file: str, dirs: Sequence[str], day: int, environment: bytes | None = None
    ) -> bool:
        """Put what lies in directories into a table; for tests."""

def _tables() -> _Tables:
    """Return the functions for shared tables, in a module of their own."""
