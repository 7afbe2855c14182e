//! What is going to stand in a table: facts of the old one and facts just learnt, before anything is written.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::encode::block_size;
use super::layout::{ENTRY, MAX_NAME, MAX_PIECE, checksum};
use super::root;
use super::{Block, LearntDir, LearntFile, Shared, Stored};
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
    /// It has a block in the old table.
    pub(super) known: bool,
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
    /// Its turn among the new ones whose bytes are written; those without one come last.
    pub(super) turn: Option<usize>,
}

/// Bytes of a file, wherever they lie.
#[derive(Debug)]
pub(super) enum Content {
    Old(Stored),
    New(Box<[u8]>),
}

impl Names {
    pub(super) fn generation(&self) -> Generation {
        match self {
            Self::Old(generation, _) | Self::New(generation, _) => *generation,
        }
    }

    pub(super) fn all(&self) -> Vec<(&[u8], Kind)> {
        match self {
            Self::Old(_, block) => block.listed().collect(),
            Self::New(_, names) => names.iter().map(|(name, kind)| (&**name, *kind)).collect(),
        }
    }
}

impl DraftFile {
    fn new(learnt: LearntFile) -> Self {
        let LearntFile { name, source, bytecode, bytes } = learnt;
        Self { name, source, bytecode, content: Content::New(bytes), turn: None }
    }

    fn len(&self) -> u64 {
        match &self.content {
            Content::Old(stored) => stored.len,
            Content::New(bytes) => bytes.len() as u64,
        }
    }
}

impl Draft {
    fn new(path: PathBuf, used_day: u32) -> Self {
        let (names, files) = (None, Vec::new());
        Self { path, used_day, names, files, used: false, known: false, news: false }
    }

    fn of_block(block: &Arc<Block>, today: u32) -> Self {
        // A day in the future, by a clock that was wrong, would never grow old.
        let mut draft = Self::new(block.path().to_owned(), block.used_day().min(today));
        draft.known = true;
        draft.names = block.generation().map(|known| Names::Old(known, Arc::clone(block)));
        let file = |(name, stored): (&[u8], Stored)| {
            let Stored { source, bytecode, .. } = stored;
            let content = Content::Old(stored);
            DraftFile { name: name.into(), source, bytecode, content, turn: None }
        };
        draft.files = block.files().map(file).collect();
        draft
    }

    /// How many bytes of the table are its own, at most.
    pub(super) fn cost(&self) -> u64 {
        self.size() as u64 + ENTRY as u64 + self.files.iter().map(DraftFile::len).sum::<u64>()
    }

    fn size(&self) -> usize {
        let names = self.names.as_ref().map_or(Vec::new(), Names::all);
        let names = names.into_iter().map(|(name, _)| name);
        block_size(root::bytes(&self.path).len(), names, self.files.iter().map(|f| &*f.name))
    }

    /// Whether there is nothing to say of it.
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_none() && self.files.is_empty()
    }

    fn learn(&mut self, learnt: LearntDir, old: Option<&Shared>) {
        if let Some((generation, names)) = learnt.names {
            self.learn_names(generation, names);
        }
        for file in learnt.files {
            self.learn_file(file, old);
        }
        if self.size() > MAX_PIECE {
            // No directory that imports are answered from is as large: nothing is stored of it.
            (self.names, self.files, self.news) = (None, Vec::new(), false);
        }
    }

    fn learn_names(&mut self, generation: Generation, names: Vec<(Box<[u8]>, Kind)>) {
        let path = root::bytes(&self.path).len();
        let size = block_size(path, names.iter().map(|(name, _)| &**name), []);
        if size > MAX_PIECE || names.iter().any(|(name, _)| name.len() > MAX_NAME) {
            return;
        }
        let names = Names::New(generation, names);
        if !self.names.as_ref().is_some_and(|before| same_names(before, &names)) {
            self.names = Some(names);
            self.news = true;
        }
    }

    fn learn_file(&mut self, learnt: LearntFile, old: Option<&Shared>) {
        if learnt.name.len() > MAX_NAME {
            return;
        }
        match self.files.binary_search_by(|file| file.name.cmp(&learnt.name)) {
            Ok(at) if says_the_same(&self.files[at], &learnt, old) => return,
            Ok(at) => self.files[at] = DraftFile::new(learnt),
            Err(at) => self.files.insert(at, DraftFile::new(learnt)),
        }
        self.news = true;
    }
}

