"""The replayer of cshim/: every way of asking gives what ``os`` gives, or says that it does not.

It is compiled here as ``make replay`` does it, and once more with sanitizers. Nothing of fastpath
takes part.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support import SECONDS, need

ROOT = Path(__file__).parents[2]
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
SANITIZED = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
HEADER = b"# fastpath-recording 1\n"
MODES = ["serial", "uring", "threads"]
RING = {"stat", "lstat", "statx", "open", "openat"}

Result = subprocess.CompletedProcess[bytes]
Call = tuple[str, bytes]


def compiled(flags: Sequence[str], sources: Iterable[Path], to: Path) -> Result:
    compiler = os.environ.get("CC", "cc").split()
    command = [*compiler, *flags, *map(str, sources), "-o", str(to)]
    return subprocess.run(command, capture_output=True, check=False, timeout=SECONDS)


def can_sanitize(directory: Path) -> bool:
    """Whether such a program compiles and runs here."""
    source = directory / "empty.c"
    source.write_text("int main(void) { return 0; }\n")
    if compiled([*FLAGS, *SANITIZED], [source], directory / "empty").returncode != 0:
        return False
    return subprocess.run([directory / "empty"], capture_output=True).returncode == 0


@pytest.fixture(scope="session", params=["plain", "sanitized"])
def replay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, as it is built and with every access checked."""
    if shutil.which(os.environ.get("CC", "cc").split()[0]) is None:
        pytest.skip("skipped: replay: no C compiler")
    directory = tmp_path_factory.mktemp("replay")
    flags = FLAGS
    if request.param == "sanitized":
        if not can_sanitize(directory):
            pytest.skip("skipped: replay: the C compiler has no sanitizers")
        flags = [*FLAGS, *SANITIZED]
    done = compiled(flags, sorted((ROOT / "cshim").glob("*.c")), directory / "replay")
    assert (done.returncode, done.stderr) == (0, b"")
    return directory / "replay"


def run(command: Sequence[object]) -> Result:
    argv = [os.fspath(word) if isinstance(word, Path) else str(word) for word in command]
    return subprocess.run(argv, capture_output=True, check=False, timeout=SECONDS)


def told(done: Result) -> dict[str, dict[str, Any]]:
    """What it says of each mode, as JSON."""
    return {mode["mode"]: mode for mode in json.loads(done.stdout)["modes"]}


# ---- recordings ------------------------------------------------------------------------------


def typed(path: bytes, follow: bool) -> str:
    mode = os.stat(path, follow_symlinks=follow).st_mode
    for letter, is_it in (("f", stat.S_ISREG), ("d", stat.S_ISDIR), ("l", stat.S_ISLNK)):
        if is_it(mode):
            return letter
    return "o"


def opened(path: bytes) -> str:
    os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    return "0"


def is_there(path: bytes) -> str:
    os.stat(path)  # access(2) does not tell Python why
    return "0"


def done_well(call: Callable[[bytes], object]) -> Callable[[bytes], str]:
    return lambda path: "0" if call(path) is not None else ""


ASK: dict[str, Callable[[bytes], str]] = {
    "stat": lambda path: typed(path, follow=True),
    "lstat": lambda path: typed(path, follow=False),
    "statx": lambda path: typed(path, follow=True),
    "open": opened,
    "openat": opened,
    "access": is_there,
    "readlink": done_well(os.readlink),
    "getdents": done_well(os.listdir),
}


def said(kind: str, path: bytes) -> str:
    """What ``os`` says to this call, as a recording writes it."""
    try:
        return ASK[kind](path)
    except OSError as e:
        return errno.errorcode[e.errno or 0]


def line(kind: str, result: str, path: bytes) -> bytes:
    for byte, escape in ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n")):
        path = path.replace(byte, escape)
    return b"\t".join([kind.encode(), result.encode(), path]) + b"\n"


def record(calls: Iterable[Call], to: Path) -> Path:
    lines = [line(kind, said(kind, path), path) for kind, path in calls]
    to.write_bytes(HEADER + b"".join(lines))
    return to


def everything(root: Path) -> list[Call]:
    """Every kind of call to whatever can be at a path."""
    (root / "package").mkdir()
    (root / "package" / "module.py").write_text("pass\n")
    (root / "link").symlink_to("package/module.py")
    (root / "broken").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    # Bound by a relative name: a socket's has room for some hundred bytes.
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(root)
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind("socket")
    finally:
        os.fchdir(here)
        os.close(here)
    odd = os.fsencode(root) + b"/tab\there \\ line\nbyte \xff \\t"
    Path(os.fsdecode(odd)).touch()
    names = ["package", "package/module.py", "link", "broken", "loop", "fifo", "socket"]
    names += ["absent", "package/module.py/below", "n" * 300, ""]
    paths = [*(os.fsencode(root / name) for name in names), odd, b""]
    return [(kind, path) for kind in ASK for path in paths]


# ---- results that are as recorded ------------------------------------------------------------


