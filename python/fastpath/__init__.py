"""Python imports that ask the filesystem once.

``import fastpath; fastpath.install()`` makes every later import of this process go through
the native finder; ``python -m fastpath enable`` does it for every interpreter of an
environment. Each function's documentation stands in ``_native.pyi`` and in its docstring.

This file runs when an interpreter starts: it imports the native module and nothing else.
"""

from fastpath._native import (
    __version__,
    backends,
    explain,
    install,
    is_installed,
    probe,
    stats,
    uninstall,
)

__all__ = [
    "__version__",
    "backends",
    "explain",
    "install",
    "is_installed",
    "probe",
    "stats",
    "uninstall",
]
