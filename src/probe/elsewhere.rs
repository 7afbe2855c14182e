//! The system's own means where it has none: the twin of `linux/`, with the same functions.

/// Processor time.
pub(super) mod cpu {
    use std::time::Duration;

    /// Not known.
    pub(in super::super) fn used() -> Option<Duration> {
        None
    }
}

/// Threads that slept.
pub(super) mod naps {
    /// Not known: every slow call counts as one that slept.
    pub(in super::super) fn count() -> Option<isize> {
        None
    }
}

/// io_uring.
pub(super) mod uring {
    use std::path::Path;

    use crate::fact::{Content, Fact};

    /// # Errors
    /// Always: there is no io_uring here.
    pub(in super::super) fn availability() -> Result<(), String> {
        Err("io_uring is not part of this build: it needs Linux".into())
    }

    /// Answers nothing.
    pub(in super::super) fn stat(
        _paths: &[&Path],
        _workers: Option<usize>,
        _facts: &mut [Option<Fact>],
    ) {
    }

    /// Reads nothing.
    pub(in super::super) fn read(
        _paths: &[&Path],
        _limit: u64,
        _contents: &mut [Option<Result<Content, i32>>],
    ) {
    }
}
