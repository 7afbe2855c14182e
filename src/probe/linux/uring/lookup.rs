//! `stat(2)` of one path, as a request.
//!
//! For [`super`], and for `reading`, which asks the same of a descriptor. What only a plain call
//! can tell is left unanswered.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::path::Path;

use io_uring::{opcode, squeue, types};

use super::batch::{Errand, Step};
use crate::fact::{Fact, Stat};

/// What the kernel reads and writes for a statx.
pub(super) struct Lookup {
    path: CPath,
    answer: Answer,
}

impl Lookup {
    /// For any path.
    pub(super) fn new() -> Self {
        Self { path: CPath::default(), answer: Answer::new() }
    }
}

// SAFETY: the path and the answer are on the heap and do not move with their owner; both are
// written by `begin` alone, which is called when nothing is on its way.
unsafe impl Errand for Lookup {
    type Answer = Fact;
    const HOLDS: bool = false;

    fn begin(&mut self, path: &Path) -> Option<squeue::Entry> {
        let path = self.path.set(path)?;
        Some(self.answer.ask(types::Fd(libc::AT_FDCWD), path, 0))
    }

    /// `None` where the ring's word is not that of the filesystem, and a plain call has to tell
    /// (cancelled, out of memory, not supported, ...).
    fn go_on(&mut self, result: i32) -> Step<Fact> {
        Step::Done(match -result {
            0 => Some(Fact::Present(self.answer.stat())),
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

/// A path with its NUL, on the heap.
#[derive(Default)]
pub(super) struct CPath(Vec<u8>);

impl CPath {
    /// Where this path now stands, which is neither moved nor changed until the next call; `None`
    /// where it has a NUL in it.
    pub(super) fn set(&mut self, path: &Path) -> Option<*const libc::c_char> {
        let bytes = path.as_os_str().as_encoded_bytes();
        self.0.clear();
        self.0.extend_from_slice(bytes);
        self.0.push(0);
        (!bytes.contains(&0)).then_some(self.0.as_ptr().cast())
    }
}

/// What a statx answers. Boxed, so that it stays where it is; in a cell, as the kernel writes it
/// behind our back.
pub(super) struct Answer(Box<UnsafeCell<MaybeUninit<libc::statx>>>);

impl Answer {
    pub(super) fn new() -> Self {
        Self(Box::new(UnsafeCell::new(MaybeUninit::zeroed())))
    }

    /// The request that fills it: the stat of a path below an open directory.
    pub(super) fn ask(
        &self,
        dir: types::Fd,
        path: *const libc::c_char,
        flags: i32,
    ) -> squeue::Entry {
        opcode::Statx::new(dir, path, self.0.get().cast())
            .flags(libc::AT_STATX_SYNC_AS_STAT | flags)
            .mask(libc::STATX_BASIC_STATS)
            .build()
    }

    /// What is in it, when the request that fills it is complete.
    pub(super) fn stat(&self) -> Stat {
        // SAFETY: the request is complete, so the kernel writes no more, and it has filled
        // the structure; it began as zeroes, which are valid in each of its integer fields.
        let statx = unsafe { (*self.0.get()).assume_init() };
        convert(&statx)
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
