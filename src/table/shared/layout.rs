//! What a table looks like in a file, byte by byte: stated here once, in constants that the compiler compares.
//!
//! Every number is little-endian and without padding but the zeros named here; a time is nanoseconds since the epoch in
//! sixteen bytes, signed. *Checksum* and *hash* are always XXH3-64 with the default secret. Whoever changes a byte of it
//! counts [`FORMAT`] up: a reader takes tables of its own format only.
//!
//! ```text
//! file      head, contents, blocks, plans, plan index, index, foot
//!
//! head      0 magic 8, 8 format 4, 12 zero 4                    for people and file(1): no reader depends on it
//! contents  the bytes of one bytecode file after another, in the order in which they were first learnt
//! blocks    one directory after another:
//!           0 root 4, 4 length of path 4, 8 flags 4 (1: its names are known), 12 names 4, 16 files 4, 20 zero 4,
//!           24 generation: device 8, inode 8, mtime 16, ctime 16
//!           72 for every name the hash of its stem 8, ascending; names of one stem by their bytes
//!           .. for every name, in the same order: offset 4, length 2, kind 1, zero 1
//!           .. for every file, ascending by name: offset 4, length 2, zero 2, stamp of the source, stamp of its bytecode,
//!              place in contents 8, length 8, checksum 8
//!           .. path, without the root and the slash behind it
//!           .. the bytes of names, where the offsets (from the beginning of the block) say
//! stamp     0 device 8, 8 inode 8, 16 size 8, 24 mtime 16, 40 ctime 16
//! plans     one program after another: 0 length of program 4, 4 paths 4, program,
//!           then for every path root 4, length 4, bytes
//! index     for every block, ascending by hash: 0 hash 8 of root and path, 8 offset in blocks 8, 16 checksum 8,
//!           24 length 4, 28 day of last use 4 (days since the epoch)
//! plan index  for every plan, the same: the hash is that of the program, the offset in plans
//! foot      key, then for every section: kind 4, zero 4, build 8, offset in file 8, length 8, checksum 8
//!           and at the very end of the file: 0 length of the file 8, 8 sealed roots 8 (bit n: root n), 16 flags 4
//!           (1: sealed), 20 length of key 4, 24 sections 4, 28 zero 4, 32 checksum 8 of the foot so far, 40 format 4,
//!           44 zero 4, 48 magic 8
//! key       0 format 4, 4 word size 1, 5 byte order 1 (`l` or `b`), 6 zero 2, 8 magic number of bytecode 4,
//!           12 optimization 4, 16 length of cache tag 4, 20 length of environment 4, cache tag, environment
//! ```
//!
//! The foot comes last because only then is it known what became of the old table's pieces, which are copied one by one and
//! dropped where they are damaged. A section with a checksum of zero has pieces that bring their own. Sections of unknown
//! kind are skipped, and so are those with a build other than zero: what is valid for one exact build of an
//! interpreter only has its room there. Root 0 is the absolute path.

/// What a table begins and ends with.
pub(super) const MAGIC: [u8; 8] = *b"fastpath";
/// The number of this layout.
pub(super) const FORMAT: u32 = 1;

pub(super) const HEAD: usize = 8 + 4 + 4;
pub(super) const SECTION: usize = 4 + 4 + 8 + 8 + 8 + 8;
pub(super) const FOOT_END: usize = 8 + 8 + 4 + 4 + 4 + 4 + 8 + 4 + 4 + 8;
/// What stands behind the foot's checksum.
pub(super) const AFTER_CHECKSUM: usize = 4 + 4 + 8;
pub(super) const KEY: usize = 4 + 1 + 1 + 2 + 4 + 4 + 4 + 4;
pub(super) const ENTRY: usize = 8 + 8 + 8 + 4 + 4;
pub(super) const GENERATION: usize = 8 + 8 + 16 + 16;
pub(super) const STAMP: usize = 8 + 8 + 8 + 16 + 16;
pub(super) const BLOCK: usize = 6 * 4 + GENERATION;
pub(super) const STEM: usize = 8;
pub(super) const NAME: usize = 4 + 2 + 1 + 1;
pub(super) const FILE: usize = 4 + 2 + 2 + 2 * STAMP + 3 * 8;
pub(super) const PLAN: usize = 4 + 4;
pub(super) const PLAN_PATH: usize = 4 + 4;

