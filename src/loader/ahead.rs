//! Look-ahead, from the side of Python: whose code is about to run, and what the program has already.
//!
//! Code that passes the loader is read as bytes; code that does not (`__main__`, `-c`, a function that runs)
//! is read from the frame that imports. Both only where a slow directory has been met: elsewhere it would be work
//! for nothing. Only the rest of `loader` may use it.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyInt, PyList, PyString, PyTuple};
use rustc_hash::FxHashSet;

use super::frame;
use crate::bytecode::{self, Constant, Import, Opcodes};
use crate::finder::{Finder, without_gil};
use crate::index::{Dialect, Scene};
use crate::pyc::Naming;

/// Code objects of frames remembered at most.
const MOST_SEEN: usize = 1 << 14;

/// The magic numbers (PEP 3147) of the bytecode that we can read, by minor version: CPython changes its number with
/// its instructions. No sample is compiled to find out, for that is an auditing event, and look-ahead raises none.
const READABLE: [(u8, u16); 6] =
    [(10, 3439), (11, 3495), (12, 3531), (13, 3571), (14, 3627), (15, 3666)];

/// What look-ahead knows of this interpreter.
pub struct Ahead {
    sys: Py<PyAny>,
    /// None where its bytecode is not known.
    dialect: Option<Dialect>,
    /// Addresses of code objects whose imports were looked after. One that is used again for other code
    /// costs that code its look-ahead, nothing else.
    seen: Mutex<FxHashSet<usize>>,
}

impl Ahead {
    /// For an interpreter of this version that names and marks its bytecode so.
    pub fn new(sys: &Bound<'_, PyAny>, naming: Naming, magic: [u8; 4]) -> Self {
        let minor = sys.py().version_info().minor;
        let number = u16::from_le_bytes([magic[0], magic[1]]);
        let opcodes = Opcodes::of(minor).filter(|_| READABLE.contains(&(minor, number)));
        let dialect = opcodes.map(|opcodes| Dialect { naming, magic, opcodes });
        Self { sys: sys.clone().unbind(), dialect, seen: Mutex::default() }
    }

    /// The module of this name is about to run; `marshalled` is its code. Fetches what it will import.
    pub fn of_module(
        &self,
        finder: &Finder,
        name: &Bound<'_, PyAny>,
        source: &Path,
        marshalled: &[u8],
    ) {
        if !finder.index().is_worth_looking_ahead(source) {
            return;
        }
        let py = name.py();
        let Ok(name) = name.extract::<String>() else { return };
        let Some(dialect) = &self.dialect else { return };
        let Some(imports) = bytecode::imports(marshalled, dialect.opcodes) else { return };
        let is_package = source.file_stem().is_some_and(|stem| stem == "__init__");
        let package = match (is_package, name.rsplit_once('.')) {
            (true, _) => &*name,
            (false, Some((package, _))) => package,
            (false, None) => "",
        };
        self.look(py, finder, dialect, package, &imports);
    }

    /// Something was imported by code that runs: fetches what else that code will import, once.
    pub fn of_frame(&self, py: Python<'_>, finder: &Finder) {
        let Some(dialect) = &self.dialect else { return };
        if let Ok(Some((package, imports))) = self.imports_of_frame(py, dialect) {
            self.look(py, finder, dialect, &package, &imports);
        }
    }

    fn look(
        &self,
        py: Python<'_>,
        finder: &Finder,
        dialect: &Dialect,
        package: &str,
        imports: &[Import],
    ) {
        let Ok(modules) = self.modules(py) else { return };
        let loaded = |name: &str| modules.contains(name).unwrap_or(true);
        let names = finder.index().unattended(package, imports, &loaded);
        if names.is_empty() {
            return;
        }
        if let Ok(scene) = scene(py, finder, &modules) {
            without_gil::run(py, || finder.index().look_ahead(dialect, &scene, names));
        }
    }

