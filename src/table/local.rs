//! The local tier: every directory this process has looked at, and the answers it has given.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;
use rustc_hash::FxBuildHasher;

use super::NameSet;
use super::shared::Block;
use crate::fact::{Generation, Stat};

/// Answers kept at most; a program that asks for endless new names starts over.
const MAX_ANSWERS: usize = 1 << 16;

/// The names of a directory, as far as they are known.
#[derive(Clone, Debug, Default)]
pub enum Names {
    /// Not looked at yet, or it could not be read for a reason that may pass.
    #[default]
    Unread,
    /// All of them.
    Listed(Arc<NameSet>),
    /// About this many: too many to list for one answer, so candidates are asked one by one.
    Large(usize),
    /// There is such a directory, but we may not read it: stock sees it as empty.
    Unreadable,
    /// Not there, or no directory.
    Gone,
}

impl Names {
    /// How many are known.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Listed(names) => names.len(),
            _ => 0,
        }
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is known of a directory at one moment.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Its names.
    pub names: Names,
    /// The generation they belong to; none where it was racy, or there is nothing to date.
    pub generation: Option<Generation>,
    /// What it was identified by, until its names are read.
    pub seen: Option<Stat>,
    /// The pass in which this was last compared with the filesystem.
    pub pass: u64,
    /// The value of [`Table::trust`] when the names were read: an older one means "read again".
    pub trust: u64,
    /// Lookups that were answered by asking for candidates one by one.
    pub probed: u32,
    /// Whether the filesystem was slow to answer.
    pub slow: bool,
    /// Whether it was listed ahead of any lookup: the first that makes use of that tells it.
    pub untold: bool,
    /// What the shared tier has of it, and the number of the table; none at all until that was asked.
    pub block: Option<Option<(usize, Arc<Block>)>>,
}

/// A directory that was looked at.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    state: Mutex<State>,
}

impl Directory {
    /// Where it is, absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of it. The lock is for a look or a change of fields, never for I/O.
    pub fn state(&self) -> MutexGuard<'_, State> {
        // The fields are valid one by one, whatever a panicking thread left undone.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Facts by directory and answers by path and name.
///
/// `A` is the answer's type, which only the index knows.
#[derive(Debug)]
pub struct Table<A> {
    dirs: DashMap<PathBuf, Arc<Directory>, FxBuildHasher>,
    answers: DashMap<Box<[u8]>, (u64, A), FxBuildHasher>,
    trust: AtomicU64,
    epoch: AtomicU64,
}

impl<A: Clone> Default for Table<A> {
    fn default() -> Self {
        Self::new()
    }
}

impl<A: Clone> Table<A> {
    /// An empty table. Few shards: they cost start-up time, and importers rarely contend.
    #[must_use]
    pub fn new() -> Self {
        Self {
            dirs: DashMap::with_capacity_and_hasher_and_shard_amount(0, FxBuildHasher, 4),
            answers: DashMap::with_capacity_and_hasher_and_shard_amount(0, FxBuildHasher, 4),
            trust: AtomicU64::new(1),
            epoch: AtomicU64::new(1),
        }
    }

    /// The one record of this directory.
    #[must_use]
    pub fn directory(&self, path: &Path) -> Arc<Directory> {
        if let Some(known) = self.dirs.get(path) {
            return Arc::clone(&known);
        }
        let fresh = || Arc::new(Directory { path: path.to_owned(), state: Mutex::default() });
        Arc::clone(&self.dirs.entry(path.to_owned()).or_insert_with(fresh))
    }

    /// Calls `look` with every record there is. It must not ask this table anything.
    pub fn each_directory(&self, mut look: impl FnMut(&Directory)) {
        self.dirs.iter().for_each(|dir| look(&dir));
    }

    /// What reading must be at least as new as. See [`Table::distrust`].
    #[must_use]
    pub fn trust(&self) -> u64 {
        self.trust.load(Ordering::Acquire)
    }

    /// Everything known so far must be read again before it is used. O(1).
    pub fn distrust(&self) {
        self.trust.fetch_add(1, Ordering::AcqRel);
        self.changed();
    }

    /// The number of the present world: it moves whenever any directory is seen to have changed.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Some directory is no longer as it was: answers given before no longer count.
    pub fn changed(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// The answer given before for this name on this path, if nothing has changed since.
    #[must_use]
    pub fn recall(&self, run: u32, name: &str) -> Option<A> {
        with_key(run, name, |key| {
            let kept = self.answers.get(key)?;
            (kept.0 == self.epoch()).then(|| kept.1.clone())
        })
    }

    /// Keeps an answer that was worked out in this epoch.
    pub fn keep(&self, epoch: u64, run: u32, name: &str, answer: A) {
        if self.answers.len() >= MAX_ANSWERS {
            self.answers.clear();
        }
        with_key(run, name, |key| self.answers.insert(key.into(), (epoch, answer)));
    }
}

/// One flat key, so that a lookup allocates nothing for names of ordinary length.
fn with_key<R>(run: u32, name: &str, then: impl FnOnce(&[u8]) -> R) -> R {
    const ROOM: usize = 128;
    let end = 4 + name.len();
    if end <= ROOM {
        let mut key = [0; ROOM];
        key[..4].copy_from_slice(&run.to_ne_bytes());
        key[4..end].copy_from_slice(name.as_bytes());
        then(&key[..end])
    } else {
        then(&[&run.to_ne_bytes(), name.as_bytes()].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_lives_as_long_as_its_epoch() {
        let table = Table::new();
        table.keep(table.epoch(), 1, "m", "here");
        assert_eq!(table.recall(1, "m"), Some("here"));
        assert_eq!(table.recall(2, "m"), None, "another path");
        table.changed();
        assert_eq!(table.recall(1, "m"), None);
    }

    #[test]
    fn long_names_have_keys_too() {
        let table = Table::new();
        let name = "n".repeat(10_000);
        table.keep(table.epoch(), 1, &name, 7);
        assert_eq!(table.recall(1, &name), Some(7));
        assert_eq!(table.recall(1, &name[1..]), None);
    }

    #[test]
    fn answers_are_bounded() {
        let table = Table::new();
        for i in 0..=MAX_ANSWERS {
            table.keep(table.epoch(), 1, &i.to_string(), ());
        }
        assert!(table.answers.len() <= MAX_ANSWERS);
    }

    #[test]
    fn a_directory_has_one_record() {
        let table = Table::<()>::new();
        let (a, b) = (table.directory(Path::new("/a")), table.directory(Path::new("/a")));
        assert!(Arc::ptr_eq(&a, &b));
    }
}
