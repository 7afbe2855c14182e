//! What other processes have learnt: a table in a file, read by many and written by one at a time.
//!
//! What it says is only ever a proposal: whoever uses it compares it with the filesystem first.
//! One side is the layout, which turns bytes into facts and back and knows no file (`layout.rs` states the format). The other is the
//! operating system's: which file may be trusted, how its bytes are had without anybody being able to make us crash over
//! them, and how a new one takes its place (`file.rs`, `publish.rs`).

mod block;
mod check;
mod damage;
mod draft;
mod encode;
mod foot;
mod key;
mod layout;
mod learnt;
mod merge;
mod open;
mod place;
mod plans;
mod prune;
mod refusal;
mod root;
mod turns;
mod write;

#[cfg(unix)]
mod file;
#[cfg(not(unix))]
mod nowhere;
#[cfg(unix)]
mod owner;
#[cfg(unix)]
mod publish;
#[cfg(unix)]
mod reopened;
#[cfg(unix)]
mod tidy;
#[cfg(unix)]
mod windows;

#[cfg(all(target_os = "linux", not(fastpath_portable)))]
#[path = "linux/mod.rs"]
mod system;
#[cfg(all(unix, not(all(target_os = "linux", not(fastpath_portable)))))]
#[path = "elsewhere.rs"]
mod system;
#[cfg(not(unix))]
use nowhere as system;

use std::fmt::Debug;

pub use block::{Block, Stored};
pub use check::Health;
pub use damage::Damage;
#[cfg(unix)]
pub use file::open;
pub use key::Key;
pub use learnt::{Learnt, LearntDir, LearntFile, Listed};
pub use merge::{merge, seal};
#[cfg(not(unix))]
pub use nowhere::{acting_user, acts_as, open, publish, tidy};
pub use open::{Plan, Shared};
#[cfg(unix)]
pub use owner::{acting_user, acts_as};
pub use place::place;
pub use prune::{Pruned, prune};
#[cfg(unix)]
pub use publish::publish;
pub use refusal::Refusal;
pub use root::Root;
#[cfg(unix)]
pub use tidy::tidy;

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
    ///
    /// Of a file that somebody changes in place it may well be other bytes than a moment ago: each piece needs a
    /// checksum of its own.
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

/// Who may have written a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The user whose rights the process has, and nobody else.
    User,
    /// Also root: the table came with the environment, as its modules did.
    Baked,
}

/// What became of a table that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is in its place.
    Done,
    /// Its writer had nothing to say: what was there, stays.
    NothingNew,
    /// Somebody else is writing this table just now: what was there, stays.
    Busy,
}
