"""Another process that has asked before: every question is put to a fork of this one first.

The fork sees the world as it stands and hands on what it has learnt; it leaves nothing else. Then
fastpath starts anew, with a table and nothing else it knows. That is what the fork has just
written; or, ``behind``, what it wrote before the question before this one: the table then is of the
world as it was before the case changed it. Nobody starts anew where a case has put something of its
own into the interpreter, for that would be taken for stock's, nor where it has become another user.
Used by the parity suites only.
"""

from __future__ import annotations

import importlib._bootstrap as core_module
import importlib._bootstrap_external as bootstrap
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

external: Any = bootstrap
core: Any = core_module
OWNERS = [external.PathFinder, external.FileFinder, external.SourceLoader]
OWNERS += [external.FileLoader, external.SourceFileLoader, external._LoaderBasics, external]
OWNERS += [core, core.ModuleSpec]

# Cases that hear every look at a spec, and so fastpath itself when it starts anew.
HEARS_STARTING = {"a_spec_class_changed"}

Apart = Callable[[], AbstractContextManager[object]]


class Learner:
    """Starts fastpath anew for every question, with a table that a fork has written.

    All that is its own doing is done in a context that `apart` makes.
    """

    def __init__(self, behind: bool = False, apart: Apart = nullcontext) -> None:
        self.behind, self.apart = behind, apart
        self.name = "behind" if behind else "shared"
        self.used = 0  # facts that came from a table since the last start
        self._options: Any = {}
        self._place = ""
        self._machinery: list[object] = []
        self._user = os.geteuid()

    def start(self, options: Any) -> Callable[[], None]:
        """Install with these options and no table at first; the answer takes all of it back."""
        import fastpath
        from fastpath._native import _switch

        assert not fastpath.is_installed(), "stock must have answered before"
        self._options, self.used = options, 0
        self._place = tempfile.mkdtemp(prefix="fastpath-learner-")
        for kept in ("known", "next"):
            os.mkdir(os.path.join(self._place, kept))
        _switch("settling", False)
        assert fastpath.install(**{**options, "cache": self._table("known")}), "install() refused"
        self._machinery = _machinery()

        def stop() -> None:
            _switch("settling", True)
            fastpath.uninstall()
            shutil.rmtree(self._place)

        return stop

    @contextmanager
    def before(self, ask: Callable[[], object]) -> Iterator[None]:
        """Let a fork ask, then start anew for whoever asks inside the ``with`` block."""
        import fastpath

        is_as_it_was = self._machinery == _machinery() and type(sys.path_hooks) is list
        if not is_as_it_was or os.geteuid() != self._user:
            yield
            return
        with self.apart():
            self._in_a_fork(ask)
            if not self.behind:
                self._step()
            self._anew("known")
        try:
            yield
        finally:
            with self.apart():
                stats = fastpath.stats()
                self.used += stats["table_directories"] + stats["table_files"]
                if self.behind:
                    self._step()

    def hand_on(self) -> None:
        """Hand on what this process has learnt, and start anew with it."""
        from fastpath._native import _hand_on

        time.sleep(0.03)  # what has just changed is not handed on
        assert _hand_on() in ("done", "nothing new")
        self._anew("known")

    def _table(self, kept: str) -> str:
        return os.path.join(self._place, kept)

    def _step(self) -> None:
        """What the fork has written becomes what is known."""
        shutil.copytree(self._table("next"), self._table("known"), dirs_exist_ok=True)

    def _anew(self, kept: str) -> None:
        import fastpath

        if fastpath.is_installed():  # a case may have taken it out
            fastpath.uninstall()
            assert fastpath.install(**{**self._options, "cache": self._table(kept)})
            self._machinery = _machinery()

    def _in_a_fork(self, ask: Callable[[], object]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a fork of a process with threads
            child = os.fork()
        if not child:
            status = 1
            try:
                status = self._learn(ask)
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0, "the fork failed"

    def _learn(self, ask: Callable[[], object]) -> int:
        from fastpath._native import _hand_on

        sys.dont_write_bytecode = True
        time.sleep(0.03)  # what changes while it is looked at is not handed on
        self._anew("next")
        try:
            ask()
        except Exception as error:  # whatever the case is about
            del error
        return _hand_on() not in ("done", "nothing new", "not installed")


def _machinery() -> list[object]:
    """What a case might replace, as it is now."""
    mine = [(name, id(value)) for owner in OWNERS for name, value in vars(owner).items()]
    return [*mine, id(sys.flags), id(sys.implementation)]
