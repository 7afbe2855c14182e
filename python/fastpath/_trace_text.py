"""What ``trace`` says in a terminal: tables and a histogram, one run or two side by side.

Used by ``_trace``; the page (``_trace_html``, ``_trace_flame``) borrows a few sentences.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastpath._text import count, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastpath._trace_count import Counts, Row
    from fastpath._trace_imports import Node, Tree

HONEST = (
    "counts are exact; times are inflated by strace, which stops the program at every call: "
    "compare them with each other only"
)
NO_TREE = "no import tree: the command is not a Python that has fastpath and names a program"
NOTHING = "nothing imported but what the interpreter had, or the program never ended"
_SHOWN = 15
_WIDTH = 40


def render(runs: Sequence[Counts], notes: Sequence[str] = ()) -> str:
    """Return the whole text about one or two runs of a command, notes near its top."""
    parts = [
        "\n".join([*map(_summary, runs), *difference(runs), *notes, HONEST]),
        _table("by kind", runs, [run.kinds for run in runs]),
        _table("by phase of the start", runs, [run.phases for run in runs]),
        _table("by directory", runs, [run.directories for run in runs]),
        *(_histogram(run, named=len(runs) > 1) for run in runs),
    ]
    return "\n\n".join(parts)


def render_tree(tree: Tree, label: str) -> str:
    """Return the import tree, the costliest branches, as lines; times without strace."""
    roots = tree.roots
    rows: list[list[str]] = []
    _into_rows(sorted(roots, key=lambda node: -node.inclusive), 0, rows)
    total = sum(root.inclusive for root in roots)
    head = f"import tree, {label}, in ms, without strace: {total:.1f} in all"
    if not rows:
        return f"{head}\n{NOTHING}"
    lines = table([["with imports", "self", "module"], *rows[:_SHOWN]], frozenset((0, 1)))
    if len(rows) > _SHOWN:
        lines.append(f"... and {len(rows) - _SHOWN} more")
    return "\n".join([head, *lines, *hidden(tree)])


def hidden(tree: Tree) -> list[str]:
    """Return a sentence about the modules that cannot be in a tree."""
    if not tree.hidden:
        return []
    shown = ", ".join(name for name in tree.hidden if "." not in name and name[0] != "_")
    return [f"not in it, as the measuring itself imports them: {shown}"]


def _into_rows(nodes: Sequence[Node], depth: int, rows: list[list[str]]) -> None:
    for node in nodes:
        name = f"{'  ' * depth}{node.name}"
        rows.append([f"{node.inclusive:.3f}", f"{node.own:.3f}", name])
        _into_rows(sorted(node.children, key=lambda child: -child.inclusive), depth + 1, rows)


def _summary(run: Counts) -> str:
    told = (
        f"fastpath: {run.label}: {count(run.total.calls, 'call', 'calls')} on files, "
        f"{_share(run.total.enoent, run.total.calls)} of them ENOENT, "
        f"{count(run.processes, 'program', 'programs')}, "
        f"{count(run.threads, 'thread', 'threads')}, exit code {run.code}"
    )
    if run.is_python:
        told += f"; fastpath was {'' if run.has_fastpath else 'not '}loaded"
        told += ", and off by FASTPATH=0" if run.has_fastpath and run.is_off else ""
    if run.uring:
        told += f"\n{count(run.uring, 'io_uring batch', 'io_uring batches')}: what was asked in "
        told += "them strace does not see, and is not counted"
    if run.not_understood:
        told += f"\n{count(run.not_understood, 'line', 'lines')} of strace's not understood"
    return told


def difference(runs: Sequence[Counts]) -> list[str]:
    """Return a sentence about two runs' numbers of calls, or nothing to say."""
    if len(runs) != 2 or not runs[0].total.calls:
        return []
    before, after = (run.total.calls for run in runs)
    return [
        f"{runs[1].label} against {runs[0].label}: {after - before:+,} calls "
        f"({100 * (after - before) / before:+.0f} %)"
    ]


def _table(title: str, runs: Sequence[Counts], rows: Sequence[Sequence[Row]]) -> str:
    names = list(dict.fromkeys(row.name for run in rows for row in run))
    if len(runs) > 1 and title != "by phase of the start":
        most = {name: max(_calls(run, name) for run in rows) for name in names}
        names.sort(key=lambda name: -most[name])
    shown = _shown(names, title)
    head = [*(f"{word}" for run in runs for word in _head(run, len(runs))), title]
    lines = [head]
    for name in shown:
        lines.append([*_cells(name, runs, rows), printable(name)])
    lines.append([*(cell for run in runs for cell in _row_cells(run.total, run.total)), "total"])
    text = table(lines, frozenset(range(len(head) - 1)))
    if len(names) > len(shown):
        text.insert(-1, f"... and {len(names) - len(shown)} more, all with --json FILE")
    return "\n".join(text)


def _shown(names: list[str], title: str) -> list[str]:
    if title == "by kind":
        return names
    imports = [name for name in names if name.startswith("import ")][:_SHOWN]
    if imports:
        return [name for name in names if not name.startswith("import ") or name in imports]
    return names[:_SHOWN]


def _head(run: Counts, of: int) -> list[str]:
    return [run.label if of > 1 else "calls", "ENOENT", "ms", "of time"]


def _cells(name: str, runs: Sequence[Counts], rows: Sequence[Sequence[Row]]) -> list[str]:
    cells: list[str] = []
    for run, own in zip(runs, rows, strict=True):
        row = next((row for row in own if row.name == name), None)
        cells += ["0", "", "", ""] if row is None else _row_cells(row, run.total)
    return cells


def _row_cells(row: Row, total: Row) -> list[str]:
    return [
        f"{row.calls:,}",
        _share(row.enoent, row.calls),
        f"{row.seconds * 1e3:.2f}",
        _share(row.seconds, total.seconds),
    ]


def _calls(rows: Sequence[Row], name: str) -> int:
    return next((row.calls for row in rows if row.name == name), 0)


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def bucket(place: int) -> str:
    """Return the name of one bucket of the histogram: its upper bound."""
    us = 1 << place
    if us >= 1_000_000:
        return f"< {us / 1e6:.0f} s"
    return f"< {us / 1e3:.0f} ms" if us >= 1000 else f"< {us} us"


def printable(text: str) -> str:
    """Return a path so that it stays on its line and gives the terminal no orders."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _histogram(run: Counts, *, named: bool) -> str:
    title = "how long calls took, under strace" + (f", {run.label}" if named else "")
    most = max(run.histogram, default=0)
    if not most:
        return f"{title}: no calls"
    first = next(place for place, number in enumerate(run.histogram) if number)
    rows = [
        [bucket(place), f"{number:,}", "#" * -(-number * _WIDTH // most)]
        for place, number in enumerate(run.histogram)
        if place >= first
    ]
    return "\n".join([title, *table(rows, frozenset((0, 1)))])
