"""Which import statements of a module, told from its source, does importing it carry out?

For each package it starts a fresh interpreter, which imports it and says what that has loaded from
files. Then it reads the sources as look-ahead would read compiled code: from the package on, every
module that a statement names, and in turn what that one names. It tells how many of the modules
loaded are found that way, and how many are found that were not loaded, by which kinds of statement
are followed; and for the modules that were loaded, how many modules each kind of statement names.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
for place in ("experiments", "benches"):
    sys.path.insert(0, str(ROOT / place))
from _experiment import Experiment, Raw, Setting, main, markdown  # noqa: E402
from _ground import environment  # noqa: E402

LIBRARY = ["asyncio", "email.mime.text", "http.server", "unittest", "xml.etree.ElementTree"]
PACKAGES = {
    "attrs": "attrs",
    "boto3": "boto3",
    "click": "click",
    "django": "django.forms django.db.models",
    "flask": "flask",
    "google-auth": "google.auth",
    "jinja2": "jinja2",
    "jsonschema": "jsonschema",
    "numpy": "numpy",
    "pydantic": "pydantic",
    "pygments": "pygments.lexers",
    "requests": "requests",
    "rich": "rich.console",
    "sqlalchemy": "sqlalchemy.orm",
    "sympy": "sympy",
    "azure-core": "azure.core",
    "tomlkit": "tomlkit",
    "markdown-it-py": "markdown_it",
}
"""What is installed, and what of it is imported."""
LOADED = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
new = {name: getattr(module, '__file__', None) for name, module in list(sys.modules.items())}
print(json.dumps([{n: f for n, f in new.items() if f and n not in before}, sorted(before)]))
"""
# The kinds, least certain first: a statement is of the first that fits anything it stands in.
KINDS = "main checking except system else if class try plain".split()  # noqa: SIM905
CHOSEN = {"plain", "try", "system", "if", "else"}
POLICIES = {
    "plain, also in `with` and loops": {"plain"},
    "and `try`": {"plain", "try"},
    "and *system*": {"plain", "try", "system"},
    "and every other `if` and `else`: chosen": CHOSEN,
    "these, and classes": CHOSEN | {"class"},
    "these, and `except`": CHOSEN | {"except"},
    'these, and `if __name__ == "__main__"`': CHOSEN | {"main"},
    "these, and `if TYPE_CHECKING`": CHOSEN | {"checking"},
}


def kind_of_test(test: ast.expr) -> str:
    text = ast.unparse(test)
    if "TYPE_CHECKING" in text:
        return "checking"
    if "__name__" in text:
        return "main"
    return "system" if any(w in text for w in ("sys.", "os.name", "PY", "platform")) else "if"


def statements(body: list[ast.stmt], around: frozenset[str]) -> Iterator[tuple[str, ast.stmt]]:
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield next(kind for kind in KINDS if kind in around), node
        elif isinstance(node, ast.If):
            kind = kind_of_test(node.test)
            yield from statements(node.body, around | {kind})
            yield from statements(node.orelse, around | {"system" if kind == "system" else "else"})
        elif isinstance(node, ast.Try):
            yield from statements(node.body, around | {"try"})
            for handler in node.handlers:
                yield from statements(handler.body, around | {"except"})
            yield from statements(node.orelse + node.finalbody, around)
        elif isinstance(node, ast.ClassDef):
            yield from statements(node.body, around | {"class"})
        elif isinstance(node, ast.With | ast.For | ast.While):
            yield from statements(node.body + getattr(node, "orelse", []), around)


