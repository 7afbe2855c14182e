"""``trace``'s reading of strace: what every form of line comes to, in recorded output."""

import os

import pytest

from fastpath._trace_calls import FileCall, resolved
from fastpath._trace_parse import Parsed, parse, unescaped
from fastpath._trace_save import recording

CUT = """\
7 10.000001 execve("/usr/bin/python3", [...], 0x7ffe /* 35 vars */) = 0 <0.000100>
7 10.000200 openat(AT_FDCWD</w>, "a.py", O_RDONLY|O_CLOEXEC <unfinished ...>
8 10.000210 newfstatat(AT_FDCWD</w>, "/b", 0x7ffc, 0) = -1 ENOENT (No such file) <0.000004>
7 10.000220 <... openat resumed>) = 3</w/a.py> <0.000030>
7 10.000300 --- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=9} ---
7 10.000400 read(3</w/a.py>, ""..., 832) = 832 <0.000005>
8 10.000500 +++ exited with 0 +++
7 10.000600 read(0</dev/null>,  <unfinished ...>) = ?
7 10.000700 +++ killed by SIGKILL +++
"""


def parsed(text: str) -> Parsed:
    return parse(text.splitlines(keepends=True))


def calls(text: str, cwd: str = "/start") -> list[FileCall]:
    return list(resolved(parsed(text).calls, cwd))


def test_unfinished_calls_are_one() -> None:
    told = parsed(CUT)
    assert [(call.thread, call.name, call.error) for call in told.calls] == [
        (7, "execve", None),
        (7, "openat", None),
        (8, "newfstatat", "ENOENT"),
        (7, "read", None),
        (7, "read", None),
    ]
    opened = told.calls[1]
    assert (opened.began, opened.seconds, opened.result) == (10.0002, 0.00003, "3</w/a.py>")
    assert (told.signals, told.exits, told.not_understood) == (1, 2, 0)


def test_a_call_that_does_not_return_has_no_time() -> None:
    last = parsed(CUT).calls[-1]
    assert (last.result, last.seconds) == ("?", None)
    begun = parsed("7 1.5 read(0</dev/null>,  <unfinished ...>\n").calls
    assert [(call.name, call.result, call.seconds) for call in begun] == [("read", "?", None)]


def test_a_file_cut_off_anywhere_is_read_up_to_there() -> None:
    for length in range(len(CUT)):
        whole, _, cut = CUT[:length].rpartition("\n")
        told, expected = parsed(CUT[:length]), parsed(f"{whole}\n")
        assert told.calls == expected.calls
        assert told.not_understood == bool(cut)


def test_a_resumed_line_without_its_beginning_is_not_understood() -> None:
    told = parsed("7 1.0 <... openat resumed>) = 3 <0.000001>\nnonsense\n\n")
    assert (told.calls, told.not_understood) == ([], 2)
    other = parsed("7 1.0 read(3,  <unfinished ...>\n7 1.1 <... openat resumed>) = 3 <0.000001>\n")
    assert ([call.name for call in other.calls], other.not_understood) == (["read"], 1)


def test_without_process_ids() -> None:
    (call,) = parsed('1.25 stat("/a", 0x7f) = -1 ENOENT (No such file) <0.000001>\n').calls
    assert (call.thread, call.name, call.error) == (0, "stat", "ENOENT")


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("/plain", b"/plain"),
        (r"/a\377b", b"/a\xffb"),
        (r"/\303\251", b"/\xc3\xa9"),
        (r"/t\tn\nq\"b\\", b'/t\tn\nq"b\\'),
        (r"/\76\x41\0", b"/>A\0"),
    ],
)
def test_escapes(written: str, path: bytes) -> None:
    assert os.fsencode(unescaped(written)) == path


def test_paths_that_look_like_syntax() -> None:
    text = (
        '7 1.0 openat(AT_FDCWD</w>, "/x) = 3 <0.1>", O_RDONLY) = 3</x) = 3> <0.000002>\n'
        '7 1.1 newfstatat(3</x) = 9>, "", {st_mode=S_IFREG}, AT_EMPTY_PATH) = 0 <0.00001>\n'
    )
    opened, asked = calls(text)
    assert (opened.path, opened.answer, opened.seconds) == ("/x) = 3 <0.1>", "0", 0.000002)
    assert (asked.kind, asked.path, asked.descriptor) == ("fstat", "/x) = 9", 3)


