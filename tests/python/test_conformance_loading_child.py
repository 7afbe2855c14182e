"""Loading in interpreters of its own: auditing, -v, flags, environment, threads, many processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from children import Children
from test_conformance import open_to_all

from support import run_python

CHILD = Path(__file__).with_name("loading_child.py")
WRITING = {"PYTHONDONTWRITEBYTECODE": ""}

# A tree of modules made anew, then a cold and a hot import of it, told in full.
TREE = """
import importlib, json, os, shutil, sys, time
shutil.rmtree("tree", ignore_errors=True)
shutil.rmtree("cache", ignore_errors=True)
TEXT = "def f():\\n    'doc'\\n    assert len('x') == 2\\nx = f.__doc__, __debug__, {0}\\n"
def write(n, extra=""):
    os.makedirs("tree/p", exist_ok=True)
    with open(f"tree/p/m{n}.py", "w") as file: file.write(TEXT.format(n) + extra)
    os.utime(f"tree/p/m{n}.py", (1600000000 + n, 1600000000 + n))
for n in range(40): write(n)
open("tree/p/__init__.py", "w").close()
os.utime("tree/p/__init__.py", (1600000000, 1600000000))
sys.path.insert(0, os.path.abspath("tree"))
def forget():
    for name in [k for k in sys.modules if k.split(".")[0] == "p"]: del sys.modules[name]
    importlib.invalidate_caches()
"""

TOLD = """
def told():
    forget()
    for n in range(40):
        m = importlib.import_module(f"p.m{n}")
        print(m.x, m.__cached__ if hasattr(m, "__cached__") else None, m.f.__code__.co_filename)
    for top in ("tree", "cache"):
        for place, _, names in sorted(os.walk(top)):
            for name in sorted(names):
                with open(os.path.join(place, name), "rb") as file: head = file.read(16)
                print(place, name, head)
told(); told()
write(3, "y = 1\\n"); told()
print(sys.flags.dont_write_bytecode, sys.flags.optimize, sys.pycache_prefix)
import _imp; print(_imp.check_hash_based_pycs)
import py_compile
for mode in list(py_compile.PycInvalidationMode)[1:]:
    for n in range(9): py_compile.compile(f"tree/p/m{n}.py", invalidation_mode=mode)
    write(2, f"z = {mode.value}\\n")
    told()
"""

# An auditing hook that refuses, at each event that loading raises.
REFUSING = """
refuse = None
def hook(event, args):
    if event == refuse and "/p/m" in str(args) + str(sys._getframe(1).f_locals.get("fullname")):
        raise RuntimeError(f"{event} refused")
    if event == refuse == "marshal.loads": raise RuntimeError("unmarshalling refused")
sys.addaudithook(hook)
for event in ("open", "marshal.loads", "compile", "exec", "import", None):
    for name in ("m1", "m1", "m2"):
        forget()
        refuse = event
        try: result = importlib.import_module("p." + name).x
        except Exception as e: result = repr(e), repr(e.__cause__), repr(e.__context__)
        refuse = None
        print(event, name, result, sorted(os.listdir("tree/p/__pycache__"))
              if os.path.isdir("tree/p/__pycache__") else None)
import gc; print(gc.isenabled())
"""

THREADS = """
import threading
sys.setswitchinterval(1e-5)
os.symlink("p", "tree/q")  # for the child, which inherits the locks of modules being imported
for turn in range(6):
    if turn % 2: shutil.rmtree("tree/p/__pycache__", ignore_errors=True)
    forget()
    import p
    wrong = []
    def work(k, same):
        for i in range(40):
            n = i if same else (i + 5 * k) % 40
            if importlib.import_module(f"p.m{n}").x[2] != n: wrong.append(n)
    threads = [threading.Thread(target=work, args=(k, turn < 3)) for k in range(8)]
    for t in threads: t.start()
    if turn == 4:
        child = os.fork()
        if not child:
            importlib.invalidate_caches()
            sys.path_importer_cache.clear()
            os._exit(0 if all(importlib.import_module(f"q.m{n}").x[2] == n
                              for n in range(0, 40, 3)) else 1)
        print("child", os.waitpid(child, 0)[1])
    for t in threads: t.join()
    import gc
    print(turn, wrong, gc.isenabled(), len([k for k in sys.modules if k.startswith("p.m")]))
