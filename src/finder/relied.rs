//! Attributes that our answers take for granted: whether they are still what they were.
//!
//! Asked on every lookup and every load, of some fifty attributes. Those of a module stand in its dictionary, where the
//! functions of that module look for them too. For `finder` and `loader` only.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyType};

use super::watch::Items;

/// Attributes of several objects, with the values that they had.
#[derive(Default)]
pub struct Relied {
    namespaces: Vec<Namespace>,
    attributes: Vec<(Py<PyAny>, Py<PyString>, Py<PyAny>)>,
}

/// A module, or what else keeps its attributes in a dictionary of its own.
struct Namespace {
    object: Py<PyAny>,
    class: Py<PyType>,
    items: Items,
}

impl Relied {
    /// Relies on these attributes of `object` from now on, as they are; not on those that it has not.
    ///
    /// # Errors
    /// What `accept` says of a value.
    pub fn add<'py>(
        &mut self,
        object: &Bound<'py, PyAny>,
        names: &[&str],
        mut accept: impl FnMut(&str, &Bound<'py, PyAny>) -> PyResult<()>,
    ) -> PyResult<()> {
        let py = object.py();
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            if let Ok(value) = object.getattr(*name) {
                accept(name, &value)?;
                found.push((PyString::intern(py, name), value));
            }
        }
        // A class shows but a view of its dictionary, and a method may be its parent's.
        let dict = object.getattr(intern!(py, "__dict__"))?;
        let keys: Vec<_> = found.iter().map(|(name, _)| name.clone()).collect();
        let items = dict.cast_exact::<PyDict>().ok().and_then(|dict| Items::of(dict, &keys));
        if let Some(items) = items {
            let class = object.get_type().unbind();
            self.namespaces.push(Namespace { object: object.clone().unbind(), class, items });
        } else {
            let owned = |(name, value): (Bound<'py, PyString>, Bound<'py, PyAny>)| {
                (object.clone().unbind(), name.unbind(), value.unbind())
            };
            self.attributes.extend(found.into_iter().map(owned));
        }
        Ok(())
    }

    /// Whether nobody has replaced any of them.
    pub fn is_untouched(&self, py: Python<'_>) -> bool {
        let as_ever = |space: &Namespace| {
            // A module of another class may answer for its attributes in another way.
            space.object.bind(py).get_type().is(&space.class) && space.items.are_unchanged(py)
        };
        let same = |(object, name, value): &(Py<PyAny>, Py<PyString>, Py<PyAny>)| {
            object.bind(py).getattr(name.bind(py)).is_ok_and(|now| now.is(value))
        };
        self.namespaces.iter().all(as_ever) && self.attributes.iter().all(same)
    }
}
