"""From how many questions about names in a directory on is it cheaper to list it?

Measures a listing beside stats of names that are there and that are not, in directories of 10 to
100,000 names: on the disk of build/, through an overlay of it and on tmpfs, hot and with dropped
caches, and in waits on a filesystem that takes 1 ms for each operation. Then watches at which
lookup fastpath lists, what that and its probing cost, and when it had better listed.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "0005-parallel-lookups"))
from _experiment import Experiment, Raw, Setting, filesystem, main, markdown
from _ground import drop_caches, no_dropping, no_slow_mount, slow_mount
from asking import (
    Asker,
    Tree,
    compiled,
    in_front,
    no_mount,
    no_tmpfs,
    on_tmpfs,
    overlay,
    planted,
)

HERE = Path(__file__).resolve().parent
# 8,000: about the largest that fastpath lists for its first lookup.
SIZES = (10, 100, 1_000, 8_000, 10_000, 100_000)
QUICK_SIZES = (10, 1_000, 10_000)
COLD_SIZES = (100, 1_000, 10_000, 100_000)
# Numbers of stats, of which those in between are taken to lie on a line.
COLD_STATS = (1, 16, 256, 4_096)
DELAY_MS = 1
# Paths that fastpath probes for a lookup: five suffixes on CPython for Linux, and a directory.
CANDIDATES = 6
# By then fastpath lists whatever it lists at all.
MOST_LOOKUPS = 3_000

KINDS = ("known", "new")
STATS: dict[str, tuple[str, bool]] = {
    "hit": ("hit", True),
    "known": ("miss", True),
    "new": ("miss", False),
}


def measure(setting: Setting) -> Raw:
    sizes = QUICK_SIZES if setting.quick else SIZES
    asker = Asker(compiled(setting.scratch))
    home = setting.fastpath()
    place = setting.scratch / "trees"
    trees = {size: planted(place / f"{size}", 1, size) for size in sizes}
    raw: Raw = {"sizes": list(sizes), "hot": {}, "cold": {}, "slow": {}, "rule": {}}
    with in_front() as not_in_front:
        setting.can("measuring in front of all other work", not_in_front)
        can_drop = setting.can("cold", no_dropping())
        for name, there, on_disk in grounds(setting, trees):
            setting.progress.stage(f"{name}: hot")
            raw["hot"][name] = hot(setting, asker, there)
            setting.progress.stage(f"{name}: fastpath")
            raw["rule"][name] = watched(setting, home, there)
            if can_drop and on_disk:
                setting.progress.stage(f"{name}: cold")
                raw["cold"][name] = cold(setting, asker, there)
        if setting.can("slow", no_slow_mount()):
            setting.progress.stage(f"{DELAY_MS} ms")
            raw["slow"] = slow(setting, asker, home, trees)
    return raw


def grounds(
    setting: Setting, trees: Mapping[int, Tree]
) -> Iterator[tuple[str, Mapping[int, Tree], bool]]:
    """Filesystems, the trees there, and whether a disk is below, one after the other."""
    kind = filesystem(setting.scratch)
    yield kind, trees, True
    if setting.can("overlay", no_mount("overlay")):
        with overlay(setting.scratch / "trees", setting.scratch) as merged:
            moved = {size: Tree(merged / f"{size}", size) for size in trees}
            yield f"overlay of {kind}", moved, True
    if setting.can("tmpfs", no_tmpfs()):
        with on_tmpfs() as memory:
            yield "tmpfs", {size: planted(memory / f"{size}", 1, size) for size in trees}, False


def turned(order: Sequence[Any], number: int) -> list[Any]:
    first = number % len(order)
    return [*order[first:], *order[:first]]


# ---- the bare calls ----------------------------------------------------------------------------


def hot(setting: Setting, asker: Asker, trees: Mapping[int, Tree]) -> Raw:
    """Nanoseconds of CPU: of a listing, and of a stat of each kind, by size; medians."""
    costs: dict[str, list[list[float]]] = {what: [[] for _ in trees] for what in ("list", *STATS)}
    for number in range(setting.rounds(7)):
        for at, (size, tree) in enumerate(trees.items()):
            for what in turned(list(costs), number):
                costs[what][at].append(
                    hot_once(asker, tree, size, what, f"-{os.getpid()}-{number}")
                )
        setting.progress.tick()
    return {what: [round(statistics.median(c)) for c in these] for what, these in costs.items()}


def hot_once(asker: Asker, tree: Tree, size: int, what: str, salt: str) -> float:
    """Nanoseconds of CPU for one operation, of some 10 ms of them."""
    if what == "list":
        many = max(1, 40_000 // size)
        return asker.ask("list", tree, many).cpu_ns / many
    call, warm = STATS[what]
    asked = min(size, 2_048) if call == "hit" else 2_048
    repeat = 16_384 // asked if warm else 1
    salt = "" if warm else salt
    cost = asker.ask(call, tree, asked, repeat=repeat, salt=salt, warm=warm)
    return cost.cpu_ns / (asked * repeat)


def cold(setting: Setting, asker: Asker, trees: Mapping[int, Tree]) -> Raw:
    """Microseconds with nothing in the kernel's caches: a listing, and so many stats; medians."""
    taken: Raw = {}
    for size in (size for size in trees if size in COLD_SIZES):
        # There are no more hits than names.
        asked = {"hit": [many for many in COLD_STATS if many <= size], "miss": list(COLD_STATS)}
        runs = [("list", 1), *((call, many) for call in asked for many in asked[call])]
        costs: dict[tuple[str, int], list[float]] = {run: [] for run in runs}
        for number in range(setting.rounds(5)):
            for call, many in turned(runs, number):
                drop_caches()
                cost = asker.ask(call, trees[size], many, warm=False)
                costs[call, many].append(cost.wall_ns / 1e3)
        setting.progress.tick()
        middle = {run: round(statistics.median(these)) for run, these in costs.items()}
        taken[str(size)] = {
            "list": middle["list", 1],
            **{f"{call} counts": many for call, many in asked.items()},
            **{call: [middle[call, many] for many in asked[call]] for call in asked},
        }
    return taken


