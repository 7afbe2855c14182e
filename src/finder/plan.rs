//! From a path as Python has it to runs of directories for the index. Only `finder` may use it.
//!
//! `sys.path_importer_cache` stays the one truth of which entry has which finder. A plan is kept
//! and used again while every entry is the same object and has the same finder there.

use std::path::Path;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

use super::stock::Stock;
use super::watch::{Entries, Finders, Plain, Watched};
use super::without_gil;
use crate::index::{Index, Pass, Run};
use crate::table::Directory;

/// How a path is to be searched, in order.
pub struct Plan {
    pub steps: Vec<Step>,
    /// The objects this plan was made from.
    made_from: Watched,
    /// Whether some entry is yet to get a finder: then the hooks that would make it count too.
    has_fresh: bool,
    /// For the entry `''`, the working directory at that time.
    cwd: Option<Py<PyString>>,
}

/// A stretch of a path.
pub enum Step {
    /// Directories that plain file finders stand for.
    Dirs(Arc<Run>, Vec<Place>),
    /// An entry, and its place in the path, that stock must be asked about.
    Ask(Py<PyAny>, usize),
}

/// An entry that is a directory.
pub struct Place {
    /// The directory's path with one separator behind it.
    pub base: Box<str>,
    /// The entry itself.
    pub entry: Py<PyAny>,
    /// Where it has no finder yet: the key its finder goes under in `sys.path_importer_cache`.
    pub fresh: Option<Py<PyString>>,
}

impl Place {
    /// Whether it is yet to get a finder.
    pub fn is_fresh(&self) -> bool {
        self.fresh.is_some()
    }
}

/// What became of an entry.
enum Slot {
    Dir(Arc<Directory>, Place),
    Fresh(Arc<Directory>, Place),
    Skip,
    Ask(Py<PyAny>),
}

/// The surroundings of a lookup: the objects in `sys` that decide what an entry means.
pub struct Around<'a, 'py> {
    pub stock: &'a Stock,
    pub index: &'a Index,
    pub cache: Bound<'py, PyDict>,
    pub hooks: Bound<'py, PyAny>,
}

/// The entries of a path, if it is a sequence that we can look at without running foreign code.
///
/// # Errors
/// What finding the portions of a namespace package anew may raise, as it would in stock.
pub fn entries<'a, 'py>(
    stock: &Stock,
    path: &'a Bound<'py, PyAny>,
) -> PyResult<Option<Entries<'a, 'py>>> {
    if let Ok(list) = path.cast_exact::<PyList>() {
        return Ok(Some(Entries::List(list)));
    }
    if let Ok(tuple) = path.cast_exact::<PyTuple>() {
        return Ok(Some(Entries::Tuple(tuple)));
    }
    if stock.is_namespace_path(path) {
        // Not by `collect`: it asks for a length hint, for which pyo3 imports `operator`.
        let mut made = Vec::new();
        for entry in path.try_iter()? {
            made.push(entry?);
        }
        return Ok(Some(Entries::Made(made)));
    }
    Ok(None)
}

impl Plan {
    /// Whether this plan is still the one for this path.
    pub fn suits(&self, around: &Around<'_, '_>, path: &Entries<'_, '_>) -> bool {
        let py = around.hooks.py();
        self.made_from.is_unchanged(path, &around.cache)
            && (!self.has_fresh || around.stock.hooks_are_usual(&around.hooks))
            && self.cwd.as_ref().is_none_or(|cwd| {
                around.stock.getcwd(py).is_ok_and(|now| now.eq(cwd).unwrap_or(false))
            })
    }

    /// Whether the path still has the entries that this plan was made from.
    pub fn has_entries(&self, path: &Entries<'_, '_>) -> bool {
        self.made_from.are_entries(path)
    }

    /// Works a plan out. Entries without a finder are looked at in one batch.
    pub fn new<'py>(
        around: &Around<'_, 'py>,
        pass: &mut Pass,
        entries: &[Bound<'py, PyAny>],
    ) -> PyResult<Self> {
        let py = around.hooks.py();
        let (mut plains, mut missing) = (Vec::new(), Vec::new());
        let mut slots = Vec::with_capacity(entries.len());
        let mut cwd = None;
        let mut finders = Finders::None;
        let usual_hooks = around.stock.hooks_are_usual(&around.hooks);
        for entry in entries {
            let key = match entry.cast_exact::<PyString>() {
                Ok(text) if is_empty(text) => working_directory(around, py),
                Ok(text) => Some(text.clone()),
                Err(_) => None,
            };
            let Some(key) = key else {
                slots.push(Slot::Ask(entry.clone().unbind()));
                continue;
            };
            if !key.is(entry) {
                cwd = Some(key.clone().unbind());
            }
            let finder = around.cache.get_item(&key)?;
            if finder.is_none() {
                missing.push(key.clone().unbind());
            }
            let (slot, plain) = slot(around, usual_hooks, entry, &key, finder.as_ref());
            if let Some(finder) = finder {
                finders = Finders::One(key.unbind(), finder.unbind());
            }
            slots.push(slot);
            plains.extend(plain);
        }
        if entries.len() > 1 {
            finders = Finders::all(&around.cache);
        }
        let made_from = Watched::new(entries, finders, plains, missing);
        let has_fresh = slots.iter().any(|slot| matches!(slot, Slot::Fresh(..)));
        settle_fresh(around, pass, py, &mut slots);
        Ok(Self { steps: steps(around.index, slots), made_from, has_fresh, cwd })
    }
}

