//! A native function under a method's full name.
//!
//! A function made for a module is called `find_spec`; stock's is `PathFinder.find_spec`, and error messages,
//! `repr` and profilers show it. CPython takes the qualified name of a built-in from what it is bound to
//! (`meth_get__qualname__` in `Objects/methodobject.c`), so ours is bound to the class.
#![allow(unsafe_code)]

use std::ffi::CString;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyType};

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
    // leaked, as CPython wants them to outlive the function; there are three of them per `install`.
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
