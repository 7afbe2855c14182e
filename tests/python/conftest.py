"""Fixtures of the Python tests; what they are made of stands in ``support``."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import Python, Result, Venv, find_pythons, make_venv, need, run_python


@pytest.fixture(scope="session", autouse=True)
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test leaves a table in the cache of whoever runs it, or finds one there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("caches")))
        yield


@pytest.fixture(scope="session")
def pythons() -> tuple[Python, ...]:
    """Every CPython found, 3.10 and later; the test is skipped if there is but one."""
    need("pythons")
    return find_pythons()


@pytest.fixture(name="run_python")
def run_python_fixture() -> Callable[..., Result]:
    """``run_python(arguments, env=None, python=None)``, in a clean environment."""
    return run_python


@pytest.fixture
def venv(tmp_path: Path) -> Venv:
    """A fresh virtual environment of the running interpreter, with fastpath in it."""
    return make_venv(tmp_path / "venv")


@pytest.fixture(scope="module")
def shared_venv(tmp_path_factory: pytest.TempPathFactory) -> Venv:
    """One virtual environment for the tests of a file that leave it as they found it."""
    return make_venv(tmp_path_factory.mktemp("shared") / "venv")


@pytest.fixture(params=find_pythons(), ids=lambda python: python.name)
def each_python(request: pytest.FixtureRequest) -> Python:
    """Each CPython found, one after the other."""
    python: Python = request.param
    return python
