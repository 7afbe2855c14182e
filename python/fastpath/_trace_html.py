"""The page of ``trace --html``: import tree, timeline, histogram, tables, in one file.

Fills the template ``_trace.html``. No network, no fonts, no library, and a policy in the page
that forbids all of it but its own script; everything from the trace is escaped. Used by
``_trace``.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import fastpath
from fastpath import _trace_flame
from fastpath._text import count
from fastpath._trace_text import HONEST, NO_TREE, bucket, difference, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from fastpath._trace_count import Counts, Row
    from fastpath._trace_imports import Node, Tree

    _Rows = Iterable[tuple[str, Sequence[str]]]

_ROWS = 40
_LEGEND = 12
_HEIGHT = 100
_GOLDEN = 137.508  # degrees: neighbours in rank get colours far apart


def page(
    words: Sequence[str],
    runs: Sequence[Counts],
    trees: Mapping[str, Tree],
    notes: Sequence[str] = (),
) -> str:
    """Return the whole page about a command."""
    template = Path(__file__).with_name("_trace.html").read_text(encoding="utf-8")
    command = escape(printable(shlex.join(words)))
    hues = _hues(runs, trees)
    parts = ["<header><h1>fastpath trace</h1>", f"<p><code>{command}</code></p>"]
    parts += [*_summary(runs, trees, notes), "</header><main>"]
    parts += _trace_flame.section(trees, hues) if trees else [f"<p>{escape(NO_TREE)}</p>"]
    if runs:
        parts += [*_timelines(runs, hues), *_histogram(runs)]
    if any(tree.roots for tree in trees.values()):
        parts += _modules(trees)
    for title in ("kinds", "phases", "directories") if runs else ():
        parts += _calls(title, [(run, getattr(run, title)) for run in runs])
    version = escape(fastpath.__version__)
    parts.append(f'</main><footer><p class="quiet">Written by fastpath {version}.</p></footer>')
    # The command and the trace last: what looks like a mark in them stays as it is.
    policy, title = _policy(template), f"fastpath trace: {command}"
    template = template.replace("@POLICY@", policy).replace("@TITLE@", title, 1)
    before, _, after = template.rpartition("@BODY@")
    return before + "\n".join(parts) + after


def _policy(template: str) -> str:
    """Return the Content-Security-Policy: nothing but the styles here and this very script."""
    script = template.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _hues(runs: Sequence[Counts], trees: Mapping[str, Tree]) -> dict[str, float]:
    """Return a colour for each phase and top-level module, the same in every chart."""
    most: dict[str, float] = {}
    for run in runs:
        for row in run.phases:
            name = _phase(row.name)
            most[name] = max(most.get(name, 0), row.calls)
    names = sorted(most, key=lambda name: -most[name])
    for tree in trees.values():
        names += (_trace_flame.top_level(node.name) for node in _trace_flame.walk(tree.roots))
    return {name: rank * _GOLDEN % 360 for rank, name in enumerate(dict.fromkeys(names))}


def _phase(name: str) -> str:
    return name.removeprefix("import ")


def _summary(
    runs: Sequence[Counts], trees: Mapping[str, Tree], notes: Sequence[str]
) -> Iterator[str]:
    labels = [run.label for run in runs] or list(trees)
    columns: dict[str, list[str]] = {}
    if trees:
        told = [trees[label] for label in labels]
        columns |= {
            "modules": [f"{sum(1 for _ in _trace_flame.walk(tree.roots)):,}" for tree in told],
            "importing, without strace": [f"{_trace_flame.spent(tree):,.1f} ms" for tree in told],
        }
    if runs:
        columns |= {
            "calls on files": [f"{run.total.calls:,}" for run in runs],
            "ENOENT": [f"{run.total.enoent:,}" for run in runs],
            "under strace": [f"{run.wall * 1e3:,.0f} ms" for run in runs],
            "programs": [f"{run.processes:,}" for run in runs],
            "threads": [f"{run.threads:,}" for run in runs],
            "io_uring batches": [f"{run.uring:,}" for run in runs],
            "exit code": [str(run.code) for run in runs],
            "fastpath": [_presence(run) for run in runs],
        }
    yield '<dl class="totals">'
    for title, values in columns.items():
        yield f"<div><dt>{title}</dt>"
        for label, value in zip(labels, values, strict=True):
            named = f'<span class="quiet">{escape(label)}</span> ' if len(labels) > 1 else ""
            yield f"<dd>{named}{value}</dd>"
        yield "</div>"
    yield "</dl>"
    said = [*difference(runs), *notes, *([HONEST] if runs else [])]
    if any(run.uring for run in runs):
        said.append("what was asked in io_uring batches strace does not see, and is not counted")
    lines = sum(run.not_understood for run in runs)
    if lines:
        said.append(f"{count(lines, 'line', 'lines')} of strace's not understood")
    if said:
        yield from ("<ul>", *(f"<li>{_sentence(text)}</li>" for text in said), "</ul>")


def _presence(run: Counts) -> str:
    if not run.has_fastpath:
        return "not loaded"
    return "off" if run.is_off else "loaded"


def _sentence(text: str) -> str:
    return re.sub("`([^`]*)`", r"<code>\1</code>", escape(text))


def _timelines(runs: Sequence[Counts], hues: Mapping[str, float]) -> Iterator[str]:
    yield '<h2>Timeline, under strace</h2><p class="quiet">Calls in each piece of the run, coloured'
    yield " by the phase that most of them belong to; at their foot those that found nothing.</p>"
    phases = {row.name: row.calls for run in runs for row in run.phases}
    yield '<p class="legend"><span><i class="enoent"></i>ENOENT</span>'
    for name in sorted(phases, key=lambda name: -phases[name])[:_LEGEND]:
        hue = f"--hue:{hues[_phase(name)]:.0f}"
        yield f'<span><i class="hue" style="{hue}"></i>{escape(printable(name))}</span>'
    rest = len(phases) - _LEGEND
    yield f'<span class="quiet">and {rest} with fewer calls</span></p>' if rest > 0 else "</p>"
    wall = max(run.wall for run in runs) * 1e3
    most = max((_rate(run, band.calls) for run in runs for band in run.bands), default=0)
    for run in runs:
        yield f"<h3>{escape(run.label)}: {run.wall * 1e3:,.0f} ms; at most "
        yield f"{max((_rate(run, band.calls) for band in run.bands), default=0):,.0f} calls/ms</h3>"
        yield _timeline(run, wall, most, hues)
        yield f'<div class="axis" data-ms="{wall:.6f}"></div>'


def _rate(run: Counts, calls: int) -> float:
    """Return calls in a piece of the run as calls per millisecond."""
    return calls * len(run.bands) / (run.wall * 1e3) if run.wall else 0.0


def _timeline(run: Counts, wall: float, most: float, hues: Mapping[str, float]) -> str:
    """Draw a run on the scale of the longest one, in ms, and of the busiest piece of any."""
    bars = []
    step = run.wall * 1e3 / max(1, len(run.bands))
    for place, band in enumerate(run.bands):
        if not band.calls:
            continue
        title = (
            f"{band.calls:,} calls, {band.enoent:,} ENOENT, from {place * step:,.1f} to "
            f"{(place + 1) * step:,.1f} ms, mostly {printable(band.phase)}"
        )
        hue = f'class="hue" style="--hue:{hues[_phase(band.phase)]:.0f}"'
        bars.append(f"<g><title>{escape(title)}</title>")
        for number, colour in ((band.calls, hue), (band.enoent, 'class="enoent"')):
            height = _HEIGHT * _rate(run, number) / most
            bars.append(
                f'<rect x="{place * step:.4f}" width="{step:.4f}" '
                f'y="{_HEIGHT - height:.1f}" height="{height:.1f}" {colour}/>'
            )
        bars.append("</g>")
    return (
        f'<svg class="timeline" viewBox="0 0 {wall:.4f} {_HEIGHT}" preserveAspectRatio="none" '
        f'role="img" aria-label="calls over time, {escape(run.label)}; the table by phase has '
        f'their numbers">{"".join(bars)}</svg>'
    )


def _histogram(runs: Sequence[Counts]) -> Iterator[str]:
    yield "<h2>How long calls took, under strace</h2>"
    most = max(max(run.histogram, default=0) for run in runs)
    places = [place for run in runs for place, number in enumerate(run.histogram) if number]
    heads = [f"{escape(run.label)}: calls" for run in runs] if len(runs) > 1 else ["calls"]
    head = "".join(f'<th scope="col" colspan="2">{text}' for text in heads)
    lines = [f'<table class="histogram"><thead><tr><th scope="col">time{head}</thead><tbody>']
    for place in range(min(places, default=0), max(places, default=-1) + 1):
        lines.append(f'<tr><th scope="row">{escape(bucket(place).replace("us", "µs"))}')
        for run in runs:
            number = run.histogram[place] if place < len(run.histogram) else 0
            width = f"max({100 * number / most:.2f}%, {min(number, 1)}px)"
            lines.append(f'<td>{number:,}<td class="bar"><div style="width:{width}"></div>')
    yield "".join([*lines, "</tbody></table>"])


def _calls(title: str, told: Sequence[tuple[Counts, Sequence[Row]]]) -> Iterator[str]:
    one = {"kinds": "kind", "phases": "phase", "directories": "directory"}[title]
    yield f"<h2>Calls by {one}</h2>"
    by_name = [{row.name: row for row in rows} for _, rows in told]
    names = list(dict.fromkeys(name for rows in by_name for name in rows))
    if title != "phases":  # which are in the order of a start
        names.sort(key=lambda name: -max(rows[name].calls for rows in by_name if name in rows))
    heads = [(run.label, ["calls", "ENOENT", "ms", "% of ms"]) for run, _ in told]

    def cells(name: str) -> list[str]:
        found = [(run, rows.get(name)) for (run, _), rows in zip(told, by_name, strict=True)]
        return [cell for run, row in found for cell in _row(row, run.total)]

    yield _table(
        one,
        heads,
        ((printable(name), cells(name)) for name in names[:_ROWS]),
        [cell for run, _ in told for cell in _row(run.total, run.total)],
    )
    yield from _more(len(names))


def _row(row: Row | None, total: Row) -> tuple[str, ...]:
    if row is None:
        return ("0", "", "", "")
    share = 100 * row.seconds / total.seconds if total.seconds else 0
    return (f"{row.calls:,}", f"{row.enoent:,}", f"{row.seconds * 1e3:,.2f}", f"{share:.0f}")


def _modules(trees: Mapping[str, Tree]) -> Iterator[str]:
    yield "<h2>The slowest modules by their own time, in ms</h2>"
    by_name = [{node.name: node for node in _trace_flame.walk(t.roots)} for t in trees.values()]
    names = list(dict.fromkeys(name for nodes in by_name for name in nodes))
    names.sort(key=lambda name: -max(nodes[name].own for nodes in by_name if name in nodes))
    parts = [next((list(node.parts) for node in nodes.values()), []) for nodes in by_name]
    heads = [
        (label, ["self", *own, "with imports"]) for label, own in zip(trees, parts, strict=True)
    ]

    def cells(name: str) -> list[str]:
        both = zip(by_name, heads, strict=True)
        return [cell for nodes, (_, head) in both for cell in _costs(nodes.get(name), len(head))]

    yield _table("module", heads, ((printable(name), cells(name)) for name in names[:_ROWS]))
    yield from _more(len(names))


def _costs(node: Node | None, columns: int) -> list[str]:
    if node is None:
        return [""] * columns
    return [f"{cost:,.3f}" for cost in (node.own, *node.parts.values(), node.inclusive)]


def _more(number: int) -> Iterator[str]:
    if number > _ROWS:
        yield f'<p class="quiet">and {number - _ROWS:,} more, all with --json FILE</p>'


def _table(
    title: str,
    heads: Sequence[tuple[str, Sequence[str]]],
    rows: _Rows,
    total: Sequence[str] = (),
) -> str:
    """Lay out rows of a name and cells, under columns that are grouped by run."""
    sizes = [len(columns) for _, columns in heads]
    starts = {sum(sizes[:group]) for group in range(len(sizes))} if len(sizes) > 1 else set()

    first = ' class="first"'

    def line(tag: str, cells: Iterable[str]) -> str:
        return "".join(
            f"<{tag}{first if place in starts else ''}>{cell}" for place, cell in enumerate(cells)
        )

    lines = [f'<div class="wide"><table><thead><tr><th scope="col">{title}']
    if starts:
        lines += (
            f'<th scope="colgroup" class="first" colspan="{size}">{escape(label)}'
            for size, (label, _) in zip(sizes, heads, strict=True)
        )
        lines.append("<tr><td>")
    lines.append(line('th scope="col"', (column for _, columns in heads for column in columns)))
    lines.append("</thead><tbody>")
    lines += (f'<tr><th scope="row">{_breaking(name)}{line("td", cells)}' for name, cells in rows)
    if total:
        lines.append(f'<tr class="total"><th scope="row">total{line("td", total)}')
    lines.append("</tbody></table></div>")
    return "\n".join(lines)


def _breaking(name: str) -> str:
    """Return a name, escaped, that may go on in the next line between its parts."""
    return re.sub("[/.]", r"\g<0><wbr>", escape(name))
