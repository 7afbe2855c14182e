//! Handing on what was learnt: at the process's end, into the user's table. Only the index may use it.
//!
//! Files are read again for it, so that nothing is kept in memory for the chance that it is written: what goes into
//! the table is what a file holds now, with the stat of the very file that was read. Directories go as they were
//! listed. What is too young to be told from a later change stays out, and is learnt by a later process.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use super::Index;
use super::reading::now_ns;
use super::tier::{Load, Share};
use crate::fact::{Content, Generation, Stamp, Stat};
use crate::table::shared::{
    self, Learnt, LearntDir, LearntFile, Published, Shared, Trust, merge, publish, tidy,
};
use crate::table::{Directory, Names};

/// A larger bytecode file is not handed on, in bytes.
const LARGEST: u64 = 16 << 20;
/// All tables of a directory together may be as large as so many.
const TABLES: u64 = 4;
/// Files read at once, at most.
const MOST_AT_ONCE: usize = 512;
const NS_PER_DAY: i128 = 86_400_000_000_000;
/// A table of not more bytes is written whenever there is something new.
const SMALL: u64 = 32 << 20;
/// A larger one at no more than 10 MB a second on the average.
const NS_PER_BYTE: i128 = 100;

impl Index {
    /// Writes what no table had into the user's table; [`Published::NothingNew`] where there is nothing of the kind, or
    /// nobody wants it, or the process is another user by now. Asks the filesystem nothing then.
    ///
    /// # Errors
    /// What the system says to writing: the table that was there stays.
    pub fn hand_on(&self) -> io::Result<Published> {
        let Some(share) = self.tier.share().filter(|share| share.writes) else {
            return Ok(Published::NothingNew);
        };
        let Ok(file) = &share.file else { return Ok(Published::NothingNew) };
        if !self.tier.is_of_this_user() {
            return Ok(Published::NothingNew);
        }
        let (news, touched) = {
            let mut record = self.tier.record();
            (std::mem::take(&mut record.news), std::mem::take(&mut record.touched))
        };
        let has_listed = self.tier.has_listed.swap(false, Ordering::Relaxed);
        let wants_plan = self.has_met_slow() && share.recurs;
        if news.is_empty() && !has_listed && !wants_plan {
            return Ok(Published::NothingNew);
        }
        let now = now_ns();
        let old = &self.prober.stat(&[file])[0];
        if !old.stat().is_none_or(|old| may_be_written(old, share.limit, now)) {
            return Ok(Published::NothingNew);
        }
        let is_settled = |ns: i128| now - ns >= share.settled_ns;
        let mut dirs = self.learnt_directories(&is_settled);
        self.add_files(&mut dirs, news, &is_settled);
        let is_new = |dir: &LearntDir| dir.names.is_some() || !dir.files.is_empty();
        let has_news = dirs.values().any(is_new);
        // A plan is of use on a slow filesystem alone: elsewhere it is not worth a table of its own.
        let plan = (has_news || wants_plan).then(|| self.new_plan(share, touched)).flatten();
        if !has_news && plan.is_none() {
            return Ok(Published::NothingNew);
        }
        let mut dirs: Vec<_> = dirs.into_values().collect();
        dirs.sort_by(|a, b| a.path.cmp(&b.path));
        let day = u32::try_from(now / NS_PER_DAY).unwrap_or(0);
        let learnt = Learnt { dirs, plan, day };
        let mut is_first = false;
        let published = publish(file, |out| {
            // As it is now: another process may have written since we opened it. What is refused is replaced, one
            // that says it is of a later format included: such tables have other names, so that is damage.
            let old = shared::open(file, Trust::User);
            let old = old.and_then(|bytes| Shared::new(bytes, &share.key, &share.roots)).ok();
            is_first = old.is_none();
            merge(old.as_ref(), &share.key, learnt, share.limit, out)
        });
        if let (true, Ok(Published::Done)) = (is_first, &published) {
            // A table that could not be taken away does no harm.
            let _ = tidy(file, share.limit.saturating_mul(TABLES));
        }
        published
    }

