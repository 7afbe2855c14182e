"""Tells what measure.py has measured, in tables and as a picture: shares of import time.

Computes from the raw results alone; measures nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from _experiment import Raw, markdown

LIBRARY = "stdlib"
"""What the standard library is called among the programs."""
SHARES = {
    "find": ["find"],
    "read": ["stat", "read", "check"],
    "importlib": ["importlib"],
    "unmarshal": ["unmarshal"],
    "collector": ["collect"],
    "native": ["native"],
    "execute": ["execute"],
}
"""What is shown, of which parts of instrument.py."""

FREE = {
    "finding": ["find"],
    "finding and reading": ["find", "read"],
    "the same and the rest of importlib": ["find", "read", "importlib"],
    "the same and unmarshalling": ["find", "read", "importlib", "unmarshal"],
    "unmarshalling": ["unmarshal"],
    "the collector": ["collector"],
    "executing": ["execute"],
}
"""What could cost nothing, by the shares that would be gone."""


def times(parts: Mapping[str, list[float]]) -> dict[str, float]:
    """Milliseconds of what is shown: medians of each part's runs, added up."""
    medians = {part: statistics.median(runs) for part, runs in parts.items()}
    return {name: sum(medians[part] for part in of) for name, of in SHARES.items()}


def shares(parts: Mapping[str, list[float]]) -> dict[str, float]:
    """Fractions of the whole, which the parts are added up to."""
    spent = times(parts)
    whole = sum(spent.values())
    return {name: took / whole for name, took in spent.items()}


def tables(raw: Raw) -> str:
    """Ranges over the programs first, then every program, then counts."""
    kinds = [kind for kind in ("hot", "cold") if _entries(raw, kind)]
    parts = [
        _what(raw),
        "Shares of import time in %, lowest to highest of the programs: of the CPU time when hot, "
        "of the wall time when cold.",
        *(_ranges_table(raw, kind) for kind in kinds),
        "What would be left of the import time (1.00) if something took no time at all:",
        *(_free_table(raw, kind) for kind in kinds),
        f"Each program, {' / '.join(kinds)}, in % of the import time in the last column:",
        _programs_table(raw, kinds),
        f"What *read* is made of, in the standard library, in µs per module ({' / '.join(kinds)}):",
        _reading_table(raw, kinds),
        "Counts; the collector's runs are those without instruments, by generation:",
        _counts_table(raw),
        _overhead(raw),
        "The start of an interpreter that runs `pass`, by `-X importtime`, as the article has it:",
        _starts_table(raw),
    ]
    if "fastpath" in raw:
        beside = raw["fastpath"]["version"]
        parts += [
            f"Stock, then fastpath, in CPython {beside}, hot: each part in % of stock's CPU time. "
            "*load* is *read* and *unmarshal*, which fastpath does in one. Installing is left out.",
            _fastpath_table(raw),
        ]
    return "\n\n".join(parts)


def _what(raw: Raw) -> str:
    """Which CPythons and packages."""
    profiled = [version for version, is_so in raw["optimized"].items() if is_so]
    how = f"with --enable-optimizations: {', '.join(profiled) or 'none'}"
    packages = ", ".join(raw["packages"]).replace("==", " ")
    return f"CPython {', '.join(raw['versions'].values())} (built {how}). Packages: {packages}."


def _entries(raw: Raw, kind: str) -> dict[tuple[str, str], Raw]:
    """The accounts of one kind, by version and program."""
    return {
        (version, program): entry[kind]
        for version, programs in raw["imports"].items()
        for program, entry in programs.items()
        if kind in entry
    }


def in_percent(share: float) -> str:
    """A share as it is shown."""
    return f"{100 * share:.0f}"


def left_over(share: float) -> str:
    """What is left without that share."""
    return f"{1 - share:.2f}"


def _over_programs(
    raw: Raw, kind: str, names: Sequence[str], shown: Callable[[float], str]
) -> list[str]:
    """What these shares come to, lowest to highest of the programs, for each version."""
    cells = []
    for version in raw["versions"]:
        of = [shares(parts) for (v, _), parts in _entries(raw, kind).items() if v == version]
        sums = [sum(one[name] for name in names) for one in of]
        low, high = sorted((shown(min(sums)), shown(max(sums))), key=float)
        cells.append(low if low == high else f"{low} to {high}")
    return cells


def _ranges_table(raw: Raw, kind: str) -> str:
    rows = [[name, *_over_programs(raw, kind, [name], in_percent)] for name in SHARES]
    return markdown([f"{kind}, %", *raw["versions"]], rows)


def _free_table(raw: Raw, kind: str) -> str:
    rows = [[what, *_over_programs(raw, kind, gone, left_over)] for what, gone in FREE.items()]
    return markdown([kind, *raw["versions"]], rows)


def _programs_table(raw: Raw, kinds: Sequence[str]) -> str:
    rows = []
    for program in _programs(raw):
        for version in raw["versions"]:
            entry = raw["imports"][version][program]
            of = [shares(entry[kind]) for kind in kinds]
            whole = [sum(times(entry[kind]).values()) for kind in kinds]
            cells = [" / ".join(f"{100 * s[name]:.0f}" for s in of) for name in SHARES]
            rows.append([program, version, *cells, " / ".join(f"{w:,.0f} ms" for w in whole)])
    return markdown(["program", "CPython", *SHARES, "import time"], rows)


def _programs(raw: Raw) -> list[str]:
    return list(next(iter(raw["imports"].values())))


