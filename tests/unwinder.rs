//! A thread that is ended in the midst of Rust, as CPython before 3.14 ends those that want its lock back while it
//! finalizes: by `pthread_exit`, which has glibc unwind it. What stands in the way (pyo3's guard, which keeps such a thread for ever)
//! must get its turn, and the process go on.
//!
//! Nothing else is in this file: a panic would be the first to set an unwinder up.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::sync::mpsc::{Sender, channel};
use std::thread;

unsafe extern "C-unwind" {
    /// pthread_exit(3).
    fn pthread_exit(value: *mut c_void) -> !;
}

/// Keeps whoever unwinds it.
struct Guard(Sender<&'static str>);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.send("unwound");
        loop {
            thread::park();
        }
    }
}

#[test]
fn a_thread_that_is_ended_is_unwound() {
    let (sender, said) = channel();
    thread::spawn(|| {
        let _guard = Guard(sender);
        // SAFETY: no frame is left behind: the guard keeps the thread.
        unsafe { pthread_exit(std::ptr::null_mut()) }
    });
    assert_eq!(said.recv(), Ok("unwound"));
}
