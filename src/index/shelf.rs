//! What look-ahead has fetched and nobody has asked for yet. Only the index may use it.
//!
//! Bounded in bytes, and in time: what is not wanted soon was a wrong guess. It decides nothing: whoever takes
//! something from here compares it with the filesystem before using it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Run;
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

/// Files in hand, and the names already looked after.
#[derive(Debug, Default)]
pub struct Shelf {
    files: HashMap<PathBuf, Fetched>,
    bytes: usize,
    /// When anything was put here last.
    filled: Option<Instant>,
    attempted: HashSet<String>,
    homes: HashMap<String, Arc<Run>>,
    refreshed: Option<Instant>,
    /// The kernel keeps nothing of what it is told about these files.
    never_kept: bool,
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

    /// Where the submodules of this package are looked for.
    pub fn home(&self, package: &str) -> Option<Arc<Run>> {
        self.homes.get(package).cloned()
    }

    /// A package was found: its submodules are looked for here.
    pub fn settle(&mut self, package: String, home: Arc<Run>) {
        self.homes.insert(package, home);
    }

    /// Keeps a bytecode file until somebody asks for it; false if there is no room for more.
    pub fn put(&mut self, path: PathBuf, source: PathBuf, content: Content) -> bool {
        if self.bytes + content.bytes.len() > MOST_BYTES {
            return false;
        }
        self.bytes += content.bytes.len();
        self.filled = Some(Instant::now());
        if let Some(former) = self.files.insert(path, Fetched { source, content }) {
            self.bytes -= former.content.bytes.len();
        }
        true
    }

    /// What was fetched of this file, if it was.
    pub fn take(&mut self, path: &Path) -> Option<Content> {
        if self.files.is_empty() {
            return None;
        }
        let content = self.files.remove(path).map(|fetched| fetched.content);
        self.bytes -= content.as_ref().map_or(0, |content| content.bytes.len());
        if content.is_none() && self.filled.is_some_and(|filled| filled.elapsed() > PATIENCE) {
            self.files = HashMap::new();
            self.bytes = 0;
        }
        content
    }

    /// Whether it is time to ask about everything here once more, because a question about one thing `took` so
    /// long that the kernel must have forgotten what it knew.
    pub fn is_to_be_refreshed(&mut self, took: Duration) -> bool {
        if took < FORGOTTEN || self.files.len() < WORTH_REFRESHING || self.never_kept {
            return false;
        }
        let since = self.refreshed.or(self.filled).map(|moment| moment.elapsed());
        if since.is_some_and(|since| since < KEPT) {
            // It forgets at once: refreshing is in vain.
            self.never_kept = self.refreshed.is_some();
            return false;
        }
        self.refreshed = Some(Instant::now());
        true
    }

    /// Every source and bytecode file here.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().flat_map(|(path, file)| [path.clone(), file.source.clone()]).collect()
    }
}
