"""The ways in which a process ends: what it has learnt is written whole, or not at all.

Nothing that it says or returns differs from stock's. The writing happens when Python is gone, so
threads that are still somewhere in an import must not keep it, nor the process.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from oracle import ADDRESS
from tables import FILES, Ended, Shop, settle

from support import need

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def _plain(ended: Ended) -> Ended:
    return ended._replace(err=ADDRESS.sub("", ended.err))


# How a program ends after it has imported everything, and whether Python gets to its own end then.
ENDS = {
    "falls off": ("", True),
    "sys.exit": ("sys.exit(3)", True),
    "sys.exit with words": ("sys.exit('words')", True),
    "an exception": ("1 / 0", True),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", True),
    "SIGINT": ("import signal; signal.raise_signal(signal.SIGINT)", True),
    "SIGTERM": ("import signal; signal.raise_signal(signal.SIGTERM)", False),
    "SIGTERM, caught": (
        "import signal; signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n"
        "signal.raise_signal(signal.SIGTERM)",
        True,
    ),
    "SIGKILL": ("import signal; signal.raise_signal(signal.SIGKILL)", False),
    "SIGSEGV": ("import signal; signal.raise_signal(signal.SIGSEGV)", False),
    "abort": ("os.abort()", False),
    "os._exit": ("os._exit(5)", False),
    "exec": ("os.execv('/bin/echo', ['echo', 'another'])", False),
    "atexit fails": ("import atexit; atexit.register(lambda: 1 / 0)", True),
    "atexit imports": ("import atexit; atexit.register(lambda: right('p0.m0'))", True),
    "no collector": ("import gc; gc.disable(); sys.modules.clear()", True),
    "no standard output": ("os.close(1)", True),
}


@pytest.mark.parametrize("how", ENDS)
def test_ends(how: str, shop: Shop) -> None:
    end, is_normal = ENDS[how]
    program = f"everything(); print('done', flush=True)\n{end}"
    stock = _plain(shop.run(program, how="stock"))
    assert _plain(shop.run(program)) == stock
    assert shop.known() == (FILES if is_normal else -1)
    # Whoever has nothing to hand on ends likewise.
    assert _plain(shop.run(program)) == stock
    assert [path.suffix for path in shop.cache.iterdir() if path.suffix == ".new"] == []


def test_what_atexit_functions_import_is_handed_on(shop: Shop) -> None:
    program = "import atexit\nright('p0.m0')\natexit.register(everything)"
    assert shop.run(program) == Ended(0, "", "")
    assert shop.known() == FILES


def test_uninstalled_processes_write_nothing(shop: Shop) -> None:
    assert shop.run("everything(); fastpath.uninstall()") == Ended(0, "", "")
    assert shop.known() == -1


# Threads that import, forget and import again, and hand the interpreter's lock to one another only
# where an import asks the filesystem: so all but one of them are in there at any time.
BUSY = """
import threading, random, time
def work(seed):
    dice = random.Random(seed)
    while True:
        try: importlib.import_module(dice.choice(theirs + ["absent", "p1.absent"]))
        except (ImportError, KeyError): pass
        sys.modules.pop(dice.choice(theirs), None)
theirs = [name for name in NAMES if not name.startswith("p3.")]
everything()
sys.setswitchinterval(1000)
for seed in range({threads}): threading.Thread(target=work, args=(seed,), daemon=True).start()
time.sleep(0.05)
"""


@pytest.mark.parametrize("end", ["", "sys.exit(3)", "1 / 0"])
def test_daemon_threads_that_import(end: str, shop: Shop) -> None:
    """They never come back from the import that they are in; the process ends all the same."""
    status = {"": 0, "sys.exit(3)": 3, "1 / 0": 1}[end]
    ended = [shop.run(BUSY.format(threads=6) + end).status for _ in range(8)]
    # Now and then stock dies of such threads, too: CPython frees the lock of all imports while they
    # wait for it (_PyImport_Fini). How they end in the midst of Rust, tests/unwinder.rs tests.
    assert ended.count(status) > len(ended) / 2, ended
    assert set(ended) <= {status, -signal.SIGSEGV, -signal.SIGABRT}, ended
    assert shop.known() == FILES


STUCK = """
import threading, time
everything()
sys.path.append({path!r})
def stuck():
    print("asks", flush=True)
    try: import never
    except ImportError: print("was answered", flush=True)
