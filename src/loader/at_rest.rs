//! Unmarshalling with the garbage collector at rest, from bytes that stay where they are.
//!
//! Unmarshalling makes objects by the thousand and no garbage, so every collection in the midst of it is
//! for nothing. Only `loader` may use it.
#![allow(unsafe_code)]

use std::ffi::c_int;

use pyo3::call::PyCallArgs;
use pyo3::ffi;
use pyo3::intern;
use pyo3::prelude::*;

/// `PyBUF_READ` of `Include/object.h`: pyo3 has it from 3.11 on only.
const PYBUF_READ: c_int = 0x100;

/// What `function` makes of these bytes from `start` on, which it gets as a view among the arguments that `with` gives.
///
/// It must be importlib's own, which keeps no view of what it unmarshals. But a traceback keeps the frame, and the
/// frame the view: so the view is released before the bytes go, and whoever looks at it there is told so.
///
/// # Errors
/// What it raises, and what a hook that hears of it raises.
pub fn call<'py, A: PyCallArgs<'py>>(
    function: &Bound<'py, PyAny>,
    rests: bool,
    bytes: Box<[u8]>,
    start: usize,
    with: impl FnOnce(Bound<'py, PyAny>) -> A,
) -> PyResult<Bound<'py, PyAny>> {
    let py = function.py();
    // SAFETY: the view reads `bytes`, which live until it is released, and for ever where it cannot be. Reading needs
    // no mutable access, whatever the pointer's type.
    let view = unsafe {
        let part = &bytes[start..];
        let first = part.as_ptr().cast_mut().cast();
        let view = ffi::PyMemoryView_FromMemory(first, part.len() as ffi::Py_ssize_t, PYBUF_READ);
        Bound::from_owned_ptr_or_err(py, view)?
    };
    let result = {
        let _rest = rests.then(|| Rest::begin(py));
        function.call1(with(view.clone()))
    };
    // Refused while somebody uses the bytes.
    if view.call_method0(intern!(py, "release")).is_err() {
        std::mem::forget(bytes);
    }
    result
}

/// While this lives, no collection begins by itself.
struct Rest<'py> {
    was_enabled: bool,
    _gil: Python<'py>,
}

impl<'py> Rest<'py> {
    fn begin(py: Python<'py>) -> Self {
        // SAFETY: the GIL is held, as `py` shows.
        let was_enabled = unsafe { ffi::PyGC_Disable() } != 0;
        Self { was_enabled, _gil: py }
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        if self.was_enabled {
            // SAFETY: the GIL is held: this cannot outlive the token in it.
            unsafe { ffi::PyGC_Enable() };
        }
    }
}
