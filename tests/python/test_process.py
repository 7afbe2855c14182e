"""Whole interpreters: command lines, flags, tracebacks, children, limits. Stock and ours alike."""

from __future__ import annotations

import os
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from children import Children

from support import need

RECENT = sys.version_info >= (3, 11)


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path / "boot")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small program with everything in it."""
    place = tmp_path / "project"
    files = {
        "main.py": "import pkg.a, ns.x, json, decimal, sqlite3\nprint(pkg.a.__spec__, ns.__path__)",
        "pkg/__init__.py": "from . import b",
        "pkg/a.py": "from .b import y\nfrom . import sub",
        "pkg/b.py": "y = 1",
        "pkg/__main__.py": "import sys\nprint(__name__, __package__, __spec__.origin, sys.argv)",
        "pkg/sub/__init__.py": "",
        "ns/x.py": "",
        "bad/__init__.py": "import bad.deeper",
        "bad/deeper.py": "def f():\n    import nothing.of.this.name\nf()",
        "bad/syntax.py": "def",
        "bad/cycle1.py": "from bad2 import x",
        "cycle_a.py": "from cycle_b import b\na = 1",
        "cycle_b.py": "from cycle_a import a\nb = 1",
        "tests/one.py": "import main",
    }
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


# Native code has no frame of its own. Seen only where an exception that is not ImportError comes
# out of somebody's hook or finder: importlib itself takes its frames out of every ImportError.
FRAME = re.compile(
    r'^  File "<frozen importlib._bootstrap_external>", line \d+, in find_spec\n', re.MULTILINE
)
# With -v an interpreter tells how it takes itself apart after the program is over; fastpath has put
# its native module aside while it installed, and says so too.
END = re.compile(
    r"^# clear sys\.path_importer_cache.*|^# destroy fastpath\._native\n", re.MULTILINE | re.DOTALL
)

PROGRAM = """
import sys, json, decimal, pkg.a, ns.x, xml.dom.minidom, email.message, ctypes
import importlib; importlib.invalidate_caches()
try: import absent.module
except ImportError as e: print(repr(e), e.name, e.path)
print(sorted(m for m in sys.modules))
print([(k, type(v).__name__) for k, v in sys.path_importer_cache.items()])
print(sys.path, sys.flags)
"""


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["-v"],
        ["-vv"],
        ["-O"],
        ["-OO"],
        ["-b"],
        ["-Xdev"],
        ["-Wd"],
        ["-q"],
        ["-u"],
        ["-Xutf8=0"],
    ],
    ids="".join,
)
def test_flags(flags: list[str], children: Children, project: Path) -> None:
    done = children.same(
        [*flags, "-c", PROGRAM], cwd=project, env={"PYTHONPATH": str(project)}, ignore=END
    )
    assert done.status == 0
    assert "ModuleNotFoundError" in done.out


ISOLATION = [["-I"], ["-E"], ["-S"], ["-s"], ["-IS"], *([["-P"], ["-PE"]] if RECENT else [])]


@pytest.mark.parametrize("flags", ISOLATION, ids="".join)
def test_isolation(flags: list[str], children: Children, project: Path) -> None:
    program = f"{children.preamble()}sys.path.append({str(project)!r}){PROGRAM}"
    done = children.same([*flags, "-c", program], cwd=project)
    assert done.status == 0, done.err


@pytest.mark.skipif(not RECENT, reason="safe_path came with 3.11")
@pytest.mark.parametrize("safe", [{}, {"PYTHONSAFEPATH": "1"}], ids=["plain", "safe"])
def test_shadowing_by_the_working_directory(
    safe: dict[str, str], children: Children, project: Path
) -> None:
    (project / "colorsys.py").write_text("print('shadowed')")
    for arguments in (["-c", "import colorsys"], ["-m", "pkg"], ["tests/one.py"], ["-"]):
        children.same(arguments, cwd=project, env=safe, stdin="import colorsys")
    done = children.same(["-c", "import colorsys"], cwd=project, env=safe)
    assert ("shadowed" in done.out) != bool(safe)


def test_import_times_name_the_same_modules_in_the_same_order(
    children: Children, project: Path
) -> None:
    done = children.same(["-Ximporttime", "main.py"], cwd=project)
    assert "pkg.sub" in done.err


FORGET = "import sys; sys.path_importer_cache.clear(); "
FAILING = [
    "import bad",
    "import bad.syntax",
    "import bad.cycle1",
    "import cycle_a",
    "import absent",
    "import pkg.absent",
    "import pkg.a.absent",
    "from pkg import absent",
    "import ns.absent",
    "from . import x",
    "from .x import y",
    "import importlib; importlib.import_module('.x')",
    "__import__('')",
    "__import__('a\\0b')",
    "__import__('a..b')",
    "__import__('\\ud800')",
    "import importlib; importlib.import_module('pkg..a')",
    "import importlib; importlib.reload(5)",
    "import sys; sys.path = None; import absent",
    "import sys; sys.path.insert(0, 5); import absent",
    "import sys; sys.meta_path.clear(); import absent",
    "import sys; sys.path_importer_cache['x'] = 5; sys.path.insert(0, 'x'); import absent",
    FORGET + "sys.path_hooks = 5; import absent",
    FORGET + "sys.path_hooks.clear(); import absent",
    FORGET + "sys.path_hooks.insert(0, lambda p: 1 / 0); import absent",
]


@pytest.mark.parametrize("statement", FAILING)
def test_tracebacks(statement: str, children: Children, project: Path) -> None:
    (project / "failing.py").write_text(f"def inner():\n    exec({statement!r})\ninner()\n")
    done = children.same(["failing.py"], cwd=project, ignore=FRAME)
    assert done.status == 1
    assert "Traceback" in done.err


STARTS = [
    ["main.py"],
    ["-m", "main"],
    ["-m", "pkg", "arg"],
    ["-m", "pkg.a"],
    ["-m", "ns"],
    ["-m", "ns.x"],
    ["-m", "absent"],
    ["-m", "pkg.absent"],
    ["-m", "pkg.sub.absent"],
    ["-m", "bad"],
    ["-m", "app"],
    ["-m", "json.tool", "--help"],
    ["pkg"],
    ["ns"],
    ["."],
    ["absent.py"],
    ["app.zip"],
    ["-c", "import runpy; print(sorted(runpy.run_module('pkg.a')))"],
    ["-c", "import runpy; runpy.run_path('app.zip')"],
]


@pytest.mark.parametrize("arguments", STARTS, ids="_".join)
def test_ways_to_start(arguments: list[str], children: Children, project: Path) -> None:
    with zipfile.ZipFile(project / "app.zip", "w") as archive:
        archive.writestr(
            "__main__.py", "import inner, pkg_in_zip.x; print(__file__, inner.__file__)"
        )
        archive.writestr("inner.py", "")
        archive.writestr("pkg_in_zip/x.py", "")
    children.same(arguments, cwd=project)


@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_multiprocessing(method: str, children: Children, project: Path) -> None:
    (project / "work.py").write_text(
        "import multiprocessing as mp, sys\n"
        "def f(n):\n    import pkg.a, ns.x, colorsys, decimal\n"
        "    try: import absent\n    except ImportError as e: text = str(e)\n"
        "    return n, pkg.a.__file__, list(ns.__path__), text\n"
        f"if __name__ == '__main__':\n    mp.set_start_method({method!r})\n"
        "    with mp.Pool(3) as pool: print(sorted(pool.map(f, range(12), 1)))\n"
    )
    done = children.same(["-Wignore", "work.py"], cwd=project)
    assert done.status == 0, done.err
    assert done.out.count("No module named 'absent'") == 12


INTERPRETERS = """
try: from concurrent import interpreters as new
except ImportError: new = None
script = '''
import sys
if "" not in sys.path: sys.path.insert(0, "")
import pkg.a, ns.x, colorsys, json
sys.path.append("later")
try: import absent
except ImportError as e: assert e.name == "absent"
try: import fastpath
except ImportError: pass
else: fastpath.is_installed()
import importlib; importlib.invalidate_caches(); import html
'''
if new is not None:
    for _ in range(5): i = new.create(); i.exec(script); i.close()