const _: () = assert!(HEAD == 16 && SECTION == 40 && FOOT_END == 56 && KEY == 24 && ENTRY == 32);
const _: () = assert!(BLOCK == 72 && STEM + NAME == 16 && STAMP == 56 && FILE == 144);
const _: () =
    assert!(KEY + MAX_KEY + 16 * SECTION + FOOT_END <= TAIL, "one read must have the foot");
const _: () = assert!(
    (MAX_TABLE / FILE as u64).checked_mul(MAX_CONTENT as u64).is_some(),
    "the lengths of all files can be added up"
);
const _: () = assert!(MAX_PIECE as u64 <= u32::MAX as u64 && MAX_NAME <= u16::MAX as usize);

/// A flag of the foot: made by `seal`.
pub(super) const SEALED: u32 = 1;
/// A flag of a block: its names are known.
pub(super) const NAMES_KNOWN: u32 = 1;

/// Kinds of sections.
pub(super) const CONTENTS: u32 = 1;
pub(super) const BLOCKS: u32 = 2;
pub(super) const PLANS: u32 = 3;
pub(super) const INDEX: u32 = 4;
pub(super) const PLAN_INDEX: u32 = 5;

/// How much of the end of a table is read at once: the foot, and the index of a few hundred directories.
pub(super) const TAIL: usize = 16 << 10;
/// The longest cache tag and environment together.
pub(super) const MAX_KEY: usize = 8 << 10;
/// The longest block or plan. Names may take half of a block: 200,000 of them, more than anybody lists for an import.
pub(super) const MAX_PIECE: usize = 16 << 20;
/// The longest file of bytecode.
pub(super) const MAX_CONTENT: usize = 256 << 20;
/// The longest index: two million directories.
pub(super) const MAX_INDEX: usize = 64 << 20;
/// The longest table. A file with holes can claim any length, and lengths are added up.
pub(super) const MAX_TABLE: u64 = 1 << 36;
/// The longest name of a file.
pub(super) const MAX_NAME: usize = u16::MAX as usize;
/// The most roots a table can have, root 0 aside: each is a bit.
pub(super) const MAX_ROOTS: usize = 63;
/// The most plans in a table.
pub(super) const MAX_PLANS: usize = 64;
/// The most paths in a plan.
pub(super) const MAX_PLAN_PATHS: usize = 8192;
/// The most entries with one hash that are looked at.
pub(super) const MAX_COLLISIONS: usize = 8;
/// The longest name of a program.
pub(super) const MAX_PROGRAM: usize = 4096;

/// The checksum and hash of this format.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Bytes taken from the front, field by field. None where they end too soon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    /// From this place on.
    pub(super) fn at(bytes: &'a [u8], at: usize) -> Option<Self> {
        bytes.get(at..).map(Self)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of bytes or of records.
    pub(super) fn size(&mut self) -> Option<usize> {
        self.u32().and_then(|n| usize::try_from(n).ok())
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn i128(&mut self) -> Option<i128> {
        self.array().map(i128::from_le_bytes)
    }

    pub(super) fn magic(&mut self) -> Option<[u8; 8]> {
        self.array()
    }

    pub(super) fn four(&mut self) -> Option<[u8; 4]> {
        self.array()
    }
}

/// Bytes put behind one another, field by field.
#[derive(Debug, Default)]
pub(super) struct Made(pub(super) Vec<u8>);

impl Made {
    pub(super) fn with_room(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn u8(&mut self, n: u8) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    pub(super) fn u16(&mut self, n: u16) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    pub(super) fn u32(&mut self, n: u32) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    /// A number of bytes or of records, which whoever writes has bounded.
    pub(super) fn size(&mut self, n: usize) -> &mut Self {
        self.u32(u32::try_from(n).unwrap_or(u32::MAX))
    }

    pub(super) fn u64(&mut self, n: u64) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }

    pub(super) fn i128(&mut self, n: i128) -> &mut Self {
        self.bytes(&n.to_le_bytes())
    }
}