    /// The plan of this program, if what it loaded is not all in the one there is.
    fn new_plan(&self, share: &Share, touched: Vec<PathBuf>) -> Option<(Vec<u8>, Vec<PathBuf>)> {
        if share.program.is_empty() || touched.is_empty() {
            return None;
        }
        let known = self.plan().unwrap_or_default();
        let known: HashSet<_> = known.iter().collect();
        let has_more = touched.iter().any(|path| !known.contains(path));
        has_more.then(|| (share.program.clone(), touched))
    }

    /// Every directory that was used, with its names if no table had them.
    fn learnt_directories(&self, is_settled: &dyn Fn(i128) -> bool) -> HashMap<PathBuf, LearntDir> {
        let mut dirs = HashMap::new();
        self.table.each_directory(|dir: &Directory| {
            let state = dir.state();
            let is_stored = matches!(&state.block, Some(Some((_, block))) if !block.is_sealed());
            let names = match (&state.names, state.generation) {
                (Names::Listed(names), Some(generation))
                    if !names.is_stored() && is_settled(generation.youngest_ns()) =>
                {
                    Some((
                        generation,
                        names.iter().map(|(name, kind)| (name.into(), kind)).collect(),
                    ))
                }
                _ => None,
            };
            if is_stored || names.is_some() {
                let path = dir.path().to_owned();
                dirs.insert(path.clone(), LearntDir { path, names, files: Vec::new() });
            }
        });
        dirs
    }

    /// Adds what was loaded, read once more.
    fn add_files(
        &self,
        dirs: &mut HashMap<PathBuf, LearntDir>,
        mut news: Vec<Load>,
        is_settled: &dyn Fn(i128) -> bool,
    ) {
        let now = now_ns();
        let is_old = |stat: &Stat| is_settled(Generation::of(stat).youngest_ns());
        // Written once more within a tick of the clock, it would look the same.
        let is_told_apart = |stat: &Stat| !Generation::of(stat).is_racy(now);
        news.retain(|load| is_old(&load.stat));
        for some in news.chunks(MOST_AT_ONCE) {
            let paths: Vec<&Path> = some.iter().map(|load| &*load.bytecode).collect();
            let contents = self.prober.read(&paths, LARGEST);
            for (load, content) in some.iter().zip(contents) {
                let is_fit =
                    |content: &Content| is_old(&content.stat) && is_told_apart(&content.stat);
                let Some(content) = content.ok().filter(is_fit) else { continue };
                let Some((dir, file)) = learnt_file(load, content) else { continue };
                let fresh = || LearntDir { path: dir.clone(), names: None, files: Vec::new() };
                dirs.entry(dir.clone()).or_insert_with(fresh).files.push(file);
            }
        }
    }
}

/// Whether a table that looks so may be written again at this time (nanoseconds since the epoch): every writing is of all
/// of it, and where each of many processes has a little to add, that must not keep a disk busy. A later one
/// will learn what this one keeps to itself. What is above the `limit` is no table of this user's, or is to become smaller.
fn may_be_written(table: &Stat, limit: u64, now: i128) -> bool {
    let since = now - table.mtime_ns;
    let is_cheap = table.size <= SMALL || table.size > limit;
    // A clock that was set back is no reason to wait.
    is_cheap || since < 0 || since >= i128::from(table.size) * NS_PER_BYTE
}

fn learnt_file(load: &Load, content: Content) -> Option<(PathBuf, LearntFile)> {
    let file = LearntFile {
        name: load.source.file_name()?.as_encoded_bytes().into(),
        source: Stamp::of(&load.stat),
        bytecode: Stamp::of(&content.stat),
        bytes: content.bytes,
    };
    Some((load.source.parent()?.to_owned(), file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_table_is_written_at_a_bounded_rate() {
        const SECOND: i128 = 1_000_000_000;
        let after = |size: u64, seconds: i128| {
            let table = Stat { size, mtime_ns: 1_000 * SECOND, ..Stat::default() };
            may_be_written(&table, 200_000_000, (1_000 + seconds) * SECOND)
        };
        assert!(after(SMALL, 0), "a small one whenever there is something new");
        assert!(!after(SMALL + 1, 0) && !after(100_000_000, 9));
        assert!(after(100_000_000, 10) && after(SMALL + 1, 4));
        assert!(after(100_000_000, -1), "a clock that was set back");
        assert!(!after(200_000_000, 0) && after(200_000_001, 0), "above the limit");
    }
}
