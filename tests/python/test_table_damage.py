"""Whatever becomes of the file that is the shared table, modules are right.

Before it is opened, and while it is in use. Each process must end by itself, saying nothing, and
leave what the next one can go on with.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tables import FILES, Ended, Shop

from support import need

pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")

FINE = Ended(0, "", "")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


# What is done to a table, as Python: `path` is its file, `dice` decides what is left to chance,
# `other` is the table of another interpreter, `copy` a copy of this one.
IN_PLACE = {
    "emptied": "os.truncate(path, 0)",
    "cut": "os.truncate(path, dice.randrange(size))",
    "one byte short": "os.truncate(path, size - 1)",
    "longer": "open(path, 'ab').write(dice.randbytes(dice.randrange(1, 9999)))",
    "much longer": "os.truncate(path, 5 << 30)",
    "zeros": "over(0, bytes(size))",
    "noise": "over(0, dice.randbytes(size))",
    "noise somewhere": "at = dice.randrange(size); over(at, dice.randbytes((size - at) // 2))",
    "noise before the end": "over(0, dice.randbytes(size - 200))",
    "another's in place": "os.truncate(path, 0); over(0, open(other, 'rb').read())",
}
REPLACED = {
    "gone": "os.unlink(path)",
    "another's": "os.replace(other, path)",
    "another copy": "os.replace(copy, path)",
    "shorter": "open(copy, 'r+b').truncate(dice.randrange(size)); os.replace(copy, path)",
    "directory": "os.unlink(path); os.mkdir(path)",
    "FIFO": "os.unlink(path); os.mkfifo(path)",
    "link": "os.unlink(path); os.symlink(copy, path)",
    "link to nothing": "os.unlink(path); os.symlink('nothing', path)",
    "link to itself": "os.unlink(path); os.symlink(path, path)",
    "link to a device": "os.unlink(path); os.symlink('/dev/zero', path)",
    "hard link": "os.unlink(path); os.link(copy, path)",
    "socket": "os.unlink(path); import stat; os.mknod(path, stat.S_IFSOCK | 0o600)",
    "not readable": "os.chmod(path, 0)",
    "everybody's": "os.chmod(path, 0o666)",
    "without its directory": "import shutil; shutil.rmtree(os.path.dirname(path))",
    "in a directory of everybody": "os.chmod(os.path.dirname(path), 0o777)",
}
# In place, and so that neither size nor time of the last change tell of it.
UNSEEN = {
    f"{name}, unseen": f"before = os.stat(path); {what}; os.utime(path, ns=(0, before.st_mtime_ns))"
    for name, what in IN_PLACE.items()
}
DAMAGE = IN_PLACE | UNSEEN | REPLACED

HARM = """
import random
def harm(path, other, copy, seed):
    dice, size = random.Random(seed), os.stat(path).st_size
    def over(at, data):
        with open(path, "r+b") as file: file.seek(at); file.write(data)
    exec({what!r})
"""


def _harm(what: str, shop: Shop, table: Path) -> str:
    """The source of a function that does this to the table, and of its call."""
    other = shop.learn("-O")
    copy = Path(shutil.copy(table, shop.tree))
    copy.chmod(0o600)
    moved = other.rename(shop.tree / "other")
    seed = random.randrange(1000)
    return HARM.format(what=what) + f"harm({str(table)!r}, {str(moved)!r}, {str(copy)!r}, {seed})\n"


@pytest.mark.parametrize("what", DAMAGE.values(), ids=DAMAGE.keys())
def test_harmed_before_it_is_opened(what: str, shop: Shop) -> None:
    harm = _harm(what, shop, shop.learn())
    assert shop.run(harm, how="stock") == FINE
    assert shop.run("everything()") == FINE
    shop.check()
    _is_of_use_again(shop)


@pytest.mark.parametrize("what", DAMAGE.values(), ids=DAMAGE.keys())
def test_harmed_while_it_is_in_use(what: str, shop: Shop) -> None:
    harm = _harm(what, shop, shop.learn())
    program = (
        "right('p0.m0'); assert fastpath.stats()['table_files'] == 2\n"
        f"{harm}everything()\nforget(); importlib.invalidate_caches(); everything()\n"
    )
    assert shop.run(program) == FINE
    shop.check()
    _is_of_use_again(shop)


def _is_of_use_again(shop: Shop) -> None:
    """Where its place can be had again, two more processes later everything is known."""
    if any(path.is_dir() for path in shop.cache.glob("*.table")):
        # Nobody takes a directory away: it may be somebody's.
        assert shop.known() == -1
    elif shop.cache.stat().st_mode & 0o022:
        assert shop.known() == -1
    else:
        assert shop.known() == FILES
        assert not list(shop.cache.glob("*.new"))


def test_taken_away_and_put_back_all_the_time(shop: Shop) -> None:
    """One thread imports, another one harms the table in every way in turn."""
    harms = [what for what in DAMAGE.values() if "rmtree" not in what and "chmod" not in what]
    table = shop.learn()
    others = _harm("pass", shop, table)
    program = f"""
