//! The portable engine: one call after the other. It is the fallback and the oracle.

use std::io::ErrorKind;
use std::path::Path;

use crate::fact::{Fact, Stat};

/// One fact per path, in order.
pub(super) fn stat(paths: &[&Path]) -> Vec<Fact> {
    paths.iter().map(|path| stat_one(path)).collect()
}

/// `stat(2)` of one path.
pub(super) fn stat_one(path: &Path) -> Fact {
    match std::fs::metadata(path) {
        Ok(meta) => Fact::Present(from_metadata(&meta)),
        Err(e) => match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Fact::Absent,
            // An embedded NUL is refused before any call is made.
            ErrorKind::InvalidInput => Fact::Failed(e.raw_os_error().unwrap_or(22)),
            _ => Fact::Failed(e.raw_os_error().unwrap_or(5)),
        },
    }
}

#[cfg(unix)]
fn from_metadata(meta: &std::fs::Metadata) -> Stat {
    use std::os::unix::fs::MetadataExt;
    let ns = |s: i64, n: i64| i128::from(s) * 1_000_000_000 + i128::from(n);
    Stat {
        mode: meta.mode(),
        ino: meta.ino(),
        dev: meta.dev(),
        nlink: meta.nlink(),
        uid: meta.uid(),
        gid: meta.gid(),
        size: meta.len(),
        atime_ns: ns(meta.atime(), meta.atime_nsec()),
        mtime_ns: ns(meta.mtime(), meta.mtime_nsec()),
        ctime_ns: ns(meta.ctime(), meta.ctime_nsec()),
    }
}

#[cfg(not(unix))]
fn from_metadata(meta: &std::fs::Metadata) -> Stat {
    let ns = |t: std::io::Result<std::time::SystemTime>| {
        t.ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(0, |d| d.as_nanos() as i128)
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
