//! The names in one directory, laid out so that "nothing of that name here" costs one probe.

use std::iter;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::shared::Block;
use crate::fact::Kind;

/// The names of a directory. A lookup that finds nothing, by far the commonest on a long path,
/// looks at one 8-byte key, or at a few of them in order; only where a name with the same stem exists are full names
/// compared.
#[derive(Debug)]
pub struct NameSet(Form);

#[derive(Debug)]
enum Form {
    /// Listed by this process.
    Own {
        /// Hashes of each name's part before its first dot. A collision costs time, never truth.
        stems: FxHashSet<u64>,
        kinds: FxHashMap<Box<[u8]>, Kind>,
    },
    /// As they lie in a block of a table: adopting them makes no copy.
    Stored(Arc<Block>),
}

impl NameSet {
    /// The set of these names.
    #[must_use]
    pub fn new(names: Vec<(Box<[u8]>, Kind)>) -> Self {
        let stems = names.iter().map(|(name, _)| stem_hash(name)).collect();
        Self(Form::Own { stems, kinds: names.into_iter().collect() })
    }

    /// The names that this block has.
    pub(super) fn stored(block: Arc<Block>) -> Self {
        Self(Form::Stored(block))
    }

    /// Whether another process has found them.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        matches!(self.0, Form::Stored(_))
    }

    /// Whether any name could begin with `stem` and a dot, or be `stem`.
    #[must_use]
    pub fn may_hold(&self, stem: StemHash) -> bool {
        match &self.0 {
            Form::Own { stems, .. } => stems.contains(&stem.0),
            Form::Stored(block) => block.has_stem(stem.0),
        }
    }

    /// The hash of every name's stem, once.
    pub fn stems(&self) -> impl Iterator<Item = StemHash> {
        let (own, stored) = match &self.0 {
            Form::Own { stems, .. } => (Some(stems.iter().copied()), None),
            Form::Stored(block) => (None, Some(block.stems())),
        };
        own.into_iter().flatten().chain(stored.into_iter().flatten()).map(StemHash)
    }

    /// Every name with what the listing said of it, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Kind)> {
        let (mut own, mut stored) = match &self.0 {
            Form::Own { kinds, .. } => (Some(kinds.iter()), None),
            Form::Stored(block) => (None, Some(block.listed())),
        };
        iter::from_fn(move || match (&mut own, &mut stored) {
            (Some(own), _) => own.next().map(|(name, kind)| (&**name, *kind)),
            (_, Some(stored)) => stored.next(),
            _ => None,
        })
    }

    /// What the listing said of this very name.
    #[must_use]
    pub fn kind(&self, name: &[u8]) -> Option<Kind> {
        match &self.0 {
            Form::Own { kinds, .. } => kinds.get(name).copied(),
            Form::Stored(block) => block.kind(stem_hash(name), name),
        }
    }

    /// How many names.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Own { kinds, .. } => kinds.len(),
            Form::Stored(block) => block.names_len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for NameSet {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

/// The same names of the same kinds, wherever they lie.
impl PartialEq for NameSet {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, kind)| other.kind(name) == Some(kind))
    }
}

impl Eq for NameSet {}

/// The hash of a module name, made once per lookup and asked of every directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StemHash(u64);

impl StemHash {
    /// Of a module name, which has no dot in it.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(stem_hash(name.as_bytes()))
    }
}

/// The hash of what stands before the first dot. It is stored in tables, so it must be the same in every build.
pub(super) fn stem_hash(name: &[u8]) -> u64 {
    let end = name.iter().position(|b| *b == b'.').unwrap_or(name.len());
    xxhash_rust::xxh3::xxh3_64(&name[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> NameSet {
        NameSet::new(names.iter().map(|n| (n.as_bytes().into(), Kind::File)).collect())
    }

    #[test]
    fn a_stem_is_what_stands_before_the_first_dot() {
        let names = set(&["a.cpython-313-x86_64-linux-gnu.so", "b", ".py"]);
        for stem in ["a", "b", ""] {
            assert!(names.may_hold(StemHash::of(stem)), "{stem}");
        }
        assert!(!names.may_hold(StemHash::of("c")));
    }

    #[test]
    fn full_names_are_exact() {
        let names = set(&["a.py"]);
        assert_eq!(names.kind(b"a.py"), Some(Kind::File));
        assert_eq!(names.kind(b"A.py"), None);
        assert_eq!(names.kind(b"a"), None);
    }

    #[test]
    fn sets_are_equal_by_names_and_kinds() {
        assert_eq!(set(&["a", "b"]), set(&["b", "a"]));
        assert_ne!(set(&["a", "b"]), set(&["a", "c"]));
        assert_ne!(set(&["a"]), NameSet::new(vec![(b"a"[..].into(), Kind::Dir)]));
        assert_ne!(set(&["a"]), NameSet::default());
        assert_ne!(NameSet::default(), set(&["a"]));
    }
}
