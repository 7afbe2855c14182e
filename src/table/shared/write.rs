//! A table as it is written: once through, front to back, with one old file's bytes in memory at most.

use std::io::{self, BufWriter, Write};

use super::block::Stored;
use super::draft::{Content, Draft};
use super::encode::{self, Said};
use super::foot::{Entries, Entry, Foot, Section, foot_size};
use super::layout::{
    BLOCKS, CONTENTS, FORMAT, HEAD, INDEX, MAGIC, MAX_INDEX, Made, PLAN_INDEX, PLANS, checksum,
};
use super::plans::Plans;
use super::root::{self, Root, Roots};
use super::{Key, Shared};
use crate::fact::{Generation, Stamp};

const SECTIONS: usize = 5;

/// What is settled before a table is written.
#[derive(Debug)]
pub(super) struct Outline {
    key: Box<[u8]>,
    roots: Roots,
    sealed_roots: u64,
    sealed: bool,
}

impl Outline {
    /// # Errors
    ///
    /// `InvalidInput` if the key is too long.
    pub(super) fn new(key: &Key, roots: &[Root], sealed: bool) -> io::Result<Self> {
        if !key.fits() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let bits = (1_u32..).zip(roots).filter(|(_, root)| root.sealed);
        Ok(Self {
            key: key.encoded().into(),
            sealed_roots: bits.fold(0, |all, (bit, _)| all | 1 << bit),
            roots: Roots::new(roots.iter().map(|root| root.path.as_path())),
            sealed,
        })
    }

    /// How many bytes a table has that says nothing.
    pub(super) fn size(&self) -> u64 {
        (HEAD + foot_size(self.key.len(), SECTIONS)) as u64
    }

    fn is_sealed(&self, root: u32) -> bool {
        self.sealed_roots >> root & 1 == 1
    }
}

/// Writes the table that says what `drafts` and `plans` do.
///
/// # Errors
///
/// What `out` says.
pub(super) fn table(
    outline: &Outline,
    old: Option<&Shared>,
    drafts: Vec<Draft>,
    plans: &Plans,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut out = Output { out: BufWriter::new(out), at: 0 };
    let mut head = Made::with_room(HEAD);
    out.put(&head.bytes(&MAGIC).u32(FORMAT).u32(0).0)?;
    let from = out.at;
    let drafts = contents(old, drafts, &mut out)?;
    let contents = out.section(CONTENTS, from);
    let (blocks, index) = pieces(BLOCKS, &mut out, drafts.iter().map(|d| block(outline, d)))?;
    let encoded_plans = plans.all.iter().map(|learnt| {
        let places: Vec<_> = learnt.paths.iter().map(|p| outline.roots.places(p)[0]).collect();
        let piece = encode::plan(&learnt.program, &places);
        (checksum(&learnt.program), piece, learnt.used_day)
    });
    let (plans, plan_index) = pieces(PLANS, &mut out, encoded_plans)?;
    if index.len() > MAX_INDEX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let plan_index = out.whole(PLAN_INDEX, &plan_index)?;
    let index = out.whole(INDEX, &index)?;
    let sections = vec![contents, blocks, plans, plan_index, index];
    let (sealed_roots, sealed) = (outline.sealed_roots, outline.sealed);
    let foot = Foot { key: outline.key.clone(), sections, sealed_roots, sealed };
    let foot = foot.encoded(out.at);
    out.put(&foot)?;
    out.out.flush()
}

/// A directory whose files are all in the new table.
struct Settled {
    draft: Draft,
    files: Vec<(Box<[u8]>, Stored)>,
}

/// Writes the contents: the old ones in their order, then the new ones in theirs.
fn contents(
    old: Option<&Shared>,
    mut drafts: Vec<Draft>,
    out: &mut Output<'_>,
) -> io::Result<Vec<Settled>> {
    let mut files: Vec<_> = (0..)
        .zip(&mut drafts)
        .flat_map(|(n, draft)| std::mem::take(&mut draft.files).into_iter().map(move |f| (n, f)))
        .collect();
    files.sort_by_key(|(_, file)| match &file.content {
        Content::Old(stored) => (stored.at, 0),
        Content::New(_, turn) => (u64::MAX, *turn),
    });
    let settled = |draft| Settled { draft, files: Vec::new() };
    let mut drafts: Vec<_> = drafts.into_iter().map(settled).collect();
    let from = out.at;
    for (n, file) in files {
        let summed = match file.content {
            Content::New(bytes, _) => Some((checksum(&bytes), bytes)),
            Content::Old(known) => {
                old.and_then(|old| old.bytes_of(&known)).map(|bytes| (known.checksum, bytes))
            }
        };
        let Some((checksum, bytes)) = summed else { continue };
        let (at, len) = (out.at - from, bytes.len() as u64);
        out.put(&bytes)?;
        let (source, bytecode) = (file.source, file.bytecode);
        drafts[n].files.push((file.name, Stored { source, bytecode, at, len, checksum }));
    }
    drafts.retain(|settled| settled.draft.names.is_some() || !settled.files.is_empty());
    for settled in &mut drafts {
        settled.files.sort_by(|a, b| a.0.cmp(&b.0));
    }
    Ok(drafts)
}

/// A directory's hash, block and day.
fn block(outline: &Outline, settled: &Settled) -> (u64, Vec<u8>, u32) {
    let place = outline.roots.places(&settled.draft.path)[0];
    let sealed = outline.is_sealed(place.0);
    let names = settled.draft.names.as_ref().map(|names| {
        let undated = Generation::from_parts(0, 0, 0, 0);
        (if sealed { undated } else { names.generation() }, names.all())
    });
    let files = settled
        .files
        .iter()
        .map(|(name, stored)| (&**name, if sealed { anywhere(stored) } else { *stored }));
    let said = Said { place, names, files: files.collect() };
    (root::hash(place), said.encoded(), settled.draft.used_day)
}

/// Without what differs between machines that have the same files.
fn anywhere(stored: &Stored) -> Stored {
    let source = Stamp { dev: 0, ino: 0, ctime_ns: 0, ..stored.source };
    let bytecode = Stamp { size: stored.bytecode.size, ..Stamp::default() };
    Stored { source, bytecode, ..*stored }
}

/// Writes blocks or plans; the section, and the index of it.
fn pieces(
    kind: u32,
    out: &mut Output<'_>,
    pieces: impl Iterator<Item = (u64, Vec<u8>, u32)>,
) -> io::Result<(Section, Vec<u8>)> {
    let from = out.at;
    let mut entries = Vec::new();
    for (hash, piece, used_day) in pieces {
        let (at, checksum) = (out.at - from, checksum(&piece));
        let len = u32::try_from(piece.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        entries.push(Entry { hash, at, checksum, len, used_day });
        out.put(&piece)?;
    }
    Ok((out.section(kind, from), Entries::encoded(entries)))
}

/// Where it is written, and how far that has come.
struct Output<'a> {
    out: BufWriter<&'a mut dyn Write>,
    at: u64,
}

impl Output<'_> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.out.write_all(bytes)
    }

    /// The section from there to here, whose pieces have their own checksums.
    fn section(&self, kind: u32, from: u64) -> Section {
        Section { kind, build: 0, at: from, len: self.at - from, checksum: 0 }
    }

    /// Writes a section that is read as a whole.
    fn whole(&mut self, kind: u32, bytes: &[u8]) -> io::Result<Section> {
        let from = self.at;
        self.put(bytes)?;
        Ok(Section { checksum: checksum(bytes), ..self.section(kind, from) })
    }
}