threading.Thread(target=stuck, daemon=True).start()
time.sleep(0.5)
print("ends", flush=True)
"""


def test_a_thread_that_is_never_answered(shop: Shop) -> None:
    """One that is in the filesystem for good keeps neither the process nor what it has to write."""
    with _silent_filesystem(shop.tree.parent) as path:
        program = STUCK.format(path=str(path))
        stock = shop.run(program, how="stock")
        assert stock == Ended(0, "asks\nends\n", "")
        assert shop.run(program) == stock
    assert shop.known() == FILES


@contextmanager
def _silent_filesystem(place: Path) -> Iterator[Path]:
    """A directory in a filesystem whose server is stopped."""
    need("fuse")
    server = Path(os.environ.get("FASTPATH_TESTBED", ROOT / "target" / "release"), "slowfs")
    if not server.exists():
        pytest.skip("skipped: slowfs: the testbed is not built (cargo build -p testbed)")
    source, where = place / "source", place / "silent"
    source.mkdir()
    where.mkdir()
    with subprocess.Popen([server, source, where], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"ready"
        process.send_signal(signal.SIGSTOP)
        try:
            yield where / "inner"
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait()


def test_nothing_new_means_nothing_done(shop: Shop) -> None:
    """Whoever has learnt nothing neither opens the lock nor asks anything at its end."""
    need("strace")
    shop.learn()
    log = shop.tree.parent / "log"
    strace = ("strace", "-f", "-e", "trace=all", "-o", str(log))
    marked = "os.access('/the end', 0)"
    program = f"import atexit\natexit.register(lambda: {marked})\neverything()"
    assert shop.run(program, before=strace) == Ended(0, "", "")
    said = log.read_text()
    assert ".table" in said, "it was used"
    for mark in (".table.lock", ".table.new"):
        assert mark not in said
    end = said[said.index("/the end") :]
    assert "fastpath" not in end
    assert ".table" not in end
    assert str(shop.tree) not in end
    # While one that has something to say does.
    (shop.tree / "p0" / "later.py").write_text("")
    assert shop.run("import p0.later") == Ended(0, "", "")
    settle()
    assert shop.run(program + "\nimport p0.later", before=strace) == Ended(0, "", "")
    end = log.read_text().split("/the end")[1]
    for mark in (".table.lock", ".table.new", "rename"):
        assert mark in end


FORKS = """
right('p0.m0')
def child(end):
    pid = os.fork()
    if pid: return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    {child}
    sys.stdout.flush()
    {end}
for _ in range(3): print(child(None), flush=True)
{parent}
"""


@pytest.mark.parametrize("end", ["sys.exit(7)", "os._exit(7)"])
@pytest.mark.parametrize("who", ["child", "parent", "both"])
def test_forks(who: str, end: str, shop: Shop) -> None:
    """A child that ends as programs do hands on what it knows, its parent's part included."""
    program = FORKS.format(
        child="everything()" if who != "parent" else "pass",
        parent="everything()" if who != "child" else "pass",
        end=end,
    )
    stock = shop.run(program, how="stock")
    assert stock == Ended(0, "7\n7\n7\n", "")
    assert shop.run(program) == stock
    assert shop.known() == (2 if who == "child" and end.startswith("os.") else FILES)


def test_forks_while_threads_import(shop: Shop) -> None:
    """A child of a process whose threads are anywhere ends, and writes what is right."""
    program = BUSY.format(threads=3) + (
        "import warnings; warnings.simplefilter('ignore')\n"
        "for _ in range(12):\n"
        "    pid = os.fork()\n"
        "    if not pid:\n"
        "        signal.alarm(60)\n"
        # Not what the threads import: nobody is left to end that, with stock neither.
        "        for name in set(NAMES) - set(theirs): del sys.modules[name]; right(name)\n"
        "        sys.exit(7)\n"
        "    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "    assert code == 7, code\n"
        "print('end', flush=True)\n"
    )
    done = shop.run("import signal\n" + program + "os._exit(0)\n")
    assert done == Ended(0, "end\n", "")
    assert shop.known() == FILES


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_multiprocessing(method: str, shop: Shop) -> None:
    (shop.tree / "work.py").write_text(
        "import importlib, fastpath, os\n"
        "if os.environ['TABLE_CHILD'] == 'ours': fastpath.install()\n"
        "def work(name): return importlib.import_module(name).VALUE\n"
    )
    program = (
        "import multiprocessing, work\n"
        f"multiprocessing.set_start_method({method!r})\n"
        "with multiprocessing.Pool(3) as pool: print(pool.map(work.work, NAMES, 1))\n"
        "everything()\n"
    )
    flags = ("-Wignore",)
    stock = shop.run(program, *flags, how="stock")
    assert (stock.status, stock.err) == (0, "")
    for _ in range(3):
        assert shop.run(program, *flags) == stock
    assert shop.known() == FILES


