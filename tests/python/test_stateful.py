"""Random lives of a path, hypothesis leading: at every question ours must tell the truth.

The truth is stock importlib listing every directory anew. `strict` must equal it always. `auto` may
for a moment show a module that a new one in an *earlier* entry shadows, nothing else. `sealed` must
equal it after ``importlib.invalidate_caches()``.

``FASTPATH_HYPOTHESIS_PROFILE=thorough`` plays many more and longer lives.
"""

from __future__ import annotations

import importlib
import os
import pickle
import shutil
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from importlib.machinery import FileFinder, PathFinder
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
from mutants import MUTANTS, Mutant
from oracle import Stock, differing, exception_picture, spec_picture
from subjects import Subject, ours
from world import SETTLED, SUFFIX, world

PROFILES = {"quick": (40, 40), "thorough": (2_000, 80)}
EXAMPLES, STEPS = PROFILES[os.environ.get("FASTPATH_HYPOTHESIS_PROFILE", "quick")]

ENTRIES = ["e0", "e1", "e2"]
# What entries may be links to. No loops: what stock says of those depends on what it saw before.
REAL = ["real0", "real1"]
NAMES = ["a", "b"]
QUESTIONS = ["a", "b", "a.b", "b.a", "absent"]
FORMS = [
    ".py", ".pyc", SUFFIX, "/", "/__init__.py", "/__init__.pyc", "/b.py", "/a/", ".py/",
    "/__init__.py/",
]  # fmt: skip
LINKS = [".py", ".pyc", "", "/__init__.py", "/b.py"]
FAR = ["x.py", "y.py", "pkg", "bare", "pkg/__init__.py", "bare/b.py"]

# How long `auto` may take to notice shadowing before we call it blind. Far beyond its bound.
PATIENCE = 10.0

entry = st.sampled_from(ENTRIES)
name = st.sampled_from(NAMES)
question = st.sampled_from(QUESTIONS)


