//! Bytecode files: where the one of a source lies, and what its header says of that source.
//!
//! Pure: nothing here touches the filesystem. The rules are `cache_from_source`, `_classify_pyc` and
//! `_validate_timestamp_pyc` of `Lib/importlib/_bootstrap_external.py`, and PEP 3147, 488 and 552.

use crate::fact::Stat;

/// Bytes before the marshalled code.
pub const HEADER: usize = 16;

/// How a bytecode file says that it belongs to its source (PEP 552).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// By time and size, both cut to 32 bits.
    Timestamp {
        /// Seconds since the epoch.
        mtime: u32,
        /// Bytes.
        size: u32,
    },
    /// By the source's hash.
    Hash {
        /// What `_imp.source_hash` gave.
        hash: [u8; 8],
        /// Whether it wants to be compared before it is used.
        checked: bool,
    },
}

impl Claim {
    /// What the header of this file claims: `_classify_pyc`. None if it is no bytecode file of the
    /// interpreter whose number this is.
    #[must_use]
    pub fn of(file: &[u8], magic: [u8; 4]) -> Option<Self> {
        let (head, _) = file.split_first_chunk::<HEADER>()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        match (head[..4] == magic, word(4)) {
            (true, 0) => Some(Self::Timestamp { mtime: word(8), size: word(12) }),
            (true, flags @ (1 | 3)) => {
                let mut hash = [0; 8];
                hash.copy_from_slice(&head[8..]);
                Some(Self::Hash { hash, checked: flags & 2 != 0 })
            }
            // `0b10` alone, "a checked timestamp", is one that stock takes for a timestamp.
            (true, 2) => Some(Self::Timestamp { mtime: word(8), size: word(12) }),
            _ => None,
        }
    }

    /// Whether a source with this stat has the time and size claimed: `_validate_timestamp_pyc`. A
    /// claim by hash is not told by that.
    #[must_use]
    pub fn fits(&self, source: &Stat) -> bool {
        match *self {
            Self::Timestamp { mtime, size } => {
                // `int(st_mtime)`: the float may be rounded up to the next second.
                let seconds = source.mtime().trunc() as i64;
                seconds as u32 == mtime && source.size as u32 == size
            }
            Self::Hash { .. } => false,
        }
    }
}

/// How an interpreter names bytecode files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naming {
    /// What stands behind the source's stem: `.cpython-311.pyc`, `.cpython-311.opt-1.pyc`.
    tail: String,
}

impl Naming {
    /// By `sys.implementation.cache_tag` and `sys.flags.optimize`.
    #[must_use]
    pub fn new(cache_tag: &str, optimize: u32) -> Self {
        let tail = match optimize {
            0 => format!(".{cache_tag}.pyc"),
            level => format!(".{cache_tag}.opt-{level}.pyc"),
        };
        Self { tail }
    }

    /// Where the bytecode of the source at this absolute path lies, without `sys.pycache_prefix`. None
    /// for a path that `cache_from_source` would treat in some special way.
    #[must_use]
    pub fn beside(&self, source: &str) -> Option<String> {
        let (head, name) = source.rsplit_once('/')?;
        let (stem, _) = name.rsplit_once('.')?;
        // Of "/m.py" stock makes a relative path.
        if !head.starts_with('/') || head.ends_with('/') || stem.is_empty() {
            return None;
        }
        Some([head, "/__pycache__/", stem, &self.tail].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAGIC: [u8; 4] = [0xa7, 0x0d, 0x0d, 0x0a];

    fn header(flags: u32, second: u32, third: u32) -> Vec<u8> {
        [u32::from_le_bytes(MAGIC), flags, second, third].map(u32::to_le_bytes).concat()
    }

    fn source(mtime_ns: i128, size: u64) -> Stat {
        Stat { mtime_ns, size, ..Stat::default() }
    }

    #[test]
    fn every_kind_of_header_is_told_from_every_other() {
        let timestamp = Claim::Timestamp { mtime: 5, size: 6 };
        assert_eq!(Claim::of(&header(0, 5, 6), MAGIC), Some(timestamp));
        assert_eq!(Claim::of(&header(2, 5, 6), MAGIC), Some(timestamp));
        let hash = [5, 0, 0, 0, 6, 0, 0, 0];
        let of_flags = |flags| Claim::of(&header(flags, 5, 6), MAGIC);
        assert_eq!(of_flags(1), Some(Claim::Hash { hash, checked: false }));
        assert_eq!(of_flags(3), Some(Claim::Hash { hash, checked: true }));
        for flags in [4, 5, 8, 0x100, 0x8000_0000, u32::MAX] {
            assert_eq!(of_flags(flags), None, "{flags}");
        }
        assert_eq!(Claim::of(&header(0, 5, 6), [0; 4]), None);
        for length in 0..HEADER {
            assert_eq!(Claim::of(&header(0, 5, 6)[..length], MAGIC), None, "{length} bytes");
        }
    }

    #[test]
    fn times_and_sizes_are_compared_in_32_bits_and_whole_seconds() {
        let fits = |mtime: u32, size: u32, ns: i128, bytes: u64| {
            Claim::Timestamp { mtime, size }.fits(&source(ns, bytes))
        };
        assert!(fits(7, 9, 7_000_000_000, 9));
        assert!(fits(7, 9, 7_999_000_000, 9));
        assert!(!fits(7, 9, 8_000_000_000, 9));
        assert!(!fits(7, 9, 7_000_000_000, 10));
        assert!(fits(7, 9, 7_000_000_000 + (1_i128 << 32) * 1_000_000_000, 9 + (1 << 32)));
        assert!(fits(u32::MAX, 0, -1_000_000_000, 0), "a second before the epoch");
        // A float has no room for these nanoseconds: `os.stat` shows the next second.
        assert!(fits(1_700_000_001, 0, 1_700_000_000_999_999_999, 0));
        let hash = Claim::Hash { hash: [0; 8], checked: false };
        assert!(!hash.fits(&source(0, 0)));
    }

    #[test]
    fn bytecode_lies_beside_its_source() {
        let naming = Naming::new("cpython-311", 0);
        let at = |source: &str| naming.beside(source);
        assert_eq!(at("/a/b.py").unwrap(), "/a/__pycache__/b.cpython-311.pyc");
        assert_eq!(at("/a/b.c.py").unwrap(), "/a/__pycache__/b.c.cpython-311.pyc");
        let optimized = Naming::new("cpython-311", 2).beside("/a/b.py").unwrap();
        assert_eq!(optimized, "/a/__pycache__/b.cpython-311.opt-2.pyc");
        for special in ["b.py", "/b.py", "a/b.py", "/a//b.py", "/a/.py", "/a/b"] {
            assert_eq!(at(special), None, "{special}");
        }
    }
}
