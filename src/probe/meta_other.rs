//! From the standard library's metadata to a [`Stat`], where there is no `stat(2)`; and opening what
//! is to be read.
//!
//! What the platform does not say is zero: it then tells no two files apart.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::fact::{Fact, Stat};

/// The metadata of a path, links followed.
pub(super) fn tell(path: &Path, fact: &mut Fact) {
    *fact = match std::fs::metadata(path) {
        Ok(meta) => Fact::Present(convert(&meta)),
        Err(e) => match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Fact::Absent,
            // An embedded NUL is refused before any call is made.
            ErrorKind::InvalidInput => Fact::Failed(e.raw_os_error().unwrap_or(22)),
            _ => Fact::Failed(e.raw_os_error().unwrap_or(5)),
        },
    };
}

/// The metadata of an open file.
///
/// # Errors
/// What the call said.
pub(super) fn of_file(file: &File) -> io::Result<Stat> {
    Ok(convert(&file.metadata()?))
}

/// Opens for reading. There is nothing in a directory that would block.
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Type, size and times; the rest is zero.
fn convert(meta: &Metadata) -> Stat {
    let ns = |t: io::Result<SystemTime>| {
        t.ok().and_then(|t| t.duration_since(UNIX_EPOCH).ok()).map_or(0, |d| d.as_nanos() as i128)
    };
    Stat {
        mode: if meta.is_dir() { 0o040_555 } else { 0o100_444 },
        ino: 0,
        dev: 0,
        nlink: 1,
        uid: 0,
        gid: 0,
        size: meta.len(),
        atime_ns: ns(meta.accessed()),
        mtime_ns: ns(meta.modified()),
        ctime_ns: ns(meta.created()),
    }
}
