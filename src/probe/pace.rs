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

/// After so many quick laps in a row (about what it costs to start a helper) calls are taken to be quick.
pub(super) const IDLE: u32 = 32;

/// Calls between two looks at the clock, where they were quick for a while. A look costs a twentieth of a
/// quick call; a mount that begins to be slow is noticed that much later.
const STRIDE: usize = 4;

/// Some calls, one after the other.
pub(super) struct Lap {
    /// How long they waited, in nanoseconds; 0 if they were quick or never slept.
    pub(super) waited: u64,
    /// How many they were.
    pub(super) calls: usize,
}

/// Times the calls of one thread, one after the other.
pub(super) struct Pace {
    last: Instant,
    naps: Option<isize>,
    /// Calls since then.
    calls: usize,
    /// Quick laps in a row.
    quick: u32,
}

impl Pace {
    /// The first call begins now, on this thread.
    pub(super) fn start() -> Self {
        Self { naps: system::naps::count(), last: Instant::now(), calls: 0, quick: 0 }
    }

    /// How many calls the next lap may have, at the most.
    pub(super) fn stride(&self) -> usize {
        if self.quick < IDLE { 1 } else { STRIDE }
    }

    /// How many laps in a row were quick.
    pub(super) fn quick(&self) -> u32 {
        self.quick
    }

    /// So many calls have ended. None where it is too early for another look at the clock.
    #[inline]
    pub(super) fn step(&mut self, calls: usize) -> Option<Lap> {
        self.calls += calls;
        let calls = self.calls;
        (calls >= self.stride()).then(|| Lap { waited: self.lap(), calls })
    }

    /// The calls that began at the last lap have ended: how long they waited, in nanoseconds; 0 if
    /// they were quick or never slept. The next call begins now.
    #[inline]
    pub(super) fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let took = now - self.last;
        self.last = now;
        self.calls = 0;
        let waited = if took < QUICK { 0 } else { self.slept(took) };
        self.quick = if waited == 0 { self.quick.saturating_add(1) } else { 0 };
        waited
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