@pytest.mark.parametrize("batch", [0, 1, 7])
def test_every_mode_gives_what_os_gives(replay: Path, tmp_path: Path, batch: int) -> None:
    need("uring")
    calls = everything(tmp_path)
    recording = record(calls, tmp_path / "recording")
    done = run([replay, recording, "--batch", batch, "--repeat", 3, "--json"])
    assert (done.returncode, done.stderr) == (0, b"")
    modes = told(done)
    assert list(modes) == MODES
    assert [mode["mismatches"] for mode in modes.values()] == [0, 0, 0]
    assert [mode["refused"] for mode in modes.values()] == [None] * 3
    assert modes["serial"]["plain"] == modes["threads"]["plain"] == len(calls)
    # A socket cannot be opened, but why is not for the ring to say, nor that nothing is at "".
    redone = modes["uring"]["redone"]
    assert redone == sum(said(*call) == "ENXIO" for call in calls)
    assert redone == 2
    ringed = sum(kind in RING for kind, _ in calls)
    assert modes["uring"]["ring"] == ringed - redone
    assert modes["uring"]["plain"] == len(calls) - ringed + redone
    assert modes["threads"]["threads"] == min(16, batch or len(calls))


def test_more_calls_than_a_ring_has_room_for(replay: Path, tmp_path: Path) -> None:
    need("uring")
    present, absent = os.fsencode(tmp_path), os.fsencode(tmp_path / "absent")
    calls = [("stat", present), ("openat", absent), ("lstat", absent)] * 3000
    recording = record(calls, tmp_path / "recording")
    done = run([replay, recording, "--mode", "uring", "--width", 4, "--json"])
    assert (done.returncode, done.stderr) == (0, b"")
    uring = told(done)["uring"]
    assert (uring["ring"], uring["plain"], uring["mismatches"]) == (9000, 0, 0)


def test_without_a_type_any_will_do(replay: Path, tmp_path: Path) -> None:
    path = os.fsencode(tmp_path)
    recording = tmp_path / "recording"
    recording.write_bytes(HEADER + line("stat", "0", path) + line("lstat", "0", path))
    assert run([replay, recording]).returncode == 0


def test_the_table_for_people(replay: Path, tmp_path: Path) -> None:
    calls = [("stat", os.fsencode(tmp_path)), ("access", b"/absent")]
    done = run([replay, record(calls, tmp_path / "recording"), "--mode", "serial"])
    assert done.returncode == 0
    words = done.stdout.decode().split()
    assert words[:8] == ["2", "calls,", "1", "of", "them", "recorded", "as", "failing;"]
    for phase in ["setup", "submit", "wait", "check", "all"]:
        assert phase in words
    assert done.stdout.decode().endswith("serial   0 by the ring, 2 plainly, 0 mismatches\n")


# ---- results that are not --------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_another_result_is_named(replay: Path, tmp_path: Path, mode: str) -> None:
    path = os.fsencode(tmp_path / "tab\t")
    wrong = [("stat", "f"), ("lstat", "d"), ("openat", "0"), ("access", "EACCES")]
    wrong += [("readlink", "0"), ("getdents", "ENOTDIR"), ("statx", "EIO")]
    recording = tmp_path / "recording"
    right = line("stat", "d", os.fsencode(tmp_path))
    lines = [line(kind, result, path) for kind, result in wrong]
    recording.write_bytes(HEADER + right + b"".join(lines))
    done = run([replay, recording, "--mode", mode, "--repeat", 2, "--json"])
    assert done.returncode == 1
    assert told(done)[mode]["mismatches"] == len(wrong)
    shown = os.fsdecode(path).replace("\t", "\\t")
    named = [
        f"replay: {mode}: line {number}: {kind} {shown}: recorded {result}, now ENOENT"
        for number, (kind, result) in enumerate(wrong[:5], 3)
    ]
    expected = [*named, f"replay: {mode}: and 2 more"]
    lines_said = done.stderr.decode().splitlines()
    # Without io_uring, that is said as well.
    assert [line for line in lines_said if "io_uring" not in line] == expected


@pytest.mark.parametrize("mode", MODES)
def test_another_type_is_named(replay: Path, tmp_path: Path, mode: str) -> None:
    recording = tmp_path / "recording"
    recording.write_bytes(HEADER + line("stat", "f", b"/") + line("lstat", "d", b"/"))
    done = run([replay, recording, "--mode", mode])
    assert done.returncode == 1
    assert f"replay: {mode}: line 2: stat /: recorded f, now d".encode() in done.stderr


# ---- no recording ----------------------------------------------------------------------------

