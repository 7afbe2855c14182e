"""Outcomes of a run of CPython's test runner: read from what it wrote, compared with another's.

Pure: reads text, starts nothing, knows no interpreter. Called by run.py, tested by test_run.py.

Two sources are read, because neither is complete. The JUnit file names every test with its result,
but a test of which only a subtest failed has no name there, and errors in class and module fixtures
are missing. Those stand in the console output, as unittest's headings `FAIL: ...` and `ERROR: ...`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field

Outcomes = dict[str, tuple[str, ...]]
"""Test id -> what became of it, sorted; more than one where several tests share the id.

A pseudo id in angle brackets is a heading of the console, or speaks of the whole module.
"""

MODULE = "<module>"
SILENT = "did not run"
_FAILURES = ("failure", "error", "unexpected")
_KINDS = {"FAIL": "failure", "ERROR": "error", "UNEXPECTED SUCCESS": "unexpected success"}

_HEADING = re.compile(r"^={70}\n(FAIL|ERROR|UNEXPECTED SUCCESS): (.+)$", re.MULTILINE)
_SKIPPED = re.compile(r"^test\.\S+ (skipped -- .+)$", re.MULTILINE)
_MODIFIED = re.compile(r"^Warning -- (.+ was modified by .+)$", re.MULTILINE)

# What differs from run to run without meaning anything, and what we call it.
_NOISE = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x?"),
    (re.compile(r"@test_\d+_tmp\w*"), "@test_?_tmp"),
    (re.compile(r"test_python_\w+"), "test_python_?"),
    (re.compile(r"/tmp/[\w.-]+"), "/tmp/?"),
    (re.compile(r"\bpid[ =:]+\d+"), "pid ?"),
)


@dataclass
class Run:
    """One module's run in one environment."""

    outcomes: Outcomes = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    """Test id -> traceback, for what failed."""
    seconds: float = 0.0
    witness: str = SILENT
    """What the module that looks on said: `passed`, or why not."""
    counters: dict[str, object] = field(default_factory=dict)
    """fastpath's own, at the end of the run."""

    def counts(self) -> tuple[int, int, int]:
        """Tests run, skipped, failed; a failing subtest or fixture counts as one failure."""
        ran = sum(len(each) for name, each in self.outcomes.items() if not name.startswith("<"))
        skipped = sum(
            outcome.startswith("skipped") for each in self.outcomes.values() for outcome in each
        )
        failed = sum(
            outcome.startswith(_FAILURES) for each in self.outcomes.values() for outcome in each
        )
        return ran, skipped, failed


@dataclass(frozen=True)
class Difference:
    """A test id whose outcomes are not stock's; on either side one outcome per round."""

    test: str
    stock: tuple[str, ...]
    ours: tuple[str, ...]
    flaky: bool
    detail: str = ""


def normalise(text: str, places: Sequence[str] = ()) -> str:
    """`text` without what changes from run to run; `places` are this run's own, longest first."""
    for number, place in enumerate(places):
        text = text.replace(place, f"<place {number}>")
    for pattern, name in _NOISE:
        text = pattern.sub(name, text)
    return text


def parse(junit: str | None, console: str, exit_status: str, places: Sequence[str] = ()) -> Run:
    """The outcomes of one run.

    `junit` is the text of regrtest's --junit-xml file (None: it wrote none), `console` its whole
    output with -v, `exit_status` what became of the process, kept under the pseudo id `<module>`.
    """
    run = Run()
    seen: list[tuple[str, str]] = []
    for case in _cases(junit):
        name = normalise(case.get("name", "<unnamed>"), places)
        seen.append((name, _outcome(case, places)))
        run.details[name] = _detail(case)
    known = {name for name, outcome in seen if outcome.startswith(_FAILURES)}
    for kind, title in _HEADING.findall(console):
        if not known & _ids(title):
            seen.append((f"<{kind}: {normalise(title, places)}>", _KINDS[kind]))
    for text in _MODIFIED.findall(console):
        seen.append((f"<{normalise(text, places)}>", "modified"))
    seen += [(MODULE, normalise(text, places)) for text in _SKIPPED.findall(console)]
    seen.append((MODULE, exit_status))
    run.outcomes = _grouped(seen)
    run.details = {name: text for name, text in run.details.items() if text}
    run.details[MODULE] = console[-4000:] if exit_status != "exit 0" else ""
    return run


