//! What is read, whatever is done to the file meanwhile.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use fastpath::table::shared::{Bytes, Trust, open};

use crate::bed::{Bed, number_at, pattern, publish_number};

fn opened(path: &Path) -> Box<dyn Bytes> {
    open(path, Trust::User).unwrap()
}

/// Every piece of the table, at odd places and of odd lengths, across pages and at the ends.
#[test]
fn every_piece_is_the_files() {
    let bytes = pattern(7);
    let bed = Bed::with(&bytes);
    let table = opened(&bed.table());
    assert_eq!(table.len(), bytes.len() as u64);
    assert!(!table.is_empty());
    let tail = bytes.len() - 16_384;
    for at in (0..bytes.len()).step_by(997).chain([0, 4095, 4096, tail - 1, tail, tail + 1]) {
        for len in [0, 1, 2, 4096, 4097, 20_000] {
            let there = bytes.get(at..at + len);
            assert_eq!(table.read(at as u64, len).as_deref(), there, "{len} from {at}");
        }
    }
    assert_eq!(table.read(0, bytes.len()).as_deref(), Some(&*bytes));
}

#[test]
fn nothing_beyond_the_end_is_given() {
    let bytes = pattern(0);
    let bed = Bed::with(&bytes);
    let table = opened(&bed.table());
    let end = table.len();
    assert_eq!(table.read(end - 1, 1).as_deref(), Some(&bytes[bytes.len() - 1..]));
    assert_eq!(table.read(end, 0).as_deref(), Some(&[][..]));
    for (at, len) in [
        (end, 1),
        (end + 1, 0),
        (end - 1, 2),
        (0, bytes.len() + 1),
        (u64::MAX, 1),
        (1, usize::MAX),
        (u64::MAX, usize::MAX),
        (0, usize::MAX),
    ] {
        assert_eq!(table.read(at, len), None, "{len} from {at}");
    }
}

/// Of a mapping, a plain read would be a SIGBUS here. The last 16 KB have been read when it was opened.
#[test]
fn a_table_cut_short_gives_none_and_kills_nobody() {
    let bytes = pattern(100);
    for left in [0, 1, 4096, 20_000, 100_000] {
        let bed = Bed::with(&bytes);
        let table = opened(&bed.table());
        let file = OpenOptions::new().write(true).open(bed.table()).unwrap();
        file.set_len(left).unwrap();
        assert_eq!(table.read(0, bytes.len()), None, "cut at {left}");
        let page_after = (left + 4095) & !4095;
        for at in (page_after..table.len() - 16_384).step_by(4096) {
            let byte = table.read(at, 1);
            assert!(byte.is_none_or(|byte| *byte == [bytes[at as usize]]), "cut at {left}, {at}");
        }
    }
}

/// Other bytes in the same file are given as they are, or not at all: only checksums tell.
#[test]
fn a_table_overwritten_in_place_gives_what_is_there_or_nothing() {
    let bytes = pattern(50);
    let bed = Bed::with(&bytes);
    let table = opened(&bed.table());
    let file = OpenOptions::new().write(true).open(bed.table()).unwrap();
    file.write_all_at(&[0xAA; 1000], 20_000).unwrap();
    let piece = table.read(19_000, 3000);
    assert!(piece.is_none_or(|piece| {
        piece[..1000] == bytes[19_000..20_000] && piece[1000..2000] == [0xAA; 1000]
    }));
}

/// Whoever has a table open goes on with it, or without: never with another one's bytes.
#[test]
fn a_table_replaced_gives_the_old_bytes_or_nothing() {
    let bed = Bed::new();
    publish_number(&bed.table(), 1, |_| Ok(())).unwrap();
    let old = opened(&bed.table());
    publish_number(&bed.table(), 2, |_| Ok(())).unwrap();
    let piece = old.read(17_000, 4000);
    assert!(piece.is_none_or(|piece| *piece == pattern(1)[17_000..21_000]));
    assert_eq!(number_at(&bed.table()), 2);
    fs::remove_file(bed.table()).unwrap();
    let piece = old.read(17_000, 4000);
    assert!(piece.is_none_or(|piece| *piece == pattern(1)[17_000..21_000]));
}

/// No descriptor is left open that the program would find.
#[test]
#[cfg(target_os = "linux")]
fn no_descriptor_is_kept() {
    let bed = Bed::with(&pattern(3));
    let table = opened(&bed.table());
    assert!(table.read(17_000, 100).is_some());
    let targets = fs::read_dir("/proc/self/fd").unwrap();
    let open: Vec<_> = targets
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .filter(|target| target.starts_with(bed.dir()))
        .collect();
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn a_table_of_no_bytes_or_of_far_too_many_is_damaged() {
    let bed = Bed::with(b"");
    assert_eq!(bed.refusal().to_string(), "it is damaged: it has no bytes");
    let file = File::create(bed.table()).unwrap();
    file.set_len((4 << 30) + 1).unwrap();
    assert_eq!(bed.refusal().to_string(), "it is damaged: it has more than 4 GB");
    file.set_len(4 << 30).unwrap();
    assert_eq!(opened(&bed.table()).read((4 << 30) - 2, 2).as_deref(), Some(&[0, 0][..]));
    assert_eq!(opened(&bed.table()).read(1 << 31, 2).as_deref(), Some(&[0, 0][..]));
}
