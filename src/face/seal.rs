//! Sealed tables for the command line: facts that Python has gathered go into a file, and what a file says comes back.
//!
//! What belongs into a seal is decided in `python/fastpath/_seal.py`; here nothing is looked for, and nothing renamed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use super::{fs_path, program, share};
use crate::fact::{Generation, Kind, Stamp};
use crate::table::shared::{self, Block, Key, Learnt, LearntDir, LearntFile, Root, Shared, Trust};

/// Device, inode, `mtime` and `ctime` in nanoseconds.
type Dated = (u64, u64, i128, i128);
/// Device, inode, size, `mtime` and `ctime` in nanoseconds.
type Stamped = (u64, u64, u64, i128, i128);
type Coded<'py> = (Bound<'py, PyBytes>, Stamped, Stamped, Bound<'py, PyBytes>);
type Listed<'py> = (Dated, Vec<(Bound<'py, PyBytes>, String)>);
type Dir<'py> = (Bound<'py, PyAny>, Option<Listed<'py>>, Vec<Coded<'py>>);

/// Writes a sealed table into the file at `path`. See the stubs.
#[pyfunction]
pub fn _seal(
    py: Python<'_>,
    path: &Bound<'_, PyAny>,
    roots: Vec<(Bound<'_, PyAny>, bool)>,
    directories: &Bound<'_, PyAny>,
    plan: Option<(Vec<u8>, Vec<Bound<'_, PyAny>>)>,
) -> PyResult<()> {
    let root = |(path, sealed): &(Bound<'_, PyAny>, bool)| {
        PyResult::Ok(Root { path: fs_path(path)?, sealed: *sealed })
    };
    let path = fs_path(path)?;
    let roots = roots.iter().map(root).collect::<PyResult<Vec<_>>>()?;
    let plan = plan.map(|(program, files)| PyResult::Ok((program, paths(&files)?))).transpose()?;
    let dirs = directories.try_iter()?.map(|dir| learnt(dir?.extract()?));
    // A day would make every seal another one.
    let learnt = Learnt { dirs: dirs.collect::<PyResult<_>>()?, plan, day: 0 };
    let key = key(py)?;
    py.detach(|| write(&path, &key, learnt, &roots)).map_err(PyErr::from)
}

fn write(path: &Path, key: &Key, learnt: Learnt, roots: &[Root]) -> io::Result<()> {
    let mut file = File::create(path)?;
    shared::seal(key, learnt, roots, &mut file)?;
    file.sync_all()
}

/// What the sealed table in the file at `path` says. See the stubs.
#[pyfunction]
pub fn _seal_facts<'py>(
    py: Python<'py>,
    path: &Bound<'py, PyAny>,
    roots: Vec<Bound<'py, PyAny>>,
    contents: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let (path, roots, key) = (fs_path(path)?, paths(&roots)?, key(py)?);
    let open = || Shared::new(shared::open(&path, Trust::Baked)?, &key, &roots);
    let table = py.detach(open).map_err(|refusal| PyValueError::new_err(refusal.to_string()))?;
    if !table.is_sealed() {
        return Err(PyValueError::new_err("it is a table, but not a sealed one"));
    }
    let facts = PyDict::new(py);
    facts.set_item("size", table.size())?;
    facts.set_item("damaged", table.len() - table.blocks().count())?;
    let blocks = table.blocks().map(|block| told(py, &table, &block, contents));
    facts.set_item("directories", PyList::new(py, blocks.collect::<PyResult<Vec<_>>>()?)?)?;
    let plans = table.plans().map(|plan| {
        let paths: Vec<_> = plan.paths.into_iter().map(PathBuf::into_os_string).collect();
        (PyBytes::new(py, &plan.program), paths)
    });
    facts.set_item("plans", PyList::new(py, plans.collect::<Vec<_>>())?)?;
    Ok(facts)
}

fn told<'py>(
    py: Python<'py>,
    table: &Shared,
    block: &Arc<Block>,
    contents: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let bytes = |bytes: &[u8]| PyBytes::new(py, bytes);
    let dir = PyDict::new(py);
    dir.set_item("path", block.path().as_os_str())?;
    dir.set_item("sealed", block.is_sealed())?;
    dir.set_item("generation", block.generation().map(|known| known.parts()))?;
    let names = block.names();
    let names = names.iter().flat_map(|names| names.iter());
    let names = names.map(|(name, kind)| (bytes(name), word(kind)));
    dir.set_item("names", PyList::new(py, names.collect::<Vec<_>>())?)?;
    let files = block.files().map(|(name, stored)| {
        let content = contents.then(|| table.bytes_of(&stored)).flatten();
        let content = content.map(|content| bytes(&content));
        (bytes(name), stamped(&stored.source), stamped(&stored.bytecode), stored.len(), content)
    });
    dir.set_item("files", PyList::new(py, files.collect::<Vec<_>>())?)?;
    Ok(dir)
}

/// What a table calls the program that this command line of an interpreter runs, started in `cwd`.
#[pyfunction]
pub fn _program(argv: Vec<String>, cwd: String) -> Vec<u8> {
    program::of(&argv, &|| cwd.clone())
}

fn learnt((path, listed, files): Dir<'_>) -> PyResult<LearntDir> {
    let names = listed.map(|((dev, ino, mtime, ctime), names)| {
        let names = names.iter().map(|(name, kind)| (name.as_bytes().into(), kind_of(kind)));
        (Generation::from_parts(dev, ino, mtime, ctime), names.collect())
    });
    let file = |(name, source, bytecode, bytes): &Coded<'_>| LearntFile {
        name: name.as_bytes().into(),
        source: stamp(*source),
        bytecode: stamp(*bytecode),
        bytes: bytes.as_bytes().into(),
    };
    Ok(LearntDir { path: fs_path(&path)?, names, files: files.iter().map(file).collect() })
}

/// Whom a seal is for: in which environment it is, is told by where it lies.
fn key(py: Python<'_>) -> PyResult<Key> {
    let sys = py.import("sys")?;
    Ok(share::key(&sys, &share::roots(&sys)?)?.anywhere())
}

fn paths(paths: &[Bound<'_, PyAny>]) -> PyResult<Vec<PathBuf>> {
    paths.iter().map(fs_path).collect()
}

fn stamp((dev, ino, size, mtime_ns, ctime_ns): Stamped) -> Stamp {
    Stamp { dev, ino, size, mtime_ns, ctime_ns }
}

fn stamped(stamp: &Stamp) -> Stamped {
    let Stamp { dev, ino, size, mtime_ns, ctime_ns } = *stamp;
    (dev, ino, size, mtime_ns, ctime_ns)
}

fn kind_of(word: &str) -> Kind {
    match word {
        "dir" => Kind::Dir,
        "file" => Kind::File,
        _ => Kind::Other,
    }
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Dir => "dir",
        Kind::File => "file",
        _ => "other",
    }
}
