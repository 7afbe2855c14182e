"""Compiles the module that ``tests/bytecode.rs`` reads, with the CPython it is run with.

Writes ``3.X.bin`` beside itself: the marshalled code object alone, as it follows the header of a
``.pyc``. The module has an import of every kind, and a constant of every kind that compilers write.

usage: for minor in 10 11 12 13 14 15; do python3.$minor tests/bytecode/make.py; done
"""

import marshal
import sys
from pathlib import Path

MODULE = '''
"""A module, naïve."""
import a, b.c as d
from . import e
from ..f.g import h, i as j
from k import *
NUMBERS = 1, -1, 1 << 40, 1 << 100, 1.5, 2j
OTHERS = None, True, False, ..., b"bytes", "\\u20ac", "\\ud800", ("x", ("y",))
def function(x, *, y=1):
    import not_this
    return [z for z in x if z in {1, 2, 3}][1:2]
class Class:
    def method(self):
        return lambda: (self, __class__, function)
if TYPE_CHECKING:
    from not_this import not_that
else:
    import l
try:
    from m import n
except ImportError:
    import not_this
for each in range(9):
    if each == 3:
        import o
if __name__ == "__main__":
    import not_this
if __name__ != "__main__":
    import p
import a
'''
LAZY = """
lazy import not_this
lazy from not_this import not_that
"""

if __name__ == "__main__":
    name = f"{sys.version_info[0]}.{sys.version_info[1]}.bin"
    source = MODULE + (LAZY if sys.version_info >= (3, 15) else "")
    code = compile(source, "module.py", "exec")
    Path(__file__).with_name(name).write_bytes(marshal.dumps(code))
