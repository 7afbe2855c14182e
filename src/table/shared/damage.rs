//! What in a table cannot be read: found by reading all of it.

use std::path::PathBuf;

use super::Shared;

/// One thing in a table whose bytes are not those that were written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// What is known of a directory, by its place in the order in which they were learnt.
    Directory(usize),
    /// The bytecode of this source.
    File(PathBuf),
    /// A plan, by its place in the order in which they were learnt.
    Plan(usize),
    /// Where the plans are.
    Plans,
}

impl Shared {
    /// Compares every checksum, with one file's bytes in memory at most.
    #[must_use]
    pub fn damaged(&self) -> Vec<Damage> {
        let mut found = Vec::new();
        let mut entries: Vec<_> = self.index.iter().collect();
        entries.sort_by_key(|entry| entry.at);
        for (n, entry) in entries.into_iter().enumerate() {
            let Some(block) = self.block_at(entry, |place| self.any_path(place)) else {
                found.push(Damage::Directory(n));
                continue;
            };
            let files = block.files().filter(|(_, file)| self.bytes_of(file).is_none());
            found.extend(files.filter_map(|(name, _)| {
                Some(Damage::File(block.path().join(super::root::from_bytes(name.to_vec())?)))
            }));
        }
        let Some(index) = self.plan_index() else {
            found.push(Damage::Plans);
            return found;
        };
        let mut entries: Vec<_> = index.iter().collect();
        entries.sort_by_key(|entry| entry.at);
        let plans = entries.into_iter().map(|entry| self.plan_at(entry)).enumerate();
        found.extend(plans.filter(|(_, plan)| plan.is_none()).map(|(n, _)| Damage::Plan(n)));
        found
    }
}
