//! In which order new contents are laid out: that in which the program touched them, so that reading it all from a cold disk
//! runs on and on.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashMap;

use super::root;

/// The places of sources in a plan; what is not in it comes behind, as it is told.
#[derive(Debug, Default)]
pub(super) struct Turns {
    planned: FxHashMap<Vec<u8>, usize>,
    next: usize,
}

impl Turns {
    pub(super) fn of(plan: &[PathBuf]) -> Self {
        let planned =
            plan.iter().enumerate().map(|(turn, path)| (root::bytes(path).to_vec(), turn));
        Self { planned: planned.collect(), next: plan.len() }
    }

    /// The turn of the file of this name in `dir`.
    pub(super) fn next(&mut self, dir: &Path, name: &[u8]) -> usize {
        self.next += 1;
        let path = [root::bytes(dir), b"/", name].concat();
        self.planned.get(&path).copied().unwrap_or(self.next)
    }
}
