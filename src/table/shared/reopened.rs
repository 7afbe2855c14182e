//! A file that is opened anew for every piece: how bytes are had where a mapping cannot be copied out of.
//!
//! Four system calls a piece, and no descriptor in between. It gives nothing once the file is another one, or another version.

use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

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
    /// The same as every other view's: of the open file nothing is needed here.
    pub(super) fn new(_file: &File, path: &Path, version: Version) -> Self {
        Self { path: path.into(), version }
    }

    /// A private copy of these bytes of the file's length, if they are still there.
    pub(super) fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        let file = open_itself(&self.path).ok()?;
        if Version::of(&file.metadata().ok()?) != self.version {
            return None;
        }
        let mut piece = Vec::new();
        piece.try_reserve_exact(len).ok()?;
        piece.resize(len, 0);
        file.read_exact_at(&mut piece, at).ok()?;
        Some(piece.into_boxed_slice())
    }
}
