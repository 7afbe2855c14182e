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

/// Bytes kept at most; beyond that nothing more is fetched.
pub const MOST_BYTES: usize = 64 << 20;
/// Names remembered at most; a program that imports endless new ones starts over.
const MOST_NAMES: usize = 1 << 16;
/// What was fetched and not wanted for so long is dropped.
const PATIENCE: Duration = Duration::from_secs(30);

/// Files in hand, and the names already looked after.
#[derive(Debug, Default)]
pub struct Shelf {
    files: HashMap<PathBuf, Content>,
    bytes: usize,
    /// When anything was put here last.
    filled: Option<Instant>,
    attempted: HashSet<String>,
    homes: HashMap<String, Arc<Run>>,
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

    /// Keeps a file until somebody asks for it; false if there is no room for more.
    pub fn put(&mut self, path: PathBuf, content: Content) -> bool {
        self.bytes += content.bytes.len();
        self.filled = Some(Instant::now());
        if let Some(former) = self.files.insert(path, content) {
            self.bytes -= former.bytes.len();
        }
        self.has_room()
    }

    /// Whether more may be fetched.
    pub fn has_room(&self) -> bool {
        self.bytes < MOST_BYTES
    }

    /// What was fetched of this file, if it was.
    pub fn take(&mut self, path: &Path) -> Option<Content> {
        if self.files.is_empty() {
            return None;
        }
        let content = self.files.remove(path);
        self.bytes -= content.as_ref().map_or(0, |content| content.bytes.len());
        if content.is_none() && self.filled.is_some_and(|filled| filled.elapsed() > PATIENCE) {
            self.files = HashMap::new();
            self.bytes = 0;
        }
        content
    }
}
