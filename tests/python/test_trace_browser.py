"""The page of ``trace --html`` in a real browser: what it draws, asks for, and does when used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Page, browser

from fastpath import _trace_html
from fastpath._trace_imports import Node, Tree
from support import Venv, need

WIDTHS = (1280, 800, 400)
BOXES = "[...document.querySelectorAll('.flame div')]"
# As far as anybody could see them: the boxes of the first graph by name, in percent of its width.
SEEN = (
    f"{BOXES}.filter((box) => !box.hidden && box.closest('.flame') === "
    "document.querySelector('.flame')).map((box) => [box.getAttribute('aria-label')"
    ".split('\\n')[0], parseFloat(box.style.left), parseFloat(box.style.width)])"
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    need("browser")
    with browser(tmp_path_factory.mktemp("profile")) as page:
        yield page
        assert page.console == []


def box(name: str, graph: int = 0) -> str:
    """An expression for the box of a module, in the first graph or the second."""
    found = f"[...document.querySelectorAll('.flame')[{graph}].children]"
    return f"{found}.find((box) => box.getAttribute('aria-label').startsWith('{name}\\n'))"


def seen(page: Page) -> dict[str, list[float]]:
    return {name: [left, width] for name, left, width in page.run(SEEN)}


def node(name: str, cost: float, *children: Node) -> Node:
    parts = {"find": cost / 4, "stat": 0.0, "read": 0.0, "unmarshal": 0.0, "execute": 3 * cost / 4}
    return Node(name, "fastpath", parts, list(children))


def tree(leaf: float) -> Tree:
    """Two packages, ``wide`` of 12 ms and a leaf's, ``many`` of 400 modules and 8 ms."""
    modules = [node(f"many.module{number}", 0.02) for number in range(400)]
    wide = node("wide", 12 - leaf, node("wide.within", 0.0001, node("leaf", leaf)))
    return Tree([wide, node("many", 0.0001, *modules)], [])


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """The page of two trees of 404 modules."""
    file = tmp_path / "made.html"
    trees = {"stock": tree(3), "fastpath": tree(1)}
    file.write_text(_trace_html.page(["app", "<b>&", "@BODY@"], [], trees), encoding="utf-8")
    return file


def test_a_real_page(page: Page, shared_venv: Venv, tmp_path: Path) -> None:
    need("strace")
    file, told = tmp_path / "page & more.html", tmp_path / "told.json"
    command = ("--", shared_venv.python.path, "-c", "import asyncio, json, email.message")
    options = ("--compare", "--html", file, "--json", told)
    traced = shared_venv.fastpath("trace", *options, *command)
    assert traced.returncode == 0, traced.stderr
    imports = json.loads(told.read_text())["imports"]
    page.requests.clear()
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            page.open(file, width, scheme=scheme)
            assert page.requests.pop() == file.as_uri()
            assert page.requests == []
            overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            assert page.run(overflow) == 0
            colours = page.run("getComputedStyle(document.body).backgroundColor")
            assert colours == {"light": "rgb(255, 255, 255)", "dark": "rgb(22, 24, 27)"}[scheme]
            for place, label in enumerate(("stock", "fastpath")):
                _check_boxes(page, place, imports[label])
            ticks = page.run("[...document.querySelectorAll('.axis')].map((a) => a.innerText)")
            assert len(ticks) == 4
            assert all("ms" in tick for tick in ticks)
    assert page.run("document.querySelectorAll('.histogram .bar').length") > 0
    assert page.run("document.querySelectorAll('.timeline rect').length") > 0
    assert page.console == []


def _check_boxes(page: Page, place: int, imports: list[dict[str, Any]]) -> None:
    """Every module has its box, in its row, and those that are wide enough have their name."""
    expected = list(_walk(imports, 1))
    boxes = page.run(
        f"[...document.querySelectorAll('.flame')[{place}].children].map((box) => "
        "[box.ariaLabel.split('\\n')[0], +box.ariaLevel, box.textContent, box.offsetWidth])"
    )
    assert [(name, row) for name, row, _, _ in boxes] == expected
    for name, _, text, width in boxes:
        if width >= 10 * len(name):
            assert text == name
        assert not text or text == name or name.rpartition(".")[2].startswith(text.rstrip("…"))
        # Nothing is cut off but with a sign that says so.
        assert 6 * len(text) <= width


def _walk(modules: list[dict[str, Any]], row: int) -> Iterator[tuple[str, int]]:
    for module in modules:
        yield module["name"], row
        yield from _walk(module["children"], row + 1)


def test_two_trees_have_one_scale(page: Page, made: Path) -> None:
    page.open(made)
    assert page.run("document.title") == "fastpath trace: app '<b>&' @BODY@"
    widths = page.run("[...document.querySelectorAll('.flame')].map((f) => f.clientWidth)")
    assert widths[0] == widths[1]
    assert page.run(f"{BOXES}.length") == 2 * 404
    for graph, leaf in enumerate((3, 1)):
        share = page.run(f"parseFloat(({box('leaf', graph)}).style.width)")
        assert share == pytest.approx(100 * leaf / 20, rel=1e-3)
    axes = page.run("[...document.querySelectorAll('.axis')].map((axis) => axis.innerText)")
    assert axes[0] == axes[1]


