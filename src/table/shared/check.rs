//! A whole table looked through, for tools: what it says of itself, and how much of it is damaged.

use std::path::PathBuf;

use super::layout::FORMAT;
use super::{Block, Shared};

/// What was found out about a table by reading all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Blocks, files and plans that were looked at.
    pub pieces: usize,
    /// Those among them that are not as they were written: nobody gets to see them.
    pub damaged: usize,
}

impl Health {
    fn count(&mut self, whole: bool) {
        self.pieces += 1;
        self.damaged += usize::from(!whole);
    }
}

impl Shared {
    /// The number of the layout.
    #[must_use]
    pub fn format(&self) -> u32 {
        FORMAT
    }

    /// Reads everything and compares every checksum. Two pieces that lie in the same place are one too many.
    #[must_use]
    pub fn check_all(&self) -> Health {
        let mut health = Health::default();
        // Each has its own bytes, so together they have no more than there are.
        let mut room = self.contents.len;
        for entry in self.index.in_order() {
            let block = self.block_at(entry, |place| self.any_path(place).or(Some(PathBuf::new())));
            health.count(block.is_some());
            for (_, file) in block.iter().flat_map(Block::files) {
                let left = room.checked_sub(file.len);
                health.count(left.is_some() && self.bytes_of(&file).is_some());
                room = left.unwrap_or(0);
            }
        }
        let overlaid = self.index.len() - self.index.in_order().count();
        (0..overlaid).for_each(|_| health.count(false));
        match self.plan_index() {
            Some(plans) => plans.in_order().for_each(|p| health.count(self.plan_at(p).is_some())),
            None => health.count(false),
        }
        health
    }
}
