"""Which import statements of a module, told from its source, does importing it carry out?

For each package it starts a fresh interpreter (the one it is run with), which imports it and says
what that has loaded from files. Then it reads the sources as look-ahead would read compiled code:
from the package on, every module that a statement names, and in turn what that one names. It prints
how many of the modules loaded are found that way, and how many are found that were not loaded, by
which kinds of statement are followed; and for the modules that were loaded, how many modules each
kind of statement names.

usage: python experiments/0104-which-imports/measure.py [PACKAGE...]
"""

import ast
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGES = [
    *("asyncio", "email.mime.text", "http.server", "unittest", "xml.etree.ElementTree"),
    *("attrs", "boto3", "click", "django.forms", "django.db.models", "flask", "google.auth"),
    *("jinja2", "jsonschema", "numpy", "pydantic", "pygments.lexers", "requests", "rich.console"),
    *("sqlalchemy.orm", "sympy", "azure.core", "tomlkit", "markdown_it"),
]
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
    "plain": {"plain"},
    "and try": {"plain", "try"},
    "and if of the system": {"plain", "try", "system"},
    "and every if, else": CHOSEN,
    "chosen, and class": CHOSEN | {"class"},
    "chosen, and except": CHOSEN | {"except"},
    "chosen, and __main__": CHOSEN | {"main"},
    "chosen, and TYPE_CHECKING": CHOSEN | {"checking"},
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


@cache
def file_of(name: str) -> str | None:
    """The source of a module, found as the path finder would, without importing anything."""
    places = sys.path
    *parents, last = name.split(".")
    for parent in parents:
        places = [f"{place}/{parent}" for place in places if Path(place, parent).is_dir()]
    for place in places:
        for file in (Path(place, last, "__init__.py"), Path(place, f"{last}.py")):
            if file.exists():
                return str(file)
    return None


@cache
def named(name: str) -> tuple[tuple[str, str], ...]:
    """The kind and the name of each module, with a source, that this one's imports name."""
    file = file_of(name)
    assert file is not None
    package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
    found = []
    try:
        tree = ast.parse(Path(file).read_bytes())
    except SyntaxError:
        return ()
    for kind, node in statements(tree.body, frozenset({"plain"})):
        if isinstance(node, ast.Import):
            wanted = [alias.name for alias in node.names]
        else:
            assert isinstance(node, ast.ImportFrom)
            parts = package.split(".")
            parts = parts[: len(parts) + 1 - node.level] if node.level else []
            base = ".".join([*parts, *filter(None, [node.module])])
            wanted = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        found += [(kind, module) for full in wanted for module in with_parents(full)]
    return tuple(dict.fromkeys(pair for pair in found if file_of(pair[1])))


def with_parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[: end + 1]) for end in range(len(parts))]


def reached(root: str, kinds: set[str], before: set[str]) -> set[str]:
    pending = [name for name in with_parents(root) if file_of(name)]
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name not in seen and name not in before:
            seen.add(name)
            pending += [module for kind, module in named(name) if kind in kinds]
    return seen


def main(packages: list[str]) -> None:
    totals: dict[str, Counter[str]] = {policy: Counter() for policy in POLICIES}
    kinds: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    needed = 0
    for package in packages:
        command = [sys.executable, "-W", "ignore", "-c", LOADED, package]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode:
            print(f"{package}: cannot be imported", file=sys.stderr)
            continue
        files, before = json.loads(result.stdout.splitlines()[-1])
        loaded = {name for name, file in files.items() if file_of(name) == file}
        needed += len(loaded)
        for policy, follow in POLICIES.items():
            found = reached(package, follow, set(before))
            totals[policy].update(found=len(found & loaded), wasted=len(found - loaded))
        count_kinds(kinds, loaded, set(before))
    print(f"CPython {sys.version.split()[0]}: {needed} modules loaded from sources")
    print(f"\n{'followed, transitively':26} {'found':>6} {'missed':>6} {'wasted':>6}")
    for policy, count in totals.items():
        found, wasted = count["found"], count["wasted"]
        print(f"{policy:26} {found:6} {needed - found:6} {wasted:6}")
    print(f"\n{'named by loaded modules':26} {'loaded':>6} {'not':>6}   and by no other kind")
    for kind, count in kinds.items():
        own = f"{count['only loaded']:6} {count['only not']:6}"
        print(f"{kind:26} {count['loaded']:6} {count['not']:6}   {own}")


def count_kinds(kinds: dict[str, Counter[str]], loaded: set[str], before: set[str]) -> None:
    by_target: dict[str, set[str]] = {}
    for name in loaded:
        for kind, target in named(name):
            if target not in before:
                by_target.setdefault(target, set()).add(kind)
    for target, those in by_target.items():
        answer = "loaded" if target in loaded else "not"
        for kind in those:
            kinds[kind][answer] += 1
            kinds[kind][f"only {answer}"] += len(those) == 1


if __name__ == "__main__":
    main(sys.argv[1:] or PACKAGES)
