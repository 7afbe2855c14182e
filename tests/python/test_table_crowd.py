"""Many processes at one table, some of which are killed, while modules change: all are right.

A dozen for a few seconds; FASTPATH_CROWD=64,60 makes it 64 processes for a minute.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tables import FILES, START, Shop, settle

pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")

CHANGING = 6

# One of the crowd. Whatever version of a module it gets, it is none older than the source was
# before the import, and none newer than the source is afterwards.
MEMBER = """
import random, time
dice = random.Random({seed})
def version(name):
    with open(f"{{os.getcwd()}}/{{name}}.py") as file: return int(file.readline().split("=")[1])
def changing(name):
    sys.modules.pop(name, None)
    before = version(name)
    found = importlib.import_module(name).VERSION
    must(before <= found <= version(name), name, before, found)
def newest():
    # A module that was there before it was asked for is found.
    number = version("count")
    name = f"new{{dice.randrange(number)}}" if number else "count"
    must(importlib.import_module(name).VERSION >= 0)
for _ in range(dice.randrange(1, 4)):
    for name in dice.sample(NAMES, dice.randrange(len(NAMES))): right(name)
    for n in dice.sample(range({changing}), 3): changing(f"c{{n}}")
    newest()
    if dice.random() < 0.3: must(fastpath._native._hand_on() in ("done", "nothing new", "busy"))
    if dice.random() < 0.3: forget()
"""


class Editor:
    """Whoever changes the modules meanwhile: each version at once, and with a time of its own."""

    def __init__(self, tree: Path, seed: int) -> None:
        self.tree = tree
        self.dice = random.Random(seed)
        self.versions = dict.fromkeys([f"c{n}" for n in range(CHANGING)], 0)
        self.made = 0
        for name in self.versions:
            self._write(name, 0)
        self._write("count", 0)

    def _write(self, name: str, version: int) -> None:
        spare = self.tree.parent / "spare.py"
        spare.write_text(f"VERSION = {version}\n")
        # Bytecode tells versions apart by whole seconds, and by a size that may be the same.
        os.utime(spare, (1_600_000_000 + version, 1_600_000_000 + version))
        spare.replace(self.tree / f"{name}.py")

    def edit(self) -> None:
        """Change one module, or make another one."""
        if self.dice.random() < 0.2:
            self._write(f"new{self.made}", self.made)
            self.made += 1
            self._write("count", self.made)
        else:
            name = self.dice.choice(list(self.versions))
            self.versions[name] += 1
            self._write(name, self.versions[name])


def test_a_crowd(tmp_path: Path) -> None:
    size, seconds = map(int, os.environ.get("FASTPATH_CROWD", "12,4").split(","))
    shop = Shop(tmp_path)
    dice = random.Random(seed := int(os.environ.get("FASTPATH_SEED", "1")))
    editor = Editor(shop.tree, seed)
    crowd: list[tuple[subprocess.Popen[str], float]] = []
    ended, killed, wrong = 0, 0, []
    close = time.monotonic() + seconds
    while time.monotonic() < close or crowd:
        if time.monotonic() < close and len(crowd) < size:
            crowd.append((_member(shop, dice.randrange(1 << 30)), time.monotonic() + dice.random()))
        editor.edit()
        for process, doomed in crowd[:]:
            if process.poll() is None and dice.random() < 0.3 and time.monotonic() > doomed:
                process.kill()
            elif process.poll() is None:
                continue
            _, err = process.communicate()
            crowd.remove((process, doomed))
            killed += process.returncode == -signal.SIGKILL
            ended += process.returncode == 0
            if process.returncode not in (0, -signal.SIGKILL) or err:
                wrong.append((process.returncode, err))
        time.sleep(0.005)
    assert not wrong, f"seed {seed}: {len(wrong)}: {wrong[:3]}"
    assert ended > size, f"{ended} ended, {killed} were killed"
    assert killed > size / 4, f"{ended} ended, {killed} were killed"
    print(f"{ended} ended, {killed} were killed, {sum(editor.versions.values())} versions")
    _is_whole(shop, editor)


def _member(shop: Shop, seed: int) -> subprocess.Popen[str]:
    # Each eighth is an interpreter with a table of its own.
    program = START + MEMBER.format(seed=seed, changing=CHANGING)
    flags = ["-O"] if seed % 8 == 0 else []
    return subprocess.Popen(
        [sys.executable, *flags, "-c", program],
        env=shop.environment(),
        cwd=shop.tree,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def _is_whole(shop: Shop, editor: Editor) -> None:
    """Nothing is left of those who were killed; a fresh process has all from the table."""
    (shop.tree / "last.py").write_text("VERSION = 0\n")
    names = [*editor.versions, *(f"new{n}" for n in range(editor.made)), "last"]
    program = (
        "everything()\n"
        f"versions = {editor.versions | {f'new{n}': n for n in range(editor.made)}}\n"
        "for name, version in versions.items():\n"
        "    must(importlib.import_module(name).VERSION == version, name)\n"
        "import last\n"
    )
    for flags in ([], ["-O"]):
        for _ in range(3):
            settle()
            done = shop.run(program, *flags)
            assert (done.status, done.err) == (0, "")
    assert [path.suffix for path in shop.cache.iterdir() if path.suffix == ".new"] == []
    assert len(shop.tables()) == 2
    verified = subprocess.run(
        [sys.executable, "-m", "fastpath", "cache", "verify"],
        env=shop.environment(),
        capture_output=True,
        text=True,
    )
    assert (verified.returncode, verified.stderr) == (0, ""), verified
    counted = "print(fastpath.stats()['table_files'], fastpath.stats()['reads'])"
    done = shop.run(program + counted)
    assert done.err == ""
    assert done.out == f"{FILES + len(names)} 0\n", (
        "every file comes from the table, none is damaged"
    )
