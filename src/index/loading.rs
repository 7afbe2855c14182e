//! What loading a module takes from the filesystem: its source's stat and its bytecode. Only the
//! index may use it.

use std::path::Path;
use std::time::Instant;

use super::{Index, count};
use crate::fact::{Content, Generation, Stat};

/// A bytecode file larger than this is stock's business, in bytes.
const LARGEST: u64 = 64 << 20;

/// A source, and what is said to be its bytecode.
#[derive(Debug)]
pub struct Loaded {
    /// The source as it is now.
    pub source: Stat,
    /// The bytecode file.
    pub bytecode: Content,
}

impl Index {
    /// The stat of a source and the content of its bytecode file; none where either is not there, is no
    /// regular file or cannot be had: stock finds out what to say.
    #[must_use]
    pub fn load(&self, source: &Path, bytecode: &Path) -> Option<Loaded> {
        let began = Instant::now();
        let fact = self.prober.stat(&[source]).pop()?;
        let source = fact.stat().copied();
        let stated = Instant::now();
        count(&self.counters.stat_ns, (stated - began).as_nanos() as usize);
        if self.may_look_ahead() {
            self.refresh_if_forgotten(stated - began, Some(bytecode));
        }
        let bytecode = self.fetched(bytecode).or_else(|| self.read_whole(bytecode));
        count(&self.counters.read_ns, stated.elapsed().as_nanos() as usize);
        Some(Loaded { source: source?, bytecode: bytecode? })
    }

    /// What look-ahead has fetched of this file, if that is what is there now, as far as stat(2) shows: a network
    /// filesystem that lets the kernel keep attributes for a while may show it that much later than open(2) would,
    /// as it does for the source, of which nobody but stat(2) is asked.
    fn fetched(&self, path: &Path) -> Option<Content> {
        let content = self.shelf().take(path, Instant::now())?;
        let now = self.prober.stat(&[path]).pop()?;
        let now = now.stat()?;
        let same =
            Generation::of(now) == Generation::of(&content.stat) && now.size == content.stat.size;
        if same {
            count(&self.counters.ahead_used_files, 1);
            count(&self.counters.ahead_used_bytes, content.bytes.len());
        }
        same.then_some(content)
    }

    fn read_whole(&self, path: &Path) -> Option<Content> {
        self.prober.read(&[path], LARGEST).pop()?.ok()
    }

    /// The content of a source, where only that tells whether its bytecode is still good.
    #[must_use]
    pub fn content(&self, source: &Path) -> Option<Content> {
        let began = Instant::now();
        let content = self.read_whole(source);
        count(&self.counters.read_ns, began.elapsed().as_nanos() as usize);
        content
    }
}
