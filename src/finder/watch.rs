//! Whether the Python objects a plan was made from are still what they were.
//!
//! Asked on every lookup, of every entry of the path: three hundred times over on a long one. So nothing is
//! looked up by key. A dict keeps the order in which its keys came, so what was there is still there, if a
//! walk from the beginning meets the same keys and values; what has come since stands behind it.
#![allow(unsafe_code)]

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyString, PyTuple};

/// The items with which a dict began when it was looked at.
pub struct Beginning(Vec<(Py<PyAny>, Py<PyAny>)>);

impl Beginning {
    /// All items of `dict`.
    pub fn all(dict: &Bound<'_, PyDict>) -> Self {
        Self(dict.iter().map(|(key, value)| (key.unbind(), value.unbind())).collect())
    }

    /// Whether `dict` still begins with these very objects.
    fn is_of(&self, dict: &Bound<'_, PyDict>) -> bool {
        let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
        self.0.iter().all(|(then_key, then_value)| {
            // SAFETY: `dict` is a live dict, and the GIL is held, as `Bound` shows. Nothing runs between two
            // steps that could change it. The borrowed results are compared, never read through.
            let more = unsafe { ffi::PyDict_Next(dict.as_ptr(), &mut at, &mut key, &mut value) };
            more != 0 && key == then_key.as_ptr() && value == then_value.as_ptr()
        })
    }
}

/// The instance dictionary of a `FileFinder`, with the values that our answers stand for.
pub struct Plain {
    dict: Py<PyDict>,
    len: usize,
    /// `_loaders` and `path`: `FileFinder.__init__` sets them first.
    beginning: Beginning,
}

impl Plain {
    /// A finder's dictionary as it is now; none where it does not begin as a file finder's does.
    pub fn of(dict: &Bound<'_, PyDict>) -> Option<Self> {
        let mut beginning = Beginning::all(dict);
        beginning.0.truncate(2);
        let is = |at: usize, name: &str| {
            let key = beginning.0.get(at).map(|(key, _)| key.bind(dict.py()));
            key.is_some_and(|key| key.eq(name).unwrap_or(false))
        };
        let usual = is(0, "_loaders") && is(1, "path");
        usual.then(|| Self { len: dict.len(), dict: dict.clone().unbind(), beginning })
    }

    fn is_unchanged(&self, py: Python<'_>) -> bool {
        let dict = self.dict.bind(py);
        dict.len() == self.len && self.beginning.is_of(dict)
    }
}

/// Finders that a plan was made from.
pub enum Finders {
    /// All that there were.
    All(Beginning),
    /// The one under this key.
    One(Py<PyString>, Py<PyAny>),
    /// None was needed.
    None,
}

impl Finders {
    /// All that `cache` has now.
    pub fn all(cache: &Bound<'_, PyDict>) -> Self {
        Self::All(Beginning::all(cache))
    }

    /// Whether they are still where they were.
    fn are_in(&self, cache: &Bound<'_, PyDict>) -> bool {
        match self {
            Self::All(finders) => finders.is_of(cache),
            Self::One(key, finder) => {
                cache.get_item(key).is_ok_and(|now| now.is_some_and(|now| now.is(finder)))
            }
            Self::None => true,
        }
    }

    /// Whether no other can have come.
    fn are_all_of(&self, cache: &Bound<'_, PyDict>) -> bool {
        matches!(self, Self::All(finders) if finders.0.len() == cache.len())
    }
}

/// What a plan was made from.
pub struct Watched {
    entries: Vec<Py<PyAny>>,
    /// `sys.path_importer_cache`; of a path of one entry what is there for that one, which is quicker.
    finders: Finders,
    /// The plain ones among those finders.
    plain: Vec<Plain>,
    /// Keys that had no finder.
    missing: Vec<Py<PyString>>,
}

