//! What a table should say, kept in maps; and where the facts in these tests come from.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::hash::Hash;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use fastpath::fact::{Generation, Kind, Stamp};
use fastpath::table::shared::{Key, Learnt, LearntDir, LearntFile, Listed, Shared, merge};
use fastpath::table::{NameSet, StemHash};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

pub type Names = BTreeMap<Vec<u8>, Kind>;

/// What is known of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dir {
    pub names: Option<([i128; 4], Names)>,
    pub files: BTreeMap<Vec<u8>, (Stamp, Stamp, Vec<u8>)>,
    pub day: u32,
}

/// All that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    /// By path; no `PathBuf`, which takes `/a/.` for `/a`.
    pub dirs: BTreeMap<OsString, Dir>,
    pub plans: BTreeMap<Vec<u8>, Vec<PathBuf>>,
}

impl Model {
    /// The rule: what is learnt replaces what was known, and nothing else does.
    pub fn learn(&mut self, learnt: &Learnt) {
        for dir in &learnt.dirs {
            let new = dir.names.is_some() || !dir.files.is_empty();
            if !new && !self.dirs.contains_key(dir.path.as_os_str()) {
                continue;
            }
            let known = self.dirs.entry(dir.path.clone().into()).or_default();
            known.day = learnt.day;
            if let Some((generation, names)) = &dir.names {
                let names = names.iter().map(|(name, kind)| (name.to_vec(), *kind)).collect();
                known.names = Some((parts(*generation), names));
            }
            for file in &dir.files {
                let facts = (file.source, file.bytecode, file.bytes.to_vec());
                known.files.insert(file.name.to_vec(), facts);
            }
        }
        if let Some((program, paths)) = &learnt.plan {
            self.plans.insert(program.clone(), paths.clone());
        }
    }

    /// Without the days, which are written only together with something else.
    pub fn undated(mut self) -> Self {
        for dir in self.dirs.values_mut() {
            dir.day = 0;
        }
        self
    }
}

fn parts(generation: Generation) -> [i128; 4] {
    let (dev, ino, mtime, ctime) = generation.parts();
    [dev.into(), ino.into(), mtime, ctime]
}

/// What a table says of one directory, asked for as a lookup asks.
pub fn dir(table: &Shared, path: &Path) -> Option<Dir> {
    let block = table.block(path)?;
    assert_eq!(block.path().as_os_str(), path.as_os_str());
    let mut dir = Dir { day: block.used_day(), ..Dir::default() };
    if let Some(names) = block.names() {
        let all: Names = names.iter().map(|(name, kind)| (name.to_vec(), kind)).collect();
        check_names(&names, &all);
        dir.names = Some((parts(block.generation().expect("names have one")), all));
    }
    for (name, stored) in block.files() {
        assert_eq!(block.file(name), Some(stored));
        if let Some(bytes) = table.bytes_of(&stored) {
            dir.files.insert(name.to_vec(), (stored.source, stored.bytecode, bytes.into()));
        }
    }
    Some(dir)
}

/// A set of names as it lies in a table answers as one that was listed does.
fn check_names(stored: &NameSet, all: &Names) {
    let owned = all.iter().map(|(name, kind)| (name.as_slice().into(), *kind));
    let owned = NameSet::new(owned.collect());
    assert_eq!(*stored, owned);
    assert_eq!(owned, *stored);
    assert_eq!(stored.len(), all.len());
    let (found, expected): (Vec<_>, Vec<_>) = (stored.stems().collect(), owned.stems().collect());
    assert_eq!(found.len(), expected.len(), "each stem once");
    assert_eq!(HashSet::<StemHash>::from_iter(found), HashSet::from_iter(expected));
    assert!(owned.stems().all(|stem| stored.may_hold(stem)));
    for (name, kind) in all {
        assert_eq!(stored.kind(name), Some(*kind));
        let other = [name, &b"~"[..]].concat();
        assert_eq!(stored.kind(&other), None);
    }
}

/// All that a table says.
pub fn read(table: &Shared) -> Model {
    let paths = table.blocks().map(|block| block.path().to_owned());
    let dirs = paths.map(|path| (path.clone().into(), dir(table, &path).expect("a block of it")));
    let mut model = Model { dirs: dirs.collect(), ..Model::default() };
    for plan in table.plans() {
        assert_eq!(table.plan(&plan.program), Some(plan.paths.clone()));
        model.plans.insert(plan.program.into(), plan.paths);
    }
    model
}

pub fn key() -> Key {
    Key {
        cache_tag: "cpython-313".into(),
        magic: [0xf3, 0x0d, 0x0d, 0x0a],
        optimize: 0,
        environment: b"/venv".to_vec(),
    }
}