def test_a_click_zooms_in_both(page: Page, made: Path) -> None:
    page.open(made)
    whole = seen(page)
    assert whole["wide"] == pytest.approx([0, 60], rel=1e-3)
    page.point(box("leaf"), press=True)
    # Only what it is in stays beside it, cut to its width, and the other tree's is on its scale.
    assert seen(page) == {name: [0, 100] for name in ("wide", "wide.within", "leaf")}
    other = page.run(f"parseFloat(({box('leaf', 1)}).style.width)")
    assert other == pytest.approx(100 / 3, rel=1e-3)
    assert page.run("document.querySelector('.axis').innerText").endswith("2.5 ms")
    page.point(box("leaf"), press=True)
    assert seen(page) == whole
    page.point(box("many"), press=True)
    assert len(seen(page)) == 401
    page.point("document.getElementById('whole')", press=True)
    assert seen(page) == whole


def test_the_keyboard_does_what_the_mouse_does(page: Page, made: Path) -> None:
    page.open(made)
    focused = "document.activeElement.getAttribute('aria-label').split('\\n')[0]"
    whole = seen(page)
    page.run("document.querySelector('.flame [tabindex=\"0\"]').focus()")
    assert page.run(focused) == "wide"
    for key, name in (
        ("ArrowRight", "many"),
        ("ArrowDown", "many.module0"),
        ("ArrowRight", "many.module1"),
        ("ArrowUp", "many"),
        ("Home", "wide"),
        ("ArrowDown", "wide.within"),
        ("ArrowDown", "leaf"),
        ("ArrowDown", "leaf"),
    ):
        page.press(key)
        assert page.run(focused) == name
    page.press("Enter")
    assert set(seen(page)) == {"wide", "wide.within", "leaf"}
    # Each graph can still be reached by Tab, at one of the boxes that are left.
    reached = page.run(f"{BOXES}.filter((box) => box.tabIndex === 0).map((box) => box.hidden)")
    assert reached == [False, False]
    page.press("Escape")
    assert seen(page) == whole


def test_the_costs_are_told(page: Page, made: Path) -> None:
    page.open(made)
    tip = "document.getElementById('tip')"
    assert page.run(f"{tip}.checkVisibility()") is False
    said = (
        "leaf\n3.000 ms with imports, 3.000 ms itself:\nfind 0.750 ms, stat 0.000 ms, "
        "read 0.000 ms, unmarshal 0.000 ms, execute 2.250 ms\nloaded by fastpath"
    )
    for width in WIDTHS:
        page.open(made, width)
        page.point(box("leaf"))
        assert page.run(f"{tip}.innerText") == said
        page.point("document.querySelector('h1')")
        assert page.run(f"{tip}.checkVisibility()") is False
        page.run(f"({box('leaf')}).focus()")
        assert page.run(f"{tip}.innerText") == said
        assert page.run(f"({box('leaf', 1)}).matches('.same')") is True
        for name in ("wide", "many.module399"):
            page.run(f"({box(name)}).focus()")
            at = page.run(f"{tip}.getBoundingClientRect().toJSON()")
            assert at["left"] >= 0
            assert at["right"] <= width


def test_modules_are_found(page: Page, made: Path) -> None:
    page.open(made)
    page.run("document.getElementById('find').focus()")
    page.write("Module39")
    assert page.run("document.getElementById('found').textContent") == (
        "stock: 11 of 404 modules, 0.2 ms themselves; fastpath: 11 of 404 modules, "
        "0.2 ms themselves"
    )
    assert page.run(f"{BOXES}.filter((box) => !box.matches('.dim')).length") == 22


def test_the_page_forbids_the_network_and_other_scripts(page: Page, made: Path) -> None:
    """What would slip into the page, by a mistake in it, neither runs nor asks for anything."""
    intruders = (
        '<img src="http://127.0.0.1:9/image"><link rel="stylesheet" href="http://127.0.0.1:9/css">'
        "<script>console.error('ran')</script><script>throw Error('ran')</script>"
    )
    text = made.read_text(encoding="utf-8")
    made.write_text(text.replace("<main>", f"<main>{intruders}"), encoding="utf-8")
    page.requests.clear()
    page.open(made)
    heard = list(page.console)
    page.console.clear()
    assert len(heard) == 4
    assert all("Content Security Policy" in message for message in heard), heard
    addresses = ["http://127.0.0.1:9/css", "http://127.0.0.1:9/image"]
    assert sorted(page.requests) == sorted([made.as_uri(), *addresses])
    assert sorted(page.refused) == addresses
    # And without the policy all of it would have been heard of.
    policy = text[text.index("<meta http-equiv") : text.index("<meta name=")]
    made.write_text(made.read_text(encoding="utf-8").replace(policy, ""), encoding="utf-8")
    page.refused.clear()
    page.open(made)
    heard = list(page.console)
    page.console.clear()
    assert sum('"ran"' in message or "Error: ran" in message for message in heard) == 2
    assert page.refused == []
