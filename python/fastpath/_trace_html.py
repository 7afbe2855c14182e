"""The page of ``trace --html``: histogram, timeline, flame graph, tables, in one file.

No network, no fonts, no script but the few lines that let a frame of the flame graph fill the
width; everything from the trace is escaped. Used by ``_trace``.
"""

from __future__ import annotations

import colorsys
import shlex
import zlib
from html import escape
from typing import TYPE_CHECKING

from fastpath._text import count
from fastpath._trace_text import HONEST, bucket, hidden, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from fastpath._trace_count import Counts, Row
    from fastpath._trace_imports import Node, Tree

_ROWS = 40
_HEIGHT = 18
_WIDTH = 1000
_BAND = 80
_SMALLEST = 0.0002  # a frame's share of the width below which nobody could see it
_STYLE = """
body{font:14px system-ui,sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#222}
h2{margin-top:2em}table{border-collapse:collapse}td,th{padding:1px 10px;text-align:right}
td:last-child,th:last-child{text-align:left;font-family:monospace}
tr:nth-child(even){background:#f4f4f4}
.runs{display:flex;flex-wrap:wrap;gap:2em}svg{display:block;width:100%}svg text{font-size:11px}
.flame{position:relative;overflow:hidden}
.flame div{position:absolute;height:17px;overflow:hidden;white-space:nowrap;cursor:pointer;
font:11px/17px monospace;border-right:1px solid #fff;box-sizing:border-box;text-indent:3px}
"""
# A click on a frame makes it as wide as the page, and those on and under it fit.
_SCRIPT = """
document.querySelectorAll('.flame').forEach(function (flame) {
  flame.addEventListener('click', function (event) {
    var at = event.target.dataset, x = 0, width = 1;
    if (at.x !== undefined) { x = +at.x; width = +at.w || 1; }
    flame.querySelectorAll('div').forEach(function (frame) {
      frame.style.left = 100 * (frame.dataset.x - x) / width + '%';
      frame.style.width = 100 * frame.dataset.w / width + '%';
    });
  });
});
"""


def page(
    words: Sequence[str],
    runs: Sequence[Counts],
    trees: Mapping[str, Tree],
    notes: Sequence[str] = (),
) -> str:
    """Return the whole page about a command."""
    command = escape(printable(shlex.join(words)))
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f"<title>fastpath trace: {command}</title><style>{_STYLE}</style></head><body>",
        f"<h1>fastpath trace</h1><p><code>{command}</code></p>",
    ]
    if runs:
        parts += _traced(runs, notes)
    for label, tree in trees.items():
        parts += _flame(label, tree)
    parts.append(f"<script>{_SCRIPT}</script></body></html>\n")
    return "\n".join(parts)


def _traced(runs: Sequence[Counts], notes: Sequence[str]) -> Iterator[str]:
    for note in (HONEST, *notes):
        yield f"<p>{escape(note[0].upper() + note[1:])}.</p>"
    for run in runs:
        yield (
            f"<p><b>{escape(run.label)}</b>: {run.total.calls:,} calls on files, "
            f"{run.total.enoent:,} of them ENOENT; {count(run.processes, 'program', 'programs')}, "
            f"{count(run.threads, 'thread', 'threads')}; exit code {run.code}.</p>"
        )
        if run.uring:
            yield (
                f"<p>{run.uring:,} io_uring batches: what was asked in them strace does not see, "
                "and is not counted.</p>"
            )
    yield "<h2>How long calls took, under strace</h2>"
    most = max(max(run.histogram, default=0) for run in runs)
    for run in runs:
        yield f"<p>{escape(run.label)}</p>{_histogram(run, most)}"
    yield "<h2>Timeline</h2><p>Calls that began in each piece of the run; ENOENT is dark."
    yield from (
        f' <span style="background:{_colour(name)}">&nbsp;{escape(printable(name))}&nbsp;</span>'
        for name in dict.fromkeys(band.phase for run in runs for band in run.bands)
        if name
    )
    yield "</p>"
    for run in runs:
        yield f"<p>{escape(run.label)}, {run.wall * 1e3:.0f} ms under strace</p>{_timeline(run)}"
    for title in ("kinds", "phases", "directories"):
        yield f"<h2>By {title[:-3] + 'y' if title.endswith('ies') else title[:-1]}</h2>"
        yield '<div class="runs">'
        for run in runs:
            yield f"<div><p>{escape(run.label)}</p>{_table(getattr(run, title), run.total)}</div>"
        yield "</div>"


def _histogram(run: Counts, most: int) -> str:
    bars = []
    for place, number in enumerate(run.histogram):
        top = place * _HEIGHT
        width = (_WIDTH - 200) * number / most if most else 0
        bars.append(
            f'<text x="80" y="{top + 13}" text-anchor="end">{escape(bucket(place))}</text>'
            f'<rect x="90" y="{top + 2}" width="{width:.1f}" height="14" fill="#4878a8"/>'
            f'<text x="{width + 95:.1f}" y="{top + 13}">{number:,}</text>'
        )
    return _svg(len(run.histogram) * _HEIGHT, "histogram of call durations", "".join(bars))


