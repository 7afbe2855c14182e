//! The table in LMDB: one record a directory, one a name, one a module.
//!
//! A key holds 511 bytes at most and a path 4096, so a directory is known by a hash of its path; the
//! path itself is in its record.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn, WithoutTls};
use xxhash_rust::xxh3::xxh3_128;

use crate::facts::{Directory, Generation, Stamp};
use crate::store::{Store, bytes_of, numbers};

type Records = Database<Bytes, Bytes>;

pub struct Lmdb {
    records: Records,
    /// Holds the environment open too.
    txn: RoTxn<'static, WithoutTls>,
}

fn key(dir: &[u8], sort: u8, name: &[u8]) -> Vec<u8> {
    [&xxh3_128(dir).to_be_bytes()[..], &[sort], name].concat()
}

fn environment(file: &Path, size: usize, flags: EnvFlags) -> heed::Result<Env<WithoutTls>> {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(size.next_multiple_of(4096).max(1 << 20));
    // SAFETY: none can be given. That nobody changes the file meanwhile, or made it up, is exactly
    // what is not known; what follows from that is measured by `hostile`.
    unsafe { options.flags(flags | EnvFlags::NO_SUB_DIR).open(file) }
}

pub fn write(file: &Path, facts: &[Directory]) -> io::Result<()> {
    let mut records = BTreeMap::new();
    for dir in facts {
        let of_dir = [bytes_of(&dir.generation), dir.path.clone()].concat();
        records.insert(key(&dir.path, b'd', b""), of_dir);
        for name in &dir.names {
            records.insert(key(&dir.path, b'n', &name.name), vec![name.kind]);
        }
        for module in &dir.modules {
            let stamps = [bytes_of(&module.source), bytes_of(&module.bytecode)].concat();
            let record = [stamps, module.bytes.clone()].concat();
            records.insert(key(&dir.path, b'm', &module.name), record);
        }
    }
    let _ = std::fs::remove_file(file);
    put(file, &records).map_err(io::Error::other)
}

/// In the order of the keys, so that pages are full.
fn put(file: &Path, records: &BTreeMap<Vec<u8>, Vec<u8>>) -> heed::Result<()> {
    let flags = EnvFlags::NO_SYNC | EnvFlags::NO_LOCK;
    let env = environment(file, 1 << 30, flags)?;
    let mut txn = env.write_txn()?;
    let db: Records = env.create_database(&mut txn, None)?;
    for (key, record) in records {
        db.put_with_flags(&mut txn, PutFlags::APPEND, key, record)?;
    }
    txn.commit()
}

impl Lmdb {
    pub fn open(file: &Path, locked: bool) -> Result<Self, String> {
        let size = std::fs::metadata(file).map_err(|e| e.to_string())?.len() as usize;
        let lock = if locked { EnvFlags::empty() } else { EnvFlags::NO_LOCK };
        Self::begin(file, size, EnvFlags::READ_ONLY | lock).map_err(|e| e.to_string())
    }

    fn begin(file: &Path, size: usize, flags: EnvFlags) -> heed::Result<Self> {
        let env = environment(file, size, flags)?;
        let txn = env.clone().static_read_txn()?;
        let records = env.open_database(&txn, None)?.ok_or(heed::MdbError::NotFound)?;
        Ok(Self { records, txn })
    }

    fn get(&self, dir: &[u8], sort: u8, name: &[u8]) -> Option<&[u8]> {
        self.records.get(&self.txn, &key(dir, sort, name)).ok()?
    }
}

impl Store for Lmdb {
    fn name(&self, dir: &[u8], name: &[u8]) -> Option<(Generation, Option<u8>)> {
        let (generation, path) = self.get(dir, b'd', b"")?.split_at_checked(32)?;
        if path != dir {
            return None;
        }
        // An error is "not known"; no record is "no such name".
        let kind = self.records.get(&self.txn, &key(dir, b'n', name)).ok()?;
        Some((numbers(generation)?, kind.and_then(|k| k.first().copied())))
    }

    fn module(&self, dir: &[u8], name: &[u8]) -> Option<(Stamp, Stamp, Box<[u8]>)> {
        let (stamps, bytes) = self.get(dir, b'm', name)?.split_at_checked(80)?;
        Some((numbers(stamps)?, numbers(&stamps[40..])?, bytes.into()))
    }
}
