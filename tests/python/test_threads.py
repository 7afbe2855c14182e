"""Many things at once: threads importing, forking, changing directories and files meanwhile.

Each scenario runs in a child interpreter, stock and ours. Outcomes are counted, never timed.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from children import Children

import fastpath

PACKAGES = 12
MODULES = 8


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path / "boot")


@pytest.fixture
def forest(tmp_path: Path) -> Path:
    """Packages over three entries: p* import each other in circles, q* do not, n* are split."""
    place = tmp_path / "forest"
    for p in range(PACKAGES):
        home = place / f"entry{p % 3}" / f"p{p}"
        home.mkdir(parents=True)
        (home / "__init__.py").write_text(f"from . import m0\nimport p{(p + 1) % PACKAGES}\n")
        for m in range(MODULES):
            circle = f"import p{(p + m) % PACKAGES}\nfrom . import m{(m + 1) % MODULES}\n"
            (home / f"m{m}.py").write_text(f"{circle}value = {p}, {m}\n")
    for q in range(PACKAGES):
        home = place / f"entry{q % 3}" / f"q{q}"
        home.mkdir()
        (home / "__init__.py").write_text(f"import q{q - 1}\n" if q else "")
        for m in range(MODULES):
            earlier = f"from . import m{m - 1}\n" if m else ""
            (home / f"m{m}.py").write_text(f"{earlier}import q{q // 2}\nvalue = {q}, {m}\n")
    for p in range(PACKAGES):
        for e in range(3):
            home = place / f"entry{e}" / f"n{p}"
            home.mkdir()
            (home / f"x{e}.py").write_text(f"value = {p}, {e}\n")
    return place


START = """
import sys, threading, importlib.machinery, os, random, time
sys.setswitchinterval(1e-5)
sys.path[:0] = [os.path.abspath(f"entry{e}") for e in range(3)]
failed = []
import importlib.metadata  # else the first invalidate_caches() imports it, in some thread
one_at_a_time = threading.Lock()
def invalidate():
    # Stock's own invalidate_caches() may fail if two threads call it at once.
    with one_at_a_time: importlib.invalidate_caches()
def load(name):
    while True:
        try: return importlib.import_module(name)
        except (RuntimeError, ImportError, KeyError) as e:
            # Circles in several threads at once: stock, too, gives up by chance, takes the module
            # out again, and whoever had been handed it half made then misses it.
            if type(e).__name__ == "ModuleNotFoundError": raise
def start(workers):
    def guard(work):
        try: work()
        except BaseException as e: failed.append((type(e).__name__, str(e)))
    threads = [threading.Thread(target=guard, args=(w,)) for w in workers]
    for t in threads: t.start()
    return threads
def join(threads):
    for t in threads: t.join()
"""

EVERYTHING_AT_ONCE = (
    START
    + """
names = [f"q{p}.m{m}" for p in range(12) for m in range(8)]
names += [f"n{p}.x{e}" for p in range(12) for e in range(3)]
gate = threading.Barrier(16)
def worker(seed):
    mine = names[:]; random.Random(seed).shuffle(mine)
    gate.wait()
    for name in mine:
        importlib.import_module(name)
        try: importlib.import_module("absent" + name.replace(".", ""))
        except ModuleNotFoundError as e: assert e.name.startswith("absent")
        else: raise AssertionError(name)
join(start([lambda s=s: worker(s) for s in range(16)]))
print(failed)
print([sys.modules[n].value for n in names])
ours = [(n, m) for n, m in sys.modules.items() if n[0] in "qn" and n[1:2].isdigit()]
print(sorted((n, str(m.__file__ or list(m.__path__))) for n, m in ours))
"""
)

CIRCLES = (
    START
    + """
# Two threads take two locks each, from either end: importlib's deadlock detection must still win.
for p in range(0, 12, 2):
    gate = threading.Barrier(2)
    def one(p=p, gate=gate): gate.wait(); load(f"p{p}.m3")
    def two(p=p, gate=gate): gate.wait(); load(f"p{p + 1}.m5")
    join(start([one, two]))
print(failed, sorted(n for n in sys.modules if n[0] == "p" and n[1:2].isdigit()))
"""
)

FORKS = (
    START
    + """
stop = threading.Event()
def importing(seed):
    rest = random.Random(seed)
    while not stop.is_set():
        name = rest.choice(["p", "n", "absent"]) + str(rest.randrange(12))
        importlib.machinery.PathFinder.find_spec(name)
        if rest.random() < 0.05: invalidate()
threads = start([lambda s=s: importing(s) for s in range(4)])
good = 0
for n in range(200):
    child = os.fork()
    if not child:
        try:
            import json, colorsys
            name = importlib.import_module(f"n{n % 12}.x{n % 3}")
            assert name.value == (n % 12, n % 3)
            try: importlib.import_module(f"absent{n}")
            except ModuleNotFoundError: os._exit(7)
        finally: os._exit(1)
    good += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
stop.set(); join(threads)
print(good, failed)
"""
)

FORK_OF_FORKS = (
    START
    + """
