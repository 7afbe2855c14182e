"""The one exception of the command line: an expected failure, told in one line.

Refuses to carry a traceback to the user: ``report`` prints ``fastpath: error: ...`` on
standard error and gives the exit code. For the command line only.
"""

import sys

REFUSED = 1  # a problem was found, or the request was refused
USAGE = 2  # the arguments or the environment are not valid


class Problem(Exception):
    """An expected failure; ``code`` is the process's exit code."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        """Keep the line to print and the exit code."""
        super().__init__(message)
        self.code = code


def report(problem: Problem) -> int:
    """Print the problem in one line on standard error; return its exit code."""
    print(f"fastpath: error: {problem}", file=sys.stderr)
    return problem.code
