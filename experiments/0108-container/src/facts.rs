//! What a table would know of a tree: the names in each directory, and every module's bytecode.
//!
//! It asks the filesystem as the judge and the writer do; no container is known here.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The tag between a module's name and `.pyc`.
const TAG: &str = "cpython-311";

/// dev, ino, mtime_ns, ctime_ns of a directory, as they are.
pub type Generation = [u64; 4];
/// dev, ino, size, mtime_ns, ctime_ns of a file.
pub type Stamp = [u64; 5];

/// A directory: its modules are those with a `.pyc`. Names and modules are sorted.
#[derive(Debug, rkyv::Archive, rkyv::Serialize)]
pub struct Directory {
    pub path: Vec<u8>,
    pub generation: Generation,
    pub names: Vec<Name>,
    pub modules: Vec<Module>,
}

/// A name in a directory; kind is 0 for a file, 1 for a directory, 2 for anything else.
#[derive(Debug, PartialEq, rkyv::Archive, rkyv::Serialize)]
pub struct Name {
    pub name: Vec<u8>,
    pub kind: u8,
}

#[derive(Debug, rkyv::Archive, rkyv::Serialize)]
pub struct Module {
    pub name: Vec<u8>,
    pub source: Stamp,
    pub bytecode: Stamp,
    pub bytes: Vec<u8>,
}

/// Every directory at or below `root` but `__pycache__`, sorted by path.
pub fn gather(root: &Path) -> io::Result<Vec<Directory>> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(dir) = todo.pop() {
        let directory = read(&dir)?;
        for name in directory.names.iter().filter(|n| n.kind == 1 && n.name != b"__pycache__") {
            todo.push(dir.join(std::ffi::OsStr::from_bytes(&name.name)));
        }
        found.push(directory);
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn read(dir: &Path) -> io::Result<Directory> {
    let (mut names, mut modules) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let kind = if kind.is_file() {
            0
        } else if kind.is_dir() {
            1
        } else {
            2
        };
        let name = entry.file_name();
        let path = entry.path();
        if kind == 0 && path.extension().is_some_and(|e| e == "py") {
            modules.extend(module(&path)?);
        }
        names.push(Name { name: name.as_bytes().to_vec(), kind });
    }
    names.sort_by(|a, b| a.name.cmp(&b.name));
    modules.sort_by(|a, b| a.name.cmp(&b.name));
    let m = fs::metadata(dir)?;
    let generation =
        [m.dev(), m.ino(), ns(m.mtime(), m.mtime_nsec()), ns(m.ctime(), m.ctime_nsec())];
    Ok(Directory { path: dir.as_os_str().as_bytes().to_vec(), generation, names, modules })
}

fn module(source: &Path) -> io::Result<Option<Module>> {
    let pyc = bytecode_of(source);
    let (Ok(of_pyc), Some(name)) = (fs::metadata(&pyc), source.file_name()) else {
        return Ok(None);
    };
    Ok(Some(Module {
        name: name.as_bytes().to_vec(),
        source: stamp(&fs::metadata(source)?),
        bytecode: stamp(&of_pyc),
        bytes: fs::read(pyc)?,
    }))
}

/// Where the bytecode of this source lies (PEP 3147).
pub fn bytecode_of(source: &Path) -> std::path::PathBuf {
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    source.with_file_name("__pycache__").join(format!("{stem}.{TAG}.pyc"))
}

fn stamp(m: &Metadata) -> Stamp {
    [m.dev(), m.ino(), m.size(), ns(m.mtime(), m.mtime_nsec()), ns(m.ctime(), m.ctime_nsec())]
}

fn ns(seconds: i64, nanoseconds: i64) -> u64 {
    (seconds * 1_000_000_000 + nanoseconds) as u64
}
