//! What each mode promises about changes, one change at a time.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use fastpath::candidates::Candidate::{Module, Package};
use fastpath::index::Answer::{Absent, Found, Portions};
use fastpath::index::Freshness::{Auto, Sealed};
use fastpath::probe::Backend;

use crate::bed::{self, Bed, Ours, age, set_back};

const PY: usize = 3;
/// How long to wait for what must happen at some time: generous, for busy machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// A change of a bed.
type Change = fn(&Bed);

/// Each with the name to look up; everything an import may rest on, made and unmade.
const CHANGES: [(&str, &str, Change); 25] = [
    ("a module appears", "m", |bed| drop(bed.file("1/m.py"))),
    ("a better suffix appears", "m", |bed| drop(bed.file("1/m.so"))),
    ("an earlier one appears", "m", |bed| drop(bed.file("0/m.py"))),
    ("a package appears beside it", "m", |bed| drop(bed.file("1/m/__init__.py"))),
    ("the package loses its file", "m", |bed| bed.remove("1/m/__init__.py")),
    ("the earliest goes", "m", |bed| bed.remove("0/m.py")),
    ("a module turns into a directory", "m", |bed| {
        bed.remove("1/m.so");
        bed.dir("1/m.so");
    }),
    ("a portion appears", "space", |bed| drop(bed.dir("0/space"))),
    ("another portion appears", "space", |bed| drop(bed.dir("2/space"))),
    ("a portion becomes a package", "space", |bed| drop(bed.file("2/space/__init__.py"))),
    ("it is a portion again", "space", |bed| bed.remove("2/space/__init__.py")),
    ("the first portion becomes a package", "space", |bed| drop(bed.file("0/space/__init__.pyc"))),
    ("and is gone", "space", |bed| bed.remove("0/space")),
    ("a link to nothing appears", "linked", |bed| bed.link("target.py", "1/linked.py")),
    ("its target appears", "linked", |bed| drop(bed.file("1/target.py"))),
    ("its target becomes a directory", "linked", |bed| {
        bed.remove("1/target.py");
        bed.dir("1/target.py");
    }),
    ("a link to nothing elsewhere appears", "far", |bed| bed.link("../away/far.py", "1/far.py")),
    ("its target appears elsewhere", "far", |bed| drop(bed.file("away/far.py"))),
    ("its target goes", "far", |bed| bed.remove("away/far.py")),
    ("a linked package appears", "p", |bed| {
        bed.file("away/one/__init__.py");
        bed.dir("away/two");
        bed.link("../away/one", "1/p");
    }),
    ("its link is turned", "p", |bed| {
        bed.remove("1/p");
        bed.link("../away/two", "1/p");
    }),
    ("where it points becomes a package", "p", |bed| drop(bed.file("away/two/__init__.py"))),
    ("a directory of the path is renamed away", "p", |bed| {
        fs::rename(bed.at("1"), bed.at("aside")).unwrap();
    }),
    ("another takes its place", "p", |bed| {
        bed.file("other/p.py");
        fs::rename(bed.at("other"), bed.at("1")).unwrap();
    }),
    ("a file takes its place", "p", |bed| {
        bed.remove("1");
        bed.file("1");
    }),
];

fn warm(ours: &Ours, name: &str) {
    let _ = (ours.find(name), ours.find(name));
}

#[test]
fn strict_sees_every_change_at_once() {
    for settled in [false, true] {
        let bed = Bed::new(3);
        let ours = bed.strict();
        for (what, name, change) in CHANGES {
            if settled {
                age();
            }
            warm(&ours, name);
            change(&bed);
            ours.find_right(name);
            assert_eq!(ours.find(name), ours.find_right(name), "{what}");
        }
    }
}

#[test]
fn strict_sees_a_change_whose_time_was_set_back() {
    let bed = Bed::new(2);
    for dir in &bed.dirs {
        set_back(dir);
    }
    age();
    let ours = bed.strict();
    warm(&ours, "m");
    for (path, remove) in [("1/m.py", false), ("0/m.py", false), ("0/m.py", true)] {
        if remove {
            bed.remove(path)
        } else {
            drop(bed.file(path))
        }
        set_back(Path::new(&bed.dirs[path[..1].parse::<usize>().unwrap()]));
        ours.find_right("m");
        age();
        ours.find_right("m");
    }
}

#[test]
fn sealed_sees_nothing_until_it_is_told_and_then_all() {
    let bed = Bed::new(3);
    let ours = bed.index(Backend::Auto, Sealed);
    for (what, name, change) in CHANGES {
        ours.index.invalidate();
        let before = ours.find_right(name);
        change(&bed);
        let sealed = ours.find(name);
        ours.index.invalidate();
        let after = ours.find_right(name);
        // What links point at is not kept, nor what was asked of packages where all seems slow.
        assert!(sealed == before || sealed == after, "{what}: {sealed:?}");
    }
}

#[test]
fn sealed_keeps_names_until_it_is_told() {
    let bed = Bed::new(2);
    bed.file("1/m.py");
    let ours = bed.index(Backend::Auto, Sealed);
    let before = ours.find_right("m");
    assert_eq!(ours.find("n"), Absent);
    bed.file("0/m.py");
    bed.file("0/n.py");
    bed.remove("1/m.py");
    assert_eq!((ours.find("m"), ours.find("n")), (before, Absent));
    ours.index.invalidate();
    ours.find_right("m");
    ours.find_right("n");
}

