//! What other processes have learnt: a table in a file, read by many and written by one at a time.
//!
//! What it says is only ever a proposal: whoever uses it compares it with the filesystem first.

mod refusal;

use std::fmt::Debug;

pub use refusal::Refusal;

/// Bytes of a table, wherever they lie.
pub trait Bytes: Send + Sync + Debug {
    /// How many there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A private copy of `len` bytes from `at` on. None where they are not, or no longer: out of range, the file cut
    /// short by somebody, or another file by now.
    fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>>;
}
