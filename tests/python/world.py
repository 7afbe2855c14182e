"""A place for one conformance case: a directory tree and an interpreter state put back afterwards.

A case builds files, sets ``sys.path`` and asks; everything it sees is noted as plain data. The same
case is played to two subjects in a directory of the *same name*, one after the other, so paths
compare without rewriting. Every change of a directory moves its mtime on by whole seconds: stock
compares mtimes only, and a case must not depend on the clock's resolution. Used by the parity
suites only; it compares nothing itself.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib.machinery import EXTENSION_SUFFIXES, PathFinder
from pathlib import Path
from typing import Any

from learner import Learner
from oracle import Picture, exception_picture, outcome, spec_picture

NOBODY = 65534
# A directory that changed less than this ago may change again unnoticed, so fastpath does not keep
# what it read there. A settling world waits as long before it asks: then everything is kept.
SETTLED = 0.03
SUFFIX = EXTENSION_SUFFIXES[0]
# Loaded once, for everybody: the first invalidate_caches() would import it in the middle of a case.
METADATA = importlib.metadata.__name__


class World:
    """The tree at `root`, the interpreter's import state, and what has been seen so far."""

    def __init__(
        self,
        root: Path,
        invalidating: bool = False,
        settling: bool = False,
        learner: Learner | None = None,
    ) -> None:
        self.root = root
        self.seen: list[object] = []
        self.stdlib = list(sys.path)
        self._invalidating = invalidating
        self._settling = settling
        self._learner = learner
        self._unsettled = False
        self._moment = 1_700_000_000_500_000_000

    # The tree

    def at(self, *parts: str) -> str:
        """The absolute path of something in the tree."""
        return os.path.join(str(self.root), *parts)

    def write(self, where: str, text: str = "") -> str:
        """Write a file, making the directories above it."""
        path = self.at(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_text(text, encoding="utf-8")
        self.changed(path)
        return path

    def files(self, *names: str) -> None:
        """Write several empty files; a name ending in ``/`` is a directory."""
        for name in names:
            if name.endswith("/"):
                self.mkdir(name)
            else:
                self.write(name)

    def mkdir(self, where: str) -> str:
        """Make a directory and those above it."""
        path = self.at(where).rstrip("/")
        os.makedirs(path, exist_ok=True)
        self.changed(path)
        return path

    def link(self, where: str, target: str) -> None:
        """Make a symbolic link; `target` is used as it is."""
        path = self.at(where)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.symlink(target, path)
        self.changed(path)

    def remove(self, where: str) -> None:
        """Remove a file, a link or a whole directory."""
        path = self.at(where)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
        self.changed(path)

    def rename(self, old: str, new: str) -> None:
        """Rename within the tree."""
        os.rename(self.at(old), self.at(new))
        self.changed(self.at(old))
        self.changed(self.at(new))

    def changed(self, path: str) -> None:
        """Move the mtime of the directories above `path` on; tell importlib if it is to be told."""
        self._moment += 1_000_000_000
        self._unsettled = True
        while path.startswith(str(self.root)) and path != str(self.root):
            path = os.path.dirname(path)
            if os.path.isdir(path):
                os.utime(path, ns=(self._moment, self._moment))
        if self._invalidating:
            importlib.invalidate_caches()

    # The questions

    def note(self, *values: object) -> None:
        """Remember plain values as part of what this case saw."""
        self.seen.append(values)

    def see(self, ask: Callable[[], object], picture: Callable[[Any], object]) -> Picture:
        """Call `ask`, remember the picture of everything it did."""
        if self._settling and self._unsettled:
            time.sleep(SETTLED)
            self._unsettled = False
        with self._learner.before(ask) if self._learner else nullcontext():
            seen = outcome(ask, picture)
        self.seen.append(seen)
        return seen

    def find(self, name: Any, *rest: Any, finder: Any = PathFinder, **more: Any) -> Picture:
        """Ask ``PathFinder.find_spec``."""
        return self.see(lambda: finder.find_spec(name, *rest, **more), spec_picture)

    def names(self, *names: Any) -> None:
        """Ask for several names, one after the other."""
        for name in names:
            self.find(name)

    def run(self, statement: str) -> Picture:
        """Execute a statement; remember ``result`` of its globals, or its exception."""

        def ask() -> object:
            scope: dict[str, object] = {"__name__": "__case__"}
            exec(compile(statement, "<case>", "exec"), scope)
            return scope.get("result")

        return self.see(ask, lambda value: value)

    @contextmanager
    def nobody(self) -> Iterator[None]:
        """Be an unprivileged user for a moment, so that permissions mean something."""
        if os.geteuid() != 0:
            yield
            return
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)


Case = Callable[[World], None]


class Cases(dict[str, Case]):
    """A table of cases; the decorator registers a function under its name."""

    def __call__(self, case: Case) -> Case:
        assert case.__name__ not in self, case.__name__
        self[case.__name__] = case
        return case


@contextmanager
def _interpreter_kept(root: Path) -> Iterator[None]:
    """Put every import-related piece of interpreter state back, objects and contents."""
    lists = [(name, getattr(sys, name)) for name in ("path", "meta_path", "path_hooks")]
    contents = [list(value) for _, value in lists]
    cache, kept = sys.path_importer_cache, dict(sys.path_importer_cache)
    modules, cwd, environ = set(sys.modules), os.getcwd(), dict(os.environ)
    cache.clear()
    try:
        yield
    finally:
        for (name, value), content in zip(lists, contents, strict=True):
            value[:] = content
            setattr(sys, name, value)
        sys.path_importer_cache = cache
        cache.clear()
        cache.update(kept)
        for name in set(sys.modules) - modules:
            if str(root) in repr(getattr(sys.modules[name], "__dict__", None)):
                del sys.modules[name]
        os.chdir(cwd)
        os.environ.clear()
        os.environ.update(environ)


@contextmanager
def world(
    root: Path,
    invalidating: bool = False,
    settling: bool = False,
    learner: Learner | None = None,
) -> Iterator[World]:
    """An empty tree at `root` with nothing else on ``sys.path``; all undone afterwards."""
    root.mkdir(parents=True)
    with _interpreter_kept(root):
        place = World(root, invalidating, settling, learner)
        os.chdir(root)
        sys.path[:] = []
        yield place


def play(
    case: Case,
    base: Path,
    label: str,
    invalidating: bool = False,
    *,
    settling: bool = False,
    learner: Learner | None = None,
) -> list[object]:
    """Play `case` in ``base/here``, move the tree out of the way, answer what was seen."""
    root = base / "here"
    try:
        with world(root, invalidating, settling, learner) as place:
            try:
                case(place)
            except Exception as error:
                if label == "stock":
                    raise
                place.note("the case itself failed", exception_picture(error))
            return place.seen
    finally:
        os.rename(root, base / f"was-{label}")
