//! Replaying a plan: what this program loaded last time is asked about in one batch, where the filesystem is slow. Only
//! the index may use it.
//!
//! The answers are not kept: they let the kernel answer when each module is really imported, as it keeps for a while what a
//! network filesystem says. So a plan changes no answer, and a wrong one costs one batch.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Index, count};
use crate::table::Directory;

impl Index {
    /// What this program loaded last time, as far as any table knows.
    pub(super) fn plan(&self) -> Option<Vec<PathBuf>> {
        let share = self.tier.share().filter(|share| !share.program.is_empty())?;
        let mut tables = self.tier.tables().iter().filter_map(|table| table.as_ref().ok());
        tables.find_map(|table| table.plan(&share.program))
    }

    /// A slow filesystem was met in these directories: asks about all that the plan has, once in a process.
    pub(super) fn replay(&self, slow: &[Arc<Directory>]) {
        if self.tier.share().is_none() || self.tier.is_replayed.swap(true, Ordering::Relaxed) {
            return;
        }
        let Some(plan) = self.plan() else { return };
        self.tier.is_planned.store(true, Ordering::Relaxed);
        let dirs: HashSet<&Path> = plan.iter().filter_map(|file| file.parent()).collect();
        let paths: Vec<&Path> = dirs.into_iter().chain(plan.iter().map(PathBuf::as_path)).collect();
        count(&self.counters.plan_paths, paths.len());
        let asked = Instant::now();
        let facts = self.prober.stat(&paths);
        // They answer soon now, which does not make them fast.
        let device = |dir: &Arc<Directory>| {
            let state = dir.state();
            state.generation.map(|it| it.device()).or(state.seen.map(|stat| stat.dev))
        };
        let slow: HashSet<u64> = slow.iter().filter_map(device).collect();
        for (path, fact) in paths.iter().zip(&facts) {
            if fact.is_dir() && fact.stat().is_some_and(|stat| slow.contains(&stat.dev)) {
                self.directory(path).state().slow = true;
            }
        }
        let mut shelf = self.shelf();
        // A source stands before its bytecode.
        for pair in plan.windows(2) {
            if pair[1].extension().is_some_and(|extension| extension == "pyc") {
                shelf.expect(pair[1].clone(), pair[0].clone(), asked);
            }
        }
    }

    /// Whether the plan was asked about, if there is one.
    pub(super) fn is_replayed(&self) -> bool {
        self.tier.is_replayed.load(Ordering::Relaxed)
    }

    /// Whether what runs has a plan and keeps to it: then there is nothing to look ahead for.
    #[must_use]
    pub fn is_planned(&self) -> bool {
        self.tier.is_planned.load(Ordering::Relaxed)
    }
}
