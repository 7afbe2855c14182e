//! Tables that are not as they were written: bits flipped, ends cut off, pieces moved, checksums forged. Answers are those of
//! the table as it was, or none; with forged checksums they may be anything, but never more than the file has room for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fastpath::fact::Kind;
use fastpath::table::StemHash;
use fastpath::table::shared::{Bytes, Key, Learnt, LearntDir, Refusal, Shared, merge};

use super::forge;
use super::model::*;

/// Bytes that see to it that nobody asks for more than there is.
#[derive(Debug)]
pub struct Watched {
    bytes: Vec<u8>,
    reads: Arc<AtomicUsize>,
}

impl Bytes for Watched {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        assert!(at.checked_add(len as u64).is_some_and(|end| end <= self.bytes.len() as u64));
        self.bytes.read(at, len)
    }
}

/// A small table with something of everything, and what it says.
pub fn small() -> (Vec<u8>, Model) {
    let mut dirs = vec![
        learnt("/a", 1, &["m.py", "m.so", "n", ".hidden"], vec![file("m.py", 3, b"code of m")]),
        learnt("/b", 2, &[], vec![file("x.py", 4, b""), file("y.py", 5, b"code of y")]),
        used("/c"),
    ];
    let (_, names) = dirs[0].names.as_mut().expect("listed");
    names[2].1 = Kind::Dir;
    dirs[2].files.push(file("z.py", 6, b"code of z"));
    let plan = Some((b"prog".to_vec(), vec!["/a/m.py".into(), "/b".into()]));
    let learnt = Learnt { dirs, plan, day: 20_000 };
    let mut model = Model::default();
    model.learn(&learnt);
    (merged(None, learnt, NO_LIMIT).expect("new"), model)
}

/// Whether all that the table says is what the model says.
fn says_no_more_than(table: &Shared, model: &Model) {
    for (path, expected) in &model.dirs {
        let Some(found) = dir(table, Path::new(path)) else { continue };
        assert_eq!((&found.names, found.day), (&expected.names, expected.day));
        for (name, file) in &found.files {
            assert_eq!(expected.files.get(name), Some(file));
        }
    }
    for (program, expected) in &model.plans {
        assert!(table.plan(program).is_none_or(|paths| paths == *expected));
    }
    assert_eq!(table.block(Path::new("/elsewhere")).map(|block| block.size()), None);
    let all: Vec<_> = table.blocks().map(|block| block.path().to_owned()).collect();
    assert!(all.iter().all(|path| model.dirs.contains_key(path.as_os_str())));
}

fn changed(bytes: Vec<u8>, model: &Model) -> Option<Shared> {
    let table = Shared::new(Box::new(bytes), &key(), &[]).ok()?;
    says_no_more_than(&table, model);
    Some(table)
}

#[test]
fn a_flipped_bit_is_a_fact_less_and_never_another() {
    let (bytes, model) = small();
    let whole = open(&bytes).check_all();
    assert_eq!((whole.pieces, whole.damaged), (8, 0), "3 blocks, 4 files, a plan");
    let mut noticed = 0;
    for bit in 0..8 * bytes.len() {
        let mut bytes = bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let table = changed(bytes, &model);
        noticed += usize::from(table.is_none_or(|table| table.check_all().damaged > 0));
    }
    // Nobody reads the head, and four bytes of zeros between format and magic.
    assert_eq!(noticed, 8 * (bytes.len() - 16 - 4));
}

#[test]
fn a_table_cut_short_or_grown_is_none() {
    let (bytes, model) = small();
    for len in 0..bytes.len() {
        assert!(changed(bytes[..len].to_vec(), &model).is_none(), "cut to {len}");
        assert!(changed(bytes[len..].to_vec(), &model).is_none() || len == 0, "from {len}");
    }
    for more in [vec![0], bytes.clone()] {
        assert!(changed([&bytes[..], &more].concat(), &model).is_none());
        assert!(changed([&more[..], &bytes].concat(), &model).is_none());
    }
}

#[test]
fn what_is_damaged_is_dropped_and_learnt_again() {
    let (bytes, mut model) = small();
    let mut damaged = bytes.clone();
    for text in [b"code of y", b"code of z"] {
        damaged[find(&bytes, text)] ^= 1;
    }
    let more = || today(20_001, vec![learnt("/d", 1, &["new.py"], vec![])]);
    model.learn(&more());
    let merged_anew = merged(Some(&damaged), more(), NO_LIMIT).expect("something new");
    let table = open(&merged_anew);
    assert_eq!(table.check_all().damaged, 0);
    let b = table.block(Path::new("/b")).expect("its other file is whole");
    assert_eq!((b.files_len(), b.file(b"y.py")), (1, None));
    assert!(table.block(Path::new("/c")).is_none(), "its only file is not");
    // And where it is read again from the filesystem, that is news, though the facts are the same.
    let files = vec![file("y.py", 5, b"code of y")];
    let again = || today(20_001, vec![LearntDir { files: files.clone(), ..used("/b") }]);
    assert_eq!(merged(Some(&bytes), again(), NO_LIMIT), None);
    let healed = merged(Some(&damaged), again(), NO_LIMIT).expect("it was damaged");
    assert_eq!(open(&healed).check_all().damaged, 0);
    assert_eq!(open(&healed).block(Path::new("/b")).expect("known").files_len(), 2);
}

