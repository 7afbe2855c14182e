//! What is going to stand in a table: facts of the old one and facts just learnt, before anything is written.

use std::cmp::Reverse;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::encode::{NamesIn, block_size};
use super::layout::{ENTRY, MAX_CONTENT, MAX_NAME, MAX_PIECE, checksum};
use super::root;
use super::turns::Turns;
use super::{Block, LearntDir, LearntFile, Listed, Shared, Stored};
use crate::fact::{Generation, Kind, Stamp};
use crate::table::NameSet;

/// A directory that is going to have a block.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) path: PathBuf,
    pub(super) used_day: u32,
    pub(super) names: Option<Names>,
    /// Ascending by name.
    pub(super) files: Vec<DraftFile>,
    /// The process that tells has used it.
    pub(super) used: bool,
    /// It says something that the old table does not.
    pub(super) news: bool,
}

/// Names, wherever they lie.
#[derive(Debug)]
pub(super) enum Names {
    Old(Generation, Arc<Block>),
    New(Generation, Vec<(Box<[u8]>, Kind)>),
}

#[derive(Debug)]
pub(super) struct DraftFile {
    pub(super) name: Box<[u8]>,
    pub(super) source: Stamp,
    pub(super) bytecode: Stamp,
    pub(super) content: Content,
}

/// Bytes of a file, wherever they lie.
#[derive(Debug)]
pub(super) enum Content {
    Old(Stored),
    /// Just learnt, and which it was of all that were.
    New(Box<[u8]>, usize),
}

impl Names {
    pub(super) fn generation(&self) -> Generation {
        match self {
            Self::Old(generation, _) | Self::New(generation, _) => *generation,
        }
    }

    fn set(&self) -> NameSet {
        match self {
            Self::Old(_, block) => block.names().unwrap_or_default(),
            Self::New(_, names) => NameSet::new(names.clone()),
        }
    }

    pub(super) fn all(&self) -> NamesIn<'_> {
        match self {
            Self::Old(_, block) => block.listed().collect(),
            Self::New(_, names) => names.iter().map(|(name, kind)| (&**name, *kind)).collect(),
        }
    }
}

impl DraftFile {
    fn new(learnt: LearntFile, turn: usize) -> Self {
        let LearntFile { name, source, bytecode, bytes } = learnt;
        Self { name, source, bytecode, content: Content::New(bytes, turn) }
    }

    fn len(&self) -> u64 {
        match &self.content {
            Content::Old(stored) => stored.len,
            Content::New(bytes, _) => bytes.len() as u64,
        }
    }
}

impl Draft {
    fn new(path: PathBuf, used_day: u32) -> Self {
        let (names, files) = (None, Vec::new());
        Self { path, used_day, names, files, used: false, news: false }
    }

    fn of_block(old: &Shared, block: &Arc<Block>, today: u32) -> Self {
        // A day in the future, by a clock that was wrong, would never grow old.
        let mut draft = Self::new(block.path().to_owned(), block.used_day().min(today));
        draft.names = block.generation().map(|known| Names::Old(known, Arc::clone(block)));
        let file = |(name, stored): (&[u8], Stored)| {
            let Stored { source, bytecode, .. } = stored;
            DraftFile { name: name.into(), source, bytecode, content: Content::Old(stored) }
        };
        draft.files =
            block.files().filter(|(_, stored)| old.has_room_for(stored)).map(file).collect();
        draft
    }

    /// How many bytes of the table are its own, at most.
    fn cost(&self) -> u64 {
        self.size() as u64 + ENTRY as u64 + self.files.iter().map(DraftFile::len).sum::<u64>()
    }

    fn size(&self) -> usize {
        let names = self.names.as_ref().map_or(Vec::new(), Names::all);
        let names = names.into_iter().map(|(name, _)| name);
        block_size(root::bytes(&self.path).len(), names, self.files.iter().map(|f| &*f.name))
    }

    /// Whether there is nothing to say of it.
    fn is_empty(&self) -> bool {
        self.names.is_none() && self.files.is_empty()
    }

    fn learn(
        &mut self,
        learnt: LearntDir,
        old: Option<&Shared>,
        mut turn: impl FnMut(&LearntFile) -> usize,
    ) {
        if let Some(listed) = learnt.names.filter(|listed| self.lacks_names(listed)) {
            self.names = Some(Names::New(listed.0, listed.1));
            self.news = true;
        }
        for file in learnt.files {
            if self.lacks_file(&file, old) {
                let turn = turn(&file);
                self.put_file(DraftFile::new(file, turn));
                self.news = true;
            }
        }
        if self.news && self.size() > MAX_PIECE {
            // No directory that imports are answered from is as large: nothing is stored of it.
            (self.names, self.files, self.news) = (None, Vec::new(), false);
        }
    }

    fn put_file(&mut self, file: DraftFile) {
        match self.files.binary_search_by(|known| known.name.cmp(&file.name)) {
            Ok(at) => self.files[at] = file,
            Err(at) => self.files.insert(at, file),
        }
    }

