//! Whether somebody else opens code: the hook of PEP 578. Only `loader` may use it.
#![allow(unsafe_code)]

#[cfg(not(windows))]
use std::ffi::{c_int, c_void};

use pyo3::prelude::*;

#[cfg(not(windows))]
unsafe extern "C" {
    /// `Include/cpython/fileobject.h`: not part of the limited API, but the same in every CPython from 3.8 on.
    fn PyFile_SetOpenCodeHook(hook: *const c_void, user_data: *mut c_void) -> c_int;
}

/// Whether a hook is set that opens code in the place of `io.open_code`.
///
/// CPython tells nobody; but it refuses to replace a hook, while no hook in the place of none changes
/// nothing. An auditing hook hears of the attempt (`setopencodehook`); one that refuses it is taken for a yes.
#[cfg(not(windows))]
pub fn is_hooked(py: Python<'_>) -> bool {
    // SAFETY: the GIL is held, as `py` shows. A null hook is the state before any was set, so either nothing
    // changes, or the call fails and says so by an exception, which is taken back.
    let answer = unsafe { PyFile_SetOpenCodeHook(std::ptr::null(), std::ptr::null_mut()) };
    if answer != 0 {
        drop(PyErr::take(py));
    }
    answer != 0
}

/// Nobody can tell where extensions are linked with the limited API alone.
#[cfg(windows)]
pub fn is_hooked(_py: Python<'_>) -> bool {
    true
}
