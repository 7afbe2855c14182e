//! What is asked of every container, and which containers there are.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::facts::{Directory, Generation, Stamp};
use crate::flat::{Access, Flat};
use crate::mapped::Mapped;
use crate::{archive, flat, lmdb};

/// A container that was opened. `None` is "not known", which is always safe to say; a name that is
/// said to be absent is a fact.
pub trait Store {
    /// The directory's generation, and the name's kind, or none where it has no such name.
    fn name(&self, dir: &[u8], name: &[u8]) -> Option<(Generation, Option<u8>)>;
    /// Stamps of source and bytecode, and a private copy of the bytecode.
    fn module(&self, dir: &[u8], name: &[u8]) -> Option<(Stamp, Stamp, Box<[u8]>)>;
}

/// The containers, by the names the command line gives them.
pub const KINDS: [&str; 7] =
    ["lmdb", "lmdb-locked", "rkyv", "rkyv-unchecked", "flat-in-place", "flat-copied", "flat-read"];

/// The file that a kind is kept in, inside the folder that was written.
pub fn file_of(kind: &str) -> &str {
    kind.split('-').next().unwrap_or(kind)
}

/// Writes all three files into `folder`.
pub fn write(folder: &Path, facts: &Vec<Directory>) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    lmdb::write(&folder.join("lmdb"), facts)?;
    archive::write(&folder.join("rkyv"), facts)?;
    flat::write(&folder.join("flat"), facts)
}

/// Opens the file as this kind of container; the error is a sentence.
pub fn open(kind: &str, file: &Path) -> Result<Box<dyn Store>, String> {
    let mapped = || Mapped::open(file).map_err(|e| e.to_string());
    Ok(match kind {
        "lmdb" => Box::new(lmdb::Lmdb::open(file, false)?),
        "lmdb-locked" => Box::new(lmdb::Lmdb::open(file, true)?),
        "rkyv" => Box::new(archive::Rkyv::open(file, true)?),
        "rkyv-unchecked" => Box::new(archive::Rkyv::open(file, false)?),
        "flat-in-place" => Box::new(Flat::open(Access::InPlace(mapped()?))?),
        "flat-copied" => Box::new(Flat::open(Access::Copied(mapped()?))?),
        "flat-read" => {
            let file = File::open(file).map_err(|e| e.to_string())?;
            Box::new(Flat::open(Access::Read(file))?)
        }
        other => return Err(format!("no container is called {other}")),
    })
}

/// Little-endian numbers in order.
pub fn numbers<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    let (numbers, _) = bytes.as_chunks::<8>();
    let numbers: &[[u8; 8]; N] = numbers.get(..N)?.try_into().ok()?;
    Some(numbers.map(u64::from_le_bytes))
}

/// The same numbers as bytes.
pub fn bytes_of(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}
