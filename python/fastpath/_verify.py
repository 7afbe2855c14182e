"""Asks a fresh interpreter whether it came up with fastpath installed. Used by ``_enable``."""

import os
import subprocess
import sys

from fastpath._problem import Problem

# The child must not import fastpath itself before it has answered.
_QUESTION = """\
import sys
native = sys.modules.get("fastpath._native")
if native is not None:
    print("installed" if native.is_installed() else "declined")
else:
    try:
        import fastpath._native
    except BaseException as error:
        print("broken", error)
    else:
        print("unread")
"""
_WHY_NOT = {
    "declined": "it was started but did not install itself",
    "broken": "the interpreter cannot import it",
    "unread": "the interpreter does not read .pth files there",
}
_SECONDS = 60


def verify() -> None:
    """Raise Problem, saying why, unless a fresh interpreter comes up with fastpath installed.

    The child sees our environment without FASTPATH*, which may say no for this shell only.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FASTPATH")}
    environment["FASTPATH_DEBUG"] = "1"
    command = [sys.executable, "-c", _QUESTION]
    try:
        child = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Problem(f"cannot start {sys.executable}: {error}") from error
    answer, _, detail = child.stdout.strip().partition(" ")
    if answer == "installed":
        return
    said = [line for line in child.stderr.splitlines() if line.startswith("fastpath:")]
    reason = _WHY_NOT.get(answer, f"it exited with code {child.returncode}")
    why = "; ".join(part for part in (reason, detail, *said) if part)
    raise Problem(f"a fresh {sys.executable} came up without fastpath: {why}")
