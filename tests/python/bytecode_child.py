"""Says, by ``dis`` and ``ast``, which imports are in the standard library's compiled modules.

Run as a script by ``test_bytecode.py``, in the interpreter to ask: ``bytecode_child.py DIRECTORY
[SOURCE...]``. Looks at the sources named, or at the whole standard library but its tests. Prints a
line of JSON for each: the compiled file (the one in ``__pycache__`` if it is there, else one
written into DIRECTORY) and the imports in it that should be found. Imports nothing of ours.
"""

from __future__ import annotations

import ast
import dis
import json
import marshal
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType
from typing import Any

HEADER = 16
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test"}


def main(directory: Path, sources: list[Path]) -> None:
    for number, source in enumerate(sources or sorted(library())):
        try:
            tree = ast.parse(source.read_bytes())
        except SyntaxError:
            continue  # meant to be wrong
        cached = Path(cache_from_source(str(source)))
        if not cached.exists():
            code = compile(tree, str(source), "exec", dont_inherit=True)
            cached = directory / f"{number}.pyc"
            cached.write_bytes(bytes(HEADER) + marshal.dumps(code))
        code = marshal.loads(cached.read_bytes()[HEADER:])
        print(json.dumps([str(cached), list(imports(code, hidden_lines(tree)))]))


def library() -> Iterator[Path]:
    root = Path(sysconfig.get_path("stdlib"))
    for source in root.rglob("*.py"):
        # Debian links into /etc, which need not be there.
        if source.exists() and not NOT_THE_LIBRARY & set(source.relative_to(root).parts):
            yield source


def imports(code: CodeType, hidden: set[int]) -> Iterator[tuple[int, str, list[str]]]:
    """Yield every import in the instructions whose line is not among the hidden ones."""
    lines = {at: line for start, end, line in code.co_lines() for at in range(start, end)}
    skipped = {"EXTENDED_ARG", "CACHE"}
    found = [each for each in dis.get_instructions(code) if each.opname not in skipped]
    for level, names, instruction in zip(found, found[1:], found[2:]):  # noqa: B905
        if instruction.opname == "IMPORT_NAME" and lines[instruction.offset] not in hidden:
            yield level.argval, instruction.argval, list(names.argval or ())


def hidden_lines(tree: ast.Module) -> set[int]:
    """Find the lines of what does not run when a module is imported, and of lazy imports."""
    hidden: set[int] = set()
    for node in ast.walk(tree):
        for unseen in _unseen(node):
            hidden.update(range(unseen.lineno, (unseen.end_lineno or 0) + 1))
    return hidden


def _unseen(node: Any) -> list[Any]:
    if isinstance(node, ast.Try):
        return list(node.handlers)
    if getattr(node, "is_lazy", 0):
        return [node]
    if not isinstance(node, ast.If):
        return []
    test = node.test
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return node.orelse if _is_false(test.operand) else []
    needed = (
        test.values if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) else [test]
    )
    return node.body if any(map(_is_false, needed)) else []


def _is_false(test: ast.expr) -> bool:
    text = ast.unparse(test)
    return text.split(".")[-1] == "TYPE_CHECKING" or text == "__name__ == '__main__'"


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
