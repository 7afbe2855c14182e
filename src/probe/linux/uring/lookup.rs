//! `stat(2)` of one path, as a request.
//!
//! For [`super`], and for `reading`, which asks the same of a descriptor. What only a plain call
//! can tell is left unanswered. Like stat(2), and unlike a statx(2) that is not told, it mounts nothing.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::ffi::c_char;
use std::mem::MaybeUninit;

use io_uring::{opcode, squeue, types};

use super::batch::{Errand, Step};
use crate::fact::{Fact, Stat};

/// What the kernel reads and writes for a statx.
pub(super) struct Lookup(Answer);

impl Lookup {
    /// For any path.
    pub(super) fn new() -> Self {
        Self(Answer::new())
    }
}

// SAFETY: the answer lies in the errand, and is looked at by `go_on` alone, which is called when the
// kernel is done with it.
unsafe impl Errand for Lookup {
    type Answer = Fact;
    const HOLDS: bool = false;

    fn begin(&mut self, path: *const c_char) -> squeue::Entry {
        self.0.ask(types::Fd(libc::AT_FDCWD), path, libc::AT_NO_AUTOMOUNT)
    }

    /// `None` where the ring's word is not that of the filesystem, and a plain call has to tell
    /// (cancelled, out of memory, not supported, ...).
    fn go_on(&mut self, result: i32) -> Step<Fact> {
        Step::Done(match -result {
            0 => Some(Fact::Present(self.0.stat())),
            libc::ENOENT | libc::ENOTDIR => Some(Fact::Absent),
            errno if is_final(errno) => Some(Fact::Failed(errno)),
            _ => None,
        })
    }

    fn give_up(&mut self) {}
}

/// Whether only the path can be the reason of this errno.
pub(super) fn is_final(errno: i32) -> bool {
    let final_ = [libc::ENOENT, libc::ENOTDIR, libc::EACCES, libc::ELOOP, libc::ENAMETOOLONG];
    final_.contains(&errno)
}

/// What a statx answers. In a cell, as the kernel writes it behind our back.
pub(super) struct Answer(UnsafeCell<MaybeUninit<libc::statx>>);

impl Answer {
    pub(super) fn new() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// The request that fills it, which must stay where it is until then: the stat of a path below an
    /// open directory.
    pub(super) fn ask(&self, dir: types::Fd, path: *const c_char, flags: i32) -> squeue::Entry {
        opcode::Statx::new(dir, path, self.0.get().cast())
            .flags(libc::AT_STATX_SYNC_AS_STAT | flags)
            .mask(libc::STATX_BASIC_STATS)
            .build()
    }

    /// What is in it, when the request that fills it has succeeded.
    pub(super) fn stat(&self) -> Stat {
        // SAFETY: the request has succeeded, so the kernel writes no more, and it has written the whole
        // structure (`cp_statx` in fs/stat.c), of whose integer fields every value is valid.
        convert(unsafe { (*self.0.get()).assume_init_ref() })
    }
}

/// Field by field, the device as `os.stat` shows it.
fn convert(statx: &libc::statx) -> Stat {
    let ns =
        |t: &libc::statx_timestamp| i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec);
    Stat {
        mode: u32::from(statx.stx_mode),
        ino: statx.stx_ino,
        dev: libc::makedev(statx.stx_dev_major, statx.stx_dev_minor),
        nlink: u64::from(statx.stx_nlink),
        uid: statx.stx_uid,
        gid: statx.stx_gid,
        size: statx.stx_size,
        atime_ns: ns(&statx.stx_atime),
        mtime_ns: ns(&statx.stx_mtime),
        ctime_ns: ns(&statx.stx_ctime),
    }
}
