//! What a lookup costs, in questions put to the filesystem.

use std::fs;
use std::path::Path;

use fastpath::index::Answer::{self, Absent};
use fastpath::index::Freshness::{self, Auto, Sealed, Strict};
use fastpath::probe::{Backend, Engine};

use crate::bed::{self, Bed, Ours, backends};
use crate::oracle;

const ENTRIES: usize = 12;
/// Questions that probing a package takes: is it a directory, and which `__init__` is there.
const IN_A_PACKAGE: usize = 1 + oracle::SUFFIXES.len();

/// Twelve directories: `m` in the sixth, a package `p` in the eighth, portions of `space` in two.
fn furnished() -> Bed {
    let bed = Bed::new(ENTRIES);
    bed.file("5/m.py");
    bed.file("7/p/__init__.py");
    bed.dir("2/space");
    bed.dir("9/space");
    bed::age();
    bed
}

/// Questions and listings of one lookup that has been made before.
fn warm(ours: &Ours, name: &str) -> (u64, u64) {
    let first = ours.find(name);
    ours.asked(|ours| assert_eq!(ours.find(name), first))
}

#[test]
fn a_warm_strict_lookup_asks_once_for_each_directory_it_rests_on() {
    let bed = furnished();
    for backend in backends() {
        let ours = bed.index(backend, Strict);
        for (name, questions) in [("absent", ENTRIES), ("m", 6)] {
            assert_eq!(warm(&ours, name), (questions as u64, 0), "{name}, {}", backend.name());
        }
        // Where the filesystem seems slow, what is in a package is asked each time, not listed; so it
        // may seem at every attempt, where a batch of one engine takes long for a busy machine.
        for (name, checks, packages) in [("p", 8, 1), ("space", ENTRIES, 2)] {
            let cost = warm(&bed.index(backend, Strict), name);
            let asked = |probed: usize| checks + packages - probed + probed * IN_A_PACKAGE;
            let (questions, listings) = cost;
            let is_known = (0..=packages).any(|probed| asked(probed) as u64 == questions);
            assert!(is_known && listings == 0, "{name}: {cost:?}");
        }
    }
}

#[test]
fn a_package_on_a_fast_filesystem_is_listed_once_and_then_checked() {
    let bed = furnished();
    for (name, questions) in [("p", 8 + 1), ("space", ENTRIES + 2)] {
        let cost = || warm(&bed.index(Backend::Only(Engine::Serial), Strict), name);
        assert!(sometimes(|| cost() == (questions as u64, 0)), "{name}: {:?}", cost());
    }
}

#[test]
fn a_warm_sealed_lookup_asks_nothing() {
    let bed = furnished();
    for name in ["absent", "m", "p", "space"] {
        assert!(sometimes(|| warm(&bed.index(Backend::Auto, Sealed), name) == (0, 0)), "{name}");
    }
}

/// Whether it was so in one of many attempts: how often `auto` checks depends on the time that
/// passes, and a busy machine may take any.
fn sometimes(mut attempt: impl FnMut() -> bool) -> bool {
    (0..50).any(|_| attempt())
}

#[test]
fn auto_mostly_leaves_the_directories_before_a_hit_alone_but_never_those_of_a_miss() {
    let bed = furnished();
    let ours = bed.index(Backend::Auto, Auto);
    assert!(sometimes(|| warm(&ours, "m") == (1, 0)), "only the directory that has it");
    for _ in 0..20 {
        let (questions, listings) = warm(&ours, "m");
        assert!(questions == 1 || questions == 6, "{questions}: it, or all before it as well");
        assert_eq!(listings, 0);
        assert_eq!(warm(&ours, "absent"), (ENTRIES as u64, 0));
        assert!(warm(&ours, "space").0 >= ENTRIES as u64 + 2);
    }
}

#[test]
fn a_first_lookup_lists_only_as_far_as_needed() {
    let bed = Bed::new(40);
    let at = |entry: usize| bed.file(&format!("{entry}/m{entry}.py"));
    // One directory, then two more, then four: 1, 3, 7, 15, 31.
    for (entry, listed) in [(0, 1), (1, 3), (2, 3), (3, 7), (6, 7), (7, 15), (30, 31), (31, 40)] {
        let name = at(entry).file_stem().unwrap().to_str().unwrap().to_owned();
        let fresh = || bed.index(Backend::Auto, Strict);
        let cost = || fresh().asked(|ours| ours.find_right(&name));
        // Where the filesystem seems slow, all are read at once.
        assert!(sometimes(|| cost() == (listed, listed)), "{name}: {:?}", cost());
        assert!(cost().1 <= 40);
    }
}

#[test]
fn what_one_lookup_has_learnt_the_next_does_not_ask_again() {
    let bed = furnished();
    let ours = bed.strict();
    let cost = ours.asked(|ours| ours.find_right("absent"));
    assert_eq!(cost, (ENTRIES as u64, ENTRIES as u64), "every directory once");
    let cost = ours.asked(|ours| ours.find_right("another"));
    assert_eq!(cost, (ENTRIES as u64, 0), "a check of each");
}

#[test]
fn what_was_identified_is_not_asked_again_in_the_same_lookup() {
    let bed = furnished();
    let ours = bed.strict();
    let cost = ours.asked(|ours| {
        let mut pass = ours.index.pass();
        let are_dirs = ours.index.identify(&mut pass, ours.run.dirs());
        assert_eq!(are_dirs, [true; ENTRIES]);
        assert_eq!(ours.index.find(&mut pass, &ours.run, "absent"), Absent);
    });
    assert_eq!(cost, (ENTRIES as u64, ENTRIES as u64));
}

