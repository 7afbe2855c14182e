//! The portable engine: one call after the other. It is the fallback and the oracle.
//!
//! For `probe/mod.rs` and its siblings. It refuses to be clever: what this file answers is what
//! every other engine has to answer.

use std::io::ErrorKind;
use std::path::Path;

use super::meta;
use crate::fact::Fact;

/// One fact per path, in order.
pub(super) fn stat(paths: &[&Path]) -> Vec<Fact> {
    paths.iter().map(|path| stat_one(path)).collect()
}

/// `stat(2)` of one path.
pub(super) fn stat_one(path: &Path) -> Fact {
    match std::fs::metadata(path) {
        Ok(meta) => Fact::Present(meta::stat(&meta)),
        Err(e) => match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Fact::Absent,
            // An embedded NUL is refused before any call is made.
            ErrorKind::InvalidInput => Fact::Failed(e.raw_os_error().unwrap_or(22)),
            _ => Fact::Failed(e.raw_os_error().unwrap_or(5)),
        },
    }
}