def break_even(listing: float, asked: Sequence[int], costs: Sequence[float]) -> float:
    """How many stats cost as much as a listing; infinity if more than were measured."""
    before_many, before_cost = 0, 0.0
    for many, cost in zip(asked, costs, strict=True):
        if cost >= listing:
            share = (listing - before_cost) / max(cost - before_cost, 1)
            return max(1.0, before_many + max(share, 0) * (many - before_many))
        before_many, before_cost = many, cost
    return math.inf


# ---- fastpath ----------------------------------------------------------------------------------


def lookups(home: Path, tree: Tree, prefix: str, *counts: Path) -> list[list[float]]:
    """What lookups.py found out."""
    command = [sys.executable, HERE / "lookups.py", home, tree.root / "d00", MOST_LOOKUPS, prefix]
    done = subprocess.run([*map(str, [*command, *counts])], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"lookups.py failed: {done.stderr.strip()}")
    taken: list[list[float]] = json.loads(done.stdout)
    return taken


def watched(setting: Setting, home: Path, trees: Mapping[int, Tree]) -> Raw:
    """For names known to the kernel and for new ones, by size: medians."""
    seen: dict[str, list[list[Raw]]] = {kind: [[] for _ in trees] for kind in KINDS}
    for tree in trees.values():
        lookups(home, tree, "known")
    for number in range(setting.rounds(7)):
        for at, tree in enumerate(trees.values()):
            for kind in turned(KINDS, number):
                prefix = kind if kind == "known" else f"new_{os.getpid()}_{number}"
                seen[kind][at].append(described(lookups(home, tree, prefix), 0))
        setting.progress.tick()
    return {
        "bytes": [size_of(tree) for tree in trees.values()],
        **{kind: columns([merged(these) for these in all_]) for kind, all_ in seen.items()},
    }


