"""Builds programs with cargo and says where they are, so that building is no part of what is timed.

For the experiments that measure what is written in Rust.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path


def no_cargo() -> str | None:
    """Why nothing can be built here; None if it can."""
    return None if shutil.which("cargo") else "needs cargo"


def built(options: Sequence[str], name: str, where: Path) -> str:
    """The executable of the target of that name, after `cargo OPTIONS` has built it in `where`.

    `options` begin with a subcommand of cargo that takes --message-format, as `build` and `bench`
    (with --no-run). SystemExit if it fails.
    """
    command = ["cargo", *options, "--locked", "--quiet", "--message-format", "json"]
    done = subprocess.run(command, cwd=where, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"failed: {' '.join(command)}")
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    for message in reversed(said):
        if message.get("executable") and message["target"]["name"] == name:
            return str(message["executable"])
    raise SystemExit(f"no executable of {name} from: {' '.join(command)}")
