//! What loading a module takes from the filesystem: its source's stat and its bytecode. Only the
//! index may use it.

use std::path::Path;
use std::time::Instant;

use super::ahead::together;
use super::{Index, count};
use crate::fact::{Content, Fact, Stamp, Stat};

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
        let proposal = self.proposal(source);
        if let Some(loaded) = proposal.as_ref().and_then(|proposal| self.sealed(proposal)) {
            count(&self.counters.read_ns, began.elapsed().as_nanos() as usize);
            return Some(loaded);
        }
        let asked = [source, bytecode];
        let asked = &asked[..1 + usize::from(proposal.is_some())];
        let before = self.prober.slept();
        let is_far = proposal.is_none() && self.is_slow(source) && !self.shelf().has(bytecode);
        let ask = || self.prober.stat(asked);
        // Two waits at a time. A bytecode file that is older than its source is found out either way.
        let (facts, read) =
            if is_far { together(ask, || Some(self.read_whole(bytecode))) } else { (ask(), None) };
        if proposal.is_some() && self.has_been_slow(before, asked.len()) {
            self.meet_slow_plan(source);
        }
        let stat = facts[0].stat().copied();
        let stated = Instant::now();
        count(&self.counters.stat_ns, (stated - began).as_nanos() as usize);
        if self.may_refresh() {
            self.refresh_if_forgotten(self.prober.slept().saturating_sub(before), Some(bytecode));
        }
        let now = facts.get(1).and_then(Fact::stat);
        let content = read.unwrap_or_else(|| {
            self.fetched(bytecode, now)
                .or_else(|| self.proposed(proposal.as_ref()?, now?))
                .or_else(|| self.read_whole(bytecode))
        });
        count(&self.counters.read_ns, stated.elapsed().as_nanos() as usize);
        let loaded = Loaded { source: stat?, bytecode: content? };
        let is_news = !proposal.is_some_and(|proposal| proposal.is_of(&loaded));
        self.note_load(source, &loaded.source, bytecode, is_news);
        Some(loaded)
    }

    /// What look-ahead has fetched of this file, if that is what is there now (and `now` says, if that was asked), as
    /// far as stat(2) shows: a network filesystem that lets the kernel keep attributes for a while may show it that
    /// much later than open(2) would, as it does for the source, of which nobody but stat(2) is asked.
    fn fetched(&self, path: &Path, now: Option<&Stat>) -> Option<Content> {
        let content = self.shelf().take(path, Instant::now())?;
        let ask = || self.prober.stat(&[path]).pop()?.stat().copied();
        let now = now.copied().or_else(ask)?;
        let same = Stamp::of(&now) == Stamp::of(&content.stat);
        if same {
            count(&self.counters.ahead_used_files, 1);
            count(&self.counters.ahead_used_bytes, content.bytes.len());
        }
        same.then_some(content)
    }

    /// A source was slow to ask about, which has a table in the place of a slow listing before it.
    fn meet_slow_plan(&self, source: &Path) {
        if let (false, Some(dir)) = (self.is_replayed(), source.parent()) {
            self.meet_slow(&[self.directory(dir)]);
        }
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
