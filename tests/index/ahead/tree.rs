//! Modules that import, compiled by hand for CPython 3.12, and an index that looks ahead in them.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use fastpath::bytecode::{Import, Opcodes};
use fastpath::candidates::Suffixes;
use fastpath::index::{Counts, Dialect, Freshness, Index, Loaded, LookAhead, Scene};
use fastpath::probe::{Backend, Tally};
use fastpath::pyc::Naming;

use crate::bed::{self, Bed};
use crate::oracle::SUFFIXES;

pub const MAGIC: [u8; 4] = [0xcb, 0x0d, 0x0d, 0x0a];
const LOAD_CONST: u8 = 100;
const IMPORT_NAME: u8 = 108;
const EXTENDED_ARG: u8 = 144;

/// `import name`.
pub fn import(name: &str) -> Import {
    from(0, name, &[])
}

/// `from name import ...`, with so many dots.
pub fn from(level: u32, name: &str, names: &[&str]) -> Import {
    Import { level, name: name.into(), from: names.iter().map(ToString::to_string).collect() }
}

/// A module of nothing but imports, as `marshal.dumps` writes its code.
fn marshalled(imports: &[Import]) -> Vec<u8> {
    let (mut code, mut constants, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (at, import) in (0_u16..).zip(imports) {
        let wide = |opcode: u8, operand: u16| {
            let [high, low] = operand.to_be_bytes();
            [EXTENDED_ARG, high, opcode, low]
        };
        code.extend(wide(LOAD_CONST, 2 * at));
        code.extend(wide(LOAD_CONST, 2 * at + 1));
        code.extend(wide(IMPORT_NAME, at));
        constants.push([&b"i"[..], &import.level.to_le_bytes()].concat());
        constants.push(match &*import.from {
            [] => b"N".to_vec(),
            from => tuple(&from.iter().map(|name| text(name)).collect::<Vec<_>>()),
        });
        names.push(text(&import.name));
    }
    let head = [&b"c"[..], &[0; 20], b"s", &size(code.len())].concat();
    [head, code, tuple(&constants), tuple(&names)].concat()
}

fn size(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("a size").to_le_bytes()
}

fn text(text: &str) -> Vec<u8> {
    [b"a", &size(text.len())[..], text.as_bytes()].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"(", &size(items.len())[..], &items.concat()].concat()
}

/// A bytecode file with these flags that says it is of this source.
pub fn pyc(flags: u32, source: &Path, imports: &[Import]) -> Vec<u8> {
    let stat = fs::metadata(source).expect("a source");
    let words = [flags, stat.mtime() as u32, stat.size() as u32].map(u32::to_le_bytes);
    [&MAGIC[..], &words.concat(), &marshalled(imports)].concat()
}

/// Where the bytecode of this source lies.
pub fn beside(source: &Path) -> PathBuf {
    let path = Naming::new("cpython-312", 0).beside(source.to_str().expect("UTF-8"));
    path.expect("a usual path").into()
}

/// Makes a module at this path below the bed (`"0/a/b.py"`), compiled; its source.
pub fn module(bed: &Bed, path: &str, imports: &[Import]) -> PathBuf {
    let source = bed.file(path);
    fs::write(&source, format!("# {path}\n")).expect("written");
    let bytecode = beside(&source);
    fs::create_dir_all(bytecode.parent().expect("a parent")).expect("its directory");
    fs::write(bytecode, pyc(0, &source, imports)).expect("written");
    source
}

/// Sets the time of change of a file's content.
pub fn touch(path: &Path, to: SystemTime) {
    let file = File::options().write(true).open(path).expect("a file of ours");
    file.set_modified(to).expect("a file of ours");
}

/// An index that looks ahead everywhere, and a program with nothing but a path.
pub struct Looker {
    pub index: Index,
    pub dialect: Dialect,
    pub scene: Scene,
}

impl Looker {
    /// One that searches the directories of this bed.
    pub fn new(bed: &Bed) -> Self {
        Self::with(Backend::Auto, LookAhead::Always, &[&bed.dirs])
    }

    /// One that searches these runs of directories.
    pub fn with(backend: Backend, ahead: LookAhead, runs: &[&[PathBuf]]) -> Self {
        let mut index = Index::new(backend, Freshness::Strict, Suffixes::new(&SUFFIXES));
        index.look_ahead_where(ahead);
        let run = |dirs: &&[PathBuf]| {
            Arc::new(index.run(dirs.iter().map(|dir| index.directory(dir)).collect()))
        };
        let path = runs.iter().map(run).collect();
        let dialect = Dialect {
            naming: Naming::new("cpython-312", 0),
            magic: MAGIC,
            opcodes: Opcodes::of(12).expect("a known version"),
        };
        Self { dialect, scene: Scene { path, ..Scene::default() }, index }
    }

    /// The program has this module already.
    pub fn has_loaded(&mut self, name: &str) {
        self.scene.loaded.insert(name.to_owned());
    }

    /// These imports are about to be made in a package.
    pub fn look_from(&self, package: &str, imports: &[Import]) {
        let loaded: &HashSet<String> = &self.scene.loaded;
        let names = self.index.unattended(package, imports, &|name| loaded.contains(name));
        self.index.look_ahead(&self.dialect, &self.scene, names);
    }

    /// `import name` is about to be executed.
    pub fn look(&self, name: &str) {
        self.look_from("", &[import(name)]);
    }

    /// What that cost.
    pub fn cost(&self, what: impl FnOnce(&Self)) -> Cost {
        let (counts, tally) = self.index.counts();
        what(self);
        let (now, asked) = self.index.counts();
        let stats = |tally: &Tally| tally.serial + tally.threads + tally.uring;
        let ahead = |now: &Counts| (now.ahead_steps, now.ahead_files, now.ahead_used_files);
        let ((steps, files, used), before) = (ahead(&now), ahead(&counts));
        Cost {
            steps: steps - before.0,
            files: files - before.1,
            used: used - before.2,
            batches: asked.batches - tally.batches,
            stats: stats(&asked) - stats(&tally),
            listings: asked.listings - tally.listings,
            reads: asked.reads - tally.reads,
        }
    }

    /// What the loader gets of this source.
    pub fn load(&self, source: &Path) -> Option<Loaded> {
        self.index.load(source, &beside(source))
    }

    /// The same, which must be as it is on the disk; and whether it was fetched ahead.
    #[track_caller]
    pub fn load_right(&self, source: &Path) -> bool {
        let mut loaded = None;
        let cost = self.cost(|looker| loaded = looker.load(source));
        let loaded = loaded.expect("it can be loaded");
        assert_eq!(*loaded.bytecode.bytes, *fs::read(beside(source)).expect("bytecode"));
        assert_eq!(loaded.source.mtime_ns, mtime_ns(source));
        cost.used == 1 && cost.reads == 0
    }
}

fn mtime_ns(path: &Path) -> i128 {
    let stat = fs::metadata(path).expect("a file");
    i128::from(stat.mtime()) * 1_000_000_000 + i128::from(stat.mtime_nsec())
}

/// What something cost, in questions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    pub steps: u64,
    pub files: u64,
    pub used: u64,
    pub batches: u64,
    pub stats: u64,
    pub listings: u64,
    pub reads: u64,
}

/// Lets everything become old enough to be kept.
pub fn age() {
    bed::age();
}
