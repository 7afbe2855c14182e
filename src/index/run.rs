//! A stretch of a path: directories that are searched in order. Only the index may make one.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use rustc_hash::FxHashMap;

use crate::table::{Directory, Names, StemHash};

/// From so many directories on it pays to know which of them have a name at all.
const LONG: usize = 16;
/// No digest is made before so many names were looked for in one epoch.
const WORTH_A_DIGEST: u32 = 4;

/// Directories that are searched in order: consecutive path entries.
#[derive(Debug)]
pub struct Run {
    /// Names this run in the table of answers; 0 is a run of one, whose answers are not kept: its
    /// directory's names are as quick.
    pub(super) id: u32,
    pub(super) dirs: Box<[Arc<Directory>]>,
    /// When earlier directories may be re-checked next, in nanoseconds of the index's life.
    pub(super) due: AtomicU64,
    /// Names looked for since the digest was last asked for in another epoch.
    searches: AtomicU32,
    digest: Mutex<Option<Arc<Digest>>>,
}

impl Run {
    pub(super) fn new(id: u32, dirs: Vec<Arc<Directory>>) -> Self {
        let (due, searches, digest) = Default::default();
        Self { id, dirs: dirs.into(), due, searches, digest }
    }

    /// The directories, in order.
    #[must_use]
    pub fn dirs(&self) -> &[Arc<Directory>] {
        &self.dirs
    }

    /// What is in which of the directories, in this epoch and as far as it is trusted; none where it is not worth
    /// making. Making one costs about as much for a name as looking for one costs for a directory, so it is made
    /// when that much was already spent in this epoch.
    pub(super) fn digest(&self, epoch: u64, trust: u64) -> Option<Arc<Digest>> {
        if self.dirs.len() < LONG {
            return None;
        }
        let mut kept = self.digest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(digest) = kept.as_ref().filter(|digest| digest.epoch == epoch) {
            return Some(Arc::clone(digest));
        }
        if kept.take().is_some() {
            self.searches.store(0, Relaxed);
        }
        let searches = self.searches.fetch_add(1, Relaxed);
        // To count the names is work too.
        if searches < WORTH_A_DIGEST || !searches.is_power_of_two() {
            return None;
        }
        let names: usize = self.dirs.iter().map(|dir| dir.state().names.len()).sum();
        let spent = self.dirs.len().saturating_mul(searches as usize);
        if spent < names {
            return None;
        }
        Some(Arc::clone(kept.insert(Arc::new(Digest::of(&self.dirs, epoch, trust)))))
    }
}

/// Which directories of a run have a name, by the stems of all of them.
///
/// It holds as long as the epoch that was read before it was made: whatever makes a directory's names others than they
/// were moves the epoch. A directory whose names are not known can become known without that; so it is always looked into.
#[derive(Debug)]
pub(super) struct Digest {
    epoch: u64,
    by_stem: FxHashMap<StemHash, Vec<u32>>,
    unknown: Vec<u32>,
}

impl Digest {
    fn of(dirs: &[Arc<Directory>], epoch: u64, trust: u64) -> Self {
        let mut digest = Self { epoch, by_stem: FxHashMap::default(), unknown: Vec::new() };
        for (entry, dir) in (0_u32..).zip(dirs) {
            let state = dir.state();
            match &state.names {
                Names::Listed(names) if state.trust == trust => {
                    for stem in names.stems() {
                        digest.by_stem.entry(stem).or_default().push(entry);
                    }
                }
                _ => digest.unknown.push(entry),
            }
        }
        digest
    }

    /// The places of the directories that may have a name with this stem, in order.
    pub(super) fn entries(&self, stem: StemHash) -> impl Iterator<Item = usize> {
        let known = self.by_stem.get(&stem).map_or(&[][..], Vec::as_slice);
        let (mut known, mut unknown) = (known.iter().peekable(), self.unknown.iter().peekable());
        std::iter::from_fn(move || {
            let known_first = match (known.peek(), unknown.peek()) {
                (Some(known), Some(unknown)) => known < unknown,
                (known, _) => known.is_some(),
            };
            let next = if known_first { known.next() } else { unknown.next() };
            next.map(|entry| *entry as usize)
        })
    }
}
