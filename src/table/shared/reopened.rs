//! A file that is opened anew for every piece.
//!
//! Four system calls a piece, and no descriptor in between. It gives nothing once the file is another one, or another version.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::buffer::spare_capacity;
use rustix::io::pread;

use super::file::open_itself;

/// Which file it is, and in which state. The inode's number alone would not do: that of a file which was replaced, and
/// which nobody holds open, is free for the one after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version {
    dev: u64,
    ino: u64,
    mtime: (i64, i64),
    /// Its size in bytes.
    pub(super) len: u64,
}

impl Version {
    pub(super) fn of(meta: &Metadata) -> Self {
        let mtime = (meta.mtime(), meta.mtime_nsec());
        Self { dev: meta.dev(), ino: meta.ino(), mtime, len: meta.len() }
    }
}

/// The file at a path, as long as it is there in one version.
#[derive(Debug)]
pub(super) struct Reopened {
    path: PathBuf,
    version: Version,
}

impl Reopened {
    /// The file of this path, as long as it is of this version.
    pub(super) fn new(path: &Path, version: Version) -> Self {
        Self { path: path.into(), version }
    }

    /// Fills `into` with these bytes; false, with anything in it, if they are not there.
    pub(super) fn read(&self, at: u64, len: usize, into: &mut Vec<u8>) -> bool {
        self.try_read(at, len, into).is_some()
    }

    fn try_read(&self, at: u64, len: usize, into: &mut Vec<u8>) -> Option<()> {
        let file = open_itself(&self.path).ok()?;
        if Version::of(&file.metadata().ok()?) != self.version {
            return None;
        }
        if into.capacity() < len {
            // What is in it is not to be moved along.
            *into = Vec::new();
        }
        into.clear();
        into.try_reserve_exact(len).ok()?;
        while into.len() < len {
            let next = at + into.len() as u64;
            if pread(&file, spare_capacity(into), next).ok()? == 0 {
                return None;
            }
        }
        // There may have been room for more than was asked for.
        into.truncate(len);
        Some(())
    }
}
