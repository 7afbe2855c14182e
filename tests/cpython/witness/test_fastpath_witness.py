"""Says, from inside a regrtest process, whether fastpath is at work there and in interpreters started from there.

Run by regrtest itself, as the last module of every run, so that it sees the process in which CPython's tests
have just run: fastpath falls back to stock silently when anything fails inside it, and a comparison of stock
with stock would prove nothing. In the stock environment it asserts the opposite.

The file `fastpath-arm` in sys.prefix tells which environment this is ("ours" or "stock"); no environment
variable does, because -E and -I would hide it. Leaves fastpath's counters in `witness.json` where regrtest began.
"""

import importlib.machinery
import json
import os
import subprocess
import sys
import unittest

from test.support import os_helper

FLAGS = ((), ("-I",), ("-E",), ("-s",), ("-u",), ("-B",), ("-O",), ("-X", "importtime"), ("-W", "error"))
ACTIVE = """
import importlib.util, sys
if importlib.util.find_spec("fastpath") is None:
    print("stock")
else:
    import fastpath
    before = fastpath.stats()["lookups"]
    importlib.util.find_spec("no_such_module_for_fastpath_witness")
    active = fastpath.is_installed() and fastpath.stats()["lookups"] > before
    print("ours" if active else "inactive")
"""


def arm() -> str:
    """Which environment this is, by the file that run.py put there."""
    with open(os.path.join(sys.prefix, "fastpath-arm"), encoding="ascii") as file:
        return file.read().strip()


class Witness(unittest.TestCase):
    """Fastpath is active in "ours" and nowhere to be found in "stock"."""

    def test_this_process(self) -> None:
        if arm() == "stock":
            self.assertNotIn("fastpath", sys.modules)
            return
        import fastpath

        before = fastpath.stats()
        self.assertTrue(fastpath.is_installed())
        importlib.machinery.PathFinder.find_spec("no_such_module_for_fastpath_witness")
        after = fastpath.stats()
        self.assertGreater(after["lookups"], before["lookups"])
        with open(os.path.join(os_helper.SAVEDCWD, "witness.json"), "w", encoding="ascii") as file:
            json.dump(before, file)

    def test_children(self) -> None:
        for flags in FLAGS:
            with self.subTest(flags=flags):
                argv = [sys.executable, *flags, "-c", ACTIVE]
                child = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)
                self.assertEqual((child.returncode, child.stdout.strip()), (0, arm()), child.stderr)