def take_witness(run: Run, witness: str) -> None:
    """Take the module named `witness` out of the comparison, and keep what it says."""
    mine = {
        name: each
        for name, each in run.outcomes.items()
        if name.lstrip("<").startswith(witness) or f"({witness}." in name
    }
    for name in mine:
        del run.outcomes[name]
    if mine:
        wrong = [name for name, each in mine.items() if each != ("passed",)]
        run.witness = (
            "; ".join(f"{name} {run.details.get(name, '')}".strip() for name in wrong) or "passed"
        )


def differing(stock: Outcomes, ours: Outcomes) -> list[str]:
    """The test ids that did not come out alike, in order.

    The whole module's is among them only where it alone differs.
    """
    names = sorted(name for name in stock.keys() | ours.keys() if stock.get(name) != ours.get(name))
    return [name for name in names if name != MODULE] or names


def judge(rounds: Sequence[tuple[Run, Run]]) -> list[Difference]:
    """The differences between stock and ours over one or more rounds of (stock, ours).

    Flaky is only what stock itself cannot decide: its outcome changed between the rounds, and ours
    showed nothing that stock did not show too. Everything else that ever differed is a difference.
    """
    names = {name for stock, ours in rounds for name in differing(stock.outcomes, ours.outcomes)}
    return [_difference(name, rounds) for name in sorted(names)]


def _difference(name: str, rounds: Sequence[tuple[Run, Run]]) -> Difference:
    stock = tuple(_shown(pair[0], name) for pair in rounds)
    ours = tuple(_shown(pair[1], name) for pair in rounds)
    flaky = len(set(stock)) > 1 and set(ours) <= set(stock)
    details = [run.details.get(name, "") for _, run in rounds] + [
        run.details.get(name, "") for run, _ in rounds
    ]
    return Difference(name, stock, ours, flaky, next(filter(None, details), ""))


def _cases(junit: str | None) -> list[ET.Element]:
    """The test cases of a JUnit file; none if it is missing, or cut off with its process."""
    try:
        return list(ET.fromstring(junit).iter("testcase")) if junit else []
    except ET.ParseError:
        return []


def _ids(title: str) -> set[str]:
    """The test ids that unittest's heading of a whole test may mean.

    In parentheses it has the class up to CPython 3.10, the whole id from 3.11.
    """
    match = re.fullmatch(r"(\S+) \((\S+)\)", title)
    return {match[2], f"{match[2]}.{match[1]}"} if match else set()


def _outcome(case: ET.Element, places: Sequence[str]) -> str:
    if "name" not in case.attrib:
        return "not passed"
    for child in case:
        if child.tag in ("failure", "error"):
            return f"{child.tag} {child.get('type', '')}"
        if child.tag == "skipped":
            return f"skipped {normalise(child.text or '', places)}"
        if child.tag == "output":
            return "expected failure"
        if child.tag == "outcome":
            return (child.text or "").lower().replace("_", " ")
    return "passed"


def _detail(case: ET.Element) -> str:
    texts = [
        child.text or ""
        for child in case
        if child.tag in ("failure", "error", "system-out", "system-err")
    ]
    return "\n".join(filter(None, texts))


def _grouped(seen: list[tuple[str, str]]) -> Outcomes:
    by_name: dict[str, list[str]] = {}
    for name, outcome in seen:
        by_name.setdefault(name, []).append(outcome)
    return {name: tuple(sorted(each)) for name, each in by_name.items()}


def _shown(run: Run, name: str) -> str:
    return " + ".join(run.outcomes.get(name, ("not run",)))
