"""The experiments that can be run again still can: small sizes, and what they count."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from support import SECONDS, need

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
FOLDERS = sorted(EXPERIMENTS.glob("[0-9]*-*"))
# What an experiment cannot do anything without, so that nothing could be left out.
NEEDS = {"0001": ("strace", "uring")}


def by_name(folders: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("folder", folders, ids=lambda folder: folder.name)


def loaded(file: Path) -> ModuleType:
    """The module of this file, called by its folder's name."""
    sys.path.insert(0, str(EXPERIMENTS))
    try:
        spec = importlib.util.spec_from_file_location(f"{file.parent.name}.{file.stem}", file)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module
    finally:
        sys.path.remove(str(EXPERIMENTS))


@by_name(FOLDERS)
def test_the_index_has_it(folder: Path) -> None:
    index = (EXPERIMENTS / "README.md").read_text()
    assert f"[{folder.name[:4]}]({folder.name}/README.md)" in index
    text = (folder / "README.md").read_text()
    assert text.startswith(f"# {folder.name[:4]}: ")
    assert "\n**Question.** " in text
    assert "\n## Verdict\n" in text


@by_name(FOLDERS)
def test_small_sizes(folder: Path, tmp_path: Path) -> None:
    """It runs from end to end; its measure.py compares answers before it measures."""
    for feature in NEEDS.get(folder.name[:4], ()):
        need(feature)
    file = tmp_path / "results.json"
    command = [sys.executable, str(folder / "measure.py"), "--quick", "--json", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * SECONDS)
    assert done.returncode == 0, done.stderr
    report = json.loads(file.read_text())
    assert report["quick"]
    assert report["results"]
    assert "nan" not in done.stdout
    # As much as is kept, in the same shape; nobody kept what was left out.
    kept = json.loads((folder / "results.json").read_text())
    if not report["left_out"]:
        assert report["results"].keys() == kept["results"].keys()


@by_name(FOLDERS)
def test_its_readme_says_what_was_measured(folder: Path) -> None:
    experiment = loaded(EXPERIMENTS / "_experiment.py")
    measure = loaded(folder / "measure.py")
    report = json.loads((folder / "results.json").read_text())
    assert not report["quick"]
    block = experiment.results_block(report, measure.EXPERIMENT)
    text = (folder / "README.md").read_text()
    assert experiment.with_block(text, block) == text, "measure.py --render writes it"
    if measure.EXPERIMENT.draw:
        assert (folder / experiment.FIGURE).read_text().startswith("<?xml")


def test_the_runner_knows_them() -> None:
    command = [sys.executable, str(EXPERIMENTS / "run.py")]
    done = subprocess.run([*command, "--list"], capture_output=True, text=True, check=True)
    assert re.findall(r"^[0-9]{4}", done.stdout, re.MULTILINE)
    done = subprocess.run([*command, "9999"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no experiment 9999" in done.stderr
