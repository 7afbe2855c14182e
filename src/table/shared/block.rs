//! What a table says of one directory, used where it lies: no map is built when it is adopted.
//!
//! Whether every offset leads into the block is seen once, when it is decoded; a block with anything wrong in it is none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layout::{BLOCK, FILE, Fields, GENERATION, MAX_PIECE, Made, NAME, NAMES_KNOWN, STEM};
use super::root::Place;
use crate::fact::{Generation, Kind, Stamp};
use crate::table::NameSet;

/// What is known of a directory: the names in it, and files of bytecode that were read for modules from it.
#[derive(Debug)]
pub struct Block {
    data: Box<[u8]>,
    parts: Parts,
    path: PathBuf,
    used_day: u32,
    sealed: bool,
}

/// A file of bytecode in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The version of the source it was compiled from.
    pub source: Stamp,
    /// The version of the file that its bytes were read from.
    pub bytecode: Stamp,
    /// Where its bytes lie, from the beginning of contents.
    pub(super) at: u64,
    pub(super) len: u64,
    pub(super) checksum: u64,
}

impl Stored {
    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        let (source, bytecode) = (take_stamp(fields)?, take_stamp(fields)?);
        let (at, len, checksum) = (fields.u64()?, fields.u64()?, fields.u64()?);
        Some(Self { source, bytecode, at, len, checksum })
    }

    pub(super) fn put(&self, made: &mut Made) {
        put_stamp(made, &self.source);
        put_stamp(made, &self.bytecode);
        made.u64(self.at).u64(self.len).u64(self.checksum);
    }
}

/// Where things are in a block.
#[derive(Clone, Copy, Debug)]
struct Parts {
    root: u32,
    generation: Option<Generation>,
    names: usize,
    files: usize,
    path: (usize, usize),
}

impl Parts {
    fn decode(data: &[u8]) -> Option<Self> {
        let mut head = Fields(data);
        let (root, path_len, flags) = (head.u32()?, head.size()?, head.u32()?);
        let (names, files, _zero) = (head.size()?, head.size()?, head.u32()?);
        let generation = take_generation(&mut head)?;
        let records = names.checked_mul(STEM + NAME)?.checked_add(files.checked_mul(FILE)?)?;
        let path_at = BLOCK.checked_add(records)?;
        let path = (path_at, path_at.checked_add(path_len)?);
        data.get(path.0..path.1)?;
        let generation = (flags & NAMES_KNOWN != 0).then_some(generation);
        let parts = Self { root, generation, names, files, path };
        (parts.names_are_right(data)? && parts.files_are_right(data)?).then_some(parts)
    }

    fn stem(&self, data: &[u8], n: usize) -> Option<u64> {
        Fields::at(data, BLOCK + STEM * n)?.u64()
    }

    fn name<'a>(&self, data: &'a [u8], n: usize) -> Option<(&'a [u8], Kind)> {
        let mut fields = Fields::at(data, BLOCK + STEM * self.names + NAME * n)?;
        let name = take_name(&mut fields, data)?;
        Some((name, kind(fields.u8()?)?))
    }

    fn file<'a>(&self, data: &'a [u8], n: usize) -> Option<(&'a [u8], Fields<'a>)> {
        let mut fields = Fields::at(data, BLOCK + (STEM + NAME) * self.names + FILE * n)?;
        let name = take_name(&mut fields, data)?;
        fields.u16()?;
        Some((name, fields))
    }

    fn names_are_right(&self, data: &[u8]) -> Option<bool> {
        let mut before = None;
        for n in 0..self.names {
            let this = Some((self.stem(data, n)?, self.name(data, n)?.0));
            if before >= this {
                return Some(false);
            }
            before = this;
        }
        Some(true)
    }

    fn files_are_right(&self, data: &[u8]) -> Option<bool> {
        let mut before = None;
        for n in 0..self.files {
            let this = Some(self.file(data, n)?.0);
            if before >= this {
                return Some(false);
            }
            before = this;
        }
        Some(true)
    }
}

