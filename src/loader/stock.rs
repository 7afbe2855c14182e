//! What of stock importlib the native `get_code` stands for, as it was found, and whether anybody has changed
//! it since. Only the rest of `loader` may use it.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyModule, PyString, PyType};

use crate::finder::{Relied, Wrapper, is_no_function, is_of, is_unbound, replaced};

/// Classes and functions of `importlib._bootstrap_external` that loading goes through.
pub struct Stock {
    pub get_code: Py<PyAny>,
    source_loader: Py<PyType>,
    source_file_loader: Py<PyType>,
    imp: Py<PyAny>,
    compile_bytecode: Py<PyAny>,
    /// What `_imp.source_hash` takes first.
    hash_key: Py<PyAny>,
    /// What says where bytecode lies.
    naming: Relied,
    /// What loads it.
    loading: Relied,
}

/// What of `SourceFileLoader` an answer takes for granted.
const CLASS: [&str; 4] = ["__getattribute__", "get_data", "get_filename", "path_stats"];
/// What of importlib's own module.
const EXTERNAL: [&str; 14] = [
    "MAGIC_NUMBER",
    "_RAW_MAGIC_NUMBER",
    "_bootstrap",
    "_classify_pyc",
    "_code_type",
    "_compile_bytecode",
    "_imp",
    "_io",
    "_path_stat",
    "_unpack_uint32",
    "_validate_hash_pyc",
    "_validate_timestamp_pyc",
    "marshal",
    "sys",
];
/// What of it says where bytecode lies.
const NAMING: [&str; 6] =
    ["_os", "_path_join", "_path_split", "cache_from_source", "path_separators", "path_sep"];

impl Stock {
    /// Looks at this interpreter's importlib.
    ///
    /// # Errors
    /// Whatever is not as in the CPythons we know.
    pub fn new(py: Python<'_>) -> PyResult<Self> {
        let home = py.import("_frozen_importlib_external")?;
        let external = home.clone().into_any();
        let of = |name: &str| external.getattr(name);
        let class = of("SourceFileLoader")?;
        let sys = py.import("sys")?.into_any();
        let implementation = sys.getattr("implementation")?;
        let (marshal, imp, io, os) = (of("marshal")?, of("_imp")?, of("_io")?, of("_os")?);
        let naming = relied_on(
            &home,
            [
                (&external, &NAMING[..]),
                (&os, &["fspath"]),
                (&sys, &["implementation", "flags"]),
                (&implementation, &["cache_tag"]),
            ],
        )?;
        let loading = relied_on(
            &home,
            [
                (&class, &CLASS[..]),
                (&external, &EXTERNAL),
                (&marshal, &["loads"]),
                (&imp, &["_fix_co_filename", "source_hash", "pyc_magic_number_token"]),
                (&io, &["open_code"]),
                (&os, &["stat"]),
            ],
        )?;
        let get_code = of("SourceLoader")?.getattr("get_code")?;
        if !is_of(&home, &get_code) {
            return Err(replaced("get_code"));
        }
        Ok(Self {
            get_code: get_code.unbind(),
            source_loader: of("SourceLoader")?.cast_into::<PyType>()?.unbind(),
            source_file_loader: class.cast_into::<PyType>()?.unbind(),
            compile_bytecode: of("_compile_bytecode")?.unbind(),
            // From 3.14 on it is in `_imp`.
            hash_key: of("_RAW_MAGIC_NUMBER")
                .or_else(|_| imp.getattr("pyc_magic_number_token"))?
                .unbind(),
            imp: imp.unbind(),
            naming,
            loading,
        })
    }

    /// The bytes that bytecode files of this interpreter begin with.
    pub fn magic(&self, py: Python<'_>) -> PyResult<[u8; 4]> {
        let external = py.import("_frozen_importlib_external")?;
        let magic = external.getattr("MAGIC_NUMBER")?.cast_into::<PyBytes>()?;
        let unusual = |_| PyRuntimeError::new_err("a magic number is four bytes long");
        magic.as_bytes().try_into().map_err(unusual)
    }

