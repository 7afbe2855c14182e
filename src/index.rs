//! The conductor: asks the table, has missing facts probed, publishes them, keeps them fresh.
//!
//! It alone knows `candidates`, `probe` and `table`. It knows no Python, never holds a lock while
//! it asks the filesystem, and never fails: where it cannot tell, it answers [`Answer::Ask`].
//!
//! # Freshness
//!
//! A listing belongs to a [`Generation`] of its directory, taken *before* the listing, so that a
//! change in between shows at the next check. An answer is checked before it is given, as
//! [`Freshness`] says; what has changed is read again and the answer is worked out anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::candidates::{self, Candidate, INIT, Suffixes};
use crate::fact::{Fact, Generation, Kind, Stat};
use crate::probe::{Backend, CASE_SENSITIVE, Listing, Prober, Tally};
use crate::table::{Directory, NameSet, Names, StemHash, Table};

/// A directory with more names than this is not listed to answer one lookup: listing 8,192 names
/// takes about half a millisecond, asking for six candidates five microseconds.
/// Where case is folded, only a listing shows how a name is spelled, so there every one is listed.
const LARGE: usize = if CASE_SENSITIVE { 8_192 } else { usize::MAX };
/// A lower bound of the bytes a name takes in a directory's `st_size`, where that grows with it.
const BYTES_PER_NAME: u64 = 32;
/// Listing costs about as much as this many names' share of one probed lookup (60 ns a name
/// against 4.5 µs for six candidates): the break-even of a large directory.
const NAMES_PER_LOOKUP: usize = 75;
/// Beyond this, the memory for the names is worth more than the time for the probes.
const NEVER_LISTED: usize = 100_000;
/// A filesystem whose operations take longer than this is slow: waits count, not calls.
const SLOW: Duration = Duration::from_micros(200);
/// How many operations a parallel engine has under way at once, for judging what one took.
const WIDTH: u32 = 64;
/// At most one part in this many of the elapsed time goes to re-checking earlier directories.
const RECHECK_SHARE: u32 = 50;
/// Lookups go round this often when directories keep changing under them; then stock decides.
const ROUNDS: usize = 4;

/// How sure an answer must be that no earlier directory has a new file that shadows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Freshness {
    /// Earlier directories are re-checked as often as 2 % of the elapsed time allows.
    #[default]
    Auto,
    /// Every directory that was consulted is re-checked, every time.
    Strict,
    /// What was read once is trusted until [`Index::invalidate`].
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

/// Directories that are searched in order: consecutive path entries.
#[derive(Debug)]
pub struct Run {
    /// Names this run in the table of answers; 0 is a run of one, whose answers are not kept: its
    /// directory's names are as quick.
    id: u32,
    dirs: Box<[Arc<Directory>]>,
    /// When earlier directories may be re-checked next, in nanoseconds of the index's life.
    due: AtomicU64,
}

impl Run {
    /// The directories, in order.
    #[must_use]
    pub fn dirs(&self) -> &[Arc<Directory>] {
        &self.dirs
    }
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
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(by as u64, Ordering::Relaxed);
}

