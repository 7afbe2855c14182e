//! What look-ahead has fetched and nobody has asked for yet. Only the index may use it.
//!
//! Bounded in bytes, and in time: what is not wanted soon was a wrong guess. It decides nothing: whoever takes
//! something from here compares it with the filesystem before using it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::ahead::Dirs;
use crate::fact::Content;

/// Bytes kept at most.
const MOST_BYTES: usize = 64 << 20;
/// Names remembered at most; a program that imports endless new ones starts over.
const MOST_NAMES: usize = 1 << 16;
/// What was fetched and not wanted for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(30);

/// A question that took longer than this was not answered by what the kernel keeps.
const FORGOTTEN: Duration = Duration::from_micros(200);
/// What the kernel keeps for less is as good as not kept: network filesystems begin with a second.
const KEPT: Duration = Duration::from_millis(200);
/// For fewer files it is not worth asking about all.
const WORTH_REFRESHING: usize = 4;
/// After so many times in vain nobody asks again. Once or twice may be a busy machine.
const MOST_IN_VAIN: u32 = 3;

/// Files in hand, and the names already looked after.
#[derive(Debug, Default)]
pub struct Shelf {
    files: HashMap<PathBuf, Fetched>,
    bytes: usize,
    /// When anything was put here last.
    filled: Option<Instant>,
    attempted: HashSet<String>,
    homes: HashMap<String, Dirs>,
    refreshed: Option<Instant>,
    /// How often a file was slow to be asked about although that was just refreshed.
    in_vain: u32,
}

/// A bytecode file in hand, and the source it is of.
#[derive(Debug)]
struct Fetched {
    source: PathBuf,
    /// None where it need not be fetched, but will be asked about.
    content: Option<Content>,
}

impl Fetched {
    fn len(&self) -> usize {
        self.content.as_ref().map_or(0, |content| content.bytes.len())
    }
}

impl Shelf {
    /// Whether this name is looked after for the first time; from then on it is not.
    pub fn is_new(&mut self, name: &str) -> bool {
        if self.attempted.len() >= MOST_NAMES {
            self.attempted.clear();
            self.homes.clear();
        }
        !self.attempted.contains(name) && self.attempted.insert(name.to_owned())
    }

    /// Nobody looks after these names after all.
    pub fn forget(&mut self, names: &[String]) {
        for name in names {
            self.attempted.remove(name);
        }
    }

    /// Where the submodules of this package are looked for.
    pub fn home(&self, package: &str) -> Option<Dirs> {
        self.homes.get(package).cloned()
    }

    /// A package was found: its submodules are looked for here.
    pub fn settle(&mut self, package: String, home: Dirs) {
        self.homes.insert(package, home);
    }

    /// How many bytes more may be put here.
    pub fn room(&self) -> u64 {
        (MOST_BYTES - self.bytes) as u64
    }

    /// Keeps a bytecode file until somebody asks for it; false if there is no room for more.
    pub fn put(&mut self, path: PathBuf, source: PathBuf, content: Content, now: Instant) -> bool {
        if content.bytes.len() as u64 > self.room() {
            return false;
        }
        self.bytes += content.bytes.len();
        self.insert(path, Fetched { source, content: Some(content) }, now);
        true
    }

    /// Somebody will ask about this file, and about its source; its content is had elsewhere.
    pub fn expect(&mut self, path: PathBuf, source: PathBuf, now: Instant) {
        self.insert(path, Fetched { source, content: None }, now);
    }

    fn insert(&mut self, path: PathBuf, file: Fetched, now: Instant) {
        self.filled = Some(now);
        if let Some(former) = self.files.insert(path, file) {
            self.bytes -= former.len();
        }
    }

    /// What was fetched of this file, if it was. If it was not, and nothing has been put here for long, the rest
    /// goes, and may be looked after again.
    pub fn take(&mut self, path: &Path, now: Instant) -> Option<Content> {
        if self.files.is_empty() {
            return None;
        }
        let Some(file) = self.files.remove(path) else {
            if self.filled.is_some_and(|filled| now.duration_since(filled) > PATIENCE) {
                *self = Self::default();
            }
            return None;
        };
        self.bytes -= file.len();
        file.content
    }

    /// Whether it is time to ask about everything here once more, because a question took so long that the kernel
    /// must have forgotten what it knew: one about this file, or about directories. Of a file that is not here it
    /// never knew anything.
    pub fn is_to_be_refreshed(
        &mut self,
        took: Duration,
        file: Option<&Path>,
        now: Instant,
    ) -> bool {
        if took < FORGOTTEN
            || self.files.len() < WORTH_REFRESHING
            || self.in_vain >= MOST_IN_VAIN
            || file.is_some_and(|file| !self.files.contains_key(file))
        {
            return false;
        }
        let asked = self.refreshed.max(self.filled);
        if asked.is_some_and(|asked| now.duration_since(asked) < KEPT) {
            let forgets_at_once = file.is_some() && asked == self.refreshed;
            self.in_vain += u32::from(forgets_at_once);
            return false;
        }
        self.refreshed = Some(now);
        true
    }

