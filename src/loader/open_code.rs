//! Whether somebody else opens code: the hook of PEP 578. Only `loader` may use it.
#![allow(unsafe_code)]

#[cfg(not(windows))]
use std::ffi::{c_char, c_int, c_void};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::prelude::*;

#[cfg(not(windows))]
unsafe extern "C" {
    /// `Include/cpython/fileobject.h`: not part of the limited API, but the same in every CPython from 3.8 on.
    fn PyFile_SetOpenCodeHook(hook: *const c_void, user_data: *mut c_void) -> c_int;
    /// `Include/cpython/sysmodule.h`: in the limited API from 3.13 on, and the same in every CPython from 3.8 on.
    fn PySys_Audit(event: *const c_char, format: *const c_char, ...) -> c_int;
}

/// What is known of the hook that opens code in the place of `io.open_code`.
#[derive(Debug, Default)]
pub struct Opener {
    is_hooked: AtomicBool,
    was_heard: AtomicBool,
}

impl Opener {
    /// Whether there is a hook. It may be set at any time, so this is to be asked whenever code is about to be used that
    /// was read without it. It is never taken back.
    ///
    /// An auditing hook hears a question (`setopencodehook`). So where there is one, only the first question is asked: a hook that is
    /// set later than that, and later than the auditing hook, is not noticed.
    pub fn is_hooked(&self, py: Python<'_>) -> bool {
        if self.is_hooked.load(Relaxed) {
            return true;
        }
        if is_audited(py) && self.was_heard.swap(true, Relaxed) {
            return false;
        }
        let is_hooked = has_hook(py);
        self.is_hooked.store(is_hooked, Relaxed);
        is_hooked
    }
}

/// Whether CPython has a hook.
///
/// It tells nobody; but it refuses to replace a hook, while no hook in the place of none changes
/// nothing. An auditing hook that refuses the attempt is taken for a yes.
#[cfg(not(windows))]
fn has_hook(py: Python<'_>) -> bool {
    // SAFETY: the GIL is held, as `py` shows. A null hook is the state before any was set, so either nothing
    // changes, or the call fails and says so by an exception, which is taken back.
    let answer = unsafe { PyFile_SetOpenCodeHook(std::ptr::null(), std::ptr::null_mut()) };
    if answer != 0 {
        drop(PyErr::take(py));
    }
    answer != 0
}

/// Whether anybody listens to auditing events (PEP 578); nobody hears of the question.
///
/// `PySys_Audit` returns at once where nobody does. Otherwise it first makes the event's arguments (`sys_audit_tstate` in
/// `Python/sysmodule.c`), which cannot be made of a null pointer (`Py_BuildValue`): so it fails before it calls anybody.
#[cfg(not(windows))]
fn is_audited(py: Python<'_>) -> bool {
    let nothing: *mut c_void = std::ptr::null_mut();
    // SAFETY: the GIL is held, as `py` shows. Both strings end by NUL, and there is one argument, a pointer, as the format says;
    // a null one is an error that is raised, and taken back here.
    let answer = unsafe { PySys_Audit(c"fastpath".as_ptr(), c"O".as_ptr(), nothing) };
    if answer != 0 {
        drop(PyErr::take(py));
    }
    answer != 0
}

/// Nobody can tell where extensions are linked with the limited API alone.
#[cfg(windows)]
fn has_hook(_py: Python<'_>) -> bool {
    true
}

#[cfg(windows)]
fn is_audited(_py: Python<'_>) -> bool {
    false
}
