"""Every conformance case, played to stock and to a subject: what they saw must be equal.

The subjects are a pure copy of stock (which proves the oracle sane) and fastpath in its modes.
"""

from __future__ import annotations

from pathlib import Path

import cases_entries
import cases_hooks
import cases_layout
import cases_names
import cases_statement
import pytest
from learner import Learner
from oracle import differing
from subjects import COPY, OURS, STOCK, STRICT_AHEAD, Subject, ours
from world import Case, play

from support import need

CASES: dict[str, Case] = {}
for _module in (cases_layout, cases_entries, cases_names, cases_hooks, cases_statement):
    assert not CASES.keys() & _module.CASES.keys(), "two cases share a name"
    CASES.update(_module.CASES)

# Cases in which a new file shadows one found before: `auto` may notice that a moment later.
SHADOWING = {"an_earlier_directory_shadows", "files_come_and_go", "reload", "entries_come_and_go"}


def seen_by(subject: Subject, case: Case, base: Path, told: bool) -> list[object]:
    """What `case` saw while `subject` answered."""
    with subject.active():
        settling, learner = subject.settling, subject.learner
        return play(case, base, subject.name, told, settling=settling, learner=learner)


def differences(case: Case, subject: Subject, base: Path) -> list[str]:
    """A line for each thing that `subject` does otherwise than stock in `case`."""
    if case.__name__ in cases_statement.CASES:
        # Statements make the standard library import parts of itself, the first time only.
        seen_by(STOCK, case, base / "warm", told=False)
    told = subject.sealed or (subject.bounded and case.__name__ in SHADOWING)
    ours = seen_by(subject, case, base, told)
    stock = seen_by(STOCK, case, base, told)
    assert stock, "a case that sees nothing proves nothing"
    return list(differing(stock, ours))


@pytest.mark.parametrize("subject", [COPY, *OURS, STRICT_AHEAD], ids=lambda s: s.name)
@pytest.mark.parametrize("name", CASES)
def test_same_as_stock(name: str, subject: Subject, tmp_path: Path) -> None:
    if "uring" in subject.name:
        need("uring")
    found = differences(CASES[name], subject, open_to_all(tmp_path))
    assert not found, "\n".join(found[:20])


def open_to_all(base: Path) -> Path:
    """Let an unprivileged user through to `base`; pytest closes its directories."""
    for place in (base, base.parent, base.parent.parent):
        place.chmod(0o755)
    return base


SHARED = ours("strict", "serial", learner=Learner())
BEHIND = ours("auto", "auto", learner=Learner(behind=True))


# Cases that leave everything to stock, ask about nothing that could be learnt, or ask as nobody.
WITHOUT_FACTS = {
    "str_subclasses",
    "a_generator_is_read_as_far_as_stock_reads_it",
    "a_path_that_raises",
    "sys_path_is_missing_or_wrong",
    "namespace_paths_follow",
    "surrogates",
    "names_that_are_not_str",
    "hook_that_returns_none",
    "hook_taken_away",
    "finders_without_find_spec",
    "foreign_portions_between_ours",
    "importer_cache_is_a_kind_of_dict",
    "file_finder_subclass",
    "finder_internals_patched",
    "path_finder_subclasses",
    "private_helpers_keep_working",
    "specs_survive_pickle",
    "distributions",
    "an_unreadable_directory",
    "unreadable_files_are_found",
}


@pytest.mark.parametrize("subject", [SHARED, BEHIND], ids=lambda s: s.name)
@pytest.mark.parametrize("name", CASES)
def test_same_as_stock_when_another_process_has_learnt(
    name: str, subject: Subject, tmp_path: Path
) -> None:
    assert subject.learner is not None
    found = differences(CASES[name], subject, open_to_all(tmp_path))
    assert not found, "\n".join(found[:20])
    assert subject is BEHIND or subject.learner.used or name in WITHOUT_FACTS
