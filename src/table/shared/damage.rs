//! What in a table is damaged, by name.

use std::path::PathBuf;

use super::Shared;

/// One thing in a table whose bytes are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// What is known of a directory, which one cannot be told: its place among them.
    Directory(usize),
    /// The bytecode of this source.
    File(PathBuf),
    /// A plan, whose cannot be told: its place among them.
    Plan(usize),
    /// Where the plans are.
    Plans,
}

impl Shared {
    /// Reads everything, compares every checksum, and tells what is damaged.
    #[must_use]
    pub fn damaged(&self) -> Vec<Damage> {
        let mut found = Vec::new();
        self.look_through(|whole, which| {
            if !whole {
                found.push(which());
            }
        });
        found
    }
}
