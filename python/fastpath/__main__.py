"""``python -m fastpath``: hands the arguments to the right room and exits with its code.

``run`` goes straight to its own module, so that a program started under fastpath does not
find argparse and half of ``re`` already imported.
"""

import sys

if sys.argv[1:2] == ["run"]:
    from fastpath._run import main
else:
    from fastpath._cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
