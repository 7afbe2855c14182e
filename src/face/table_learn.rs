//! A table made of what lies in directories, for tests of those who read tables.

use std::fs;
use std::path::{Path, PathBuf};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;

use super::tables::{key, open};
use crate::fact::{Generation, Kind, Stamp};
use crate::probe::{Backend, Prober};
use crate::pyc::Naming;
use crate::table::shared::{self, Key, Learnt, LearntDir, LearntFile};

/// Puts the names in these directories, and the bytecode of the sources there, into the table in a file, as if processes had used them
/// on this day; true if that was news. `environment` is another than the running interpreter's.
///
/// # Errors
/// `OSError` of the calls.
#[pyfunction]
#[pyo3(signature = (file, dirs, day, environment = None))]
pub fn learn(
    py: Python<'_>,
    file: PathBuf,
    dirs: Vec<PathBuf>,
    day: u32,
    environment: Option<Vec<u8>>,
) -> PyResult<bool> {
    let mut key = key(py)?;
    key.environment = environment.unwrap_or(key.environment);
    let learnt = Learnt {
        dirs: dirs.iter().map(|dir| learn_dir(dir, &key)).collect::<Result<_, _>>()?,
        plan: Some((b"module tests".to_vec(), dirs)),
        day,
    };
    let old = open(&file).ok();
    let published =
        shared::publish(&file, |out| shared::merge(old.as_ref(), &key, learnt, u64::MAX, out))?;
    Ok(published == shared::Published::Done)
}

fn learn_dir(dir: &Path, key: &Key) -> PyResult<LearntDir> {
    let naming = Naming::new(&key.cache_tag, key.optimize);
    let prober = Prober::new(Backend::Auto);
    let stamp = |path: &Path| prober.stat(&[path])[0].stat().map(Stamp::of);
    let mut learnt = LearntDir { path: dir.to_owned(), ..LearntDir::default() };
    let mut names: Vec<(Box<[u8]>, Kind)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        names.push((name.into(), if path.is_dir() { Kind::Dir } else { Kind::File }));
        let bytecode = path.to_str().and_then(|path| naming.beside(path)).map(PathBuf::from);
        let Some(bytecode) = bytecode.filter(|bytecode| bytecode.is_file()) else { continue };
        let (Some(source), Some(version)) = (stamp(&path), stamp(&bytecode)) else { continue };
        let bytes = fs::read(&bytecode)?.into();
        learnt.files.push(LearntFile { name: name.into(), source, bytecode: version, bytes });
    }
    let stat = prober.stat(&[dir])[0].stat().copied();
    let generation = stat.as_ref().map(Generation::of);
    learnt.names = Some((generation.ok_or(PyOSError::new_err("no directory"))?, names));
    Ok(learnt)
}
