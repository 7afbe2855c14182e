//! What was fetched is used if it is what is there, and not otherwise: loading is never staler than a plain read.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::tree::{Cost, Looker, age, beside, import, module, pyc, touch};
use crate::bed::{Bed, backends};
use fastpath::index::LookAhead;

/// A module of its own and, where it was fetched, an index that has it in hand.
fn fetched() -> (Bed, PathBuf, Looker) {
    let bed = Bed::new(1);
    let source = module(&bed, "0/m.py", &[]);
    age();
    let looker = Looker::new(&bed);
    assert_eq!(looker.cost(|looker| looker.look("m")).files, 1);
    (bed, source, looker)
}

#[test]
fn what_was_fetched_is_used_once_and_compared_first() {
    let bed = Bed::new(1);
    let source = module(&bed, "0/m.py", &[import("a.b")]);
    age();
    for backend in backends() {
        let looker = Looker::with(backend, LookAhead::Always, &[&bed.dirs]);
        looker.look("m");
        let cost = looker.cost(|looker| assert!(looker.load(&source).is_some()));
        assert_eq!(cost, Cost { used: 1, batches: 2, stats: 2, ..Cost::default() });
        let cost = looker.cost(|looker| assert!(looker.load(&source).is_some()));
        assert_eq!(cost, Cost { batches: 2, stats: 1, reads: 1, ..Cost::default() });
    }
}

/// What replaces bytecode is as long as it was.
fn other(source: &Path) -> Vec<u8> {
    let mut bytes = fs::read(beside(source)).expect("bytecode");
    *bytes.last_mut().expect("some") ^= 1;
    bytes
}

#[test]
fn what_was_put_in_its_place_is_read_even_if_size_and_time_are_the_same() {
    let (bed, source, looker) = fetched();
    let bytecode = beside(&source);
    let modified = fs::metadata(&bytecode).unwrap().modified().unwrap();
    let new = bed.at("0/__pycache__/new");
    fs::write(&new, other(&source)).unwrap();
    touch(&new, modified);
    fs::rename(&new, &bytecode).unwrap();
    assert!(!looker.load_right(&source));
}

#[test]
fn what_was_written_into_it_is_read_even_if_size_and_time_are_the_same() {
    let (_bed, source, looker) = fetched();
    let bytecode = beside(&source);
    let modified = fs::metadata(&bytecode).unwrap().modified().unwrap();
    fs::write(&bytecode, other(&source)).unwrap();
    touch(&bytecode, modified);
    assert!(!looker.load_right(&source));
}

#[test]
fn a_link_that_leads_elsewhere_is_followed_to_there() {
    let bed = Bed::new(1);
    let source = module(&bed, "0/m.py", &[]);
    let bytecode = beside(&source);
    let [one, two] = ["one", "two"].map(|name| bed.at(&format!("0/__pycache__/{name}")));
    fs::rename(&bytecode, &one).unwrap();
    std::os::unix::fs::symlink(&one, &bytecode).unwrap();
    fs::write(&two, other(&source)).unwrap();
    touch(&two, fs::metadata(&one).unwrap().modified().unwrap());
    age();
    let looker = Looker::new(&bed);
    assert_eq!(looker.cost(|looker| looker.look("m")).files, 1);
    fs::remove_file(&bytecode).unwrap();
    std::os::unix::fs::symlink(&two, &bytecode).unwrap();
    assert!(!looker.load_right(&source));
}

#[test]
fn what_is_gone_is_not_loaded() {
    let (_bed, source, looker) = fetched();
    fs::remove_file(beside(&source)).unwrap();
    assert!(looker.load(&source).is_none());
    let (_bed, source, looker) = fetched();
    fs::remove_file(&source).unwrap();
    assert!(looker.load(&source).is_none());
}

/// Whoever loads judges the header by the source as it is now.
#[test]
fn a_source_changed_since_is_seen() {
    let (_bed, source, looker) = fetched();
    fs::write(&source, "# another, and longer than the one before\n").unwrap();
    looker.load_right(&source);
}

#[test]
fn a_shelf_of_an_invalid_index_is_empty_and_everything_may_be_looked_after_again() {
    let (_bed, source, looker) = fetched();
    looker.index.invalidate();
    assert!(!looker.load_right(&source));
    assert_eq!(looker.cost(|looker| looker.look("m")).files, 1);
    assert!(looker.load_right(&source));
}