    /// Puts the native body in place.
    pub fn replace<'py>(&self, wrapper: &Wrapper<'py>, native: &Bound<'py, PyAny>) -> PyResult<()> {
        let py = native.py();
        let body = wrapper.around(native, self.get_code.bind(py), &["self", "fullname"])?;
        self.source_loader.bind(py).setattr("get_code", body)
    }

    /// Puts the original back: the very same object.
    pub fn restore(&self, py: Python<'_>) -> PyResult<()> {
        self.source_loader.bind(py).setattr("get_code", &self.get_code)
    }

    /// Whether nobody has replaced anything since that loading goes through.
    pub fn is_untouched(&self, py: Python<'_>) -> bool {
        self.loading.is_untouched(py)
    }

    /// Whether nobody has replaced anything since that says where bytecode lies.
    pub fn names_as_ever(&self, py: Python<'_>) -> bool {
        self.naming.is_untouched(py)
    }

    /// The path of a loader of exactly the stock class, with nothing set on it but what `FileLoader.__init__`
    /// sets, if it is the one for a module of this name.
    pub fn plain_path<'py>(
        &self,
        loader: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
    ) -> Option<Bound<'py, PyString>> {
        let py = loader.py();
        if !loader.get_type().is(&self.source_file_loader) {
            return None;
        }
        let dict = loader.getattr(intern!(py, "__dict__")).ok()?.cast_into::<PyDict>().ok()?;
        let name = dict.get_item(intern!(py, "name")).ok()??.cast_into_exact::<PyString>().ok()?;
        let path = dict.get_item(intern!(py, "path")).ok()??.cast_into_exact::<PyString>().ok()?;
        let asked_for = fullname.cast_exact::<PyString>().ok()?;
        let same = name.is(asked_for) || name.to_str().ok()? == asked_for.to_str().ok()?;
        (same && dict.len() == 2).then_some(path)
    }

    /// `_compile_bytecode(data, name, bytecode_path, source_path)`, which unmarshals.
    pub fn compile_bytecode<'py>(&self, py: Python<'py>) -> &Bound<'py, PyAny> {
        self.compile_bytecode.bind(py)
    }

    /// Whether the user wants bytecode with the source's hash compared with the source: PEP 552,
    /// `--check-hash-based-pycs`. None where somebody has put there what is no setting.
    pub fn compares_hashes(&self, py: Python<'_>, checked: bool) -> Option<bool> {
        let setting = self.imp.bind(py).getattr(intern!(py, "check_hash_based_pycs")).ok()?;
        match setting.cast_exact::<PyString>().ok()?.to_str().ok()? {
            "never" => Some(false),
            "always" => Some(true),
            _ => Some(checked),
        }
    }

    /// `_imp.source_hash` of a source, with this interpreter's key.
    pub fn source_hash<'py>(&self, source: &Bound<'py, PyBytes>) -> PyResult<Bound<'py, PyBytes>> {
        let py = source.py();
        let args = (&self.hash_key, source);
        Ok(self.imp.bind(py).call_method1(intern!(py, "source_hash"), args)?.cast_into()?)
    }
}

/// Relies on these attributes of these objects, if they are what CPython has put there. Not every version has all of them.
fn relied_on<const N: usize>(
    home: &Bound<'_, PyModule>,
    wanted: [(&Bound<'_, PyAny>, &[&str]); N],
) -> PyResult<Relied> {
    let mut relied_on = Relied::default();
    for (owner, names) in wanted {
        relied_on.add(owner, names, |name, value| {
            if is_original(home, owner, value) { Ok(()) } else { Err(replaced(name)) }
        })?;
    }
    Ok(relied_on)
}

/// Whether what `owner` has is what CPython has put there, as far as functions show it: one written in Python knows where
/// it was written, a built-in one is bound to its module.
fn is_original(
    home: &Bound<'_, PyModule>,
    owner: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
) -> bool {
    let bound_to_owner = || {
        let bound_to = value.getattr(intern!(value.py(), "__self__"));
        bound_to.map_or(true, |bound_to| bound_to.is(owner))
    };
    is_of(home, value) && (is_no_function(value) || is_unbound(value) || bound_to_owner())
}