impl Block {
    /// The block that these bytes are, whose checksum was right. `path` makes a path of its place, `sealed` says whether
    /// the root of this number is.
    pub(super) fn decode(
        data: Box<[u8]>,
        used_day: u32,
        path: impl FnOnce(Place<'_>) -> Option<PathBuf>,
        sealed: impl FnOnce(u32) -> bool,
    ) -> Option<Self> {
        let parts = Some(&data).filter(|data| data.len() <= MAX_PIECE)?;
        let parts = Parts::decode(parts)?;
        let path = path((parts.root, data.get(parts.path.0..parts.path.1)?))?;
        Some(Self { sealed: sealed(parts.root), data, parts, path, used_day })
    }

    /// The directory, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The generation to which the names belong; none where names are not known. In a sealed block it is all zero.
    #[must_use]
    pub fn generation(&self) -> Option<Generation> {
        self.parts.generation
    }

    /// The names in the directory, where they are known.
    #[must_use]
    pub fn names(self: &Arc<Self>) -> Option<NameSet> {
        self.generation().map(|_| NameSet::stored(Arc::clone(self)))
    }

    /// The bytecode that is stored for the source file of this name.
    #[must_use]
    pub fn file(&self, source_name: &[u8]) -> Option<Stored> {
        let before = |n| self.parts.file(&self.data, n).is_some_and(|(name, _)| name < source_name);
        let (name, stored) = self.nth_file(first_not(self.parts.files, before))?;
        (name == source_name).then_some(stored)
    }

    /// Every source file with the bytecode that is stored for it, ascending by name.
    pub fn files(&self) -> impl Iterator<Item = (&[u8], Stored)> {
        (0..self.parts.files).filter_map(|n| self.nth_file(n))
    }

    /// When a process last used this block that wrote to the table: days since the epoch.
    #[must_use]
    pub fn used_day(&self) -> u32 {
        self.used_day
    }

    /// Whether this is to be trusted without a look at the filesystem. Then device, inode and `ctime` are zero everywhere,
    /// and so is the `mtime` of bytecode.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// How many bytes it takes, without those of its files.
    #[must_use]
    pub fn size(&self) -> usize {
        self.data.len()
    }

    /// How many bytes its files take.
    #[must_use]
    pub fn files_size(&self) -> u64 {
        self.files().fold(0, |sum, (_, file)| sum.saturating_add(file.len))
    }

    /// How many names there are; zero if none is known.
    #[must_use]
    pub fn names_len(&self) -> usize {
        self.parts.names
    }

    /// How many files there are.
    #[must_use]
    pub fn files_len(&self) -> usize {
        self.parts.files
    }

    /// Whether there is a name with this hash of its stem.
    pub(in crate::table) fn has_stem(&self, stem: u64) -> bool {
        self.stem(self.first_with(stem)) == Some(stem)
    }

    /// The hash of every name's stem, once.
    pub(in crate::table) fn stems(&self) -> impl Iterator<Item = u64> {
        let mut before = None;
        (0..self.parts.names).filter_map(move |n| {
            let stem = self.stem(n);
            std::mem::replace(&mut before, stem).ne(&stem).then_some(stem)?
        })
    }

    /// Every name.
    pub(in crate::table) fn listed(&self) -> impl Iterator<Item = (&[u8], Kind)> {
        (0..self.parts.names).filter_map(|n| self.parts.name(&self.data, n))
    }

    /// What the listing said of this name, which has this stem.
    pub(in crate::table) fn kind(&self, stem: u64, name: &[u8]) -> Option<Kind> {
        let before = |n| match self.stem(n) {
            Some(this) if this == stem => {
                self.parts.name(&self.data, n).is_some_and(|(this, _)| this < name)
            }
            this => this < Some(stem),
        };
        let found = first_not(self.parts.names, before);
        let (this, kind) =
            (found < self.parts.names).then(|| self.parts.name(&self.data, found))??;
        (this == name).then_some(kind)
    }

    fn first_with(&self, stem: u64) -> usize {
        first_not(self.parts.names, |n| self.stem(n) < Some(stem))
    }

    fn stem(&self, n: usize) -> Option<u64> {
        (n < self.parts.names).then(|| self.parts.stem(&self.data, n))?
    }

    fn nth_file(&self, n: usize) -> Option<(&[u8], Stored)> {
        let (name, mut fields) =
            (n < self.parts.files).then(|| self.parts.file(&self.data, n))??;
        Some((name, Stored::take(&mut fields)?))
    }
}

/// The first number below `end` of which `holds` is not true, or `end`, if it is true of those before it and no other.
fn first_not(end: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut from, mut to) = (0, end);
    while from < to {
        let middle = from + (to - from) / 2;
        if holds(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    from
}

fn take_name<'a>(fields: &mut Fields<'_>, data: &'a [u8]) -> Option<&'a [u8]> {
    let (at, len) = (fields.size()?, usize::from(fields.u16()?));
    Fields::at(data, at)?.bytes(len)
}

fn take_stamp(fields: &mut Fields<'_>) -> Option<Stamp> {
    let (dev, ino, size) = (fields.u64()?, fields.u64()?, fields.u64()?);
    Some(Stamp { dev, ino, size, mtime_ns: fields.i128()?, ctime_ns: fields.i128()? })
}

fn put_stamp(made: &mut Made, stamp: &Stamp) {
    made.u64(stamp.dev).u64(stamp.ino).u64(stamp.size).i128(stamp.mtime_ns).i128(stamp.ctime_ns);
}

fn take_generation(fields: &mut Fields<'_>) -> Option<Generation> {
    let (dev, ino) = (fields.u64()?, fields.u64()?);
    Some(Generation::from_parts(dev, ino, fields.i128()?, fields.i128()?))
}

pub(super) fn put_generation(made: &mut Made, generation: Option<Generation>) {
    let nothing = (0, 0, 0, 0);
    let (dev, ino, mtime_ns, ctime_ns) = generation.map_or(nothing, |known| known.parts());
    made.u64(dev).u64(ino).i128(mtime_ns).i128(ctime_ns);
}

const _: () = assert!(GENERATION == 2 * size_of::<u64>() + 2 * size_of::<i128>());

fn kind(byte: u8) -> Option<Kind> {
    [Kind::Dir, Kind::File, Kind::Link, Kind::Unknown, Kind::Other]
        .into_iter()
        .find(|kind| kind_byte(*kind) == byte)
}

/// A kind as it is stored.
pub(super) fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::Dir => 1,
        Kind::File => 2,
        Kind::Link => 3,
        Kind::Unknown => 4,
        Kind::Other => 5,
    }
}
