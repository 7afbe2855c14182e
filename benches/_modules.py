"""Chooses the standard library modules that are imported when measuring.

Chosen at run time, from the interpreter that is measured, so that the choice fits every version;
the same interpreter always gives the same list. For the programs in benches/.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence

TYPICAL = [
    "argparse",
    "asyncio",
    "base64",
    "bisect",
    "calendar",
    "concurrent.futures",
    "configparser",
    "contextlib",
    "copy",
    "csv",
    "ctypes",
    "dataclasses",
    "datetime",
    "decimal",
    "difflib",
    "email.message",
    "fractions",
    "gettext",
    "glob",
    "gzip",
    "hashlib",
    "html.parser",
    "http.client",
    "inspect",
    "json",
    "logging.config",
    "mimetypes",
    "multiprocessing.pool",
    "optparse",
    "pathlib",
    "pickle",
    "platform",
    "pprint",
    "queue",
    "random",
    "secrets",
    "shelve",
    "shlex",
    "socketserver",
    "statistics",
    "string",
    "subprocess",
    "tarfile",
    "tempfile",
    "textwrap",
    "timeit",
    "tokenize",
    "traceback",
    "typing",
    "unittest.mock",
    "urllib.request",
    "uuid",
    "wave",
    "weakref",
    "xml.etree.ElementTree",
    "zipfile",
]
"""What a larger program imports of the standard library; well over 100 modules in all."""

PACKAGES = {
    "django": """\
from django.conf import settings
settings.configure(INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"])
import django
django.setup()
""",
    "sqlalchemy": "import sqlalchemy.orm\n",
    "boto3": "import boto3, botocore.session, boto3.s3.transfer\n",
}
"""Real packages, by what is installed, and what a program that uses them imports."""

# Imports every module that the interpreter ships, in sorted order, and prints the names of those
# that could be. Left out: what has effects (antigravity, this, idlelib, __main__ modules), tests,
# what is gone or replaced in some versions (distutils, lib2to3), and what needs a display.
_ASK = """
import contextlib, io, json, os, pkgutil, sys, warnings
warnings.simplefilter("ignore")
without = {"antigravity", "distutils", "ensurepip", "idlelib", "lib2to3", "test", "this",
           "tkinter", "turtle", "turtledemo"}
where = os.path.dirname(os.__file__)
names = set()
for name in sys.stdlib_module_names - without:
    if name.startswith("__") or name in sys.builtin_module_names:
        continue
    names.add(name)
    if os.path.isdir(os.path.join(where, name)):
        inside = pkgutil.walk_packages([os.path.join(where, name)], name + ".", lambda name: None)
        names.update(info.name for info in inside)
found = []
for name in sorted(names):
    if {"__main__", "test", "tests", "idle_test"}.isdisjoint(name.split(".")):
        with contextlib.suppress(BaseException), contextlib.redirect_stdout(io.StringIO()):
            __import__(name)
            found.append(name)
json.dump(found, sys.stdout)
"""


def importable(python: str, count: int) -> list[str]:
    """At most `count` modules of that interpreter's library, evenly spread over the sorted list."""
    output = subprocess.run(
        [python, "-I", "-c", _ASK], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ).stdout
    names: list[str] = json.loads(output)
    if len(names) <= count:
        return names
    return [names[number * len(names) // count] for number in range(count)]


def statements(names: Sequence[str]) -> str:
    """The source that imports them."""
    return "".join(f"import {name}\n" for name in names)
