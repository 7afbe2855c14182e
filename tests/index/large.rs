//! Directories with more names than are worth listing for one answer.

use std::fs;
use std::path::{Path, PathBuf};

use fastpath::candidates::Candidate::{Module, Package};
use fastpath::index::Answer::{self, Absent, Found, Portions};
use fastpath::index::Freshness::{self, Sealed, Strict};
use fastpath::probe::Backend;
use fastpath::table::Names;

use crate::bed::{self, Bed, FRESHNESS, Ours, backends};

const MANY: usize = 20_000;
const PY: usize = 3;

/// A file on tmpfs takes no disk; links to one file cost least of all.
fn crowd(dir: &Path, count: usize) {
    let first = dir.join("crowd0.py");
    fs::write(&first, "").unwrap();
    let links = 60_000;
    let mut target = first;
    for i in 1..count {
        let path = dir.join(format!("crowd{i}.py"));
        if i % links == 0 {
            fs::write(&path, "").unwrap();
            target = path;
        } else {
            fs::hard_link(&target, &path).unwrap();
        }
    }
}

/// A memory filesystem and the disk: what they say of a directory's size differs.
fn places() -> Vec<PathBuf> {
    let memory = PathBuf::from("/dev/shm");
    let disk = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let usable = |place: &PathBuf| tempfile::tempdir_in(place).is_ok();
    let places: Vec<_> = [memory, disk].into_iter().filter(usable).collect();
    if places.len() < 2 {
        bed::skip("large directories", "no /dev/shm");
    }
    places
}

/// Three directories, the second a crowd with a bit of everything in it.
fn crowded(place: &Path, count: usize) -> Bed {
    let bed = Bed::within(place, 3);
    crowd(&bed.dirs[1], count);
    bed.file("1/package/__init__.py");
    bed.file("1/package.py");
    bed.dir("1/space");
    bed.dir("1/folder.py");
    bed.file("0/early.py");
    bed.file("1/early.py");
    bed.file("2/late.py");
    bed::age();
    bed
}

/// The names that are known of a directory, if it was listed.
fn names_kept(ours: &Ours, dir: &Path) -> Option<usize> {
    match &ours.index.directory(dir).state().names {
        Names::Listed(names) => Some(names.len()),
        _ => None,
    }
}

#[test]
fn a_crowd_is_never_listed_for_one_answer() {
    for place in places() {
        let bed = crowded(&place, MANY);
        for (backend, freshness) in backends().flat_map(|b| FRESHNESS.map(|f| (b, f))) {
            let ours = Ours::new(backend, freshness, &bed.dirs[1..2]);
            let listings = |name: &str, answer: Answer| {
                ours.listings(|ours| assert_eq!(ours.find(name), answer, "{name}"))
            };
            // Whether it may be read, and that it is large, is seen from a few of its names.
            assert_eq!(listings("crowd777", Found { entry: 0, candidate: Module(PY) }), 1);
            assert_eq!(listings("crowd1", Found { entry: 0, candidate: Module(PY) }), 0);
            assert_eq!(listings("nothing", Absent), 0);
            assert_eq!(listings("folder", Absent), 0);
            // What is within may be listed.
            assert!(listings("package", Found { entry: 0, candidate: Package(PY) }) <= 1);
            assert!(listings("space", Portions([0].into())) <= 1);
            assert_eq!(names_kept(&ours, &bed.dirs[1]), None);
        }
    }
}

#[test]
fn a_crowd_among_others_answers_as_they_do() {
    for place in places() {
        let bed = crowded(&place, MANY);
        let long = "n".repeat(10_000);
        for freshness in FRESHNESS {
            let ours = bed.index(Backend::Auto, freshness);
            for (name, answer) in [
                ("early", Found { entry: 0, candidate: Module(PY) }),
                ("package", Found { entry: 1, candidate: Package(PY) }),
                ("crowd19999", Found { entry: 1, candidate: Module(PY) }),
                ("crowd20000", Absent),
                ("late", Found { entry: 2, candidate: Module(PY) }),
                ("space", Portions([1].into())),
                ("folder", Absent),
                ("a/b", Absent),
                ("", Absent),
                (&long, Absent),
            ] {
                assert_eq!(ours.find_right(name), answer, "{name}");
                assert_eq!(ours.find(name), answer, "{name}, second time");
            }
        }
    }
}

