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
    content: Content,
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
        self.filled = Some(now);
        if let Some(former) = self.files.insert(path, Fetched { source, content }) {
            self.bytes -= former.content.bytes.len();
        }
        true
    }

    /// What was fetched of this file, if it was. If it was not, and nothing has been put here for long, the rest
    /// goes, and may be looked after again.
    pub fn take(&mut self, path: &Path, now: Instant) -> Option<Content> {
        if self.files.is_empty() {
            return None;
        }
        let Some(Fetched { content, .. }) = self.files.remove(path) else {
            if self.filled.is_some_and(|filled| now.duration_since(filled) > PATIENCE) {
                *self = Self::default();
            }
            return None;
        };
        self.bytes -= content.bytes.len();
        Some(content)
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
