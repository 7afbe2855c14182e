"""How many instructions does fastpath add to ``python -c pass``, and what does any .pth file add?

By every CPython that is found here, each with a virtual environment for each state: no .pth file,
one with a comment, one with ``import sys``, and fastpath's. Instructions of user space by
callgrind, which no other load disturbs, and system calls by strace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import environment, interpreters, quiet, site_packages  # noqa: E402
from _measure import run, strace, system_calls  # noqa: E402

VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14", "3.15")
NONE, OURS = "no `.pth`", "fastpath's `.pth`"
STATES: Mapping[str, str | None] = {
    NONE: "",
    "a `.pth` with a comment": "# nothing\n",
    "a `.pth` with `import sys`": "import sys\n",
    OURS: None,
}
PROGRAMS = {"-c pass": "pass", "-c 'import colorsys'": "import colorsys"}
ACTIVE = "import sys; print('fastpath._native' in sys.modules)"
VARIABLES = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0"}
CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]


def no_valgrind() -> str | None:
    """Why nothing can be counted here; None if it can."""
    return None if shutil.which(CALLGRIND[0]) else "needs valgrind"


def ready(setting: Setting, version: str, base: str, state: str, home: Path) -> str:
    """The interpreter of an environment in this state, which is checked."""
    where = setting.scratch / f"{version}-{list(STATES).index(state)}"
    python = environment(where, base=base)
    site = Path(site_packages(python))
    content = STATES[state]
    if content is None:
        shutil.rmtree(site / "fastpath", ignore_errors=True)
        shutil.copytree(home / "fastpath", site / "fastpath")
        quiet([python, "-m", "fastpath", "enable"], VARIABLES)
    elif content:
        (site / "some.pth").write_text(content)
    told = run([python, "-c", ACTIVE], VARIABLES).output
    if told.strip() != str(state == OURS):
        raise SystemExit(f"start-up: {version}, {state}: wrong: {told}")
    return python


def instructions(command: list[str]) -> int:
    """Of one process, after one that has written what bytecode there was to write."""
    run(command, VARIABLES)
    done = subprocess.run(
        [*CALLGRIND, *command], env=VARIABLES, capture_output=True, text=True, check=True
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    assert found, done.stderr
    return int(found[1])


def measure(setting: Setting) -> Raw:
    here = ".".join(map(str, sys.version_info[:2]))
    found = interpreters([here] if setting.quick else VERSIONS)
    for version in VERSIONS if not setting.quick else ():
        setting.can(f"CPython {version}", None if version in found else "not found here")
    tracer = strace()
    setting.can("system calls", None if tracer else "needs strace")
    versions: Raw = {}
    if setting.can("counting", no_valgrind()):
        home = setting.fastpath()
        programs = list(PROGRAMS)[:1] if setting.quick else list(PROGRAMS)
        for version, base in found.items():
            setting.progress.stage(f"CPython {version}")
            versions[version] = {}
            for state in (NONE, OURS) if setting.quick else STATES:
                python = ready(setting, version, base, state, home)
                versions[version][state] = [
                    counted([python, "-c", PROGRAMS[program]], tracer) for program in programs
                ]
    return {"versions": versions}


def counted(command: list[str], tracer: str | None) -> list[float | None]:
    """Millions of instructions, and system calls."""
    calls = system_calls(tracer, command, environment=VARIABLES) if tracer else None
    return [round(instructions(command) / 1e6, 3), calls]


def tables(raw: Raw) -> str:
    parts = [
        "**Millions of instructions of user space**, and system calls: without any `.pth` file, "
        "and what each adds."
    ]
    rows = []
    for version, states in raw["versions"].items():
        for state, programs in states.items():
            cells = [version if state == NONE else "", state]
            for mine, base in zip(programs, states[NONE], strict=True):
                cells += added(mine, base, is_base=state == NONE)
            rows.append(cells)
    heading = ["CPython", ""]
    for program in list(PROGRAMS)[: (len(rows[0]) - 2) // 2] if rows else ():
        heading += [f"`{program}`", "system calls"]
    parts.append(markdown(heading, rows))
    return "\n\n".join(parts)


def added(mine: list[Any], base: list[Any], *, is_base: bool) -> list[str]:
    million, calls = mine
    if is_base:
        return [f"{million:.2f}", f"{calls or ''}"]
    more = million - base[0]
    return [f"+ {more:.2f}, {more / base[0]:.1%}", f"+ {calls - base[1]}" if calls else ""]


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
