"""Draws what farm.py measured: launches per second to those of stock, a panel for each ground.

The only file that needs matplotlib (requirements/plot.txt), and imported only when asked for.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from _farm import Row

mpl.use("Agg")
# The same figures give the same file, and its text is text.
mpl.rcParams.update({"svg.hashsalt": "farm", "svg.fonttype": "none"})

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

COLOURS = ("#888888", "#1f77b4", "#2ca02c", "#d62728")


def draw(rows: Sequence[Row], file: Path, title: str) -> None:
    """Write the picture to `file`; its suffix says in which format."""
    grounds = list(dict.fromkeys(row.ground for row in rows))
    figure, panels = plt.subplots(
        len(grounds), 1, squeeze=False, layout="constrained", figsize=(10, 3 * len(grounds))
    )
    for panel, ground in zip(panels[:, 0], grounds, strict=True):
        here = [row for row in rows if row.ground == ground]
        _draw_ground(panel, here)
        panel.set_title(ground, loc="left")
        panel.set_ylabel("to stock")
        panel.spines[["top", "right"]].set_visible(False)
    handles, names = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    figure.suptitle(title)
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
    plt.close(figure)


def _draw_ground(panel: Axes, rows: Sequence[Row]) -> None:
    """A group of bars for each command line, a bar for each way, as high as its ratio to stock.

    Absolute heights would make the bars of whatever takes long too small to be seen.
    """
    lines = list(dict.fromkeys(row.line for row in rows))
    ways = list(dict.fromkeys(row.way for row in rows))
    stock = {row.line: row.per_second for row in rows if row.way == ways[0]}
    width = 0.8 / len(ways)
    for number, way in enumerate(ways):
        mine = [row for row in rows if row.way == way]
        places = [lines.index(row.line) + (number - (len(ways) - 1) / 2) * width for row in mine]
        ratios = [row.per_second / stock[row.line] for row in mine]
        spread = [[part / stock[row.line] for part in spread_of(row)] for row in mine]
        bars = panel.bar(places, ratios, width * 0.95, label=way, color=COLOURS[number % 4])
        panel.errorbar(
            places, ratios, yerr=list(zip(*spread, strict=True)), fmt="none", ecolor="black", lw=0.8
        )
        said = [f"{row.per_second:.3g}/s" for row in mine] if not number else None
        said = said or [f"{ratio:.2f} ×" for ratio in ratios]  # noqa: RUF001
        panel.bar_label(bars, said, fontsize="small", color="white", label_type="center")
    panel.set_xticks(range(len(lines)), lines)


def spread_of(row: Row) -> tuple[float, float]:
    """How far below and above the median the middle half of the rounds reaches."""
    if len(row.rounds) < 2:
        return 0.0, 0.0
    low, _, high = statistics.quantiles(row.rounds, n=4, method="inclusive")
    return max(0.0, row.per_second - low), max(0.0, high - row.per_second)
