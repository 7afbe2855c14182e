//! What the user wants, from arguments and from the environment.
//!
//! An argument that is not `"auto"` wins; then the environment; then our own choice. The environment
//! is not looked at where the interpreter ignores it (`-E`, `-I`). A bad argument is an error; a bad
//! value in the environment is passed over, for it must not break an interpreter's start.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::index::Freshness;
use crate::probe::Backend;

/// Settled options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    pub backend: Backend,
    pub freshness: Freshness,
    pub cache: Cache,
    /// Bytes of the shared table, at most.
    pub limit: u64,
    /// `FASTPATH=0`.
    pub disabled: bool,
}

/// Where the shared table lies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Where the platform keeps caches.
    #[default]
    Auto,
    /// There is none.
    Off,
    /// In this directory.
    At(PathBuf),
}

impl Cache {
    /// As it is told to people.
    pub fn name(&self) -> String {
        match self {
            Self::Auto => "auto".to_owned(),
            Self::Off => "off".to_owned(),
            Self::At(dir) => dir.to_string_lossy().into_owned(),
        }
    }
}

/// The default limit of `FASTPATH_CACHE_LIMIT`, in megabytes.
const LIMIT: u64 = 256;

const BACKENDS: &str = "'auto', 'serial', 'threads' or 'uring'";
const FRESHNESSES: &str = "'auto', 'strict' or 'sealed'";
const CACHES: &str = "'auto', 'off' or the absolute path of a directory";

static DEBUG: AtomicBool = AtomicBool::new(false);

/// Whether `FASTPATH_DEBUG` asked for messages when the options were last read.
pub fn is_debug() -> bool {
    DEBUG.load(Ordering::Relaxed)
}

/// Says something on standard error, if `FASTPATH_DEBUG` asks for it.
pub fn debug(py: Python<'_>, message: &str) {
    if is_debug() {
        // Without a standard error there is nobody to tell.
        let stderr = py.import("sys").and_then(|sys| sys.getattr("stderr"));
        let _ = stderr.and_then(|s| s.call_method1("write", (format!("fastpath: {message}\n"),)));
    }
}

impl Options {
    /// From arguments of `install`.
    ///
    /// # Errors
    /// `ValueError` that names the value and the allowed ones.
    pub fn new(py: Python<'_>, backend: &str, freshness: &str, cache: &str) -> PyResult<Self> {
        let mut options = Self::from_environment(py);
        if backend != "auto" {
            options.backend = self::backend(backend)?;
        }
        if freshness != "auto" {
            options.freshness = self::freshness(freshness)?;
        }
        if cache != "auto" {
            options.cache = self::cache(cache)?;
        }
        Ok(options)
    }

    /// From the environment alone.
    pub fn from_environment(py: Python<'_>) -> Self {
        let ignored = ignores_environment(py);
        let variable = |name: &str| if ignored { None } else { read(name) };
        DEBUG.store(variable("FASTPATH_DEBUG").is_some_and(|v| v != "0"), Ordering::Relaxed);
        let disabled = match variable("FASTPATH").as_deref() {
            Some("0") => true,
            None | Some("1") => false,
            Some(other) => {
                debug(py, &format!("FASTPATH must be '0' or '1', not '{other}': ignored"));
                false
            }
        };
        Self {
            backend: from_variable(py, "FASTPATH_BACKEND", variable, backend),
            freshness: from_variable(py, "FASTPATH_FRESHNESS", variable, freshness),
            cache: from_variable(py, "FASTPATH_CACHE_DIR", variable, cache),
            limit: match from_variable(py, "FASTPATH_CACHE_LIMIT", variable, megabytes) {
                0 => LIMIT << 20,
                limit => limit,
            },
            disabled,
        }
    }
}

fn from_variable<T: Default>(
    py: Python<'_>,
    name: &str,
    variable: impl Fn(&str) -> Option<String>,
    parse: fn(&str) -> PyResult<T>,
) -> T {
    let Some(value) = variable(name) else { return T::default() };
    parse(&value).unwrap_or_else(|error| {
        debug(py, &format!("{name}: {}; ignored", error.value(py)));
        T::default()
    })
}

fn read(name: &str) -> Option<String> {
    std::env::var_os(name)
        .map(|value| value.to_string_lossy().into_owned())
        .filter(|value| !value.is_empty())
}

fn ignores_environment(py: Python<'_>) -> bool {
    let flags = py.import("sys").and_then(|sys| sys.getattr("flags"));
    let ignores = flags.and_then(|f| f.getattr("ignore_environment")?.extract::<i32>());
    ignores.is_ok_and(|ignores| ignores != 0)
}

/// The backend of this name.
///
/// # Errors
/// `ValueError` that names the value and the allowed ones.
pub fn backend(name: &str) -> PyResult<Backend> {
    Backend::from_name(name).ok_or_else(|| refusal("backend", name, BACKENDS))
}

fn freshness(name: &str) -> PyResult<Freshness> {
    Freshness::from_name(name).ok_or_else(|| refusal("freshness", name, FRESHNESSES))
}

fn cache(value: &str) -> PyResult<Cache> {
    match value {
        "auto" => Ok(Cache::Auto),
        "off" => Ok(Cache::Off),
        dir if Path::new(dir).is_absolute() => Ok(Cache::At(dir.into())),
        other => Err(refusal("cache", other, CACHES)),
    }
}

/// So many megabytes, in bytes.
fn megabytes(value: &str) -> PyResult<u64> {
    let number = value.parse().ok().filter(|number| (1..=4096).contains(number));
    let bytes = number.map(|number: u64| number << 20);
    bytes.ok_or_else(|| refusal("limit", value, "a number of megabytes from 1 to 4096"))
}

fn refusal(what: &str, value: &str, allowed: &str) -> PyErr {
    PyValueError::new_err(format!("{what} must be {allowed}, not '{value}'"))
}