fn is_empty(text: &Bound<'_, PyString>) -> bool {
    text.len().is_ok_and(|len| len == 0)
}

fn working_directory<'py>(
    around: &Around<'_, 'py>,
    py: Python<'py>,
) -> Option<Bound<'py, PyString>> {
    around.stock.getcwd(py).ok()?.cast_into_exact::<PyString>().ok()
}

/// What this entry is, by what `sys.path_importer_cache` holds under `key`.
fn slot<'py>(
    around: &Around<'_, 'py>,
    usual_hooks: bool,
    entry: &Bound<'py, PyAny>,
    key: &Bound<'py, PyString>,
    finder: Option<&Bound<'py, PyAny>>,
) -> (Slot, Option<Plain>) {
    let ask = || Slot::Ask(entry.clone().unbind());
    match finder {
        Some(finder) if finder.is_none() => (Slot::Skip, None),
        Some(finder) => {
            let Some((path, plain)) = around.stock.plain_path(finder) else { return (ask(), None) };
            match place(entry, &path) {
                Some((path, place)) => {
                    (Slot::Dir(around.index.directory(Path::new(&path)), place), Some(plain))
                }
                None => (ask(), None),
            }
        }
        None if usual_hooks => match place(entry, key) {
            Some((path, mut place)) => {
                place.fresh = Some(key.clone().unbind());
                (Slot::Fresh(around.index.directory(Path::new(&path)), place), None)
            }
            // A relative one, above all: its finder makes it absolute at the moment it is made.
            None => (ask(), None),
        },
        None => (ask(), None),
    }
}

/// An absolute path in UTF-8 without NUL: what the index can take. Anything else is stock's.
fn place(entry: &Bound<'_, PyAny>, path: &Bound<'_, PyString>) -> Option<(String, Place)> {
    let text = path.to_str().ok()?;
    if !text.starts_with('/') || text.contains('\0') || !fits_fs_encoding(path.py(), text) {
        return None;
    }
    let base = format!("{}/", text.trim_end_matches('/'));
    Some((text.to_owned(), Place { base: base.into(), entry: entry.clone().unbind(), fresh: None }))
}

/// Whether the filesystem's bytes of this text are its UTF-8.
pub fn fits_fs_encoding(py: Python<'_>, text: &str) -> bool {
    text.is_ascii() || {
        let encoding = py.import("sys").and_then(|sys| sys.call_method0("getfilesystemencoding"));
        encoding.is_ok_and(|e| e.extract::<String>().is_ok_and(|e| e == "utf-8"))
    }
}

/// Entries without a finder: directories get a plain one when a lookup comes by; of anything else
/// (an archive, nothing at all, a user's own scheme) the hooks must be asked.
fn settle_fresh(around: &Around<'_, '_>, pass: &mut Pass, py: Python<'_>, slots: &mut [Slot]) {
    let fresh: Vec<_> = slots
        .iter()
        .filter_map(|slot| match slot {
            Slot::Fresh(dir, ..) => Some(Arc::clone(dir)),
            _ => None,
        })
        .collect();
    if fresh.is_empty() {
        return;
    }
    let mut are_dirs = without_gil::run(py, || around.index.identify(pass, &fresh)).into_iter();
    for slot in slots {
        if !matches!(slot, Slot::Fresh(..)) {
            continue;
        }
        let Slot::Fresh(dir, place) = std::mem::replace(slot, Slot::Skip) else { continue };
        let is_dir = are_dirs.next().unwrap_or(false);
        *slot = if is_dir { Slot::Dir(dir, place) } else { Slot::Ask(place.entry) };
    }
}

fn steps(index: &Index, slots: Vec<Slot>) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut dirs, mut places) = (Vec::new(), Vec::new());
    let flush = |dirs: &mut Vec<_>, places: &mut Vec<_>, steps: &mut Vec<_>| {
        if !dirs.is_empty() {
            let run = index.run(std::mem::take(dirs));
            steps.push(Step::Dirs(Arc::new(run), std::mem::take(places)));
        }
    };
    for (at, slot) in slots.into_iter().enumerate() {
        match slot {
            Slot::Dir(dir, place) => {
                dirs.push(dir);
                places.push(place);
            }
            Slot::Ask(entry) => {
                flush(&mut dirs, &mut places, &mut steps);
                steps.push(Step::Ask(entry, at));
            }
            Slot::Skip | Slot::Fresh(..) => {}
        }
    }
    flush(&mut dirs, &mut places, &mut steps);
    steps
}

/// `sys.path_importer_cache` and `sys.path_hooks`, if they are what an interpreter is born with.
pub fn around<'a, 'py>(
    py: Python<'py>,
    sys: &Bound<'py, PyAny>,
    stock: &'a Stock,
    index: &'a Index,
) -> Option<Around<'a, 'py>> {
    let cache = sys.getattr(intern!(py, "path_importer_cache")).ok()?;
    let cache = cache.cast_into_exact::<PyDict>().ok()?;
    let hooks = sys.getattr(intern!(py, "path_hooks")).ok()?;
    Some(Around { stock, index, cache, hooks })
}