#[test]
fn auto_sees_at_once_whatever_does_not_merely_shadow() {
    let bed = Bed::new(3);
    let ours = bed.index(Backend::Auto, Auto);
    for (what, name, change) in CHANGES {
        age();
        warm(&ours, name);
        change(&bed);
        if !what.contains("an earlier one") {
            ours.find_right(name);
        }
        ours.index.invalidate();
        ours.find_right(name);
    }
}

/// A hit in the last of 300 directories, so that checking those before it costs something.
fn long_path() -> (Bed, Ours) {
    let bed = Bed::new(300);
    bed.file("299/m.py");
    age();
    let ours = bed.index(Backend::Auto, Auto);
    warm(&ours, "m");
    (bed, ours)
}

#[test]
fn in_auto_a_shadow_is_seen_when_a_check_is_due() {
    let (bed, ours) = long_path();
    let shadow = Found { entry: 7, candidate: Module(PY) };
    let late = Found { entry: 299, candidate: Module(PY) };
    bed.file("7/m.py");
    let started = Instant::now();
    loop {
        let answer = ours.find("m");
        if answer == shadow {
            break;
        }
        assert_eq!(answer, late);
        assert!(started.elapsed() < PATIENCE, "never seen");
        sleep(Duration::from_millis(1));
    }
    assert_eq!(ours.find("m"), shadow, "once seen, it stays");
}

#[test]
fn in_auto_a_shadow_is_seen_after_invalidation() {
    let (bed, ours) = long_path();
    bed.file("7/m.py");
    ours.index.invalidate();
    assert_eq!(ours.find_right("m"), Found { entry: 7, candidate: Module(PY) });
}

#[test]
fn in_auto_what_is_gone_is_never_found_and_what_is_there_never_missed() {
    let (bed, ours) = long_path();
    for _ in 0..3 {
        bed.remove("299/m.py");
        assert_eq!(ours.find_right("m"), Absent);
        bed.file("150/m.py");
        assert_eq!(ours.find_right("m"), Found { entry: 150, candidate: Module(PY) });
        bed.remove("150/m.py");
        assert_eq!(ours.find_right("m"), Absent);
        bed.file("299/m.py");
        assert_eq!(ours.find_right("m"), Found { entry: 299, candidate: Module(PY) });
    }
}

#[test]
fn in_auto_an_earlier_portion_that_becomes_a_package_is_no_mere_shadow() {
    let bed = Bed::new(3);
    bed.dir("0/m");
    bed.file("2/m.py");
    age();
    let ours = bed.index(Backend::Auto, Auto);
    warm(&ours, "m");
    bed.file("0/m/__init__.py");
    assert_eq!(ours.find_right("m"), Found { entry: 0, candidate: Package(PY) });
    bed.remove("0/m/__init__.py");
    assert_eq!(ours.find_right("m"), Found { entry: 2, candidate: Module(PY) });
    bed.remove("2/m.py");
    assert_eq!(ours.find_right("m"), Portions([0].into()));
}

#[test]
fn two_runs_over_the_same_directories_do_not_fool_each_other() {
    let bed = Bed::new(3);
    bed.file("2/m.py");
    age();
    let ours = bed.strict();
    let backwards = bed.dirs.iter().rev().map(|dir| ours.index.directory(dir)).collect();
    let backwards = ours.index.run(backwards);
    let find_backwards = || ours.index.find(&mut ours.index.pass(), &backwards, "m");
    ours.find_right("m");
    assert_eq!(find_backwards(), Found { entry: 0, candidate: Module(PY) });
    // The change is noticed on one path, and must count on the other.
    bed.file("0/m.py");
    ours.find_right("m");
    assert_eq!(find_backwards(), Found { entry: 0, candidate: Module(PY) });
    bed.remove("2/m.py");
    assert_eq!(find_backwards(), Found { entry: 2, candidate: Module(PY) });
    ours.find_right("m");
}

// ---- timestamps that do not tell ---------------------------------------------------------------

#[test]
fn on_a_filesystem_with_a_coarse_clock() {
    if bed::is_root() {
        bed::alone(bed::with_own_mounts(), "freshness::changes_within_one_tick_are_seen");
    } else {
        bed::skip("changes within one tick", "only root may mount a ramfs");
    }
}

/// A ramfs stamps what changes with the time of the last timer interrupt, and no finer.
#[test]
#[ignore = "mounts: run by the test above it"]
fn changes_within_one_tick_are_seen() {
    let place = tempfile::tempdir().unwrap();
    let mut mount = std::process::Command::new("mount");
    if !bed::succeeds(mount.args(["-t", "ramfs", "none"]).arg(place.path())) {
        return bed::skip("changes within one tick", "no ramfs here");
    }
    let bed = Bed::within(place.path(), 3);
    let (strict, auto) = (bed.strict(), bed.index(Backend::Auto, Auto));
    let mut same_stamp = 0;
    let stamp = || fs::metadata(bed.at("1")).unwrap().modified().unwrap();
    for i in 0..300 {
        let name = format!("m{i}");
        let before = stamp();
        let path = format!("1/{name}.py");
        for right in [&strict, &auto] {
            right.find_right(&name);
        }
        bed.file(&path);
        same_stamp += usize::from(stamp() == before);
        for right in [&strict, &auto] {
            right.find_right(&name);
        }
        bed.remove(&path);
        for right in [&strict, &auto] {
            right.find_right(&name);
        }
    }
    assert!(same_stamp > 0, "each change had a stamp of its own, so nothing was tested");
    super::histories::on(place.path());
}
