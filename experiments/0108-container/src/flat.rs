//! The table as a file laid by hand: a header, a sorted directory index, one checksummed block for
//! each directory, and the contents, each with its checksum in the block.
//!
//! All numbers are little-endian u64. An index or block is a row count or two, rows of one width, then
//! the bytes of the names; a reader needs nothing but slices that know their ends.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::path::Path;

use xxhash_rust::xxh3::xxh3_64;

use crate::facts::{Directory, Generation, Stamp};
use crate::mapped::{Mapped, pread};
use crate::store::{Store, bytes_of, numbers};

const MAGIC: u64 = u64::from_le_bytes(*b"facts\r\n\x01");
/// Magic, length of the file, place, length and checksum of the index, checksum of these five.
const HEADER: usize = 6 * 8;
/// Of a directory: place and length of its path in the index; place, length, checksum of its block.
const DIR_ROW: usize = 5;
/// Of a name: its place and length in the block, its kind.
const NAME_ROW: usize = 3;
/// Of a module: its name's place and length, two stamps, place, length and checksum of its bytes.
const MODULE_ROW: usize = 15;
/// Generation, number of names, number of modules.
const BLOCK_HEAD: usize = 6;

/// How bytes get out of the file.
pub enum Access {
    /// Through the mapping.
    InPlace(Mapped),
    /// Copied out of the mapping by the kernel.
    Copied(Mapped),
    /// Read from a descriptor that stays open.
    Read(File),
}

pub struct Flat {
    file: Access,
    length: usize,
    index: Vec<u8>,
}

impl Access {
    fn len(&self) -> io::Result<usize> {
        match self {
            Access::InPlace(map) | Access::Copied(map) => Ok(map.len()),
            Access::Read(file) => Ok(file.metadata()?.len() as usize),
        }
    }
}

/// Rows and the names they point to, with `head` numbers before them.
fn block(head: &[u64], rows: Vec<(&[u8], Vec<u64>)>) -> Vec<u8> {
    let width: usize = rows.iter().map(|(_, rest)| 2 + rest.len()).sum();
    let names_at = 8 * (head.len() + width);
    let (mut out, mut names) = (bytes_of(head), Vec::new());
    for (name, rest) in rows {
        out.extend(bytes_of(&[(names_at + names.len()) as u64, name.len() as u64]));
        out.extend(bytes_of(&rest));
        names.extend_from_slice(name);
    }
    out.extend(names);
    out
}

pub fn write(file: &Path, facts: &[Directory]) -> io::Result<()> {
    let (mut out, mut dirs) = (vec![0; HEADER], Vec::new());
    for dir in facts {
        let mut rows: Vec<(&[u8], Vec<u64>)> =
            dir.names.iter().map(|n| (&n.name[..], vec![n.kind.into()])).collect();
        for module in &dir.modules {
            let place = [out.len() as u64, module.bytes.len() as u64, xxh3_64(&module.bytes)];
            let row = [&module.source[..], &module.bytecode, &place].concat();
            rows.push((&module.name, row));
            out.extend_from_slice(&module.bytes);
        }
        let counts = [dir.names.len() as u64, dir.modules.len() as u64];
        let bytes = block(&[&dir.generation[..], &counts].concat(), rows);
        let place = [out.len() as u64, bytes.len() as u64, xxh3_64(&bytes)];
        dirs.push((&dir.path[..], place.to_vec()));
        out.extend(bytes);
    }
    let index = block(&[dirs.len() as u64], dirs);
    let length = (out.len() + index.len()) as u64;
    let header = bytes_of(&[MAGIC, length, out.len() as u64, index.len() as u64, xxh3_64(&index)]);
    out.extend(index);
    out[..40].copy_from_slice(&header);
    out[40..HEADER].copy_from_slice(&xxh3_64(&header).to_le_bytes());
    std::fs::write(file, out)
}

