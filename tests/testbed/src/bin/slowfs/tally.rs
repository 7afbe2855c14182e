//! How many operations were served, by kind, and how many at once.
//!
//! It counts and prints; it decides nothing. Only `fs.rs` adds to it.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

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
}

/// The counters. An operation is counted before it is answered, so whoever has the answer finds it
/// counted.
#[derive(Debug, Default)]
pub struct Tally {
    served: [AtomicU64; NAMES.len()],
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
}

impl Tally {
    /// Counts one operation, in flight until [`Tally::leave`].
    pub fn enter(&self, op: Op) {
        self.served[op as usize].fetch_add(1, Relaxed);
        let now = self.in_flight.fetch_add(1, Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Relaxed);
    }

    /// The operation is over. To be called before its answer is sent: a client that asks one thing
    /// after the other must never be seen with two in flight.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    /// One line of JSON: a count per kind, their `total`, and `max_in_flight`, the most operations
    /// that were in service at the same time.
    pub fn json(&self) -> String {
        let mut text = String::from("{");
        let mut total = 0;
        for (name, count) in NAMES.iter().zip(&self.served) {
            let count = count.load(Relaxed);
            total += count;
            let _ = write!(text, "\"{name}\":{count},");
        }
        let most = self.max_in_flight.load(Relaxed);
        let _ = writeln!(text, "\"total\":{total},\"max_in_flight\":{most}}}");
        text
    }
}
