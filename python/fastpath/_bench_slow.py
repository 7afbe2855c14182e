"""What makes a mount slow on purpose: a filesystem with a delay, and empty caches.

Both need root, and say so. The filesystem is the test bed's ``slowfs``, which no wheel brings
along: it shows a directory read-only in a temporary place, and goes when it is no longer needed.
Used by ``_bench`` and ``_bench_clock``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastpath._problem import Problem

_DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_FUSE = Path("/dev/fuse")


def check_cold() -> None:
    """Raise Problem unless this process may have the kernel forget what it keeps of filesystems."""
    if not os.access(_DROP_CACHES, os.W_OK):
        raise Problem(f"bench: --cold needs root on Linux: it writes to {_DROP_CACHES}")


def drop_caches() -> None:
    """Have the kernel forget names, inodes and contents that it can read again (proc_sys_vm(5))."""
    _DROP_CACHES.write_text("3\n", encoding="ascii")


@contextmanager
def mounted(directory: str, latency_ms: float) -> Iterator[str]:
    """Show a directory at another place, where each operation takes so long; that place."""
    server = _server()
    where = tempfile.mkdtemp(prefix="fastpath-bench-")
    command = [server, "--delay-ms", str(latency_ms), "--attr-timeout-s", "60", directory, where]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                if process.stdout.readline().strip() != b"ready":
                    raise Problem(f"bench: {server} cannot mount {directory}")
                yield where
            finally:
                process.terminate()
                process.wait()
    finally:
        Path(where).rmdir()


def _server() -> str:
    testbed = os.environ.get("FASTPATH_TESTBED")
    found = (testbed and shutil.which("slowfs", path=testbed)) or shutil.which("slowfs")
    if not found:
        raise Problem(
            "bench: --emulate-latency needs slowfs of fastpath's sources, in FASTPATH_TESTBED or "
            "on PATH: cargo build --release --package testbed"
        )
    if not os.access(_FUSE, os.R_OK | os.W_OK):
        raise Problem(f"bench: --emulate-latency needs {_FUSE}, and the right to use it")
    if os.geteuid() != 0:
        raise Problem("bench: --emulate-latency needs root, to mount")
    return found