#[test]
fn identifying_tells_directories_from_everything_else() {
    let bed = Bed::new(1);
    let file = bed.file("file");
    bed.link("0", "link");
    bed.link("around", "around");
    let index = bed.strict().index;
    let paths = [&bed.dirs[0], &file, &bed.at("missing"), &bed.at("link"), &bed.at("around")];
    let dirs: Vec<_> = paths.iter().map(|path| index.directory(path)).collect();
    let are_dirs = index.identify(&mut index.pass(), &dirs);
    assert_eq!(are_dirs, [true, false, false, true, false]);
}

#[test]
fn a_name_that_cannot_be_listed_costs_nothing() {
    let bed = furnished();
    let ours = bed.strict();
    assert_eq!(ours.asked(|ours| ours.find_right("a/b")), (0, 0));
}

#[test]
fn invalidating_asks_nothing_and_everything_is_read_again() {
    let bed = furnished();
    let ours = bed.index(Backend::Auto, Sealed);
    ours.find("absent");
    assert_eq!(ours.asked(|ours| ours.index.invalidate()), (0, 0));
    let all = (ENTRIES as u64, ENTRIES as u64);
    assert_eq!(ours.asked(|ours| ours.find_right("absent")), all);
    assert_eq!(ours.asked(|ours| ours.find_right("absent")), (0, 0));
}

#[test]
fn a_change_costs_one_listing_of_the_directory_that_changed() {
    let bed = furnished();
    let ours = bed.strict();
    ours.find_right("absent");
    bed.file("3/new.py");
    bed::age();
    assert_eq!(ours.asked(|ours| ours.find_right("absent")), (ENTRIES as u64, 1));
    assert_eq!(ours.asked(|ours| ours.find_right("absent")), (ENTRIES as u64, 0));
}

#[test]
fn what_recall_knows_it_knows_without_asking() {
    let bed = furnished();
    let ours = bed.strict();
    assert_eq!(ours.index.recall(&ours.run, "m"), None, "never asked for");
    let answer = ours.find_right("m");
    let cost = ours.asked(|ours| assert_eq!(ours.index.recall(&ours.run, "m"), Some(answer)));
    assert_eq!(cost, (0, 0));
    ours.index.invalidate();
    assert_eq!(ours.index.recall(&ours.run, "m"), None, "no longer trusted");
}

#[test]
fn answers_kept_are_bounded() {
    let bed = Bed::new(2);
    let ours = bed.index(Backend::Auto, Sealed);
    let name = |i: usize| format!("absent{i}");
    for i in 0..=1 << 16 {
        assert_eq!(ours.find(&name(i)), Absent);
    }
    assert_eq!(ours.index.recall(&ours.run, &name(0)), None, "the first had to go");
    assert_eq!(ours.index.recall(&ours.run, &name(1 << 16)), Some(Absent));
    assert_eq!(ours.find(&name(0)), Absent);
}

// ---- the counters ------------------------------------------------------------------------------

/// What the counters grew by: lookups, hit, miss, revalidated, stale.
fn grown<R>(ours: &Ours, what: impl FnOnce() -> R) -> [u64; 5] {
    let read = || {
        let counts = ours.index.counts().0;
        [counts.lookups, counts.hit, counts.miss, counts.revalidated, counts.stale]
    };
    let before = read();
    what();
    let after = read();
    std::array::from_fn(|i| after[i] - before[i])
}

fn counted(bed: &Bed, freshness: Freshness) -> Ours {
    let ours = bed.index(Backend::Auto, freshness);
    assert_eq!(grown(&ours, || ours.find_right("absent")), [1, 0, 1, 0, 0], "all had to be read");
    ours
}

#[test]
fn the_counters_tell_what_happened() {
    let bed = furnished();
    let all = ENTRIES as u64;
    let ours = counted(&bed, Strict);
    let find = |name: &'static str| grown(&ours, || ours.find_right(name));
    assert_eq!(find("absent"), [1, 1, 0, all, 0], "checked, and unchanged");
    assert_eq!(find("other"), [1, 1, 0, all, 0], "answered from the names");
    bed.file("3/new.py");
    bed::age();
    assert_eq!(find("absent"), [1, 0, 1, all - 1, 1], "one had changed and was read again");
    // Changed, but not in its names.
    let dir = bed.at("3");
    fs::set_permissions(&dir, fs::metadata(&dir).unwrap().permissions()).unwrap();
    bed::age();
    assert_eq!(find("absent"), [1, 0, 1, all - 1, 0], "read again, and its names are the same");
}

#[test]
fn what_had_to_be_asked_for_is_no_hit() {
    let bed = furnished();
    bed.link("../5/m.py", "6/linked.py");
    bed::age();
    let ours = bed.strict();
    for _ in 0..3 {
        assert_eq!(grown(&ours, || ours.find_right("linked"))[..3], [1, 0, 1]);
    }
}

#[test]
fn sealed_checks_nothing() {
    let bed = furnished();
    let ours = counted(&bed, Sealed);
    assert_eq!(grown(&ours, || ours.find("absent")), [1, 1, 0, 0, 0]);
}

#[test]
fn what_is_left_to_stock_is_neither_hit_nor_miss() {
    let bed = Bed::new(1);
    bed.link("around", "around");
    let around: &Path = &bed.at("around");
    let ours = Ours::new(Backend::Auto, Strict, &[around.to_owned()]);
    let grown = grown(&ours, || assert_eq!(ours.find("m"), Answer::Ask));
    assert_eq!(grown[..3], [1, 0, 0]);
}
