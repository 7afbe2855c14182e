//! Asking the filesystem: a batch of paths in, a fact each out.
//!
//! One contract, three engines: `serial` (the portable one, and the oracle for the others),
//! `threads` and `uring`; [`Prober`] holds the choice between them.

mod list;
mod serial;

use std::path::Path;

use crate::fact::Fact;
pub use list::Listing;

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One plain system call after the other, on the calling thread.
    Serial,
    /// Plain system calls on a bounded set of threads that end with the batch.
    Threads,
    /// `IORING_OP_STATX` on a ring that lives for the batch.
    Uring,
}

/// Which engine the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Backend {
    /// Whatever the measured latency of this very batch asks for.
    #[default]
    Auto,
    /// This one; where it is not usable here, the portable one.
    Only(Engine),
}

/// How many questions went out, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches asked.
    pub batches: u64,
    /// Paths asked by the serial engine.
    pub serial: u64,
    /// Paths asked by threads.
    pub threads: u64,
    /// Paths asked through a ring.
    pub uring: u64,
    /// Directories listed.
    pub listings: u64,
}

/// Asks batches, by the engine that suits.
#[derive(Debug, Default)]
pub struct Prober {
    backend: Backend,
}

impl Prober {
    /// A prober that follows the user's choice of engine.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self { backend }
    }

    /// `stat(2)` of every path, in order: one fact each.
    #[must_use]
    pub fn stat(&self, paths: &[&Path]) -> Vec<Fact> {
        let _ = self.backend;
        serial::stat(paths)
    }

    /// The names in every directory, in order, `limit` names at the most in each; or the errno.
    #[must_use]
    pub fn list(&self, dirs: &[&Path], limit: usize) -> Vec<Result<Listing, i32>> {
        dirs.iter().map(|dir| list::list(dir, limit)).collect()
    }
}
