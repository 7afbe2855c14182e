"""What changes after another process has learnt it is seen: every kind of change, in every layout.

One process makes a world. A second imports all of it with fastpath, ends, and leaves a table. A
third changes each thing and imports it then. Stock does the same in a world of the same paths; what
both print must be equal: specs, code, exceptions, and every file there is in the end.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from children import Children
from test_look_ahead import KINDS_OF_CHANGE, WRITING

MODES = ["strict-serial-learning", "auto-auto-learning"]

MORE = """
from importlib.machinery import EXTENSION_SUFFIXES
def repointed(link, target):
    os.unlink(link)
    os.symlink(target, link)
def moved_behind_link(path, target):
    os.makedirs(os.path.dirname(target), exist_ok=True)
    os.rename(path, target)
    os.symlink(target, path)
def like(path, model):
    status = os.stat(model)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
def put_back(place, change):
    "Only the ctime of the directory tells then."
    before = os.stat(place).st_mtime_ns
    change()
    os.utime(place, ns=(before, before))

def pyc_other_magic(d, v):
    with open(pyc(v), "rb") as file: data = file.read()
    put(pyc(v), b"\\0\\0\\r\\n" + data[4:])
def pyc_not_to_be_read(d, v): os.chmod(pyc(v), 0)
def pyc_by_unchecked_hash(d, v):
    old(v, "value = 'pyc'")
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    py_compile.compile(v, invalidation_mode=mode)
    write(v, "value = 'new'")
def pyc_made_anew_as_large(d, v):
    data = recompiled(v, "value = 'pyc'")
    os.unlink(pyc(v))
    with open(pyc(v), "wb") as file: file.write(data)
    os.utime(pyc(v), (AGO, AGO))
def pyc_cache_exchanged(d, v):
    cache = os.path.dirname(pyc(v))
    data = recompiled(v, "value = 'pyc'")
    os.rename(cache, cache + "x")
    shutil.copytree(cache + "x", cache)
    put(pyc(v), data)
    like(cache, cache + "x")
def source_is_directory(d, v):
    os.unlink(v)
    os.mkdir(v)
def source_in_the_future(d, v): write(v, "value = 'new'", 2**31 + 0.25)
def extension_beside(d, v): write(v[:-3] + EXTENSION_SUFFIXES[0], "no library")
def removed_behind_mtime(d, v): put_back(os.path.dirname(v), lambda: removed(d, v))
def package_behind_mtime(d, v): put_back(os.path.dirname(v), lambda: becomes_package(d, v))
def directory_swapped_like_it(d, v):
    directory_swapped(d, v)
    like(d, d + "y")
def directory_gone(d, v): os.rename(d, d + "y")
def directory_is_file(d, v):
    directory_gone(d, v)
    write(d, "")
def source_link(d, v): repointed(v, d + "/far/two.py")
def before_source_link(d, v):
    old(d + "/far/two.py", "value = 'two'")
    moved_behind_link(v, d + "/far/one.py")
def source_link_target(d, v): write(d + "/far/one.py", "value = 'new'")
def before_source_link_target(d, v): moved_behind_link(v, d + "/far/one.py")
def pyc_link(d, v): repointed(pyc(v), d + "/far/two")
def before_pyc_link(d, v):
    data = recompiled(v, "value = 'two'")
    moved_behind_link(pyc(v), d + "/far/one")
    with open(d + "/far/two", "wb") as file: file.write(data)
    os.utime(d + "/far/two", (AGO, AGO))
def pyc_cache_link(d, v): repointed(os.path.dirname(pyc(v)), d + "/far/two")
def before_pyc_cache_link(d, v):
    data, name = recompiled(v, "value = 'two'"), os.path.basename(pyc(v))
    moved_behind_link(os.path.dirname(pyc(v)), d + "/far/one")
    shutil.copytree(d + "/far/one", d + "/far/two")
    put(d + "/far/two/" + name, data)
def directory_link(d, v): repointed(d, d + "_two")
def before_directory_link(d, v):
    shutil.copytree(d, d + "_two")
    old(d + "_two/" + os.path.basename(v), "value = 'two'")
    like(d + "_two", d)
    moved_behind_link(d, d + "_one")
def init_of(v): return os.path.join(os.path.dirname(v), "__init__.py")
def init_taken(d, v):
    if os.path.exists(init_of(v)): removed(d, init_of(v))
def init_given(d, v): old(init_of(v), "value = 'given'")
def before_init_given(d, v): init_taken(d, v)
"""

WORLD = """
everything = [v for n, v in list(vars().items()) if getattr(v, "__code__", None) and
              v.__code__.co_varnames[:2] == ("d", "v") and not n.startswith("before_")]
WHOLE = (directory_swapped, directory_swapped_like_it, directory_gone, directory_is_file,
         directory_link)
