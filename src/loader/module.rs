//! A module with its attributes set: the native body of `_LoaderBasics.create_module`.
//!
//! Stock's gives none. Then `module_from_spec` makes an empty module, and `_init_module_attrs` asks it for one attribute
//! after the other in vain, each time by an exception, before it sets them; and it computes where the bytecode lies, as loading
//! will do again. What is given here has all of them, the same and in the same order, so that nothing is left for it to set but
//! `__spec__`. Given to `module_from_spec` alone, which shows nobody what it was given; whoever else calls gets what stock gives.
//! Only the rest of `loader` may use it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyList, PyModule, PyString, PyType};

use super::frame;
use crate::finder::{Relied, Wrapper, is_no_function, is_of, is_unbound, replaced};
use crate::pyc::Naming;

/// What of importlib's two modules an answer takes for granted.
const BOOTSTRAP: [&str; 4] = ["_bootstrap_external", "_init_module_attrs", "_new_module", "sys"];
const EXTERNAL: [&str; 2] = ["SOURCE_SUFFIXES", "_get_cached"];
/// What of `ModuleSpec`.
const SPEC: [&str; 5] = ["__getattribute__", "__setattr__", "cached", "has_location", "parent"];

/// Makes modules.
pub struct Maker {
    create_module: Py<PyAny>,
    loader_basics: Py<PyType>,
    source_file_loader: Py<PyType>,
    module_spec: Py<PyType>,
    /// The code of `module_from_spec`.
    caller: Py<PyAny>,
    /// Sources are what ends like these, and the first of them.
    suffixes: (Py<PyList>, Py<PyString>),
    relied_on: Relied,
}

impl Maker {
    /// Looks at this interpreter's importlib.
    ///
    /// # Errors
    /// Whatever is not as in the CPythons we know: from 3.15 on modules have no `__cached__`.
    pub fn new(py: Python<'_>) -> PyResult<Self> {
        let bootstrap = py.import("_frozen_importlib")?;
        let external = py.import("_frozen_importlib_external")?;
        let names =
            bootstrap.getattr("_init_module_attrs")?.getattr("__code__")?.getattr("co_names")?;
        if !names.contains("__cached__")? {
            return Err(PyRuntimeError::new_err("modules have no __cached__ here"));
        }
        let spec = bootstrap.getattr("ModuleSpec")?.cast_into::<PyType>()?;
        let basics = external.getattr("_LoaderBasics")?.cast_into::<PyType>()?;
        let create_module = basics.getattr("create_module")?;
        let module_from_spec = bootstrap.getattr("module_from_spec")?;
        let mut relied_on = Relied::default();
        relied_on.add(&bootstrap, &BOOTSTRAP, |name, value| require_of(&bootstrap, name, value))?;
        relied_on.add(&spec, &SPEC, |name, value| require_of(&bootstrap, name, value))?;
        relied_on.add(&external, &EXTERNAL, |name, value| require_of(&external, name, value))?;
        require_of(&bootstrap, "module_from_spec", &module_from_spec)?;
        require_of(&external, "create_module", &create_module)?;
        let suffixes = external.getattr("SOURCE_SUFFIXES")?.cast_into::<PyList>()?;
        let suffix = suffixes.get_item(0)?.cast_into::<PyString>()?;
        Ok(Self {
            create_module: create_module.unbind(),
            loader_basics: basics.unbind(),
            source_file_loader: external
                .getattr("SourceFileLoader")?
                .cast_into::<PyType>()?
                .unbind(),
            module_spec: spec.unbind(),
            caller: module_from_spec.getattr("__code__")?.unbind(),
            suffixes: (suffixes.unbind(), suffix.unbind()),
            relied_on,
        })
    }

    /// Puts the native body in place.
    pub fn replace<'py>(&self, wrapper: &Wrapper<'py>, native: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = native.py();
        let body = wrapper.around(native, self.create_module.bind(py), &["self", "spec"])?;
        self.loader_basics.bind(py).setattr("create_module", body)
    }

    /// Puts the original back: the very same object.
    pub fn restore(&self, py: Python<'_>) -> PyResult<()> {
        self.loader_basics.bind(py).setattr("create_module", &self.create_module)
    }

    /// `_LoaderBasics.create_module(self, spec)`: the module of this spec; none where stock is to make it.
    ///
    /// Whether bytecode lies where `naming` says is for the caller to know.
    pub fn make<'py>(
        &self,
        loader: &Bound<'py, PyAny>,
        spec: &Bound<'py, PyAny>,
        naming: &Naming,
    ) -> Option<Bound<'py, PyAny>> {
        let py = loader.py();
        let usual = loader.get_type().is(&self.source_file_loader)
            && spec.get_type().is(&self.module_spec)
            && self.relied_on.is_untouched(py)
            && frame::is_called_by(py, self.caller.bind(py));
        if !usual {
            return None;
        }
        let of = |name: &Bound<'py, PyString>| spec.getattr(name).ok();
        let has_location = of(intern!(py, "_set_fileattr"))?.cast_exact::<PyBool>().ok()?.is_true();
        if !has_location || !of(intern!(py, "loader"))?.is(loader) {
            return None;
        }
        let name = of(intern!(py, "name"))?.cast_into_exact::<PyString>().ok()?;
        let origin = of(intern!(py, "origin"))?.cast_into_exact::<PyString>().ok()?;
        let cached = self.cached(spec, &origin, naming)?;
        let locations = of(intern!(py, "submodule_search_locations"))?;
        let module = py.get_type::<PyModule>().call1((&name,)).ok()?;
        let dict = frame::namespace(&module)?;
        dict.set_item(intern!(py, "__loader__"), loader).ok()?;
        if locations.is_none() {
            let parent = name.to_str().ok()?.rsplit_once('.').map_or("", |(parent, _)| parent);
            dict.set_item(intern!(py, "__package__"), parent).ok()?;
        } else {
            dict.set_item(intern!(py, "__package__"), &name).ok()?;
            dict.set_item(intern!(py, "__path__"), locations).ok()?;
        }
        dict.set_item(intern!(py, "__file__"), origin).ok()?;
        dict.set_item(intern!(py, "__cached__"), &cached).ok()?;
        spec.setattr(intern!(py, "_cached"), cached).ok()?;
        Some(module)
    }

    /// What `spec.cached` is: what somebody has set, else what `_get_cached` makes of the origin.
    fn cached<'py>(
        &self,
        spec: &Bound<'py, PyAny>,
        origin: &Bound<'py, PyString>,
        naming: &Naming,
    ) -> Option<Bound<'py, PyAny>> {
        let py = spec.py();
        let set = spec.getattr(intern!(py, "_cached")).ok()?;
        if !set.is_none() {
            return Some(set);
        }
        let (suffixes, suffix) = &self.suffixes;
        let origin = origin.to_str().ok()?;
        let is_source = suffixes.bind(py).get_item(0).is_ok_and(|first| first.is(suffix))
            && origin.ends_with(suffix.bind(py).to_str().ok()?);
        if is_source { Some(PyString::new(py, &naming.beside(origin)?).into_any()) } else { None }
    }
}

/// Fails if this function, or the one behind this property, was not made in that module.
fn require_of(home: &Bound<'_, PyModule>, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let is_around_none = is_no_function(value) || is_unbound(value);
    let behind = if is_around_none { None } else { value.getattr("fget").ok() };
    if is_of(home, behind.as_ref().unwrap_or(value)) { Ok(()) } else { Err(replaced(name)) }
}
