"""The import tree as a flame graph, for the page of ``trace --html``.

Every module is a box of HTML, at its place already; what moves them is the script of the page
(``_trace.html``). Two trees have one scale, so that lengths compare. Used by ``_trace_html``.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from fastpath._text import count
from fastpath._trace_text import NOTHING, hidden, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fastpath._trace_imports import Node, Tree

_ROW = 18  # pixels from one row of boxes to the next
_EXPLAINED = (
    "Measured without strace, in a run of its own. A module's width is its time with what it "
    "imported, which stands below it in the order of the imports; its own part is at the right, "
    "where nothing is below. A click or Enter makes a module fill the width, here and in the other "
    "tree; once more, or Escape, undoes it. The arrow keys lead from one to the next."
)
_OTHER = ", here and in the other tree"
_LOADED = {
    "fastpath": "loaded by fastpath",
    "stock": "loaded by stock importlib",
    "extension": "an extension module",
    "other": "loaded by a loader with a way of its own",
    "namespace": "a namespace package",
    "found": "found, but not run",
}
_CONTROLS = (
    '<div class="controls"><label>Find a module: <input type="search" id="find"></label>'
    '<button type="button" id="whole" disabled>Show all</button>'
    '<output id="found" for="find"></output></div>'
)


def section(trees: Mapping[str, Tree], hues: Mapping[str, float]) -> Iterator[str]:
    """Yield the section's HTML; ``hues`` holds a top-level module's colour, in degrees."""
    yield "<section><h2>Import tree</h2>"
    whole = max(spent(tree) for tree in trees.values())
    if whole:
        explained = _EXPLAINED if len(trees) > 1 else _EXPLAINED.replace(_OTHER, "")
        yield f'<p class="quiet">{explained}</p>{_CONTROLS}'
    for label, tree in trees.items():
        modules = count(sum(1 for _ in walk(tree.roots)), "module", "modules")
        yield f"<h3>{escape(label)}: {spent(tree):,.1f} ms, {modules}</h3>"
        if whole and tree.roots:
            boxes = list(_boxes(tree.roots, 0.0, 0, whole, hues))
            depth = 1 + max(row for row, _ in boxes)
            yield (
                f'<div class="axis" data-ms="{whole:.6f}"></div>'
                f'<div class="flame" role="tree" aria-label="import tree, {escape(label)}" '
                f'data-label="{escape(label)}" style="height:{depth * _ROW}px">'
            )
            yield from (box for _, box in boxes)
            yield "</div>"
        else:
            yield f"<p>{escape(NOTHING)}</p>"
    unseen = dict.fromkeys(text for tree in trees.values() for text in hidden(tree))
    yield from (f'<p class="quiet">{escape(text)}</p>' for text in unseen)
    yield "</section>"


def spent(tree: Tree) -> float:
    """Return the milliseconds of all modules together."""
    return sum(root.inclusive for root in tree.roots)


def walk(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield these modules and all below them."""
    for node in nodes:
        yield node
        yield from walk(node.children)


def _boxes(
    nodes: Sequence[Node], left: float, row: int, whole: float, hues: Mapping[str, float]
) -> Iterator[tuple[int, str]]:
    """Yield the boxes of modules and of what they imported, each with its row."""
    for node in nodes:
        inclusive = node.inclusive
        name = escape(printable(node.name))
        parts = ", ".join(f"{part} {cost:,.3f} ms" for part, cost in node.parts.items())
        label = (
            f"{name}\n{inclusive:,.3f} ms with imports, {node.own:,.3f} ms itself:\n{parts}\n"
            f"{escape(_LOADED.get(node.loaded, node.loaded))}"
        )
        yield (
            row,
            f'<div role="treeitem" aria-level="{row + 1}" aria-label="{label}" '
            f'style="left:{100 * left / whole:.7f}%;width:{100 * inclusive / whole:.7f}%;'
            f'top:{row * _ROW}px;--hue:{hues[top_level(node.name)]:.0f}">{name}</div>',
        )
        yield from _boxes(node.children, left, row + 1, whole, hues)
        left += inclusive


def top_level(name: str) -> str:
    """Return the first part of a module's name."""
    return name.partition(".")[0]
