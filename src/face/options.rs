//! What the user wants, from arguments and from the environment.
//!
//! An argument that is not `"auto"` wins; then the environment; then our own choice. The environment
//! is not looked at where the interpreter ignores it (`-E`, `-I`). A bad argument is an error; a bad
//! value in the environment is passed over, for it must not break an interpreter's start.

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
    pub cache: &'static str,
    /// `FASTPATH=0`.
    pub disabled: bool,
}

const BACKENDS: &str = "'auto', 'serial', 'threads' or 'uring'";
const FRESHNESSES: &str = "'auto', 'strict' or 'sealed'";
const CACHES: &str = "'auto' or 'off'";

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
        options.cache = match cache {
            "auto" => options.cache,
            "off" => "off",
            other => return Err(refusal("cache", other, CACHES)),
        };
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
            cache: "auto",
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

fn refusal(what: &str, value: &str, allowed: &str) -> PyErr {
    PyValueError::new_err(format!("{what} must be {allowed}, not '{value}'"))
}