import p0.m0
def descend(depth):
    __import__(f"p{depth}.m{depth}")
    if depth == 6: os._exit(42)
    child = os.fork()
    if not child: descend(depth + 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if depth == 0: return status
    os._exit(status)
print(descend(0))
"""
)

DIRECTORIES = (
    START
    + """
for d in "ab":
    os.makedirs(f"cwd{d}/pkg", exist_ok=True)
    for name in ("m", "pkg/__init__"): open(f"cwd{d}/{name}.py", "w").close()
home = os.getcwd()
sys.path[:] = [""] + sys.path
stop, seen = threading.Event(), set()
def wandering():
    while not stop.is_set():
        for d in "ab": os.chdir(f"{home}/cwd{d}")
def asking():
    for _ in range(3000):
        for name in ("m", "pkg"):
            spec = importlib.machinery.PathFinder.find_spec(name)
            seen.add((name, os.path.relpath(spec.origin, home) if spec else None))
os.chdir(f"{home}/cwda")
walker = start([wandering])
join(start([asking] * 3)); stop.set(); join(walker)
print(failed, sorted(seen))
"""
)

CHURN = (
    START
    + """
import shutil
os.mkdir("early"); os.mkdir("late")
for n in range(10): open(f"late/solid{n}.py", "w").close()
sys.path[:] = [os.path.abspath("early"), *sys.path, os.path.abspath("late")]
stop = threading.Event()
def churning(seed):
    rest = random.Random(seed)
    while not stop.is_set():
        name = f"early/{rest.choice(['solid', 'noise'])}{rest.randrange(10)}"
        try:
            if rest.random() < 0.5: os.mkdir(name)
            else: open(name + ".py", "w").close()
            os.rmdir(name) if os.path.isdir(name) else os.unlink(name + ".py")
        except OSError: pass
def asking(seed):
    rest = random.Random(seed)
    for _ in range(1500):
        name = f"solid{rest.randrange(10)}"
        spec = importlib.machinery.PathFinder.find_spec(name)
        assert spec and spec.origin and spec.origin.endswith(name + ".py"), (name, spec)
        if rest.random() < 0.02: invalidate()
        if rest.random() < 0.02: sys.path = list(sys.path)
        if rest.random() < 0.02: sys.path = [*sys.path, os.path.abspath(f"none{rest.randrange(3)}")]
churners = start([lambda s=s: churning(s) for s in range(2)])
join(start([lambda s=s: asking(s) for s in range(4)])); stop.set(); join(churners)
print(failed)
"""
)

REENTRANT = (
    START
    + """
find = importlib.machinery.PathFinder.find_spec
calls, busy = 0, threading.local()
class Asker(str):
    def __eq__(self, other):
        global calls; calls += 1
        if calls % 7 == 0 and calls < 9000 and not busy.__dict__:
            busy.on = 1
            find("p1"); find("absent")
            del busy.on
        return str.__eq__(self, other)
    __hash__ = str.__hash__
class Collected:
    def __init__(self): self.me = self
    def __del__(self): find("n1"); find("absent")
def hook(entry):
    if len(entry) > 999 or "entry2" in entry: raise ImportError
    find("p2", [os.path.abspath("entry2")]); find("absent", [])
    raise ImportError
sys.path_hooks.insert(0, hook)
sys.path_importer_cache.clear()
import gc; gc.set_threshold(5)
sys.path[:] = [Asker(e) for e in sys.path]
def asking():
    for n in range(150):
        Collected()
        spec = find(f"p{n % 12}")
        assert spec and spec.origin, n
        assert find(f"absent{n}") is None
        if n % 20 == 0: invalidate()
join(start([asking] * 3))
print(failed)
"""
)


INTERRUPTED = (
    START
    + """
import signal
find = importlib.machinery.PathFinder.find_spec
class Stop(Exception): pass
armed = False
def raise_it(*_):
    global armed
    if armed: armed = False; raise Stop
signal.signal(signal.SIGALRM, raise_it)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
stopped = 0
for n in range(400):
    try:
        armed = True
        while True: find(f"p{n % 12}"); find("absent"); importlib.invalidate_caches()
    except Stop: stopped += 1
    spec = find(f"p{n % 12}")
    assert spec and spec.origin.endswith("__init__.py")
    assert find("absent") is None
signal.setitimer(signal.ITIMER_REAL, 0)
print(stopped, failed)
"""
)

SCENARIOS = {
    "everything at once": EVERYTHING_AT_ONCE,
    "circles": CIRCLES,
    "forks": FORKS,
    "a fork of forks": FORK_OF_FORKS,
    "directories": DIRECTORIES,
    "churn": CHURN,
    "reentrant": REENTRANT,
    "interrupted": INTERRUPTED,
}
MODES = ["auto-auto", "strict-serial", "strict-threads", "strict-uring", "sealed-auto"]
# Under `sealed` a change must be announced; these announce none.
UNANNOUNCED = {"churn", "directories"}
# Two hundred forks take a while; these two modes have the most to inherit.
FORKING = ["auto-auto", "strict-uring"]


def modes_of(scenario: str) -> list[str]:
    """The modes in which a scenario is played; a ring only where there is one."""
    modes = FORKING if scenario == "forks" else MODES
    if fastpath.backends()["uring"] is not None:
        modes = [m for m in modes if "uring" not in m]
    return [m for m in modes if not (m.startswith("sealed") and scenario in UNANNOUNCED)]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_same_as_stock(scenario: str, children: Children, forest: Path) -> None:
    """Every mode prints what stock prints, which says what went wrong: nothing."""
    results = {}
    for how in ["stock", *modes_of(scenario)]:
        place = forest.rename(forest.with_name("here"))
        try:
            program = ["-Wignore", "-c", SCENARIOS[scenario]]
            results[how] = children.run(how, program, cwd=place, limit=120)
        finally:
            place.rename(forest)
            _clean(forest)
    stock = results["stock"]
    assert (stock.status, stock.err) == (0, ""), stock
    assert "[]" in stock.out or stock.out == "42\n"
    for how, ours in results.items():
        assert ours == stock, f"{how}: {ours}"


def _clean(forest: Path) -> None:
    """Remove what a scenario made."""
    import shutil

    for made in ("early", "late", "cwda", "cwdb"):
        shutil.rmtree(forest / made, ignore_errors=True)
