//! A batch by a number of threads that was chosen beforehand.
//!
//! For [`super::Prober::with_width`]: what measurements compare with `crew`, which chooses by itself.
//! It refuses to look at the clock, and where a thread cannot be started, the others do its work.

use std::path::Path;
use std::sync::Mutex;
use std::thread::Builder;

use super::serial;
use crate::fact::Fact;

/// Paths that a thread takes at a time, at the most: few enough for all to end at about the same time.
const CHUNK: usize = 16;

/// Enough for a `stat` and a signal frame; only what is touched becomes memory.
const STACK: usize = 256 << 10;

/// One fact per path, in order, by so many threads at the most, the calling one among them.
pub(super) fn stat(paths: &[&Path], width: usize) -> Vec<Fact> {
    let width = width.clamp(1, paths.len().max(1));
    let size = (paths.len() / (4 * width)).clamp(1, CHUNK);
    let mut facts = vec![Fact::Absent; paths.len()];
    let chunks = Mutex::new(paths.chunks(size).zip(facts.chunks_mut(size)));
    let take = || chunks.lock().ok().and_then(|mut chunks| chunks.next());
    let work = || {
        while let Some((paths, facts)) = take() {
            facts.copy_from_slice(&serial::stat(paths));
        }
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(width - 1);
        for _ in 1..width {
            let builder = Builder::new().name("fastpath-probe".into()).stack_size(STACK);
            threads.extend(builder.spawn_scoped(scope, work));
        }
        work();
        // The scope itself would wait for their last line only, not until they are gone.
        for thread in threads {
            let _ = thread.join();
        }
    });
    facts
}
