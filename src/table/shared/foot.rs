//! The foot of a table and its indexes: what is where, with which checksum.

use super::layout::{
    AFTER_CHECKSUM, ENTRY, FOOT_END, FORMAT, Fields, MAGIC, MAX_COLLISIONS, MAX_CONTENT, MAX_INDEX,
    MAX_PIECE, MAX_TABLE, Made, SEALED, SECTION, TAIL, checksum,
};
use super::{Bytes, Key, Refusal};

/// A stretch of the file.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Section {
    pub(super) kind: u32,
    /// The only build of an interpreter that it is valid for; zero is all of them.
    pub(super) build: u64,
    pub(super) at: u64,
    pub(super) len: u64,
    /// Of all of it, or zero.
    pub(super) checksum: u64,
}

impl Section {
    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        let (kind, _zero, build) = (fields.u32()?, fields.u32()?, fields.u64()?);
        let (at, len, checksum) = (fields.u64()?, fields.u64()?, fields.u64()?);
        Some(Self { kind, build, at, len, checksum })
    }

    fn put(&self, made: &mut Made) {
        made.u32(self.kind).u32(0).u64(self.build);
        made.u64(self.at).u64(self.len).u64(self.checksum);
    }

    /// A piece of it, whose checksum is right, and which is not more than anybody would have written.
    pub(super) fn piece(
        &self,
        bytes: &dyn Bytes,
        at: u64,
        len: u64,
        sum: u64,
    ) -> Option<Box<[u8]>> {
        let end = at.checked_add(len)?;
        let start = self.at.checked_add(at).filter(|_| end <= self.len)?;
        let sane = usize::try_from(len).ok().filter(|len| *len <= MAX_CONTENT)?;
        let piece = bytes.read(start, sane)?;
        (piece.len() as u64 == len && checksum(&piece) == sum).then_some(piece)
    }

    /// All of an index.
    fn whole(&self, bytes: &dyn Bytes) -> Option<Box<[u8]>> {
        let sane = self.len <= MAX_INDEX as u64;
        sane.then(|| self.piece(bytes, 0, self.len, self.checksum))?
    }
}

/// What a table says of itself.
#[derive(Debug)]
pub(super) struct Foot {
    pub(super) key: Box<[u8]>,
    pub(super) sections: Vec<Section>,
    pub(super) sealed_roots: u64,
    pub(super) sealed: bool,
}

impl Foot {
    /// The foot of these bytes, and the last of them (with the foot).
    pub(super) fn read(bytes: &dyn Bytes) -> Result<(Self, Box<[u8]>), Refusal> {
        let total = Some(bytes.len()).filter(|total| *total <= MAX_TABLE);
        let total = total.ok_or(Refusal::Damaged("it is too long"))?;
        let len = usize::try_from(total).map_or(TAIL, |total| total.min(TAIL));
        let tail = bytes.read(total - len as u64, len).filter(|tail| tail.len() == len);
        let tail = tail.ok_or(Refusal::Damaged("its end is not there"))?;
        check_format(&tail)?;
        let foot = Self::decode(&tail, total).ok_or(Refusal::Damaged("its foot"))?;
        Ok((foot, tail))
    }

    fn decode(tail: &[u8], total: u64) -> Option<Self> {
        let end = tail.len().checked_sub(FOOT_END)?;
        let mut fields = Fields::at(tail, end)?;
        let (len, sealed_roots, flags) = (fields.u64()?, fields.u64()?, fields.u32()?);
        let (key_len, sections, _zero) = (fields.size()?, fields.size()?, fields.u32()?);
        let sum = fields.u64()?;
        let front = sections.checked_mul(SECTION)?.checked_add(key_len)?;
        let start = end.checked_sub(front)?;
        let summed = tail.get(start..tail.len() - AFTER_CHECKSUM - size_of::<u64>())?;
        if len != total || checksum(summed) != sum {
            return None;
        }
        let mut fields = Fields::at(tail, start)?;
        let key = fields.bytes(key_len)?.into();
        let sections = (0..sections).map(|_| Section::take(&mut fields));
        let foot_at = total - (tail.len() - start) as u64;
        let sections = sections.collect::<Option<Vec<_>>>()?;
        let inside = |s: &Section| s.at.checked_add(s.len).is_some_and(|end| end <= foot_at);
        let sane = sections.iter().all(inside);
        sane.then_some(Self { key, sections, sealed_roots, sealed: flags & SEALED != 0 })
    }

    /// The bytes of this foot behind `before` others.
    pub(super) fn encoded(&self, before: u64) -> Vec<u8> {
        let len = self.size();
        let mut made = Made::with_room(len);
        made.bytes(&self.key);
        for section in &self.sections {
            section.put(&mut made);
        }
        made.u64(before + len as u64).u64(self.sealed_roots);
        made.u32(if self.sealed { SEALED } else { 0 });
        made.size(self.key.len()).size(self.sections.len()).u32(0);
        let sum = checksum(&made.0);
        made.u64(sum).u32(FORMAT).u32(0).bytes(&MAGIC);
        made.0
    }

