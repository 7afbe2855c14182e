"""What the environment asks of fastpath, checked strictly.

At interpreter start an invalid value is ignored (an interpreter must never break); here, on
the command line, it is an error that names the variable, the value and the allowed ones.
Reads ``os.environ`` only; refuses to guess. Used by ``status``.
"""

import os
import sys
from typing import NamedTuple

from fastpath._problem import USAGE, Problem

BACKENDS = ("auto", "serial", "threads", "uring")
FRESHNESS = ("auto", "strict", "sealed")
CACHE = ("auto", "off")

# The settings of install(), and the variable, if any, that speaks when no argument does.
VARIABLES = {
    "backend": "FASTPATH_BACKEND",
    "freshness": "FASTPATH_FRESHNESS",
    "cache": "FASTPATH_CACHE_DIR",
}
_ALLOWED = {
    "FASTPATH": ("0", "1"),
    "FASTPATH_BACKEND": BACKENDS,
    "FASTPATH_FRESHNESS": FRESHNESS,
}


class Setting(NamedTuple):
    """One value and where it came from: ``argument``, ``default`` or a variable's name."""

    value: str
    origin: str


def variable(name: str) -> str | None:
    """Return the variable's value, or None if unset, empty, or not to be read (-E, -I)."""
    if sys.flags.ignore_environment:
        return None
    return os.environ.get(name) or None


def turned_off() -> bool:
    """Whether FASTPATH=0 keeps fastpath out of this process."""
    return variable("FASTPATH") == "0"


def check() -> None:
    """Raise Problem (exit code 2) for the first FASTPATH* variable whose value is invalid."""
    for name, allowed in _ALLOWED.items():
        value = variable(name)
        if value is not None and value not in allowed:
            raise Problem(f"{name} is {value!r}; allowed: {', '.join(allowed)}", USAGE)
    cache = variable("FASTPATH_CACHE_DIR")
    if cache is not None and cache not in CACHE and not cache.startswith("/"):
        allowed_caches = f"{', '.join(CACHE)}, the absolute path of a directory"
        raise Problem(f"FASTPATH_CACHE_DIR is {cache!r}; allowed: {allowed_caches}", USAGE)
    limit = variable("FASTPATH_CACHE_LIMIT")
    if limit is not None and not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= 4096):
        raise Problem(f"FASTPATH_CACHE_LIMIT is {limit!r}; allowed: 1 to 4096, in megabytes", USAGE)


def origin(setting: str, active_value: str | None) -> Setting:
    """Tell a setting of ``install()`` and its origin.

    ``active_value`` is what the installed finder uses, or None when it is not installed: then
    the answer is what it would use. A value that neither the environment nor the default
    explains can only have been an argument.
    """
    name = VARIABLES[setting]
    asked = variable(name)
    expected = Setting(asked, name) if asked else Setting("auto", "default")
    if active_value is None or active_value == expected.value:
        return expected
    return Setting(active_value, "argument")
