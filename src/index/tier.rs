//! The shared tier: what other processes have learnt of this environment, and what this one will hand on. Only the
//! index may use it.
//!
//! A stored fact is a proposal. The names of a directory count while its generation is the stored one, a bytecode
//! file's content while its stat is; both are asked for as stock asks for them. What differs is learnt anew, and
//! handed on at the process's end ([`Index::hand_on`]), never while something is imported.
//!
//! A sealed table is the exception: whoever made it has said that its directories change no more.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::{Index, Loaded, count};
use crate::candidates;
use crate::fact::{Content, Generation, Stamp, Stat};
use crate::table::shared::{self, Block, Key, Refusal, Shared, Stored, Trust};
use crate::table::{Directory, NameSet, Names};

/// Files remembered in the order in which they were loaded, at most.
const MOST_TOUCHED: usize = 8_192;
/// So many modules that the plan does not have, and what runs is no longer taken for the program that it is of.
const MOST_UNPLANNED: u32 = 8;
/// The suffix of what is ours to load.
const SOURCE: &str = ".py";
/// `S_IFREG`.
const REGULAR: u32 = 0o100_000;

/// Where the shared tier lies and how it is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The environment's own table, made by whoever had the right to: asked first, never written.
    pub sealed: Option<PathBuf>,
    /// The user's table, or why there is none.
    pub file: Result<PathBuf, Refusal>,
    /// Which interpreter and environment it is for.
    pub key: Key,
    /// What the paths in a sealed table are relative to.
    pub roots: Vec<PathBuf>,
    /// What runs, for the plan of it; empty where that says nothing about what it imports.
    pub program: Vec<u8>,
    /// Whether that is worth a table for its plan alone: it lies in a file, and so is likely to be run again.
    pub recurs: bool,
    /// Whether anything is handed on.
    pub writes: bool,
    /// What changed less than this before the process's end is not handed on, in nanoseconds.
    pub settled_ns: i128,
    /// Bytes of the file, at most.
    pub limit: u64,
}

/// A module that was loaded from its own files.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub source: PathBuf,
    pub stat: Stat,
    pub bytecode: PathBuf,
}

/// What there is to hand on.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// What the tables do not have.
    pub news: Vec<Load>,
    /// Files that were loaded, in order: the plan of the next process.
    pub touched: Vec<PathBuf>,
}

/// The tables, and what is to be handed on.
#[derive(Debug, Default)]
pub(super) struct Tier {
    share: Option<Share>,
    /// As whom it was begun.
    user: Option<u32>,
    tables: OnceLock<Vec<Result<Shared, Refusal>>>,
    record: Mutex<Record>,
    /// Whether a directory was listed that could be handed on.
    pub has_listed: AtomicBool,
    pub is_replayed: AtomicBool,
    /// Whether what runs has a plan, and keeps to it.
    pub is_planned: AtomicBool,
    unplanned: AtomicU32,
}

impl Tier {
    pub fn new(share: Share) -> Self {
        Self { share: Some(share), user: shared::acting_user(), ..Self::default() }
    }

    /// Whether the process acts as the user that it was begun as. What one may look at is not another's to be told.
    pub fn is_of_this_user(&self) -> bool {
        self.user == shared::acting_user()
    }

    pub fn share(&self) -> Option<&Share> {
        self.share.as_ref()
    }

    /// The tables there are, opened when they are first asked for; or why one is not used.
    pub fn tables(&self) -> &[Result<Shared, Refusal>] {
        let Some(share) = &self.share else { return &[] };
        self.tables.get_or_init(|| {
            let open = |path: &Path, trust, key| {
                let bytes = shared::open(path, trust)?;
                Shared::new(bytes, key, &share.roots)
            };
            let anywhere = share.key.anywhere();
            let sealed = share.sealed.iter().map(|path| open(path, Trust::Baked, &anywhere));
            let own = share.file.clone().and_then(|path| open(&path, Trust::User, &share.key));
            sealed.chain([own]).collect()
        })
    }

    /// The sealed block of this directory. Otherwise the user's: what a seal has of it that is not trusted was learnt
    /// before, and on another machine perhaps, where it would hide for good what this one has learnt.
    fn block(&self, dir: &Path) -> Option<(usize, Arc<Block>)> {
        let mut found = None;
        for (at, table) in self.tables().iter().enumerate() {
            let Some(block) = table.as_ref().ok().and_then(|table| table.block(dir)) else {
                continue;
            };
            let is_sealed = block.is_sealed();
            found = Some((at, block));
            if is_sealed {
                break;
            }
        }
        found
    }

    fn bytes_of(&self, table: usize, file: &Stored) -> Option<Box<[u8]>> {
        self.tables().get(table)?.as_ref().ok()?.bytes_of(file)
    }

    /// Whether there is a sealed table, and it is used.
    fn has_seal(&self) -> bool {
        let may_have = self.share.as_ref().is_some_and(|share| share.sealed.is_some());
        may_have && self.tables().first().is_some_and(Result::is_ok)
    }

    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a table says of a module's files.
pub(super) struct Proposal {
    table: usize,
    pub file: Stored,
    is_sealed: bool,
}

impl Proposal {
    /// Whether this is what was proposed.
    pub fn is_of(&self, loaded: &Loaded) -> bool {
        Stamp::of(&loaded.source) == self.file.source
            && Stamp::of(&loaded.bytecode.stat) == self.file.bytecode
    }
}

/// Whether this may be read, as far as that is sure without trying: everybody may, or we may as its owner. A group may have
/// been ours when it was learnt, and not be now.
fn is_readable(stat: &Stat) -> bool {
    const EVERYBODY: u32 = 0o444;
    const OWNER: u32 = 0o400;
    stat.mode & EVERYBODY == EVERYBODY || (stat.mode & OWNER != 0 && shared::acts_as(stat.uid))
}

impl Index {
    /// Shares with other processes what is learnt, as `share` says. Opens nothing yet.
    pub fn share(&mut self, share: Share) {
        self.tier = Tier::new(share);
    }