def _reading_table(raw: Raw, kinds: Sequence[str]) -> str:
    names = {"stat": "stat of the source", "read": "open, fstat, read, close", "check": "Python"}
    rows = []
    for version in raw["versions"]:
        entry = raw["imports"][version][LIBRARY]
        per = [
            {p: 1e3 * statistics.median(entry[kind][p]) / entry["loads"] for p in names}
            for kind in kinds
        ]
        rows.append([version, *(" / ".join(f"{one[p]:.0f}" for one in per) for p in names)])
    return markdown(["CPython", *names.values()], rows)


def _counts_table(raw: Raw) -> str:
    rows = []
    for program in _programs(raw):
        for version in raw["versions"]:
            entry = raw["imports"][version][program]
            counts = [entry[what] for what in ("modules", "loads", "native", "finds")]
            size = f"{entry['bytes'] / 1e6:.1f}"
            collected = ", ".join(map(str, entry["collections"]))
            rows.append([program, version, *counts, size, collected])
    heading = ["program", "CPython", "modules", "from bytecode", "extension and built-in"]
    return markdown([*heading, "finds", "bytecode, MB", "collector's runs"], rows)


def overhead(raw: Raw) -> dict[str, float]:
    """CPU time with instruments to that without, in the same round: each version's median."""
    ratios: dict[str, list[float]] = {}
    for (version, program), parts in _entries(raw, "hot").items():
        plain = raw["imports"][version][program]["plain_cpu_ms"]
        wrapped = [sum(round_) for round_ in zip(*parts.values(), strict=True)]
        ratios.setdefault(version, []).extend(w / p for w, p in zip(wrapped, plain, strict=True))
    return {version: statistics.median(of) for version, of in ratios.items()}


def _overhead(raw: Raw) -> str:
    ratios = ", ".join(f"{version}: {ratio:.2f} ×" for version, ratio in overhead(raw).items())  # noqa: RUF001
    of = raw["hot"]
    return (
        f"With instruments to without, CPU of the import, median of all programs: {ratios}. "
        f"Hot processes run again, as others had emptied the caches: {of['again']}; "
        f"kept although they read from the disk: {of['kept']}."
    )


def _starts_table(raw: Raw) -> str:
    kinds = [kind for kind in ("hot", "cold") if kind in next(iter(raw["starts"].values()))]
    rows = []
    for version, start in raw["starts"].items():
        row = [version, start[kinds[0]]["modules"]]
        for kind in kinds:
            of, wall = start[kind]["import_ms"], start[kind]["wall_ms"]
            share = statistics.median(i / w for i, w in zip(of, wall, strict=True))
            row += [f"{statistics.median(wall):.0f} ms", f"{100 * share:.0f} %"]
        rows.append(row)
    columns = [c for kind in kinds for c in (f"{kind}: process", f"{kind}: imports")]
    return markdown(["CPython", "modules", *columns], rows)


def _fastpath_table(raw: Raw) -> str:
    rows = []
    for program, entry in raw["fastpath"]["programs"].items():
        stock, ours = (_coarse(entry[who]) for who in ("stock", "fastpath"))
        whole = sum(stock.values())
        cells = [f"{100 * stock[n] / whole:.0f}, {100 * ours[n] / whole:.0f}" for n in stock]
        rows.append([program, *cells, f"{sum(ours.values()) / whole:.2f} ×"])  # noqa: RUF001
    return markdown(["program", *stock, "all"], rows)


def _coarse(parts: Mapping[str, list[float]]) -> dict[str, float]:
    """The same with reading and unmarshalling as one."""
    spent = times(parts)
    load = spent.pop("read") + spent.pop("unmarshal")
    return {"find": spent.pop("find"), "load": load, **spent}


def draw(raw: Raw, figure: Any) -> None:
    """A bar for every program and version, hot on the left, cold on the right."""
    kinds = [kind for kind in ("hot", "cold") if _entries(raw, kind)]
    programs, versions = _programs(raw), list(raw["versions"])
    figure.set_size_inches(11, 1.6 + 0.27 * len(programs) * (len(versions) + 1))
    axes = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
    rows = [
        (number * (len(versions) + 1) + place, program, version)
        for number, program in enumerate(programs)
        for place, version in enumerate(versions)
    ]
    for axis, kind in zip(axes, kinds, strict=True):
        _bars(axis, [(y, shares(raw["imports"][v][p][kind])) for y, p, v in rows])
        clock = "CPU" if kind == "hot" else "wall"
        axis.set_title(f"{kind}: % of {clock} time")
    axes[0].set_yticks([y for y, _, _ in rows], [f"{p}  {v}" for _, p, v in rows])
    axes[0].invert_yaxis()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, ncols=len(labels), loc="outside upper center", frameon=False)


COLOURS = {
    "find": "#d95f02",
    "read": "#fdae61",
    "importlib": "#ffe08a",
    "unmarshal": "#2166ac",
    "collector": "#67a9cf",
    "native": "#a6a6a6",
    "execute": "#dddddd",
}


def _bars(axis: Any, rows: Sequence[tuple[int, dict[str, float]]]) -> None:
    """Stacked horizontal bars of 100 %, with the numbers of all parts that have room for one."""
    places = [y for y, _ in rows]
    left = [0.0] * len(rows)
    for name, colour in COLOURS.items():
        widths = [100 * of[name] for _, of in rows]
        bars = axis.barh(places, widths, left=left, height=0.86, color=colour, label=name)
        labels = [f"{width:.0f}" if width >= 3.5 else "" for width in widths]
        ink = "white" if name == "unmarshal" else "black"
        axis.bar_label(bars, labels, label_type="center", fontsize=7, color=ink)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    axis.set_xlim(0, 100)
    axis.margins(y=0.01)
    axis.set_xlabel("share of import time, %")
    axis.spines[["top", "right"]].set_visible(False)