@pytest.mark.parametrize(
    ("line", "kind", "path", "answer"),
    [
        ('stat("/a", {st_mode=S_IFDIR|0755, ...}) = 0', "stat", "/a", "d"),
        ('lstat("/a", {st_mode=S_IFLNK|0777, ...}) = 0', "lstat", "/a", "l"),
        ('newfstatat(AT_FDCWD</w>, "a", {st_mode=S_IFREG|0644}, 0) = 0', "stat", "/w/a", "f"),
        ('newfstatat(5</d>, "a", {st_mode=S_IFCHR|0644}, 0) = 0', "stat", "/d/a", "o"),
        ('newfstatat(AT_FDCWD, "a", 0x7f, AT_SYMLINK_NOFOLLOW) = -1 EACCES (P)', "lstat",
         "/start/a", "EACCES"),
        ('statx(AT_FDCWD</w>, "/a", AT_STATX_SYNC_AS_STAT, STATX_ALL, {stx_mode=S_IFREG|0644})'
         " = 0", "statx", "/a", "f"),
        ('statx(3</w>, "", AT_EMPTY_PATH, STATX_ALL, {stx_mode=S_IFDIR|0755}) = 0', "fstat", "/w",
         "0"),
        ('stat("", 0x7f) = -1 ENOENT (No)', "stat", None, "ENOENT"),
        ('access("b", R_OK) = 0', "access", "/start/b", "0"),
        ('readlink("/l", ""..., 4096) = 7', "readlink", "/l", "0"),
        ("getdents64(3</d>, 0x55 /* 5 entries */, 32768) = 120", "getdents", "/d", "0"),
        ("fstat(4<socket:[77]>, {st_mode=S_IFSOCK|0777}) = 0", "fstat", None, "0"),
        ("mmap(NULL, 8, PROT_READ, MAP_PRIVATE, 3</l.so>, 0) = 0x7f", "mmap", "/l.so", "0"),
        ('openat(AT_FDCWD</w>, "a", O_RDONLY) = ? ERESTARTSYS (To be restarted)', "openat", "/w/a",
         "ERESTARTSYS"),
    ],
)  # fmt: skip
def test_kinds_paths_answers(line: str, kind: str, path: str | None, answer: str) -> None:
    (call,) = calls(f"7 1.0 {line} <0.000001>\n")
    assert (call.kind, call.path, call.answer) == (kind, path, answer)


def test_what_failed_has_changed_nothing() -> None:
    missing = "= -1 ENOENT (No such file or directory) <0.000001>"
    told = calls(
        f'7 1.0 execve("/bin/sh", [...], 0x7 /* 3 vars */) = 0 <0.000001>\n'
        f'7 1.1 chdir("/n") {missing}\n'
        f'7 1.2 execve("/n/python3", [...], 0x7 /* 3 vars */) {missing}\n'
        f'7 1.3 stat("a", 0) {missing}\n'
    )
    assert [call.process.program for call in told] == ["/bin/sh"] * 4
    assert told[-1].path == "/start/a"


def test_another_program_from_another_thread() -> None:
    told = calls(
        "7 1.0 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 8 <0.000001>\n"
        '8 1.1 execve("/bin/python3", [...], 0x7ffc /* 35 vars */ <pid changed to 7 ...>\n'
        "7 1.2 +++ superseded by execve in pid 8 +++\n"
        "7 1.3 <... execve resumed>) = 0 <0.001047>\n"
        '7 1.4 stat("a", 0x7) = -1 ENOENT (No such file or directory) <0.000001>\n'
    )
    assert [call.process.program for call in told] == ["/bin/python3"] * 2
    assert [(call.thread, call.kind) for call in told] == [(7, "execve"), (7, "stat")]


def test_memory_forks_and_waiting_are_no_calls_on_files() -> None:
    text = (
        "7 0.9 poll([{fd=3</p>, events=POLLIN}], 1, -1) = 1 <9.000001>\n"
        "7 1.0 mmap(NULL, 8, PROT_READ, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f <0.000001>\n"
        "7 1.1 vfork() = 8 <0.000001>\n"
    )
    assert calls(text) == []


