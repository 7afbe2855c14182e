"""Plays the loading cases to stock and to fastpath in one interpreter that listens to everything.

Run as a script by ``test_conformance_loading_child.py``: ``loading_child.py FRESHNESS BACKEND
[ahead | shared] DIRECTORY``, in a process of its own, for auditing hooks cannot be taken back.
Hears the auditing events of each load with their arguments, and with ``-v`` what the interpreter
says. Prints one JSON object: how much was heard, and where stock and fastpath differ.
"""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import cases_loading_api
import cases_loading_files
import cases_loading_hash
import cases_loading_hooks
import cases_loading_module
import cases_loading_pyc
import cases_loading_source
import loading
from learner import HEARS_STARTING, Learner
from loading import TEMPORARY, code_bytes
from oracle import ADDRESS, differing
from subjects import STOCK, Subject, ours
from world import Case, play

CASES: dict[str, Case] = {
    **cases_loading_pyc.CASES,
    **cases_loading_files.CASES,
    **cases_loading_hash.CASES,
    **cases_loading_api.CASES,
    **cases_loading_hooks.CASES,
    **cases_loading_module.CASES,
    **cases_loading_source.CASES,
}
# What finding and compiling report is compared elsewhere; this is what loading reports.
HEARD = (
    "open",
    "import",
    "marshal",
    "compile",
    "exec",
    "code",
    "os.mkdir",
    "os.rename",
    "os.remove",
)
# What -v says of finding, and of modules that are collected at whatever moment.
APART = re.compile(r"^# (trying|possible namespace|destroy) .*\n", re.MULTILINE)
SHOWN = 20
# It writes files itself, and those of whoever was asked first are there when it is asked again.
WRITING = {"the_other_methods"}

_events: list[object] | None = None


def _listen(event: str, args: tuple[Any, ...]) -> None:
    global _events  # noqa: PLW0603
    heard = _events
    if heard is None or not event.startswith(HEARD):
        return
    _events = None  # picturing an argument is heard as well
    try:
        heard.append((event, [_plain(a) for a in args]))
    finally:
        _events = heard


def _plain(value: Any) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return ("bytes", bytes(value)[:4000])
    if hasattr(value, "co_filename"):
        return code_bytes(value)
    return TEMPORARY.sub("", ADDRESS.sub("", repr(value)))


@contextlib.contextmanager
def _hearing() -> Iterator[list[object]]:
    global _events  # noqa: PLW0603
    heard: list[object] = []
    said = io.StringIO()
    _events = heard
    try:
        with contextlib.redirect_stderr(said):
            yield heard
    finally:
        _events = None
        lines = TEMPORARY.sub("", ADDRESS.sub("", APART.sub("", said.getvalue())))
        heard.append(lines.splitlines())


def _seen(subject: Subject, case: Case, base: Path) -> list[object]:
    with subject.active():
        settling, learner = subject.settling, subject.learner
        return play(case, base, subject.name, settling=settling, learner=learner)


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """What another process does, and starting anew, is not part of a load."""
    global _events  # noqa: PLW0603
    heard, _events = _events, None
    try:
        yield
    finally:
        _events = heard


def _pieces(seen: Any) -> int:
    """How many things were heard."""
    return sum(len(s) - 1 for s in seen if isinstance(s, tuple) and s[:1] == ("heard",))


def main() -> None:
    """Compare, and print the result."""
    freshness, backend, *more, place = sys.argv[1:]
    learner = Learner(apart=_deaf) if more == ["shared"] else None
    subject = ours(freshness, backend, ahead=more == ["ahead"], learner=learner)
    sys.addaudithook(_listen)
    loading.listening.append(_hearing)
    different: list[str] = []
    heard = 0
    for name, case in CASES.items():
        if learner and name in WRITING | HEARS_STARTING:
            continue
        base = Path(place, name)
        _seen(STOCK, case, base / "warm")
        stock, other = _seen(STOCK, case, base), _seen(subject, case, base)
        different += differing(stock, other, name)
        heard += _pieces(stock)
    result = {"different": different[:SHOWN], "differences": len(different), "heard": heard}
    print(json.dumps({**result, "cases": len(CASES), "verbose": sys.flags.verbose}))


if __name__ == "__main__":
    main()