def layouts():
    for number, change in enumerate(everything):
        kinds = {"m": f"victim{number}", "s": f"pkg{number}.victim", "p": f"whole{number}"}
        for kind, victim in kinds.items():
            d = os.path.abspath(f"work/{change.__name__}_{kind}")
            where = d + "/" + victim.replace(".", "/") + ("/__init__.py" if kind == "p" else ".py")
            home = os.path.dirname(where) if kind == "s" and change in WHOLE else d
            yield change, kind, victim, d, where, home, f"aside{number}{kind}"
def bring(name):
    try:
        module = importlib.import_module(name)
        code = module.__spec__.loader.get_code(name)
        return (getattr(module, "value", None), getattr(module, "__file__", None), module.__spec__,
                module.__spec__.cached, code and marshal.dumps(code, 2))
    except Exception as error:
        return repr(error), str(error.__cause__), getattr(error, "filename", None)
def used():
    native = sys.modules.get("fastpath._native")
    stats = native.stats() if native and native.is_installed() else None
    return stats and stats["table_directories"] + stats["table_files"]
"""
MAKE = """
for change, kind, victim, d, where, home, aside in layouts():
    if kind == "s": old(f"{d}/{victim.split('.')[0]}/__init__.py", "")
    old(where, "value = 'old'")
    old(f"{d}/{aside}.py", "value = 'aside'")
    os.mkdir(d + "/early")
    before = globals().get("before_" + change.__name__)
    if before: before(home, where)
time.sleep(0.05)  # what has just changed is not learnt
"""
LEARN = """
for change, kind, victim, d, where, home, aside in layouts():
    sys.path[:0] = [d + "/early", d]
    bring(victim), bring(aside)
    del sys.path[:2]
assert not used()
"""
CHANGE = """
facts = {}
def again(victim):
    importlib.invalidate_caches()
    for name in [n for n in sys.modules if n.split(".")[0] == victim.split(".")[0]]:
        del sys.modules[name]
    return bring(victim)
for change, kind, victim, d, where, home, aside in layouts():
    # From then on no names of others are believed.
    if not LATE and change in (told, told_and_newer, shadowed_and_told): continue
    before = used()
    sys.path[:0] = [d + "/early", d]
    if LATE: print(bring(victim))
    change(home, where)
    print(change.__name__, kind, again(victim) if LATE else bring(victim), bring(aside))
    del sys.path[:sys.path.index(d) + 1]
    sys.pycache_prefix = None
    facts[f"{change.__name__}_{kind}"] = used() and used() - before
if used():
    with open("facts.json", "w") as file: file.write(str(facts).replace("'", '"'))
for place, folders, names in os.walk("work"):
    folders.sort()
    for name in sorted(names):
        path = os.path.join(place, name)
        if not os.path.isfile(path): continue
        with open(path, "rb") as file: data = file.read()
        if name.endswith(".pyc"): data = data[:8] + data[12:]  # whatever time it is
        print(path, os.readlink(path) if os.path.islink(path) else "", data)
"""
HEAD = f"import marshal\n{KINDS_OF_CHANGE}{MORE}{WORLD}"


@pytest.fixture
def children(tmp_path: Path) -> Children:
    return Children(tmp_path / "boot")


def lived(how: str, late: bool, children: Children, place: Path) -> list[str]:
    """What is printed by a process that changes what another has learnt, if `how` learns."""

    def run(mode: str, program: str) -> str:
        env = {**WRITING, "FASTPATH_CACHE_DIR": str(place / "cache")}
        done = children.run(mode, ["-Wignore", "-c", HEAD + program], cwd=place, env=env)
        assert (done.status, done.err) == (0, ""), done
        return done.out

    shutil.rmtree(place / "work", ignore_errors=True)
    run("stock", MAKE)
    if how != "stock":
        run(how, LEARN)
    return run(how, f"LATE = {late}{CHANGE}").splitlines()


@pytest.mark.parametrize("late", [False, True], ids=["at the start", "after its use"])
@pytest.mark.parametrize("how", MODES)
def test_what_changes_after_it_was_learnt_is_seen(
    how: str, late: bool, children: Children, tmp_path: Path
) -> None:
    ours = lived(how, late, children, tmp_path)
    facts = json.loads((tmp_path / "facts.json").read_text())
    stock = lived("stock", late, children, tmp_path)
    assert len(facts) == 3 * (49 if late else 46)
    # Everything but what is in another's place, or is imported from elsewhere, is known.
    ignorant = [name for name, number in facts.items() if not number]
    assert len(ignorant) < (3 if late else 30), ignorant
    # Two directories, and two files twice each.
    assert late or facts["unchanged_m"] == 6
    different = [pair for pair in zip(stock, ours, strict=False) if pair[0] != pair[1]]
    assert not different, different[0]
    assert len(ours) == len(stock) > 800