/// The numbers of the row with this name, among `count` sorted rows of `N` numbers at `at`.
fn find<const N: usize>(block: &[u8], at: usize, count: u64, name: &[u8]) -> Option<[u64; N]> {
    let rows = block.get(at..at.checked_add(usize::try_from(count).ok()?.checked_mul(8 * N)?)?)?;
    let (mut low, mut high) = (0, count as usize);
    while low < high {
        let middle = low.midpoint(high);
        let row: [u64; N] = numbers(&rows[8 * N * middle..])?;
        let end = row[0].checked_add(row[1])?;
        match block.get(row[0] as usize..end as usize)?.cmp(name) {
            std::cmp::Ordering::Less => low = middle + 1,
            std::cmp::Ordering::Greater => high = middle,
            std::cmp::Ordering::Equal => return Some(row),
        }
    }
    None
}

impl Flat {
    pub fn open(file: Access) -> Result<Self, String> {
        let length_now = file.len().map_err(|e| e.to_string())?;
        let mut flat = Self { file, length: length_now, index: Vec::new() };
        let header = flat.piece(0, HEADER).ok_or("no header")?;
        let [magic, length, at, size, sum, own] = numbers(&header).ok_or("no header")?;
        if magic != MAGIC || xxh3_64(&header[..40]) != own || length != length_now as u64 {
            return Err("not a table, or damaged".into());
        }
        flat.index = flat.sound(at, size, sum).ok_or("the index is damaged")?.into_owned();
        Ok(flat)
    }

    fn piece(&self, at: usize, len: usize) -> Option<Cow<'_, [u8]>> {
        // Room for a piece is never more than the file is long.
        at.checked_add(len).filter(|&end| end <= self.length)?;
        match &self.file {
            Access::InPlace(map) => map.in_place(at, len).map(Cow::Borrowed),
            Access::Copied(map) => map.copied(at, len).ok().map(Cow::Owned),
            Access::Read(file) => pread(file, at, len).ok().map(Cow::Owned),
        }
    }

    /// A piece whose checksum is right.
    fn sound(&self, at: u64, len: u64, sum: u64) -> Option<Cow<'_, [u8]>> {
        self.piece(at as usize, len as usize).filter(|bytes| xxh3_64(bytes) == sum)
    }

    /// A directory's block, to look several names up in.
    pub fn block(&self, dir: &[u8]) -> Option<Cow<'_, [u8]>> {
        let [count] = numbers(&self.index)?;
        let [_, _, at, len, sum] = find::<DIR_ROW>(&self.index, 8, count, dir)?;
        self.sound(at, len, sum)
    }

    /// A name in such a block.
    pub fn name_in(block: &[u8], name: &[u8]) -> Option<(Generation, Option<u8>)> {
        let [generation @ .., names, _]: [u64; BLOCK_HEAD] = numbers(block)?;
        let found = find::<NAME_ROW>(block, 8 * BLOCK_HEAD, names, name);
        Some((generation, found.map(|row| row[2] as u8)))
    }

    fn row(&self, dir: &[u8], name: &[u8]) -> Option<[u64; MODULE_ROW]> {
        let block = self.block(dir)?;
        let [.., names, modules]: [u64; BLOCK_HEAD] = numbers(&block)?;
        let before = NAME_ROW.checked_mul(usize::try_from(names).ok()?)?;
        find(&block, 8 * (BLOCK_HEAD + before), modules, name)
    }

    /// Where a module's bytes lie in the file, their length, their checksum.
    pub fn place(&self, dir: &[u8], name: &[u8]) -> Option<[u64; 3]> {
        let [.., at, len, sum] = self.row(dir, name)?;
        Some([at, len, sum])
    }
}

impl Store for Flat {
    fn name(&self, dir: &[u8], name: &[u8]) -> Option<(Generation, Option<u8>)> {
        Self::name_in(&self.block(dir)?, name)
    }

    fn module(&self, dir: &[u8], name: &[u8]) -> Option<(Stamp, Stamp, Box<[u8]>)> {
        let row = self.row(dir, name)?;
        let bytes = self.sound(row[12], row[13], row[14])?;
        let stamps = bytes_of(&row[2..12]);
        Some((numbers(&stamps)?, numbers(&stamps[40..])?, bytes.into_owned().into()))
    }
}
