"""Importing from memory: what an import costs when nothing is left to find and nothing to read.

Reference lines for the figure `hot`, no way to run a program: everything that was loaded once is
kept in a file, which the measured program reads before its clock starts; then a trivial finder in
front of sys.meta_path hands it out. For the programs in benches/.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from _measure import run
from _subject import Subject

BYTECODE, CODE = "marshal.loads(code)", "code"
"""What is kept in memory: bytecode, which is unmarshalled by each import, or code objects."""

# The name of every module that is loaded from a file, where it is, the directories of a package,
# and its bytecode; none for an extension module.
_KEEP = """
import marshal, sys
kept = {{}}
for name, module in list(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    kind = spec is not None and spec.name == name and type(spec.loader).__name__
    if kind == "SourceFileLoader":
        code = spec.loader.get_data(spec.cached)[16:]
        kept[name] = spec.origin, spec.submodule_search_locations, code
    elif kind == "ExtensionFileLoader":
        kept[name] = spec.origin, None, None
with open({file!r}, "wb") as file:
    marshal.dump(kept, file)
"""
_HAND_OUT = """\
import marshal, sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader
with open({file!r}, "rb") as file:
    kept = marshal.load(file)
class Memory:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in kept:
            return None
        origin, directories, code = kept[name]
        if code is None:
            spec = ModuleSpec(name, ExtensionFileLoader(name, origin), origin=origin)
            spec.has_location = True
            return spec
        spec = ModuleSpec(name, Memory, origin=origin)
        spec.submodule_search_locations = directories
        return spec
    @staticmethod
    def create_module(spec):
        return None
    @staticmethod
    def exec_module(module):
        origin, _, code = kept[module.__spec__.name]
        module.__file__ = origin
        exec({code}, module.__dict__)
{prepare}sys.meta_path.insert(0, Memory)
"""
_UNMARSHAL = """\
for name, (origin, directories, code) in kept.items():
    kept[name] = origin, directories, code and marshal.loads(code)
"""


def from_memory(stock: Subject, file: Path) -> dict[str, Subject]:
    """The same imports as `stock` makes, from BYTECODE and from CODE in memory.

    Runs `stock` once, to write what it has loaded to `file`.
    """
    program = file.with_suffix(".py")
    run(replace(stock, body=stock.body + _KEEP.format(file=str(file))).command(program))
    return {
        kind: replace(
            stock,
            before=_HAND_OUT.format(
                file=str(file), code=kind, prepare=_UNMARSHAL if kind == CODE else ""
            ),
        )
        for kind in (BYTECODE, CODE)
    }
