"""Child interpreters that run one program twice: stock, and with fastpath from the first moment.

Both import the package ``fastpath``, so that they differ in ``install()`` alone; their outputs must
then be equal, byte by byte but for addresses and times. Nothing is installed anywhere: a
``sitecustomize`` in a temporary directory does it. Used by the parity suites only.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oracle import ADDRESS

import fastpath

BOOT = """\
import os
try:
    import fastpath
except ImportError:  # a sub-interpreter: the native module may refuse
    _how = "stock"
else:
    _how = os.environ.get("PARITY_CHILD", "stock")
if _how != "stock":
    _freshness, _backend, *_more = _how.split("-")
    fastpath._native._switch("look-ahead-always", _more == ["ahead"])
    fastpath._native._switch("settling", _more != ["learning"])
    _cache = "auto" if _more in (["sharing"], ["learning"]) else "off"
    # No assert: some children run with -O.
    if not fastpath.install(freshness=_freshness, backend=_backend, cache=_cache):
        raise SystemExit("install() refused")
"""

# What goes in front of a program whose interpreter ignores PYTHONPATH (-I, -E) or site (-S).
PREAMBLE = "import sys; sys.path.insert(0, {boot!r}); import sitecustomize; del sys.path[0]\n"

MODES = ["auto-auto", "strict-serial"]
TIMES = re.compile(r"^import time: +(\d+|self \[us\]) \| +(\d+|cumulative) \|", re.MULTILINE)


@dataclass(frozen=True)
class Result:
    """What a child left behind."""

    status: int
    out: str
    err: str


class Children:
    """Starts children; `boot` is a fresh directory that is put on their PYTHONPATH."""

    def __init__(self, boot: Path) -> None:
        self.boot = boot
        boot.mkdir(parents=True, exist_ok=True)
        (boot / "sitecustomize.py").write_text(BOOT)
        package = Path(fastpath.__file__).parent
        if not (boot / "fastpath").exists():
            (boot / "fastpath").symlink_to(package)

    def preamble(self) -> str:
        """The lines that switch fastpath on in a program that site would not reach."""
        return PREAMBLE.format(boot=str(self.boot))

    def run(
        self,
        how: str,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        python: Sequence[str] = (sys.executable,),
        stdin: str = "",
        limit: float = 120,
    ) -> Result:
        """Run ``python *arguments`` as `how`.

        That is ``"stock"`` or ``"<freshness>-<backend>"``, with ``-ahead`` behind it to look ahead,
        ``-sharing`` to use a table, or ``-learning`` to put into it what has just changed as well.
        """
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "FASTPATH"))}
        path = os.pathsep.join([str(self.boot), (env or {}).get("PYTHONPATH", "")]).rstrip(":")
        clean |= {"PYTHONDONTWRITEBYTECODE": "1", **(env or {}), "PYTHONPATH": path}
        clean["PARITY_CHILD"] = how
        done = subprocess.run(
            [*python, *arguments],
            cwd=cwd,
            env=clean,
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=limit,
        )
        return Result(done.returncode, _plain(done.stdout), _plain(done.stderr))

    def same(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        python: Sequence[str] = (sys.executable,),
        stdin: str = "",
        modes: Sequence[str] = MODES,
        ignore: re.Pattern[str] | None = None,
    ) -> Result:
        """Run it stock and in every mode; assert that nothing differs; return stock's result.

        What `ignore` matches in the error output is left out of the comparison.
        """

        def run(how: str) -> Result:
            done = self.run(how, arguments, cwd=cwd, env=env, python=python, stdin=stdin)
            return replace(done, err=ignore.sub("", done.err)) if ignore else done

        stock = run("stock")
        for how in modes:
            ours = run(how)
            assert ours == stock, f"{how}\n{_unlike(stock, ours)}"
        return stock


def _plain(text: str) -> str:
    return TIMES.sub("import time:", ADDRESS.sub("", text))


def _unlike(stock: Result, ours: Result) -> str:
    """The lines that differ, for people."""
    shown = [
        line
        for one, other in ((stock.out, ours.out), (stock.err, ours.err))
        for line in difflib.unified_diff(one.splitlines(), other.splitlines(), "stock", "ours", n=0)
    ]
    return "\n".join([f"status {stock.status} and {ours.status}", *shown[:40]])
