"""What installing leaves to be seen: the same objects, places and names."""

from __future__ import annotations

import importlib
import importlib._bootstrap_external as external
import importlib.metadata
import inspect
import pydoc
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from typing import Any

import pytest

import fastpath

REPLACED = ["find_spec", "_get_spec"]
BEFORE = dict(vars(PathFinder))


@pytest.fixture
def installed() -> Iterator[None]:
    assert fastpath.install()
    yield
    fastpath.uninstall()


def _state() -> dict[str, Any]:
    return {
        "meta_path": list(sys.meta_path),
        "path_hooks": list(sys.path_hooks),
        "path": list(sys.path),
        "identities": [id(x) for x in (sys.meta_path, sys.path_hooks, sys.path_importer_cache)],
        "finder": sys.meta_path[-1] if sys.meta_path else None,
        "class": (PathFinder.__name__, PathFinder.__module__, PathFinder.__mro__),
        "doc": PathFinder.__doc__,
        "members": list(vars(PathFinder)),
    }


def test_nothing_in_sys_changes() -> None:
    before = _state()
    assert fastpath.install()
    during = _state()
    fastpath.uninstall()
    assert during == before
    assert _state() == before


def test_uninstall_restores_the_very_same_objects() -> None:
    assert fastpath.install()
    assert vars(PathFinder)["find_spec"] is not BEFORE["find_spec"]
    fastpath.uninstall()
    for name, value in BEFORE.items():
        assert vars(PathFinder)[name] is value, name


def test_twice_is_once() -> None:
    assert fastpath.install()
    bodies = [vars(PathFinder)[name] for name in REPLACED]
    assert fastpath.install()
    assert [type(vars(PathFinder)[name]) for name in REPLACED] == [type(b) for b in bodies]
    fastpath.uninstall()
    assert not fastpath.is_installed()
    fastpath.uninstall()
    for name, value in BEFORE.items():
        assert vars(PathFinder)[name] is value, name


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", REPLACED)
def test_replaced_bodies_bear_the_original_names(name: str) -> None:
    ours, stock = vars(PathFinder)[name], BEFORE[name]
    assert type(ours) is type(stock)
    for attribute in ("__name__", "__qualname__", "__module__", "__doc__"):
        expected = getattr(stock.__func__, attribute)
        assert getattr(ours.__func__, attribute) == expected, attribute
        assert getattr(getattr(PathFinder, name), attribute) == expected, attribute


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", REPLACED)
def test_signatures(name: str) -> None:
    bound = BEFORE[name].__get__(None, PathFinder)
    assert str(inspect.signature(getattr(PathFinder, name))) == str(inspect.signature(bound))


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", REPLACED)
def test_bound_methods_look_alike(name: str) -> None:
    bound: Any = BEFORE[name].__get__(None, PathFinder)
    ours = getattr(PathFinder, name)
    assert getattr(ours, "__self__", None) is getattr(bound, "__self__", None) or name not in (
        "find_spec",
        "_get_spec",
    )
    assert callable(ours)
    assert ours == getattr(PathFinder, name), "two accesses compare equal, as stock's do"
    assert hash(ours) == hash(getattr(PathFinder, name))


@pytest.mark.usefixtures("installed")
def test_help_is_the_same() -> None:
    def shown() -> list[str]:
        text = pydoc.plain(pydoc.render_doc(PathFinder))
        return [line for line in text.splitlines() if " at 0x" not in line]

    ours = shown()
    fastpath.uninstall()
    assert ours == shown()


@pytest.mark.usefixtures("installed")
def test_the_class_can_be_subclassed_and_super_called() -> None:
    class Sub(PathFinder):
        @classmethod
        def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> Any:
            return super().find_spec(fullname, path, target)

    assert Sub.find_spec("json") == PathFinder.find_spec("json")
    assert Sub.find_spec("json.absent") is None


@pytest.mark.usefixtures("installed")
def test_epoch_moves_by_one() -> None:
    namespace_path: Any = getattr(external, "_NamespacePath", None) or external.NamespacePath  # type: ignore[attr-defined]
    before = namespace_path._epoch
    importlib.invalidate_caches()
    assert namespace_path._epoch == before + 1


@pytest.mark.usefixtures("installed")
def test_metadata_still_finds_this_environment() -> None:
    assert importlib.metadata.version("pytest") == pytest.__version__
    assert len(list(importlib.metadata.distributions())) > 3


def test_specs_outlive_uninstall(tmp_path: Any) -> None:
    (tmp_path / "n").mkdir()
    assert fastpath.install()
    sys.path.insert(0, str(tmp_path))
    try:
        spec: Any = PathFinder.find_spec("n")
        fastpath.uninstall()
        sys.path.append(str(tmp_path / "later"))
        (tmp_path / "later" / "n").mkdir(parents=True)
        importlib.invalidate_caches()
        assert list(spec.submodule_search_locations) == [
            str(tmp_path / "n"),
            str(tmp_path / "later" / "n"),
        ]
    finally:
        sys.path[:] = [e for e in sys.path if not e.startswith(str(tmp_path))]
