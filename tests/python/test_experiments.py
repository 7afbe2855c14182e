"""The experiments that can be run again still can: small sizes, and what they count."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from support import SECONDS, need

EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def test_the_seeds_question() -> None:
    need("strace")
    need("uring")
    script = EXPERIMENTS / "0001-the-seeds-question" / "measure.py"
    arguments = ["--only", "hot", "--rounds", "1", "--program", "import json"]
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    recorded, *tables = done.stdout.split("\n\n")
    # A replay with a result that is not the recorded one would have ended it.
    assert "of the library, which are replayed: getdents" in recorded
    assert tables[0].startswith("hot ")
    ways = [line.split("  ")[0] for line in tables[1].splitlines()[2:]]
    assert ways[:4] == ["serial", "uring", "uring, 128 workers", "uring, 128, by 16"]
    assert len(ways) == 7