    /// Every source and bytecode file here, and the directories that sources lie in: finding them asks for those.
    pub fn paths(&self) -> Vec<PathBuf> {
        let dirs: HashSet<&Path> = self.files.values().filter_map(|f| f.source.parent()).collect();
        let files = self.files.iter().flat_map(|(path, file)| [&**path, &*file.source]);
        files.chain(dirs).map(Path::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Stat;

    const SLOW: Duration = Duration::from_millis(1);
    const SECOND: Duration = Duration::from_secs(1);

    fn content(bytes: usize) -> Content {
        Content { stat: Stat::default(), bytes: vec![0; bytes].into() }
    }

    /// A shelf on which these were put.
    fn shelf(names: &[&str], now: Instant) -> Shelf {
        let mut shelf = Shelf::default();
        for name in names {
            assert!(shelf.is_new(name));
            let source = Path::new("/d").join(name);
            assert!(shelf.put(PathBuf::from(name), source, content(100), now));
        }
        shelf
    }

    fn full(now: Instant) -> Shelf {
        shelf(&["a", "b", "c", "d"], now)
    }

    #[test]
    fn room_is_what_is_left() {
        let now = Instant::now();
        let mut shelf = shelf(&["a"], now);
        assert!(!shelf.put("b".into(), "".into(), content(MOST_BYTES - 99), now));
        assert!(shelf.put("b".into(), "".into(), content(MOST_BYTES - 100), now));
        assert_eq!(shelf.room(), 0);
        assert_eq!(shelf.take(Path::new("a"), now), Some(content(100)));
        assert!(shelf.put("a".into(), "".into(), content(60), now));
        assert!(shelf.put("a".into(), "".into(), content(40), now), "in its own place");
        assert_eq!(shelf.room(), 60);
    }

    #[test]
    fn what_is_not_wanted_for_long_goes_and_may_be_looked_after_again() {
        let now = Instant::now();
        let mut shelf = shelf(&["a", "b"], now);
        shelf.settle("a".into(), [].into());
        assert_eq!(shelf.take(Path::new("x"), now + PATIENCE), None);
        assert!(!shelf.is_new("a") && shelf.home("a").is_some());
        let late = now + PATIENCE + SECOND;
        assert_eq!(shelf.take(Path::new("a"), late), Some(content(100)), "wanted after all");
        assert_eq!(shelf.take(Path::new("x"), late), None);
        assert_eq!(shelf.take(Path::new("b"), late), None);
        assert_eq!(shelf.room(), MOST_BYTES as u64);
        assert!(shelf.is_new("a") && shelf.home("a").is_none());
    }

    #[test]
    fn names_are_bounded_and_may_be_given_back() {
        let mut shelf = Shelf::default();
        assert!(shelf.is_new("x") && !shelf.is_new("x"));
        shelf.forget(&["x".into(), "y".into()]);
        assert!(shelf.is_new("x"));
        (0..2 * MOST_NAMES).for_each(|at| assert!(shelf.is_new(&at.to_string())));
        assert!(shelf.attempted.len() <= MOST_NAMES);
    }

    #[test]
    fn everything_is_asked_for_when_the_kernel_forgot() {
        let began = Instant::now();
        let mut shelf = full(began);
        let mut asks = |took, at| shelf.is_to_be_refreshed(took, None, began + at);
        assert!(!asks(Duration::from_micros(100), SECOND), "that was quick");
        assert!(!asks(SLOW, KEPT / 2), "it cannot have forgotten yet");
        assert!(asks(SLOW, SECOND));
        assert!(!asks(SLOW, SECOND + KEPT / 2), "just done");
        assert!(asks(SLOW, 2 * SECOND));
        shelf.put("e".into(), "".into(), content(1), began + 3 * SECOND);
        let mut asks = |at| shelf.is_to_be_refreshed(SLOW, None, began + at);
        assert!(!asks(3 * SECOND + KEPT / 2), "something was just fetched");
        assert!(asks(4 * SECOND));
    }

    #[test]
    fn few_files_are_not_worth_it() {
        let began = Instant::now();
        let mut shelf = shelf(&["a", "b", "c"], began);
        assert!(!shelf.is_to_be_refreshed(SLOW, None, began + SECOND));
    }

    /// It is slow to ask for the first time, and for a directory that nobody has refreshed.
    #[test]
    fn only_a_file_that_is_here_shows_that_refreshing_is_in_vain() {
        let began = Instant::now();
        let mut shelf = full(began);
        let at = |round: u32| began + SECOND * round;
        for round in 1..9 {
            assert!(!shelf.is_to_be_refreshed(SLOW, Some(Path::new("x")), at(round)));
            assert!(shelf.is_to_be_refreshed(SLOW, None, at(round)), "{round}");
            assert!(!shelf.is_to_be_refreshed(SLOW, None, at(round) + KEPT / 2));
        }
        let here = Some(Path::new("a"));
        for round in 10..10 + MOST_IN_VAIN {
            assert!(shelf.is_to_be_refreshed(SLOW, here, at(round)), "{round}");
            assert!(!shelf.is_to_be_refreshed(SLOW, here, at(round) + KEPT / 2));
        }
        assert!(!shelf.is_to_be_refreshed(SLOW, here, at(99)));
    }

    #[test]
    fn what_is_asked_for_are_files_sources_and_their_directories() {
        let mut paths = shelf(&["a", "b"], Instant::now()).paths();
        paths.sort();
        assert_eq!(paths, ["/d", "/d/a", "/d/b", "a", "b"].map(PathBuf::from));
    }
}
