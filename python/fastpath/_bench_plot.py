"""Draws what ``bench`` found out: time per path over the size of the batch.

A field for each kind of question on each mount. Needs matplotlib, which only the extra ``plot``
brings along; writes one file. Used by ``_cli``.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastpath._problem import USAGE, Problem

if TYPE_CHECKING:
    from fastpath._bench import Told

_SUFFIXES = (".svg", ".png")


def check(file: Path) -> None:
    """Raise Problem if nothing could be drawn into this file: better now than after a minute."""
    if file.suffix not in _SUFFIXES:
        raise Problem(f"bench: --plot draws .svg or .png, not {file.name}", USAGE)
    if importlib.util.find_spec("matplotlib") is None:
        raise Problem("bench: --plot needs matplotlib: pip install 'fastpath-import[plot]'")


def draw(told: Told, file: Path) -> None:
    """Draw all mounts into one file, a row each. Raises OSError."""
    mpl: Any = importlib.import_module("matplotlib")  # not there where types are checked
    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "fastpath"  # the same picture for the same numbers
    plt: Any = importlib.import_module("matplotlib.pyplot")

    fields = [
        (mount, state, kind)
        for mount in told["mounts"]
        for state, kind in dict.fromkeys((r["state"], r["kind"]) for r in mount["measured"])
    ]
    columns = 2
    rows = -(-len(fields) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(11, 4.2 * rows), squeeze=False, sharex=True)
    for axis in axes.flat[len(fields) :]:
        axis.set_visible(False)
    for axis, (mount, state, kind) in zip(axes.flat, fields, strict=False):
        own = [r for r in mount["measured"] if (r["state"], r["kind"]) == (state, kind)]
        for label in dict.fromkeys(row["label"] for row in own):
            line = [(row["batch"], row["us"]) for row in own if row["label"] == label]
            style = {"color": "black", "linewidth": 2.5} if label == "serial" else {}
            axis.plot(*zip(*line, strict=True), marker="o", markersize=4, label=label, **style)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_title(f"{mount['mount']} ({mount['type'] or 'unknown'}): {state} {kind}")
        axis.set_xlabel("paths at a time")
        axis.set_ylabel("microseconds per path")
        axis.grid(True, which="major", alpha=0.3)
    axes.flat[0].legend(fontsize="small")
    figure.suptitle(f"{told['system']}, {told['cpus']} processors")
    figure.tight_layout()
    figure.savefig(file)
    plt.close(figure)