def test_processes_threads_and_directories() -> None:
    told = calls(
        '7 1.0 execve("/bin/sh", [...], 0x7 /* 3 vars */) = 0 <0.000001>\n'
        '7 1.1 chdir("sub") = 0 <0.000001>\n'
        "7 1.2 clone(child_stack=NULL, flags=CLONE_CHILD_SETTID|SIGCHLD) = 8 <0.000001>\n"
        "7 1.3 clone3({flags=CLONE_VM|CLONE_THREAD, exit_signal=0}, 88) = 9 <0.000001>\n"
        '9 1.4 chdir("/other") = 0 <0.000001>\n'
        '7 1.5 stat("a", 0x7) = -1 ENOENT (No such file or directory) <0.000001>\n'
        '8 1.6 stat("a", 0x7) = -1 ENOENT (No such file or directory) <0.000001>\n'
        '8 1.7 execve("/bin/python3", [...], 0x7 /* 3 vars */) = 0 <0.000001>\n'
        '8 1.8 stat("b", 0x7) = -1 ENOENT (No such file or directory) <0.000001>\n'
    )
    asked = [call for call in told if call.kind == "stat"]
    assert [call.path for call in asked] == ["/other/a", "/start/sub/a", "/start/sub/b"]
    assert [call.process.program for call in asked] == ["/bin/sh", "/bin/sh", "/bin/python3"]
    assert [call.process.is_first for call in asked] == [True, False, False]
    thread = next(call for call in told if call.thread == 9)
    assert thread.process is asked[0].process


def test_the_recording() -> None:
    told = calls(
        '7 1.0 openat(AT_FDCWD</w>, "t\\tn\\nb\\\\\\377", O_RDONLY|O_CLOEXEC) = 3 <0.000001>\n'
        '7 1.1 openat(AT_FDCWD</w>, "new", O_WRONLY|O_CREAT, 0666) = 4 <0.000001>\n'
        '7 1.2 stat("/d", {st_mode=S_IFDIR|0755, ...}) = 0 <0.000001>\n'
        '7 1.3 newfstatat(3</d>, "", {st_mode=S_IFDIR|0755}, AT_EMPTY_PATH) = 0 <0.000001>\n'
        "7 1.4 getdents64(3</d>, 0x5 /* 9 entries */, 32768) = 120 <0.000001>\n"
        "7 1.5 getdents64(3</d>, 0x5 /* 9 entries */, 32768) = 120 <0.000001>\n"
        "7 1.6 getdents64(3</d>, 0x5 /* 0 entries */, 32768) = 0 <0.000001>\n"
        "7 1.7 getdents64(3</d>, 0x5 /* 9 entries */, 32768) = 120 <0.000001>\n"
        '7 1.8 access("/no", W_OK) = -1 EACCES (Permission denied) <0.000001>\n'
        '7 1.9 access("/no", W_OK) = -1 ENOENT (No such file or directory) <0.000001>\n'
        '7 2.0 readlink("/proc/self/exe", ""..., 4096) = 7 <0.000001>\n'
        '7 2.1 openat(AT_FDCWD</w>, "/f", O_RDONLY|O_DIRECTORY) = -1 ENOTDIR (Not) <0.000001>\n'
        '7 2.2 openat(AT_FDCWD</w>, "/f/x", O_RDONLY) = -1 ENOTDIR (Not) <0.000001>\n'
        '7 2.25 openat(AT_FDCWD</w>, "/fifo", O_RDONLY) = ? ERESTARTSYS (To be) <0.000001>\n'
        '7 2.3 stat("/gone", <unfinished ...>\n'
    )
    assert list(recording(told)) == [
        b"# fastpath-recording 1\n",
        b"openat\t0\t/w/t\\tn\\nb\\\\\xff\n",
        b"stat\td\t/d\n",
        b"getdents\t0\t/d\n",
        b"getdents\t0\t/d\n",
        b"access\tENOENT\t/no\n",
        b"openat\tENOTDIR\t/f/x\n",
    ]
