"""What starting an interpreter takes with fastpath and without: instructions, calls and faults.

Makes two virtual environments of each interpreter named, enables fastpath in one of them, and runs
`python -c pass` in both: below valgrind (user instructions), below strace (system calls), and by
itself without address space randomization (page faults without a read). The least of three, and
for faults the median of 31. Writes only below the directory named.

Example: count.py --wheel target/wheels/*.whl --work /tmp/count ~/.pyenv/versions/3.13.0/bin/python
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import time
import zipfile
from pathlib import Path

COMMAND = ["-c", "pass"]


def environment(work: Path) -> dict[str, str]:
    """Nothing of the caller's, and the same hashes each time."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(work / "home"), "PYTHONHASHSEED": "0"}


def made(python: str, where: Path, wheel: Path, enabled: bool) -> str:
    """A virtual environment with bytecode, and with the table that the first starts leave."""
    subprocess.run([python, "-m", "venv", "--clear", "--without-pip", where], check=True)
    ours = str(where / "bin/python")
    zipfile.ZipFile(wheel).extractall(next(where.glob("lib/python*/site-packages")))
    commands = [["-m", "fastpath", "enable"]] if enabled else []
    for command in [*commands, COMMAND, COMMAND, COMMAND]:
        subprocess.run(
            [ours, *command], env=environment(where.parent), check=True, stdout=subprocess.DEVNULL
        )
        time.sleep(1.2)  # what has just changed goes into no table
    return ours


def instructions(python: str, env: dict[str, str]) -> int:
    """User instructions, by callgrind."""
    tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*tool, python, *COMMAND], env=env, check=True, capture_output=True, text=True
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def system_calls(python: str, env: dict[str, str]) -> int:
    """System calls, of all threads."""
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "signal=none", python, *COMMAND],
        env=env,
        check=True,
        capture_output=True,
        text=True,
    )
    return sum("(" in line for line in done.stderr.splitlines())


def faults(python: str, env: dict[str, str]) -> int:
    """Page faults that needed no read."""
    process = subprocess.Popen(["/usr/bin/setarch", "-R", python, *COMMAND], env=env)
    return os.wait4(process.pid, 0)[2].ru_minflt


def main() -> None:
    """One line for each interpreter."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("pythons", nargs="+", metavar="PYTHON")
    given = parser.parse_args()
    given.work.mkdir(exist_ok=True)
    env = environment(given.work)
    print(f"{'':24}{'million instructions':>24}{'system calls':>16}{'faults':>12}")
    for number, python in enumerate(given.pythons):
        rows = []
        for name in ("off", "on"):
            ours = made(python, given.work / f"{number}-{name}", given.wheel, name == "on")
            rows.append(
                (
                    min(instructions(ours, env) for _ in range(3)) / 1e6,
                    min(system_calls(ours, env) for _ in range(3)),
                    statistics.median(faults(ours, env) for _ in range(31)),
                )
            )
        off, on = rows
        told = [f"{off[0]:.2f} {on[0] - off[0]:+.2f}"]
        told += [f"{a:.0f} {b - a:+.0f}" for a, b in zip(off[1:], on[1:], strict=True)]
        print(f"{python[-23:]:24}{told[0]:>24}{told[1]:>16}{told[2]:>12}", flush=True)


if __name__ == "__main__":
    main()
