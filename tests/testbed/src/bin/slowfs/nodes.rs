//! Node numbers, and the paths they stand for.
//!
//! A node is where it was last seen: a parent node and a name. So a renamed directory takes its
//! children along, and hard links share a node, as on any filesystem. Nothing is ever forgotten:
//! a test mount lives for minutes. No I/O here.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

/// The root's node number, fixed by FUSE (`FUSE_ROOT_ID`).
pub const ROOT: u64 = 1;
/// The node of the virtual statistics file.
pub const STATS: u64 = 1 << 63;
/// Deeper than any path the kernel accepts (`PATH_MAX` is 4,096): a longer chain is a loop, made by
/// directories that were swapped below us.
const DEEPEST: usize = 4096;

/// What identifies a file of the source: its device and inode.
pub type Identity = (u64, u64);

/// The table of nodes.
#[derive(Debug)]
pub struct Nodes {
    source: PathBuf,
    root: Identity,
    places: RwLock<HashMap<u64, (u64, OsString)>>,
    odd: Mutex<HashMap<Identity, u64>>,
}

impl Nodes {
    /// A table that knows only the root: the directory `source`, identified by `root`.
    pub fn new(source: PathBuf, root: Identity) -> Self {
        Self { source, root, places: RwLock::default(), odd: Mutex::default() }
    }

    /// The number of a file: the source's inode number wherever that is unambiguous, so that it is
    /// the same in every mount of the source and in every listing. Files on another device than
    /// the root's, and inode numbers that have a meaning here, get numbers from `STATS + 1` on.
    pub fn number(&self, file: Identity) -> u64 {
        let (dev, ino) = file;
        if file == self.root {
            return ROOT;
        }
        if dev == self.root.0 && ino > ROOT && ino < STATS {
            return ino;
        }
        let mut odd = self.odd.lock().unwrap_or_else(PoisonError::into_inner);
        let next = STATS + 1 + odd.len() as u64;
        *odd.entry(file).or_insert(next)
    }

    /// The number for an entry of a listing, of which the device is not known: entries are on their
    /// directory's device, mount points apart, for which every filesystem shows the inode below.
    pub fn number_listed(&self, directory: u64, ino: u64) -> u64 {
        if directory < STATS { self.number((self.root.0, ino)) } else { ino }
    }

    /// Remembers that `node` was seen as `name` in `parent`.
    pub fn place(&self, node: u64, parent: u64, name: &OsStr) {
        if node == ROOT {
            return;
        }
        let known = |places: &HashMap<u64, (u64, OsString)>| {
            places.get(&node).is_some_and(|(p, n)| *p == parent && n == name)
        };
        if known(&self.places.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        places.insert(node, (parent, name.to_owned()));
    }

    /// The path of `node` below the root (empty for the root itself); None for a node that was
    /// never handed out, or that hangs in a loop.
    pub fn below_root(&self, node: u64) -> Option<PathBuf> {
        let places = self.places.read().unwrap_or_else(PoisonError::into_inner);
        let mut names = Vec::new();
        let mut at = node;
        while at != ROOT {
            let (parent, name) = places.get(&at)?;
            names.push(name);
            at = *parent;
            if names.len() > DEEPEST {
                return None;
            }
        }
        Some(names.into_iter().rev().collect())
    }

    /// The path of `node` in the source.
    pub fn path(&self, node: u64) -> Option<PathBuf> {
        let below = self.below_root(node)?;
        // Joining an empty path would add a slash: harmless, but not the path that was given.
        Some(if below == Path::new("") { self.source.clone() } else { self.source.join(below) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: u64 = 7;

    fn nodes() -> Nodes {
        Nodes::new(PathBuf::from("/source"), (DEVICE, 100))
    }

    #[test]
    fn numbers_are_the_inode_where_that_is_unambiguous() {
        let nodes = nodes();
        assert_eq!(nodes.number((DEVICE, 100)), ROOT);
        assert_eq!(nodes.number((DEVICE, 200)), 200);
        let odd = [(DEVICE, ROOT), (DEVICE, STATS), (DEVICE + 1, 200), (DEVICE + 1, 100)];
        let numbers = odd.map(|file| nodes.number(file));
        assert_eq!(numbers, [1, 2, 3, 4].map(|n| STATS + n));
        assert_eq!(odd.map(|file| nodes.number(file)), numbers);
    }

    #[test]
    fn a_node_is_where_it_and_its_parents_were_last_seen() {
        let nodes = nodes();
        assert_eq!(nodes.path(ROOT), Some(PathBuf::from("/source")));
        assert_eq!(nodes.path(2), None);
        nodes.place(2, ROOT, OsStr::new("dir"));
        nodes.place(3, 2, OsStr::new("file"));
        assert_eq!(nodes.path(3), Some(PathBuf::from("/source/dir/file")));
        nodes.place(2, ROOT, OsStr::new("moved"));
        assert_eq!(nodes.path(3), Some(PathBuf::from("/source/moved/file")));
    }

    #[test]
    fn directories_swapped_into_a_loop_have_no_path() {
        let nodes = nodes();
        nodes.place(2, 3, OsStr::new("a"));
        nodes.place(3, 2, OsStr::new("b"));
        assert_eq!(nodes.path(2), None);
    }
}
