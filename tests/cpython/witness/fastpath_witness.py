"""Says, from inside a regrtest process, whether fastpath is at work there and in its children.

Run by regrtest itself, as the last module of every run, so that it sees the very process in which
CPython's tests have just run: fastpath falls back to stock silently when anything fails inside it,
and a comparison of stock with stock would prove nothing. In the stock environment it asserts the
opposite.

The file `fastpath-arm` in sys.prefix tells which environment this is ("ours" or "stock"); no
environment variable does, because -E and -I would hide it. Leaves fastpath's counters in
`witness.json` where regrtest began.
"""

import importlib.machinery
import json
import subprocess
import sys
import unittest
from pathlib import Path

from test.support import os_helper

FLAGS = ("", "-I", "-E", "-s", "-u", "-B", "-O", "-X importtime", "-W error")
NO_SUCH = "no_such_module_for_fastpath_witness"
WHO = f"""
import importlib.util
if importlib.util.find_spec("fastpath") is None:
    print("stock")
else:
    import fastpath
    before = fastpath.stats()["lookups"]
    importlib.util.find_spec("{NO_SUCH}")
    active = fastpath.is_installed() and fastpath.stats()["lookups"] > before
    print("ours" if active else "inactive")
"""


def arm() -> str:
    """Which environment this is, by the file that was put there when it was made."""
    return Path(sys.prefix, "fastpath-arm").read_text(encoding="ascii").strip()


class Witness(unittest.TestCase):
    """Fastpath is active in "ours" and nowhere to be found in "stock"."""

    def test_this_process(self) -> None:
        """Here, after the tests."""
        if arm() == "stock":
            assert "fastpath" not in sys.modules
            return
        import fastpath

        before = fastpath.stats()
        assert fastpath.is_installed(), "fastpath is no longer installed"
        importlib.machinery.PathFinder.find_spec(NO_SUCH)
        assert fastpath.stats()["lookups"] > before["lookups"], "fastpath is not asked"
        Path(os_helper.SAVEDCWD, "witness.json").write_text(json.dumps(before), encoding="ascii")

    def test_children(self) -> None:
        """In interpreters started from here, whatever their flags."""
        for flags in FLAGS:
            with self.subTest(flags=flags):
                argv = [sys.executable, *flags.split(), "-c", WHO]
                child = subprocess.run(
                    argv, check=False, capture_output=True, text=True, timeout=60
                )
                told = (child.returncode, child.stdout.strip())
                assert told == (0, arm()), f"{told}: {child.stderr}"
