"""Stand-ins with one mistake each: what a native finder could get wrong.

Each is importlib's own source with pieces of text swapped, so it stays a faithful finder but for
the mistake. ``test_mutants.py`` demands that the conformance cases notice every one of them;
nobody else may use them. A mistake that cannot be made on some Python names the versions it fits.
"""

from __future__ import annotations

from dataclasses import dataclass

from subjects import Subject, Swap, patched, rebuilt

FILE, PATH = "FileFinder", "PathFinder"

# Pieces of importlib's source in which mistakes are made.
START = "namespace_path = []"
ABSENT = "is_namespace = False"
TAIL = "fullname.rpartition('.')[2]"
SUFFIXES = "in self._loaders"
FULL = "_path_isfile(full_path)"
DIRECTORY = "_path_isdir(base_path)"
PORTION = "namespace_path.extend(portions)"
ASK = "finder.find_spec(fullname, target)"
KEEP = "sys.path_importer_cache[path] = finder"
LOOK = "finder = sys.path_importer_cache[path]"
USUAL = "FileFinder('/', *_get_supported_file_loaders())._loaders"
FOUND = "spec = cls._get_spec(fullname, path, target)"


@dataclass(frozen=True)
class Mutant:
    """One mistake in one method."""

    name: str
    owner: str
    method: str
    swaps: tuple[Swap, ...]

    def subject(self) -> Subject:
        """The mutant as a subject."""
        where = (self.owner, self.method)
        return Subject(
            self.name, lambda: patched({where: rebuilt(self.owner, self.method, self.swaps)})
        )


def _file(name: str, *swaps: Swap) -> Mutant:
    return Mutant(name, FILE, "find_spec", swaps)


def _walk(name: str, *swaps: Swap) -> Mutant:
    return Mutant(name, PATH, "_get_spec", swaps)


def _hooks(name: str, *swaps: Swap) -> Mutant:
    return Mutant(name, PATH, "_path_hooks", swaps)


def _cache(name: str, *swaps: Swap) -> Mutant:
    return Mutant(name, PATH, "_path_importer_cache", swaps)


def _find(name: str, *swaps: Swap) -> Mutant:
    return Mutant(name, PATH, "find_spec", swaps)


def _forget(name: str, *swaps: Swap) -> Mutant:
    return Mutant(name, PATH, "invalidate_caches", swaps)


def _start(line: str) -> Swap:
    """A line run before the walk over the path."""
    return (START, f"{START}\n{line}")


def _found(lines: str) -> Swap:
    """Lines run on the answer of the search."""
    return (FOUND, f"{FOUND}\n{lines}")


