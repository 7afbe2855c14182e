"""Interpreters, and how to start programs beside them: here, or inside a root made for them.

Finds CPythons, makes their environments, runs commands with a time limit. Knows no outcomes. Called
by run.py and bench.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OLDEST = (3, 10)
_NAMES = tuple(f"python3.{minor}" for minor in range(10, 16))
_DESCRIBE = """
import importlib.util, json, os, platform, sys, sysconfig
def shipped(name):
    try:
        return importlib.util.find_spec("test." + name) is not None
    except ImportError:
        return False
free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
print(json.dumps({
    "version": platform.python_version() + ("t" if free else ""),
    "tuple": sys.version_info[:2],
    "implementation": sys.implementation.name,
    "real": os.path.realpath(sys.executable),
    "in_venv": sys.prefix != sys.base_prefix,
    "tests": [n for n in ["libregrtest", *sys.argv[1:]] if shipped(n)],
}))
"""

# Mounts made in a namespace of the command's own vanish with it: nothing is ever left mounted.
_MOUNT_AND_ENTER = """
mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && exec chroot "$0" "$@"
"""


class PlaceError(Exception):
    """An interpreter, an environment or a root that cannot be used; the message says why."""


@dataclass(frozen=True)
class Interpreter:
    """A CPython that ships its own tests. `executable` is its path as seen from inside `root`."""

    version: str
    executable: str
    tests: frozenset[str]
    root: Path = Path("/")

    def outside(self, inside: str | Path) -> Path:
        """Where this machine sees the path that the interpreter knows as `inside`."""
        return self.root / str(inside).lstrip("/")

    def command(self, argv: Sequence[str], cwd: str) -> list[str]:
        """The command line that runs `argv` in `cwd`, both as the interpreter sees them."""
        return _enter(self.root, ["env", "-C", cwd, *argv])


@dataclass(frozen=True)
class Finished:
    """What became of a command (`exit 0`, `signal 11`, `timeout`), and all that it wrote."""

    status: str
    output: str


class Runner:
    """Starts commands, each in a session of its own, so that all of them can be ended together."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, argv: Sequence[str], *, env: dict[str, str], seconds: float) -> Finished:
        """Run `argv` to its end or for `seconds`; what is then left running of it is killed."""
        with self._lock:
            if self._stopped:
                return Finished("interrupted", "")
            process = subprocess.Popen(
                argv,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self._running.add(process)
        try:
            output, _ = process.communicate(timeout=seconds)
            return Finished(_status(process.returncode), output)
        except subprocess.TimeoutExpired:
            _kill(process)
            output, _ = process.communicate()
            return Finished("timeout", output)
        finally:
            _kill(process)
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """End everything running, and start nothing more."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for process in running:
            _kill(process)


def environment(root: Path) -> dict[str, str]:
    """The variables a test process gets: ours, without what steers Python, fastpath or pyenv."""
    steering = (
        "PYTHON",
        "FASTPATH",
        "PYENV",
        "VIRTUAL_ENV",
        "PIP_",
        "TMPDIR",
        "COLUMNS",
        "NO_COLOR",
        "FORCE_COLOR",
    )
    env = {name: value for name, value in os.environ.items() if not name.startswith(steering)}
    env.update(LANG="C.UTF-8", PYTHONHASHSEED="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    env.pop("LC_ALL", None)
    if root != Path("/"):
        env["PATH"] = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
    return env


def find(
    asked: Sequence[str], sid_root: Path | None, tests: Iterable[str]
) -> tuple[list[Interpreter], list[str]]:
    """The interpreters to test, oldest first, and a line for each that cannot be.

    `asked` holds paths, or versions such as `3.13` that narrow down what is found; empty: all that
    is found. `tests` are the test modules of interest: an Interpreter names those that it ships.
    """
    paths = [one for one in asked if not _is_version(one)]
    versions = [one for one in asked if _is_version(one)]
    candidates = [(Path("/"), path) for path in paths]
    if versions or not asked:
        candidates += _candidates(sid_root)
    found: dict[tuple[Path, str], Interpreter] = {}
    lines: list[str] = []
    for root, path in candidates:
        try:
            real, interpreter = _describe(root, path, list(tests), known=found)
        except PlaceError as error:
            lines.append(f"{path}: {error}")
            continue
        if interpreter and (path in paths or not versions or _matches(interpreter, versions)):
            found[root, real] = interpreter
    missing = [
        v for v in versions if not any(_matches(interpreter, [v]) for interpreter in found.values())
    ]
    lines += [f"{version}: no such CPython with its tests found" for version in missing]
    return sorted(found.values(), key=lambda one: _numbers(one.version)), lines


def make_venv(interpreter: Interpreter, prefix: str, runner: Runner) -> str:
    """A fresh virtual environment at `prefix` (inside); returns its python.

    # Errors
    PlaceError with what the interpreter said.
    """
    check(interpreter, [interpreter.executable, "-m", "venv", prefix], "/", runner)
    return f"{prefix}/bin/python"


def check(interpreter: Interpreter, argv: Sequence[str], cwd: str, runner: Runner) -> str:
    """Run a command that must succeed, and return its output.

    # Errors
    PlaceError with the command and its output.
    """
    env = environment(interpreter.root)
    done = runner.run(interpreter.command(argv, cwd), env=env, seconds=600)
    if done.status != "exit 0":
        raise PlaceError(f"{' '.join(argv)}: {done.status}\n{done.output[-3000:]}")
    return done.output


def site_packages(interpreter: Interpreter, python: str, runner: Runner) -> Path:
    """The environment's site-packages, as this machine sees it."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return interpreter.outside(check(interpreter, [python, "-I", "-c", code], "/", runner).strip())


def _enter(root: Path, argv: list[str]) -> list[str]:
    if root == Path("/"):
        return argv
    return ["unshare", "--mount", "sh", "-c", _MOUNT_AND_ENTER, str(root), *argv]


def _candidates(sid_root: Path | None) -> Iterator[tuple[Path, str]]:
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for path in sorted(pyenv.glob("versions/*/bin/python")):
        if re.fullmatch(r"3\.1\d.*", path.parent.parent.name):
            yield Path("/"), str(path)
    for name in _NAMES:
        on_path = shutil.which(name)
        if on_path and "shims" not in Path(on_path).parts:
            yield Path("/"), on_path
    if sid_root is not None:
        for name in _NAMES:
            if (sid_root / "usr/bin" / name).exists():
                yield sid_root.resolve(), f"/usr/bin/{name}"


def _describe(
    root: Path, path: str, tests: list[str], known: dict[tuple[Path, str], Interpreter]
) -> tuple[str, Interpreter | None]:
    """Ask the interpreter at `path` who it is; None in the second place if it is known already."""
    try:
        command = _enter(root, ["env", "-C", "/", path, "-I", "-c", _DESCRIBE, *tests])
        done = subprocess.run(
            command, check=False, env=environment(root), capture_output=True, text=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlaceError(str(error)) from None
    if done.returncode:
        raise PlaceError((done.stderr.strip().splitlines() or ["does not run"])[-1])
    told = json.loads(done.stdout)
    if told["implementation"] != "cpython" or tuple(told["tuple"]) < OLDEST:
        raise PlaceError("not a CPython 3.10 or newer")
    if (root, told["real"]) in known:
        return told["real"], None
    if told["in_venv"]:
        raise PlaceError("is a virtual environment: give the interpreter that it was made from")
    if "libregrtest" not in told["tests"]:
        raise PlaceError(f"CPython {told['version']} comes without its tests")
    return told["real"], Interpreter(told["version"], path, frozenset(told["tests"]), root)


def _is_version(text: str) -> bool:
    return re.fullmatch(r"3\.\d+t?(\.\d+\w*)?", text) is not None


def _matches(interpreter: Interpreter, versions: list[str]) -> bool:
    return any(
        interpreter.version == v or interpreter.version.startswith(f"{v}.") for v in versions
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def _status(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"exit {returncode}"


def _kill(process: subprocess.Popen[str]) -> None:
    """Kill its process group: the number stays taken for as long as one member is left."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


if sys.platform == "win32":
    raise ImportError("regrtest in two environments is compared on POSIX systems only")
