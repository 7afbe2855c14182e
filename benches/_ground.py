"""Prepares what measurements stand on: venvs, fastpath unpacked, path entries, slow mounts.

Everything is made below a directory that the caller names (build/...), and kept there for the
next run where making it is slow; nothing else is touched. For the programs in benches/.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from _measure import Run, run

ROOT = Path(__file__).resolve().parent.parent
DROP_CACHES = Path("/proc/sys/vm/drop_caches")


def environment(
    where: Path,
    packages: Sequence[str] = (),
    base: str = sys.executable,
    pinned: str | Path = "envs.txt",
) -> str:
    """The python of a venv of `base` with these packages, pinned by a file of requirements/.

    Or by any other file, named by an absolute path. Made afresh when packages, pins or interpreter
    are others than last time. Packages are installed by this interpreter's pip: for others than
    `sys.executable` there must be none.
    """
    pins = ROOT / "requirements" / pinned
    version = (
        sys.version if base == sys.executable else said(base, "import sys; print(sys.version)")
    )
    wanted = [version, *packages, pins.read_text() if packages else ""]
    stamp = where / "stamp"
    key = hashlib.sha256("\n".join(wanted).encode()).hexdigest()
    python = where / "bin" / "python"
    if stamp.exists() and stamp.read_text() == key:
        return str(python)
    quiet([base, "-m", "venv", "--clear", "--without-pip", str(where)])
    if packages:
        install(["--constraint", str(pins), *packages], Path(site_packages(str(python))))
    stamp.write_text(key)
    return str(python)


def interpreters(versions: Sequence[str]) -> dict[str, str]:
    """A CPython for each of these versions ("3.13") that is found here.

    Looks at this interpreter, FASTPATH_TEST_PYTHONS (as the tests do), pyenv's and PATH.
    """
    named = os.environ.get("FASTPATH_TEST_PYTHONS", "").split(os.pathsep)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found: dict[str, str] = {}
    for version in versions:
        # pyenv's shims answer for whichever version is selected, or not at all.
        path = [Path(p, f"python{version}") for p in os.get_exec_path() if "shims" not in p]
        candidates = [Path(sys.executable), *(Path(p) for p in named if p)]
        candidates += [*sorted(pyenv.glob(f"{version}.*/bin/python")), *path]
        for python in map(str, filter(Path.exists, candidates)):
            if version_of(python) == f"cpython {version}":
                found.setdefault(version, python)
    return found


def version_of(python: str) -> str:
    """What it is, as in "cpython 3.13"."""
    program = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
    return said(python, program)


def unpacked(wheel: Path, where: Path) -> Path:
    """The directory that holds the wheel's packages and nothing else."""
    quiet(["rm", "-rf", str(where)])
    install(["--no-deps", str(wheel)], where)
    return where


def install(what: Sequence[str], where: Path) -> None:
    """Put packages into a directory, by this interpreter's own pip.

    The measured environment then need not hold pip, nor what pip's company adds at start-up.
    """
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # A stalled connection is given up soon and tried again, whatever pip's configuration says.
    pip += ["--timeout", "20", "--retries", "8"]
    quiet([*pip, "install", "--target", str(where), *what])


