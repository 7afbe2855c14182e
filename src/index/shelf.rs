//! What look-ahead has fetched and nobody has asked for yet. Only the index may use it.
//!
//! Bounded in bytes, and in time: what is not wanted soon was a wrong guess. It decides nothing: whoever takes
//! something from here compares it with the filesystem before using it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

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

/// Files in hand, and the names already looked after. Hashed without a seed, which would be asked for at every start.
#[derive(Debug, Default)]
pub struct Shelf {
    files: FxHashMap<PathBuf, Fetched>,
    bytes: usize,
    /// When anything was put here last.
    filled: Option<Instant>,
    attempted: FxHashSet<String>,
    homes: FxHashMap<String, Dirs>,
    /// The least age at which a file was forgotten.
    lasts: Option<Duration>,
    /// When files were asked about once more.
    asked: Option<Instant>,
    /// How often a file was slow to be asked about although that was just refreshed.
    in_vain: u32,
}

/// A bytecode file in hand, and the source it is of.
#[derive(Debug)]
struct Fetched {
    source: PathBuf,
    /// None where it need not be fetched, but will be asked about.
    content: Option<Content>,
    /// When the kernel was told of it last.
    asked: Instant,
    /// Whether that was for the kernel to know it, after it had forgotten.
    is_refreshed: bool,
}

impl Fetched {
    fn len(&self) -> usize {
        self.content.as_ref().map_or(0, |content| content.bytes.len())
    }