MUTANTS = [
    _file("stale listing", ("mtime != self._path_mtime", "self._path_mtime == -1")),
    _file("suffixes last to first", (SUFFIXES, f"{SUFFIXES}[::-1]")),
    _file("any file type is a module", (FULL, "not _path_isdir(full_path)")),
    _file("a directory is a module", (FULL, f"(_path_isdir(full_path) or {FULL})")),
    _file("no portions", (DIRECTORY, "False")),
    _file("any name is a portion", (DIRECTORY, "True")),
    _file(
        "a portion hides the module beside it",
        (DIRECTORY, f"{DIRECTORY}\nif is_namespace: cache = ()"),
    ),
    _file(
        "a module hides the package beside it",
        (
            "if cache_module in cache:",
            "if cache_module in cache and cache_module + '.py' not in cache:",
        ),
    ),
    _file("the whole dotted name", (TAIL, "fullname")),
    _file("the first part of the name", (TAIL, "fullname.partition('.')[0]")),
    _file("a name with a NUL is absent", (ABSENT, f"{ABSENT}\nif '\\0' in fullname: return None")),
    _file(
        "an empty last part is absent",
        (ABSENT, f"{ABSENT}\nif fullname[-1:] in ('', '.'): return None"),
    ),
    _file("a slash is absent", (ABSENT, f"{ABSENT}\nif '/' in fullname: return None")),
    _file("names normalised", (TAIL, f"__import__('unicodedata').normalize('NFC', {TAIL})")),
    _file(
        "surrogates are absent", (ABSENT, f"{ABSENT}\nif not fullname.isprintable(): return None")
    ),
    _file("__init__ needs source", ("'__init__' + suffix", "'__init__.py'")),
    _walk("first portion only", (PORTION, "namespace_path = namespace_path or portions")),
    _walk(
        "a portion ends the search",
        (PORTION, f"{PORTION}\nspec.submodule_search_locations = namespace_path\nreturn spec"),
    ),
    _walk("portions last to first", (PORTION, "namespace_path[:0] = portions")),
    _walk(
        "portions once each",
        (PORTION, "namespace_path += [p for p in portions if p not in namespace_path]"),
    ),
    _walk("one portion from each finder", (PORTION, "namespace_path.extend(portions[:1])")),
    _walk(
        "bytes entries decoded",
        _start("path = [e.decode() if isinstance(e, bytes) else e for e in path]"),
    ),
    _walk(
        "path-like entries accepted",
        _start("path = [_os.fspath(e) if hasattr(e, '__fspath__') else e for e in path]"),
    ),
    _walk("exact str only", _start("path = [e for e in path if type(e) is str]")),
    _walk("path copied first", _start("path = list(path)")),
    _walk("path walked twice", _start("for entry in path: pass")),
    _walk("a str path is one entry", _start("path = [path] if isinstance(path, str) else path")),
    _walk(
        "cache filled to the end",
        _start(
            "path = list(path)\nfor e in path: isinstance(e, str) and cls._path_importer_cache(e)"
        ),
    ),
    _walk(
        "trailing slashes dropped",
        _start("path = [e.rstrip('/') or '/' if type(e) is str else e for e in path]"),
    ),
    _walk("target dropped", (ASK, "finder.find_spec(fullname, None)")),
    _walk(
        "a spec without loader and locations is passed over",
        ("raise ImportError('spec missing loader')", "continue"),
    ),
    _walk("a falsy finder is none", ("if finder is not None", "if finder")),
    _walk(
        "finder errors swallowed",
        (f"spec = {ASK}", f"try: spec = {ASK}\nexcept Exception: spec = None"),
    ),
    _walk(
        "only FileFinder is asked", ("if finder is not None", "if isinstance(finder, FileFinder)")
    ),
    _walk(
        "FileFinder subclasses are FileFinder",
        (
            "finder.find_spec(",
            "(FileFinder.find_spec.__get__(finder) if isinstance(finder, FileFinder)"
            " else finder.find_spec)(",
        ),
    ),
    _walk(
        "patched finders are not noticed",
        (
            "finder.find_spec(",
            "(FileFinder.find_spec.__get__(finder) if type(finder) is FileFinder"
            " else finder.find_spec)(",
        ),
    ),
    _walk(
        "a finder's own path is not read",
        (
            f"spec = {ASK}",
            "if type(finder) is FileFinder and entry[:1] == '/': finder.path = entry\n"
            f"spec = {ASK}",
        ),
    ),
    _walk(
        "a finder's own loaders are not read",
        (
            f"spec = {ASK}",
            f"if type(finder) is FileFinder: finder._loaders = {USUAL}\nspec = {ASK}",
        ),
    ),
    _hooks("hook errors swallowed", ("except ImportError", "except Exception")),
    _hooks("hooks last to first", ("hook in sys.path_hooks", "hook in sys.path_hooks[::-1]")),
    _hooks(
        "no warning without hooks",
        ("_warnings.warn('sys.path_hooks is empty', ImportWarning)", "pass"),
    ),
    _hooks(
        "a hook's None is passed over",
        ("return hook(path)", "found = hook(path)\nif found: return found"),
    ),
    _hooks(
        "hooks not asked",
        ("in sys.path_hooks:", "in [FileFinder.path_hook(*_get_supported_file_loaders())]:"),
    ),
    _hooks("hooks asked twice", ("return hook(path)", "hook(path)\nreturn hook(path)")),
    _cache("'' is its own entry", ("path = _os.getcwd()", "_os.getcwd()")),
    _cache("'.' is made absolute", ("if path == ''", "if path in ('', '.')")),
    _cache("failed entries not kept", (KEEP, f"if finder: {KEEP}")),
    _cache(
        "None in the cache is asked again", (LOOK, f"{LOOK}\nif finder is None: raise KeyError")
    ),
    _cache("the cache is not read", (LOOK, "raise KeyError")),
    _cache("the cache is not filled", (KEEP, "pass")),
    _cache(
        "a lost directory is remembered",
        ("return None", "sys.path_importer_cache[''] = None; return None"),
    ),
    _find("namespace path is a list", ("spec.origin = None", "spec.origin = None\nreturn spec")),
    _find("namespace path stands still", ("cls._get_spec)", "lambda *a: None)")),
    _find(
        "the subclass's search is not used",
        ("cls._get_spec(fullname, path, target)", "PathFinder._get_spec(fullname, path, target)"),
    ),
    _find("an empty path means sys.path", ("if path is None", "if not path")),
    _find("cached is computed early", _found("spec and spec.cached")),
    _find(
        "locations are a tuple",
        _found(
            "if spec and spec.loader and spec.submodule_search_locations:\n"
            "    spec.submodule_search_locations = tuple(spec.submodule_search_locations)"
        ),
    ),
    _find("the name is made str", _found("if spec: spec.name = str(fullname)")),
    _find("an attribute too many", _found("if spec: spec._fast = True")),
    _find(
        "one spec for all",
        _found(
            "if spec and spec.loader:\n"
            "    kept = _bootstrap.__dict__.setdefault('_kept_by_a_mutant', {})\n"
            "    spec = kept.setdefault((spec.name, spec.origin), spec)"
        ),
    ),
    _forget("None stays in the cache", ("if finder is None", "if False")),
    _forget("the epoch stands still", ("_epoch += 1", "_epoch += 0")),
    _forget(
        "foreign finders are not told",
        ("elif hasattr(finder, 'invalidate_caches')", "elif isinstance(finder, FileFinder)"),
    ),
    _forget(
        "everything is dropped",
        ("for name, finder", "sys.path_importer_cache.clear()\nfor name, finder"),
    ),
    _forget(
        "errors are swallowed",
        ("finder.invalidate_caches()", "try: finder.invalidate_caches()\nexcept Exception: pass"),
    ),
]
