//! What shared tables say, for people: the native side of `python -m fastpath cache` and of `doctor`.
//!
//! It looks into tables, whoever they are for, and can leave things out of one; it never adds to one, and no import
//! depends on it.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};

use super::table_learn::learn;
use super::{path_of_bytes, share};
use crate::fact::{Fact, Generation, Stamp};
use crate::probe::{Backend, Prober};
use crate::pyc::Naming;
use crate::table::shared::{self, Block, Damage, Key, Published, Refusal, Shared, Trust};

/// The functions below, in a module that is made when it is asked for: an interpreter's start shall not pay for them.
#[pyfunction]
pub fn _tables(py: Python<'_>) -> PyResult<Bound<'_, PyModule>> {
    let module = PyModule::new(py, "fastpath._native._tables")?;
    module.add_function(wrap_pyfunction!(place, &module)?)?;
    module.add_function(wrap_pyfunction!(facts, &module)?)?;
    module.add_function(wrap_pyfunction!(directories, &module)?)?;
    module.add_function(wrap_pyfunction!(verify, &module)?)?;
    module.add_function(wrap_pyfunction!(gc, &module)?)?;
    module.add_function(wrap_pyfunction!(learn, &module)?)?;
    Ok(module)
}

/// Where the running interpreter's table is: `dir` and `file`, or `why` there is no place for it. `directory` is
/// what was configured for it, if anything.
#[pyfunction]
#[pyo3(signature = (directory = None))]
fn place(py: Python<'_>, directory: Option<PathBuf>) -> PyResult<Bound<'_, PyDict>> {
    let answer = PyDict::new(py);
    let place = shared::place(directory.as_deref());
    let name = key(py).map(|key| key.file_name());
    let dir = place.as_ref().ok();
    let file = dir.zip(name.as_ref().ok()).map(|(dir, name)| dir.join(name).into_os_string());
    answer.set_item("dir", dir.map(|dir| dir.as_os_str()))?;
    answer.set_item("file", file)?;
    let why = place.err().map(|refusal| refusal.to_string());
    let no_key = name.is_err().then(|| "this interpreter keeps no bytecode".to_owned());
    answer.set_item("why", why.or(no_key))?;
    Ok(answer)
}

/// What a table says of itself, or `why` it is not used, and which kind of `refusal` that is. With `own`, one that is not
/// for the running interpreter is not used.
#[pyfunction]
fn facts(py: Python<'_>, path: PathBuf, own: bool) -> PyResult<Bound<'_, PyDict>> {
    let key = key(py).ok();
    let table = py.detach(|| match open(&path) {
        Ok(table) if own && Some(table.key()) != key.as_ref() => Err(Refusal::OtherKey),
        opened => opened,
    });
    let facts = PyDict::new(py);
    let refusal = table.as_ref().err();
    facts.set_item("why", refusal.map(ToString::to_string))?;
    facts.set_item("refusal", refusal.map(kind))?;
    if let Ok(table) = table {
        tell(py, &table, &facts)?;
    }
    Ok(facts)
}

fn tell(py: Python<'_>, table: &Shared, facts: &Bound<'_, PyDict>) -> PyResult<()> {
    let (mut modules, mut names, mut bytes, mut day) = (0, 0, 0, None);
    py.detach(|| {
        for block in table.blocks() {
            modules += block.files_len();
            names += block.names_len();
            bytes += block.files().map(|(_, file)| file.len()).sum::<u64>();
            day = day.max(Some(block.used_day()));
        }
    });
    let Key { cache_tag, magic, optimize, environment } = table.key();
    facts.set_item("format", table.format())?;
    facts.set_item("cache_tag", cache_tag)?;
    facts.set_item("magic", format!("{:08x}", u32::from_be_bytes(*magic)))?;
    facts.set_item("optimize", optimize)?;
    facts.set_item("environment", texts(roots(environment)))?;
    facts.set_item("sealed", table.is_sealed())?;
    facts.set_item("size", table.size())?;
    facts.set_item("directories", table.len())?;
    facts.set_item("names", names)?;
    facts.set_item("modules", modules)?;
    facts.set_item("bytes", bytes)?;
    facts.set_item("plans", table.plans().count())?;
    facts.set_item("used_day", day)
}

/// Every directory of a table, with its modules.
///
/// # Errors
/// `OSError` with the sentence why the table is not used.
#[pyfunction]
fn directories(py: Python<'_>, path: PathBuf) -> PyResult<Bound<'_, PyList>> {
    let list = |table: Shared| table.blocks().collect::<Vec<_>>();
    let blocks = py.detach(|| open(&path).map(list)).map_err(refused)?;
    let rows = PyList::empty(py);
    for block in blocks {
        let row = PyDict::new(py);
        row.set_item("path", block.path().as_os_str())?;
        row.set_item("names", block.generation().map(|_| block.names_len()))?;
        row.set_item("used_day", block.used_day())?;
        let modules = block
            .files()
            .map(|(name, file)| Ok((path_of_bytes(name)?.into_os_string(), file.len())));
        row.set_item("modules", modules.collect::<PyResult<Vec<_>>>()?)?;
        rows.append(row)?;
    }
    Ok(rows)
}

/// Compares every checksum of a table; with `files`, also what is stored with what the filesystem has: `changed` are
/// directories and sources that are another version now, or gone.
///
/// # Errors
/// `OSError` with the sentence why the table is not used.
#[pyfunction]
fn verify(py: Python<'_>, path: PathBuf, files: bool) -> PyResult<Bound<'_, PyDict>> {
    let (damaged, changed) = py.detach(|| look(&path, files)).map_err(refused)?;
    let answer = PyDict::new(py);
    answer.set_item("damaged", damaged.into_iter().map(sentence).collect::<Vec<_>>())?;
    answer.set_item("changed", texts(changed))?;
    Ok(answer)
}

/// Times that a table is looked at which is replaced each time.
const LOOKS: usize = 3;

/// What is damaged and what has changed. A table that is replaced meanwhile cannot be read to its end, and is looked at
/// again.
fn look(path: &Path, files: bool) -> Result<(Vec<Damage>, Vec<PathBuf>), Refusal> {
    let version = || Prober::new(Backend::Auto).stat(&[path])[0].stat().map(Stamp::of);
    let mut looks = 0;
    loop {
        let before = version();
        let table = open(path)?;
        let found = (table.damaged(), if files { changed(&table) } else { Vec::new() });
        looks += 1;
        if version() == before || looks == LOOKS {
            return Ok(found);
        }
    }
}

fn sentence(damage: Damage) -> String {
    match damage {
        Damage::Directory(n) => format!("directory {}", n + 1),
        Damage::File(source) => format!("bytecode of {}", source.display()),
        Damage::Plan(n) => format!("plan {}", n + 1),
        Damage::Plans => "all plans".to_owned(),
    }
}

/// Writes a table anew without directories that are not there any more, without those that were last used before `day`
/// (days since the epoch), and without what is damaged. With `dry_run` it only tells what would go: the paths of
/// `directories`, the number of `modules` in them and of what is `damaged`. `busy` says that somebody else is writing the
/// table just now; then nothing was done.
///
/// # Errors
/// `OSError` with the sentence why the table is not used, or that of a call.
#[pyfunction]
fn gc(py: Python<'_>, path: PathBuf, day: u32, dry_run: bool) -> PyResult<Bound<'_, PyDict>> {
    let mut pruned = shared::Pruned::default();
    let published = py.detach(|| {
        if dry_run {
            pruned = prune(&path, day, None)?;
            return Ok(Published::NothingNew);
        }
        // Opened under the lock: what somebody has just learnt stays.
        shared::publish(&path, |out| {
            pruned = prune(&path, day, Some(out))?;
            Ok(!pruned.is_empty())
        })
    })?;
    let answer = PyDict::new(py);
    answer.set_item("directories", texts(pruned.dirs))?;
    answer.set_item("modules", pruned.files)?;
    answer.set_item("damaged", pruned.damaged)?;
    answer.set_item("busy", published == Published::Busy)?;
    Ok(answer)
}

fn prune(
    path: &Path,
    day: u32,
    out: Option<&mut dyn std::io::Write>,
) -> std::io::Result<shared::Pruned> {
    let table = open(path)?;
    let dirs: Vec<PathBuf> = table.blocks().map(|block| block.path().to_owned()).collect();
    let facts =
        Prober::new(Backend::Auto).stat(&dirs.iter().map(PathBuf::as_path).collect::<Vec<_>>());
    // Not what merely fails: somebody may not be let in today.
    let gone = |fact: &Fact| *fact == Fact::Absent || fact.stat().is_some() && !fact.is_dir();
    let gone: HashSet<&Path> =
        dirs.iter().zip(&facts).filter(|(_, f)| gone(f)).map(|(dir, _)| &**dir).collect();
    let keeps = |used, dir: &Path| used >= day && !gone.contains(dir);
    shared::prune(&table, &keeps, out)
}

/// Opens a table whoever it is for, with the roots of whom it is for.
pub(super) fn open(path: &Path) -> Result<Shared, Refusal> {
    let table = Shared::of_any_key(shared::open(path, Trust::User)?, &[])?;
    let roots = roots(&table.key().environment);
    Shared::of_any_key(shared::open(path, Trust::User)?, &roots)
}

/// `sys.prefix` and `sys.base_prefix`, of which the environment in a key is made.
fn roots(environment: &[u8]) -> Vec<PathBuf> {
    environment.split(|byte| *byte == 0).filter_map(|root| path_of_bytes(root).ok()).collect()
}

/// The running interpreter's key.
///
/// # Errors
/// An interpreter that keeps no bytecode (its cache tag is None, PEP 3147), and so has no table.
pub(super) fn key(py: Python<'_>) -> PyResult<Key> {
    let sys = py.import("sys")?;
    share::key(&sys, &share::roots(&sys)?)
}

/// Directories and sources of which the filesystem has another version than the table, or none. What is sealed has no version.
fn changed(table: &Shared) -> Vec<PathBuf> {
    let Key { cache_tag, optimize, .. } = table.key();
    let naming = Naming::new(cache_tag, *optimize);
    let prober = Prober::new(Backend::Auto);
    let blocks = table.blocks().filter(|block| !block.is_sealed());
    blocks.flat_map(|block| changed_in(&block, &naming, &prober)).collect()
}

fn changed_in(block: &Block, naming: &Naming, prober: &Prober) -> Vec<PathBuf> {
    let dir = block.path();
    let files: Vec<_> = block
        .files()
        .filter_map(|(name, file)| {
            let source = dir.join(path_of_bytes(name).ok()?);
            let bytecode = naming.beside(source.to_str()?)?;
            Some((source, PathBuf::from(bytecode), file))
        })
        .collect();
    let paths = files.iter().flat_map(|(source, bytecode, _)| [&**source, &**bytecode]);
    let facts = prober.stat(&[dir].into_iter().chain(paths).collect::<Vec<_>>());
    let (own, facts) = facts.split_first().expect("one of the directory itself");
    let stamp = |fact: &Fact| fact.stat().map(Stamp::of);
    let other = files.iter().zip(facts.chunks(2)).filter(|((_, _, file), facts)| {
        [stamp(&facts[0]), stamp(&facts[1])] != [Some(file.source), Some(file.bytecode)]
    });
    let is_other = block.generation().is_some_and(|g| own.stat().map(Generation::of) != Some(g));
    let itself = is_other.then(|| dir.to_owned());
    itself.into_iter().chain(other.map(|((source, ..), _)| source.clone())).collect()
}

/// A word for programs.
fn kind(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Missing => "missing",
        Refusal::Link => "link",
        Refusal::NotRegular => "not regular",
        Refusal::Owner(_) => "owner",
        Refusal::Writable(_) => "writable",
        Refusal::Secure => "secure",
        Refusal::NoPlace(_) => "no place",
        Refusal::Future(_) => "future",
        Refusal::OtherKey => "other key",
        Refusal::Damaged(_) => "damaged",
        Refusal::Io(_) => "io",
    }
}

fn refused(refusal: Refusal) -> PyErr {
    PyOSError::new_err(refusal.to_string())
}

/// Paths as `os.fsdecode` has them; pyo3 would make a `pathlib.Path` of each.
fn texts(paths: impl IntoIterator<Item = PathBuf>) -> Vec<OsString> {
    paths.into_iter().map(PathBuf::into_os_string).collect()
}