INTERPRETERS = """
try: import _interpreters as interpreters
except ImportError: import _xxsubinterpreters as interpreters
everything()
for n in range(3):
    other = interpreters.create()
    problem = interpreters.run_string(other, '''
import sys
try: import fastpath
except ImportError: pass
else: fastpath.install()
import p0.m0, p1.m1, p2.m2
assert p2.m2.VALUE == "the value of p2.m2"
''')
    assert problem is None, problem
    interpreters.destroy(other)
forget()
everything()
print("end")
"""


def test_subinterpreters(shop: Shop) -> None:
    stock = shop.run(INTERPRETERS, "-Wignore", how="stock")
    assert stock == Ended(0, "end\n", "")
    assert shop.run(INTERPRETERS, "-Wignore") == stock
    assert shop.known() == FILES
    assert shop.run(INTERPRETERS, "-Wignore") == stock


@pytest.mark.parametrize("bits", [0o4755, 0o2755], ids=["user", "group"])
def test_more_rights_than_whoever_started_it(bits: int, shop: Shop) -> None:
    """A set-user-ID or set-group-ID interpreter reads no table and writes none (AT_SECURE)."""
    need("root")
    table = shop.learn()
    before = table.read_bytes()
    # Where the other user can reach it, on a filesystem that heeds these bits.
    python = shop.tree.parent / "python"
    shutil.copy(Path(sys.executable).resolve(), python)
    changed = [path for path in python.parents if not path.stat().st_mode & 0o001]
    for path in changed:
        path.chmod(path.stat().st_mode | 0o011)
    site = str(Path(sys.modules["fastpath"].__file__ or "").parents[1])
    env = {
        "PYTHONHOME": os.pathsep.join([sys.base_prefix, sys.base_exec_prefix]),
        "PYTHONPATH": os.pathsep.join([str(shop.tree), site]),
        "HOME": str(shop.tree.parent),
    }
    program = "everything(); print(os.getuid(), os.geteuid(), fastpath.stats()['table'])"
    python.chmod(0o755)
    first = shop.run(program, env=env, python=str(python))
    assert first == Ended(0, "0 0 None\n", ""), "the copy itself is another environment"
    known = shop.run(program, env=env, python=str(python))
    assert known.out.startswith(f"0 0 {shop.cache}"), "without the bit it uses one"
    tables = {path: path.read_bytes() for path in shop.tables()}
    if bits & 0o2000:
        os.chown(python, -1, 12345)
    python.chmod(bits)
    as_user = ("setpriv", "--reuid=12345") if bits & 0o4000 else ()
    (shop.tree / "p0" / "later.py").write_text("")
    secure = shop.run(program + "\nimport p0.later", env=env, python=str(python), before=as_user)
    uids = "12345 0" if bits & 0o4000 else "0 0"
    assert secure == Ended(0, f"{uids} None\n", "")
    assert {path: path.read_bytes() for path in shop.tables()} == tables
    assert table.read_bytes() == before
    assert not (shop.tree.parent / ".cache").exists()


def test_signals_while_it_is_written(shop: Shop) -> None:
    """SIGTERM at the very end: the process dies of it or has ended, and the table is whole."""
    program = (
        "everything()\n"
        "pid, parent = os.fork(), os.getppid()\n"
        "if not pid:\n"
        "    import time, random; time.sleep(random.random() / 50)\n"
        "    os.kill(os.getppid(), 15); os._exit(0)\n"
    )
    for _ in range(10):
        done = shop.run(program)
        assert done.status in (0, -signal.SIGTERM)
        assert (done.out, done.err) == ("", "")
        shop.check()
        assert shop.known() == FILES
        for table in shop.tables():
            table.unlink()
