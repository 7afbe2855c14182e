//! Whether the Python objects a plan was made from are still what they were.
//!
//! Asked on every lookup for every entry of the path, three hundred times over on a long one: hence the
//! borrowed references of the C API, each used before anything else can run.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

/// An entry of a path with the finder that `sys.path_importer_cache` had for it.
pub struct Watched {
    entry: Py<PyAny>,
    finder: Option<Py<PyAny>>,
    /// Of a plain file finder: what makes it plain.
    plain: Option<Plain>,
}

/// The instance dictionary of a `FileFinder`, with the values that our answers stand for.
pub struct Plain {
    dict: Py<PyDict>,
    len: usize,
    path: Py<PyAny>,
    loaders: Py<PyAny>,
}

impl Plain {
    /// A finder's dictionary as it is now; none where it has not even the usual attributes.
    pub fn of(dict: &Bound<'_, PyDict>) -> Option<Self> {
        let py = dict.py();
        Some(Self {
            len: dict.len(),
            path: dict.get_item(intern!(py, "path")).ok()??.unbind(),
            loaders: dict.get_item(intern!(py, "_loaders")).ok()??.unbind(),
            dict: dict.clone().unbind(),
        })
    }

    fn is_unchanged(&self, py: Python<'_>) -> bool {
        let dict = self.dict.bind(py);
        dict.len() == self.len
            && holds(dict, intern!(py, "path"), &self.path)
            && holds(dict, intern!(py, "_loaders"), &self.loaders)
    }
}

impl Watched {
    /// This entry, with this finder.
    pub fn new(
        entry: &Bound<'_, PyAny>,
        finder: Option<&Bound<'_, PyAny>>,
        plain: Option<Plain>,
    ) -> Self {
        Self { entry: entry.clone().unbind(), finder: finder.map(|f| f.clone().unbind()), plain }
    }

    /// Whether `entry` is still the same object, and the cache still has the same finder under `key`,
    /// with the same attributes.
    pub fn is_unchanged(
        &self,
        cache: &Bound<'_, PyDict>,
        entry: &Bound<'_, PyAny>,
        key: &Bound<'_, PyString>,
    ) -> bool {
        entry.is(&self.entry)
            && match &self.finder {
                Some(finder) => holds(cache, key, finder),
                None => get(cache, key).is_null(),
            }
            && self.plain.as_ref().is_none_or(|plain| plain.is_unchanged(cache.py()))
    }

    /// Whether it is the same object, which is all that counts of an entry that is no string.
    pub fn is(&self, entry: &Bound<'_, PyAny>) -> bool {
        entry.is(&self.entry)
    }
}

fn holds(dict: &Bound<'_, PyDict>, key: &Bound<'_, PyString>, value: &Py<PyAny>) -> bool {
    get(dict, key) == value.as_ptr()
}

/// The value under this key, to be compared and nothing else; null where there is none.
fn get(dict: &Bound<'_, PyDict>, key: &Bound<'_, PyString>) -> *mut ffi::PyObject {
    // SAFETY: both are live, and the GIL is held, as `Bound` shows; `dict` is a dict by its type. An error
    // (a key in the dict whose `__eq__` raises) is cleared here. The borrowed result is never read through.
    unsafe {
        let value = ffi::PyDict_GetItemWithError(dict.as_ptr(), key.as_ptr());
        if value.is_null() && !ffi::PyErr_Occurred().is_null() {
            ffi::PyErr_Clear();
        }
        value
    }
}
