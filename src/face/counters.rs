//! What was counted, and the settings it was counted under. Only the face may use it.

use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::options::Options;
use super::{current, is_installed};
use crate::loader::Loader;

/// Counters and settings.
#[pyfunction]
pub fn stats(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let stats = PyDict::new(py);
    let installed = current();
    let (counts, tally) = installed.as_ref().map(|i| i.finder.index().counts()).unwrap_or_default();
    let asked = installed.as_ref().map_or(0, |i| i.finder.asked());
    let load = installed
        .as_ref()
        .and_then(|i| i.loader.get()?.as_ref())
        .map(Loader::counts)
        .unwrap_or_default();
    for (name, value) in [
        ("lookups", counts.lookups),
        ("hit", counts.hit),
        ("revalidated", counts.revalidated),
        ("miss", counts.miss),
        ("stale", counts.stale),
        ("asked", asked),
        ("batches", tally.batches),
        ("probes_serial", tally.serial),
        ("probes_threads", tally.threads),
        ("probes_uring", tally.uring),
        ("listings", tally.listings),
        ("reads", tally.reads),
        ("ahead_steps", counts.ahead_steps),
        ("ahead_refreshes", counts.ahead_refreshes),
        ("ahead_files", counts.ahead_files),
        ("ahead_bytes", counts.ahead_bytes),
        ("ahead_used_files", counts.ahead_used_files),
        ("ahead_used_bytes", counts.ahead_used_bytes),
        ("table_directories", counts.table_directories),
        ("table_files", counts.table_files),
        ("table_bytes", counts.table_bytes),
        ("plan_paths", counts.plan_paths),
        ("loaded", load.loaded),
        ("load_asked", load.asked),
    ] {
        stats.set_item(name, value)?;
    }
    for (name, ns) in [
        ("find_seconds", installed.as_ref().map_or(0, |i| i.finder.find_ns())),
        ("stat_seconds", counts.stat_ns),
        ("read_seconds", counts.read_ns),
        ("unmarshal_seconds", load.unmarshal_ns),
    ] {
        stats.set_item(name, ns as f64 / 1e9)?;
    }
    let tables = installed.as_ref().map(|i| i.finder.index().tables()).unwrap_or_default();
    let table = tables.into_iter().find_map(|(path, state)| state.is_ok().then_some(path));
    // As text: a path would have pathlib imported.
    stats.set_item("table", table.map(|path| path.into_os_string()))?;
    let options = installed.map_or_else(|| Options::from_environment(py), |i| i.options.clone());
    stats.set_item("backend", options.backend.name())?;
    stats.set_item("freshness", options.freshness.name())?;
    stats.set_item("cache", options.cache.name())?;
    stats.set_item("installed", is_installed())?;
    Ok(stats)
}