#[test]
fn a_module_written_since_is_looked_after_when_the_caches_are_invalidated() {
    let bed = Bed::new(1);
    age();
    let looker = Looker::new(&bed);
    looker.look("m");
    let source = module(&bed, "0/m.py", &[]);
    age();
    looker.look("m");
    looker.index.invalidate();
    assert_eq!(looker.cost(|looker| looker.look("m")).files, 1);
    assert!(looker.load_right(&source));
}

/// What is fetched of a module that imports `n`, where `write` has made its bytecode.
fn files_with(write: impl FnOnce(&Path, &Path)) -> u64 {
    let bed = Bed::new(1);
    let source = module(&bed, "0/m.py", &[import("n")]);
    module(&bed, "0/n.py", &[]);
    write(&source, &beside(&source));
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look("m"));
    if beside(&source).exists() {
        looker.load_right(&source);
    }
    cost.files
}

#[test]
fn only_bytecode_that_is_up_to_date_is_kept_and_followed() {
    assert_eq!(files_with(|_, _| {}), 2);
    let of_flags = |flags| {
        files_with(|source, path| fs::write(path, pyc(flags, source, &[import("n")])).unwrap())
    };
    // Timestamps; hashes, whether they are to be compared or not; what nobody writes.
    assert_eq!([0, 2, 1, 3, 4, 1 << 31].map(of_flags), [2, 2, 2, 2, 0, 0]);
    let damaged = |damage: &dyn Fn(&mut Vec<u8>)| {
        files_with(|_, path| {
            let mut bytes = fs::read(path).unwrap();
            damage(&mut bytes);
            fs::write(path, bytes).unwrap();
        })
    };
    assert_eq!(damaged(&|bytes| bytes[0] ^= 1), 0, "of another interpreter");
    assert_eq!(damaged(&|bytes| bytes[8] ^= 1), 0, "of another time");
    assert_eq!(damaged(&|bytes| bytes[12] ^= 1), 0, "of another size");
    assert_eq!(damaged(&|bytes| bytes.truncate(15)), 0, "no whole header");
    assert_eq!(damaged(&Vec::clear), 0, "empty");
    // Whoever loads it finds out; what it imports is not known.
    assert_eq!(damaged(&|bytes| bytes.truncate(30)), 1, "truncated code");
}

#[test]
fn what_stands_in_the_place_of_a_file_is_not_fetched() {
    let replaced = |by: &dyn Fn(&Path)| {
        files_with(|_, path| {
            fs::remove_file(path).unwrap();
            by(path);
        })
    };
    assert_eq!(replaced(&|_| {}), 0);
    let looped = |path: &Path| std::os::unix::fs::symlink(path, path).unwrap();
    assert_eq!(replaced(&looped), 0);
    let source_is_gone = files_with(|source, path| {
        fs::remove_file(path).unwrap();
        fs::rename(source, path).unwrap();
        fs::create_dir(source).unwrap();
        fs::remove_file(path).unwrap();
    });
    assert_eq!(source_is_gone, 0);
}

/// A change in the same tick would not show.
#[test]
fn what_has_just_changed_is_not_kept() {
    let hour = Duration::from_secs(3_600);
    let files = files_with(|_, path| touch(path, SystemTime::now() + hour));
    assert_eq!(files, 0);
}

#[test]
fn directories_listed_ahead_are_told_by_the_lookup_that_uses_them() {
    let bed = Bed::new(2);
    module(&bed, "0/p/__init__.py", &[]);
    bed.dir("1/wrong");
    age();
    let looker = Looker::new(&bed);
    looker.look_from("", &[import("p"), import("wrong")]);
    let (index, run) = (&looker.index, &looker.scene.path[0]);
    let told = |name: &str| {
        let mut pass = index.pass();
        let _ = index.find(&mut pass, run, name);
        let listed = pass.take_listed();
        listed.iter().map(|dir| dir.path().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(told("p"), [bed.at("0")], "stock lists a package for its submodules only");
    assert_eq!(told("absent"), [bed.at("1")]);
    assert_eq!(told("wrong"), Vec::<PathBuf>::new());
    assert_eq!(told("p"), Vec::<PathBuf>::new());
}
