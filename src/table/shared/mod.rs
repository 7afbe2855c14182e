//! What other processes have learnt: a table in a file, read by many and written by one at a time.
//!
//! What it says is only ever a proposal: whoever uses it compares it with the filesystem first.

mod block;
mod check;
mod draft;
mod encode;
mod foot;
mod key;
mod layout;
mod learnt;
mod merge;
mod open;
mod plans;
mod refusal;
mod root;
mod turns;
mod write;

use std::fmt::Debug;

pub use block::{Block, Stored};
pub use check::Health;
pub use key::Key;
pub use learnt::{Learnt, LearntDir, LearntFile, Listed};
pub use merge::{merge, seal};
pub use open::{Plan, Shared};
pub use refusal::Refusal;
pub use root::Root;

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

/// A table in memory.
impl Bytes for Vec<u8> {
    fn len(&self) -> u64 {
        self.as_slice().len() as u64
    }

    fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        let at = usize::try_from(at).ok()?;
        self.get(at..at.checked_add(len)?).map(Into::into)
    }
}
