//! Reading directories, and reading them again when they have changed. Only the index may use it.
//!
//! A listing belongs to the generation of its directory that was taken *before* it, so that a change in
//! between shows at the next check.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Index, LookAhead, Pass, count};
use crate::fact::{Fact, Generation, Stat};
use crate::probe::{CASE_SENSITIVE, Listing};
use crate::table::{Directory, NameSet, Names};

/// A directory with more names than this is not listed to answer one lookup, as stock would: listing 8,192 names takes almost
/// three milliseconds, asking for six candidates some six microseconds (experiments/0007-probe-or-list).
/// Where case is folded, only a listing shows how a name is spelled, so there every one is listed.
const LARGE: usize = if CASE_SENSITIVE { 8_192 } else { usize::MAX };
/// A lower bound of the bytes a name takes in a directory's `st_size`, where that grows with it.
const BYTES_PER_NAME: u64 = 32;
/// A filesystem whose operations make us sleep for longer than this is slow.
const SLOW: Duration = Duration::from_micros(200);

impl Index {
    /// For each of these, whether it is a directory: one batch.
    #[must_use]
    pub fn identify(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) -> Vec<bool> {
        pass.learnt = true;
        let is_sealed: Vec<bool> = dirs.iter().map(|dir| self.is_sealed(dir)).collect();
        let asked = dirs.iter().zip(&is_sealed).filter(|(_, is_sealed)| !**is_sealed);
        let asked: Vec<_> = asked.map(|(dir, _)| Arc::clone(dir)).collect();
        let before = self.prober.slept();
        let mut facts = self.stat_dirs(&asked).into_iter();
        let slow = self.has_been_slow(before, asked.len());
        let mut note = |(dir, is_sealed): (&Arc<Directory>, &bool)| {
            let Some(fact) = (if *is_sealed { None } else { facts.next() }) else { return true };
            let mut state = dir.state();
            if Seen::of(fact).is_still(state.generation, &state.names) {
                state.pass = pass.id;
            } else if let (Names::Unread, true) = (&state.names, fact.is_dir()) {
                state.seen = fact.stat().copied();
                state.pass = pass.id;
            }
            fact.is_dir()
        };
        let are_dirs = dirs.iter().zip(&is_sealed).map(&mut note).collect();
        if slow {
            self.meet_slow(&asked);
        }
        are_dirs
    }

    /// Whether all of these are directories, as far as this pass has not just seen it: one batch.
    #[must_use]
    pub fn are_directories(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) -> bool {
        let unseen: Vec<_> =
            dirs.iter().filter(|dir| dir.state().pass != pass.id).cloned().collect();
        let seen = |dir: &Arc<Directory>| !matches!(dir.state().names, Names::Gone);
        dirs.iter().all(seen)
            && (unseen.is_empty() || self.identify(pass, &unseen).into_iter().all(|is| is))
    }

    /// Reads the first of `dirs`, and as many unread ones behind it as this pass deems good: one more
    /// each time on a fast filesystem, all of them at once on a slow one.
    pub(super) fn read_ahead(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) {
        pass.learnt = true;
        let trust = self.table.trust();
        let unread = |dir: &&Arc<Directory>| {
            let state = dir.state();
            matches!(state.names, Names::Unread) || state.trust != trust
        };
        let chunk: Vec<_> = dirs.iter().filter(unread).take(pass.chunk).cloned().collect();
        let slow = self.read_and_time(pass, &chunk);
        pass.chunk = if slow { usize::MAX } else { pass.chunk.saturating_mul(2) };
    }

    /// Reads these directories, and notes whether their filesystem is slow.
    pub(super) fn read_and_time(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) -> bool {
        let before = self.prober.slept();
        self.read(pass, dirs);
        let slow = self.has_been_slow(before, dirs.len());
        if slow {
            self.meet_slow(dirs);
        }
        slow
    }

    /// These directories were slow to answer.
    pub(super) fn meet_slow(&self, dirs: &[Arc<Directory>]) {
        for dir in dirs {
            dir.state().slow = true;
        }
        self.met_slow.store(true, Ordering::Relaxed);
        self.replay(dirs);
    }

    /// Whether any directory was slow to read so far.
    pub(super) fn has_met_slow(&self) -> bool {
        self.met_slow.load(Ordering::Relaxed)
    }

    /// Whether so many operations, the first of them when calls had slept for `before`, slept longer than a fast
    /// filesystem lets them. Time that other processes took is none of its.
    pub(super) fn has_been_slow(&self, before: Duration, operations: usize) -> bool {
        let slept = self.prober.slept().saturating_sub(before);
        slept > SLOW * u32::try_from(operations).unwrap_or(u32::MAX)
    }

    /// Whether look-ahead may be worth something: any directory was slow to read so far, and no plan says what is
    /// to come.
    #[must_use]
    pub fn may_look_ahead(&self) -> bool {
        self.may_refresh() && !self.is_planned()
    }

    /// Whether anything may be expected that the kernel could forget.
    pub(super) fn may_refresh(&self) -> bool {
        match self.ahead {
            LookAhead::Never => false,
            LookAhead::WhereSlow => self.has_met_slow(),
            LookAhead::Always => true,
        }
    }

    /// Whether look-ahead from this file may be worth something.
    #[must_use]
    pub fn is_worth_looking_ahead(&self, file: &Path) -> bool {
        self.may_look_ahead() && (self.ahead == LookAhead::Always || self.is_slow(file))
    }