import shutil, threading
path = {str(table)!r}
keep = open(path, "rb").read()
{others.rsplit("harm(", 1)[0]}
source = {HARM!r}
stop = threading.Event()
def vandal():
    dice = random.Random(1)
    spare = path + ".spare"
    while not stop.is_set():
        what = dice.choice({harms!r})
        try:
            for name in ("other", "copy"):
                with open(spare + name, "wb") as file: file.write(keep)
                os.chmod(spare + name, 0o600)
            space = {{"os": os}}
            exec(source.replace("{{what!r}}", repr(what)), space)
            space["harm"](path, spare + "other", spare + "copy", dice.random())
            if os.path.isdir(path): os.rmdir(path)
            os.replace(spare + "copy", path)
        except OSError: pass
        try:
            with open(spare, "wb") as file: file.write(keep)
            os.chmod(spare, 0o600)
            os.replace(spare, path)
        except OSError: pass
thread = threading.Thread(target=vandal)
thread.start()
used = 0
for _ in range(150):
    forget()
    fastpath.uninstall()
    start()
    everything()
    stats = fastpath.stats()
    used += stats["table_files"]
stop.set()
thread.join()
print(used > 0)
"""
    assert shop.run(program) == Ended(0, "True\n", "")
    shop.check()


def _link(path: Path) -> None:
    """Put a link in the place of what is there."""
    path.symlink_to(path.rename(path.with_suffix(".moved")).name)


def _flip_format(path: Path) -> None:
    """Number the format, which stands 16 bytes before the end, as nobody does yet."""
    table = bytearray(path.read_bytes())
    assert table.endswith(b"fastpath")
    table[-16] += 1
    path.write_bytes(table)


# Each leaves at `path` what is not to be believed.
FOREIGN: dict[str, Callable[[Path], None]] = {
    "another user's": lambda path: os.chown(path, 12345, -1),
    "group-writable": lambda path: path.chmod(0o620),
    "everybody's to write": lambda path: path.chmod(0o602),
    "a link": _link,
    "in another user's directory": lambda path: os.chown(path.parent, 12345, -1),
    "in a group-writable directory": lambda path: path.parent.chmod(0o770),
    "in a linked directory": lambda path: _link(path.parent),
    "of a later format": _flip_format,
    "of another interpreter": lambda path: None,
}


@pytest.mark.parametrize("what", FOREIGN)
def test_not_to_be_believed(what: str, shop: Shop) -> None:
    """It is ignored. Where its directory is ours, its place is taken, its bytes stay as they were.

    A later format, too: the format is part of the name, so it is only a damaged table that says so.
    """
    table = shop.learn()
    if what.startswith(("another user", "in another")):
        need("root")
    if what == "of another interpreter":
        shop.learn("-O").replace(table)
    FOREIGN[what](table)
    before = table.read_bytes()
    witness = shop.tree / "witness"
    os.link(table.resolve(), witness)
    program = "everything(); s = fastpath.stats(); print(s['table'], s['table_files'])"
    assert shop.run(program) == Ended(0, "None 0\n", "")
    assert witness.read_bytes() == before
    if what.startswith("in "):
        assert (table.read_bytes(), shop.known()) == (before, -1)
        assert not table.is_symlink()
    else:
        assert (table.is_symlink(), os.stat(table).st_uid) == (False, os.geteuid())
        assert shop.known() == FILES
