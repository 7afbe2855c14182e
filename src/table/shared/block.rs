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
    names_len: usize,
    files_len: usize,
    path: (usize, usize),
}

impl Parts {
    fn decode(data: &[u8]) -> Option<Self> {
        let mut head = Fields(data);
        let (root, path_len, flags) = (head.u32()?, head.size()?, head.u32()?);
        let (names_len, files_len, _zero) = (head.size()?, head.size()?, head.u32()?);
        let generation = take_generation(&mut head)?;
        let records =
            names_len.checked_mul(STEM + NAME)?.checked_add(files_len.checked_mul(FILE)?)?;
        let path_at = BLOCK.checked_add(records)?;
        let path = (path_at, path_at.checked_add(path_len)?);
        data.get(path.0..path.1)?;
        let generation = (flags & NAMES_KNOWN != 0).then_some(generation);
        let parts = Self { root, generation, names_len, files_len, path };
        (parts.names_are_right(data) && parts.files_are_right(data)).then_some(parts)
    }

    /// For every name the hash of its stem.
    fn stems<'a>(&self, data: &'a [u8]) -> &'a [[u8; STEM]] {
        records(data, BLOCK, self.names_len)
    }

    fn names<'a>(&self, data: &'a [u8]) -> &'a [[u8; NAME]] {
        records(data, BLOCK + STEM * self.names_len, self.names_len)
    }

    fn files<'a>(&self, data: &'a [u8]) -> &'a [[u8; FILE]] {
        records(data, BLOCK + (STEM + NAME) * self.names_len, self.files_len)
    }

    fn names_are_right(&self, data: &[u8]) -> bool {
        let stems = self.stems(data).iter().map(|stem| u64::from_le_bytes(*stem));
        let names = self.names(data).iter().map(|record| name(data, record));
        ascending(stems.zip(names).map(|(stem, name)| Some((stem, name?.0))))
    }

    fn files_are_right(&self, data: &[u8]) -> bool {
        ascending(self.files(data).iter().map(|record| Some(file(data, record)?.0)))
    }
}

/// `count` records from `at` on, which have been seen to be there.
fn records<const N: usize>(data: &[u8], at: usize, count: usize) -> &[[u8; N]] {
    data.get(at..at + N * count).map_or(&[], |records| records.as_chunks().0)
}

/// Whether all are there, and each is more than the one before.
fn ascending<T: PartialOrd + Copy>(mut all: impl Iterator<Item = Option<T>>) -> bool {
    let mut before = None;
    all.all(|this| {
        let more = this.is_some() && before < this;
        before = this;
        more
    })
}

fn name<'a>(data: &'a [u8], record: &[u8; NAME]) -> Option<(&'a [u8], Kind)> {
    let mut fields = Fields(record);
    Some((take_name(&mut fields, data)?, kind(fields.u8()?)?))
}

fn file<'a>(data: &'a [u8], record: &[u8; FILE]) -> Option<(&'a [u8], Stored)> {
    let mut fields = Fields(record);
    let name = take_name(&mut fields, data)?;
    fields.u16()?;
    Some((name, Stored::take(&mut fields)?))
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
        // A directory whose names are not sealed is looked at, or what comes into it would never be seen.
        let sealed = sealed(parts.root) && parts.generation.is_some();
        Some(Self { sealed, data, parts, path, used_day })
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
        let files = self.parts.files(&self.data);
        let order =
            |record: &_| file(&self.data, record).map(|(name, _)| name).cmp(&Some(source_name));
        let found = files.binary_search_by(order).ok()?;
        Some(file(&self.data, &files[found])?.1)
    }

    /// Every source file with the bytecode that is stored for it, ascending by name.
    pub fn files(&self) -> impl Iterator<Item = (&[u8], Stored)> {
        self.parts.files(&self.data).iter().filter_map(|record| file(&self.data, record))
    }

    /// When a process last used this block that wrote to the table: days since the epoch.
    #[must_use]
    pub fn used_day(&self) -> u32 {
        self.used_day
    }

    /// Whether this is to be trusted without a look at the filesystem: it lies below a sealed root, and its names are known. Then device, inode and `ctime` are zero everywhere,
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
        self.parts.names_len
    }

    /// How many files there are.
    #[must_use]
    pub fn files_len(&self) -> usize {
        self.parts.files_len
    }

    /// Whether there is a name with this hash of its stem.
    pub(in crate::table) fn has_stem(&self, stem: u64) -> bool {
        let stems = self.parts.stems(&self.data);
        stems.binary_search_by_key(&stem, |stem| u64::from_le_bytes(*stem)).is_ok()
    }

    /// The hash of every name's stem, once.
    pub(in crate::table) fn stems(&self) -> impl Iterator<Item = u64> {
        let stems = self.parts.stems(&self.data);
        stems.chunk_by(|a, b| a == b).map(|same| u64::from_le_bytes(same[0]))
    }

    /// Every name.
    pub(in crate::table) fn listed(&self) -> impl Iterator<Item = (&[u8], Kind)> {
        self.parts.names(&self.data).iter().filter_map(|record| name(&self.data, record))
    }

    /// What the listing said of this name, which has this stem.
    pub(in crate::table) fn kind(&self, stem: u64, wanted: &[u8]) -> Option<Kind> {
        let stems = self.parts.stems(&self.data);
        let from = stems.partition_point(|this| u64::from_le_bytes(*this) < stem);
        let same = stems.get(from..)?.partition_point(|this| u64::from_le_bytes(*this) == stem);
        let names = self.parts.names(&self.data).get(from..from + same)?;
        let order = |record: &_| name(&self.data, record).map(|(name, _)| name).cmp(&Some(wanted));
        let found = names.binary_search_by(order).ok()?;
        Some(name(&self.data, &names[found])?.1)
    }
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
