"""Puts an interpreter's standard library into two zip files and a file of packed resources.

Run by that interpreter: `python pack.py TARGET [OXIDIZED]`, with the directory that holds the
package oxidized_importer, if there is one for it. Bytecode only; what stock would have loaded, or
compiled. For measure.py.
"""

import importlib.util
import marshal
import os
import sys
import zipfile
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path

LIBRARY = Path(os.__file__).parent


def modules() -> Iterator[tuple[str, bool, bytes]]:
    """Name, whether it is a package, and bytecode of each module of the library."""
    for path in sorted(LIBRARY.rglob("*.py")):
        words = list(path.relative_to(LIBRARY).with_suffix("").parts)
        package = words[-1] == "__init__"
        if package:
            words.pop()
        if words and words[0] != "site-packages":
            name = ".".join(words)
            code = SourceFileLoader(name, str(path)).get_code(name)
            yield name, package, marshal.dumps(code)


def write_zip(file: Path, method: int) -> None:
    """As `zip` would, but with bytecode where zipimport looks for it (PEP 273)."""
    header = importlib.util.MAGIC_NUMBER + bytes(12)
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, package, bytecode in modules():
            path = name.replace(".", "/") + ("/__init__" if package else "")
            archive.writestr(f"{path}.pyc", header + bytecode)


def write_packed(file: Path) -> None:
    """The same for oxidized_importer, all of it to be loaded from memory."""
    import oxidized_importer

    finder = oxidized_importer.OxidizedFinder()
    for name, package, bytecode in modules():
        resource = oxidized_importer.OxidizedResource()
        resource.name, resource.is_module, resource.is_package = name, True, package
        resource.in_memory_bytecode = bytecode
        finder.add_resource(resource)
    file.write_bytes(finder.serialize_indexed_resources())


def main(target: Path, oxidized: str = "") -> None:
    sys.dont_write_bytecode = True
    write_zip(target / "stored.zip", zipfile.ZIP_STORED)
    write_zip(target / "deflated.zip", zipfile.ZIP_DEFLATED)
    if oxidized:
        sys.path.insert(0, oxidized)
        write_packed(target / "packed")


main(Path(sys.argv[1]), *sys.argv[2:])
