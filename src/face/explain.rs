//! `explain`: how a name is resolved, entry by entry, without executing anything.

use std::time::Instant;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString};

use crate::finder::Finder;

/// The report of one name. Of a dotted name, the parents are resolved to specs, not imported.
pub fn explain<'py>(
    py: Python<'py>,
    finder: &Finder,
    name: &Bound<'py, PyString>,
) -> PyResult<Bound<'py, PyDict>> {
    let report = PyDict::new(py);
    report.set_item("name", name)?;
    let started = Instant::now();
    let before = finder.questions();
    let entries = PyList::empty(py);
    let spec = match search_path(py, finder, name)? {
        Some(path) => walk(finder, name, &path, &entries)?,
        None => None,
    };
    let not_path_based = found_elsewhere(py, name)?;
    let answer = match &spec {
        _ if not_path_based => "not path based",
        None => "absent",
        Some(spec) if spec.getattr("loader")?.is_none() => "namespace",
        Some(_) => "found",
    };
    report.set_item("answer", answer)?;
    let (origin, locations) = match &spec {
        Some(spec) => (spec.getattr("origin")?, spec.getattr("submodule_search_locations")?),
        None => (py.None().into_bound(py), py.None().into_bound(py)),
    };
    report.set_item("origin", origin)?;
    let listed = if locations.is_none() { locations } else { list_of(&locations)?.into_any() };
    report.set_item("locations", listed)?;
    report.set_item("entries", entries)?;
    report.set_item("calls", finder.questions() - before)?;
    report.set_item("us", micros(started))?;
    Ok(report)
}

/// Whether a finder in front of the path based one has the name (built-in and frozen modules).
fn found_elsewhere<'py>(py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<bool> {
    let importlib = py.import("_frozen_importlib")?;
    for class in ["BuiltinImporter", "FrozenImporter"] {
        if !importlib.getattr(class)?.call_method1("find_spec", (name,))?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the name is searched: `sys.path`, or the parent's locations; none where it has no such parent.
fn search_path<'py>(
    py: Python<'py>,
    finder: &Finder,
    name: &Bound<'py, PyString>,
) -> PyResult<Option<Bound<'py, PyList>>> {
    let text = name.to_string();
    let mut path = list_of(&py.import("sys")?.getattr("path")?)?;
    let modules = py.import("sys")?.getattr("modules")?;
    for (end, _) in text.match_indices('.') {
        let parent = PyString::new(py, &text[..end]);
        let imported = modules.call_method1("get", (&parent,))?;
        let locations = if imported.is_none() {
            match walk(finder, &parent, &path, &PyList::empty(py))? {
                Some(spec) => spec.getattr("submodule_search_locations")?,
                None => return Ok(None),
            }
        } else {
            imported.getattr("__path__").unwrap_or_else(|_| py.None().into_bound(py))
        };
        if locations.is_none() {
            return Ok(None);
        }
        path = list_of(&locations)?;
    }
    Ok(Some(path))
}

/// Searches entry by entry, adds a row for each to `rows`, and returns what stock would find: a spec,
/// maybe of a namespace package.
fn walk<'py>(
    finder: &Finder,
    name: &Bound<'py, PyString>,
    path: &Bound<'py, PyList>,
    rows: &Bound<'py, PyList>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = name.py();
    let portions = PyList::empty(py);
    for entry in path.iter() {
        let row = PyDict::new(py);
        let (questions, listings) = (finder.questions(), finder.index().counts().1.listings);
        let (asked, started) = (finder.asked(), Instant::now());
        let cls = finder.stock().path_finder.bind(py);
        let alone = PyList::new(py, [&entry])?;
        let spec = finder.get_spec(cls, name, alone.as_any(), None)?;
        let us = micros(started);
        let calls = finder.questions() - questions;
        let loads = !spec.getattr("loader")?.is_none();
        let more = spec.getattr("submodule_search_locations")?;
        let is_portion = !loads && !more.is_none() && more.len()? > 0;
        let known = finder_of(py, &entry)?;
        let source = match () {
            () if finder.asked() > asked => "stock",
            () if finder.index().counts().1.listings > listings => "listing",
            () if calls > 1 => "probe",
            () => "table",
        };
        row.set_item("entry", entry.str()?)?;
        row.set_item("finder", &known)?;
        let answer = match () {
            () if loads => "found",
            () if is_portion => "portion",
            () if known == "None" => "skipped",
            () if source == "stock" => "asked",
            () => "absent",
        };
        row.set_item("answer", answer)?;
        row.set_item("source", source)?;
        row.set_item("calls", calls)?;
        row.set_item("us", us)?;
        rows.append(row)?;
        if loads {
            return Ok(Some(spec));
        }
        if is_portion {
            portions.call_method1("extend", (more,))?;
        }
    }
    if portions.is_empty() {
        return Ok(None);
    }
    finder.stock().portions_spec(name, portions.as_any()).map(Some)
}

/// The type of the finder that `sys.path_importer_cache` holds for this entry.
fn finder_of(py: Python<'_>, entry: &Bound<'_, PyAny>) -> PyResult<String> {
    let cache = py.import("sys")?.getattr("path_importer_cache")?;
    let empty = entry.eq("")?;
    let key = if empty { py.import("os")?.call_method0("getcwd")? } else { entry.clone() };
    match cache.get_item(key) {
        Ok(finder) if finder.is_none() => Ok("None".into()),
        Ok(finder) => Ok(finder.get_type().name()?.to_string()),
        Err(_) => Ok("None".into()),
    }
}

fn list_of<'py>(items: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    PyList::new(items.py(), items.try_iter()?.collect::<PyResult<Vec<_>>>()?)
}

fn micros(started: Instant) -> f64 {
    (started.elapsed().as_nanos() as f64 / 100.0).round() / 10.0
}