    fn age(&self, now: Instant) -> Duration {
        now.duration_since(self.asked)
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

    /// Keeps a bytecode file, `asked` about then, until somebody asks for it; false if there is no room for more.
    pub fn put(
        &mut self,
        path: PathBuf,
        source: PathBuf,
        content: Content,
        asked: Instant,
    ) -> bool {
        if content.bytes.len() as u64 > self.room() {
            return false;
        }
        self.bytes += content.bytes.len();
        self.insert(path, source, Some(content), asked);
        true
    }

    /// Somebody will ask about this file, and about its source; its content is had elsewhere.
    pub fn expect(&mut self, path: PathBuf, source: PathBuf, asked: Instant) {
        self.insert(path, source, None, asked);
    }

    fn insert(&mut self, path: PathBuf, source: PathBuf, content: Option<Content>, asked: Instant) {
        self.filled = Some(asked);
        let file = Fetched { source, content, asked, is_refreshed: false };
        if let Some(former) = self.files.insert(path, file) {
            self.bytes -= former.len();
        }
    }

    /// Whether this file is here, or expected.
    pub fn has(&self, path: &Path) -> bool {
        self.files.contains_key(path)
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

    /// What to ask about once more, because a question had us sleep for so long that the kernel must have forgotten what it
    /// knew: one about this file, or about directories. Every bytecode file and source here that it may have forgotten too,
    /// and the directories that sources lie in: finding them asks for those. Of a file that is not here it never knew
    /// anything. How long it knows something, files show that turn out to be forgotten.
    ///
    /// What it still knows it answers itself, and forgets as soon as it would have. So [`Shelf::refreshed`] has to be
    /// told what was waited for.
    pub fn forgotten(
        &mut self,
        slept: Duration,
        file: Option<&Path>,
        now: Instant,
    ) -> Vec<PathBuf> {
        if slept < FORGOTTEN || self.in_vain >= MOST_IN_VAIN {
            return Vec::new();
        }
        match file.map(|file| self.files.get(file)) {
            Some(None) => return Vec::new(),
            Some(Some(known)) if known.age(now) < KEPT => {
                self.in_vain += u32::from(known.is_refreshed);
                return Vec::new();
            }
            Some(Some(known)) => {
                let age = known.age(now);
                self.lasts = Some(self.lasts.map_or(age, |lasts| lasts.min(age)));
            }
            None => {}
        }
        let is_just_asked = self.asked.is_some_and(|asked| now.duration_since(asked) < KEPT);
        if self.lasts.is_none() && is_just_asked {
            return Vec::new();
        }
        let least = self.lasts.unwrap_or(KEPT);
        let old: Vec<_> = self.files.iter().filter(|(_, file)| file.age(now) >= least).collect();
        if old.len() < WORTH_REFRESHING {
            return Vec::new();
        }
        self.asked = Some(now);
        let dirs: FxHashSet<&Path> = old.iter().filter_map(|(_, f)| f.source.parent()).collect();
        let files = old.iter().flat_map(|(path, file)| [path.as_path(), &*file.source]);
        files.chain(dirs).map(Path::to_owned).collect()
    }

    /// These were `asked` about, and waited for: the kernel had forgotten them, and knows them again. A file of which it
    /// knew one path still, it will forget soon.
    pub fn refreshed(&mut self, waited: &FxHashSet<&Path>, asked: Instant) {
        for (path, file) in &mut self.files {
            if waited.contains(path.as_path()) && waited.contains(file.source.as_path()) {
                (file.asked, file.is_refreshed) = (asked, true);
            }
        }
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

    /// How many paths are asked about once more, and all of them waited for.
    fn asks(shelf: &mut Shelf, slept: Duration, file: Option<&str>, at: Instant) -> usize {
        let paths = shelf.forgotten(slept, file.map(Path::new), at);
        shelf.refreshed(&paths.iter().map(PathBuf::as_path).collect(), at);
        paths.len()
    }

    #[test]
    fn everything_old_is_asked_for_when_the_kernel_forgot() {
        let began = Instant::now();
        let mut shelf = full(began);
        let mut all = |slept, at| asks(&mut shelf, slept, None, began + at);
        assert_eq!(all(Duration::from_micros(100), SECOND), 0, "that was quick");
        assert_eq!(all(SLOW, KEPT / 2), 0, "it cannot have forgotten yet");
        assert_eq!(all(SLOW, SECOND), 9, "four files, their sources and the directory of these");
        assert_eq!(all(SLOW, SECOND + KEPT / 2), 0, "just done");
        assert_eq!(all(SLOW, 2 * SECOND), 9);
        shelf.put("e".into(), "/d/e".into(), content(1), began + 3 * SECOND);
        let mut all = |at| asks(&mut shelf, SLOW, None, began + at);
        assert_eq!(all(3 * SECOND + KEPT / 2), 9, "but for what was just fetched");
        assert_eq!(all(3 * SECOND + KEPT), 0, "that is one file");
        assert_eq!(all(4 * SECOND), 11);
    }

    #[test]
    fn how_long_something_is_known_shows_when_a_file_is_forgotten() {
        let began = Instant::now();
        let mut shelf = full(began);
        let later = Duration::from_millis(300);
        for name in ["e", "f", "g", "h"] {
            shelf.put(name.into(), Path::new("/e").join(name), content(1), began + later);
        }
        let mut asks = |file, at| asks(&mut shelf, SLOW, file, began + at);
        assert_eq!(asks(Some("a"), SECOND), 9, "four files, their sources, a directory");
        assert_eq!(asks(None, SECOND + later / 2), 0, "the others are still known");
        assert_eq!(asks(Some("e"), SECOND + later), 9, "now they are not");
        assert_eq!(asks(None, 2 * SECOND), 9);
        assert_eq!(asks(None, 2 * SECOND + later), 9);
    }

    /// Nobody has seen yet how long that takes, so everything is asked about, and most of it in vain.
    #[test]
    fn what_the_kernel_still_knew_is_asked_about_when_it_forgets() {
        let began = Instant::now();
        let mut shelf = shelf(&["a", "b", "c", "d", "e"], began);
        let at = began + SECOND;
        assert_eq!(shelf.forgotten(SLOW, None, at).len(), 11);
        shelf.refreshed(&["a", "/d/a", "b", "/d/c"].map(Path::new).into_iter().collect(), at);
        let soon = at + KEPT / 2;
        assert_eq!(asks(&mut shelf, SLOW, Some("b"), soon), 9, "all but a");
        assert_eq!(asks(&mut shelf, SLOW, Some("b"), soon), 0);
    }

    #[test]
    fn few_files_are_not_worth_it() {
        let began = Instant::now();
        let mut shelf = shelf(&["a", "b", "c"], began);
        assert!(shelf.forgotten(SLOW, None, began + SECOND).is_empty());
    }

    /// It is slow to ask for the first time, and for a directory that nobody has refreshed.
    #[test]
    fn only_a_file_that_was_refreshed_shows_that_refreshing_is_in_vain() {
        let began = Instant::now();
        let mut shelf = full(began);
        let at = |round: u32| began + SECOND * round;
        let here = Some("a");
        for _ in 0..9 {
            assert_eq!(asks(&mut shelf, SLOW, here, began + KEPT / 2), 0, "just fetched");
        }
        for round in 1..9 {
            assert_eq!(asks(&mut shelf, SLOW, Some("x"), at(round)), 0);
            assert_ne!(asks(&mut shelf, SLOW, None, at(round)), 0, "{round}");
            assert_eq!(asks(&mut shelf, SLOW, None, at(round) + KEPT / 2), 0);
        }
        for round in 10..10 + MOST_IN_VAIN {
            assert_ne!(asks(&mut shelf, SLOW, here, at(round)), 0, "{round}");
            assert_eq!(asks(&mut shelf, SLOW, here, at(round) + KEPT / 2), 0);
        }
        assert_eq!(asks(&mut shelf, SLOW, here, at(99)), 0);
    }

    #[test]
    fn what_is_asked_for_are_files_sources_and_their_directories() {
        let began = Instant::now();
        let mut paths = full(began).forgotten(SLOW, None, began + SECOND);
        paths.sort();
        let all = ["/d", "/d/a", "/d/b", "/d/c", "/d/d", "a", "b", "c", "d"];
        assert_eq!(paths, all.map(PathBuf::from));
    }

    #[test]
    fn what_is_expected_is_asked_about_and_takes_no_room() {
        let began = Instant::now();
        let mut shelf = full(began);
        let room = shelf.room();
        shelf.expect("e".into(), "/e/e".into(), began);
        assert_eq!(shelf.room(), room);
        assert_eq!(asks(&mut shelf, SLOW, None, began + SECOND), 12);
        assert_eq!(shelf.take(Path::new("e"), began), None);
        assert_eq!(asks(&mut shelf, SLOW, None, began + 2 * SECOND), 9);
    }
}