#[test]
fn opening_costs_two_reads_at_most_and_a_block_one() {
    for dirs in [1, 3000] {
        let dirs = (0..dirs).map(|n| learnt(&format!("/d{n}"), n, &["m.py"], vec![]));
        let bytes = merged(None, today(1, dirs.collect()), NO_LIMIT).expect("new");
        let reads = Arc::new(AtomicUsize::new(0));
        let watched = Watched { bytes, reads: Arc::clone(&reads) };
        let table = Shared::new(Box::new(watched), &key(), &[]).expect("a table");
        assert_eq!(reads.swap(0, Ordering::Relaxed), 1 + usize::from(table.len() > 1));
        assert!(table.block(Path::new("/d0")).is_some_and(|block| block.names().is_some()));
        assert_eq!(reads.swap(0, Ordering::Relaxed), 1);
        assert!(table.block(Path::new("/e")).is_none());
        assert_eq!(reads.load(Ordering::Relaxed), 0, "the index says that it is not there");
    }
}

#[test]
fn two_paths_with_one_hash_are_two_directories() {
    let (bytes, model) = small();
    let whole = open(&bytes);
    // All entries get the hash of one path, and so each lookup of it comes by the blocks of all.
    for path in ["/a", "/b", "/c"] {
        let mut forged = forge::Table::of(&bytes);
        let hash = forged.hash_of(path);
        forged.entries().for_each(|entry| entry[..8].copy_from_slice(&hash));
        let table = open(&forged.sealed_again());
        assert_eq!(dir(&table, Path::new(path)), dir(&whole, Path::new(path)));
        says_no_more_than(&table, &model);
    }
}

#[test]
fn other_formats_and_keys_are_refused_by_name() {
    let (bytes, _) = small();
    let refusal = |bytes: Vec<u8>| Shared::new(Box::new(bytes), &key(), &[]).err();
    let format_at = bytes.len() - 16;
    for (format, expected) in [
        (1, None),
        (2, Some(Refusal::Future(2))),
        (0, Some(Refusal::Damaged("it does not end as a table does"))),
    ] {
        let mut bytes = bytes.clone();
        bytes[format_at] = format;
        assert_eq!(refusal(bytes), expected);
    }
    let other = Key { optimize: 1, ..key() };
    let found = Shared::new(Box::new(bytes.clone()), &other, &[]).err();
    assert_eq!(found, Some(Refusal::OtherKey));
    let any = Shared::of_any_key(Box::new(bytes), &[]).expect("a table");
    assert_eq!(any.key(), &key());
    assert_ne!(other.file_name(), key().file_name());
    assert_eq!(refusal(Vec::new()), Some(Refusal::Damaged("it is too short")));
}

#[test]
fn sections_of_other_kinds_and_builds_are_skipped() {
    let (bytes, model) = small();
    for (kind, build) in [(99, 0), (1, 7), (2, 7), (3, 7), (4, 7), (5, 7)] {
        let table = open(&forge::Table::of(&bytes).with_section(kind, build));
        assert_eq!(read(&table), model, "kind {kind}, build {build}");
    }
    let instead = open(&forge::Table::of(&bytes).with_section(1, 0));
    assert_ne!(read(&instead), model, "the first of a kind is meant");
}

#[test]
fn nothing_absolute_is_sealed_and_nothing_in_a_table_that_is_not() {
    let (bytes, _) = small();
    for sealed in [0, 1] {
        let mut forged = forge::Table::of(&bytes);
        forged.set_sealed(sealed, u64::MAX);
        let table = open(&forged.sealed_again());
        assert_eq!((table.is_sealed(), table.len()), (sealed == 1, 3));
        assert!(table.blocks().all(|block| !block.is_sealed()));
    }
}

/// Asks everything that can be asked: for tables with forged checksums, of which only that is expected.
pub fn ask_everything(bytes: &[u8]) {
    let watched = Watched { bytes: bytes.to_vec(), reads: Arc::default() };
    let roots = [PathBuf::from("/venv")];
    let Ok(table) = Shared::of_any_key(Box::new(watched), &roots) else { return };
    let mut total = 0;
    for block in table.blocks() {
        total += block.size();
        let _ = table.block(block.path());
        let named = block.names().map_or(0, |names| {
            names.iter().for_each(|(name, _)| _ = names.kind(name));
            names.stems().for_each(|stem| assert!(names.may_hold(stem)));
            let _ = (names.may_hold(StemHash::of("m")), names.kind(b"m.py"));
            names.len()
        });
        assert!(named <= bytes.len());
        for (name, file) in block.files() {
            assert_eq!(block.file(name), Some(file));
            assert!(table.bytes_of(&file).is_none_or(|read| read.len() <= bytes.len()));
        }
    }
    assert!(total <= bytes.len(), "no byte is in two blocks");
    let _ =
        (table.block(Path::new("/a")), table.block(Path::new("/venv/lib")), table.plan(b"prog"));
    assert!(table.plans().map(|plan| plan.program.len()).sum::<usize>() <= bytes.len());
    let _ = table.check_all();
    let learnt = today(1, vec![learnt("/a", 9, &["new"], vec![file("new", 1, b"new")])]);
    let mut out = Vec::new();
    let limit = 2 * bytes.len() as u64 + 1000;
    let new = merge(Some(&table), &key(), learnt, limit, &mut out);
    assert_eq!(new.expect("memory does not fail"), !out.is_empty());
    assert!(out.len() as u64 <= limit);
    assert!(out.is_empty() || open(&out).check_all().damaged == 0, "what we write is whole");
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|window| window == text).expect("it is in there")
}
