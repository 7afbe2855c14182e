//! The portable engine: one call after the other. It is the fallback and the oracle.
//!
//! For `probe/mod.rs` and its siblings. It refuses to be clever: what this file answers is what
//! every other engine has to answer.

use std::path::Path;

use super::meta;
use crate::fact::Fact;

/// One fact per path, in order.
pub(super) fn stat(paths: &[&Path]) -> Vec<Fact> {
    paths.iter().map(|path| meta::fact(path)).collect()
}

/// `stat(2)` of one path.
pub(super) fn stat_one(path: &Path) -> Fact {
    meta::fact(path)
}
