"""Describes every loaded module as import left it; printed as JSON, to compare two processes.

Executed at the end of a measured program, in its own interpreter, after the clock has stopped.
Leaves out what is meant to differ: fastpath's own modules, and the measured program itself
(__main__, which multiprocessing also calls __mp_main__).
"""

from __future__ import annotations

import sys
from types import ModuleType


def spec_of(module: ModuleType) -> list[object] | None:
    """Everything a ModuleSpec says, in plain values."""
    spec = getattr(module, "__spec__", None)
    if spec is None:
        return None
    locations = spec.submodule_search_locations
    return [
        spec.name,
        f"{type(spec).__module__}.{type(spec).__qualname__}",
        loader_of(spec.loader),
        spec.origin,
        spec.cached,
        None if locations is None else [type(locations).__qualname__, *map(str, locations)],
        spec.has_location,
        spec.parent,
        repr(spec.loader_state) if isinstance(spec.loader_state, (str, int)) else None,
    ]


def loader_of(loader: object) -> list[object]:
    """A loader's class and what it was made with. Classes as loaders (frozen, built-in) too."""
    kind = loader if isinstance(loader, type) else type(loader)
    made_with = [getattr(loader, name, None) for name in ("name", "path")]
    return [kind.__module__, kind.__qualname__, *map(str, made_with)]


def describe(modules: dict[str, ModuleType]) -> dict[str, list[object]]:
    """Name to spec, `__file__` and `__path__`, for every module that is not ours."""
    answer: dict[str, list[object]] = {}
    for name, module in sorted(modules.items()):
        if name in ("__main__", "__mp_main__") or name.partition(".")[0] == "fastpath":
            continue
        path = getattr(module, "__path__", None)
        locations = None if path is None else list(map(str, path))
        answer[name] = [spec_of(module), getattr(module, "__file__", None), locations]
    return answer


if __name__ == "__main__":
    loaded = dict(sys.modules)
    found = describe(loaded)
    import json

    json.dump(found, sys.stdout)
