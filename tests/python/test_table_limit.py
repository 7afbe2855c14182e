"""FASTPATH_CACHE_LIMIT: the table is never larger, and has what was used last."""

from __future__ import annotations

import os
import py_compile
from collections.abc import Iterable
from pathlib import Path

import pytest
from tables import Ended, Shop, settle

pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")

LIMIT = 1 << 20
LARGE = 20
"""Packages, each of a tenth of what a table may have."""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    for n in range(LARGE):
        home = shop.tree / f"large{n}"
        home.mkdir()
        (home / "__init__.py").write_text(f"VALUE = {str(n) * (LIMIT // 10 // len(str(n)))!r}\n")
        py_compile.compile(str(home / "__init__.py"), doraise=True)
    settle()
    return shop


def _import(shop: Shop, numbers: Iterable[int], limit: str = "1") -> int:
    """Import these; how many of them came from the table."""
    program = (
        f"for n in {list(numbers)}:\n"
        "    must(set(importlib.import_module(f'large{n}').VALUE) == set(str(n)), n)\n"
        "print(fastpath.stats()['table_files'])"
    )
    done = shop.run(program, env={"FASTPATH_CACHE_LIMIT": limit})
    assert (done.status, done.err) == (0, "")
    return int(done.out)


def _size(shop: Shop) -> int:
    (table,) = shop.tables()
    return table.stat().st_size


def test_the_file_is_never_larger(shop: Shop) -> None:
    for numbers in (range(7), range(LARGE), range(5, 15), range(LARGE - 1, 0, -1), [3], [19]):
        _import(shop, numbers)
        assert LIMIT // 2 < _size(shop) <= LIMIT


def test_what_was_used_goes_last(shop: Shop) -> None:
    assert _import(shop, range(6)) == 0
    assert _import(shop, range(6, 12)) == 0
    assert _import(shop, range(6, 12)) == 6, "what was used last is all there"
    assert 0 < _import(shop, range(6)) < 6, "of the rest there is what fits"
    assert _import(shop, range(6)) == 6


def test_a_program_that_is_too_large_is_not_written_again_and_again(shop: Shop) -> None:
    """It has what fits, the same each time."""
    _import(shop, range(LARGE))
    (table,) = shop.tables()
    before = (table.stat().st_ino, table.read_bytes())
    known = _import(shop, range(LARGE))
    assert 5 < known < LARGE
    assert _import(shop, range(LARGE)) == known
    assert (table.stat().st_ino, table.read_bytes()) == before


@pytest.mark.parametrize("limit", ["", "4096", "0", "4097", "-1", "many", "1e3", " 1"])
def test_limits_that_are_none_are_the_usual_one(limit: str, shop: Shop) -> None:
    _import(shop, range(LARGE), limit)
    assert _import(shop, range(LARGE), limit) == LARGE


def test_a_table_that_was_larger_shrinks(shop: Shop) -> None:
    _import(shop, range(LARGE), "")
    assert _size(shop) > LIMIT
    assert _import(shop, range(LARGE)) == LARGE, "it is read all the same"
    (shop.tree / "new.py").write_text("")
    for _ in range(2):
        settle()
        done = shop.run("import new", env={"FASTPATH_CACHE_LIMIT": "1"})
        assert done == Ended(0, "", "")
    assert _size(shop) <= LIMIT
    assert 5 < _import(shop, range(LARGE)) < LARGE
