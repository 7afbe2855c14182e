//! A file that is mapped, its descriptor closed, and never read through the mapping: the kernel copies pieces out.
//!
//! A plain read of a page that somebody has cut off the file meanwhile would be a SIGBUS; process_vm_readv(2) on our own
//! process says EFAULT. There is no reference into the mapping either, so nothing can change under one. Where the call is refused
//! (a seccomp filter, an emulator), the file is opened anew for every piece instead, once and for good.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use memmap2::{MmapOptions, MmapRaw};

use super::super::reopened::{Reopened, Version};

/// Whether this process was refused to copy out of itself.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// A mapped file, and how to do without the mapping.
#[derive(Debug)]
pub(in super::super) struct Mapped {
    /// None where the filesystem or a limit does not let it be mapped.
    map: Option<MmapRaw>,
    otherwise: Reopened,
}

impl Mapped {
    /// The open file of this path and version, which need not stay open.
    pub(in super::super) fn new(file: &File, path: &Path, version: Version) -> Self {
        let map = (!REFUSED.load(Relaxed)).then(|| {
            let len = usize::try_from(version.len).ok()?;
            MmapOptions::new().len(len).map_raw_read_only(file).ok()
        });
        Self { map: map.flatten(), otherwise: Reopened::new(file, path, version) }
    }

    /// A private copy of these bytes of the file's length, if they are still there.
    pub(in super::super) fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        match &self.map {
            Some(map) if !REFUSED.load(Relaxed) => match copy(map, at, len) {
                Ok(piece) => Some(piece),
                Err(Some(libc::EFAULT | libc::ENOMEM | libc::EINTR)) => None,
                Err(_) => {
                    REFUSED.store(true, Relaxed);
                    self.otherwise.read(at, len)
                }
            },
            _ => self.otherwise.read(at, len),
        }
    }
}

/// Copied by the kernel out of the mapping, which whoever calls has seen to have had them: two system calls.
///
/// The process's number is asked for every time: in a child of fork(2) a kept one would be its parent's, and so the memory
/// read.
///
/// # Errors
/// The errno; EFAULT also where only some of the bytes are there.
fn copy(map: &MmapRaw, at: u64, len: usize) -> Result<Box<[u8]>, Option<i32>> {
    let at = usize::try_from(at).map_err(|_| Some(libc::EFAULT))?;
    let mut piece = Vec::<u8>::new();
    piece.try_reserve_exact(len).map_err(|_| Some(libc::ENOMEM))?;
    let to = libc::iovec { iov_base: piece.as_mut_ptr().cast(), iov_len: len };
    let from = libc::iovec { iov_base: map.as_mut_ptr().wrapping_add(at).cast(), iov_len: len };
    let own = std::process::id().cast_signed();
    // SAFETY: the kernel writes to `to` alone, which is memory that `piece` owns and nobody else knows; what it reads,
    // it checks itself.
    let copied = unsafe { libc::process_vm_readv(own, &raw const to, 1, &raw const from, 1, 0) };
    match usize::try_from(copied) {
        Err(_) => Err(io::Error::last_os_error().raw_os_error()),
        Ok(copied) if copied != len => Err(Some(libc::EFAULT)),
        Ok(_) => {
            // SAFETY: the kernel has just said that it wrote that many bytes.
            unsafe { piece.set_len(len) };
            Ok(piece.into_boxed_slice())
        }
    }
}
