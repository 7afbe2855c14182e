//! From facts to the bytes of a block or a plan: equal facts give equal bytes.

use super::block::{Stored, kind_byte, put_generation};
use super::layout::{BLOCK, FILE, MAX_NAME, Made, NAME, NAMES_KNOWN, PLAN, PLAN_PATH, STEM};
use super::root::Place;
use crate::fact::{Generation, Kind};
use crate::table::names::stem_hash;

/// Names of a directory, in any order; the last counts of those that are equal.
pub(super) type NamesIn<'a> = Vec<(&'a [u8], Kind)>;

/// Everything that a block says.
pub(super) struct Said<'a> {
    pub(super) place: Place<'a>,
    pub(super) names: Option<(Generation, NamesIn<'a>)>,
    /// Ascending by name.
    pub(super) files: Vec<(&'a [u8], Stored)>,
}

impl Said<'_> {
    /// The block. No name is longer than [`MAX_NAME`], and all is at most as long as a piece may be.
    pub(super) fn encoded(self) -> Vec<u8> {
        let known = self.names.is_some();
        let (generation, names) = self.names.unzip();
        let names = in_order(names.unwrap_or_default());
        let (root, path) = self.place;
        let mut texts = Texts {
            at: BLOCK + (STEM + NAME) * names.len() + FILE * self.files.len() + path.len(),
            made: Vec::new(),
        };
        let mut made = Made::with_room(texts.at);
        made.u32(root).size(path.len()).u32(if known { NAMES_KNOWN } else { 0 });
        made.size(names.len()).size(self.files.len()).u32(0);
        put_generation(&mut made, generation);
        for (stem, ..) in &names {
            made.u64(*stem);
        }
        for (_, name, kind) in &names {
            texts.put(&mut made, name).u8(kind_byte(*kind)).u8(0);
        }
        for (name, stored) in &self.files {
            stored.put(texts.put(&mut made, name).u16(0));
        }
        made.bytes(path).bytes(&texts.made);
        made.0
    }
}

/// How long a block with these names and files gets.
pub(super) fn block_size<'a>(
    path: usize,
    names: impl IntoIterator<Item = &'a [u8]>,
    files: impl IntoIterator<Item = &'a [u8]>,
) -> usize {
    let names: usize = names.into_iter().map(|name| STEM + NAME + name.len()).sum();
    let files: usize = files.into_iter().map(|name| FILE + name.len()).sum();
    BLOCK + path + names + files
}

/// By stem, then by name; each once.
fn in_order(names: NamesIn<'_>) -> Vec<(u64, &[u8], Kind)> {
    let with_stem = names.into_iter().map(|(name, kind)| (stem_hash(name), name, kind));
    let mut names: Vec<_> = with_stem.collect();
    names.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    names.dedup_by(|later, earlier| {
        let same = later.1 == earlier.1;
        if same {
            earlier.2 = later.2;
        }
        same
    });
    names
}

/// The bytes of names behind the records that point at them.
struct Texts {
    at: usize,
    made: Vec<u8>,
}

impl Texts {
    fn put<'a>(&mut self, made: &'a mut Made, name: &[u8]) -> &'a mut Made {
        debug_assert!(name.len() <= MAX_NAME);
        made.size(self.at + self.made.len());
        self.made.extend_from_slice(name);
        made.u16(u16::try_from(name.len()).unwrap_or(u16::MAX))
    }
}

/// A plan, which has no more paths and bytes than it may have.
pub(super) fn plan(program: &[u8], paths: &[Place<'_>]) -> Vec<u8> {
    let mut made = Made::with_room(plan_size(program, paths.iter().map(|(_, rest)| rest.len())));
    made.size(program.len()).size(paths.len()).bytes(program);
    for (root, rest) in paths {
        made.u32(*root).size(rest.len()).bytes(rest);
    }
    made.0
}

/// How long a plan gets with paths of these lengths.
pub(super) fn plan_size(program: &[u8], paths: impl Iterator<Item = usize>) -> usize {
    PLAN + program.len() + paths.map(|len| PLAN_PATH + len).sum::<usize>()
}
