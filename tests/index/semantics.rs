//! What a name is: `FileFinder` and `PathFinder`, case by case, by every engine and in every mode.
//!
//! Each case says the answer outright, so that the oracle is on trial as well.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use fastpath::candidates::Candidate::{Module, Package};
use fastpath::index::Answer::{self, Absent, Ask, Found, Portions};
use fastpath::index::Freshness;
use fastpath::probe::Backend;

use crate::bed::{self, Bed, FRESHNESS, Ours, backends};
use crate::oracle::path_finder;

/// Places in the order of suffixes.
const ABI3: usize = 1;
const PY: usize = 3;
const PYC: usize = 4;

/// Every index there can be gives these answers, the first time and the second.
#[track_caller]
fn all_answer(dirs: &[PathBuf], expected: &[(&str, Answer)]) {
    for (name, answer) in expected {
        assert_eq!(path_finder(dirs, name), *answer, "the oracle on {name:?}");
    }
    all_of_ours_answer(dirs, expected);
}

#[track_caller]
fn all_of_ours_answer(dirs: &[PathBuf], expected: &[(&str, Answer)]) {
    for (backend, freshness) in backends().flat_map(|b| FRESHNESS.map(|f| (b, f))) {
        let ours = Ours::new(backend, freshness, dirs);
        for time in ["first", "second"] {
            for (name, answer) in expected {
                let (backend, freshness) = (backend.name(), freshness.name());
                let what = format!("{name:?}, {time} time, {backend}, {freshness}");
                assert_eq!(ours.find(name), *answer, "{what}");
            }
        }
    }
}

fn found(entry: usize, candidate: fastpath::candidates::Candidate) -> Answer {
    Found { entry, candidate }
}

fn portions(entries: &[usize]) -> Answer {
    Portions(entries.into())
}

#[test]
fn a_package_comes_before_a_module() {
    let bed = Bed::new(1);
    bed.file("0/m/__init__.py");
    bed.file("0/m.py");
    bed.file("0/m.abi3.so");
    all_answer(&bed.dirs, &[("m", found(0, Package(PY)))]);
}

#[test]
fn suffixes_are_tried_in_order() {
    let bed = Bed::new(1);
    for path in ["0/m.pyc", "0/m.py", "0/m.abi3.so", "0/n.pyc", "0/p/__init__.pyc", "0/q.pyo"] {
        bed.file(path);
    }
    bed.file("0/p/__init__.abi3.so");
    let expected = [
        ("m", found(0, Module(ABI3))),
        ("n", found(0, Module(PYC))),
        ("p", found(0, Package(ABI3))),
        ("q", Absent),
    ];
    all_answer(&bed.dirs, &expected);
}

#[test]
fn an_earlier_directory_comes_first_whatever_it_holds() {
    let bed = Bed::new(3);
    bed.file("1/m.pyc");
    bed.file("2/m/__init__.py");
    all_answer(&bed.dirs, &[("m", found(1, Module(PYC)))]);
}

#[test]
fn portions_are_collected_over_all_directories() {
    let bed = Bed::new(4);
    bed.dir("0/space");
    bed.file("2/space/part.py");
    bed.dir("3/space");
    all_answer(&bed.dirs, &[("space", portions(&[0, 2, 3])), ("part", Absent)]);
}

#[test]
fn a_module_or_package_anywhere_beats_portions() {
    let bed = Bed::new(3);
    bed.dir("0/m");
    bed.file("1/m.py");
    bed.dir("1/p");
    bed.file("2/p/__init__.py");
    bed.dir("2/same");
    bed.file("2/same.py");
    let expected =
        [("m", found(1, Module(PY))), ("p", found(2, Package(PY))), ("same", found(2, Module(PY)))];
    all_answer(&bed.dirs, &expected);
}

