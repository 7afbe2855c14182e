//! A table taken apart by what `layout.rs` says of it, changed, and given right checksums again: what an enemy would do.
//!
//! It shares no code with the table itself, so that it tells where the two say different things.

use xxhash_rust::xxh3::xxh3_64;

const SECTION: usize = 40;
const ENTRY: usize = 32;
const FOOT_END: usize = 56;

/// The bytes of a table, and where things are in it.
pub struct Table {
    pub bytes: Vec<u8>,
    /// By kind, from 1 on: contents, blocks, plans, index, plan index.
    pub sections: [std::ops::Range<usize>; 5],
    foot: usize,
}

impl Table {
    /// A table as it was written.
    pub fn of(bytes: &[u8]) -> Self {
        let end = bytes.len() - FOOT_END;
        let key = number(bytes, end + 20, 4);
        let count = number(bytes, end + 24, 4);
        let foot = end - key - SECTION * count;
        let mut sections = [const { 0..0 }; 5];
        for n in 0..count {
            let at = foot + key + SECTION * n;
            let start = number(bytes, at + 16, 8);
            sections[number(bytes, at, 4) - 1] = start..start + number(bytes, at + 24, 8);
        }
        Self { bytes: bytes.to_vec(), sections, foot }
    }

    /// The entries of the index.
    pub fn entries(&mut self) -> impl Iterator<Item = &mut [u8]> {
        self.bytes[self.sections[3].clone()].chunks_exact_mut(ENTRY)
    }

    /// The hash of an absolute path.
    pub fn hash_of(&self, path: &str) -> [u8; 8] {
        xxh3_64(&[&[0; 4], path.as_bytes()].concat()).to_le_bytes()
    }

    /// Claims to be sealed or not, and that these roots are.
    pub fn set_sealed(&mut self, flag: u8, roots: u64) {
        let end = self.bytes.len() - FOOT_END;
        put(&mut self.bytes, end + 8, roots);
        self.bytes[end + 16] = flag;
    }

    /// The bytes with one more section, in front of all others, which says that it is the blocks of some kind and build.
    pub fn with_section(self, kind: u32, build: u64) -> Vec<u8> {
        let end = self.bytes.len() - FOOT_END;
        let first = end - SECTION * 5;
        let mut bytes = self.bytes;
        let mut section = bytes[first + SECTION..first + 2 * SECTION].to_vec();
        section[..4].copy_from_slice(&kind.to_le_bytes());
        section[8..16].copy_from_slice(&build.to_le_bytes());
        bytes.splice(first..first, section);
        let end = end + SECTION;
        let len = bytes.len() as u64;
        put(&mut bytes, end, len);
        bytes[end + 24] += 1;
        let sum = xxh3_64(&bytes[self.foot..end + 32]);
        put(&mut bytes, end + 32, sum);
        bytes
    }

    /// The bytes, with every checksum made right that leads anywhere.
    pub fn sealed_again(mut self) -> Vec<u8> {
        for (index, pieces) in [(3, 1), (4, 2)] {
            for at in self.sections[index].clone().step_by(ENTRY) {
                self.seal_piece(at, self.sections[pieces].start);
            }
        }
        let end = self.bytes.len() - FOOT_END;
        for at in (end - SECTION * 5..end).step_by(SECTION) {
            if number(&self.bytes, at + 32, 8) != 0 {
                self.seal_section(at);
            }
        }
        let sum = xxh3_64(&self.bytes[self.foot..end + 32]);
        put(&mut self.bytes, end + 32, sum);
        self.bytes
    }

    fn seal_piece(&mut self, entry: usize, from: usize) {
        let at = from.saturating_add(number(&self.bytes, entry + 8, 8));
        let len = number(&self.bytes, entry + 24, 4);
        if let Some(piece) = self.bytes.get(at..at.saturating_add(len)) {
            let sum = xxh3_64(piece);
            put(&mut self.bytes, entry + 16, sum);
        }
    }

    fn seal_section(&mut self, section: usize) {
        let at = number(&self.bytes, section + 16, 8);
        let len = number(&self.bytes, section + 24, 8);
        if let Some(bytes) = self.bytes.get(at..at.saturating_add(len)) {
            let sum = xxh3_64(bytes);
            put(&mut self.bytes, section + 32, sum);
        }
    }
}

fn number(bytes: &[u8], at: usize, len: usize) -> usize {
    let mut number = [0; 8];
    number[..len].copy_from_slice(&bytes[at..at + len]);
    usize::try_from(u64::from_le_bytes(number)).unwrap_or(usize::MAX)
}

fn put(bytes: &mut [u8], at: usize, number: u64) {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
}
