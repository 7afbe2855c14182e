"""What do fastpath.pth and its PEP 829 counterpart, fastpath.start, add to ``python -c pass``?

Makes a virtual environment of the interpreter it is run with, which must have fastpath installed,
and times it in interleaved fresh processes: not enabled, enabled, enabled with ``--start-file``
(CPython 3.15 and later). Prints medians of wall time and their ratio to "not enabled", after
checking that each state is what it says. RESULTS below are what it printed when it was decided
that a .start file is written on request only until CPython 3.18 needs it: its first entry point
makes `site` import pkgutil, and that re.

usage: python experiments/0102-start-file/measure.py [ROUNDS]
"""

import importlib.util
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STATES: dict[str, list[str]] = {"not enabled": ["disable"], ".pth": ["enable"]}
if sys.version_info >= (3, 15):
    STATES[".pth and .start"] = ["enable", "--start-file"]
ACTIVE = "import sys; print('fastpath._native' in sys.modules)"

RESULTS = """
on a busy machine with two cores, 41 rounds; the ratios are what to read:
CPython 3.15.2  not enabled  23.87 ms    .pth  1.045 x    .pth and .start  1.731 x
CPython 3.14.10 not enabled  15.88 ms    .pth  1.131 x
CPython 3.13.0  not enabled  23.19 ms    .pth  1.146 x
CPython 3.10.13 not enabled  16.89 ms    .pth  1.149 x
instructions on 3.13.0 (valgrind --tool=callgrind): no .pth 45.50 M, a .pth with a comment in it
46.96 M (site imports encodings.utf_8_sig for it), a .pth with a trivial import line 47.50 M,
ours 48.87 M
"""


def make_venv(directory: Path) -> Path:
    """Make the environment, with this interpreter's fastpath in it; return its python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    python = directory / "bin" / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout
    spec = importlib.util.find_spec("fastpath")
    if spec is None or spec.origin is None:
        sys.exit("start_file: fastpath is not installed in this interpreter")
    shutil.copytree(Path(spec.origin).parent, Path(site.strip()) / "fastpath")
    return python


def put_in(state: str, python: Path) -> None:
    """Bring the environment into the state, and check that it is in it."""
    subprocess.run([python, "-m", "fastpath", *STATES[state]], check=True, capture_output=True)
    told = subprocess.run([python, "-c", ACTIVE], capture_output=True, text=True, check=True)
    if told.stdout.strip() != str(state != "not enabled"):
        sys.exit(f"start_file: {state}: wrong: {told.stdout}{told.stderr}")


def seconds(python: Path) -> float:
    """Time one ``python -c pass``."""
    started = time.perf_counter()
    subprocess.run([python, "-c", "pass"], check=True)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 25
    times: dict[str, list[float]] = {state: [] for state in STATES}
    with tempfile.TemporaryDirectory() as temporary:
        # One environment for each state: switching one would write between the measurements.
        pythons = {s: make_venv(Path(temporary) / str(i)) for i, s in enumerate(STATES)}
        for state, python in pythons.items():
            put_in(state, python)
        for _ in range(rounds):
            for state, python in pythons.items():
                times[state].append(seconds(python))
    stock = statistics.median(times["not enabled"])
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"CPython {version}, medians of {rounds}")
    for state, values in times.items():
        median = statistics.median(values)
        print(f"  {state:15}  {median * 1e3:6.2f} ms  {median / stock:5.3f} x")


if __name__ == "__main__":
    main()
