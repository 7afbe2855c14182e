"""A small table with each of its bytes spoilt in turn: modules are right, nothing dies over it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tables import Ended, Sealed, Shop

pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")

FEW = ["p0.m0", "p0.m1", "p1.m0"]
FILES = 5  # those of the packages among them
DIRECTORIES = 3  # of whose names a process is told by a user's table
A_TIME = 700  # tables looked at by one process

# The tree alone, so that the table has nothing of the standard library in it.
SMALL = f"""
sys.path[:] = [path for path in sys.path if path.endswith("tree")]
NAMES[:] = {FEW!r}
"""

# At each place one bit is turned, another one from place to place.
SPOIL = """
path, begin, end = {path!r}, {begin}, {end}
with open(path, "rb") as file: table = file.read()
file = open(path, "r+b", buffering=0)
counts = []
def count():
    stats = fastpath.stats()
    return stats["table_files"] + stats["table_directories"]
for at in range(begin, min(end, len(table))):
    os.pwrite(file.fileno(), bytes([table[at] ^ 1 << at % 8]), at)
    start()
    everything()
    counts.append(count())
    fastpath.uninstall()
    forget()
    os.pwrite(file.fileno(), table[at : at + 1], at)
start()
everything()
assert count() == {all}
print([len(table), counts], flush=True)
os._exit(0)
"""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def counts_of(shop: Shop, table: Path, everything: int) -> list[int]:
    """What a process takes from the table with this byte spoilt, for each of them.

    Fails unless all modules are right, and unless it takes `everything` from the table as it is.
    """
    size = table.stat().st_size
    assert size < 6000, "small, or this takes long"
    counts: list[int] = []
    for begin in range(0, size, A_TIME):
        spoil = SPOIL.format(path=str(table), begin=begin, end=begin + A_TIME, all=everything)
        done = shop.run(SMALL + spoil, how="later")
        assert (done.status, done.err) == (0, ""), begin
        read, some = json.loads(done.out)
        assert read == size
        counts += some
    assert len(counts) == size
    assert counts.count(0) > 100, "the foot is believed in one piece or not at all"
    assert any(0 < count < everything for count in counts), "the rest of such a table is of use"
    return counts


def test_every_byte_of_a_small_table(shop: Shop) -> None:
    assert shop.run(SMALL + "start(); everything()", how="later") == Ended(0, "", "")
    (table,) = shop.tables()
    counts = counts_of(shop, table, FILES + DIRECTORIES)
    # Noticed, but for the beginning, days, and the plan, which nobody reads where files are near.
    unnoticed = [at for at, count in enumerate(counts) if count == FILES + DIRECTORIES]
    assert len(unnoticed) < len(counts) / 3, unnoticed


def test_every_byte_of_a_small_seal(tmp_path: Path) -> None:
    shop = Sealed(tmp_path, FEW)
    shop.seal()
    counts = counts_of(shop, shop.table, FILES)
    unnoticed = [at for at, count in enumerate(counts) if count == FILES]
    # A directory that is not believed is listed, and its files are compared.
    assert len(unnoticed) < len(counts) / 3, unnoticed