else:
    try: import _interpreters as old
    except ImportError: import _xxsubinterpreters as old
    for _ in range(5):
        i = old.create()
        problem = old.run_string(i, script)
        assert problem is None, problem
        old.destroy(i)
import pkg.sub
print("alive", pkg.sub.__file__)
"""


def test_subinterpreters_import_and_say_nothing(children: Children, project: Path) -> None:
    done = children.same(["-Wignore", "-c", INTERPRETERS], cwd=project)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("alive")


# The entries are new to everybody: what was read before the files ran out may well be known.
EXHAUSTED = """
import os, resource, sys, json, importlib.util
from importlib.machinery import PathFinder
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (30, hard))
held = []
try:
    while True: held.append(os.open("/dev/null", os.O_RDONLY))
except OSError: pass
said, usual = [], sys.path[:]
def tell(error): return type(error).__name__, str(error), getattr(error, "errno", 0)
for entries in (["."], ["pkg", "."], ["pkg"], ["ns", "tests"]):
    sys.path[:] = map(os.path.abspath, entries)
    for name in ("pkg", "ns", "absent", "main", "a", "x", "pkg.a"):
        for _ in range(2):
            try: said.append((name, repr(PathFinder.find_spec(name))))
            except BaseException as e: said.append((name, *tell(e)))
        try: __import__(name); said.append("imported")
        except BaseException as e: said.append((name, *tell(e)))
for fd in held: os.close(fd)
sys.path[:] = ["", *usual]
for name in ("pkg.a", "ns.x", "absent", "main", "colorsys"):
    try: __import__(name); said.append("imported")
    except BaseException as e: said.append((name, *tell(e)))