"""

# Several processes that write, and lose, the same pycs while all import them.
WRITERS = """
pids = []
for k in range(4):
    pid = os.fork()
    if pid: pids.append(pid); continue
    bad = 0
    try:
        for turn in range(12):
            if turn % 4 == k: shutil.rmtree("tree/p/__pycache__", ignore_errors=True)
            forget()
            for n in range(0, 40, 2):
                m = importlib.import_module(f"p.m{n}")
                bad += m.x[2] != n or m.f.__code__.co_filename != m.__file__
    except BaseException as e:
        print(repr(e), flush=True); bad = 99
    os._exit(bad)
print([os.waitpid(pid, 0)[1] for pid in pids])
"""


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path / "boot")


@pytest.mark.parametrize(
    ("how", "flags"),
    [
        ("auto-auto", []),
        ("auto-auto", ["-v"]),
        ("strict-serial", []),
        ("strict-serial", ["-v"]),
        ("strict-serial-ahead", []),
        ("strict-serial-shared", []),
    ],
    ids="".join,
)
def test_what_is_heard_is_the_same(how: str, flags: list[str], tmp_path: Path) -> None:
    base = open_to_all(tmp_path)
    done = run_python([*flags, CHILD, *how.split("-"), base])
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout)
    assert not result["differences"], "\n".join(result["different"])
    assert result["heard"] > 5000, result
    assert result["verbose"] == len(flags)


SETTINGS: dict[str, tuple[list[str], dict[str, str]]] = {
    "plain": ([], {}),
    "-O": (["-O"], {}),
    "-OO": (["-OO"], {}),
    "PYTHONOPTIMIZE": ([], {"PYTHONOPTIMIZE": "2"}),
    "-B": (["-B"], {}),
    "prefix": ([], {"PYTHONPYCACHEPREFIX": "cache"}),
    "-X prefix": (["-Xpycache_prefix=cache"], {}),
    "always": (["--check-hash-based-pycs", "always"], {}),
    "never": (["--check-hash-based-pycs", "never"], {}),
    "importtime": (["-Ximporttime"], {}),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_settings(setting: str, children: Children, tmp_path: Path) -> None:
    flags, env = SETTINGS[setting]
    arguments = [*flags, "-c", TREE + TOLD]
    done = children.same(arguments, cwd=tmp_path, env=WRITING | env, modes=["auto-auto"])
    assert done.status == 0, done.err
    assert done.out.count("('doc', ") + done.out.count("(None, ") >= 200
    assert (done.out.count(" b'") > 200) == (setting != "-B")


def test_a_refusing_hook(children: Children, tmp_path: Path) -> None:
    arguments = ["-c", TREE + REFUSING]
    done = children.same(arguments, cwd=tmp_path, env=WRITING)
    assert (done.status, done.err) == (0, "")
    for event in ("open", "compile", "unmarshalling"):
        assert f"{event} refused" in done.out


def test_main_modules(children: Children, tmp_path: Path) -> None:
    """``python -m``: ``runpy`` asks a loader for its code, too."""
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "__main__.py").write_text("from . import a\nprint(__file__, a.x, a.__file__)")
    (tmp_path / "q" / "a.py").write_text("x = __name__")
    (tmp_path / "q" / "__init__.py").write_text("")
    (tmp_path / "bad.py").write_text("def f():\n    1 / 0\nf()")
    for arguments in (["-m", "q"], ["-m", "q.a"], ["-m", "bad"], ["-c", "import bad"], ["bad.py"]):
        for _ in range(2):
            children.same(arguments, cwd=tmp_path, env=WRITING, modes=["auto-auto"])


@pytest.mark.parametrize("program", [THREADS, WRITERS], ids=["threads", "writers"])
def test_many_at_once(program: str, children: Children, tmp_path: Path) -> None:
    ignored = ["-Wignore", "-c", TREE + program]
    done = children.same(ignored, cwd=tmp_path, env=WRITING)
    assert (done.status, done.err) == (0, "")
    assert "[]" in done.out or "[0, 0, 0, 0]" in done.out