def _timeline(run: Counts) -> str:
    most = max((band.calls for band in run.bands), default=0)
    width = _WIDTH / max(1, len(run.bands))
    bars = []
    for place, band in enumerate(run.bands):
        if not band.calls:
            continue
        at = f'x="{place * width:.2f}" width="{width:.2f}"'
        title = f"{band.calls} calls, {band.enoent} ENOENT, mostly {band.phase}"
        heights = (_BAND * band.calls / most, _BAND * band.enoent / most)
        bars.append(
            f"<g><title>{escape(title)}</title>"
            f'<rect {at} y="{_BAND - heights[0]:.1f}" height="{heights[0]:.1f}" '
            f'fill="{_colour(band.phase)}"/>'
            f'<rect {at} y="{_BAND - heights[1]:.1f}" height="{heights[1]:.1f}" '
            'fill="#00000080"/></g>'
        )
    return _svg(_BAND, "timeline of calls", "".join(bars))


def _svg(height: int, label: str, inside: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{label}">{inside}</svg>'


def _table(rows: Sequence[Row], total: Row) -> str:
    lines = ["<table><tr><th>calls<th>ENOENT<th>ms<th>of time<th></tr>"]
    for row in [*rows[:_ROWS], total]:
        share = 100 * row.seconds / total.seconds if total.seconds else 0
        lines.append(
            f"<tr><td>{row.calls:,}<td>{row.enoent:,}<td>{row.seconds * 1e3:.2f}"
            f"<td>{share:.0f} %<td>{escape(printable(row.name))}</tr>"
        )
    lines.append("</table>")
    if len(rows) > _ROWS:
        lines.append(f"<p>and {len(rows) - _ROWS} more, all with --json FILE</p>")
    return "\n".join(lines)


def _flame(label: str, tree: Tree) -> Iterator[str]:
    roots = tree.roots
    whole = sum(root.inclusive for root in roots)
    yield f"<h2>Import tree, {escape(label)}: {whole:.1f} ms</h2>"
    yield (
        "<p>Measured in a run of its own, without strace. As wide as a module took, with what it "
        "imported below it; its own part is at the right, where nothing is below. A click makes "
        "a frame fill the width, one between the frames undoes it.</p>"
    )
    yield from (f"<p>{escape(printable(sentence))}</p>" for sentence in hidden(tree))
    frames = list(_frames(roots, 0.0, 0, whole))
    depth = 1 + max((row for row, _ in frames), default=0)
    yield f'<div class="flame" style="height:{depth * _HEIGHT + _HEIGHT}px">'
    yield from (frame for _, frame in frames)
    yield "</div>"
    yield f"<p>The {_ROWS} slowest modules by their own time, in ms:</p>"
    yield _modules(roots)


def _modules(roots: Sequence[Node]) -> str:
    everyone = sorted(_walk(roots), key=lambda node: -node.own)[:_ROWS]
    parts = list(everyone[0].parts) if everyone else []
    head = "".join(f"<th>{title}" for title in ("with imports", "self", *parts, ""))
    lines = [f"<table><tr>{head}</tr>"]
    for node in everyone:
        costs = (node.inclusive, node.own, *node.parts.values())
        cells = "".join(f"<td>{cost:.3f}" for cost in costs)
        lines.append(f"<tr>{cells}<td>{escape(printable(node.name))}</tr>")
    lines.append("</table>")
    return "\n".join(lines)


def _walk(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _walk(node.children)


def _frames(
    nodes: Sequence[Node], left: float, row: int, whole: float
) -> Iterator[tuple[int, str]]:
    """Yield the frames of nodes and of what they imported, each with its row."""
    for node in nodes:
        width = node.inclusive / whole if whole else 0
        if width < _SMALLEST:
            continue
        parts = ", ".join(f"{part} {cost:.3f}" for part, cost in node.parts.items())
        title = (
            f"{node.name}: {node.inclusive:.3f} ms with imports, {node.own:.3f} ms itself "
            f"({parts}), {node.loaded}"
        )
        yield (
            row,
            f'<div data-x="{left:.6f}" data-w="{width:.6f}" title="{escape(printable(title))}" '
            f'style="left:{left * 100:.4f}%;width:{width * 100:.4f}%;top:{row * _HEIGHT}px;'
            f'background:{_colour(node.name)}">{escape(printable(node.name))}</div>',
        )
        yield from _frames(node.children, left, row + 1, whole)
        left += width


def _colour(name: str) -> str:
    """Return a light colour that is the same for a name in every page."""
    hue = (
        zlib.crc32(name.partition(".")[0].removeprefix("import ").encode("utf-8", "replace"))
        % 360
        / 360
    )
    red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(hue, 0.75, 0.6))
    return f"#{red:02x}{green:02x}{blue:02x}"
