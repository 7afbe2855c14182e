"""Does the kernel make threads wait for each other that ask about one directory?

Has 1 to 16 threads ask about names, there and not there, known to the kernel and not, and list
directories: all of them in one directory, or in one each. On the disk of build/, on tmpfs,
through an overlay of both, as squashfs, and through a filesystem that takes 0.1 and 1 ms for each
operation and counts how many of them went out one after another.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benches"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from _experiment import Experiment, Raw, Setting, filesystem, main, markdown
from _ground import no_dropping, no_slow_mount, slow_mount
from asking import (
    Asker,
    Cost,
    Tree,
    compiled,
    forget_names,
    in_front,
    no_mount,
    no_squashfs,
    no_tmpfs,
    on_tmpfs,
    overlay,
    planted,
    squashfs,
)

WIDTHS = (1, 2, 4, 8, 16)
ONE, EACH = "one directory", "one each"
DELAYS_MS = (0.1, 1)
# Files in a directory on a slow filesystem: what is listed there is a package, not a crowd.
SLOW_NAMES = 128


@dataclass(frozen=True)
class Case:
    """One kind of question."""

    name: str
    what: str
    repeat: int = 1
    warm: bool = False
    new_names: bool = False
    before: Callable[[], None] = lambda: None
    share: float = 1.0
    """How many operations of those that the sizes allow."""
    rounds: int = 9


KNOWN_HITS = Case("hits, known", "hit", repeat=8, warm=True)
KNOWN_MISSES = Case("misses, known", "miss", repeat=8, warm=True)
NEW_MISSES = Case("misses, new", "miss", new_names=True)
LISTINGS = Case("listings", "list", warm=True, share=1 / 128)
FORGOTTEN_HITS = Case("hits, forgotten", "hit", before=forget_names, rounds=5)
HOT = (KNOWN_HITS, KNOWN_MISSES, NEW_MISSES, LISTINGS)
# Where it has to unpack its blocks again and again, a quarter of all that has to do.
SQUASHED = (
    KNOWN_HITS,
    KNOWN_MISSES,
    replace(NEW_MISSES, share=1 / 4, rounds=5),
    replace(LISTINGS, share=1 / 256, rounds=5),
    replace(FORGOTTEN_HITS, share=1 / 8),
)

SLOW = (
    Case("hits, new", "hit"),
    Case("misses", "miss"),
    Case("listings", "list", share=1 / 4),
)


def setups(widths: Sequence[int]) -> list[tuple[int, int]]:
    """Threads and directories: all in one, or as many of these as of those."""
    return [(n, d) for n in widths for d in sorted({1, n})]


def measure(setting: Setting) -> Raw:
    widths = WIDTHS[:3] if setting.quick else WIDTHS
    names = 256 if setting.quick else 4096
    asker = Asker(compiled(setting.scratch))
    with in_front() as not_in_front:
        setting.can("measuring in front of all other work", not_in_front)
        hot = [
            on_ground(setting, asker, place, tree, case, widths)
            for place, tree, cases in grounds(setting, widths[-1], names)
            for case in cases
        ]
        slow = on_slow(setting, asker, widths) if setting.can("slow", no_slow_mount()) else []
    return {"names": names, "hot": hot, "slow": slow}


# ---- filesystems of this machine ---------------------------------------------------------------


def grounds(
    setting: Setting, directories: int, names: int
) -> Iterator[tuple[str, Tree, Sequence[Case]]]:
    """Filesystems, one after the other, each with a tree in it and what is to be asked there."""
    disk = planted(setting.scratch / f"tree-{directories}-{names}", directories, names)
    kind = filesystem(setting.scratch)
    can_drop = setting.can("forgotten names", no_dropping())
    cases = (*HOT, FORGOTTEN_HITS) if can_drop else HOT
    can_overlay = setting.can("overlay", no_mount("overlay"))
    yield kind, disk, cases
    if can_overlay:
        with overlay(disk.root, setting.scratch) as merged:
            yield f"overlay of {kind}", Tree(merged, names), cases
    if setting.can("squashfs", no_squashfs()):
        with squashfs(disk.root, setting.scratch) as mounted:
            yield "squashfs", Tree(mounted, names), SQUASHED if can_drop else SQUASHED[:-1]
    if setting.can("tmpfs", no_tmpfs()):
        with on_tmpfs() as memory:
            tree = planted(memory / "tree", directories, names)
            yield "tmpfs", tree, HOT
            if can_overlay:
                with overlay(tree.root, memory) as merged:
                    yield "overlay of tmpfs", Tree(merged, names), HOT


def on_ground(
    setting: Setting, asker: Asker, place: str, tree: Tree, case: Case, widths: Sequence[int]
) -> Raw:
    """All setups of one case, in turn, each round beginning with another one."""
    setting.progress.stage(f"{place}: {case.name}")
    operations = max(widths[-1], round(tree.names * case.share))
    if case.what == "list":
        # A thread's share is the same in all setups.
        operations = -(-operations // widths[-1]) * widths[-1]
    costs: dict[tuple[int, int], list[Cost]] = {setup: [] for setup in setups(widths)}
    order = list(costs)
    for number in range(setting.rounds(case.rounds)):
        for turn, (threads, directories) in enumerate(turned(order, number)):
            case.before()
            cost = asker.ask(
                case.what,
                tree,
                operations,
                threads=threads,
                directories=directories,
                repeat=case.repeat,
                salt=f"-{os.getpid()}-{number}-{turn}" if case.new_names else "",
                warm=case.warm,
            )
            costs[threads, directories].append(cost)
        setting.progress.tick()
    return {"place": place, "case": case.name} | summary(costs, operations * case.repeat)


def turned(order: Sequence[tuple[int, int]], number: int) -> list[tuple[int, int]]:
    first = number % len(order)
    return [*order[first:], *order[:first]]


def summary(costs: Mapping[tuple[int, int], Sequence[Cost]], operations: int) -> Raw:
    """Medians; what is compared is compared within a round first."""
    alone = costs[1, 1]
    pairs = [list(zip(these, alone, strict=True)) for these in costs.values()]
    sleeps = [statistics.median(cost.sleeps for cost in these) for these in costs.values()]
    return {
        "operations": operations,
        "alone_ns": round(statistics.median(cost.wall_ns for cost in alone) / operations),
        "threads": [threads for threads, _ in costs],
        "directories": [directories for _, directories in costs],
        "speed": [round(statistics.median(a.wall_ns / c.wall_ns for c, a in p), 3) for p in pairs],
        "cpu": [round(statistics.median(c.cpu_ns / a.cpu_ns for c, a in p), 3) for p in pairs],
        "sleeps": [round(1000 * times / operations, 1) for times in sleeps],
    }


# ---- filesystems that take their time ----------------------------------------------------------


def on_slow(setting: Setting, asker: Asker, widths: Sequence[int]) -> list[Raw]:
    root = setting.scratch / f"tree-{widths[-1]}-{SLOW_NAMES}"
    source = planted(root, widths[-1], SLOW_NAMES)
    operations = 32 if setting.quick else SLOW_NAMES
    taken = []
    for delay in DELAYS_MS[1:] if setting.quick else DELAYS_MS:
        for case in SLOW:
            setting.progress.stage(f"{delay:g} ms: {case.name}")
            taken.append(one_slow(setting, asker, source, case, delay, operations, widths))
    return taken


def one_slow(
    setting: Setting,
    asker: Asker,
    source: Tree,
    case: Case,
    delay: float,
    most: int,
    widths: Sequence[int],
) -> Raw:
    """Each setup on a fresh mount, so that the kernel knows no name."""
    operations = max(widths[-1], round(most * case.share))
    costs: dict[tuple[int, int], list[Cost]] = {setup: [] for setup in setups(widths)}
    waits: dict[tuple[int, int], list[int]] = {setup: [] for setup in costs}
    order = list(costs)
    for number in range(setting.rounds(3)):
        for threads, directories in turned(order, number):
            with slow_mount(str(source.root), setting.scratch / "slow", delay) as mount:
                tree = Tree(mount.path, source.names)
                cost = asker.ask(
                    case.what,
                    tree,
                    operations,
                    threads=threads,
                    directories=directories,
                    warm=False,
                )
                costs[threads, directories].append(cost)
                waits[threads, directories].append(mount.waits())
    return {
        "delay_ms": delay,
        "case": case.name,
        **summary(costs, operations),
        "waits": [round(statistics.median(these)) for these in waits.values()],
    }


# ---- what came out -----------------------------------------------------------------------------


def value(taken: Raw, threads: int, layout: str, what: str) -> float:
    setup = (threads, 1 if layout == ONE else threads)
    setups = list(zip(taken["threads"], taken["directories"], strict=True))
    return float(taken[what][setups.index(setup)])


def widths_of(taken: Raw) -> list[int]:
    return sorted(set(taken["threads"]))


def both(taken: Raw, threads: int, what: str, digits: int) -> str:
    """A number of all in one directory, and of one directory each."""
    one, each = (value(taken, threads, layout, what) for layout in (ONE, EACH))
    return f"{one:.{digits}f} / {each:.{digits}f}"


def tables(raw: Raw) -> str:
    parts = [
        f"**Filesystems of this machine**, {raw['names']:,} names in a directory. Throughput to "
        "that of one thread, *all threads in one directory / in one each*; CPU of all threads to "
        "that of one; how often a thread went to sleep, per 1,000 operations.",
        hot_table(raw["hot"]),
    ]
    if raw["slow"]:
        parts += [
            f"**Slow filesystem** (FUSE), {SLOW_NAMES} names in a directory: waits (operations "
            "that went out one after another), *all in one directory / one each*.",
            slow_table(raw["slow"]),
        ]
    return "\n\n".join(parts)


def hot_table(hot: Sequence[Raw]) -> str:
    widths = widths_of(hot[0])
    most = widths[-1]
    heading = ["", "", "alone"]
    heading += [f"{n} threads" for n in widths[1:]]
    heading += [f"CPU, {most}", f"sleeps, {most}"]
    rows = []
    for taken in hot:
        speeds = [both(taken, n, "speed", 2) for n in widths[1:]]
        cpu, sleeps = both(taken, most, "cpu", 2), both(taken, most, "sleeps", 0)
        alone = f"{taken['alone_ns'] / 1e3:,.2f} µs"
        rows.append([taken["place"], taken["case"], alone, *speeds, cpu, sleeps])
    return markdown(heading, rows)


def slow_table(slow: Sequence[Raw]) -> str:
    widths = widths_of(slow[0])
    heading = ["", "", "operations", "1 thread", *(f"{n} threads" for n in widths[1:])]
    rows = []
    for taken in slow:
        alone = round(value(taken, 1, ONE, "waits"))
        waits = [both(taken, n, "waits", 0) for n in widths[1:]]
        delay = f"{taken['delay_ms']:g} ms"
        rows.append([delay, taken["case"], taken["operations"], alone, *waits])
    return markdown(heading, rows)


# ---- as a picture ------------------------------------------------------------------------------

COLOURS = {ONE: "#c44e52", EACH: "#4c72b0"}
MARKERS = {ONE: "o", EACH: "D"}


def draw(raw: Raw, figure: Any) -> None:
    hot = raw["hot"]
    figure.set_size_inches(10, 1.8 + 0.25 * len(hot))
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    most = widths_of(hot[0])[-1]
    for number, taken in enumerate(hot):
        speeds = {layout: value(taken, most, layout, "speed") for layout in (EACH, ONE)}
        left.plot(speeds.values(), [number, number], color="0.75", linewidth=2, zorder=1)
        for layout, speed in speeds.items():
            left.scatter([speed], [number], color=COLOURS[layout], marker=MARKERS[layout], s=28)
    left.axvline(1, color="0.4", linewidth=0.8, linestyle=":")
    left.set_yticks(range(len(hot)), [f"{t['place']}: {t['case']}" for t in hot], fontsize=8)
    left.invert_yaxis()
    left.set_xlim(left=0)
    left.set_xlabel(f"throughput of {most} threads (one thread alone = 1)")
    left.set_title("filesystems of this machine", fontsize=10)
    for layout, text in ((ONE, "all threads in one directory"), (EACH, "a directory each")):
        left.scatter([], [], color=COLOURS[layout], marker=MARKERS[layout], label=text)
    figure.legend(fontsize=8, loc="outside lower left", ncols=2)
    if raw["slow"]:
        draw_slow(raw["slow"], right)


def draw_slow(slow: Sequence[Raw], axes: Any) -> None:
    """Most lines lie upon each other: broad ones below, thin ones on top."""
    slowest = max(taken["delay_ms"] for taken in slow)
    looks = iter((("#55a868", 11), ("#8172b3", 6), ("#ccb974", 6)))
    for taken in (taken for taken in slow if taken["delay_ms"] == slowest):
        (colour, broad), widths = next(looks), widths_of(taken)
        for layout, look in ((ONE, {"linewidth": broad, "alpha": 0.5}), (EACH, {"ls": "--"})):
            waits = [value(taken, n, layout, "waits") for n in widths]
            label = f"{taken['case']}, {layout}"
            axes.plot(widths, waits, color=colour, label=label, **look)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.set_xticks(WIDTHS, list(map(str, WIDTHS)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_xlabel("threads")
    axes.set_ylabel("waits: operations that went out one after another")
    axes.set_title(f"slow filesystem, {slowest:g} ms per operation", fontsize=10)
    axes.legend(fontsize=8)


EXPERIMENT = Experiment(measure, tables, draw)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
