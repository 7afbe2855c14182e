//! The table as one rkyv archive in a mapped file: the facts themselves, laid out by derive.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;
use rkyv::rancor::Error;
use rkyv::vec::ArchivedVec;

use crate::facts::{ArchivedDirectory, Directory, Generation, Stamp};
use crate::store::Store;

type Root = ArchivedVec<ArchivedDirectory>;

pub struct Rkyv {
    map: Mmap,
}

pub fn write(file: &Path, facts: &Vec<Directory>) -> io::Result<()> {
    let bytes = rkyv::to_bytes::<Error>(facts).map_err(io::Error::other)?;
    std::fs::write(file, bytes)
}

impl Rkyv {
    pub fn open(file: &Path, checked: bool) -> Result<Self, String> {
        let file = File::open(file).map_err(|e| e.to_string())?;
        // SAFETY: none can be given; see `hostile`.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| e.to_string())?;
        if checked {
            rkyv::access::<Root, Error>(&map).map_err(|e| e.to_string())?;
        }
        Ok(Self { map })
    }

    fn directory(&self, dir: &[u8]) -> Option<&ArchivedDirectory> {
        // SAFETY: none can be given, even where it was checked once: the file may change.
        let root = unsafe { rkyv::access_unchecked::<Root>(&self.map) };
        let found = root.binary_search_by(|d| d.path.as_slice().cmp(dir)).ok()?;
        Some(&root[found])
    }
}

impl Store for Rkyv {
    fn name(&self, dir: &[u8], name: &[u8]) -> Option<(Generation, Option<u8>)> {
        let dir = self.directory(dir)?;
        let found = dir.names.binary_search_by(|n| n.name.as_slice().cmp(name));
        let kind = found.ok().map(|at| dir.names[at].kind);
        Some((dir.generation.map(u64::from), kind))
    }

    fn module(&self, dir: &[u8], name: &[u8]) -> Option<(Stamp, Stamp, Box<[u8]>)> {
        let modules = &self.directory(dir)?.modules;
        let module = &modules[modules.binary_search_by(|m| m.name.as_slice().cmp(name)).ok()?];
        let stamps = (module.source.map(u64::from), module.bytecode.map(u64::from));
        Some((stamps.0, stamps.1, module.bytes.as_slice().into()))
    }
}
