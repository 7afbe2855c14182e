//! Many threads looking names up while one changes the directories under them.

use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use fastpath::candidates::Candidate::{Module, Package};
use fastpath::index::Answer::{Absent, Ask, Found, Portions};
use fastpath::index::Freshness;
use fastpath::probe::Backend;

use crate::bed::{Bed, FRESHNESS, Ours, age, backends};
use crate::oracle::path_finder;

const FINDERS: usize = 8;
const LOOKUPS: usize = 150;
const CHANGES: usize = 120;
const PY: usize = 3;

/// `fixed` in the last of three directories and everything that comes and goes beside it.
fn furnished() -> Bed {
    let bed = Bed::new(3);
    bed.file("2/fixed.py");
    bed.file("1/package/__init__.py");
    bed.dir("0/space");
    bed.file("1/always.py");
    bed
}

/// Every name that is never touched has its one answer; `always`, in the second directory for good,
/// is found there or in the first. Where directories change faster than they are read, stock decides.
fn look_up(ours: &Ours) {
    let expected = [
        ("fixed", Found { entry: 2, candidate: Module(PY) }),
        ("package", Found { entry: 1, candidate: Package(PY) }),
        ("space", Portions([0].into())),
        ("nothing", Absent),
    ];
    for _ in 0..LOOKUPS {
        for (name, expected) in &expected {
            let answer = ours.find(name);
            assert!(answer == *expected || answer == Ask, "{name}: {answer:?}");
        }
        match ours.find("always") {
            Found { entry: 0 | 1, candidate: Module(PY) } | Ask => {}
            wrong => panic!("always: {wrong:?}"),
        }
        let _ = ours.find("fleeting");
    }
}

/// Changes that leave every answer above as it is.
fn change(bed: &Bed, ours: &Ours, go_on: &AtomicBool) {
    for i in 0..CHANGES {
        bed.file("0/always.py");
        bed.file("0/fleeting/__init__.py");
        bed.file("2/fleeting.py");
        bed.remove("0/fleeting/__init__.py");
        bed.remove("0/always.py");
        bed.remove("2/fleeting.py");
        bed.remove("0/fleeting");
        if i % 16 == 0 {
            ours.index.invalidate();
        }
        if !go_on.load(Relaxed) {
            break;
        }
    }
}

fn storm(backend: Backend, freshness: Freshness) {
    let bed = furnished();
    let ours = bed.index(backend, freshness);
    let go_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let changing = scope.spawn(|| change(&bed, &ours, &go_on));
        let finding: Vec<_> = (0..FINDERS).map(|_| scope.spawn(|| look_up(&ours))).collect();
        let died = finding.into_iter().any(|finder| finder.join().is_err());
        go_on.store(false, Relaxed);
        changing.join().expect("changes made");
        assert!(!died, "a finder failed: {}, {}", backend.name(), freshness.name());
    });
    // When all is quiet, everything is as the filesystem says.
    ours.index.invalidate();
    for name in ["fixed", "package", "space", "nothing", "always", "fleeting"] {
        ours.find_right(name);
    }
}

#[test]
fn answers_hold_in_a_storm() {
    for freshness in FRESHNESS {
        storm(Backend::Auto, freshness);
    }
}

#[test]
fn answers_hold_in_a_storm_by_every_engine() {
    for backend in backends() {
        storm(backend, Freshness::Strict);
    }
}

/// Makes a change while everybody looks; when all are done, the answer is what the filesystem says.
fn right_after(change: impl FnOnce(), ours: &Ours) {
    thread::scope(|scope| {
        let look = || (0..10).for_each(|_| drop(ours.find("fleeting")));
        let finders: Vec<_> = (0..FINDERS).map(|_| scope.spawn(look)).collect();
        change();
        finders.into_iter().for_each(|finder| finder.join().expect("an answer"));
    });
    ours.find_right("fleeting");
}

#[test]
fn whoever_begins_after_a_change_sees_it_though_another_notices_it_first() {
    let bed = furnished();
    let ours = bed.strict();
    for i in 0..300 {
        if i % 2 == 0 {
            drop(bed.file("2/fleeting.py"))
        } else {
            bed.remove("2/fleeting.py")
        }
        let right = path_finder(&bed.dirs, "fleeting");
        let together = Barrier::new(4);
        let look = || {
            together.wait();
            assert_eq!(ours.find("fleeting"), right, "change {i}");
        };
        thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(look))));
    }
}

/// The directory itself is never touched, so it is of one generation all the time.
#[test]
fn a_directory_that_was_away_while_it_was_read_is_not_taken_for_gone() {
    let bed = Bed::new(0);
    bed.file("parent/dir/m.py");
    let ours = Ours::new(Backend::Auto, Freshness::Strict, &[bed.at("parent/dir")]);
    age();
    let go_on = AtomicBool::new(true);
    thread::scope(|scope| {
        let finding = scope.spawn(|| {
            while go_on.load(Relaxed) {
                drop(ours.find("m"))
            }
        });
        for _ in 0..10_000 {
            fs::rename(bed.at("parent"), bed.at("away")).expect("renamed");
            fs::rename(bed.at("away"), bed.at("parent")).expect("renamed back");
        }
        go_on.store(false, Relaxed);
        finding.join().expect("answers");
    });
    ours.find_right("m");
}

fn come_and_go(bed: &Bed, ours: &Ours, path: &str) {
    for _ in 0..20 {
        right_after(|| drop(bed.file(path)), ours);
        right_after(|| bed.remove(path), ours);
    }
}

#[test]
fn after_a_change_a_strict_index_is_right_whoever_was_looking_meanwhile() {
    let bed = furnished();
    come_and_go(&bed, &bed.strict(), "2/fleeting.py");
}

#[test]
fn nor_does_it_go_wrong_while_a_large_directory_is_being_listed() {
    let bed = Bed::new(1);
    (0..9_000).for_each(|i| drop(bed.file(&format!("0/crowd{i}.py"))));
    let ours = bed.strict();
    // So many that it is time to list it all.
    (0..400).for_each(|i| drop(ours.find(&format!("absent{i}"))));
    come_and_go(&bed, &ours, "0/fleeting.py");
}
