"""README's picture: it is drawn from the data beside it, and nothing was left out."""

from __future__ import annotations

import html
import json
from pathlib import Path

import draw
from _picture import ALONE, FLOOR, SCENARIOS, START, TABLE

DOCS = Path(__file__).parents[2] / "docs"


def test_the_data_has_all_that_is_promised() -> None:
    kept = draw.scenarios(json.loads((DOCS / "figures.json").read_text()))
    assert list(kept) == SCENARIOS
    for scenario, ways in kept.items():
        assert list(ways) == ([TABLE] if scenario == START else [ALONE, TABLE, FLOOR])


def test_the_picture_is_of_the_data() -> None:
    report = json.loads((DOCS / "figures.json").read_text())
    picture = html.unescape((DOCS / "figures.svg").read_text())
    shown = [line for lines in draw.headings(report) for line in lines]
    shown += [draw.label(way) for ways in draw.scenarios(report).values() for way in ways.values()]
    shown += draw.caption(report).splitlines()
    missing = [text for text in shown if f">{text}<" not in picture]
    assert not missing, "make figures draws it"


def test_readme_shows_it() -> None:
    text = (DOCS.parent / "README.md").read_text()
    assert "](docs/figures.svg)" in text
    assert "`make figures`" in text
