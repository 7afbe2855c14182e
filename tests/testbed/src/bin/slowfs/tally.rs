//! How many operations were served, by kind; how many at once; and how often one after another.
//!
//! The last are the *waits*: the most operations that can be picked so that each arrived when the one
//! before had been answered. N operations that a client sends one after another are N waits, any number
//! of them sent together are one; a client whose every operation waits for the delay cannot be through
//! in less time than its waits times the delay. It is a count, and no clock is asked.
//!
//! It counts and prints; it decides nothing. Only `fs.rs` adds to it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

/// A kind of operation that is delayed and counted: a round trip, were this a network filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Lookup,
    Getattr,
    Readlink,
    Open,
    Read,
    Flush,
    Release,
    Opendir,
    Readdir,
    Releasedir,
    Access,
    Statfs,
}

/// The kinds in the order in which they are reported; `Op as usize` indexes it.
const NAMES: [&str; 12] = [
    "lookup",
    "getattr",
    "readlink",
    "open",
    "read",
    "flush",
    "release",
    "opendir",
    "readdir",
    "releasedir",
    "access",
    "statfs",
];
const _: () = assert!(Op::Statfs as usize == NAMES.len() - 1);

impl Op {
    /// The name that reports and logs use.
    pub fn name(self) -> &'static str {
        NAMES[self as usize]
    }

    /// Whether a client waits for the answer. The kernel waits for none to these two.
    fn is_awaited(self) -> bool {
        !matches!(self, Op::Release | Op::Releasedir)
    }
}

/// The counters. An operation is counted before it is answered, so whoever has the answer finds it
/// counted.
#[derive(Debug, Default)]
pub struct Tally {
    served: [AtomicU64; NAMES.len()],
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    waits: Mutex<Waits>,
}

/// The waits so far. Of the operations in one wait, the first to be answered ends it; the first to arrive
/// after that begins the next. That picks the most of them, as for any set of intervals: always the
/// one that ends first.
#[derive(Debug, Default)]
struct Waits {
    begun: u64,
    ended: u64,
}

impl Waits {
    /// An operation arrives: the wait that it is part of.
    fn enter(&mut self) -> u64 {
        self.begun = self.ended + 1;
        self.begun
    }

    /// An operation in this wait is over.
    fn leave(&mut self, wait: u64) {
        self.ended = self.ended.max(wait);
    }
}

/// An operation that was counted and is not over.
#[must_use]
pub struct Ticket {
    /// The wait that it is part of, if anybody waits for it.
    wait: Option<u64>,
}

impl Tally {
    /// Counts one operation, in flight until [`Tally::leave`].
    pub fn enter(&self, op: Op) -> Ticket {
        self.served[op as usize].fetch_add(1, Relaxed);
        let now = self.in_flight.fetch_add(1, Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Relaxed);
        Ticket { wait: op.is_awaited().then(|| self.with_waits(Waits::enter)) }
    }

    /// The operation is over. To be called before its answer is sent: a client that asks one thing
    /// after the other must never be seen with two in flight.
    pub fn leave(&self, ticket: Ticket) {
        self.in_flight.fetch_sub(1, Relaxed);
        if let Some(wait) = ticket.wait {
            self.with_waits(|waits| waits.leave(wait));
        }
    }

    fn with_waits<T>(&self, work: impl FnOnce(&mut Waits) -> T) -> T {
        work(&mut self.waits.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One line of JSON: a count per kind, their `total`; `max_in_flight`, the most operations
    /// that were in service at the same time; and `waits`, the most that were so one after another.
    pub fn json(&self) -> String {
        let mut text = String::from("{");
        let mut total = 0;
        for (name, count) in NAMES.iter().zip(&self.served) {
            let count = count.load(Relaxed);
            total += count;
            let _ = write!(text, "\"{name}\":{count},");
        }
        let most = self.max_in_flight.load(Relaxed);
        let waits = self.with_waits(|waits| waits.begun);
        let _ = writeln!(text, "\"total\":{total},\"max_in_flight\":{most},\"waits\":{waits}}}");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_after_another_are_as_many_waits_and_together_they_are_one() {
        let tally = Tally::default();
        let waits = || tally.with_waits(|waits| waits.begun);
        (0..5).for_each(|_| tally.leave(tally.enter(Op::Lookup)));
        assert_eq!(waits(), 5);
        let burst: Vec<Ticket> = (0..100).map(|_| tally.enter(Op::Getattr)).collect();
        burst.into_iter().for_each(|ticket| tally.leave(ticket));
        assert_eq!(waits(), 6);
    }

    /// Two clients, each of which asks one thing after another, half a delay apart.
    #[test]
    fn clients_side_by_side_wait_no_longer_than_one_of_them() {
        let tally = Tally::default();
        let (mut here, mut there) = (tally.enter(Op::Open), tally.enter(Op::Open));
        for _ in 0..9 {
            tally.leave(here);
            here = tally.enter(Op::Read);
            tally.leave(there);
            there = tally.enter(Op::Read);
        }
        tally.leave(here);
        tally.leave(there);
        assert_eq!(tally.with_waits(|waits| waits.begun), 10);
    }

    #[test]
    fn nobody_waits_for_a_release() {
        let tally = Tally::default();
        let release = tally.enter(Op::Release);
        tally.leave(tally.enter(Op::Flush));
        tally.leave(release);
        tally.leave(tally.enter(Op::Releasedir));
        assert_eq!(tally.with_waits(|waits| waits.begun), 1);
    }
}
