//! The conductor: asks the table, has missing facts probed, publishes them, keeps them fresh.
//!
//! It alone knows `candidates`, `probe` and `table`. It knows no Python, never holds a lock while
//! it asks the filesystem, and never fails: where it cannot tell, it answers [`Answer::Ask`].
//!
//! An answer is checked before it is given, as [`Freshness`] says; what has changed is read again and the
//! answer is worked out anew.

mod ahead;
mod hand_on;
mod loading;
mod lookup;
mod reading;
mod replay;
mod run;
mod shelf;
mod tier;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::candidates::{self, Candidate, Suffixes};
use crate::fact::Fact;
use crate::probe::{Backend, Prober, Tally};
use crate::table::{Directory, State, Table};
pub use ahead::{Dialect, LookAhead, Scene};
pub use loading::Loaded;
pub use run::Run;
use shelf::Shelf;
pub use tier::Share;
use tier::Tier;

/// At most one part in this many of the elapsed time goes to re-checking earlier directories.
const RECHECK_SHARE: u32 = 50;
/// Lookups go round this often when directories keep changing under them; then stock decides.
const ROUNDS: usize = 4;

/// How an answer is checked before it is given.
///
/// Unless sealed, a hit is checked in the directory it was found in, and a miss in all of them: a module that
/// exists is never reported missing. What is left is how sure to be that no earlier directory has a new
/// file that shadows the hit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Earlier directories are re-checked as often as 2 % of the elapsed time allows.
    #[default]
    Auto,
    /// Every directory that was consulted is re-checked, every time.
    Strict,
    /// What was read once is trusted, hit or miss, until [`Index::invalidate`].
    Sealed,
}

impl Freshness {
    /// The mode of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Auto, Self::Strict, Self::Sealed].into_iter().find(|mode| mode.name() == name)
    }

    /// What people call it; [`Freshness::from_name`] takes it back.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Strict => "strict",
            Self::Sealed => "sealed",
        }
    }
}

/// What a name is on a run of directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A module or regular package, in the directory at this place of the run.
    Found {
        /// Place in the run.
        entry: usize,
        /// Which file.
        candidate: Candidate,
    },
    /// Nothing to load, but these places of the run hold portions of a namespace package.
    Portions(Arc<[usize]>),
    /// No directory of the run has it.
    Absent,
    /// It cannot be told from here: stock importlib decides.
    Ask,
}

/// One lookup's way through the index: what it has just read needs no second check.
#[derive(Debug)]
pub struct Pass {
    id: u64,
    /// How many unread directories to read at once; it doubles while the filesystem is fast.
    chunk: usize,
    /// Whether this lookup had to ask the filesystem for more than a check.
    learnt: bool,
    /// The directories it has listed.
    listed: Vec<Arc<Directory>>,
}

impl Pass {
    /// The directories that this lookup has listed so far; they are told once.
    pub fn take_listed(&mut self) -> Vec<Arc<Directory>> {
        std::mem::take(&mut self.listed)
    }

