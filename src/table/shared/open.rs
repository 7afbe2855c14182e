//! An open table: questions in, facts out, each copied from the file when it is asked for and checked first.
//!
//! It keeps nothing but the index, and is never wrong: what is damaged is not there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::foot::{self, Entries, Entry, Foot, Section};
use super::layout::{BLOCKS, CONTENTS, Fields, INDEX, MAX_PLAN_PATHS, PLAN_INDEX, PLANS, checksum};
use super::root::{self, Place, Roots};
use super::{Block, Bytes, Key, Refusal, Stored};

/// An open table.
#[derive(Debug)]
pub struct Shared {
    pub(super) bytes: Box<dyn Bytes>,
    key: Key,
    roots: Roots,
    sealed_roots: u64,
    sealed: bool,
    pub(super) index: Entries,
    plan_index: Section,
    pub(super) blocks: Section,
    pub(super) plans: Section,
    pub(super) contents: Section,
}

/// What a table proposes for a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Whose plan it is.
    pub program: Box<[u8]>,
    /// Sources and directories in the order in which they were touched.
    pub paths: Vec<PathBuf>,
    /// When it was last learnt or found right: days since the epoch.
    pub used_day: u32,
}

impl Shared {
    /// Opens a table by two reads at most, the second of which is of the index.
    ///
    /// `roots` are those of the running interpreter, absolute, in the order in which [`seal`](super::seal) was given them.
    ///
    /// # Errors
    ///
    /// Why there is no table for this key in these bytes.
    pub fn new(bytes: Box<dyn Bytes>, key: &Key, roots: &[PathBuf]) -> Result<Self, Refusal> {
        let (foot, tail) = Foot::read(&*bytes)?;
        if *foot.key != *key.encoded() {
            return Err(Refusal::OtherKey);
        }
        Self::open(bytes, foot, &tail, key.clone(), roots)
    }

    /// Opens a table whoever it is for, to look into it.
    ///
    /// # Errors
    ///
    /// Why there is no table in these bytes.
    pub fn of_any_key(bytes: Box<dyn Bytes>, roots: &[PathBuf]) -> Result<Self, Refusal> {
        let (foot, tail) = Foot::read(&*bytes)?;
        let key = foot::key(&foot)?;
        Self::open(bytes, foot, &tail, key, roots)
    }

    fn open(
        bytes: Box<dyn Bytes>,
        foot: Foot,
        tail: &[u8],
        key: Key,
        roots: &[PathBuf],
    ) -> Result<Self, Refusal> {
        let index = Entries::read(foot.section(INDEX), &*bytes, tail);
        Ok(Self {
            index: index.ok_or(Refusal::Damaged("its index"))?,
            plan_index: foot.section(PLAN_INDEX),
            blocks: foot.section(BLOCKS),
            plans: foot.section(PLANS),
            contents: foot.section(CONTENTS),
            key,
            roots: Roots::new(roots.iter().map(PathBuf::as_path)),
            sealed_roots: foot.sealed_roots,
            sealed: foot.sealed,
            bytes,
        })
    }

    /// What is known of a directory, by its absolute path; read anew each time.
    #[must_use]
    pub fn block(&self, dir: &Path) -> Option<Arc<Block>> {
        let places = self.roots.places(dir).into_iter();
        let mut found = places.flat_map(|place| {
            let entries = self.index.with(root::hash(place));
            entries.filter_map(move |entry| {
                let path = |there: Place<'_>| (there == place).then(|| dir.to_owned());
                self.block_at(entry, path)
            })
        });
        found.next().map(Arc::new)
    }

    /// When a directory was last used, read from the index alone; two directories with one hash are taken for one.
    pub(super) fn used_day(&self, dir: &Path) -> Option<u32> {
        let mut places = self.roots.places(dir).into_iter();
        places.find_map(|place| self.index.with(root::hash(place)).next()).map(|e| e.used_day)
    }

    /// The bytes of a file that a block of this table has.
    #[must_use]
    pub fn bytes_of(&self, file: &Stored) -> Option<Box<[u8]>> {
        self.contents.piece(&*self.bytes, file.at, file.len, file.checksum)
    }

    /// Whether a file lies where files lie. If not, not even its length means anything.
    pub(super) fn has_room_for(&self, file: &Stored) -> bool {
        file.at.checked_add(file.len).is_some_and(|end| end <= self.contents.len)
    }

    /// What a program touched, sources and directories, in that order.
    #[must_use]
    pub fn plan(&self, program: &[u8]) -> Option<Vec<PathBuf>> {
        let index = self.plan_index()?;
        let plans = index.with(checksum(program)).filter_map(|entry| self.plan_at(entry));
        plans.into_iter().find(|plan| *plan.program == *program).map(|plan| plan.paths)
    }

    /// Whether it was made by [`seal`](super::seal).
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whose table it is.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// How many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.bytes.len()
    }

    /// How many directories it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it has no directory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every directory, in the order in which they were first learnt, each read as the iterator comes to it. Where its root
    /// was not given, the path is what stands behind the root.
    pub fn blocks(&self) -> impl Iterator<Item = Arc<Block>> {
        let entries = self.index.in_order();
        entries.filter_map(|e| self.block_at(e, |place| self.any_path(place))).map(Arc::new)
    }

    /// Every plan, in the order in which they were last learnt.
    pub fn plans(&self) -> impl Iterator<Item = Plan> {
        let entries = self.plan_index().unwrap_or_default();
        entries.in_order().filter_map(|entry| self.plan_at(entry))
    }

    pub(super) fn plan_index(&self) -> Option<Entries> {
        Entries::read(self.plan_index, &*self.bytes, &[])
    }

    pub(super) fn block_at(
        &self,
        entry: Entry,
        path: impl FnOnce(Place<'_>) -> Option<PathBuf>,
    ) -> Option<Block> {
        let data = entry.piece(&self.blocks, &*self.bytes)?;
        Block::decode(data, entry.used_day, path, |root| self.sealed_root(root))
    }

    pub(super) fn any_path(&self, place: Place<'_>) -> Option<PathBuf> {
        self.roots.path(place).or_else(|| root::from_bytes(place.1.to_vec()))
    }

    fn sealed_root(&self, root: u32) -> bool {
        self.sealed && root != 0 && self.sealed_roots.checked_shr(root).unwrap_or(0) & 1 == 1
    }

    pub(super) fn plan_at(&self, entry: Entry) -> Option<Plan> {
        let data = entry.piece(&self.plans, &*self.bytes)?;
        let mut fields = Fields(&data);
        let (program, paths) = (fields.size()?, fields.size()?);
        let program = fields.bytes(program)?.into();
        let mut plan = Plan { program, paths: Vec::new(), used_day: entry.used_day };
        for _ in 0..paths.min(MAX_PLAN_PATHS) {
            let (root, len) = (fields.u32()?, fields.size()?);
            plan.paths.extend(self.roots.path((root, fields.bytes(len)?)));
        }
        Some(plan)
    }
}