#[test]
fn only_regular_files_are_modules() {
    let bed = Bed::new(2);
    bed.dir("0/d.py");
    bed.dir("0/e.py");
    bed.file("0/e.pyc");
    bed.dir("0/p/__init__.py");
    let _socket = UnixListener::bind(bed.at("0/s.py")).unwrap();
    assert!(bed::succeeds(Command::new("mkfifo").arg(bed.at("0/f.py"))), "mkfifo");
    bed.file("1/f.py");
    // A file where a package would be.
    bed.file("0/plain");
    let expected = [
        ("d", Absent),
        ("e", found(0, Module(PYC))),
        ("p", portions(&[0])),
        ("s", Absent),
        ("f", found(1, Module(PY))),
        ("plain", Absent),
    ];
    all_answer(&bed.dirs, &expected);
}

#[test]
fn links_are_what_they_point_at() {
    let bed = Bed::new(2);
    bed.file("0/real.py");
    bed.file("elsewhere/package/__init__.py");
    bed.dir("elsewhere/space");
    for (target, path) in [
        ("real.py", "0/m.py"),
        ("m.py", "0/twice.py"),
        ("../elsewhere/package", "0/package"),
        ("../elsewhere/space", "0/space"),
        ("nowhere.py", "0/dangling.py"),
        ("nowhere", "0/gone"),
        ("loop.py", "0/loop.py"),
        ("../elsewhere/space", "0/folder.py"),
        ("real.py", "0/file"),
        ("../../elsewhere/package/__init__.py", "1/linked/__init__.py"),
    ] {
        bed.dir("1/linked");
        bed.link(target, path);
    }
    bed.file("1/dangling.py");
    bed.file("1/loop.py");
    let expected = [
        ("m", found(0, Module(PY))),
        ("twice", found(0, Module(PY))),
        ("package", found(0, Package(PY))),
        ("space", portions(&[0])),
        ("dangling", found(1, Module(PY))),
        ("gone", Absent),
        ("loop", found(1, Module(PY))),
        ("folder", Absent),
        ("file", Absent),
        ("linked", found(1, Package(PY))),
    ];
    all_answer(&bed.dirs, &expected);
}

#[test]
fn a_loop_in_the_place_of_a_directory_is_absent_or_left_to_stock() {
    let bed = Bed::new(2);
    bed.link("around", "0/around");
    bed.file("1/m.py");
    all_of_ours_answer(&bed.dirs, &[("m", found(1, Module(PY)))]);
    all_of_ours_answer(&[bed.at("0/around")], &[("m", Ask)]);
    for backend in backends() {
        let answer = bed.index(backend, Freshness::Strict).find("around");
        assert!(matches!(answer, Absent | Ask), "{answer:?}");
    }
}

#[test]
fn entries_need_not_be_directories() {
    let bed = Bed::new(2);
    let file = bed.file("file.zip");
    bed.file("1/m.py");
    let missing = bed.at("missing");
    bed.link("1", "link");
    bed.link("missing", "dangling");
    let dirs = [
        missing.clone(),
        missing.join("below"),
        file.clone(),
        file.join("below"),
        bed.at("dangling"),
        bed.at("link"),
    ];
    all_answer(&dirs, &[("m", found(5, Module(PY))), ("n", Absent)]);
    all_answer(&[], &[("m", Absent)]);
}

#[test]
fn an_entry_may_stand_twice() {
    let bed = Bed::new(1);
    bed.dir("0/space");
    let dir = &bed.dirs[0];
    all_answer(&[dir.clone(), dir.clone()], &[("space", portions(&[0, 1])), ("m", Absent)]);
}

#[test]
fn names_that_no_directory_lists_are_absent() {
    let bed = Bed::new(1);
    bed.file("0/a/b.py");
    bed.file("0/a/__init__.py");
    bed.file("0/__init__.py");
    let long = "n".repeat(10_000);
    let expected = [
        ("a/b", Absent),
        ("a\0", Absent),
        ("\0", Absent),
        (&long, Absent),
        ("", Absent),
        ("/", Absent),
    ];
    all_answer(&bed.dirs, &expected);
}

#[test]
fn the_empty_name_is_a_file_that_is_all_suffix() {
    let bed = Bed::new(1);
    bed.file("0/.py");
    all_answer(&bed.dirs, &[("", found(0, Module(PY)))]);
}

