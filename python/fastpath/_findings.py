"""What ``doctor`` has found: each thing with what is the matter and what to do about it.

Words and their layout only; finds nothing itself. Used by ``_doctor``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict


class Finding(TypedDict):
    """One thing looked at: whether it is well, and if not, what to do."""

    check: str
    ok: bool
    told: str
    places: list[str]
    """The entries or directories it is about, where the text does not say."""
    remedy: str | None


def well(check: str, told: str, places: Iterable[str] = ()) -> Finding:
    """Make a finding about which nothing needs to be done."""
    return Finding(check=check, ok=True, told=told, places=list(places), remedy=None)


def to_do(check: str, told: str, remedy: str, places: Iterable[str] = ()) -> Finding:
    """Make a finding with its remedy."""
    return Finding(check=check, ok=False, told=told, places=list(places), remedy=remedy)


def render(findings: list[Finding]) -> str:
    """Lay the findings out: what is well, then what to do, remedies below."""
    width = max(len(finding["check"]) for finding in findings)
    lines: list[str] = []
    for title, ok in (("ok", True), ("to do", False)):
        group = [finding for finding in findings if finding["ok"] is ok]
        lines += [title] if group else []
        for finding in group:
            lines += _lines(finding, width)
    return "\n".join(lines)


def _lines(finding: Finding, width: int) -> list[str]:
    margin = " " * (width + 4)
    lines = [f"  {finding['check'].ljust(width)}  {finding['told']}"]
    lines += [f"{margin}  {place}" for place in finding["places"]]
    return lines if finding["remedy"] is None else [*lines, f"{margin}{finding['remedy']}"]
