//! Working an answer out: what a name is, directory by directory. Only the index may use it.
//!
//! The rule is `FileFinder.find_spec`; what it asks by stat we take from the names of the directory wherever
//! those tell the same, and ask wherever they do not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reading::fresh_generation;
use super::{Answer, Grounds, Index, Pass, Run};
use crate::candidates::{self, Candidate, INIT};
use crate::fact::{Fact, Kind};
use crate::table::{Directory, NameSet, Names, StemHash};

/// Listing so many names costs about as much as one probed lookup: 20 where the kernel knows the candidates, 45 to 65 where
/// it has to look for them on a disk (experiments/0007-probe-or-list).
const NAMES_PER_LOOKUP: usize = 40;
/// The same where every answer is waited for: a lookup is one wait, and a listing one for each 700 names or so.
const NAMES_PER_WAIT: usize = 700;
/// Beyond this, the memory for the names is worth more than the time for the probes.
const NEVER_LISTED: usize = 100_000;

/// What a name is in one directory.
enum Verdict {
    Is(Candidate),
    Portion,
    Nothing,
    CannotTell,
}

impl Index {
    pub(super) fn work_out(
        &self,
        pass: &mut Pass,
        run: &Run,
        name: &str,
        grounds: &mut Grounds,
    ) -> Answer {
        let stem = StemHash::of(name);
        let mut portions = Vec::new();
        let digest = run.digest(self.table.epoch(), self.table.trust());
        let entries: &mut dyn Iterator<Item = usize> = match &digest {
            Some(digest) => &mut digest.entries(stem),
            None => &mut (0..run.dirs.len()),
        };
        for entry in entries {
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
            let mut state = dir.state();
            pass.tell(dir, &mut state);
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
            Names::Unread => Verdict::CannotTell,
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
        // Listing takes four waits and also serves the package's submodules; probing takes one. So does a table.
        let is_probed = unread && parent.state().slow && self.block(package).is_none();
        if unread && !is_probed {
            self.read_ahead(pass, std::slice::from_ref(package));
        }
        let names = package.state().names.clone();
        match names {
            _ if is_probed => self.probe_package(pass, package, grounds),
            Names::Listed(names) => match self.first_file(package, &names, INIT, grounds) {
                Some(suffix) => Verdict::Is(Candidate::Package(suffix)),
                None => Verdict::Portion,
            },
            Names::Gone => Verdict::Nothing,
            // Stock asks for `__init__` by stat, which needs no right to list, and no descriptor.
            Names::Large(_) | Names::Unreadable | Names::Unread => {
                self.probe_package(pass, package, grounds)
            }
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
        let before = self.prober.slept();
        let facts = self.stat(&paths);
        let slow = self.has_been_slow(before, paths.len());
        if let Some(stat) = facts[0].stat() {
            let mut state = package.state();
            if matches!(state.names, Names::Unread) {
                state.generation = fresh_generation(stat);
                state.pass = pass.id;
                state.slow = slow;
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
            return match self.list_whole(pass, dir) {
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
            return match self.list_whole(pass, dir) {
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
        about <= NEVER_LISTED && state.probed as usize > worth_listing(about, state.slow)
    }

    /// All names of a directory, however many. They are kept until it changes; then it has to earn
    /// another listing.
    fn list_whole(&self, pass: &mut Pass, dir: &Arc<Directory>) -> Option<Arc<NameSet>> {
        let before = dir.state().generation;
        let listing = self.prober.list(&[dir.path()], usize::MAX).pop()?.ok()?;
        pass.listed.push(Arc::clone(dir));
        let names = Arc::new(NameSet::new(listing.names));
        let mut state = dir.state();
        state.probed = 0;
        // Another thread may have seen a change that came after this listing.
        if state.generation == before {
            state.names = Names::Listed(Arc::clone(&names));
            self.note_listing(before, &state.names);
        }
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
}

/// After so many lookups a directory of about so many names had better be listed.
fn worth_listing(names: usize, slow: bool) -> usize {
    names / if slow { NAMES_PER_WAIT } else { NAMES_PER_LOOKUP }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_pays_sooner_where_lookups_are_waited_for() {
        assert_eq!(worth_listing(10_000, false), 250);
        assert_eq!(worth_listing(10_000, true), 14);
    }
}
