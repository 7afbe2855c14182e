//! The only places where we let go of the GIL: the index at work.
//!
//! `os.fork` holds the GIL, so a fork finds every lock of the table free unless a thread is in here.
//! Then the child inherits a table that nobody will finish changing, maybe locked for ever.

use std::sync::atomic::{AtomicUsize, Ordering};

use pyo3::prelude::*;

static INSIDE: AtomicUsize = AtomicUsize::new(0);

/// Runs `work` without the GIL.
pub fn run<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            INSIDE.fetch_sub(1, Ordering::AcqRel);
        }
    }
    INSIDE.fetch_add(1, Ordering::AcqRel);
    let _leave = Leave;
    py.detach(work)
}

/// In the child of a fork, once: whether another thread was in here, which the child does not have.
pub fn was_cut_off_by_fork() -> bool {
    INSIDE.swap(0, Ordering::AcqRel) != 0
}
