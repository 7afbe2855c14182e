//! Tables that are kept: those of the present format, byte for byte; and whatever once broke the decoder. All of them are
//! asked everything, and so are mutants of them.
//!
//! `FASTPATH_FUZZ_SECONDS=600 cargo test --no-default-features --test table mutants` goes on for ten minutes, with other mutants each time. One that
//! breaks something is written down, and belongs into `corpus/` when that is mended.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use fastpath::table::shared::{Learnt, Root, Shared, seal};

use super::forge;
use super::hostile::{ask_everything, small};
use super::model::*;

/// Mutants of each kept table where nobody asks for more.
const MUTANTS: usize = 2000;

fn kept() -> Vec<(PathBuf, Vec<u8>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/table/corpus");
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("the corpus").map(|e| e.expect("a file").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a file"))).collect()
}

/// Where what a test has made lies, to be looked at.
fn note(name: &str, bytes: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, bytes).expect("the target directory");
    path
}

fn small_sealed() -> Vec<u8> {
    let files = vec![file("m.py", 3, b"code of m")];
    let dirs = vec![learnt("/venv/lib", 1, &["m.py"], files), learnt("/base", 1, &["n"], vec![])];
    let roots = [("/venv", true), ("/base", false)]
        .map(|(path, sealed)| Root { path: path.into(), sealed });
    let mut out = Vec::new();
    let plan = Some((b"prog".to_vec(), vec!["/venv/lib/m.py".into()]));
    seal(&key(), Learnt { dirs, plan, day: 0 }, &roots, &mut out).expect("memory does not fail");
    out
}

/// What these bytes are was written down when format 1 was settled. Whoever has to change them gives the new format a new number.
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
#[test]
fn format_1_is_what_it_was() {
    let made = [("format-1.table", small().0), ("format-1-sealed.table", small_sealed())];
    for (name, made) in made.map(|(name, made)| (note(name, &made), made)) {
        let was = kept().into_iter().find(|(path, _)| path.file_name() == name.file_name());
        assert!(was.is_some_and(|(_, was)| was == made), "it is another now: {}", name.display());
    }
}

/// The foot of the smallest table, said by hand.
#[cfg(all(target_pointer_width = "64", target_endian = "little"))]
#[test]
fn a_table_begins_and_ends_as_the_layout_says() {
    let mut made = Vec::new();
    seal(&key(), Learnt::default(), &[], &mut made).expect("memory does not fail");
    let section = |kind: u8, checksum: u64| {
        let (at, len) = (16_u64.to_le_bytes(), [0; 8]);
        [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &[0; 8], &at, &len, &checksum.to_le_bytes()].concat()
    };
    let of_nothing = 0x2d06_8005_38d3_94c2; // XXH3-64 of no bytes, by its reference implementation
    let mut foot =
        b"\x01\0\0\0\x08l\0\0\xf3\x0d\x0d\x0a\0\0\0\0\x0b\0\0\0\x05\0\0\0cpython-313/venv".to_vec();
    for (kind, checksum) in [(1, 0), (2, 0), (3, 0), (5, of_nothing), (4, of_nothing)] {
        foot.extend(section(kind, checksum));
    }
    foot.extend(b"\x38\x01\0\0\0\0\0\0" as &[u8]);
    foot.extend(b"\0\0\0\0\0\0\0\0\x01\0\0\0\x28\0\0\0\x05\0\0\0\0\0\0\0" as &[u8]);
    let sum = xxhash_rust::xxh3::xxh3_64(&foot);
    foot.extend(sum.to_le_bytes());
    foot.extend(b"\x01\0\0\0\0\0\0\0fastpath" as &[u8]);
    assert_eq!(made, [b"fastpath\x01\0\0\0\0\0\0\0" as &[u8], &foot].concat());
}

#[test]
fn kept_tables_break_nothing() {
    kept().iter().for_each(|(_, bytes)| ask_everything(bytes));
}

#[test]
fn mutants_of_kept_tables_break_nothing() {
    let seconds = std::env::var("FASTPATH_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let now = || {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64)
    };
    let mut dice = Dice(seconds.map_or(1, |_: u64| now() | 1));
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let (mut asked, mut opened) = (0_u64, 0_u64);
    let corpus = kept();
    assert!(corpus.len() >= 2);
    while end.map_or(asked == 0, |end| Instant::now() < end) {
        for _ in 0..MUTANTS {
            for (_, bytes) in &corpus {
                let mutant = dice.mutant(bytes);
                opened += u64::from(Shared::of_any_key(Box::new(mutant.clone()), &[]).is_ok());
                asked += 1;
                if catch_unwind(AssertUnwindSafe(|| ask_everything(&mutant))).is_err() {
                    panic!("this one does: {}", note("mutant.table", &mutant).display());
                }
            }
        }
    }
    assert!(2 * opened > asked, "most get behind the door: {opened} of {asked}");
}

/// Numbers by chance, the same for the same start (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }

    /// A few bytes of it changed somewhere, mostly with right checksums.
    fn mutant(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut table = forge::Table::of(bytes);
        let foot = bytes.len() - 56 - 5 * 40..bytes.len() - 24;
        for _ in 0..=self.below(4) {
            let place = self.below(8);
            let within = table.sections.get(place).unwrap_or(&table.sections[1]).clone();
            let within = if place == 7 { foot.clone() } else { within };
            let at = within.start + self.below(within.len());
            self.change(&mut table.bytes, at);
        }
        if self.below(8) == 0 { table.bytes } else { table.sealed_again() }
    }

    /// Changes a byte, or a number of four or eight bytes to one that is at the edge of something.
    fn change(&mut self, bytes: &mut [u8], at: usize) {
        let edges = [0, 1, u64::MAX, u64::from(u32::MAX), 1 << 31, 1 << 63, bytes.len() as u64];
        let number =
            edges[self.below(edges.len())].wrapping_add(self.below(3) as u64).to_le_bytes();
        let len = [1, 1, 4, 8][self.below(4)].min(bytes.len() - at);
        match self.below(3) {
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = self.below(256) as u8,
            _ => bytes[at..at + len].copy_from_slice(&number[..len]),
        }
    }
}