def described(taken: Sequence[Sequence[float]], what: int) -> Raw:
    """When it listed (0: never), what that cost, and what a lookup by probing did.

    Each is without what a lookup costs when names are known. `what` is 0 for microseconds, 3 for
    waits.
    """
    known = [one for one in taken if one[1] == 0 and one[2] <= 1]
    probing = [one for one in taken[1:] if one[1] == 0 and one[2] > 1]
    base = statistics.median(one[what] for one in known) if known else 0
    listed = max((at for at, one in enumerate(taken) if one[1]), default=0) if known else -1
    return {
        "at": listed + 1,
        "list": taken[listed][what] - base if known else 0,
        "probe": statistics.median(one[what] for one in probing) - base if probing else 0,
    }


def merged(these: Sequence[Raw]) -> Raw:
    return {key: round(statistics.median(one[key] for one in these), 1) for key in these[0]}


def columns(rows: Sequence[Raw]) -> Raw:
    return {key: [row[key] for row in rows] for key in rows[0]}


def size_of(tree: Tree) -> int:
    return (tree.root / "d00").stat().st_size


def slow(setting: Setting, asker: Asker, home: Path, trees: Mapping[int, Tree]) -> Raw:
    """Waits: of a bare listing, of 16 stats, and of fastpath's; on fresh mounts."""

    def fresh(tree: Tree, work: Callable[[Tree, Path], Any]) -> tuple[Any, int]:
        with slow_mount(str(tree.root), setting.scratch / "slow", DELAY_MS) as mount:
            done = work(Tree(mount.path, tree.names), mount.path / ".slowfs-stats")
            return done, mount.waits()

    def bare(tree: Tree, call: str, many: int) -> int:
        # One more for the directory itself.
        return fresh(tree, lambda there, _: asker.ask(call, there, many, warm=False))[1] - 1

    seen = [
        described(fresh(tree, lambda at, counts: lookups(home, at, "new", counts))[0], 3)
        for tree in trees.values()
    ]
    return {
        "listing": [bare(tree, "list", 1) for tree in trees.values()],
        "stats": [bare(tree, "miss", 16) for tree in trees.values()],
        "rule": {"bytes": [size_of(tree) for tree in trees.values()], "new": columns(seen)},
    }


# ---- what came out -----------------------------------------------------------------------------


def optimum(seen: Raw) -> list[float]:
    """From which lookup on listing would have been cheaper, in a directory of each size.

    Where fastpath did not probe, as if it had, at what it cost in the smallest where it did.
    """
    probed = next((cost for cost in seen["probe"] if cost > 0), math.nan)
    pairs = zip(seen["list"], seen["probe"], strict=True)
    return [max(1.0, listing / (probe or probed)) for listing, probe in pairs]


def digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def tables(raw: Raw) -> str:
    parts = [
        "**Hot**: CPU of one listing and of one stat; how many stats cost as much as the listing.",
        hot_table(raw),
    ]
    if raw["cold"]:
        parts += [
            "**Cold** (caches dropped): time of a listing, and how many stats cost as much.",
            cold_table(raw),
        ]
    if raw["slow"]:
        parts += [
            f"**{DELAY_MS} ms per operation** (FUSE): waits, so as many stats one after another "
            "as a listing waits cost as much; asked together, any number waits once.",
            markdown(
                ["names", "a listing", "16 stats, one after another"],
                list(
                    zip(
                        [f"{size:,}" for size in raw["sizes"]],
                        raw["slow"]["listing"],
                        raw["slow"]["stats"],
                        strict=True,
                    )
                ),
            ),
        ]
    parts += [
        "**fastpath**: at which lookup of an absent name it lists the directory; what listing it "
        f"and a lookup by probing ({CANDIDATES} paths) cost, in CPU or waits, more than a lookup "
        "among known names; and from how many lookups on listing is cheaper.",
        rule_table(raw),
    ]
    return "\n\n".join(parts)


def hot_table(raw: Raw) -> str:
    heading = ["", "names", "listing", "per name", "hit", "miss, known", "miss, new"]
    heading += ["hits", "misses, known", "misses, new"]
    rows = []
    for place, of in raw["hot"].items():
        for at, size in enumerate(raw["sizes"]):
            listing, stats = of["list"][at], [of[what][at] for what in STATS]
            row = [place, f"{size:,}", f"{listing / 1e3:,.1f} µs", f"{listing / size:.0f} ns"]
            row += [f"{cost / 1e3:.2f} µs" for cost in stats]
            rows.append(row + [digits(listing / cost) for cost in stats])
    return markdown(heading, rows)