    /// This lookup makes use of what is known of the directory: if it was listed ahead, that is told now.
    fn tell(&mut self, dir: &Arc<Directory>, state: &mut State) {
        if state.untold {
            state.untold = false;
            self.listed.push(Arc::clone(dir));
        }
    }
}

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What the index has done so far.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts { $($(#[$doc])* pub $name: u64,)* }

        #[derive(Debug, Default)]
        struct Counters { $($name: AtomicU64,)* }

        impl Counters {
            fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters! {
    /// Names looked up on a run of directories.
    lookups,
    /// Lookups answered from the table, checks apart.
    hit,
    /// Lookups for which a directory had to be read or candidates probed.
    miss,
    /// Directories that were checked and had not changed.
    revalidated,
    /// Directories that were checked and had changed.
    stale,
    /// Nanoseconds spent on the stats of sources that were to be loaded.
    stat_ns,
    /// Nanoseconds spent on reading bytecode, and sources where those decide about it.
    read_ns,
    /// Rounds of look-ahead: what is imported next, what that imports, and so on.
    ahead_steps,
    /// Batches that asked once more about what was fetched ahead.
    ahead_refreshes,
    /// Bytecode files fetched ahead.
    ahead_files,
    /// Their bytes.
    ahead_bytes,
    /// Those of them that were used.
    ahead_used_files,
    /// The bytes of those.
    ahead_used_bytes,
    /// Directories whose names another process had found.
    table_directories,
    /// Bytecode files that another process had read.
    table_files,
    /// Their bytes.
    table_bytes,
    /// Paths that a plan named, asked about in one batch.
    plan_paths,
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

/// An answer as it is kept.
#[derive(Clone, Debug)]
struct Kept {
    answer: Answer,
    /// The directories of that name that were looked into on the way, packages or not: an `__init__`
    /// may come or go in them without a trace in the directory above.
    inner: Arc<[Arc<Directory>]>,
}

/// What working an answer out has come upon besides the answer.
#[derive(Default)]
struct Grounds {
    inner: Vec<Arc<Directory>>,
    /// The answer rests on more than the generations of directories (the target of a link, a
    /// probe), so it is worked out anew every time.
    volatile: bool,
}

/// The process's one source of answers.
#[derive(Debug)]
pub struct Index {
    prober: Prober,
    table: Table<Kept>,
    suffixes: Suffixes,
    freshness: Freshness,
    counters: Counters,
    runs: AtomicU32,
    passes: AtomicU64,
    born: Instant,
    /// Whether any directory was slow to read.
    met_slow: AtomicBool,
    ahead: LookAhead,
    shelf: Mutex<Shelf>,
    tier: Tier,
}

impl Index {
    /// An index that knows nothing yet, for files with these suffixes.
    #[must_use]
    pub fn new(backend: Backend, freshness: Freshness, suffixes: Suffixes) -> Self {
        Self {
            prober: Prober::new(backend),
            table: Table::new(),
            suffixes,
            freshness,
            counters: Counters::default(),
            runs: AtomicU32::new(0),
            passes: AtomicU64::new(0),
            born: Instant::now(),
            met_slow: AtomicBool::new(false),
            ahead: LookAhead::default(),
            shelf: Mutex::default(),
            tier: Tier::default(),
        }
    }

    /// Looks ahead there, instead of where the filesystem is slow.
    pub fn look_ahead_where(&mut self, ahead: LookAhead) {
        self.ahead = ahead;
    }

    /// The suffixes it looks for.
    #[must_use]
    pub fn suffixes(&self) -> &Suffixes {
        &self.suffixes
    }

    /// What it has done so far, and what it has asked.
    #[must_use]
    pub fn counts(&self) -> (Counts, Tally) {
        (self.counters.read(), self.prober.tally())
    }

    /// Trusts nothing of what it knows: all is read again before it is used, and what was fetched ahead is dropped.
    pub fn invalidate(&self) {
        self.table.distrust();
        // Not under the lock: it may be many files.
        let shelf = std::mem::take(&mut *self.shelf());
        drop(shelf);
    }

    /// The one record of the directory at this absolute path.
    #[must_use]
    pub fn directory(&self, path: &Path) -> Arc<Directory> {
        self.table.directory(path)
    }

    /// A run of these directories, in this order.
    #[must_use]
    pub fn run(&self, dirs: Vec<Arc<Directory>>) -> Run {
        let id = if dirs.len() == 1 { 0 } else { self.runs.fetch_add(1, Ordering::Relaxed) + 1 };
        Run::new(id, dirs)
    }

    /// The beginning of a lookup.
    #[must_use]
    pub fn pass(&self) -> Pass {
        let id = self.passes.fetch_add(1, Ordering::Relaxed) + 1;
        Pass { id, chunk: 1, learnt: false, listed: Vec::new() }
    }

    /// What `name`, the part of a module's name behind the last dot, is on this run.
    #[must_use]
    pub fn find(&self, pass: &mut Pass, run: &Run, name: &str) -> Answer {
        count(&self.counters.lookups, 1);
        if !candidates::can_be_listed(name) {
            return Answer::Absent;
        }
        for _ in 0..ROUNDS {
            // Before the answer: another thread may notice a change while we still have the old one.
            let epoch = self.table.epoch();
            let kept = self.recall_or_work_out(pass, run, name, epoch);
            if kept.answer == Answer::Ask {
                break;
            }
            if self.holds(pass, run, &kept, epoch) {
                count(if pass.learnt { &self.counters.miss } else { &self.counters.hit }, 1);
                if let Answer::Found { entry, candidate: Candidate::Module(suffix) } = kept.answer {
                    self.note_found(&run.dirs[entry], name, self.suffixes.get(suffix));
                }
                return kept.answer;
            }
        }
        Answer::Ask
    }

    /// The answer in the table, if it was given before and nothing has changed since. Asks the
    /// filesystem nothing, not even whether the answer still holds.
    #[must_use]
    pub fn recall(&self, run: &Run, name: &str) -> Option<Answer> {
        self.table.recall(run.id, name).map(|kept| kept.answer)
    }

    fn recall_or_work_out(&self, pass: &mut Pass, run: &Run, name: &str, epoch: u64) -> Kept {
        if run.id != 0
            && let Some(kept) = self.table.recall(run.id, name)
        {
            return kept;
        }
        let mut grounds = Grounds::default();
        let answer = self.work_out(pass, run, name, &mut grounds);
        pass.learnt |= grounds.volatile;
        let kept = Kept { answer, inner: grounds.inner.into() };
        if run.id != 0 && !grounds.volatile && kept.answer != Answer::Ask {
            self.table.keep(epoch, run.id, name, kept.clone());
        }
        kept
    }

    /// Whether this answer, got in this epoch, still holds, as far as [`Freshness`] wants to know.
    fn holds(&self, pass: &mut Pass, run: &Run, kept: &Kept, epoch: u64) -> bool {
        if self.freshness == Freshness::Sealed {
            return true;
        }
        let (earlier, rests_on) = match &kept.answer {
            Answer::Found { entry, .. } => (&run.dirs[..*entry], &run.dirs[*entry..=*entry]),
            // A miss is always verified: a module that exists is never reported missing.
            _ => (&run.dirs[..0], &run.dirs[..]),
        };
        let mut dirs = [rests_on, &kept.inner].concat();
        if earlier.is_empty() || !self.may_recheck(run) {
            self.revalidate(pass, dirs);
            return self.table.epoch() == epoch;
        }
        dirs.extend_from_slice(earlier);
        let started = self.born.elapsed();
        self.revalidate(pass, dirs);
        let cost = self.born.elapsed().saturating_sub(started);
        let due = started + cost * RECHECK_SHARE;
        run.due.store(due.as_nanos() as u64, Ordering::Relaxed);
        self.table.epoch() == epoch
    }

    /// Whether the directories before a hit may cost another check now.
    fn may_recheck(&self, run: &Run) -> bool {
        self.freshness == Freshness::Strict
            || self.born.elapsed().as_nanos() as u64 >= run.due.load(Ordering::Relaxed)
    }

    /// The lock is for a look or a change, never for I/O.
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stat(&self, paths: &[PathBuf]) -> Vec<Fact> {
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        self.prober.stat(&paths)
    }

    /// These directories, which were asked about before, as they are now.
    fn stat_again(&self, dirs: &[Arc<Directory>]) -> Vec<Fact> {
        if !self.may_refresh() {
            return self.stat_dirs(dirs);
        }
        let before = self.prober.slept();
        let facts = self.stat_dirs(dirs);
        self.refresh_if_forgotten(self.prober.slept().saturating_sub(before), None);
        facts
    }

    fn stat_dirs(&self, dirs: &[Arc<Directory>]) -> Vec<Fact> {
        let paths: Vec<&Path> = dirs.iter().map(|dir| dir.path()).collect();
        self.prober.stat(&paths)
    }
}