    /// Whether the directory in which this file lies was slow to read.
    pub(super) fn is_slow(&self, file: &Path) -> bool {
        self.has_met_slow() && file.parent().is_some_and(|dir| self.directory(dir).state().slow)
    }

    /// Reads these directories: their generations in one batch, then their names in one.
    fn read(&self, pass: &mut Pass, dirs: &[Arc<Directory>]) {
        let unsealed = dirs.iter().filter(|dir| !self.take_sealed(pass, dir));
        let dirs: &[Arc<Directory>] = &unsealed.cloned().collect::<Vec<_>>();
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

    /// Takes this directory's names from a sealed table, if there is one that has it.
    fn take_sealed(&self, pass: &mut Pass, dir: &Arc<Directory>) -> bool {
        let Some(names) = self.sealed_names(dir) else { return false };
        pass.listed.push(Arc::clone(dir));
        let names = Names::Listed(Arc::new(names));
        self.publish(dir, pass, self.table.trust(), None, names);
        true
    }

    /// Reads the names of these directories, whose generations have just been `seen`.
    fn read_names(&self, pass: &mut Pass, dirs: &[Arc<Directory>], seen: &[Seen]) {
        let trust = self.table.trust();
        let now = now_ns();
        for huge in [false, true] {
            let chosen: Vec<_> =
                dirs.iter().zip(seen).filter(|(_, s)| s.is_huge() == Some(huge)).collect();
            let known: Vec<_> = chosen.iter().map(|(dir, seen)| self.known(dir, seen)).collect();
            let unknown = chosen.iter().zip(&known).filter(|(_, known)| known.is_none());
            let paths: Vec<_> = unknown.map(|((dir, _), _)| dir.path()).collect();
            // Of a huge one, the first name tells whether we may read it.
            let mut listings = self.prober.list(&paths, if huge { 1 } else { LARGE }).into_iter();
            let shut = self.are_shut(&chosen);
            for (((dir, seen), known), is_shut) in chosen.into_iter().zip(known).zip(shut) {
                let Seen::Dir(generation, stat) = seen else { continue };
                pass.listed.push(Arc::clone(dir));
                let is_known = known.is_some();
                let names = known.or_else(|| Some(names_of(listings.next()?, stat.size)));
                let names = if is_shut { Names::Unreadable } else { names.unwrap_or_default() };
                // What was away when it was to be listed may be back in this very generation.
                let was_there = !matches!(names, Names::Gone);
                let generation = Some(*generation).filter(|g| was_there && !g.is_racy(now));
                if !is_known {
                    self.note_listing(generation, &names);
                }
                self.publish(dir, pass, trust, generation, names);
            }
        }
        for (dir, seen) in dirs.iter().zip(seen) {
            let names = match seen {
                Seen::Dir(..) => continue,
                Seen::NoDir => Names::Gone,
                Seen::Failed => Names::Unread,
            };
            self.publish(dir, pass, trust, None, names);
        }
    }

    /// What another process has found in this directory, of which this was just `seen`.
    fn known(&self, dir: &Directory, seen: &Seen) -> Option<Names> {
        let Seen::Dir(generation, stat) = seen else { return None };
        Some(Names::Listed(Arc::new(self.names_of_others(dir, generation, stat)?)))
    }

    /// For each directory, whether nothing in it can be reached, though it may be listed: then stock's stat
    /// of every candidate fails. Where everybody may search one, there is nothing to ask.
    fn are_shut(&self, dirs: &[(&Arc<Directory>, &Seen)]) -> Vec<bool> {
        const SEARCH: u32 = 0o111;
        let is_doubtful =
            |seen: &Seen| matches!(seen, Seen::Dir(_, stat) if stat.mode & SEARCH != SEARCH);
        let doubtful = dirs.iter().filter(|(_, seen)| is_doubtful(seen));
        let within: Vec<_> = doubtful.map(|(dir, _)| dir.path().join(".")).collect();
        let mut reached = self.stat(&within).into_iter().map(|fact| fact.is_dir());
        dirs.iter().map(|(_, seen)| is_doubtful(seen) && reached.next() != Some(true)).collect()
    }

    /// Keeps what was read. If it differs from what was known, earlier answers no longer count: that is
    /// said before the lock is let go, so that nobody finds the new generation in the old epoch.
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
        if !first && !same {
            count(&self.counters.stale, 1);
            self.table.changed();
        }
    }

    /// Compares these directories with the filesystem in one batch and reads again what differs; a
    /// new epoch begins if names are not as they were.
    pub(super) fn revalidate(&self, pass: &mut Pass, mut dirs: Vec<Arc<Directory>>) {
        dirs.retain(|dir| dir.state().pass != pass.id && !self.is_sealed(dir));
        let facts = self.stat_again(&dirs);
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
            pass.learnt = true;
            self.read_names(pass, &changed, &seen);
        }
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
            Seen::Failed => matches!(names, Names::Unread),
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
        Err(_) => Names::Unread,
    }
}

fn same_names(a: &Names, b: &Names) -> bool {
    match (a, b) {
        (Names::Listed(a), Names::Listed(b)) => a == b,
        (Names::Gone, Names::Gone) | (Names::Unreadable, Names::Unreadable) => true,
        _ => false,
    }
}

pub(super) fn fresh_generation(stat: &Stat) -> Option<Generation> {
    Some(Generation::of(stat)).filter(|g| !g.is_racy(now_ns()))
}

pub(super) fn now_ns() -> i128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128)
}