GOOD = b"stat\td\t/\n"
AGAIN = "record it again: python -m fastpath trace --save FILE -- COMMAND"
BAD = {
    "no path": (b"stat\td\n", "line 3", AGAIN),
    "no tab": (b"stat d /\n", "line 3", AGAIN),
    "too many": (b"stat\td\t/\tx\n", "line 3", AGAIN),
    "empty": (b"\n", "line 3", AGAIN),
    "kind": (b"fstat\td\t/\n", "line 3: unknown kind `fstat`", "write"),
    "result": (b"stat\tENOWAY\t/\n", "line 3: unknown result `ENOWAY` of stat", "or a type"),
    "number": (b"stat\t2\t/\n", "line 3: unknown result `2`", "as in ENOENT"),
    "type of an open": (b"open\tf\t/\n", "line 3: unknown result `f` of open", "as in ENOENT"),
    "escape": (b"stat\td\t/\\x\n", "line 3: `\\x` in the path", "write \\t, \\n or \\\\"),
    "escape at the end": (b"stat\td\t/\\\n", "line 3: `\\` in the path", "write"),
    "NUL": (b"stat\td\t/\0\n", "line 3: a NUL", AGAIN),
    "cut off": (b"stat\td\t/us", "line 3: cut off", AGAIN),
}


@pytest.mark.parametrize("what", BAD)
def test_a_malformed_line_is_named(replay: Path, tmp_path: Path, what: str) -> None:
    bad, where, remedy = BAD[what]
    recording = tmp_path / "recording"
    recording.write_bytes(HEADER + GOOD + bad)
    done = run([replay, recording])
    assert (done.returncode, done.stdout) == (2, b"")
    (message,) = done.stderr.decode().splitlines()
    assert message.startswith(f"replay: {recording}: {where}")
    assert remedy in message


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"# fastpath-recording",
        b"# fastpath-recording 12\n" + GOOD,
        GOOD,
        b"\x7fELF\0\0",
    ],
)
def test_another_file_is_no_recording(replay: Path, tmp_path: Path, content: bytes) -> None:
    recording = tmp_path / "recording"
    recording.write_bytes(content)
    done = run([replay, recording])
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"replay: {recording}: line 1: no recording:" in done.stderr.decode()


def test_a_recording_without_calls(replay: Path, tmp_path: Path) -> None:
    recording = tmp_path / "recording"
    recording.write_bytes(HEADER)
    done = run([replay, recording])
    assert done.returncode == 2
    assert done.stderr.decode() == f"replay: {recording}: no call in it; {AGAIN}\n"


@pytest.mark.parametrize(("name", "why"), [("none", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(replay: Path, tmp_path: Path, name: str, why: str) -> None:
    done = run([replay, tmp_path / name])
    assert done.returncode == 2
    assert why in done.stderr.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["a", "b"],
        ["a", "--mode", "fast"],
        ["a", "--batch", "-1"],
        ["a", "--batch", "1x"],
        ["a", "--repeat", "0"],
        ["a", "--width", "99999999999999999999"],
        ["a", "--unknown"],
    ],
)
def test_wrong_usage(replay: Path, arguments: list[str]) -> None:
    done = run([replay, *arguments])
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode().endswith("; see replay --help\n")


def test_help_has_an_example(replay: Path) -> None:
    done = run([replay, "--help"])
    assert done.returncode == 0
    assert b"example: replay " in done.stdout


# ---- a kernel that refuses -------------------------------------------------------------------


def refuse() -> Path:
    built = Path(os.environ.get("FASTPATH_TESTBED", ROOT / "target" / "release"), "refuse")
    assert built.exists(), "make target/release/slowfs builds the test bed"
    return built


@pytest.mark.parametrize("number", ["EPERM", "ENOSYS", "ENOMEM"])
def test_without_io_uring_calls_are_plain(replay: Path, tmp_path: Path, number: str) -> None:
    calls = everything(tmp_path)
    recording = record(calls, tmp_path / "recording")
    command = [refuse(), "--errno", number, "--", replay, recording, "--batch", 5, "--json"]
    done = run(command)
    assert done.returncode == 0
    (message,) = done.stderr.decode().splitlines()
    assert message.startswith("replay: no io_uring: ")
    assert message.endswith("; plain calls instead")
    uring = told(done)["uring"]
    assert uring["refused"] in message
    assert (uring["ring"], uring["plain"], uring["mismatches"]) == (0, len(calls), 0)


def test_what_the_ring_opens_it_closes(replay: Path, tmp_path: Path) -> None:
    need("uring")
    recording = record([("open", os.fsencode(tmp_path))] * 500, tmp_path / "recording")
    few = [refuse(), "--nofile", 40, "--"]
    done = run([*few, replay, recording, "--mode", "uring", "--batch", 16, "--json"])
    assert (done.returncode, done.stderr) == (0, b"")
    uring = told(done)["uring"]
    assert (uring["ring"], uring["redone"], uring["mismatches"]) == (500, 0, 0)


def test_without_threads_the_caller_does_the_work(replay: Path, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("skipped: refuse --user: only root becomes another")
    calls = [("stat", b"/"), ("stat", b"/absent")] * 20
    recording = record(calls, tmp_path / "recording")
    # To look for leaks takes a thread as well.
    few = [refuse(), "--user", 54321, "--nproc", 1, "--", "env", "ASAN_OPTIONS=detect_leaks=0"]
    done = run([*few, replay, recording, "--mode", "threads", "--json"])
    assert (done.returncode, done.stderr) == (0, b"")
    threads = told(done)["threads"]
    assert (threads["threads"], threads["mismatches"]) == (1, 0)
