//! A whole table looked through, for tools: what it says of itself, and how much of it is damaged.

use std::path::PathBuf;

use super::layout::FORMAT;
use super::{Damage, Shared, root};

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
        self.look_through(|whole, _| health.count(whole));
        health
    }

    /// Has every piece seen, in the order in which they lie: whether it is as it was written, and what to call it if not.
    pub(super) fn look_through(&self, mut see: impl FnMut(bool, &dyn Fn() -> Damage)) {
        // Each has its own bytes, so together they have no more than there are.
        let mut room = self.contents.len;
        for (n, entry) in self.index.in_order().enumerate() {
            let block = self.block_at(entry, |place| self.any_path(place).or(Some(PathBuf::new())));
            see(block.is_some(), &|| Damage::Directory(n));
            for (block, (name, file)) in block.iter().flat_map(|b| b.files().map(move |f| (b, f))) {
                let left = room.checked_sub(file.len);
                let name = || root::from_bytes(name.to_vec()).unwrap_or_default();
                let whole = left.is_some() && self.bytes_of(&file).is_some();
                see(whole, &|| Damage::File(block.path().join(name())));
                room = left.unwrap_or(0);
            }
        }
        (self.index.in_order().count()..self.index.len())
            .for_each(|n| see(false, &|| Damage::Directory(n)));
        match self.plan_index() {
            Some(plans) => (0..)
                .zip(plans.in_order())
                .for_each(|(n, plan)| see(self.plan_at(plan).is_some(), &|| Damage::Plan(n))),
            None => see(false, &|| Damage::Plans),
        }
    }
}
