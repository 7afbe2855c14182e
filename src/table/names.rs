//! The names in one directory, laid out so that "nothing of that name here" costs one probe.

use std::hash::{BuildHasher, Hasher};

use rustc_hash::{FxBuildHasher, FxHashMap, FxHashSet};

use crate::fact::Kind;

/// The names of a directory. A lookup that finds nothing, by far the commonest on a long path,
/// looks at one 8-byte key; only where a name with the same stem exists are full names compared.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct NameSet {
    /// Hashes of each name's part before its first dot. A collision costs time, never truth.
    stems: FxHashSet<u64>,
    kinds: FxHashMap<Box<[u8]>, Kind>,
}

impl NameSet {
    /// The set of these names.
    #[must_use]
    pub fn new(names: Vec<(Box<[u8]>, Kind)>) -> Self {
        let stems = names.iter().map(|(name, _)| stem_hash(name)).collect();
        Self { stems, kinds: names.into_iter().collect() }
    }

    /// Whether any name could begin with `stem` and a dot, or be `stem`.
    #[must_use]
    pub fn may_hold(&self, stem: StemHash) -> bool {
        self.stems.contains(&stem.0)
    }

    /// The hash of every name's stem, once.
    pub fn stems(&self) -> impl Iterator<Item = StemHash> {
        self.stems.iter().copied().map(StemHash)
    }

    /// What the listing said of this very name.
    #[must_use]
    pub fn kind(&self, name: &[u8]) -> Option<Kind> {
        self.kinds.get(name).copied()
    }

    /// How many names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.kinds.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }
}

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

fn stem_hash(name: &[u8]) -> u64 {
    let end = name.iter().position(|b| *b == b'.').unwrap_or(name.len());
    let mut hasher = FxBuildHasher.build_hasher();
    hasher.write(&name[..end]);
    hasher.finish()
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
}
