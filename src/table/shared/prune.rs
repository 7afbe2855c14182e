//! A table made of an old one by leaving things out: what is of no use any more.
//!
//! It asks nothing of the filesystem: whoever calls it says what may stay.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Shared;
use super::draft::Drafts;
use super::plans::Plans;
use super::write::{self, Outline};

/// What is left out of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Directories, with all that is known of them.
    pub dirs: Vec<PathBuf>,
    /// Files of bytecode in these.
    pub files: usize,
    /// How many directories, files and plans that cannot be read.
    pub damaged: usize,
}

impl Pruned {
    /// Whether everything stays.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dirs.is_empty() && self.damaged == 0
    }
}

/// Writes `old` without the directories of which `keeps` says no, and without what is damaged, to `out`; with none, it
/// only tells what would be left out. `keeps` is given the day of last use, which may be a month late (days since the
/// epoch), and the path. Plans stay: they are few. Nothing is written where nothing is left out. Equal input gives
/// equal output.
///
/// # Errors
/// What `out` says; `InvalidInput` for a sealed table, which is as it was made.
pub fn prune(
    old: &Shared,
    keeps: &dyn Fn(u32, &Path) -> bool,
    out: Option<&mut dyn Write>,
) -> io::Result<Pruned> {
    if old.is_sealed() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut drafts = Drafts::of(old, u32::MAX, old.size());
    let mut pruned = Pruned { damaged: old.damaged().len(), ..Pruned::default() };
    drafts.all.retain(|draft| {
        let stays = keeps(draft.used_day, &draft.path);
        if !stays {
            pruned.dirs.push(draft.path.clone());
            pruned.files += draft.files.len();
        }
        stays
    });
    if let (false, Some(out)) = (pruned.is_empty(), out) {
        drafts.bound(u64::MAX);
        let outline = Outline::new(old.key(), &[], false)?;
        write::table(&outline, Some(old), drafts.all, &Plans::of(old, u32::MAX), out)?;
    }
    Ok(pruned)
}