/// The table in these bytes.
#[track_caller]
pub fn open(bytes: &[u8]) -> Shared {
    Shared::new(Box::new(bytes.to_vec()), &key(), &[]).expect("a table")
}

/// What `merge` writes; None if it says that there is nothing new, and then it has written nothing.
#[track_caller]
pub fn merged(old: Option<&[u8]>, learnt: Learnt, limit: u64) -> Option<Vec<u8>> {
    let old = old.map(open);
    let mut out = Vec::new();
    let new = merge(old.as_ref(), &key(), learnt, limit, &mut out).expect("memory does not fail");
    assert_eq!(new, !out.is_empty());
    new.then_some(out)
}

pub const NO_LIMIT: u64 = u64::MAX;

pub fn stamp(n: u64) -> Stamp {
    Stamp { dev: n, ino: n + 1, size: n + 2, mtime_ns: i128::from(n) - 7, ctime_ns: i128::from(n) }
}

pub fn file(name: &str, n: u64, bytes: &[u8]) -> LearntFile {
    let (source, bytecode) = (stamp(n), stamp(n + 1));
    LearntFile { name: name.as_bytes().into(), source, bytecode, bytes: bytes.into() }
}

pub fn listed(n: u64, names: &[&str]) -> Option<Listed> {
    let names = names.iter().map(|name| (name.as_bytes().into(), Kind::File)).collect();
    Some((Generation::from_parts(n, n, i128::from(n), -1), names))
}

pub fn learnt(path: &str, n: u64, names: &[&str], files: Vec<LearntFile>) -> LearntDir {
    LearntDir { path: path.into(), names: listed(n, names), files }
}

pub fn used(path: &str) -> LearntDir {
    LearntDir { path: path.into(), ..LearntDir::default() }
}

pub fn today(day: u32, dirs: Vec<LearntDir>) -> Learnt {
    Learnt { dirs, plan: None, day }
}

// ---- anything at all ---------------------------------------------------------------------------

fn any_name() -> impl Strategy<Value = Box<[u8]>> {
    // Few letters, so that names and stems meet; dots, and bytes that are no UTF-8.
    vec(prop::sample::select(&b"ab.\xff"[..]), 1..5).prop_map(Vec::into_boxed_slice)
}

fn any_path() -> impl Strategy<Value = PathBuf> {
    vec(any_name(), 0..3).prop_map(|names| {
        let mut path = b"/".to_vec();
        path.extend(names.join(&b'/'));
        PathBuf::from(OsString::from_vec(path))
    })
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop::sample::select(&[Kind::Dir, Kind::File, Kind::Link, Kind::Unknown, Kind::Other][..])
}

fn any_stamp() -> impl Strategy<Value = Stamp> {
    (any::<[u64; 3]>(), any::<[i128; 2]>()).prop_map(|([dev, ino, size], [mtime_ns, ctime_ns])| {
        Stamp { dev, ino, size, mtime_ns, ctime_ns }
    })
}

fn any_generation() -> impl Strategy<Value = Generation> {
    any_stamp().prop_map(|s| Generation::from_parts(s.dev, s.ino, s.mtime_ns, s.ctime_ns))
}

fn any_file() -> impl Strategy<Value = LearntFile> {
    (any_name(), any_stamp(), any_stamp(), vec(any::<u8>(), 0..40)).prop_map(
        |(name, source, bytecode, bytes)| LearntFile {
            name,
            source,
            bytecode,
            bytes: bytes.into(),
        },
    )
}

fn any_dir() -> impl Strategy<Value = LearntDir> {
    let names = (any_generation(), vec((any_name(), any_kind()), 0..12));
    (any_path(), option::of(names), vec(any_file(), 0..4))
        .prop_map(|(path, names, files)| LearntDir { path, names, files })
}

/// What some process might have learnt.
pub fn any_learnt() -> impl Strategy<Value = Learnt> {
    let plan = (vec(any::<u8>(), 0..3), vec(any_path(), 0..6));
    (vec(any_dir(), 0..6), option::of(plan), 0..100_u32).prop_map(|(mut dirs, plan, day)| {
        each_once(&mut dirs, |dir| dir.path.as_os_str().to_owned());
        for dir in &mut dirs {
            each_once(&mut dir.files, |file| file.name.clone());
        }
        Learnt { dirs, plan, day }
    })
}

fn each_once<T, K: Hash + Eq>(all: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = HashSet::new();
    all.retain(|one| seen.insert(key(one)));
}
