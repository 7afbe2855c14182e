//! A native function in the place and under the full name of a method.
//!
//! A function made for a module is called `find_spec`; stock's is `PathFinder.find_spec`, and error messages,
//! `repr` and profilers show it. CPython takes the qualified name of a built-in from what it is bound to
//! (`meth_get__qualname__` in `Objects/methodobject.c`), so ours is bound to the class.
#![allow(unsafe_code)]

use std::ffi::CString;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyTuple, PyType};

/// `native`, made anew as a built-in of `class`; its module's name is that of `original`.
///
/// # Errors
/// `TypeError` if `native` is not a built-in function.
pub fn as_method_of<'py>(
    class: &Bound<'py, PyType>,
    native: &Bound<'py, PyAny>,
    original: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let native = native.cast::<PyCFunction>()?;
    let name: String = native.getattr("__name__")?.extract()?;
    let signature: String = native.getattr("__text_signature__")?.extract()?;
    let doc: String = original.getattr("__doc__")?.extract()?;
    let c_string =
        |text: String| CString::new(text).map_err(|e| PyTypeError::new_err(e.to_string()));
    let doc = c_string(format!("{name}{signature}\n--\n\n{doc}"))?;
    let name = c_string(name)?;
    let module = original.getattr("__module__")?;
    // SAFETY: `native` is a built-in function by its type, so it has a C function and flags, which stay
    // valid as they are part of this library, which CPython never unloads. That C function ignores what
    // it is bound to, as pyo3 makes it where no module is asked for. The definition and its texts are
    // leaked, as CPython wants them to outlive the function; there are two of them per `install`.
    unsafe {
        let Some(function) = ffi::PyCFunction_GetFunction(native.as_ptr()) else {
            return Err(PyErr::fetch(class.py()));
        };
        let definition = Box::leak(Box::new(ffi::PyMethodDef {
            ml_name: name.into_raw(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
            ml_flags: ffi::PyCFunction_GetFlags(native.as_ptr()),
            ml_doc: doc.into_raw(),
        }));
        let function = ffi::PyCFunction_NewEx(definition, class.as_ptr(), module.as_ptr());
        Bound::from_owned_ptr_or_err(class.py(), function)
    }
}

/// What makes Python functions that do nothing but call a native one, of so many parameters each.
///
/// For what is a function in stock and has to bind like one; and for CPython 3.12, where a call of a method around
/// a built-in reports a return to profilers that no call goes before, and `profile` stops with "Bad return".
pub struct Wrapper<'py>(Bound<'py, PyAny>);

impl<'py> Wrapper<'py> {
    /// For functions of `count` parameters. It is compiled anew each time, which takes longer than making some functions.
    ///
    /// # Errors
    /// What compiling it may raise: nothing.
    pub fn new(py: Python<'py>, count: usize) -> PyResult<Self> {
        let parameters: Vec<String> = (0..count).map(|n| format!("p{n}")).collect();
        let parameters = parameters.join(",");
        // Not by `compile`, which asks whether its argument is an AST: the first to ask makes all the classes of
        // `_ast`, a quarter of an interpreter's start.
        let source = format!("lambda f:lambda {parameters}:f({parameters})");
        let eval = py.import("builtins")?.getattr("eval")?;
        Ok(Self(eval.call1((source, PyDict::new(py)))?))
    }

    /// A Python function that calls `native`, with the names of `original`, whose parameters `native` takes by place.
    ///
    /// Its file name is importlib's, whose lines importlib cuts out of the traceback of an ImportError.
    ///
    /// # Errors
    /// As many parameters as it was not made for.
    pub fn around(
        &self,
        native: &Bound<'py, PyAny>,
        original: &Bound<'py, PyAny>,
        parameters: &[&str],
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = native.py();
        let [name, qualname] = [original.getattr("__name__")?, original.getattr("__qualname__")?];
        let inner = self.0.call1((native,))?;
        let names = PyDict::new(py);
        names.set_item("co_name", &name)?;
        names.set_item("co_varnames", PyTuple::new(py, parameters)?)?;
        names.set_item("co_filename", original.getattr("__code__")?.getattr("co_filename")?)?;
        if py.version_info() >= (3, 11) {
            names.set_item("co_qualname", &qualname)?;
        }
        // Debuggers tell importlib's frames by their globals.
        let function = inner.get_type().call1((
            inner.getattr("__code__")?.call_method("replace", (), Some(&names))?,
            original.getattr("__globals__")?,
            name,
            original.getattr("__defaults__")?,
            inner.getattr("__closure__")?,
        ))?;
        function.setattr("__qualname__", qualname)?;
        for name in ["__module__", "__doc__"] {
            function.setattr(name, original.getattr(name)?)?;
        }
        Ok(function)
    }
}