print(*said, sep="\\n")
"""


@pytest.mark.parametrize("how", ["auto-auto", "strict-serial", "strict-threads", "strict-uring"])
def test_no_file_descriptors_left(how: str, children: Children, project: Path) -> None:
    if "uring" in how:
        need("uring")
    children.same(["-c", EXHAUSTED], cwd=project, modes=[how])


def _refuse() -> Path:
    """The testbed's program that refuses system calls, wherever cargo has put it."""
    root = Path(__file__).parents[2]
    targets = [Path(os.environ.get("CARGO_TARGET_DIR", root / "target")), root / "target"]
    found = [t / kind / "refuse" for t in targets for kind in ("debug", "release")]
    built = next((f for f in found if f.exists()), None)
    if built is None:
        reason = "skipped: refuse: the testbed is not built (cargo build -p testbed)"
        required = "refuse" in os.environ.get("FASTPATH_REQUIRE", "")
        if required:
            pytest.fail(reason)
        pytest.skip(reason)
    return built


@pytest.mark.skipif(sys.platform != "linux", reason="io_uring is Linux's")
@pytest.mark.parametrize("errno", ["EPERM", "ENOSYS", "EOPNOTSUPP", "ENOMEM"])
def test_io_uring_refused(errno: str, children: Children, project: Path) -> None:
    refuse = _refuse()
    python = [str(refuse), "--errno", errno, "--", sys.executable]
    modes = ["auto-auto", "strict-uring"]
    env = {"PYTHONPATH": str(project)}
    done = children.same(["-c", PROGRAM], cwd=project, env=env, python=python, modes=modes)
    assert done.status == 0, done.err


@pytest.mark.skipif(sys.platform != "linux", reason="limits are tried with Linux's engines")
def test_no_threads_to_be_had(children: Children, project: Path) -> None:
    if os.geteuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root is exempt from RLIMIT_NPROC and there is no setpriv")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))\n"
    modes = ["strict-threads", "strict-uring", "auto-auto"]
    env = {"PYTHONPATH": str(project)}
    done = children.same(["-c", limit + PROGRAM], cwd=project, env=env, modes=modes)
    assert done.status == 0, done.err


LATE = """
import atexit, sys, threading
class Late:
    def __del__(self):
        try:
            import colorsys, absent
        except BaseException as e:
            print(type(e).__name__, e)
late = Late()
sys.late = Late()
@atexit.register
def last():
    import pkg.sub
    print(pkg.sub.__name__)
    try: import absent.x
    except ImportError as e: print(e)
"""


def test_imports_while_the_interpreter_ends(children: Children, project: Path) -> None:
    children.same(["-c", LATE], cwd=project)


RELOAD = """
import importlib, os, pkg.b, pkg
for n in range(20):
    with open("pkg/b.py", "w") as f: f.write(f"y = {n:>5}")
    os.utime("pkg/b.py", (n * 10 + 10, n * 10 + 10))
    assert importlib.reload(pkg.b).y == n
    with open(f"fresh{n}.py", "w") as f: f.write(f"x = {n}")
    assert __import__(f"fresh{n}").x == n
    os.unlink(f"fresh{n}.py")
    os.mkdir(f"fresh{n}")
    print(importlib.import_module(f"fresh{n}").__file__)
    import sys; del sys.modules[f"fresh{n}"]
    importlib.invalidate_caches()
    print(importlib.import_module(f"fresh{n}").__path__)
"""


def test_modules_made_and_reloaded_at_once(children: Children, project: Path) -> None:
    done = children.run("auto-auto", ["-c", RELOAD], cwd=project)
    assert done.status == 0, done.err
    shutil.rmtree(project / "__pycache__", ignore_errors=True)


def test_started_in_a_directory_that_is_gone(children: Children, project: Path) -> None:
    gone = project / "gone"
    inner = "import sys, json; print(sys.path[1:]); import absent"
    program = (
        f"import os, subprocess, sys; gone = {str(gone)!r}\n"
        "os.mkdir(gone); os.chdir(gone); os.rmdir(gone)\n"
        f"sys.exit(subprocess.call([sys.executable, '-c', {inner!r}]))"
    )
    done = children.same(["-c", program], cwd=project)
    assert "No module named 'absent'" in done.err


def test_audit_events_of_imports(children: Children, project: Path) -> None:
    """The event ``import`` is part of the interface; how directories are read is not."""
    program = (
        "import sys\nseen = []\n"
        "sys.addaudithook(lambda e, a: seen.append((e, a[0])) if e == 'import' else None)\n"
        "import pkg.a, ns.x, colorsys\n"
        "try: import absent\nexcept ImportError: pass\nprint(seen)"
    )
    done = children.same(["-c", program], cwd=project)
    assert "'absent'" in done.out


def test_path_files(children: Children, project: Path) -> None:
    (project / "extra.pth").write_text(f"{project / 'tests'}\nimport sys; sys.from_pth = 1\n")
    program = (
        f"import site, sys; site.addsitedir({str(project)!r})\n"
        "import one, pkg; print(one, sys.from_pth)"
    )
    done = children.same(["-c", program], cwd=project)
    assert done.status == 0, done.err