    /// For each table there might be, its path and whether it is used; opens them.
    #[must_use]
    pub fn tables(&self) -> Vec<(PathBuf, Result<(), Refusal>)> {
        let Some(share) = self.tier.share() else { return Vec::new() };
        let paths = share.sealed.iter().cloned().chain([share.file.clone().unwrap_or_default()]);
        let state =
            |table: &Result<Shared, Refusal>| table.as_ref().map(drop).map_err(Clone::clone);
        paths.zip(self.tier.tables().iter().map(state)).collect()
    }

    /// What the tables have of this directory; asked once.
    pub(super) fn block(&self, dir: &Directory) -> Option<(usize, Arc<Block>)> {
        if let Some(known) = &dir.state().block {
            return known.clone();
        }
        let block = self.tier.block(dir.path());
        dir.state().block = Some(block.clone());
        block
    }

    /// Whether a sealed table has this directory: then it is not asked about, until [`Index::invalidate`] is called.
    pub(super) fn is_sealed(&self, dir: &Directory) -> bool {
        self.tier.has_seal()
            && self.table.trust() == 1
            && self.block(dir).is_some_and(|(_, block)| block.is_sealed())
    }

    /// The names that a sealed table has of this directory.
    pub(super) fn sealed_names(&self, dir: &Directory) -> Option<NameSet> {
        self.is_sealed(dir).then(|| self.block(dir)?.1.names())?
    }

    /// The names that another process has found in this directory, if this is still its generation.
    ///
    /// Not after [`Index::invalidate`]: whoever calls that may know that generations do not tell everything here.
    pub(super) fn names_of_others(
        &self,
        dir: &Directory,
        generation: &Generation,
        stat: &Stat,
    ) -> Option<NameSet> {
        if self.table.trust() != 1 || !is_readable(stat) {
            return None;
        }
        let (_, block) = self.block(dir)?;
        if block.generation() != Some(*generation) {
            return None;
        }
        let names = block.names()?;
        count(&self.counters.table_directories, 1);
        Some(names)
    }

    /// What a table says of this source's bytecode.
    pub(super) fn proposal(&self, source: &Path) -> Option<Proposal> {
        self.tier.share()?;
        let (dir, name) = (source.parent()?, source.file_name()?);
        let (table, block) = self.block(&self.directory(dir))?;
        let file = block.file(name.as_encoded_bytes())?;
        Some(Proposal { table, file, is_sealed: self.table.trust() == 1 && block.is_sealed() })
    }

    /// What is loaded without a question, if this is sealed.
    pub(super) fn sealed(&self, proposal: &Proposal) -> Option<Loaded> {
        if !proposal.is_sealed {
            return None;
        }
        let stat = |stamp: &Stamp| Stat {
            mode: REGULAR,
            size: stamp.size,
            mtime_ns: stamp.mtime_ns,
            ..Stat::default()
        };
        let bytes = self.bytes(proposal)?;
        let bytecode = Content { stat: stat(&proposal.file.bytecode), bytes };
        Some(Loaded { source: stat(&proposal.file.source), bytecode })
    }

    /// The bytecode that a table has, if what it lies in has this stat now.
    pub(super) fn proposed(&self, proposal: &Proposal, now: &Stat) -> Option<Content> {
        let same = Stamp::of(now) == proposal.file.bytecode && is_readable(now);
        let bytes = same.then(|| self.bytes(proposal))??;
        Some(Content { stat: *now, bytes })
    }

    fn bytes(&self, proposal: &Proposal) -> Option<Box<[u8]>> {
        let bytes = self.tier.bytes_of(proposal.table, &proposal.file)?;
        count(&self.counters.table_files, 1);
        count(&self.counters.table_bytes, bytes.len());
        Some(bytes)
    }

    /// A module was loaded; `news` if no table had it as it is.
    pub(super) fn note_load(&self, source: &Path, stat: &Stat, bytecode: &Path, news: bool) {
        if self.tier.share().is_none() {
            return;
        }
        if news && self.tier.unplanned.fetch_add(1, Ordering::Relaxed) >= MOST_UNPLANNED {
            self.tier.is_planned.store(false, Ordering::Relaxed);
        }
        let mut record = self.tier.record();
        if record.touched.len() < MOST_TOUCHED {
            record.touched.extend([source.to_owned(), bytecode.to_owned()]);
        }
        if news {
            let (source, bytecode) = (source.to_owned(), bytecode.to_owned());
            record.news.push(Load { source, stat: *stat, bytecode });
        }
    }

    /// A file that is not ours to load was found.
    pub(super) fn note_found(&self, dir: &Directory, name: &str, suffix: &str) {
        if self.tier.share().is_none() || suffix == SOURCE {
            return;
        }
        let file = candidates::join(dir.path(), name, suffix);
        let mut record = self.tier.record();
        if record.touched.len() < MOST_TOUCHED {
            record.touched.push(file);
        }
    }

    /// A directory was listed; these are its names.
    pub(super) fn note_listing(&self, generation: Option<Generation>, names: &Names) {
        if generation.is_some() && matches!(names, Names::Listed(_)) {
            self.tier.has_listed.store(true, Ordering::Relaxed);
        }
    }
}
