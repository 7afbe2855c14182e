"""Draws README's picture from what benches/figures.py has measured for it.

Measures nothing. `make figures` draws docs/figures.svg from docs/figures.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from _picture import ALONE, FLOOR, NAME, TABLE

Report = Mapping[str, Any]
"""What figures.py --json has written."""

COLOURS = {ALONE: "#1f77b4", TABLE: "#2ca02c", FLOOR: "#bbbbbb"}
LEGEND = {ALONE: "fastpath", TABLE: "fastpath with a table", FLOOR: "code in memory, execute only"}


def scenarios(report: Report) -> dict[str, dict[str, tuple[float, float, float]]]:
    """For each scenario, and each way in it: stock's ms, its own, and its ratio to stock."""
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for line in report["figures"]:
        if line["figure"] == NAME:
            scenario, _, way = line["what"].rpartition(": ")
            values = (line["stock"], line["ours"], line["measured"])
            found.setdefault(scenario, {})[way] = values
    return found


def headings(report: Report) -> list[list[str]]:
    """What is written at the left of each scenario, line by line."""
    return [
        [*name.split("; "), f"stock {_ms(next(iter(ways.values()))[0])}"]
        for name, ways in scenarios(report).items()
    ]


def label(values: tuple[float, float, float]) -> str:
    """What is written beside a bar."""
    return f"{values[2]:.2f} × ({_ms(values[1])})"  # noqa: RUF001


def caption(report: Report) -> str:
    """Where and when."""
    of = report["machine"]
    where = f"CPython {of['python']}, {of['system']}, {of['cpus']} CPUs, {of['date']}"
    return f"import time, to stock's; medians of alternating fresh processes\n{where}"


def _ms(value: float) -> str:
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.1f} ms"


def draw(report: Report, file: Path) -> None:
    """Write the picture to `file`; its suffix says in which format."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    # The same figures give the same file, and its text is text.
    mpl.rcParams.update({"svg.hashsalt": "figures", "svg.fonttype": "none"})
    groups = list(scenarios(report).values())
    figure = Figure(figsize=(9, 1 + 0.85 * len(groups)), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / len(COLOURS)
    for number, (way, colour) in enumerate(COLOURS.items()):
        mine = [(place, ways[way]) for place, ways in enumerate(groups) if way in ways]
        bars = axes.barh(
            [place + (number - 1) * height for place, _ in mine],
            [values[2] for _, values in mine],
            height * 0.92,
            color=colour,
            label=LEGEND[way],
        )
        axes.bar_label(
            bars,
            [label(values) for _, values in mine],
            padding=3,
            fontsize="small",
            # Stock's line must not go through them.
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )
    axes.axvline(1, color="black", linewidth=1, label="stock", zorder=1)
    axes.set_yticks(range(len(groups)), ["\n".join(lines) for lines in headings(report)])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.25 * max(1, *(values[2] for ways in groups for values in ways.values())))
    axes.set_xlabel(caption(report))
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse, draw."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n\n")[0],
        epilog="example: benches/draw.py docs/figures.json docs/figures.svg",
    )
    parser.add_argument("data", type=Path, help="what figures.py --json has written")
    parser.add_argument("picture", type=Path, help="the file to draw (svg, png)")
    options = parser.parse_args(arguments)
    draw(json.loads(options.data.read_text()), options.picture)


if __name__ == "__main__":
    main()
