//! What a process has to tell the ones after it.

use std::path::PathBuf;

use crate::fact::{Generation, Kind, Stamp};

/// What one process has learnt, and what it has used.
#[derive(Clone, Debug, Default)]
pub struct Learnt {
    /// Directories, in the order in which they were first touched.
    pub dirs: Vec<LearntDir>,
    /// The program, and the sources and directories it touched, in that order.
    pub plan: Option<(Vec<u8>, Vec<PathBuf>)>,
    /// Today: days since the epoch.
    pub day: u32,
}

/// What was learnt of a directory. With neither names nor files it was only used, and is kept for it.
#[derive(Clone, Debug, Default)]
pub struct LearntDir {
    /// Where it is, absolute; a relative one is passed over.
    pub path: PathBuf,
    /// Its names, and the generation they belong to. None leaves what is stored as it is.
    pub names: Option<Listed>,
    /// Files that were read for modules from it. Other files that are stored stay.
    pub files: Vec<LearntFile>,
}

impl LearntDir {
    pub(super) fn is_only_used(&self) -> bool {
        self.names.is_none() && self.files.is_empty()
    }
}

/// The names in a directory, and the generation they belong to.
pub type Listed = (Generation, Vec<(Box<[u8]>, Kind)>);

/// A file of bytecode that was read.
#[derive(Clone, Debug)]
pub struct LearntFile {
    /// The name of the source, without its directory.
    pub name: Box<[u8]>,
    /// The source's version.
    pub source: Stamp,
    /// The version of the bytecode's file.
    pub bytecode: Stamp,
    /// All of that file.
    pub bytes: Box<[u8]>,
}