    /// Whether these names can be stored, and are others than it has.
    fn lacks_names(&self, (generation, names): &Listed) -> bool {
        let storable = || {
            let size = block_size(0, names.iter().map(|(name, _)| &**name), []);
            size <= MAX_PIECE / 2 && names.iter().all(|(name, _)| name.len() <= MAX_NAME)
        };
        let same = |known: &Names| {
            known.generation() == *generation && known.set() == NameSet::new(names.clone())
        };
        !self.names.as_ref().is_some_and(same) && storable()
    }

    /// Whether this file can be stored, and is another than it has. One that is damaged in the old table has been
    /// learnt again, and is written again.
    fn lacks_file(&self, learnt: &LearntFile, old: Option<&Shared>) -> bool {
        let found = self.files.binary_search_by(|known| known.name.cmp(&learnt.name));
        let same = |known: &DraftFile| {
            (known.source, known.bytecode) == (learnt.source, learnt.bytecode)
                && match &known.content {
                    Content::New(bytes, _) => *bytes == learnt.bytes,
                    Content::Old(stored) => {
                        stored.checksum == checksum(&learnt.bytes)
                            && old.and_then(|old| old.bytes_of(stored)).is_some()
                    }
                }
        };
        let storable = learnt.name.len() <= MAX_NAME && learnt.bytes.len() <= MAX_CONTENT;
        storable && !found.is_ok_and(|at| same(&self.files[at]))
    }
}

/// Whether the table has all that was learnt of this directory; it is read alone for that.
pub(super) fn is_known(old: &Shared, learnt: &LearntDir) -> bool {
    if learnt.is_only_used() {
        return true;
    }
    let block = old.block(&learnt.path);
    let draft = block.map_or_else(
        || Draft::new(learnt.path.clone(), 0),
        |block| Draft::of_block(old, &block, block.used_day()),
    );
    !learnt.names.as_ref().is_some_and(|listed| draft.lacks_names(listed))
        && !learnt.files.iter().any(|file| draft.lacks_file(file, Some(old)))
}

/// All that are going to have a block, in the order in which they were first learnt.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) all: Vec<Draft>,
    by_path: FxHashMap<Vec<u8>, usize>,
}

impl Drafts {
    /// What stands in the old table, but for what is below roots that nobody knows, and what is sealed: undated, it would
    /// never be believed again. No more than `limit` bytes of it are held, since no more can stay.
    pub(super) fn of(old: &Shared, today: u32, limit: u64) -> Self {
        let mut drafts = Self::default();
        let mut held = 0;
        let usable = |block: &Arc<Block>| block.path().has_root() && !block.is_sealed();
        for block in old.blocks().filter(usable) {
            held += block.size() as u64;
            if held > limit {
                break;
            }
            let draft = Draft::of_block(old, &block, today);
            drafts.at(block.path(), || draft);
        }
        drafts
    }

    /// Adds what was learnt of a directory.
    pub(super) fn learn(
        &mut self,
        learnt: LearntDir,
        today: u32,
        old: Option<&Shared>,
        turns: &mut Turns,
    ) {
        let path = learnt.path.clone();
        let known = self.by_path.contains_key(root::bytes(&path));
        let strange = !path.has_root() || root::bytes(&path).len() > MAX_NAME;
        if strange || (learnt.is_only_used() && !known) {
            return;
        }
        let draft = self.at(&path, || Draft::new(path.clone(), today));
        (draft.used, draft.used_day) = (true, today);
        draft.learn(learnt, old, |file| turns.next(&path, &file.name));
    }

    fn at(&mut self, path: &Path, fresh: impl FnOnce() -> Draft) -> &mut Draft {
        let next = self.all.len();
        let at = *self.by_path.entry(root::bytes(path).to_vec()).or_insert(next);
        if at == next {
            self.all.push(fresh());
        }
        &mut self.all[at]
    }

    /// Leaves out what costs more than `limit` bytes together: the least recently used first; what this process has used
    /// only if that alone is too much, and then the last first. What the old table has stands before the rest: so a program
    /// that is too large does not push out today what it wrote yesterday, and tomorrow the other way around.
    pub(super) fn bound(&mut self, limit: u64) {
        self.by_path.clear();
        self.all.retain(|draft| !draft.is_empty());
        let costs: Vec<_> = self.all.iter().map(Draft::cost).collect();
        let mut total: u64 = costs.iter().sum();
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|n| {
            let draft = &self.all[*n];
            (draft.used, draft.used_day, Reverse(*n))
        });
        let mut out = vec![false; self.all.len()];
        for n in order {
            if total <= limit {
                break;
            }
            total -= costs[n];
            out[n] = true;
        }
        let mut n = 0;
        self.all.retain(|_| {
            n += 1;
            !out[n - 1]
        });
    }
}
