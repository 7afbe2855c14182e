"""Loading fastpath itself from a slow filesystem: its code is read together, not as it is run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from test_look_ahead import slow_mount

import fastpath
from support import clean_environment

PACKAGE = Path(fastpath.__file__).parent


def test_code_is_read_together(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "fastpath").mkdir(parents=True)
    (source / "fastpath" / "__init__.py").touch()
    native = next(PACKAGE.glob("_native.*"))
    shutil.copy(native, source / "fastpath")
    with slow_mount(source, tmp_path / "slow") as slow:

        def waits() -> int:
            return int(json.loads((slow / ".slowfs-stats").read_text())["waits"])

        before = waits()
        program = (
            f"import sys; sys.path.insert(0, {str(slow)!r}); import fastpath._native as n; "
            "n.install(cache='off'); import json; print(n.__file__)"
        )
        command = [sys.executable, "-I", "-S", "-B", "-c", program]
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True)
        assert done.stdout.strip() == str(slow / "fastpath" / native.name), done
        waited = waits() - before
    # Measured: 27, and 49 when each part was read as it was first run.
    assert waited < 36, waited
