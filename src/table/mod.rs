//! What is known already: the process's own table, and the tables that other processes have left in files (`shared`).
//!
//! It holds facts and forgets them; it never asks the filesystem about them, and takes no lock for longer
//! than a copy.

mod local;
mod names;
pub mod shared;

pub use local::{Directory, Names, State, Table};
pub use names::{NameSet, StemHash};