def cold_table(raw: Raw) -> str:
    heading = ["", "names", "listing", "1 hit", "1 miss", "hits", "misses"]
    rows = []
    for place, sizes in raw["cold"].items():
        for size, of in sizes.items():
            evens = [cold_even(of, call) for call in ("hit", "miss")]
            times = [of["list"], of["hit"][0], of["miss"][0]]
            row = [place, f"{int(size):,}", *(f"{us / 1e3:,.2f} ms" for us in times)]
            rows.append(row + evens)
    return markdown(heading, rows)


def cold_even(of: Raw, call: str) -> str:
    even = break_even(of["list"], of[f"{call} counts"], of[call])
    return f"> {of[f'{call} counts'][-1]:,}" if math.isinf(even) else digits(even)


def rule_table(raw: Raw) -> str:
    heading = ["", "names", "`st_size`", "names of lookups", "lists at", "listing", "probing"]
    heading += ["cheaper from", "lists at ÷ cheaper from"]
    rows = []
    for place, of, unit in ruled(raw):
        for at, size in enumerate(raw["sizes"]):
            for kind in (kind for kind in KINDS if kind in of):
                seen = of[kind]
                best, when, probe = optimum(seen)[at], seen["at"][at], seen["probe"][at]
                row = [place, f"{size:,}", f"{of['bytes'][at]:,}", kind]
                row += (
                    [f"{when:,.0f}", f"{seen['list'][at]:,.0f} {unit}"] if when else ["never", ""]
                )
                row += [f"{probe:,.1f} {unit}" if probe else "", digits(best)]
                rows.append([*row, f"{when / best:.2g} ×" if when else ""])  # noqa: RUF001
    return markdown(heading, rows)


def ruled(raw: Raw) -> list[tuple[str, Raw, str]]:
    places = [(place, of, "µs") for place, of in raw["rule"].items()]
    slow = [(f"{DELAY_MS} ms", raw["slow"]["rule"], "waits")] if raw["slow"] else []
    return places + slow


# ---- as a picture ------------------------------------------------------------------------------


def draw(raw: Raw, figure: Any) -> None:
    figure.set_size_inches(10, 4.8)
    left, right = figure.subplots(1, 2)
    sizes = raw["sizes"]
    colours = ("#4c72b0", "#dd8452", "#55a868", "#c44e52")
    for (place, of), colour in zip(raw["hot"].items(), colours, strict=False):
        for what, line, told in (("known", "-", "known"), ("new", "--", "new")):
            evens = [a / b for a, b in zip(of["list"], of[what], strict=True)]
            left.plot(sizes, evens, line, color=colour, label=f"{place}, hot, {told}", marker=".")
    for (place, cold_ones), colour in zip(raw["cold"].items(), colours, strict=False):
        misses = {
            int(s): break_even(c["list"], c["miss counts"], c["miss"]) for s, c in cold_ones.items()
        }
        known = {size: even for size, even in misses.items() if not math.isinf(even)}
        left.plot(known.keys(), known.values(), ":", color=colour, label=f"{place}, cold")
    left.set_title("misses that cost as much as a listing", fontsize=10)
    left.set_ylabel("stats of absent names")
    for (place, of, _), colour in zip(ruled(raw), colours, strict=False):
        for kind, line in (("known", "-"), ("new", "--")):
            if kind in of:
                right.plot(sizes, optimum(of[kind]), line, color=colour, label=f"{place}, {kind}")
        when = zip(sizes, of["new"]["at"], strict=True)
        listed = [(size, at) for size, at in when if at]
        right.scatter(*zip(*listed, strict=True), color="black", marker="x", zorder=3)
    right.scatter([], [], color="black", marker="x", label="fastpath lists")
    right.set_title("lookups that cost as much as a listing, by fastpath", fontsize=10)
    right.set_ylabel("lookups of absent modules")
    for axes in (left, right):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("names in the directory")
        axes.legend(fontsize=7)


EXPERIMENT = Experiment(measure, tables, draw)

if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