    /// The imports before the frame that imports now, and the package they are made in.
    fn imports_of_frame(
        &self,
        py: Python<'_>,
        dialect: &Dialect,
    ) -> PyResult<Option<(String, Vec<Import>)>> {
        let Some((frame, code)) = frame::importing(py) else { return Ok(None) };
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.len() >= MOST_SEEN {
                seen.clear();
            }
            if !seen.insert(code.as_ptr() as usize) {
                return Ok(None);
            }
        }
        let instructions = code.getattr(intern!(py, "co_code"))?.cast_into::<PyBytes>()?;
        let names = code.getattr(intern!(py, "co_names"))?.cast_into::<PyTuple>()?;
        let constants = code.getattr(intern!(py, "co_consts"))?.cast_into::<PyTuple>()?;
        let last: i64 = frame.getattr(intern!(py, "f_lasti"))?.extract()?;
        let name = |at: usize| names.get_item(at).ok()?.extract().ok();
        let constant = |at: usize| constants.get_item(at).ok().map(|value| constant_of(&value));
        let imports = bytecode::imports_of(
            instructions.as_bytes(),
            usize::try_from(last).unwrap_or(0),
            &name,
            &constant,
            dialect.opcodes,
        );
        let globals = frame.getattr(intern!(py, "f_globals"))?.cast_into::<PyDict>()?;
        let package = globals.get_item(intern!(py, "__package__"))?;
        let package = package.and_then(|package| package.extract().ok()).unwrap_or_default();
        Ok(Some((package, imports)))
    }

    fn modules<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let modules = self.sys.bind(py).getattr(intern!(py, "modules"))?;
        Ok(modules.cast_into_exact::<PyDict>()?)
    }
}

fn constant_of(value: &Bound<'_, PyAny>) -> Constant {
    if value.is_none() {
        return Constant::None;
    }
    if value.is_exact_instance_of::<PyInt>() && !value.is_instance_of::<PyBool>() {
        return value.extract().map_or(Constant::Other, Constant::Int);
    }
    if let Ok(text) = value.cast_exact::<PyString>() {
        return text.to_str().map_or(Constant::Other, |text| Constant::Str(text.to_owned()));
    }
    match value.cast_exact::<PyTuple>() {
        Ok(_) => value.extract().map_or(Constant::Other, Constant::Strs),
        Err(_) => Constant::Other,
    }
}

/// The program as it stands.
fn scene(py: Python<'_>, finder: &Finder, modules: &Bound<'_, PyDict>) -> PyResult<Scene> {
    let (mut loaded, mut packages) = (HashSet::new(), HashMap::new());
    // A copy: a collection in the midst of it may run anybody's code, which may import.
    for (name, module) in modules.copy()?.iter() {
        let Ok(name) = name.cast_exact::<PyString>() else { continue };
        let Ok(name) = name.to_str() else { continue };
        loaded.insert(name.to_owned());
        if let Some(dirs) = directories_of(finder, &module) {
            packages.insert(name.to_owned(), dirs);
        }
    }
    Ok(Scene { path: finder.path_runs(py)?, loaded, packages })
}

/// The directories of a package, looked at without running foreign code.
fn directories_of(finder: &Finder, module: &Bound<'_, PyAny>) -> Option<Vec<PathBuf>> {
    let py = module.py();
    let mut path = frame::namespace(module)?.get_item(intern!(py, "__path__")).ok()??;
    if finder.stock().is_namespace_path(&path) {
        path = path.getattr(intern!(py, "_path")).ok()?;
    }
    let path = path.cast_into_exact::<PyList>().ok()?;
    let dir = |dir: Bound<'_, PyAny>| dir.cast_exact::<PyString>().ok()?.extract().ok();
    let dirs: Vec<PathBuf> = path.iter().filter_map(dir).collect();
    dirs.iter().all(|dir: &PathBuf| dir.is_absolute()).then_some(dirs)
}
