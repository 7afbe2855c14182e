"""The command line but for ``run``: arguments in, text or JSON out, an exit code.

Exit codes: 0 all is well, 1 a problem was found or the request refused, 2 the arguments or the
environment are not valid. Errors are one line on standard error. Called by ``__main__``.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
from pathlib import Path

import fastpath
from fastpath import (
    _cache,
    _doctor,
    _enable,
    _entries,
    _explain,
    _seal,
    _settings,
    _status,
    _tables,
)
from fastpath._problem import REFUSED, USAGE, Problem, report
from fastpath._settings import BACKENDS, FRESHNESS

_CODES = (
    "exit codes: 0 all is well; 1 a problem was found, or the request refused; "
    "2 invalid arguments or environment"
)
_EPILOGS = {
    "": "example: python -m fastpath enable && python -m fastpath status",
    "enable": "example: python -m fastpath enable --dry-run",
    "disable": "example: python -m fastpath disable",
    "status": "example: python -m fastpath status --json",
    "explain": "example: python -m fastpath explain django.db sqlalchemy",
    "doctor": "example: python -m fastpath doctor",
    "cache": "example: python -m fastpath cache info",
    "bench": (
        "example: python -m fastpath bench\n"
        "         python -m fastpath bench --quick --json bench.json /mnt/home"
    ),
    "cache info": "example: python -m fastpath cache info --json",
    "cache list": "example: python -m fastpath cache list --modules",
    "cache verify": "example: python -m fastpath cache verify --files",
    "cache clear": "example: python -m fastpath cache clear --dry-run",
    "cache gc": "example: python -m fastpath cache gc --days 30",
    "seal": (
        "example: python -m fastpath seal\n"
        "         python -m fastpath seal --for 'python app.py --check'\n"
        "         python -m fastpath seal --verify"
    ),
    "unseal": "example: python -m fastpath unseal",
    "trace": (
        "example: python -m fastpath trace -- python -c 'import json'\n"
        "         python -m fastpath trace --compare --html page.html -- python manage.py check\n\n"
        "exit codes: the command's own (128 and the signal's number for a signal), the first that "
        "is\nnot 0 with --compare; 2 invalid arguments; 126 the command cannot be run; 127 there "
        "is none"
    ),
    "run": (
        "example: python -m fastpath run --backend threads manage.py check\n"
        "         python -m fastpath run --times --json times.json -m http.server --help\n\n"
        "exit codes: the program's own; 2 invalid arguments, or the script cannot be opened"
    ),
}
_DESCRIPTIONS = {
    "enable": (
        "Make every interpreter of this environment start fastpath: write fastpath.pth into its "
        "site-packages, then start a fresh interpreter to see that it works. Interpreters run "
        "with -S do not read it; those with -I or -E do, and since they ignore the environment, "
        "FASTPATH=0 does not turn fastpath off in them."
    ),
    "disable": "Remove what `enable` wrote. Running interpreters keep what they have.",
    "status": (
        "Tell whether fastpath is enabled here and active in this process, which engines are "
        "usable and why others are not, which settings hold and who set them, and the counters."
    ),
    "explain": (
        "Tell how each name is found: the path entries consulted, where each answer came from "
        "(table, listing, probe, or stock importlib), the filesystem questions and microseconds "
        "it cost; and of a source, whether its bytecode is up to date, who loads it, and at what "
        "cost. Nothing is executed: parents of a dotted name are followed by their specs, not "
        "imported. A package that changes its __path__ when it runs is told as it lies on disk."
    ),
    "doctor": (
        "Tell what slows the imports of this interpreter, and what to do about each thing: path "
        "entries that never answer (missing, empty, unreadable), stand there twice, are relative "
        "or huge; a long path; filesystems that are slow, as measured; modules without up-to-date "
        "bytecode; whether fastpath is active, and io_uring usable. What fastpath takes care of "
        "needs nothing while it is active. The working directory, which -m puts in front of the "
        "path, is left out. Reads only: nothing is changed."
    ),
    "cache": (
        "Look after the shared tables: what processes have learnt of directories and modules, for "
        "those that come after them. They lie in FASTPATH_CACHE_DIR, else in the user's cache "
        "directory, one for each interpreter and environment."
    ),
    "cache info": (
        "Tell where this interpreter's table is, whether it is used and if not, why; what is in "
        "it; and which other tables lie beside it."
    ),
    "cache list": (
        "List the directories that a table knows, the largest first: bytes of bytecode, modules, "
        "names, and the day when a process last used it and wrote that down."
    ),
    "cache verify": (
        "Compare every checksum in a table. What is damaged, or has changed, is never used: a "
        "process compares too, and learns it again. The exit code is 1 if something is damaged."
    ),
    "cache clear": (
        "Remove every table in the cache directory, with its lock and what a killed process has "
        "left. What was learnt is learnt again. Files that are not ours stay."
    ),
    "cache gc": (
        "Remove what is of no use any more: tables that are damaged or whose interpreter is gone, "
        "and from the others directories that are gone or that no process has used for long. The "
        "day of last use is written down a month later at the latest."
    ),
    "seal": (
        "Write fastpath.seal into sys.prefix: the names and the bytecode of every module that "
        "can be imported from this environment. Interpreters of it that run under fastpath then "
        "import from there without asking the filesystem, wherever the environment is copied "
        "to. They trust it: what is edited, installed or removed below sys.prefix is not seen "
        "until `unseal`, another `seal`, or importlib.invalidate_caches(). The standard library "
        "of another prefix is in it too, but compared with the filesystem, unless --base says "
        "that it changes no more either. A seal is used by its maker, and by everybody if root "
        "has made it. What not everybody may read stays out of it."
    ),
    "unseal": "Remove fastpath.seal. Interpreters started from now on ask the filesystem again.",
    "bench": (
        "Tell whether threads or io_uring beat one stat after the other, on the mounts that "
        "matter: those of sys.path, or of each PATH. For names that are there and names that are "
        "not, 1 to 10,000 at a time: microseconds per path, processor time per path, and one "
        "sentence for each mount. No engine is timed whose answers differ from serial's. Takes "
        "less than a minute, and writes nothing to a mount."
    ),
    "trace": (
        "Run a command under strace, children and threads too, and tell at its end, on standard "
        "error, what it asked of the filesystem: by kind of call, by phase of the start, by "
        "directory, and a histogram of how long calls took. The counts are exact; the times are "
        "inflated by strace. --compare runs it twice; --html runs it once more for each, silently "
        "and without strace, for the times of imports."
    ),
    "run": (
        "Run one program under fastpath, as `python` would run it, with nothing installed in the "
        "environment. Its child processes are not under fastpath; `enable` is for that. With "
        "--times it tells at the end, on standard error, what each module cost to import."
    ),
}


def main(arguments: list[str]) -> int:
    """Parse the arguments, do what they ask, return the exit code."""
    arguments, program = _split(arguments)
    top = parser()
    options = top.parse_args(arguments)
    if options.command == "trace":
        if not program or options.words:
            missing = "trace: the command to run stands behind --, as: trace -- python app.py"
            return report(Problem(missing, USAGE))
        options.words = program
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold any byte
    try:
        code = _HANDLERS[options.command](options)
        sys.stdout.flush()
    except Problem as problem:
        return report(problem)
    except BrokenPipeError:
        # Whoever read our output has gone; the flush at exit must not complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return REFUSED
    return code


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Take the command of ``trace`` off, which argparse would find options of ours in."""
    if arguments[:1] != ["trace"] or "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def parser() -> argparse.ArgumentParser:
    """Build the whole parser; ``run`` is in it for its help only (see ``_run``)."""
    top = argparse.ArgumentParser(
        prog="python -m fastpath",
        description="Python imports that ask the filesystem once.",
        epilog=f"{_EPILOGS['']}\n\n{_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"fastpath {fastpath.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_enable(_command(commands, "enable", "start fastpath with every interpreter here"))
    _add_changes(_command(commands, "disable", "remove what enable wrote"))
    _add_json(_command(commands, "status", "enabled? active? which engine, and why"))
    explain = _command(commands, "explain", "how a name is found, and at what cost")
    explain.add_argument("names", nargs="+", metavar="NAME", help="a module's full dotted name")
    _add_json(explain)
    _add_json(_command(commands, "doctor", "what slows imports here, and what to do about it"))
    _add_cache(_command(commands, "cache", "what processes have learnt for each other"))
    _add_seal(_command(commands, "seal", "let imports trust what the environment holds now"))
    _add_json(_command(commands, "unseal", "remove what seal wrote"))
    _add_bench(_command(commands, "bench", "whether threads or io_uring beat serial stat here"))
    _add_trace(_command(commands, "trace", "what a command asks of the filesystem, by strace"))
    _add_run(_command(commands, "run", "one program under fastpath, nothing installed"))
    return top


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    epilog = _EPILOGS[name] if name in ("run", "trace") else f"{_EPILOGS[name]}\n\n{_CODES}"
    return commands.add_parser(
        name.rsplit(maxsplit=1)[-1],
        help=summary,
        description=_wrapped(_DESCRIPTIONS[name]),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def _wrapped(text: str) -> str:
    import textwrap

    return textwrap.fill(text, 79)


def _add_json(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="print JSON, for programs")


def _add_changes(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--user", action="store_true", help="the user's site-packages, not the environment's"
    )
    command.add_argument(
        "--dry-run", action="store_true", help="tell what would change; change nothing"
    )
    _add_json(command)


def _add_enable(command: argparse.ArgumentParser) -> None:
    _add_changes(command)
    command.add_argument(
        "--break-system-packages",
        action="store_true",
        help="write into an environment that the operating system manages (PEP 668)",
    )
    command.add_argument(
        "--start-file",
        action="store_true",
        help="write fastpath.start (PEP 829) too, on CPython 3.15 to 3.17, where it is not yet "
        "needed and makes every start slower than the .pth alone",
    )


def _add_cache(command: argparse.ArgumentParser) -> None:
    commands = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_directory(_command(commands, "cache info", "where, whether it is used, how large"))
    listing = _command(commands, "cache list", "the directories it knows")
    listing.add_argument("--modules", action="store_true", help="modules, not directories")
    _add_table(listing)
    verify = _command(commands, "cache verify", "compare every checksum")
    verify.add_argument(
        "--files",
        action="store_true",
        help="compare every stored version with the filesystem, too",
    )
    _add_table(verify)
    clear = _command(commands, "cache clear", "remove all tables")
    gc = _command(commands, "cache gc", "remove what is of no use any more")
    gc.add_argument(
        "--days", type=_days, default=90, metavar="N", help="not used for so long (default: 90)"
    )
    for changing in (clear, gc):
        changing.add_argument(
            "--dry-run", action="store_true", help="tell what would be removed; remove nothing"
        )
        _add_directory(changing)


def _add_directory(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dir", type=Path, metavar="DIR", help="the cache directory, not FASTPATH_CACHE_DIR"
    )
    _add_json(command)


def _add_table(command: argparse.ArgumentParser) -> None:
    _add_directory(command)
    command.add_argument(
        "table", nargs="?", type=Path, metavar="TABLE", help="a file; else this interpreter's"
    )


def _days(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number


def _add_seal(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="directories to seal, with all packages below; default: those of sys.path",
    )
    command.add_argument(
        "--for",
        dest="program",
        metavar="COMMAND",
        help="run this command once, without a shell, and seal what its interpreters import, "
        "in that order",
    )
    command.add_argument(
        "--base",
        action="store_true",
        help="trust the standard library and what else lies below sys.base_prefix too",
    )
    command.add_argument(
        "--break-system-packages",
        action="store_true",
        help="seal an environment that the operating system manages (PEP 668), and so may change",
    )
    command.add_argument(
        "--verify",
        action="store_true",
        help="compare the seal with the environment and list what differs; change nothing",
    )
    _add_json(command)


def _add_bench(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "paths", nargs="*", metavar="PATH", help="a directory; else the mounts of sys.path"
    )
    command.add_argument(
        "--json", type=Path, metavar="FILE", help="write every number there; - is standard output"
    )
    command.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw them there, .svg or .png (matplotlib)"
    )
    command.add_argument(
        "--quick", action="store_true", help="ten seconds: up to 1,000 at a time, four engines"
    )
    command.add_argument(
        "--cold",
        action="store_true",
        help="with empty caches, too: drops those of the whole machine again and again (root)",
    )
    command.add_argument(
        "--emulate-latency",
        type=_milliseconds,
        metavar="MS",
        help="show PATH through a filesystem that takes so long for each operation, and measure "
        "there (root, and slowfs of fastpath's sources)",
    )


def _milliseconds(text: str) -> float:
    number = float(text)
    if not 0 <= number <= 1000:
        raise ValueError
    return number


def _add_trace(command: argparse.ArgumentParser) -> None:
    command.usage = (
        "python -m fastpath trace [--compare] [--save FILE] [--html FILE]\n"
        "                                [--json FILE] -- COMMAND [ARGUMENT ...]"
    )
    command.add_argument(
        "--compare", action="store_true", help="stock (FASTPATH=0) and fastpath side by side"
    )
    for option, what in (
        ("--save", "write the calls there, to be replayed: a recording, of stock with --compare"),
        ("--html", "write a page: histogram, timeline, flame graph of the imports"),
        ("--json", "write everything there, for programs"),
    ):
        command.add_argument(option, type=Path, metavar="FILE", help=what)
    command.add_argument("words", nargs="*", metavar="COMMAND", help="what to run, behind --")


def _add_run(command: argparse.ArgumentParser) -> None:
    command.usage = (
        "python -m fastpath run [--backend B] [--freshness F]\n"
        "                              [--times [--stock] [--json FILE]]\n"
        "                              (SCRIPT | -m MODULE | -c CODE) [ARGUMENT ...]"
    )
    command.add_argument("--backend", metavar="B", help=", ".join(BACKENDS))
    command.add_argument("--freshness", metavar="F", help=", ".join(FRESHNESS))
    command.add_argument(
        "--times",
        action="store_true",
        help="tell where import time went: the 20 slowest modules, in milliseconds",
    )
    command.add_argument(
        "--stock", action="store_true", help="with --times: without fastpath, for comparison"
    )
    command.add_argument("--json", metavar="FILE", help="with --times: write all modules there")
    command.add_argument("-m", metavar="MODULE", help="run a module, as python -m")
    command.add_argument("-c", metavar="CODE", help="run a string, as python -c")
    command.add_argument("script", metavar="SCRIPT", help="a file, directory or zip, as python")


def _run_enable(options: argparse.Namespace) -> int:
    changes = _enable.enable(
        user=options.user,
        dry_run=options.dry_run,
        start_file=options.start_file,
        break_system_packages=options.break_system_packages,
    )
    _print_changes(changes, options)
    if not options.json and not options.dry_run:
        print(f"verified: a fresh {sys.executable} comes up with fastpath installed")
    return 0


def _run_disable(options: argparse.Namespace) -> int:
    changes = _enable.disable(user=options.user, dry_run=options.dry_run)
    _print_changes(changes, options)
    if not options.json and not changes:
        print("nothing to remove: fastpath is not enabled there")
    return 0


def _print_changes(changes: list[_enable.Change], options: argparse.Namespace) -> None:
    if options.json:
        files = [{"path": str(path), "change": change} for path, change in changes]
        print(json.dumps({"dry_run": options.dry_run, "files": files}))
        return
    for path, change in changes:
        would = options.dry_run and change != "unchanged"
        print(f"{path}: {'would be ' if would else ''}{change}")


def _run_status(options: argparse.Namespace) -> int:
    status = _status.gather()
    print(json.dumps(status) if options.json else _status.render(status))
    _status.check(status)
    return 0


def _run_explain(options: argparse.Namespace) -> int:
    told = _explain.explain(options.names)
    if options.json:
        print(json.dumps([_explain.as_json(explained) for explained in told]))
    else:
        print("\n\n".join(map(_explain.render, told)))
    _explain.check(told)
    return 0


def _run_doctor(options: argparse.Namespace) -> int:
    told = _doctor.diagnose(_entries.own_path())
    print(json.dumps(told) if options.json else _doctor.render(told))
    return 0 if told["ok"] else REFUSED


def _run_cache(options: argparse.Namespace) -> int:
    _settings.check()
    place = _tables.place(options.dir)
    return _ACTIONS[options.action](place, options)


def _cache_info(place: _tables.Place, options: argparse.Namespace) -> int:
    told = _cache.info(place)
    print(json.dumps(told) if options.json else _cache.render_info(told))
    return 0


def _cache_list(place: _tables.Place, options: argparse.Namespace) -> int:
    told = _cache.listed(_table(place, options))
    print(json.dumps(told) if options.json else _cache.render_list(told, modules=options.modules))
    return 0


def _cache_verify(place: _tables.Place, options: argparse.Namespace) -> int:
    told = _cache.verify(_table(place, options), stamps=options.files)
    print(json.dumps(told) if options.json else _cache.render_verdict(told))
    return REFUSED if told["damaged"] else 0


def _table(place: _tables.Place, options: argparse.Namespace) -> Path:
    table: Path | None = options.table.absolute() if options.table else place.file
    if table is None:
        raise Problem(str(place.why))
    return table


def _run_bench(options: argparse.Namespace) -> int:
    from fastpath import _bench, _bench_plot, _bench_text

    if options.plot:
        _bench_plot.check(options.plot)
    for file in filter(None, (options.json, options.plot)):
        if not file.absolute().parent.is_dir():  # better told now than after a minute
            raise Problem(f"bench: can't write {file}: no such directory", USAGE)
    asked = _bench.Asked(options.paths, options.quick, options.cold, options.emulate_latency)
    try:
        told = _bench.bench(asked)
    except KeyboardInterrupt:  # a minute is long enough to change one's mind
        raise Problem("bench: interrupted", 128 + signal.SIGINT) from None
    as_json = json.dumps(told, indent=1) + "\n"
    is_piped = str(options.json) == "-"
    print(as_json if is_piped else _bench_text.render(told), end="" if is_piped else "\n")
    try:
        if options.json and not is_piped:
            options.json.write_text(as_json, encoding="utf-8")
        if options.plot:
            _bench_plot.draw(told, options.plot)
    except OSError as error:
        raise Problem(f"bench: can't write {error.filename}: {error.strerror}", USAGE) from error
    return 0


def _cache_clear(place: _tables.Place, options: argparse.Namespace) -> int:
    return _print_removed(_cache.clear(place, dry_run=options.dry_run), options)


def _cache_gc(place: _tables.Place, options: argparse.Namespace) -> int:
    return _print_removed(_cache.gc(place, days=options.days, dry_run=options.dry_run), options)


def _print_removed(changes: list[_cache.Change], options: argparse.Namespace) -> int:
    fastpath.uninstall()  # or this very process would leave a new table when it ends
    if options.json:
        print(json.dumps({"dry_run": options.dry_run, "files": changes}))
    else:
        print(_cache.render_changes(changes, dry_run=options.dry_run))
    return REFUSED if any(change["change"] == "busy" for change in changes) else 0


def _run_seal(options: argparse.Namespace) -> int:
    if options.verify:
        if options.paths or options.program is not None or options.base:
            raise Problem("seal: --verify goes with no PATH, --for or --base (see --help)", USAGE)
        verified = _seal.verify()
        print(json.dumps(verified) if options.json else _seal.render_verified(verified))
        return REFUSED if verified["differences"] else 0
    sealed = _seal.seal(
        options.paths,
        options.program,
        base=options.base,
        break_system_packages=options.break_system_packages,
    )
    print(json.dumps(sealed) if options.json else _seal.render(sealed))
    return 0


def _run_unseal(options: argparse.Namespace) -> int:
    removed = _seal.unseal()
    if options.json:
        print(json.dumps({"path": str(_seal.path()), "removed": removed}))
    else:
        print(f"{_seal.path()}: {'removed' if removed else 'there is none'}")
    return 0


def _run_trace(options: argparse.Namespace) -> int:
    from fastpath import _trace

    return _trace.main(
        _trace.Asked(options.words, options.save, options.html, options.json, options.compare)
    )


_ACTIONS = {
    "info": _cache_info,
    "list": _cache_list,
    "verify": _cache_verify,
    "clear": _cache_clear,
    "gc": _cache_gc,
}
_HANDLERS = {
    "enable": _run_enable,
    "disable": _run_disable,
    "status": _run_status,
    "explain": _run_explain,
    "doctor": _run_doctor,
    "cache": _run_cache,
    "seal": _run_seal,
    "unseal": _run_unseal,
    "bench": _run_bench,
    "trace": _run_trace,
}