def quiet(command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
    """Run a command, with our variables or these; what it printed appears only if it fails."""
    done = subprocess.run(
        command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout.decode(errors="replace"))
        raise SystemExit(f"failed: {' '.join(command)}")


def site_packages(python: str) -> str:
    """Where that interpreter's own packages are."""
    return said(python, "import sysconfig; print(sysconfig.get_path('purelib'))")


def standard_library(python: str) -> str:
    """Where that interpreter's standard library is."""
    return said(python, "import os; print(os.path.dirname(os.__file__))")


def said(python: str, program: str) -> str:
    """What a program prints."""
    return subprocess.check_output([python, "-I", "-c", program], text=True).strip()


def extra_entries(where: Path, count: int) -> list[str]:
    """Directories for `sys.path`, each with two modules and a package that nobody imports."""
    entries = [where / f"entry_{number:03}" for number in range(count)]
    for number, entry in enumerate(entries):
        package = entry / f"unused_{number:03}"
        if not (package / "__init__.py").exists():
            package.mkdir(parents=True, exist_ok=True)
            for module in ("first", "second"):
                (entry / f"unused_{number:03}_{module}.py").touch()
            (package / "__init__.py").touch()
    return list(map(str, entries))


def one_module(where: Path, crowd: int) -> Path:
    """A directory with one module, `wanted`, among `crowd` other files."""
    done = where / "wanted.py"
    if not done.exists():
        where.mkdir(parents=True, exist_ok=True)
        for number in range(crowd):
            os.close(os.open(where / f"file_{number:06}.py", os.O_CREAT | os.O_WRONLY, 0o644))
        done.touch()
    return where


def testbed(name: str) -> Path | None:
    """A command of tests/testbed, if it is built."""
    built = Path(os.environ.get("FASTPATH_TESTBED", ROOT / "target" / "release"), name)
    return built if built.exists() else None


def no_dropping() -> str | None:
    """Why the kernel's caches cannot be dropped here; None if they can."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "needs root, to drop the kernel's caches"
    try:
        drop_caches()
    except OSError as error:
        return f"the kernel's caches cannot be dropped: {error}"
    return None


def drop_caches() -> None:
    """Page cache, directory entries and inodes (proc_sys_vm(5)); what is dirty is written first."""
    os.sync()
    DROP_CACHES.write_text("3\n")


def no_slow_mount() -> str | None:
    """Why there can be no slow filesystem here; None where there can."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "needs /dev/fuse"
    if os.geteuid() != 0:
        return "needs root, to mount"
    if testbed("slowfs") is None:
        return "needs slowfs (cargo build --release --package testbed)"
    return None


@dataclass(frozen=True)
class SlowMount:
    """A directory seen through a filesystem that takes its time."""

    path: Path

    def operations(self) -> int:
        """How many operations it has served since it was mounted."""
        return self._count("total")

    def waits(self) -> int:
        """How many of them went out one after another: times the delay, the least they took."""
        return self._count("waits")

    def _count(self, what: str) -> int:
        return int(json.loads((self.path / ".slowfs-stats").read_text())[what])


@contextmanager
def slow_mount(source: str, where: Path, delay_ms: float, kept_s: float = 1) -> Iterator[SlowMount]:
    """`source`, read-only, each operation taking `delay_ms`; attributes are kept for `kept_s`."""
    server = testbed("slowfs")
    assert server is not None, no_slow_mount()
    where.mkdir(parents=True, exist_ok=True)
    command = [str(server), "--delay-ms", f"{delay_ms:g}", "--attr-timeout-s", f"{kept_s:g}"]
    with subprocess.Popen([*command, source, str(where)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline().strip() != b"ready":
                raise SystemExit(f"slowfs could not mount {where}")
            yield SlowMount(where)
        finally:
            process.terminate()
            process.wait()
            if os.path.ismount(where):
                quiet(["umount", "--lazy", str(where)])


@contextmanager
def slowed(where: Path, delay_ms: float) -> Iterator[SlowMount]:
    """A directory slow in its own place, so that no path in it becomes another.

    What is in it is still there, at full speed, in a directory beside it while this lasts: the
    source of the slow filesystem that is mounted over it.
    """
    beside = where.with_name(f"{where.name}-beside")
    beside.mkdir(exist_ok=True)
    quiet(["mount", "--bind", str(where), str(beside)])
    try:
        # Else what is mounted over the one would appear over the other, its own source.
        quiet(["mount", "--make-private", str(beside)])
        with slow_mount(str(beside), where, delay_ms) as mount:
            yield mount
    finally:
        quiet(["umount", "--lazy", str(beside)])


def run_on_fresh(sources: Mapping[Path, str], delay_ms: float, command: Sequence[str]) -> Run:
    """Run a command while each source is shown at its place by a slow filesystem of its own.

    Mounted for this one process: the kernel keeps names and attributes for a second, so that on a
    mount that lives longer, whoever runs second would find what the first has asked. With several
    filesystems, waits are the sum of theirs.
    """
    with ExitStack() as stack:
        mounts = [
            stack.enter_context(slow_mount(source, where, delay_ms))
            for where, source in sources.items()
        ]
        done = run(command)
        return replace(
            done,
            operations=sum(mount.operations() for mount in mounts),
            waits=sum(mount.waits() for mount in mounts),
        )
