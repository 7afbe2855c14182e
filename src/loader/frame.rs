//! Frames and modules as they lie, looked at without anybody hearing of it. Only `loader` may use it.
//!
//! `sys._getframe` and a frame's `f_code` raise auditing events (PEP 578), and a module's `__dict__` may be
//! anybody's code: a lazy module loads itself when it is asked for anything. Nothing here runs foreign code.
#![allow(unsafe_code)]

use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyString};

/// The innermost frame that is not importlib's, and its code; none in a thread without one.
pub fn importing(py: Python<'_>) -> Option<(Bound<'_, PyAny>, Bound<'_, PyAny>)> {
    // SAFETY: the GIL is held, as `py` shows; the frame is borrowed, or null where nothing runs.
    let frame = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
    let mut frame = frame?;
    while !frame.is_none() {
        let code = code_of(&frame)?;
        let file = code.getattr(intern!(py, "co_filename")).ok()?.cast_into::<PyString>().ok()?;
        if !file.to_str().is_ok_and(|file| file.starts_with("<frozen importlib")) {
            return Some((frame, code));
        }
        frame = frame.getattr(intern!(py, "f_back")).ok()?;
    }
    None
}

/// Whether what calls the Python function that runs is this code.
pub fn is_called_by(py: Python<'_>, code: &Bound<'_, PyAny>) -> bool {
    // SAFETY: as in `importing`.
    let frame = unsafe { Bound::from_borrowed_ptr_or_opt(py, ffi::PyEval_GetFrame().cast()) };
    let caller =
        frame.and_then(|frame: Bound<'_, PyAny>| frame.getattr(intern!(py, "f_back")).ok());
    caller
        .filter(|caller| !caller.is_none())
        .and_then(|caller| code_of(&caller))
        .is_some_and(|now| now.is(code))
}

fn code_of<'py>(frame: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    // SAFETY: whoever calls this has a frame from `PyEval_GetFrame`, or one by its `f_back`. The code is ours to release.
    unsafe {
        let code = ffi::PyFrame_GetCode(frame.as_ptr().cast());
        Bound::from_owned_ptr_or_opt(frame.py(), code.cast())
    }
}

/// The namespace of a module of whatever class, not by way of the class; none of what is no module.
pub fn namespace<'py>(module: &Bound<'py, PyAny>) -> Option<Bound<'py, PyDict>> {
    let module = module.cast::<PyModule>().ok()?;
    // SAFETY: it is a module, and its dictionary is borrowed. On 3.10 one that `__init__` has not seen has none.
    let dict = unsafe {
        Bound::from_borrowed_ptr_or_opt(module.py(), ffi::PyModule_GetDict(module.as_ptr()))
    };
    dict?.cast_into_exact::<PyDict>().ok()
}