impl Watched {
    /// These entries, with the finders that there are now.
    pub fn new(
        entries: &[Bound<'_, PyAny>],
        finders: Finders,
        plain: Vec<Plain>,
        missing: Vec<Py<PyString>>,
    ) -> Self {
        let entries: Vec<_> = entries.iter().map(|entry| entry.clone().unbind()).collect();
        Self { entries, finders, plain, missing }
    }

    /// Whether `path` still has the same entries, and `cache` the same finders for them, unchanged.
    pub fn is_unchanged(&self, path: &Entries<'_, '_>, cache: &Bound<'_, PyDict>) -> bool {
        let py = cache.py();
        self.are_entries(path)
            && self.finders.are_in(cache)
            && self.plain.iter().all(|plain| plain.is_unchanged(py))
            && (self.finders.are_all_of(cache) || self.are_still_missing(cache))
    }

    /// Whether `path` still has these entries.
    pub fn are_entries(&self, path: &Entries<'_, '_>) -> bool {
        path.len() == self.entries.len()
            && self.entries.iter().enumerate().all(|(at, entry)| path.has(at, entry))
    }

    fn are_still_missing(&self, cache: &Bound<'_, PyDict>) -> bool {
        let py = cache.py();
        self.missing.iter().all(|key| cache.contains(key.bind(py)).is_ok_and(|is| !is))
    }
}

/// The entries of a path.
pub enum Entries<'a, 'py> {
    /// Of a list, which may change under our hands.
    List(&'a Bound<'py, PyList>),
    /// Of a tuple.
    Tuple(&'a Bound<'py, PyTuple>),
    /// Of the path of a namespace package, as it was made just now.
    Made(Vec<Bound<'py, PyAny>>),
}

impl<'py> Entries<'_, 'py> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Self::List(list) => list.len(),
            Self::Tuple(tuple) => tuple.len(),
            Self::Made(made) => made.len(),
        }
    }

    /// The entry, if it is the only one.
    pub fn only(&self) -> Option<Bound<'py, PyAny>> {
        match self {
            Self::List(list) if list.len() == 1 => list.get_item(0).ok(),
            Self::Tuple(tuple) if tuple.len() == 1 => tuple.get_item(0).ok(),
            Self::Made(made) if made.len() == 1 => Some(made[0].clone()),
            _ => None,
        }
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<Bound<'py, PyAny>> {
        match self {
            Self::List(list) => list.iter().collect(),
            Self::Tuple(tuple) => tuple.iter().collect(),
            Self::Made(made) => made.clone(),
        }
    }

    /// Whether the one at this place is this very object.
    fn has(&self, at: usize, entry: &Py<PyAny>) -> bool {
        match self {
            Self::List(list) => {
                // SAFETY: it is a live list, and the GIL is held. The result is borrowed, null (with an error,
                // cleared at once) where the list is shorter, compared, and never read through.
                let item = unsafe { ffi::PyList_GetItem(list.as_ptr(), at as ffi::Py_ssize_t) };
                if item.is_null() {
                    drop(PyErr::take(list.py()));
                }
                item == entry.as_ptr()
            }
            Self::Tuple(tuple) => tuple.get_borrowed_item(at).is_ok_and(|item| item.is(entry)),
            Self::Made(made) => made.get(at).is_some_and(|item| item.is(entry)),
        }
    }
}

/// Items of a dict, each looked for first in the place where it stood.
pub struct Items {
    dict: Py<PyDict>,
    items: Vec<Item>,
}

struct Item {
    /// What `PyDict_Next` was given when it gave this item.
    place: ffi::Py_ssize_t,
    key: Py<PyString>,
    value: Py<PyAny>,
}

impl Items {
    /// The items with these keys, as they are now; none where a key is not there.
    pub fn of(dict: &Bound<'_, PyDict>, keys: &[Bound<'_, PyString>]) -> Option<Self> {
        let item = |key: &Bound<'_, PyString>| {
            let value = dict.get_item(key).ok()??.unbind();
            Some(Item { place: place_of(dict, key), key: key.clone().unbind(), value })
        };
        let items = keys.iter().map(item).collect::<Option<_>>()?;
        Some(Self { dict: dict.clone().unbind(), items })
    }

    /// Whether the dict still has these very values under these keys.
    pub fn are_unchanged(&self, py: Python<'_>) -> bool {
        let dict = self.dict.bind(py);
        self.items.iter().all(|item| {
            let (mut at, mut key, mut value) = (item.place, ptr::null_mut(), ptr::null_mut());
            // SAFETY: as in `Beginning::is_of`. A place that the dict has no more, it answers with none or another item.
            let found = unsafe {
                ffi::PyDict_Next(dict.as_ptr(), &mut at, &mut key, &mut value) != 0
                    && key == item.key.as_ptr()
            };
            if found {
                return value == item.value.as_ptr();
            }
            // It was taken out and put back, or others before it were.
            dict.get_item(&item.key).is_ok_and(|now| now.is_some_and(|now| now.is(&item.value)))
        })
    }
}

/// Where this very key stands; a place that no dict has where it is another object of the same text.
fn place_of(dict: &Bound<'_, PyDict>, wanted: &Bound<'_, PyString>) -> ffi::Py_ssize_t {
    let (mut at, mut key, mut value) = (0, ptr::null_mut(), ptr::null_mut());
    loop {
        let place = at;
        // SAFETY: as in `Beginning::is_of`.
        let more = unsafe { ffi::PyDict_Next(dict.as_ptr(), &mut at, &mut key, &mut value) };
        if more == 0 {
            return ffi::Py_ssize_t::MAX;
        }
        if key == wanted.as_ptr() {
            return place;
        }
    }
}
