"""A process that becomes another user when fastpath is there: nothing is handed on beyond that.

What it imports is right all the same. Only root can try.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tables import FILES, Ended, Shop, settle

from support import need

pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")

USER = 54321
# What the interpreter itself is in may be root's alone, as root's home is.
NEEDED = "import codecs, encodings.idna, linecache, traceback, tokenize\n"
FOR_GOOD = f"os.setgroups([]); os.setresgid(*3 * [{USER}]); os.setresuid(*3 * [{USER}])"
FOR_NOW = f"os.seteuid({USER})"
BACK = "os.seteuid(0)"
ALL = "everything(); print([sys.modules[name].VALUE for name in NAMES])"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A tree that everybody can read."""
    need("root")
    shop = Shop(tmp_path)
    for place in [shop.tree, *shop.tree.rglob("*")]:
        place.chmod(0o755 if place.is_dir() else 0o644)
    for place in [place for place in shop.tree.parents if not place.stat().st_mode & 0o001]:
        place.chmod(place.stat().st_mode | 0o011)
    settle()
    return shop


def stays(shop: Shop, *steps: str) -> None:
    """Run these after some modules were imported; imports are stock's, the cache is as it was."""
    program = "\n".join([f"{NEEDED}right('p0.m0')", *steps, ALL])
    before = picture(shop.cache)
    stock = shop.run(program, how="stock")
    assert (stock.status, stock.err) == (0, "")
    assert shop.run(program) == stock
    assert picture(shop.cache) == before


def picture(place: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file below it: whose it is, and what is in it."""
    files = [path for path in place.rglob("*") if path.is_file()]
    return {path: (path.stat().st_uid, path.read_bytes()) for path in files}


@pytest.mark.parametrize("drop", [FOR_GOOD, FOR_NOW], ids=["for good", "for now"])
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_roots_table_stays(drop: str, mode: int, shop: Shop) -> None:
    """Even where it can be read: what root knew, the table has; what comes now, it does not get."""
    table = shop.learn()
    (shop.tree / "p0" / "later.py").write_text("")
    shop.cache.chmod(mode)
    stays(shop, drop, "import p0.later")
    assert table.stat().st_uid == 0


@pytest.mark.parametrize("drop", [FOR_GOOD, FOR_NOW], ids=["for good", "for now"])
def test_nothing_comes_into_the_users_directory(drop: str, shop: Shop) -> None:
    """It could be written to: what root has looked at would be there for the user to read."""
    os.chown(shop.cache, USER, USER)
    stays(shop, drop)
    assert list(shop.cache.iterdir()) == []


def test_as_who_it_was_it_hands_on(shop: Shop) -> None:
    """What the cases above would be if it stayed, or became again, who it was."""
    program = f"{NEEDED}right('p0.m0')\n{FOR_NOW}\neverything()\n{BACK}"
    assert shop.run(program) == Ended(0, "", "")
    (table,) = shop.tables()
    assert table.stat().st_uid == 0
    assert shop.known() == FILES


def test_who_starts_it_as_another_user_has_that_ones_table(shop: Shop) -> None:
    os.chown(shop.cache, USER, USER)
    program = f"{NEEDED}{FOR_GOOD}\nsys.path[:] = [os.environ['PYTHONPATH']]\nstart()\n{ALL}"
    first, second = (
        shop.run(program + "\nprint(fastpath.stats()['table_files'])", how="later") for _ in "12"
    )
    assert (first.err, second.err) == ("", "")
    assert [said.out.splitlines()[-1] for said in (first, second)] == ["0", str(FILES)]
    assert {path.stat().st_uid for path in shop.cache.iterdir()} == {USER}
