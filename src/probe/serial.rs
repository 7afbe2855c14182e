//! The portable engine: one call after the other. It is the fallback and the oracle.
//!
//! For `probe/mod.rs` and its siblings. It refuses to be clever: what this file answers is what
//! every other engine has to answer.

use std::path::Path;

use super::meta;
use crate::fact::Fact;

/// One fact per path, in order.
pub(super) fn stat(paths: &[&Path]) -> Vec<Fact> {
    let mut facts = Vec::with_capacity(paths.len());
    facts.resize_with(paths.len(), || Fact::Absent);
    for (path, fact) in paths.iter().zip(&mut facts) {
        tell(path, fact);
    }
    facts
}

/// `stat(2)` of one path.
pub(super) fn stat_one(path: &Path) -> Fact {
    let mut fact = Fact::Absent;
    tell(path, &mut fact);
    fact
}

/// The same, written where it is to stay.
#[inline]
pub(super) fn tell(path: &Path, fact: &mut Fact) {
    meta::tell(path, fact);
}
