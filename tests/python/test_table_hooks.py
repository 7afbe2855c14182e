"""Those who watch code being opened (PEP 578), where a table has all of it.

A hook that opens code is asked for every module, whenever it was set; auditing hooks hear what they
hear of stock, and are obeyed. With a user's table, and in a sealed environment.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from tables import FILES, Ended, Sealed, Shop

pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")

# From Python, ctypes alone can set the hook of PEP 578; it answers as `open` would.
HOOK = """
import ctypes, io, json
opened, heard = [], []
def told():
    stats = fastpath.stats()
    files = stats["table_files"] if stats["installed"] else None
    print(json.dumps([[path[-14:] for path in opened], files, heard]), flush=True)
@ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object, ctypes.c_void_p)
def opens(path, data):
    opened.append(path)
    if CHANGED and CHANGED in path:
        path = path.replace("m0", "m1")
    return io.open(path, "rb")
def hook():
    must(ctypes.pythonapi.PyFile_SetOpenCodeHook(opens, None) == 0)
CHANGED = ""
if os.environ["TABLE_CHILD"] == "ours": fastpath.uninstall()
def restart():
    if os.environ["TABLE_CHILD"] == "ours": start()
"""
AUDIT = 'sys.addaudithook(lambda event, args: heard.append(event) if "hook" in event else None)\n'


@pytest.fixture(params=["user", "sealed"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Shop:
    if request.param == "user":
        shop = Shop(tmp_path)
        shop.learn()
        return shop
    sealed = Sealed(tmp_path)
    sealed.seal()
    return sealed


def same(shop: Shop, program: str, taken: int) -> Any:
    """What the hook opened, and what is heard of hooks; `taken` files came from the table."""
    stock, ours = (shop.run(HOOK + program + "\ntold()", how=how) for how in ("stock", "ours"))
    assert (ours.status, ours.err) == (stock.status, stock.err) == (0, "")
    (opened, _, _), (also_opened, files, heard) = (json.loads(end.out) for end in (stock, ours))
    assert also_opened == opened
    assert files == taken
    return opened, heard


def test_without_a_hook_all_is_taken_from_the_table(shop: Shop) -> None:
    """What the cases below would be without one."""
    assert same(shop, "restart(); everything()", FILES) == ([], [])


def test_a_hook_that_is_there_before(shop: Shop) -> None:
    opened, _ = same(shop, "hook(); restart(); everything()", 0)
    assert len(opened) == FILES


def test_a_hook_that_comes_later(shop: Shop) -> None:
    opened, _ = same(shop, "restart(); right('p0.m0'); hook(); everything()", 2)
    assert len(opened) == FILES - 2


def test_a_hook_that_comes_with_an_auditing_hook(shop: Shop) -> None:
    """As whoever watches a process sets them, one after the other, in either order."""
    for both in (f"{AUDIT}hook()", f"hook()\n{AUDIT}"):
        program = f"restart(); right('p0.m0')\n{both}\neverything()"
        opened, heard = same(shop, program, 2)
        assert len(opened) == FILES - 2
        assert 1 <= heard.count("setopencodehook") <= 2


def test_auditing_hooks_hear_of_one_question(shop: Shop) -> None:
    before = f"{AUDIT}\nrestart(); everything()"
    after = f"restart(); right('p0.m0')\n{AUDIT}\neverything()"
    for program in (before, after):
        assert same(shop, program, FILES) == ([], ["setopencodehook"])


def test_what_a_hook_gives_is_run(shop: Shop) -> None:
    program = (
        "{}\nCHANGED = os.path.join('p1', '__pycache__', 'm0')\n{}\n"
        "import p1.m0, p1.m1; print(p1.m0.VALUE, p1.m1.VALUE)"
    )
    for first, then in (("hook()", "restart()"), ("restart(); right('p0.m0')", "hook()")):
        changed = HOOK + program.format(first, then)
        stock, ours = (shop.run(changed, how=how) for how in ("stock", "ours"))
        assert stock == ours == Ended(0, "the value of p1.m1 the value of p1.m1\n", "")


# Listens to everything, and refuses some of it. What is listed is another matter (os.listdir).
LISTENING = """
import json
heard, refused = [], None
def hears(event, args):
    if event == "os.listdir": return
    if event not in ("marshal.loads", "exec"): told = [str(arg)[-60:] for arg in args]
    else: told = [len(args[0]) if event == "marshal.loads" else args[0].co_name]
    # One that refuses as a file might is asked again by stock, which goes on from there.
    if not refused or refused[2] is not PermissionError: heard.append((event, told))
    if refused and event == refused[0] and refused[1] in str(told):
        raise refused[2](f"{event} is refused")
sys.addaudithook(hears)
BYTECODE = "p1/__pycache__/m0"
for refused in [
    None, ("open", BYTECODE, RuntimeError), ("open", BYTECODE, PermissionError),
    ("import", "p1.m0", RuntimeError), ("marshal.loads", "", RuntimeError),
]:
    for name in ("p0.m0", "p1.m0", "p1.m0", "p1.m1"):
        try: print(name, importlib.import_module(name).VALUE)
        except Exception as e: print(name, repr(e), repr(e.__cause__), repr(e.__context__))
    forget()
refused = None
heard = [h for h in heard if h != ("setopencodehook", [])]
print(*heard, sep="\\n")
"""


def test_auditing_hooks_hear_and_refuse_as_ever(shop: Shop) -> None:
    # Bytecode is written under a name made by chance.
    stock, ours = (shop.run(LISTENING, "-B", how=how) for how in ("stock", "ours"))
    assert ours.out.splitlines() == stock.out.splitlines()
    assert (ours.status, ours.err) == (stock.status, stock.err) == (0, "")
    assert ours.out.count("is refused") > 5
    assert ours.out.count("'marshal.loads'") > 10
    known = shop.run(LISTENING + "print(fastpath.stats()['table_files'])", "-B").out
    assert int(known.splitlines()[-1]) > 8
