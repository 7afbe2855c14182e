//! Where this interpreter's shared table lies, and whom it is for.

use std::path::PathBuf;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use super::options::{Cache, Options};
use super::program;
use crate::index::Share;
use crate::table::shared::{self, Key};

/// What changed less than this before a process's end stays out of the table, in nanoseconds: it is likely to change
/// again, and the coarsest of clocks (FAT's) may not show it.
const SETTLED_NS: i128 = 2_000_000_000;
/// The table that `python -m fastpath seal` makes, in `sys.prefix`.
pub const SEAL: &str = "fastpath.seal";

/// How tables are shared here; none where the user wants none. Without `settles`, what has just changed is shared
/// too, for tests.
///
/// # Errors
/// An interpreter that is not as those we know.
pub fn of(py: Python<'_>, options: &Options, settles: bool) -> PyResult<Option<Share>> {
    let configured = match &options.cache {
        Cache::Off => return Ok(None),
        Cache::Auto => None,
        Cache::At(dir) => Some(&**dir),
    };
    let sys = py.import("sys")?;
    let roots = roots(&sys)?;
    let key = key(&sys, &roots)?;
    let argv: Vec<String> = sys.getattr("orig_argv")?.extract().unwrap_or_default();
    let cwd = || std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
    let program = program::of(&argv, &cwd);
    Ok(Some(Share {
        sealed: Some(roots[0].join(SEAL)),
        file: shared::place(configured).map(|dir| dir.join(key.file_name())),
        key,
        recurs: !program.starts_with(b"code "),
        program,
        roots: roots.into(),
        // Who wants no bytecode written wants none in a cache, unless he says where.
        writes: configured.is_some() || !sys.getattr("dont_write_bytecode")?.is_truthy()?,
        settled_ns: if settles { SETTLED_NS } else { 0 },
        limit: options.limit,
    }))
}

/// `sys.prefix` and `sys.base_prefix`.
pub fn roots(sys: &Bound<'_, PyModule>) -> PyResult<[PathBuf; 2]> {
    let prefix = |name| sys.getattr(name)?.extract::<PathBuf>();
    Ok([prefix("prefix")?, prefix("base_prefix")?])
}

/// Whom a table is for: interpreters that name and compile bytecode alike, in the same environment.
pub fn key(sys: &Bound<'_, PyModule>, roots: &[PathBuf; 2]) -> PyResult<Key> {
    let external = sys.py().import("_frozen_importlib_external")?;
    let magic = external.getattr("MAGIC_NUMBER")?.cast_into::<PyBytes>()?;
    let magic = magic.as_bytes().try_into().unwrap_or_default();
    let environment = roots.each_ref().map(|path| path.as_os_str().as_encoded_bytes()).join(&0);
    Ok(Key {
        cache_tag: sys.getattr("implementation")?.getattr("cache_tag")?.extract()?,
        magic,
        optimize: sys.getattr("flags")?.getattr("optimize")?.extract()?,
        environment,
    })
}
