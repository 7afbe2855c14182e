"""Loaders with one mistake each: what a native ``get_code`` could get wrong. And one without.

Each is importlib's own source with pieces of text swapped, as in ``mutants.py``.
``test_conformance_loading_mutants.py`` demands that the loading cases notice every one of them.
"""

from __future__ import annotations

from mutants import Mutant
from subjects import Subject, Swap, patched, rebuilt

LOADER = "SourceLoader"

COPY = Subject("copy", lambda: patched({(LOADER, "get_code"): rebuilt(LOADER, "get_code")}))

# Pieces of importlib's source in which mistakes are made.
PATH = "source_path = self.get_filename(fullname)"
COMPILE = "self.source_to_code(source_bytes, source_path)"
WHERE = "bytecode_path = cache_from_source(source_path)"
STATS = "st = self.path_stats(source_path)"
TIME = "source_mtime = int(st['mtime'])"
READ = "data = self.get_data(bytecode_path)"
CLASSIFY = "flags = _classify_pyc(data, fullname, exc_details)"
ASKED = "_imp.check_hash_based_pycs != 'never'"
ALWAYS = "_imp.check_hash_based_pycs == 'always'"
BODY = "memoryview(data)[16:]"
INVALID = "except (ImportError, EOFError):"
VALIDATE = "_validate_timestamp_pyc("
UNMARSHAL = "return _compile_bytecode(bytes_data, name=fullname,"
ORIGIN = "source_path=source_path)"
WRITING = "not sys.dont_write_bytecode"
STAMP = "_code_to_timestamp_pyc(code_object, source_mtime,"
WRITE = "self._cache_bytecode(source_path, bytecode_path, data)"
# The header with the very time of the source.
SAME_TIME = "data[:8] + _pack_uint32(source_mtime) + data[12:]"
OUTER = (
    "outer = marshal.loads(bytes_data)\n"
    "if isinstance(outer, _code_type): return outer.replace(co_filename=source_path)"
)

# A create_module without a mistake, which only `module_from_spec` can tell from stock's.
NOTHING = '"""Use default semantics for module creation."""'
USUAL = "type(self) is SourceFileLoader and type(spec) is _bootstrap.ModuleSpec"
CALLED = "sys._getframe(1).f_code is _bootstrap.module_from_spec.__code__"
PLACED = "spec.has_location is True and type(spec.origin) is str"
FULL = f"""{NOTHING}
of = _bootstrap.ModuleSpec
parts = [_bootstrap._init_module_attrs, _bootstrap._new_module, _get_cached, cache_from_source,
         _path_join, of.cached.fget, of.parent.fget, of.has_location.fget]
theirs = any(not part.__code__.co_filename.startswith('<frozen importlib') for part in parts)
theirs = theirs or {{'__getattribute__', '__setattr__'}} & {{*vars(of)}}
if theirs or not _bootstrap._bootstrap_external:
    return None
if '__cached__' not in _bootstrap._init_module_attrs.__code__.co_names:
    return None
try:
    if not ({USUAL} and {CALLED} and {PLACED} and spec.loader is self and type(spec.name) is str):
        return None
    module = type(sys)(spec.name)
    module.__loader__ = self
    module.__package__ = spec.parent
    if spec.submodule_search_locations is not None:
        module.__path__ = spec.submodule_search_locations
    module.__file__ = spec.origin
    if spec.cached is not None:
        module.__cached__ = spec.cached
    return module
except (AttributeError, ValueError):
    return None"""


def _code(name: str, *swaps: Swap) -> Mutant:
    return Mutant(name, LOADER, "get_code", swaps)


def _made(name: str, *swaps: Swap) -> Mutant:
    text = FULL
    for old, new in swaps:
        assert old in text, old
        text = text.replace(old, new)
    return Mutant(name, "_LoaderBasics", "create_module", ((NOTHING, text),))