/// What a name is in one directory.
enum Verdict {
    Is(Candidate),
    Portion,
    Nothing,
    CannotTell,
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
        }
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

    /// Trusts nothing of what it knows: all is read again before it is used. O(1).
    pub fn invalidate(&self) {
        self.table.distrust();
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
        Run { id, dirs: dirs.into(), due: AtomicU64::new(0) }
    }

    /// The beginning of a lookup.
    #[must_use]
    pub fn pass(&self) -> Pass {
        let id = self.passes.fetch_add(1, Ordering::Relaxed) + 1;
        Pass { id, chunk: 1, learnt: false, listed: Vec::new() }
    }

    /// For each of these, whether it is a directory: one batch.
    #[must_use]
    pub fn identify(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) -> Vec<bool> {
        pass.learnt = true;
        let facts = self.stat_dirs(dirs);
        let note = |(dir, fact): (&Arc<Directory>, &Fact)| {
            let mut state = dir.state();
            if Seen::of(*fact).is_still(state.generation, &state.names) {
                state.pass = pass.id;
            } else if let (Names::Unread, true) = (&state.names, fact.is_dir()) {
                state.seen = fact.stat().copied();
                state.pass = pass.id;
            }
            fact.is_dir()
        };
        dirs.iter().zip(&facts).map(note).collect()
    }

    /// Whether all of these are directories, as far as this pass has not just seen it: one batch.
    #[must_use]
    pub fn are_directories(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) -> bool {
        let unseen: Vec<_> =
            dirs.iter().filter(|dir| dir.state().pass != pass.id).cloned().collect();
        let seen =
            |dir: &Arc<Directory>| !matches!(dir.state().names, Names::Gone | Names::Unknown);
        dirs.iter().all(seen)
            && (unseen.is_empty() || self.identify(pass, &unseen).into_iter().all(|is| is))
    }

    /// What `name`, the part of a module's name behind the last dot, is on this run.
    #[must_use]
    pub fn find(&self, pass: &mut Pass, run: &Run, name: &str) -> Answer {
        count(&self.counters.lookups, 1);
        if !candidates::can_be_listed(name) {
            return Answer::Absent;
        }
        for _ in 0..ROUNDS {
            let kept = self.recall_or_work_out(pass, run, name);
            if kept.answer == Answer::Ask {
                break;
            }
            if self.holds(pass, run, &kept) {
                count(if pass.learnt { &self.counters.miss } else { &self.counters.hit }, 1);
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

    fn recall_or_work_out(&self, pass: &mut Pass, run: &Run, name: &str) -> Kept {
        if run.id != 0
            && let Some(kept) = self.table.recall(run.id, name)
        {
            return kept;
        }
        let epoch = self.table.epoch();
        let mut grounds = Grounds::default();
        let answer = self.work_out(pass, run, name, &mut grounds);
        let kept = Kept { answer, inner: grounds.inner.into() };
        if run.id != 0 && !grounds.volatile && kept.answer != Answer::Ask {
            self.table.keep(epoch, run.id, name, kept.clone());
        }
        kept
    }

    // ---- working an answer out -----------------------------------------------------------------

    fn work_out(&self, pass: &mut Pass, run: &Run, name: &str, grounds: &mut Grounds) -> Answer {
        let stem = StemHash::of(name);
        let mut portions = Vec::new();
        for entry in 0..run.dirs.len() {
            match self.look_in(pass, &run.dirs[entry..], name, stem, grounds) {
                Verdict::Nothing => {}
                Verdict::Portion => portions.push(entry),
                Verdict::Is(candidate) => return Answer::Found { entry, candidate },
                Verdict::CannotTell => return Answer::Ask,
            }
        }
        if portions.is_empty() { Answer::Absent } else { Answer::Portions(portions.into()) }
    }

    /// What `name` is in the first of `dirs`; the others may be read along with it.
    fn look_in(
        &self,
        pass: &mut Pass,
        dirs: &[Arc<Directory>],
        name: &str,
        stem: StemHash,
        grounds: &mut Grounds,
    ) -> Verdict {
        let dir = &dirs[0];
        let names = {
            let state = dir.state();
            match &state.names {
                _ if state.trust != self.table.trust() => Names::Unread,
                // By far the commonest case on a long path, so it costs no more than this.
                Names::Listed(set) if !set.may_hold(stem) => return Verdict::Nothing,
                known => known.clone(),
            }
        };
        let names = match names {
            Names::Unread => {
                self.read_ahead(pass, dirs);
                dir.state().names.clone()
            }
            known => known,
        };
        match names {
            Names::Listed(set) => self.look_among(pass, dir, &set, name, grounds),
            Names::Large(about) => self.look_by_probing(pass, dir, about, name, grounds),
            Names::Unreadable | Names::Gone => Verdict::Nothing,
            Names::Unread | Names::Unknown => Verdict::CannotTell,
        }
    }

    /// What `name` is in a directory whose names are known: `FileFinder.find_spec`.
    fn look_among(
        &self,
        pass: &mut Pass,
        dir: &Directory,
        names: &NameSet,
        name: &str,
        grounds: &mut Grounds,
    ) -> Verdict {
        let mut is_portion = false;
        if let Some(Kind::Dir | Kind::Link | Kind::Unknown) = names.kind(name.as_bytes()) {
            let package = self.directory(&candidates::join(dir.path(), name, ""));
            match self.look_at_package(pass, dir, &package, grounds) {
                Verdict::Portion => is_portion = true,
                Verdict::Nothing => {}
                decided => return decided,
            }
        }
        match self.first_file(dir, names, name, grounds) {
            Some(suffix) => Verdict::Is(Candidate::Module(suffix)),
            None if is_portion => Verdict::Portion,
            None => Verdict::Nothing,
        }
    }

    /// The first suffix with which `stem` is a regular file among these names.
    fn first_file(
        &self,
        dir: &Directory,
        names: &NameSet,
        stem: &str,
        grounds: &mut Grounds,
    ) -> Option<usize> {
        let mut full = String::with_capacity(stem.len() + 40);
        self.suffixes.iter().position(|suffix| {
            full.clear();
            full.push_str(stem);
            full.push_str(suffix);
            match names.kind(full.as_bytes()) {
                Some(Kind::File) => true,
                Some(Kind::Link | Kind::Unknown) => {
                    // What a link points at changes without a trace in this directory.
                    grounds.volatile = true;
                    self.stat(&[candidates::join(dir.path(), &full, "")])[0].is_file()
                }
                Some(Kind::Dir | Kind::Other) | None => false,
            }
        })
    }

    /// Whether `package`, a name in `parent`, is a regular package or a portion.
    fn look_at_package(
        &self,
        pass: &mut Pass,
        parent: &Directory,
        package: &Arc<Directory>,
        grounds: &mut Grounds,
    ) -> Verdict {
        grounds.inner.push(Arc::clone(package));
        let unread = {
            let state = package.state();
            matches!(state.names, Names::Unread) || state.trust != self.table.trust()
        };
        // Listing takes four waits and also serves the package's submodules; probing takes one.
        if unread && !parent.state().slow {
            self.read_ahead(pass, std::slice::from_ref(package));
        }
        let names = package.state().names.clone();
        match names {
            _ if unread && parent.state().slow => self.probe_package(pass, package, grounds),
            Names::Listed(names) => match self.first_file(package, &names, INIT, grounds) {
                Some(suffix) => Verdict::Is(Candidate::Package(suffix)),
                None => Verdict::Portion,
            },
            Names::Gone => Verdict::Nothing,
            // Stock asks for `__init__` by stat, which needs no right to list, and no descriptor.
            Names::Large(_) | Names::Unreadable | Names::Unknown => {
                self.probe_package(pass, package, grounds)
            }
            Names::Unread => Verdict::CannotTell,
        }
    }

    /// The same by one batch of stats.
    fn probe_package(
        &self,
        pass: &mut Pass,
        package: &Arc<Directory>,
        grounds: &mut Grounds,
    ) -> Verdict {
        grounds.volatile = true;
        pass.learnt = true;
        let mut paths = vec![package.path().to_owned()];
        paths.extend(candidates::files(package.path(), INIT, &self.suffixes));
        let started = Instant::now();
        let facts = self.stat(&paths);
        if let Some(stat) = facts[0].stat() {
            let mut state = package.state();
            if matches!(state.names, Names::Unread) {
                state.generation = fresh_generation(stat);
                state.pass = pass.id;
                state.slow = is_slow(started, paths.len());
            }
        }
        match facts[1..].iter().position(Fact::is_file) {
            Some(suffix) => Verdict::Is(Candidate::Package(suffix)),
            None if facts[0].is_dir() => Verdict::Portion,
            None => Verdict::Nothing,
        }
    }

    /// What `name` is in a directory too large to list: its candidates are asked for.
    fn look_by_probing(
        &self,
        pass: &mut Pass,
        dir: &Arc<Directory>,
        about: usize,
        name: &str,
        grounds: &mut Grounds,
    ) -> Verdict {
        if self.is_time_to_list(dir, about) {
            return match self.list_whole(dir) {
                Some(names) => self.look_among(pass, dir, &names, name, grounds),
                None => Verdict::CannotTell,
            };
        }
        grounds.volatile = true;
        pass.learnt = true;
        let bare = candidates::join(dir.path(), name, "");
        let mut paths = candidates::files(dir.path(), name, &self.suffixes);
        paths.push(bare.clone());
        let facts = self.stat(&paths);
        let (bare_fact, files) = facts.split_last().expect("the bare name is always asked for");
        let module = files.iter().position(Fact::is_file);
        if self.ignores_case(&paths, &facts) {
            return match self.list_whole(dir) {
                Some(names) => self.look_among(pass, dir, &names, name, grounds),
                None => Verdict::CannotTell,
            };
        }
        let mut is_portion = false;
        // The empty name is in no listing, but the path that it makes is the directory's own.
        if bare_fact.is_dir() && !name.is_empty() {
            match self.look_at_package(pass, dir, &self.directory(&bare), grounds) {
                Verdict::Portion => is_portion = true,
                Verdict::Nothing => {}
                decided => return decided,
            }
        }
        match module {
            Some(suffix) => Verdict::Is(Candidate::Module(suffix)),
            None if is_portion => Verdict::Portion,
            None => Verdict::Nothing,
        }
    }

    /// Whether a directory that answered lookup after lookup by probes had better be listed.
    fn is_time_to_list(&self, dir: &Directory, about: usize) -> bool {
        let mut state = dir.state();
        state.probed += 1;
        about <= NEVER_LISTED && state.probed as usize > about / NAMES_PER_LOOKUP
    }

    /// All names of a directory, however many; they are kept.
    fn list_whole(&self, dir: &Directory) -> Option<Arc<NameSet>> {
        let listing = self.prober.list(&[dir.path()], usize::MAX).pop()?.ok()?;
        let names = Arc::new(NameSet::new(listing.names));
        dir.state().names = Names::Listed(Arc::clone(&names));
        Some(names)
    }

    /// Whether the filesystem answers to another spelling of the name that was found. Stock compares
    /// with the names as listed, so there a probe must not decide. That it is the same file cannot be
    /// asked: a FUSE filesystem may number each spelling anew.
    fn ignores_case(&self, paths: &[PathBuf], facts: &[Fact]) -> bool {
        let found = paths.iter().zip(facts).find(|(_, fact)| fact.stat().is_some());
        let other = found.and_then(|(path, _)| with_case_swapped(path));
        other.is_some_and(|other| self.stat(&[other])[0].stat().is_some())
    }

    // ---- reading directories -------------------------------------------------------------------

    /// Reads the first of `dirs`, and as many unread ones behind it as this pass deems good: one more
    /// each time on a fast filesystem, all of them at once on a slow one.
    fn read_ahead(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) {
        pass.learnt = true;
        let trust = self.table.trust();
        let unread = |dir: &&Arc<Directory>| {
            let state = dir.state();
            matches!(state.names, Names::Unread) || state.trust != trust
        };
        let chunk: Vec<_> = dirs.iter().filter(unread).take(pass.chunk).cloned().collect();
        let started = Instant::now();
        self.read(pass, &chunk);
        let slow = is_slow(started, chunk.len() * 2);
        pass.chunk = if slow { usize::MAX } else { pass.chunk.saturating_mul(2) };
        for dir in &chunk {
            dir.state().slow = slow;
        }
    }

    /// Reads these directories: their generations in one batch, then their names in one.
    fn read(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) {
        let identified = |dir: &Arc<Directory>| {
            let mut state = dir.state();
            let of_this_pass = state.pass == pass.id;
            state.seen.take().filter(|_| of_this_pass).map(Fact::Present)
        };
        let mut facts: Vec<_> = dirs.iter().map(identified).collect();
        let unseen = dirs.iter().zip(&facts).filter(|(_, fact)| fact.is_none());
        let unseen: Vec<_> = unseen.map(|(dir, _)| Arc::clone(dir)).collect();
        let asked = self.stat_dirs(&unseen);
        facts.iter_mut().filter(|fact| fact.is_none()).zip(asked).for_each(|(fact, now)| {
            *fact = Some(now);
        });
        let seen: Vec<_> = facts.into_iter().flatten().map(Seen::of).collect();
        self.read_names(pass, dirs, &seen);
    }

    /// Reads the names of these directories, whose generations have just been `seen`.
    fn read_names(&self, pass: &mut Pass, dirs: &[Arc<Directory>], seen: &[Seen]) {
        let trust = self.table.trust();
        let now = now_ns();
        for huge in [false, true] {
            let chosen: Vec<_> =
                dirs.iter().zip(seen).filter(|(_, s)| s.is_huge() == Some(huge)).collect();
            let paths: Vec<_> = chosen.iter().map(|(dir, _)| dir.path()).collect();
            // Of a huge one, the first name tells whether we may read it.
            let listings = self.prober.list(&paths, if huge { 1 } else { LARGE });
            for ((dir, seen), listing) in chosen.into_iter().zip(listings) {
                let Seen::Dir(generation, stat) = seen else { continue };
                pass.listed.push(Arc::clone(dir));
                let names = if self.is_shut(dir, stat) {
                    Names::Unreadable
                } else {
                    names_of(listing, stat.size)
                };
                let generation = Some(*generation).filter(|g| !g.is_racy(now));
                self.publish(dir, pass, trust, generation, names);
            }
        }
        for (dir, seen) in dirs.iter().zip(seen) {
            let names = match seen {
                Seen::Dir(..) => continue,
                Seen::NoDir => Names::Gone,
                Seen::Failed => Names::Unknown,
            };
            self.publish(dir, pass, trust, None, names);
        }
    }

    /// Whether nothing in this directory can be reached, though it may be listed: then stock's stat of
    /// every candidate fails. Where everybody may search it, there is nothing to ask.
    fn is_shut(&self, dir: &Directory, stat: &Stat) -> bool {
        const SEARCH: u32 = 0o111;
        stat.mode & SEARCH != SEARCH && !self.stat(&[dir.path().join(".")])[0].is_dir()
    }

    /// Keeps what was read. If it differs from what was known, earlier answers no longer count.
    fn publish(
        &self,
        dir: &Directory,
        pass: &mut Pass,
        trust: u64,
        generation: Option<Generation>,
        names: Names,
    ) {
        let mut state = dir.state();
        let first = matches!(state.names, Names::Unread);
        let same = same_names(&state.names, &names);
        state.names = names;
        state.generation = generation;
        state.pass = pass.id;
        state.trust = trust;
        drop(state);
        if !first && !same {
            count(&self.counters.stale, 1);
            self.table.changed();
        }
    }

    // ---- keeping answers fresh -----------------------------------------------------------------

    /// Whether this answer still holds, as far as [`Freshness`] wants to know.
    fn holds(&self, pass: &mut Pass, run: &Run, kept: &Kept) -> bool {
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
            return self.revalidate(pass, dirs);
        }
        dirs.extend_from_slice(earlier);
        let started = self.born.elapsed();
        let unchanged = self.revalidate(pass, dirs);
        let cost = self.born.elapsed().saturating_sub(started);
        let due = started + cost * RECHECK_SHARE;
        run.due.store(due.as_nanos() as u64, Ordering::Relaxed);
        unchanged
    }

    /// Whether the directories before a hit may cost another check now.
    fn may_recheck(&self, run: &Run) -> bool {
        self.freshness == Freshness::Strict
            || self.born.elapsed().as_nanos() as u64 >= run.due.load(Ordering::Relaxed)
    }

    /// Compares these directories with the filesystem in one batch and reads again what differs.
    /// Whether all names are as they were.
    fn revalidate(&self, pass: &mut Pass, mut dirs: Vec<Arc<Directory>>) -> bool {
        dirs.retain(|dir| dir.state().pass != pass.id);
        let epoch = self.table.epoch();
        let facts = self.stat_dirs(&dirs);
        let mut changed = Vec::new();
        let mut seen = Vec::new();
        for (dir, fact) in dirs.into_iter().zip(facts) {
            let now = Seen::of(fact);
            let mut state = dir.state();
            if now.is_still(state.generation, &state.names) {
                count(&self.counters.revalidated, 1);
                state.pass = pass.id;
                continue;
            }
            if matches!(state.names, Names::Unread) {
                // It was only ever probed: what the probes said no longer counts.
                state.generation = None;
                state.pass = pass.id;
                self.table.changed();
                continue;
            }
            drop(state);
            changed.push(dir);
            seen.push(now);
        }
        if !changed.is_empty() {
            self.read_names(pass, &changed, &seen);
        }
        self.table.epoch() == epoch
    }

    // ---- asking --------------------------------------------------------------------------------

    fn stat(&self, paths: &[PathBuf]) -> Vec<Fact> {
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        self.prober.stat(&paths)
    }

    fn stat_dirs(&self, dirs: &[Arc<Directory>]) -> Vec<Fact> {
        let paths: Vec<&Path> = dirs.iter().map(|dir| dir.path()).collect();
        self.prober.stat(&paths)
    }
}

/// What a stat said of something that should be a directory.
enum Seen {
    /// It is one, of this generation.
    Dir(Generation, Stat),
    NoDir,
    Failed,
}

impl Seen {
    fn of(fact: Fact) -> Self {
        const EACCES: i32 = 13;
        match fact {
            Fact::Present(stat) if fact.is_dir() => Seen::Dir(Generation::of(&stat), stat),
            // Stock takes a directory that it may not reach for an empty one.
            Fact::Present(_) | Fact::Absent | Fact::Failed(EACCES) => Seen::NoDir,
            Fact::Failed(_) => Seen::Failed,
        }
    }

    /// For a directory, whether its size says that it has more names than are worth listing.
    fn is_huge(&self) -> Option<bool> {
        match self {
            Seen::Dir(_, stat) => Some(stat.size / BYTES_PER_NAME > LARGE as u64),
            Seen::NoDir | Seen::Failed => None,
        }
    }

    /// Whether this is what was known.
    fn is_still(&self, generation: Option<Generation>, names: &Names) -> bool {
        match self {
            Seen::Dir(now, _) => generation == Some(*now),
            Seen::NoDir => matches!(names, Names::Gone),
            Seen::Failed => matches!(names, Names::Unknown),
        }
    }
}

fn names_of(listing: Result<Listing, i32>, size: u64) -> Names {
    const ENOENT: i32 = 2;
    const EPERM: i32 = 1;
    const EACCES: i32 = 13;
    const ENOTDIR: i32 = 20;
    match listing {
        Ok(listing) if listing.complete => Names::Listed(Arc::new(NameSet::new(listing.names))),
        Ok(_) => Names::Large(((size / BYTES_PER_NAME) as usize).max(LARGE)),
        Err(ENOENT | ENOTDIR) => Names::Gone,
        Err(EPERM | EACCES) => Names::Unreadable,
        Err(_) => Names::Unknown,
    }
}

fn same_names(a: &Names, b: &Names) -> bool {
    match (a, b) {
        (Names::Listed(a), Names::Listed(b)) => a == b,
        (Names::Gone, Names::Gone) | (Names::Unreadable, Names::Unreadable) => true,
        _ => false,
    }
}

fn fresh_generation(stat: &Stat) -> Option<Generation> {
    Some(Generation::of(stat)).filter(|g| !g.is_racy(now_ns()))
}

fn now_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128)
}

fn is_slow(started: Instant, operations: usize) -> bool {
    let rounds = u32::try_from(operations).unwrap_or(u32::MAX).div_ceil(WIDTH);
    started.elapsed() > SLOW * rounds.max(1)
}

/// The path with the case of its last part's letters swapped; none where it has no letter with a case.
fn with_case_swapped(path: &Path) -> Option<PathBuf> {
    let swap = |c: char| -> String {
        if c.is_lowercase() { c.to_uppercase().collect() } else { c.to_lowercase().collect() }
    };
    let name = path.file_name()?.to_str()?;
    let swapped: String = name.chars().map(swap).collect();
    (swapped != name).then(|| path.with_file_name(swapped))
}
