//! A thread that is ended in the midst of Rust, as CPython before 3.14 ends those that want its lock back while it
//! finalizes: by `pthread_exit`, which has glibc unwind it. It must stay where it is, and the process go on.
//!
//! Panics are unwound as ever. They come last: the first one sets the unwinder up, and a thread that has panicked is not kept.
#![cfg(all(target_os = "linux", target_env = "gnu"))]
#![allow(unsafe_code, clashing_extern_declarations)]

use std::ffi::c_void;
use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::sync::mpsc::{Sender, channel};
use std::thread;

mod as_may_unwind {
    unsafe extern "C-unwind" {
        /// pthread_exit(3).
        pub fn pthread_exit(value: *mut std::ffi::c_void) -> !;
    }
}

mod as_cannot_unwind {
    unsafe extern "C" {
        /// The same, as pyo3 declares what may call it.
        pub fn pthread_exit(value: *mut std::ffi::c_void) -> !;
    }
}

/// Says when it is dropped.
struct Held(Sender<PathBuf>);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.send("dropped".into());
    }
}

fn is_kept(end: impl FnOnce(*mut c_void) + Send + 'static) {
    let (sender, said) = channel();
    thread::spawn(move || {
        let held = Held(sender);
        let _ = held.0.send(fs::canonicalize("/proc/thread-self").expect("Linux"));
        end(std::ptr::null_mut());
    });
    let thread = said.recv().expect("the thread says which it is");
    // It waits for nothing else.
    let status = || fs::read_to_string(thread.join("status")).expect("it is still there");
    while !status().contains("State:\tS") {
        thread::yield_now();
    }
    assert!(said.try_recv().is_err(), "what it holds, it holds");
}

#[test]
fn threads_that_are_ended_stay_and_panics_unwind() {
    // SAFETY: no frame is left behind: the thread is kept.
    is_kept(|nothing| unsafe { as_may_unwind::pthread_exit(nothing) });
    // SAFETY: the same.
    is_kept(|nothing| unsafe { as_cannot_unwind::pthread_exit(nothing) });
    let (sender, said) = channel();
    let panicked = catch_unwind(|| {
        let _held = Held(sender);
        panic!("as expected");
    });
    assert!(panicked.is_err());
    assert_eq!(said.recv(), Ok("dropped".into()));
}