fn same_names(before: &Names, names: &Names) -> bool {
    let set = |names: &Names| match names {
        Names::Old(_, block) => block.names().unwrap_or_default(),
        Names::New(_, names) => NameSet::new(names.clone()),
    };
    before.generation() == names.generation() && set(before) == set(names)
}

/// Whether the table has this file already. One that is damaged there has been learnt again, and is written again.
fn says_the_same(before: &DraftFile, learnt: &LearntFile, old: Option<&Shared>) -> bool {
    (before.source, before.bytecode) == (learnt.source, learnt.bytecode)
        && match &before.content {
            Content::New(bytes) => *bytes == learnt.bytes,
            Content::Old(stored) => {
                stored.checksum == checksum(&learnt.bytes)
                    && old.and_then(|old| old.bytes_of(stored)).as_ref() == Some(&learnt.bytes)
            }
        }
}

/// All that are going to have a block, in the order in which they were first learnt.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub(super) all: Vec<Draft>,
    by_path: FxHashMap<Vec<u8>, usize>,
}

impl Drafts {
    /// What stands in the old table. Relative paths are below roots that nobody knows.
    pub(super) fn of(old: &Shared, today: u32) -> Self {
        let mut drafts = Self::default();
        for block in old.blocks().filter(|block| block.path().has_root()) {
            let draft = Draft::of_block(&block, today);
            drafts.at(block.path(), || draft);
        }
        drafts
    }

    /// Adds what was learnt of a directory.
    pub(super) fn learn(&mut self, learnt: LearntDir, today: u32, old: Option<&Shared>) {
        let only_used = learnt.names.is_none() && learnt.files.is_empty();
        let strange = !learnt.path.has_root() || root::bytes(&learnt.path).len() > MAX_NAME;
        if strange || (only_used && !self.by_path.contains_key(root::bytes(&learnt.path))) {
            return;
        }
        let path = learnt.path.clone();
        let draft = self.at(&path, || Draft::new(path.clone(), today));
        (draft.used, draft.used_day) = (true, today);
        draft.learn(learnt, old);
    }

    fn at(&mut self, path: &Path, fresh: impl FnOnce() -> Draft) -> &mut Draft {
        let next = self.all.len();
        let at = *self.by_path.entry(root::bytes(path).to_vec()).or_insert(next);
        if at == next {
            self.all.push(fresh());
        }
        &mut self.all[at]
    }

    /// Has the bytes of these files, by the paths of their sources, written in this order and before all others.
    pub(super) fn put_in_order(&mut self, sources: &[PathBuf]) {
        for (turn, source) in sources.iter().enumerate().rev() {
            let (Some(dir), Some(name)) = (source.parent(), source.file_name()) else { continue };
            let Some(at) = self.by_path.get(root::bytes(dir)) else { continue };
            let files = &mut self.all[*at].files;
            let name = name.as_encoded_bytes();
            if let Ok(at) = files.binary_search_by(|file| (*file.name).cmp(name)) {
                files[at].turn = Some(turn);
            }
        }
    }

    /// Leaves out what costs more than `limit` bytes together: the least recently used first; what this process has used
    /// only if that alone is too much, and then first what the old table does not have, the last of it first. So a program
    /// that is too large does not push out today what it wrote yesterday, and tomorrow the other way around.
    pub(super) fn bound(&mut self, limit: u64) {
        self.by_path.clear();
        self.all.retain(|draft| !draft.is_empty());
        let mut total: u64 = self.all.iter().map(Draft::cost).sum();
        let mut order: Vec<usize> = (0..self.all.len()).collect();
        order.sort_by_key(|n| {
            let draft = &self.all[*n];
            (draft.used, draft.used && draft.known, draft.used_day, std::cmp::Reverse(*n))
        });
        let mut out = vec![false; self.all.len()];
        for n in order {
            if total <= limit {
                break;
            }
            total -= self.all[n].cost();
            out[n] = true;
        }
        let mut n = 0;
        self.all.retain(|_| {
            n += 1;
            !out[n - 1]
        });
    }
}