#[test]
fn names_are_bytes_and_case_counts() {
    let bed = Bed::new(1);
    bed.file("0/Module.py");
    bed.file("0/naïve.py");
    fs::write(bed.dirs[0].join(std::ffi::OsStr::from_bytes(b"\xff.py")), "").unwrap();
    let expected =
        [("module", Absent), ("Module", found(0, Module(PY))), ("naïve", found(0, Module(PY)))];
    all_answer(&bed.dirs, &expected);
}

#[test]
fn a_name_of_the_greatest_length_is_found() {
    let bed = Bed::new(1);
    let name = "n".repeat(255 - ".py".len());
    bed.file(&format!("0/{name}.py"));
    all_answer(&bed.dirs, &[(&name, found(0, Module(PY))), (&format!("{name}n"), Absent)]);
}

#[test]
fn where_we_have_no_rights() {
    let test = "semantics::as_nobody";
    if !bed::is_root() {
        return bed::alone(Command::new(std::env::current_exe().unwrap()), test);
    }
    // Nobody else may enter where this binary is.
    let place = tempfile::tempdir().unwrap();
    fs::set_permissions(&place, Permissions::from_mode(0o755)).unwrap();
    let copy = place.path().join("tests");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    let mut command = Command::new(&copy);
    command.uid(65_534).gid(65_534).current_dir("/");
    bed::alone(command, test);
}

/// `rwx` of the owner, which is what counts here.
fn allow(path: PathBuf, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
#[ignore = "needs to be nobody: run by the test above it"]
fn as_nobody() {
    let bed = Bed::new(3);
    for entry in ["0", "1"] {
        bed.file(&format!("{entry}/m.py"));
        bed.file(&format!("{entry}/p/__init__.py"));
        bed.dir(&format!("{entry}/space"));
    }
    bed.file("2/unlistable/__init__.py");
    bed.file("2/unreachable/__init__.py");
    bed.file("2/shut/__init__.py");
    bed.file("2/closed/inner/m.py");
    let dirs = [vec![bed.at("2/closed/inner")], bed.dirs.clone()].concat();
    // Neither listing nor reaching what is in it; one without the other.
    let rights = [
        ("0", 0),
        ("2/closed", 0),
        ("2/unlistable", 0o100),
        ("2/unreachable", 0o400),
        ("2/shut", 0),
    ];
    for (path, mode) in rights {
        allow(bed.at(path), mode);
    }
    let expected = [
        ("m", found(2, Module(PY))),
        ("p", found(2, Package(PY))),
        ("space", portions(&[2])),
        ("unlistable", found(3, Package(PY))),
        ("unreachable", portions(&[3])),
        ("shut", portions(&[3])),
    ];
    all_answer(&dirs, &expected);

    let nothing = [("m", Absent), ("p", Absent), ("space", Absent)];
    for mode in [0o100, 0o400] {
        allow(bed.at("1"), mode);
        all_answer(&dirs, &nothing);
    }

    // A right given or taken is seen, though it changes no mtime.
    let strict = Ours::new(Backend::Auto, Freshness::Strict, &dirs);
    for mode in [0o700, 0, 0o400, 0o700, 0o100, 0o700] {
        allow(bed.at("0"), mode);
        strict.find_right("m");
        bed::age();
        strict.find_right("m");
    }
    for closed in ["0", "1", "2/closed", "2/unlistable", "2/unreachable", "2/shut"] {
        allow(bed.at(closed), 0o700);
    }
}

#[test]
fn where_there_are_no_descriptors_left() {
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"]);
    command.arg(std::env::current_exe().unwrap());
    bed::alone(command, "semantics::without_descriptors");
}

#[test]
#[ignore = "takes its process's descriptors: run by the test above it"]
fn without_descriptors() {
    let bed = Bed::new(2);
    bed.file("0/p/__init__.py");
    bed.file("1/m.py");
    bed::age();
    let ours = bed.strict();
    let hoard: Vec<_> = std::iter::from_fn(|| fs::File::open("/dev/null").ok()).collect();
    assert_eq!(ours.find("m"), Ask, "what cannot be listed is left to stock");
    drop(hoard);
    // It does not stay so.
    assert_eq!(ours.find_right("m"), found(1, Module(PY)));
    assert_eq!(ours.find_right("p"), found(0, Package(PY)));
}