class Lives(RuleBasedStateMachine):
    """A tree, a path and a working directory that change; questions in between."""

    subject: Subject

    def __init__(self) -> None:
        super().__init__()
        self.undo = ExitStack()
        base = Path(tempfile.mkdtemp(prefix="fastpath-lives-"))
        self.undo.callback(shutil.rmtree, base, ignore_errors=True)
        self.undo.enter_context(self.subject.active())
        self.world = self.undo.enter_context(world(base / "here"))
        for place in [*ENTRIES, *REAL, "far"]:
            self._try(os.mkdir, self._at(place))
        sys.path[:] = [self._at(e) for e in ENTRIES]

    def teardown(self) -> None:
        self.undo.close()

    # What happens to the tree. An operation that the present tree forbids is no event.

    def _at(self, *parts: str) -> str:
        return self.world.at(*parts)

    @staticmethod
    def _try(operation: Any, *args: Any) -> None:
        try:
            operation(*args)
        except OSError:
            return

    def _make(self, path: str) -> None:
        """A file, or a directory if `path` ends in a slash; parents as needed."""
        self._try(os.makedirs, os.path.dirname(path))
        if not path.endswith("/"):
            self._try(lambda: Path(path).write_text("x = 1", encoding="utf-8"))

    def _drop(self, path: str) -> None:
        path = path.rstrip("/")
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path, ignore_errors=True)
        else:
            self._try(os.unlink, path)

    @rule(e=entry, n=name, form=st.sampled_from(FORMS))
    def create(self, e: str, n: str, form: str) -> None:
        self._make(self._at(e, n) + form)

    @rule(e=entry, n=name, form=st.sampled_from(FORMS))
    def delete(self, e: str, n: str, form: str) -> None:
        self._drop(self._at(e, n) + form)

    @rule(real=st.sampled_from(REAL), n=name, form=st.sampled_from(FORMS), there=st.booleans())
    def change_behind_a_link(self, real: str, n: str, form: str, there: bool) -> None:
        (self._make if there else self._drop)(self._at(real, n) + form)

    @rule(e=entry, n=name)
    def clear_name(self, e: str, n: str) -> None:
        for form in ("", ".py", ".pyc", SUFFIX):
            self._drop(self._at(e, n) + form)

    @rule(e=entry, n=name, form=st.sampled_from(LINKS), far=st.sampled_from(FAR))
    def link(self, e: str, n: str, form: str, far: str) -> None:
        self._try(os.makedirs, os.path.dirname(self._at(e, n) + form))
        self._try(os.symlink, self._at("far", far), self._at(e, n) + form)

    @rule(far=st.sampled_from(FAR), there=st.booleans())
    def change_what_links_point_to(self, far: str, there: bool) -> None:
        path = self._at("far", far)
        if there:
            self._make(path if "." in far else path + "/")
        else:
            self._drop(path)

    @rule(e=entry, old=name, new=name, form=st.sampled_from(["", ".py", ".pyc"]))
    def rename(self, e: str, old: str, new: str, form: str) -> None:
        self._try(os.rename, self._at(e, old) + form, self._at(e, new) + form)

    @rule(e=entry, n=name, form=st.sampled_from(FORMS[:3]))
    def rewrite_same_size(self, e: str, n: str, form: str) -> None:
        path = self._at(e, n) + form
        if os.path.isfile(path):
            before = os.stat(path)
            self._try(os.unlink, path)
            self._make(path)
            self._try(lambda: os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns)))

    @rule(e=entry, n=name, form=st.sampled_from(FORMS), there=st.booleans())
    def change_behind_the_mtime(self, e: str, n: str, form: str, there: bool) -> None:
        """The directory's mtime is put back afterwards; only its ctime tells."""
        place = os.path.dirname((self._at(e, n) + form).rstrip("/"))
        before = os.stat(place).st_mtime_ns if os.path.isdir(place) else 0
        (self._make if there else self._drop)(self._at(e, n) + form)
        self._try(lambda: os.utime(place, ns=(before, before)))

    @rule(one=entry, two=entry)
    def exchange_entries(self, one: str, two: str) -> None:
        if one != two:
            for old, new in ((one, "aside"), (two, one), ("aside", two)):
                self._try(os.rename, self._at(old), self._at(new))

    @rule(e=entry)
    def remove_entry(self, e: str) -> None:
        self._drop(self._at(e))

    @rule(e=entry)
    def restore_entry(self, e: str) -> None:
        self._make(self._at(e) + "/")

    @rule(e=entry, other=st.sampled_from(REAL))
    def entry_becomes_link(self, e: str, other: str) -> None:
        self._drop(self._at(e))
        self._try(os.symlink, self._at(other), self._at(e))

    @rule(e=entry)
    def entry_becomes_file(self, e: str) -> None:
        self._drop(self._at(e))
        self._make(self._at(e))

    # What happens to the interpreter.

    @rule(place=st.sampled_from([*ENTRIES, "far", "."]))
    def chdir(self, place: str) -> None:
        self._try(os.chdir, self._at(place))

    @rule(entries=st.lists(st.sampled_from([*ENTRIES, ""]), max_size=5), replace=st.booleans())
    def change_path(self, entries: list[str], replace: bool) -> None:
        made = [self._at(e) if e else "" for e in entries]
        if replace:
            sys.path = made
        else:
            sys.path[:] = made

    @rule()
    def invalidate(self) -> None:
        importlib.invalidate_caches()

    @rule()
    def clear_importer_cache(self) -> None:
        sys.path_importer_cache.clear()

    @rule()
    def settle(self) -> None:
        """Let time pass and ask everything, so that answers are kept."""
        time.sleep(SETTLED)
        for q in QUESTIONS:
            self._check(q)

    @precondition(lambda self: self.subject.learner is not None)
    @rule(settled=st.booleans())
    def hand_on_and_start_anew(self, settled: bool) -> None:
        """The next process has a table of what this one knew, and knows nothing else."""
        if settled:
            self.settle()
        assert self.subject.learner is not None
        self.subject.learner.hand_on()

    @precondition(lambda self: self.subject.learner is not None)
    @rule(e=entry, n=name, form=st.sampled_from(FORMS), there=st.booleans())
    def change_what_was_handed_on(self, e: str, n: str, form: str, there: bool) -> None:
        """Before the next process has asked for anything, and behind the mtime."""
        self.hand_on_and_start_anew(settled=True)
        self.change_behind_the_mtime(e, n, form, there)
        self._check(n)

    # The questions.

    @rule(q=question)
    def ask(self, q: str) -> None:
        self._check(q)

    @rule(q=question)
    def ask_twice(self, q: str) -> None:
        self._check(q)
        self._check(q)

    @rule(q=question)
    def ask_in_a_fork(self, q: str) -> None:
        read, write = os.pipe()
        child = os.fork()
        if not child:
            try:
                problem = self._problem(q)
            except BaseException as error:
                problem = repr(error)
            os.write(write, pickle.dumps(problem))
            os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            problem = pickle.loads(pipe.read())
        os.waitpid(child, 0)
        assert not problem, problem

    @rule(qs=st.lists(question, min_size=2, max_size=6))
    def ask_in_threads(self, qs: list[str]) -> None:
        if self.subject.sealed:
            importlib.invalidate_caches()
        before = rememberer()
        said: dict[int, object] = {}
        threads = [
            threading.Thread(target=lambda n=n, q=q: said.update({n: answer(q)}))
            for n, q in enumerate(qs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for n, q in enumerate(qs):
            problem = self._unless_bounded(q, before, said[n])
            assert not problem, problem

    def _check(self, q: str) -> None:
        problem = self._problem(q)
        assert not problem, problem

    def _problem(self, q: str) -> str | None:
        """What is wrong with our answer, if anything is."""
        if self.subject.sealed:
            importlib.invalidate_caches()
        before = rememberer()
        return self._unless_bounded(q, before, answer(q))

    def _unless_bounded(self, q: str, before: Cache, said: object) -> str | None:
        true = truth(q, before)
        problem = _difference(q, true, said)
        if problem is None or not self.subject.bounded:
            return problem
        if not shadowed(true, said):
            return f"more than shadowing: {problem}"
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if _difference(q, truth(q, before), answer(q)) is None:
                return None
            time.sleep(0.001)
        return f"shadowing never noticed: {problem}"


Cache = dict[str, Any]


def rememberer() -> Cache:
    """The importer cache with the same finders in it, but none that has seen anything yet.

    What stock keeps for good is kept: which entries it has given up, where a finder looks.
    """
    return {key: _forgetful(finder) for key, finder in sys.path_importer_cache.items()}


def _forgetful(finder: Any) -> Any:
    if type(finder) is not FileFinder:
        return finder
    fresh = FileFinder(finder.path)
    vars(fresh)["_loaders"] = vars(finder)["_loaders"]
    return fresh


def _path_of(q: str) -> list[str] | None:
    """Submodules are asked for in the directory of their package, in whatever entry that is."""
    parent = q.rpartition(".")[0]
    return [os.path.join(e, parent) for e in sys.path] if parent else None


def _asked(finder: Any, q: str) -> object:
    parent = q.rpartition(".")[0]
    path = _path_of(q)
    stand_in: Any = type(sys)(parent)
    stand_in.__path__ = path
    if parent:
        # A namespace portion wants its parent in sys.modules.
        sys.modules[parent] = stand_in
    try:
        return spec_picture(finder.find_spec(q, path))
    except Exception as error:
        return exception_picture(error)
    finally:
        if parent:
            sys.modules.pop(parent, None)


_parents = threading.Lock()


def answer(q: str) -> object:
    """What ours says."""
    if "." not in q:
        return _asked(PathFinder, q)
    with _parents:
        return _asked(PathFinder, q)


def truth(q: str, before: Cache) -> object:
    """What stock says when it lists every directory anew."""
    kept = sys.path_importer_cache
    sys.path_importer_cache = {key: _forgetful(finder) for key, finder in before.items()}
    try:
        return _asked(Stock, q)
    finally:
        sys.path_importer_cache = kept


def _difference(q: str, true: object, said: object) -> str | None:
    lines = list(differing(true, said, q))
    return "\n".join(lines) or None


def shadowed(true: Any, said: Any) -> bool:
    """Whether `said` is a real file, and `true` one in an earlier entry that shadows it."""
    if not (isinstance(true, dict) and isinstance(said, dict)):
        return False
    newer, older = (_origin_entry(picture) for picture in (true, said))
    return newer is not None and older is not None and newer < older


def _origin_entry(picture: Any) -> int | None:
    """Which entry of the path the file of a spec is in; none if it is not a file now."""
    origin = picture.get("raw", {}).get("origin", (None, None))[1]
    if origin is None or not os.path.isfile(origin):
        return None
    q = picture["raw"]["name"][1]
    entries = _path_of(q) or sys.path
    tail = q.rpartition(".")[2]
    for number, e in enumerate(entries):
        base = os.path.join(e or os.getcwd(), tail)
        if origin.startswith((base + ".", base + "/")):
            return number
    return None


def play(
    subject: Subject, examples: int = EXAMPLES, steps: int = STEPS, shrinking: bool = True
) -> None:
    """Play random lives with `subject` answering; raises what hypothesis found."""
    machine = type("Lives", (Lives,), {"subject": subject})
    phases = (Phase.generate, Phase.shrink) if shrinking else (Phase.generate,)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            phases=phases,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


MODES = [
    ours("strict", "serial"),
    ours("strict", "threads"),
    ours("auto", "auto"),
    ours("sealed", "auto"),
    ours("strict", "serial", ahead=True),
    ours("strict", "serial", learner=Learner()),
    ours("auto", "auto", learner=Learner()),
]


@pytest.mark.parametrize("subject", MODES, ids=lambda s: s.name)
def test_tells_the_truth(subject: Subject) -> None:
    play(subject)


def _fresh() -> Any:
    """Stock that has forgotten every listing before each question."""
    original = vars(PathFinder)["find_spec"]

    def find_spec(cls: Any, fullname: str, path: Any = None, target: Any = None) -> Any:
        sys.path_importer_cache.update(rememberer())
        return Stock.find_spec(fullname, path, target)

    setattr(PathFinder, "find_spec", classmethod(find_spec))  # noqa: B010
    return lambda: setattr(PathFinder, "find_spec", original)


def test_the_oracle_is_sane() -> None:
    play(Subject("fresh", _fresh), examples=15)


@pytest.mark.parametrize("kind", ["stale listing", "no portions"])
def test_it_can_fail(kind: str) -> None:
    mutant = next(m for m in MUTANTS if m.name == kind)
    with pytest.raises((AssertionError, Flaky)):
        play(Subject(kind, _patched_path_finder(mutant)), examples=300, shrinking=False)


def _patched_path_finder(mutant: Mutant) -> Any:
    """The mutant, in sight of PathFinder only: the truth must stay true."""

    def start() -> Any:
        original = vars(PathFinder)["find_spec"]

        def find_spec(cls: Any, fullname: str, path: Any = None, target: Any = None) -> Any:
            with mutant.subject().active():
                return Stock.find_spec(fullname, path, target)

        setattr(PathFinder, "find_spec", classmethod(find_spec))  # noqa: B010
        return lambda: setattr(PathFinder, "find_spec", original)

    return start