class Sources:
    """The sources that an interpreter finds, without importing anything."""

    def __init__(self, path: Sequence[str]) -> None:
        """`path` is its `sys.path`."""
        self._path = path
        self._files: dict[str, str | None] = {}
        self._named: dict[str, tuple[tuple[str, str], ...]] = {}

    def file_of(self, name: str) -> str | None:
        """The source of a module, as the path finder would find it."""
        if name not in self._files:
            self._files[name] = self._found(name)
        return self._files[name]

    def _found(self, name: str) -> str | None:
        places = self._path
        *parents, last = name.split(".")
        for parent in parents:
            places = [f"{place}/{parent}" for place in places if Path(place, parent).is_dir()]
        for place in places:
            for file in (Path(place, last, "__init__.py"), Path(place, f"{last}.py")):
                if file.exists():
                    return str(file)
        return None

    def named(self, name: str) -> tuple[tuple[str, str], ...]:
        """The kind and the name of each module, with a source, that this one's imports name."""
        if name not in self._named:
            self._named[name] = tuple(dict.fromkeys(self._names(name)))
        return self._named[name]

    def _names(self, name: str) -> Iterator[tuple[str, str]]:
        file = self.file_of(name)
        assert file is not None
        package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
        try:
            tree = ast.parse(Path(file).read_bytes())
        except SyntaxError:
            return
        for kind, node in statements(tree.body, frozenset({"plain"})):
            for full in wanted(node, package):
                for module in with_parents(full):
                    if self.file_of(module):
                        yield kind, module

    def reached(self, root: str, kinds: set[str], before: set[str]) -> set[str]:
        """What is found from a module on by following statements of these kinds."""
        pending = [name for name in with_parents(root) if self.file_of(name)]
        seen: set[str] = set()
        while pending:
            name = pending.pop()
            if name not in seen and name not in before:
                seen.add(name)
                pending += [module for kind, module in self.named(name) if kind in kinds]
        return seen

    def count_kinds(
        self, kinds: dict[str, Counter[str]], loaded: set[str], before: set[str]
    ) -> None:
        """How many modules, loaded or not, each kind names in those that were loaded."""
        by_target: dict[str, set[str]] = {}
        for name in loaded:
            for kind, target in self.named(name):
                if target not in before:
                    by_target.setdefault(target, set()).add(kind)
        for target, those in by_target.items():
            answer = "loaded" if target in loaded else "not"
            for kind in those:
                kinds[kind][answer] += 1
                kinds[kind][f"only {answer}"] += len(those) == 1


def wanted(node: ast.stmt, package: str) -> list[str]:
    """What a statement names, in a module of this package; some may be no module."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    assert isinstance(node, ast.ImportFrom)
    parts = package.split(".")
    parts = parts[: len(parts) + 1 - node.level] if node.level else []
    base = ".".join([*parts, *filter(None, [node.module])])
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]


def with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def measure(setting: Setting) -> Raw:
    python, packages = installed(setting)
    path = said(python, "import json, sys; print(json.dumps(sys.path))")
    # "" is where the program was started, and has nothing that is wanted.
    sources = Sources([entry for entry in path if entry])
    totals: dict[str, Counter[str]] = {policy: Counter(found=0, wasted=0) for policy in POLICIES}
    kinds: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    needed = 0
    for package in packages:
        setting.progress.stage(package)
        files, before = said(python, LOADED, package)
        loaded = {name for name, file in files.items() if sources.file_of(name) == file}
        needed += len(loaded)
        for policy, follow in POLICIES.items():
            found = sources.reached(package, follow, set(before))
            totals[policy].update(found=len(found & loaded), wasted=len(found - loaded))
        sources.count_kinds(kinds, loaded, set(before))
    return {
        "packages": len(packages),
        "needed": needed,
        "followed": {policy: dict(count) for policy, count in totals.items()},
        "named": {
            kind: [count[what] for what in ("loaded", "not", "only loaded", "only not")]
            for kind, count in reversed(kinds.items())
        },
    }


def installed(setting: Setting) -> tuple[str, list[str]]:
    """An interpreter, and what it is to import."""
    if setting.quick:
        return environment(setting.scratch / "bare"), LIBRARY
    try:
        python = environment(setting.scratch / "venv", list(PACKAGES))
    except SystemExit as failed:
        setting.can("real packages", str(failed).partition(":")[0])
        return environment(setting.scratch / "bare"), LIBRARY
    return python, [*LIBRARY, *" ".join(PACKAGES.values()).split()]


def said(python: str, *arguments: str) -> Any:
    """What a program says in its last line."""
    command = [python, "-I", "-W", "ignore", "-c", *arguments]
    return json.loads(subprocess.check_output(command, text=True).splitlines()[-1])


LABELS = {"try": "`try`", "system": "*system*", "checking": "`TYPE_CHECKING`", "main": "`__main__`"}
LABELS |= {"if": "other `if`", "else": "other `else`", "except": "`except`"}


def tables(raw: Raw) -> str:
    needed = raw["needed"]
    followed = []
    for policy, count in raw["followed"].items():
        found, wasted = count["found"], count["wasted"]
        share = f"{found / needed:.1%}"
        followed.append([policy, f"{found:,}", share, needed - found, wasted])
    return "\n\n".join(
        [
            f"{raw['packages']} packages, {needed:,} modules loaded from sources. **Followed "
            "transitively**:",
            markdown(["statements", "found", "of those loaded", "missed", "wasted"], followed),
            "**One step from a module that was loaded**: how many modules such statements name, "
            "and how many of them no other kind names.",
            markdown(
                ["statements", "loaded", "not loaded", "only here: loaded", "not loaded"],
                [[LABELS.get(kind, kind), *counts] for kind, counts in raw["named"].items()],
            ),
        ]
    )


EXPERIMENT = Experiment(measure, tables)


if __name__ == "__main__":
    sys.exit(main(__file__, EXPERIMENT))
