"""The loading cases can fail: each known mistake is noticed by at least one of them.

A mutant that survives means a hole in the cases, and is closed there, not here.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from mutants import Mutant
from mutants_loading import MUTANTS
from oracle import differing
from subjects import STOCK
from test_conformance import open_to_all, seen_by
from test_conformance_loading import CASES


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory for all mutants, so that stock needs to answer each case only once."""
    return open_to_all(tmp_path_factory.mktemp("mutants"))


@pytest.fixture(scope="module")
def stock(place: Path) -> dict[str, list[object]]:
    """What stock saw in each case, the standard library's own imports being over."""
    for name, case in CASES.items():
        seen_by(STOCK, case, place / name / "warm", told=False)
    return {name: seen_by(STOCK, case, place / name, told=False) for name, case in CASES.items()}


def noticed(mutant: Mutant, place: Path, stock: dict[str, list[object]]) -> str | None:
    """The first case in which the mutant differs from stock."""
    subject = mutant.subject()
    for name, case in CASES.items():
        if any(differing(stock[name], seen_by(subject, case, place / name, told=False))):
            return name
    return None


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda m: m.name)
def test_noticed(mutant: Mutant, place: Path, stock: dict[str, list[object]]) -> None:
    assert noticed(mutant, place, stock), f"no case notices: {mutant.name}"