    /// How many bytes it takes.
    pub(super) fn size(&self) -> usize {
        foot_size(self.key.len(), self.sections.len())
    }

    /// The section of this kind for every build; an empty one if there is none.
    pub(super) fn section(&self, kind: u32) -> Section {
        let found = self.sections.iter().find(|section| section.kind == kind && section.build == 0);
        found.copied().unwrap_or_default()
    }
}

/// How many bytes a foot takes.
pub(super) fn foot_size(key: usize, sections: usize) -> usize {
    key + sections * SECTION + FOOT_END
}

fn check_format(tail: &[u8]) -> Result<(), Refusal> {
    let short = Refusal::Damaged("it is too short");
    let at = tail.len().checked_sub(AFTER_CHECKSUM).ok_or(short)?;
    let fields = Fields::at(tail, at);
    let read = |mut fields: Fields<'_>| Some((fields.u32()?, fields.u32()?, fields.magic()?));
    match fields.and_then(read) {
        Some((FORMAT, _, MAGIC)) => Ok(()),
        Some((format, _, MAGIC)) if format > FORMAT => Err(Refusal::Future(format)),
        _ => Err(Refusal::Damaged("it does not end as a table does")),
    }
}

/// Where a block or a plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: u64,
    pub(super) at: u64,
    pub(super) checksum: u64,
    pub(super) len: u32,
    pub(super) used_day: u32,
}

impl Entry {
    fn take(fields: &mut Fields<'_>) -> Option<Self> {
        let (hash, at, checksum) = (fields.u64()?, fields.u64()?, fields.u64()?);
        Some(Self { hash, at, checksum, len: fields.u32()?, used_day: fields.u32()? })
    }

    /// The bytes it leads to, if they are right and few enough.
    pub(super) fn piece(&self, section: &Section, bytes: &dyn Bytes) -> Option<Box<[u8]>> {
        let sane = usize::try_from(self.len).is_ok_and(|len| len <= MAX_PIECE);
        let len = sane.then_some(u64::from(self.len))?;
        section.piece(bytes, self.at, len, self.checksum)
    }
}

/// Entries by hash, as they lie in the file.
#[derive(Debug, Default)]
pub(super) struct Entries(Box<[u8]>);

impl Entries {
    /// The entries in this section. `tail` is the end of the bytes; what lies in there is not read again.
    pub(super) fn read(section: Section, bytes: &dyn Bytes, tail: &[u8]) -> Option<Self> {
        if section.len == 0 {
            return Some(Self::default());
        }
        match in_tail(section, bytes.len(), tail) {
            Some(found) => (checksum(found) == section.checksum).then(|| Self(found.into())),
            None => section.whole(bytes).map(Self),
        }
    }

    /// These entries, as they lie in a file.
    pub(super) fn encoded(mut entries: Vec<Entry>) -> Vec<u8> {
        entries.sort_by_key(|entry| (entry.hash, entry.at));
        let mut made = Made::with_room(entries.len() * ENTRY);
        for entry in entries {
            made.u64(entry.hash).u64(entry.at).u64(entry.checksum);
            made.u32(entry.len).u32(entry.used_day);
        }
        made.0
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> {
        (0..self.len()).filter_map(|n| self.nth(n))
    }

    /// All of them in the order of what they lead to. No byte is led to twice, or a small table could stand for a large one.
    pub(super) fn in_order(&self) -> impl Iterator<Item = Entry> + use<> {
        let mut entries: Vec<_> = self.iter().collect();
        entries.sort_by_key(|entry| entry.at);
        let mut end = 0;
        entries.into_iter().filter(move |entry| {
            let apart = entry.at >= end;
            end = end.max(entry.at.saturating_add(u64::from(entry.len)));
            apart
        })
    }

    /// Those with this hash. More than a few of them no chance has brought together, and no more are looked at.
    pub(super) fn with(&self, hash: u64) -> impl Iterator<Item = Entry> {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = from + (to - from) / 2;
            if self.nth(middle).is_some_and(|entry| entry.hash < hash) {
                from = middle + 1;
            } else {
                to = middle;
            }
        }
        let end = self.len().min(from + MAX_COLLISIONS);
        (from..end).map_while(move |n| self.nth(n).filter(|entry| entry.hash == hash))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len() / ENTRY
    }

    fn nth(&self, n: usize) -> Option<Entry> {
        Entry::take(&mut Fields::at(&self.0, n * ENTRY)?)
    }
}

/// What the last bytes of `total` have of a section, if they have all of it.
fn in_tail(section: Section, total: u64, tail: &[u8]) -> Option<&[u8]> {
    let before = section.at.checked_sub(total.checked_sub(tail.len() as u64)?)?;
    let from = usize::try_from(before).ok()?;
    tail.get(from..from.checked_add(usize::try_from(section.len).ok()?)?)
}

/// The key that these bytes of a foot are.
pub(super) fn key(foot: &Foot) -> Result<Key, Refusal> {
    Key::decode(&foot.key).ok_or(Refusal::Damaged("its key"))
}
