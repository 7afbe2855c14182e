"""Places where no shared table can be written, or not for long: the program does not notice.

What it prints, what it says of errors and how it ends is what it is with stock importlib, and the
table that was there stays.
"""

from __future__ import annotations

import os
import py_compile
import shutil
from pathlib import Path

import pytest
from tables import FILES, Ended, Shop, settle

from support import need, unwritable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="tables are shared on POSIX only")

# What somebody may print, with an error in it and the status that it gives.
PROGRAM = """
everything()
print([sys.modules[name].VALUE for name in NAMES])
print(sorted(name for name in sys.modules if not name.startswith("fastpath")))
{then}
import absent
"""
# What no table has yet, and what makes one grow by more than there is room for.
NEW = "import more; print(len(more.VALUE))"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    shop = Shop(tmp_path)
    more = shop.tree / "more.py"
    more.write_text(f"VALUE = {'x' * 70_000!r}\n")
    py_compile.compile(str(more), doraise=True)
    settle()
    return shop


def _same(shop: Shop, program: str, first: str = "", **options: object) -> Ended:
    """Run it stock and ours; assert that it is the same; `first` runs before fastpath is there."""
    program = first + "\nif os.environ['TABLE_CHILD'] == 'later': start()\n" + program
    stock = shop.run(program, how="stock", **options)  # type: ignore[arg-type]
    ours = shop.run(program, how="later", **options)  # type: ignore[arg-type]
    assert ours == stock
    return ours


def _program(then: str = NEW) -> str:
    return PROGRAM.format(then=then)


def _works(ended: Ended) -> None:
    """Assert that the program was run to its end, which is an error of its own."""
    assert ended.status == 1
    assert ended.err.endswith("ModuleNotFoundError: No module named 'absent'\n")
    assert "the value of p3.m4" in ended.out


def _kept(shop: Shop) -> tuple[Path, bytes]:
    """A table, and what is in it."""
    table = shop.learn()
    return table, table.read_bytes()


def test_place_enough(shop: Shop) -> None:
    """What the cases below would be without what is wrong in them."""
    table, before = _kept(shop)
    _works(_same(shop, _program()))
    assert table.stat().st_size > len(before) + 70_000


@pytest.mark.parametrize("room", [0, 4096, 12288, 65536, 131072], ids="{} bytes left".format)
def test_full_filesystem(room: int, shop: Shop) -> None:
    need("unwritable")
    if os.geteuid() != 0:
        pytest.skip("skipped: mounting needs root")
    table, before = _kept(shop)
    keep = shop.tree / "kept"
    shutil.copytree(shop.cache, keep)
    # All of the filesystem but `room` is used up before the program starts; afterwards the old
    # table has to be there, and nothing that was begun.
    script = (
        'mount -t tmpfs -o size=256k,mode=700 tmpfs "$0" && cp -a "$1"/. "$0" && '
        'head -c $((262144 - $2 - $(du -sB1 "$0" | cut -f1))) /dev/zero > "$0/ballast" && '
        'shift 2; "$@"; status=$?; cd "$0"; LC_ALL=C ls; '
        'cmp -s *.table "$OLDPWD/kept/"*.table && echo kept; exit $status'
    )
    before_it = ("unshare", "--mount", "sh", "-c", script, str(shop.cache), str(keep), str(room))
    stock, ours = (shop.run(_program(), how=how, before=before_it) for how in ("stock", "ours"))
    _works(ours)
    # In order, wherever that puts the table, whose name depends on where the environment lies.
    left = "".join(f"{name}\n" for name in sorted([table.name, f"{table.name}.lock", "ballast"]))
    if room < 70_000:
        assert ours == stock
        assert ours.out.endswith(f"\n{left}kept\n")
    else:
        assert stock.out.endswith(f"\n{left}kept\n")
        assert ours.out.endswith(f"\n{left}")
    assert table.read_bytes() == before


@pytest.mark.parametrize("limit", [0, 1, 4096, 20_000])
def test_largest_file_there_may_be(limit: int, shop: Shop) -> None:
    table, before = _kept(shop)
    first = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))"
    # Also with the signal's default back, by which the first byte too many would be the last.
    for signal in ("", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)"):
        _works(_same(shop, _program("import os"), first + "\n" + signal))
        _works(_same(shop, _program("sys.dont_write_bytecode = True\n" + NEW), first))
    assert table.read_bytes() == before
    assert [path.name for path in shop.cache.iterdir() if path.suffix == ".new"] == []
    assert shop.known() == FILES


def test_read_only_directory(shop: Shop) -> None:
    table, before = _kept(shop)
    words = tuple(unwritable(shop.cache))
    _works(_same(shop, _program(), before=words))
    assert table.read_bytes() == before
    if words:
        done = shop.run("everything(); print(fastpath.stats()['table_files'])", before=words)
        assert done == Ended(0, f"{FILES}\n", "")


HOMES = {
    "none": None,
    "empty": "",
    "relative": "home",
    "nothing": "/nonexistent/home",
    "a file": "/dev/null",
    "the root of a device": "/proc",
    "a very long one": "/" + "x" * 4000,
    "with everything in it": "/tmp/\udcff\n' \"",
}


