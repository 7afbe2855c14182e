"""What do fastpath.pth and its PEP 829 counterpart, fastpath.start, add to ``python -c pass``?

By every CPython that is found here, each with a virtual environment for each state: not enabled,
enabled, enabled with ``--start-file`` (CPython 3.15 and later). Each state is checked before it is
timed, in interleaved fresh processes.
"""

from __future__ import annotations

import shutil
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import environment, interpreters, quiet, site_packages  # noqa: E402
from _measure import Run, cpu, interleave, median, strace, system_calls, wall  # noqa: E402
from _measure import run as run_once  # noqa: E402

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
BOTH = {"3.15"}
"""Those that read .start files, and .pth files still."""
STATES = {
    "not enabled": ["disable"],
    ".pth": ["enable"],
    ".pth and .start": ["enable", "--start-file"],
}
FIRST, *ADDED = STATES
ACTIVE = "import sys; print('fastpath._native' in sys.modules)"
# What the user has set must not decide what is measured.
VARIABLES = {"PATH": "/usr/bin:/bin"}


def ready(setting: Setting, version: str, base: str, state: str, home: Path) -> str:
    """The interpreter of an environment in this state, which is checked."""
    where = setting.scratch / f"{version}-{list(STATES).index(state)}"
    python = environment(where, base=base)
    package = Path(site_packages(python), "fastpath")
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(home / "fastpath", package)
    quiet([python, "-m", "fastpath", *STATES[state]], VARIABLES)
    for _ in range(2):
        told = run_once([python, "-c", ACTIVE], VARIABLES).output
    if told.strip() != str(state != FIRST):
        raise SystemExit(f"start-file: {version}, {state}: wrong: {told}")
    return python


def measure(setting: Setting) -> Raw:
    here = ".".join(map(str, sys.version_info[:2]))
    found = interpreters([here] if setting.quick else VERSIONS)
    for version in VERSIONS if not setting.quick else ():
        setting.can(f"CPython {version}", None if version in found else "not found here")
    home, tracer = setting.fastpath(), strace()
    setting.can("system calls", None if tracer else "needs strace")
    raw: Raw = {}
    for version, base in found.items():
        setting.progress.stage(f"CPython {version}")
        states = [s for s in STATES if s != ADDED[-1] or version in BOTH]
        pythons = {state: ready(setting, version, base, state, home) for state in states}
        commands = {state: [python, "-c", "pass"] for state, python in pythons.items()}
        calls = (
            {s: system_calls(tracer, c, environment=VARIABLES) for s, c in commands.items()}
            if tracer
            else {}
        )
        runs = interleave(
            {s: partial(run_once, c, VARIABLES) for s, c in commands.items()},
            setting.rounds(41),
            tick=setting.progress.tick,
        )
        raw[version] = {
            state: compared(mine, runs[FIRST]) | {"calls": calls.get(state)}
            for state, mine in runs.items()
        }
    return {"versions": raw}


def compared(mine: Sequence[Run], base: Sequence[Run]) -> Raw:
    """Medians, and medians of the ratios to "not enabled" in the same round."""
    return {
        "wall_ms": round(median(mine, wall) * 1e3, 2),
        "wall": ratio([wall(run) for run in mine], [wall(run) for run in base]),
        "cpu_ms": round(median(mine, cpu) * 1e3, 2),
        "cpu": ratio([cpu(run) for run in mine], [cpu(run) for run in base]),
    }


def ratio(mine: Sequence[float], base: Sequence[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(mine, base, strict=True)), 3)


def tables(raw: Raw) -> str:
    rows = []
    for version, states in reversed(raw["versions"].items()):
        for state, of in states.items():
            rows.append(
                [
                    version if state == FIRST else "",
                    state,
                    f"{of['wall_ms']:.2f} ms",
                    "" if state == FIRST else f"{of['wall']:.3f} ×",  # noqa: RUF001
                    f"{of['cpu_ms']:.2f} ms",
                    "" if state == FIRST else f"{of['cpu']:.3f} ×",  # noqa: RUF001
                    of["calls"] or "",
                ]
            )
    heading = ["CPython", "", "wall", "to not enabled", "CPU", "to not enabled", "system calls"]
    return "`python -c pass`, medians.\n\n" + markdown(heading, rows)


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
