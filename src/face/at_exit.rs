//! The end of a process, when Python is gone. Only the face may use it.
#![allow(unsafe_code)]

use std::panic::catch_unwind;
use std::sync::OnceLock;

use pyo3::ffi;

static WORK: OnceLock<fn()> = OnceLock::new();

/// Has `work` called once, at the end of `Py_FinalizeEx`: when the program's own code has ended, and not at all when it
/// ends by `os._exit` or a signal. Only the first call counts. CPython has room for 32 of them; where that is used
/// up, it is not called.
pub fn register(work: fn()) {
    if WORK.set(work).is_ok() {
        // SAFETY: the function lives as long as the process, as CPython unloads no library, and calls nothing of Python's,
        // of which nothing is left by then.
        unsafe { ffi::Py_AtExit(Some(run)) };
    }
}

extern "C" fn run() {
    if let Some(work) = WORK.get() {
        // Whatever goes wrong, the process ends as it would have.
        let _ = catch_unwind(work);
    }
}
