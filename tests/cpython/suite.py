"""Which modules of CPython's test-suite are run, and which part of them.

Only names; called by run.py. A module that an interpreter does not ship is left out there.

`QUICK` is what rests on the import system most and takes under three minutes, stock and ours
together, on one core. `FULL` adds whatever else starts interpreters, looks at modules' specs,
loaders and files, or would notice a strange function in the classes of `sys.meta_path`.

test_threading is not among them: it hangs in 3.12.1, stock as well as ours. Importing from many
threads is test_importlib's business.
"""

from __future__ import annotations

QUICK = (
    "test_importlib",
    "test_import",
    "test_pkgutil",
    "test_zipimport",
    "test_runpy",
    "test_namespace_pkgs",
    "test_threaded_import",
    "test_cmd_line_script",
    "test_site",
    "test_modulefinder",
    "test_frozen",
    "test_lazy_import",
    "test_multiprocessing_spawn",
)

FULL = (
    *QUICK,
    "test__interpchannels",
    "test__interpreters",
    "test__xxsubinterpreters",
    "test_atexit",
    "test_audit",
    "test_bdb",
    "test_capi.test_import",
    "test_cmd_line",
    "test_compileall",
    "test_cprofile",
    "test_doctest",
    "test_faulthandler",
    "test_fork1",
    "test_gc",
    "test_imp",
    "test_inspect",
    "test_interpreters",
    "test_linecache",
    "test_module",
    "test_multiprocessing_fork",
    "test_multiprocessing_forkserver",
    "test_multiprocessing_main_handling",
    "test_pdb",
    "test_pkg",
    "test_profile",
    "test_py_compile",
    "test_pyclbr",
    "test_pydoc",
    "test_reprlib",
    "test_script_helper",
    "test_source_encoding",
    "test_support",
    "test_sys",
    "test_sys_setprofile",
    "test_sys_settrace",
    "test_sysconfig",
    "test_timeit",
    "test_trace",
    "test_traceback",
    "test_tracemalloc",
    "test_unittest",
    "test_utf8_mode",
    "test_venv",
    "test_warnings",
    "test_zipapp",
    "test_zipimport_support",
)

# regrtest's --match patterns for modules too long to be run whole: what starts and feeds children.
_CHILDREN = (
    "*WithProcessesTestProcess*",
    "*TestStartMethod*",
    "*TestFlags*",
    "*TestNoForkBomb*",
    "*TestInitializers*",
    "*_TestImportStar*",
    "*WithProcessesTestPool.test_map",
)
PARTS: dict[str, tuple[str, ...]] = {
    "test_multiprocessing_fork": _CHILDREN,
    "test_multiprocessing_forkserver": _CHILDREN,
    "test_multiprocessing_spawn": _CHILDREN,
}


def modules(names: list[str]) -> list[str]:
    """The modules that the command line means: `quick`, `full`, or their names; none twice."""
    lists = {"quick": QUICK, "full": FULL}
    return list(dict.fromkeys(one for name in names for one in lists.get(name, (name,))))