MUTANTS = [
    _code("time not compared", (VALIDATE, f"data = {SAME_TIME}\n{VALIDATE}")),
    _code("size not compared", ("st['size']", "None")),
    _code("time rounded", ("int(st['mtime'])", "round(st['mtime'])")),
    _code("time rounded down", ("int(st['mtime'])", "int(st['mtime'] // 1)")),
    _code("time cut to 31 bits", (TIME, f"{TIME} & 0x7fffffff")),
    _code("time never negative", (TIME, f"{TIME}\nsource_mtime = max(source_mtime, 0)")),
    _code("time at most 32 bits", (TIME, f"{TIME}\nsource_mtime = min(source_mtime, 0xffffffff)")),
    _code("size at most 32 bits", ("st['size']", "min(st['size'], 0xffffffff)")),
    _code("newer than the source is fresh", (VALIDATE, "if _unpack_uint32(data[8:12]) > "
          f"source_mtime: data = {SAME_TIME}\n{VALIDATE}")),
    _code("magic not compared", (CLASSIFY, f"data = MAGIC_NUMBER + data[4:]\n{CLASSIFY}")),
    _code("two bytes of magic compared",
          (CLASSIFY, f"data = data[:2] + MAGIC_NUMBER[2:] + data[4:]\n{CLASSIFY}")),
    _code("flags ignored", (CLASSIFY, f"data = data[:4] + bytes(4) + data[8:]\n{CLASSIFY}")),
    _code("unknown flags allowed", (CLASSIFY, "if len(data) > 15: data = data[:4] + "
          f"bytes([data[4] & 3, 0, 0, 0]) + data[8:]\n{CLASSIFY}")),
    _code("the first byte of the flags is enough", (CLASSIFY, "if len(data) > 15: data = data[:5] "
          f"+ bytes(3) + data[8:]\n{CLASSIFY}")),
    _code("a short header is an error", (INVALID, "except ImportError:")),
    _code("a stale pyc is an error", (INVALID, "except EOFError:")),
    _code("a cut body is compiled anew", (UNMARSHAL, "try: marshal.loads(bytes_data)\n"
          f"except EOFError: return self.source_to_code(self.get_data(source_path), source_path)\n"
          f"{UNMARSHAL}")),
    _code("garbage is compiled anew", (UNMARSHAL, "try: marshal.loads(bytes_data)\n"
          "except (ValueError, TypeError): return self.source_to_code("
          f"self.get_data(source_path), source_path)\n{UNMARSHAL}")),
    _code("anything but code is compiled anew", (UNMARSHAL,
          "if not isinstance(marshal.loads(bytes_data), _code_type): "
          f"return self.source_to_code(self.get_data(source_path), source_path)\n{UNMARSHAL}")),
    _code("anything but code is returned", (UNMARSHAL,
          "if not isinstance(marshal.loads(bytes_data), _code_type): "
          f"return marshal.loads(bytes_data)\n{UNMARSHAL}")),
    _code("nothing may follow the code", (UNMARSHAL,
          f"if bytes_data[-4:] == b'rest': raise EOFError\n{UNMARSHAL}")),
    _code("the buffer is too small", (BODY, "memoryview(data)[16:65536]")),
    _code("the filename stays that of the pyc", (ORIGIN, "source_path=None)")),
    _code("only the outer filename is put right",
          (UNMARSHAL, f"{OUTER}\n{UNMARSHAL}")),
    _code("a hash is never compared", (ASKED, "False")),
    _code("a hash is always compared", ("(check_source or", "(True or")),
    _code("unchecked hashes are not for always", (ALWAYS, "False")),
    _code("never is not heard", (ASKED, "True")),
    _code("the check is rewritten unchecked", ("source_hash, check_source)",
          "source_hash, False)")),
    _code("a stale hash becomes a time", ("if hash_based:\n            if", "if False:\n    if")),
    _code("what hashes are checked is read once", (ASKED, "'default' != 'never'"),
          (ALWAYS, "'default' == 'always'")),
    _code("a directory in its place is an error", (READ, "if _path_isdir(bytecode_path): "
          f"raise ImportError(bytecode_path)\n{READ}")),
    _code("an unreadable pyc is an error", ("except OSError:\n                pass",
          "except FileNotFoundError:\n    pass")),
    _code("links are not followed", (READ, "if _os.lstat(bytecode_path).st_mode & 0o170000 == "
          f"0o120000: raise OSError\n{READ}")),
    _code("the link is asked, not the source", (STATS, "st = _os.lstat(source_path)\n"
          "st = {'mtime': st.st_mtime, 'size': st.st_size}")),
    _code("a missing source is no error", ("except OSError:\n            pass",
          "except OSError:\n    return _compile_bytecode(self.get_data(bytecode_path)[16:])")),
    _code("bytecode is always written", (WRITING, "True")),
    _code("bytecode is never written", (WRITING, "False")),
    _code("only True stops writing", (WRITING, "sys.dont_write_bytecode is not True")),
    _code("the written time is cut", (STAMP, "_code_to_timestamp_pyc(code_object, 0,")),
    _code("the written size is that of the file", ("len(source_bytes))", "st['size'] + 1)")),
    _code("permissions are not those of the source", (WRITE, "self.set_data(bytecode_path, data)")),
    _code("the cache is beside the source", (WHERE, "bytecode_path = source_path + 'c' if "
          "sys.pycache_prefix else cache_from_source(source_path)")),
    _code("the prefix is not read", (WHERE, "kept, sys.pycache_prefix = sys.pycache_prefix, None\n"
          f"try: {WHERE}\nfinally: sys.pycache_prefix = kept")),
    _code("an empty tag is none", (WHERE, f"if not sys.implementation.cache_tag: raise "
          f"NotImplementedError\n{WHERE}")),
    _code("the flags are those of the start", (WHERE,
          "bytecode_path = cache_from_source(source_path, optimization='')")),
    _code("the name is not compared", (PATH, "source_path = self.path")),
    _code("the path is made str", (PATH, f"{PATH}\nsource_path = str(source_path)")),
    _code("data is read by itself", (READ, "data = FileLoader.get_data(self, bytecode_path)")),
    _code("stats are read by itself",
          (STATS, "st = SourceFileLoader.path_stats(self, source_path)")),
    _code("a subclass does not compile",
          (COMPILE, "SourceLoader.source_to_code(self, source_bytes, source_path)")),
    _code("a subclass does not write",
          (WRITE, "SourceFileLoader._cache_bytecode(self, source_path, bytecode_path, data)")),
    _code("files are opened by itself",
          (READ, "with _io.FileIO(bytecode_path, 'r') as file: data = file.read()")),
    _code("a pyc is unmarshalled by itself", (UNMARSHAL,
          f"if len(bytes_data) > 20: __import__('marshal').loads(bytes_data)\n{UNMARSHAL}")),
    _code("the collector stays off", (PATH, f"{PATH}\n__import__('gc').disable()")),
    _code("the collector is put on", (UNMARSHAL, f"__import__('gc').enable()\n{UNMARSHAL}")),
    _code("the collector stays off after errors", (UNMARSHAL,
          "gc, on = __import__('gc'), __import__('gc').isenabled()\ngc.disable()\n"
          f"marshal.loads(bytes_data)\nif on: gc.enable()\n{UNMARSHAL}")),
    _made("anybody is given a module", (CALLED, "True")),
    _made("a subclass is given a module", ("type(self) is", "isinstance(self, SourceLoader) or")),
    _made("a subclass of specs is given one", ("type(spec) is", "isinstance(spec, type) or")),
    _made("another loader is set", ("= self\n", "= type(self)(self.name, self.path)\n")),
    _made("the name is another object", ("(spec.name)", "(''.join([*spec.name]))")),
    _made("a name may be anything", ("type(spec.name) is str", "True"),
          ("(spec.name)", "(str(spec.name))")),
    _made("a package is its own parent's", ("spec.parent", "spec.name.rpartition('.')[0]")),
    _made("a module is its own package", ("spec.parent", "spec.name")),
    _made("the path is a copy", ("= spec.submodule_search_locations\n",
          "= [*spec.submodule_search_locations]\n")),
    _made("an empty path is none", ("spec.submodule_search_locations is not None",
          "spec.submodule_search_locations")),
    _made("the file is another object", ("= spec.origin", "= ''.join([*spec.origin])")),
    _made("the file is the loader's", ("= spec.origin", "= self.path")),
    _made("a place that is none is a place", ("spec.has_location is True", "True")),
    _made("where bytecode lies is not kept", ("module.__cached__ = spec.cached",
          "module.__cached__ = spec.cached\n        spec._cached = None")),
    _made("where bytecode lies is another object", ("= spec.cached", "= ''.join([*spec.cached])")),
    _made("where bytecode lies is computed anew", ("if spec.cached is",
          "spec._cached = None\n    if spec.cached is")),
    _made("where bytecode lies is always beside", ("if spec.cached is",
          "kept, sys.pycache_prefix = sys.pycache_prefix, None\n"
          "    try: spec.cached\n    finally: sys.pycache_prefix = kept\n    if spec.cached is")),
    _made("where bytecode lies is not set", ("module.__cached__ = spec.cached", "pass")),
    _made("every file is a source", ("if spec.cached is",
          "spec._cached = spec._cached or cache_from_source(spec.origin)\n    if spec.cached is")),
    _made("the file comes before the path",
          ("module.__package__", "module.__file__ = spec.origin\n    module.__package__")),
    *(
        _made(f"a replaced {part} is not called", (f"{part}, ", ""))
        for part in ("_bootstrap._init_module_attrs", "_bootstrap._new_module", "_get_cached")
    ),
]  # fmt: skip