@pytest.mark.parametrize("what", HOMES)
def test_homes_that_are_none(what: str, shop: Shop) -> None:
    home = HOMES[what]
    env = {"FASTPATH_CACHE_DIR": "", "XDG_CACHE_HOME": "", **({"HOME": home} if home else {})}
    if home == "":
        env["HOME"] = ""
    if what == "with everything in it":
        env["HOME"] = str(shop.tree / "odd \udcff\n' \"")
    ended = _same(shop, _program(), env=env, without="HOME" if home is None else "")
    _works(ended)
    assert not (shop.tree / "home").exists()


def test_a_home_that_cannot_be_written_to(shop: Shop) -> None:
    home = shop.tree.parent / "home"
    home.mkdir()
    env = {"FASTPATH_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": str(home)}
    words = tuple(unwritable(home))
    _works(_same(shop, _program(), env=env, before=words))
    assert list(home.iterdir()) == []


def test_a_home_of_its_own(shop: Shop) -> None:
    """What the cases above would be without what is wrong in them."""
    home = shop.tree.parent / "home"
    home.mkdir()
    env = {"FASTPATH_CACHE_DIR": "", "XDG_CACHE_HOME": "", "HOME": str(home)}
    _works(_same(shop, _program(), env=env))
    cache = home / ".cache" / "fastpath"
    assert len(list(cache.glob("*.table"))) == 1
    assert cache.stat().st_mode & 0o777 == 0o700
    counted = "everything(); print(fastpath.stats()['table_files'])"
    assert shop.run(counted, env=env) == Ended(0, f"{FILES}\n", "")


def test_a_user_whom_nobody_knows(shop: Shop) -> None:
    """As in a container that is started with just any user: no entry in passwd, HOME is /."""
    need("root")
    for place in [shop.tree.parent, shop.tree, *shop.tree.rglob("*")]:
        place.chmod(0o755 if place.is_dir() else 0o644)
    # What the interpreter is in may be root's alone, as root's home is.
    first = (
        "import codecs, encodings.idna, linecache, traceback, tokenize\n"
        "os.setgroups([]); os.setresgid(54321, 54321, 54321); os.setresuid(54321, 54321, 54321)\n"
        "os.environ.update(HOME='/')\n"
        f"sys.path[:] = [{str(shop.tree)!r}]"
    )
    reach = [path for path in shop.tree.parents if not path.stat().st_mode & 0o001]
    for path in reach:
        path.chmod(path.stat().st_mode | 0o011)
    env = {"FASTPATH_CACHE_DIR": "", "XDG_CACHE_HOME": ""}
    ended = _same(shop, _program("print(os.getuid(), os.environ['HOME'])"), first, env=env)
    assert "54321 /\n" in ended.out
    assert ended.err.endswith("No module named 'absent'\n")
    # The directory of another user that he was told to use.
    shop.cache.chmod(0o755)
    table, before = _kept(shop)
    _same(shop, _program(), first)
    assert table.read_bytes() == before


VANISHES = {
    "before it is opened": "import shutil; shutil.rmtree(cache)\neverything()",
    "after it is opened": "right('p0.m0'); import shutil; shutil.rmtree(cache)\neverything()",
    "and is a file": "right('p0.m0'); import shutil; shutil.rmtree(cache); open(cache, 'w')\n",
    "and is another's": "right('p0.m0'); os.rename(cache, cache + '2'); os.mkdir(cache)\n"
    "if not os.getuid(): os.chown(cache, 12345, 12345)\n",
    "and comes back": "right('p0.m0'); os.rename(cache, cache + '2'); everything()\n"
    "os.rename(cache + '2', cache)\nforget()\neverything()",
}


@pytest.mark.parametrize("when", VANISHES)
def test_directory_that_vanishes(when: str, shop: Shop) -> None:
    keep = shop.cache.with_name("kept")
    shop.learn()
    shutil.copytree(shop.cache, keep)
    program = "cache = os.environ['FASTPATH_CACHE_DIR']\n" + VANISHES[when] + _program()

    def put_back() -> None:
        for place in (shop.cache, shop.cache.with_name("cache2")):
            if place.is_dir():
                shutil.rmtree(place)
            place.unlink(missing_ok=True)
        shutil.copytree(keep, shop.cache)

    results = []
    for how in ("stock", "ours"):
        put_back()
        results.append(shop.run(program, how=how))
    assert results[0] == results[1]
    _works(results[0])


def test_working_directory_that_is_gone(shop: Shop) -> None:
    table, _ = _kept(shop)
    gone = shop.tree.parent / "gone"
    first = f"os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})"
    _works(_same(shop, _program(), first))
    assert shop.tables() == [table]
    assert shop.known() == FILES


def test_no_descriptors_left_at_the_end(shop: Shop) -> None:
    table, before = _kept(shop)
    then = (
        f"{NEW}\nimport resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))\n"
        "print('nothing can be opened now')"
    )
    _same(shop, _program(then))
    assert table.read_bytes() == before
    assert shop.known() == FILES


def test_standard_streams_closed(shop: Shop) -> None:
    """The table's files get the numbers that stand for output then."""
    shop.learn()
    done = shop.run(f"everything(); {NEW[:11]}\nfor fd in range(3): os.close(fd)")
    assert done.out == done.err == ""
    shop.check()
    assert shop.known() >= FILES
    assert not list(shop.cache.glob("*.new"))