#[test]
fn changes_in_a_crowd_are_seen() {
    let bed = crowded(&places()[0], MANY);
    let ours = bed.strict();
    for name in ["fresh", "fresh2"] {
        ours.find_right(name);
        bed.file(&format!("1/{name}.py"));
        ours.find_right(name);
        bed::age();
        ours.find_right(name);
        bed.remove(&format!("1/{name}.py"));
        ours.find_right(name);
    }
    bed.remove("1/package/__init__.py");
    ours.find_right("package");
    bed.file("1/space/__init__.py");
    ours.find_right("space");
}

#[test]
fn many_lookups_pay_for_a_listing() {
    for place in places() {
        let bed = crowded(&place, MANY);
        let ours = Ours::new(Backend::Auto, Strict, &bed.dirs[1..2]);
        let absent = |ours: &Ours, i| assert_eq!(ours.find(&format!("absent{i}")), Absent);
        let look = |i: usize| ours.listings(|ours| absent(ours, i));
        assert_eq!(look(0), 1, "is it readable?");
        // At the latest when as much was spent on the lookups as the listing would have cost, give or take what the
        // size says of the number of names.
        let listed = (1..4 * MANY / 40).find(|&i| look(i) > 0).expect("listed in the end");
        // Where the filesystem seems slow, a lookup is worth 700 names.
        assert!(listed > MANY / 700 / 4, "after {listed} lookups");
        assert_eq!(names_kept(&ours, &bed.dirs[1]), Some(MANY + 5));
        for i in 0..50 {
            assert_eq!(ours.asked(|ours| absent(ours, i)), (1, 0), "names, and one check");
        }
        for name in ["crowd777", "package", "space", "folder", "early", "late", ""] {
            ours.find_right(name);
        }
        bed.file("1/fresh.py");
        ours.find_right("fresh");
    }
}

#[test]
fn a_crowd_that_keeps_changing_has_to_earn_each_listing() {
    let bed = crowded(&places()[0], MANY);
    let ours = Ours::new(Backend::Auto, Strict, &bed.dirs[1..2]);
    let whole = || names_kept(&ours, &bed.dirs[1]).is_some();
    (0..4 * MANY / 40).for_each(|_| drop(ours.find("nothing")));
    assert!(whole());
    for i in 0..20 {
        bed.file(&format!("1/fresh{i}.py"));
        bed::age();
        assert_eq!(ours.find(&format!("fresh{i}")), Found { entry: 0, candidate: Module(PY) });
        assert!(!whole(), "listed for change {i}");
    }
    (0..4 * MANY / 40).for_each(|_| drop(ours.find("nothing")));
    assert!(whole());
    ours.find_right("fresh7");
}

#[test]
fn the_largest_are_never_listed() {
    let bed = Bed::within(&places()[0], 1);
    crowd(&bed.dirs[0], 170_000);
    bed::age();
    let ours = Ours::new(Backend::Auto, Freshness::Strict, &bed.dirs);
    assert_eq!(ours.listings(|ours| ours.find("crowd99999")), 1);
    let listings = ours.listings(|ours| {
        for i in 0..3_000 {
            assert_eq!(ours.find(&format!("absent{i}")), Absent);
        }
    });
    assert_eq!((listings, names_kept(&ours, &bed.dirs[0])), (0, None));
    ours.find_right("crowd169999");
}

#[test]
fn a_crowd_that_has_gone_is_read_like_any_other() {
    let bed = crowded(&places()[0], MANY);
    let ours = bed.strict();
    ours.find_right("crowd1");
    bed.remove("1");
    ours.find_right("crowd1");
    bed.file("1/crowd1.py");
    ours.find_right("crowd1");
    ours.find_right("crowd2");
    bed::age();
    ours.find_right("crowd2");
    assert_eq!(names_kept(&ours, &bed.dirs[1]), Some(1));
}

#[test]
fn a_sealed_crowd_is_probed_all_the_same() {
    let bed = crowded(&places()[0], MANY);
    let ours = bed.index(Backend::Auto, Sealed);
    ours.find_right("absent");
    // Nothing is known of it that could be trusted.
    bed.file("1/absent.py");
    ours.find_right("absent");
}
