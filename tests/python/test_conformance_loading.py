"""Every loading case, played to stock and to a subject: what they saw must be equal.

The subjects are a pure copy of stock's loading (which proves the pictures sane) and fastpath in
its modes. ``loading_child.py`` plays the same cases under an auditing hook and ``-v``.
"""

from __future__ import annotations

from pathlib import Path

import cases_loading_api
import cases_loading_files
import cases_loading_hash
import cases_loading_hooks
import cases_loading_module
import cases_loading_pyc
import cases_loading_source
import pytest
from learner import HEARS_STARTING, Learner
from mutants_loading import COPY
from oracle import differing
from subjects import AUTO_AHEAD, STOCK, Subject, ours
from test_conformance import open_to_all, seen_by
from world import Case

# Loading asks nobody in batches: which engine answers lookups makes no difference to it.
OURS = [ours("auto", "auto"), ours("strict", "serial"), ours("sealed", "auto")]

CASES: dict[str, Case] = {}
MODULES = [
    cases_loading_pyc,
    cases_loading_files,
    cases_loading_hash,
    cases_loading_api,
    cases_loading_source,
    cases_loading_hooks,
    cases_loading_module,
]
for _module in MODULES:
    assert not CASES.keys() & _module.CASES.keys(), "two cases share a name"
    CASES.update(_module.CASES)


# Cases whose files are not where they usually are, that put something into importlib, that load as
# nobody, or that ask importlib by themselves.
WITHOUT_FACTS = {
    "permissions_of_what_is_written",
    "a_relative_prefix_follows_the_working_directory",
    "the_other_methods",
    "a_class_that_looks_its_attributes_up_otherwise",
    "patched_functions",
    "patched_functions_that_answer_otherwise",
    "patched_modules_below",
    "patched_names_in_importlib",
    "files_opened_by_somebody",
    "not_to_be_read",
    "not_to_be_written",
    "hashes_of_what_cannot_be_read",
    "sizes_out_of_range",
    "another_implementation",
    "other_flags",
    "zip_files",
    "specs_that_are_only_found",
    "called_by_hand",
    "specs_with_another_value",
    "other_loaders_and_specs",
}
SHARED = ours("strict", "serial", learner=Learner())
BEHIND = ours("auto", "auto", learner=Learner(behind=True))


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        pytest.param(name, subject, id=f"{name}-{subject.name}")
        for name in CASES
        for subject in [COPY, *OURS, AUTO_AHEAD, SHARED, BEHIND]
        if subject not in (SHARED, BEHIND) or name not in HEARS_STARTING
    ],
)
def test_same_as_stock(name: str, subject: Subject, tmp_path: Path) -> None:
    base = open_to_all(tmp_path)
    # The standard library imports parts of itself, the first time only.
    seen_by(STOCK, CASES[name], base / "warm", told=False)
    ours = seen_by(subject, CASES[name], base, told=False)
    stock = seen_by(STOCK, CASES[name], base, told=False)
    assert stock, "a case that sees nothing proves nothing"
    found = list(differing(stock, ours))
    assert not found, "\n".join(found[:20])
    if subject is SHARED:
        assert SHARED.learner is not None
        assert SHARED.learner.used or name in WITHOUT_FACTS
