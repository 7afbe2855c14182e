"""Random lives of a source and its pyc, hypothesis leading: each load is what stock makes of it.

At every question fastpath loads first; then the files are put back as they were and stock's own
``get_code`` loads. Code or exception, and all files afterwards, must be equal in every mode: no
freshness is a licence to load what stock would not.
"""

from __future__ import annotations

import _imp
import os
import shutil
import sys
import tempfile
import types
from contextlib import ExitStack
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)
from learner import Learner
from loading import MOMENT, Loads, code_picture, external, files_picture, interpreter_kept
from mutants_loading import MUTANTS
from oracle import differing, exception_picture
from subjects import Subject, ours
from test_stateful import EXAMPLES, STEPS
from world import world

STOCK: Any = vars(external.SourceLoader)["get_code"]
assert isinstance(STOCK, types.FunctionType), "stock must have been kept before install()"

TEXTS = ["x = 1\n", "x = 2\n", "x = 33\n", "def f(): return 1\n", "x = (\n", ""]
name = st.sampled_from(["a", "b"])
text = st.sampled_from(TEXTS)
moment = st.sampled_from([MOMENT, MOMENT + 0.5, MOMENT + 1, 2**32 + 3, -1.5])


class Lives(RuleBasedStateMachine):
    """Two sources whose files change; loads in between."""

    subject: Subject

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()
        base = Path(tempfile.mkdtemp(prefix="fastpath-loads-"))
        self.undo.callback(shutil.rmtree, base, ignore_errors=True)
        self.undo.enter_context(interpreter_kept())
        self.undo.enter_context(self.subject.active())
        self.loads = Loads(self.undo.enter_context(world(base / "here")))
        self.base = base
        for n in ("a", "b"):
            self.edit(n, TEXTS[0], MOMENT)

    def teardown(self) -> None:
        self.undo.close()

    @rule(n=name, t=text, when=moment)
    def edit(self, n: str, t: str, when: float) -> None:
        self.loads.source(t, f"d/{n}.py", when)

    @rule(n=name, when=moment)
    def touch(self, n: str, when: float) -> None:
        if os.path.exists(self.loads.at(f"d/{n}.py")):
            self.loads.touch(f"d/{n}.py", when)

    @rule(n=name)
    def delete_source(self, n: str) -> None:
        Path(self.loads.at(f"d/{n}.py")).unlink(missing_ok=True)

    @rule(n=name)
    def delete_pyc(self, n: str) -> None:
        self._clear(n)
        Path(self.loads.cache(f"d/{n}.py")).unlink(missing_ok=True)

    @rule(n=name, t=st.sampled_from(TEXTS[:4]), when=moment, size=st.sampled_from([0, 6, 7]))
    def replace_pyc(self, n: str, t: str, when: float, size: int) -> None:
        self._clear(n)
        self.loads.pyc(self.loads.stamped(t, int(when), size), f"d/{n}.py")

    @rule(n=name, source=st.sampled_from(TEXTS[:3]), checked=st.booleans())
    def replace_pyc_by_hash(self, n: str, source: str, checked: bool) -> None:
        self._clear(n)
        self.loads.pyc(self.loads.hashed(source, "x = 'hashed'\n", checked), f"d/{n}.py")

    @rule(n=name, at=st.integers(0, 60), value=st.integers(0, 255), cut=st.booleans())
    def damage_pyc(self, n: str, at: int, value: int, cut: bool) -> None:
        """In the header only, but for cuts: what garbage unmarshals to may take all memory."""
        path = Path(self.loads.cache(f"d/{n}.py"))
        if path.is_file():
            data = path.read_bytes()
            at = at if cut else at % 16
            self.loads.pyc(
                data[:at] + (b"" if cut else bytes([value]) + data[at + 1 :]), f"d/{n}.py"
            )

    @rule(n=name, t=st.sampled_from(TEXTS[:2]))
    def rewrite_pyc_behind_the_mtime(self, n: str, t: str) -> None:
        """In place, of the same size and time; only its ctime tells."""
        path = Path(self.loads.cache(f"d/{n}.py"))
        if path.is_file():
            before = path.stat()
            data = path.read_bytes()
            path.write_bytes(data[:16] + self.loads.body(t, self.loads.at(f"d/{n}.py")))
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    @rule(n=name, t=st.sampled_from(TEXTS[:2]), like=st.booleans())
    def rename_over_pyc(self, n: str, t: str, like: bool) -> None:
        path = Path(self.loads.cache(f"d/{n}.py"))
        if path.is_file():
            before = path.stat()
            self.loads.pyc(path.read_bytes()[:16] + self.loads.body(t), exact=f"{path}x")
            if like:
                os.utime(f"{path}x", ns=(before.st_atime_ns, before.st_mtime_ns))
            os.replace(f"{path}x", path)

    @rule(n=name, there=st.booleans())
    def directory_in_place_of_pyc(self, n: str, there: bool) -> None:
        path = Path(self.loads.cache(f"d/{n}.py"))
        self._clear(n)
        if there:
            path.unlink(missing_ok=True)
            path.mkdir(parents=True)

    def _clear(self, n: str) -> None:
        """Take the directory away that is in the place of the pyc, if one is."""
        path = Path(self.loads.cache(f"d/{n}.py"))
        if path.is_dir():
            path.rmdir()

    @rule()
    def exchange_directories(self) -> None:
        """What is in the other has the same times and sizes, and is not the same."""
        here, other, aside = (self.loads.at(place) for place in ("d", "e", "f"))
        if not os.path.isdir(other):
            shutil.copytree(here, other, symlinks=True)
            for path in filter(Path.is_file, Path(other).glob("__pycache__/*.pyc")):
                before, data = path.stat(), path.read_bytes()
                path.write_bytes(data.replace(b"x = 1", b"x = 2"))
                os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        for old, new in ((here, aside), (other, here), (aside, other)):
            os.rename(old, new)

    @rule(n=name, other=name)
    def link_source(self, n: str, other: str) -> None:
        """Each time to another file that is as large and as old."""
        path = Path(self.loads.at(f"d/{n}.py"))
        self.loads.source(f"x = {1 + (other == 'b')}\n", f"far/{other}.py", MOMENT)
        path.unlink(missing_ok=True)
        path.symlink_to(self.loads.at(f"far/{other}.py"))

    @precondition(lambda self: self.subject.learner is not None)
    @rule()
    def hand_on_and_start_anew(self) -> None:
        """The next process has a table of what this one knew, and knows nothing else."""
        assert self.subject.learner is not None
        self.subject.learner.hand_on()

    @precondition(lambda self: self.subject.learner is not None)
    @rule(n=name, t=st.sampled_from(TEXTS[:2]))
    def change_what_was_handed_on(self, n: str, t: str) -> None:
        """The first load may write the pyc, the second reads it; then only its ctime changes."""
        self.load(n)
        self.load(n)
        self.hand_on_and_start_anew()
        self.rewrite_pyc_behind_the_mtime(n, t)
        self.load(n)

    @rule(one=name, other=name)
    def exchange_pycs(self, one: str, other: str) -> None:
        path = Path(self.loads.cache(f"d/{one}.py"))
        if path.is_file():
            self._clear(other)
            self.loads.pyc(path.read_bytes(), f"d/{other}.py")

    @rule(writing=st.booleans(), check=st.sampled_from(["default", "always", "never"]))
    def change_settings(self, writing: bool, check: str) -> None:
        sys.dont_write_bytecode = not writing
        vars(_imp)["check_hash_based_pycs"] = check

    @rule(place=st.sampled_from([None, "cache", "far/cache"]))
    def change_prefix(self, place: str | None) -> None:
        sys.pycache_prefix = place and self.loads.at(place)

    @rule(n=name)
    def load(self, n: str) -> None:
        root, kept, aside = self.loads.world.root, self.base / "kept", self.base / "aside"
        shutil.copytree(root, kept, symlinks=True)
        said = self._answer(SourceFileLoader.get_code, n)
        # Stock is asked in a copy in the same place: what fastpath knows is of these very files.
        root.rename(aside)
        kept.rename(root)
        os.chdir(root)
        true = self._answer(STOCK, n)
        shutil.rmtree(root)
        aside.rename(root)
        os.chdir(root)
        problems = list(differing(true, said, n))
        assert not problems, "\n".join(problems)

    def _answer(self, get_code: Any, n: str) -> object:
        loader = SourceFileLoader(n, self.loads.at(f"d/{n}.py"))
        try:
            answer = code_picture(get_code(loader, n))
        except Exception as error:
            answer = exception_picture(error)
        return [answer, files_picture(str(self.loads.world.root))]


def play(subject: Subject, examples: int = EXAMPLES, shrinking: bool = True) -> None:
    """Play random lives with `subject` loading; raises what hypothesis found."""
    run_state_machine_as_test(
        type("Lives", (Lives,), {"subject": subject}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=STEPS,
            phases=(Phase.generate, Phase.shrink) if shrinking else (Phase.generate,),
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize(
    "subject",
    [
        ours("strict", "serial"),
        ours("sealed", "auto"),
        ours("auto", "auto", ahead=True),
        ours("strict", "serial", learner=Learner()),
        ours("auto", "auto", learner=Learner()),
    ],
    ids=lambda s: s.name,
)
def test_loads_what_stock_loads(subject: Subject) -> None:
    play(subject)


@pytest.mark.parametrize("kind", ["a hash is never compared", "a stale hash becomes a time"])
def test_it_can_fail(kind: str) -> None:
    mutant = next(m for m in MUTANTS if m.name == kind)
    with pytest.raises((AssertionError, Flaky)):
        play(mutant.subject(), examples=300, shrinking=False)
