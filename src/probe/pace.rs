//! How long calls make their thread wait.
//!
//! For `crew`. It only measures; what to do about a slow call is decided there.
//!
//! A call counts as waiting only if its thread *slept* in it: one that was merely preempted, or
//! that was busy all the time (a listing of many names), would not come back sooner for having
//! company, and on a loaded machine such calls are common.

use std::time::{Duration, Instant};

use super::system;

/// Calls shorter than this are quick, and cost no second look: several times what a plain call
/// on a local filesystem takes, and well below what a disk or a network needs.
const QUICK: Duration = Duration::from_micros(20);

/// Times the calls of one thread, one after the other.
pub(super) struct Pace {
    last: Instant,
    naps: Option<isize>,
}

impl Pace {
    /// The first call begins now, on this thread.
    pub(super) fn start() -> Self {
        Self { naps: system::naps::count(), last: Instant::now() }
    }

    /// The call that began at the last lap has ended: how long it waited, in nanoseconds; 0 if
    /// it was quick or never slept. The next call begins now.
    #[inline]
    pub(super) fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let took = now - self.last;
        self.last = now;
        if took < QUICK { 0 } else { self.slept(took) }
    }

    #[cold]
    fn slept(&mut self, took: Duration) -> u64 {
        let naps = system::naps::count();
        let slept = naps.is_none() || naps != self.naps;
        self.naps = naps;
        self.last = Instant::now();
        if slept { took.as_nanos() as u64 } else { 0 }
    }
}
