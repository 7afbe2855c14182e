//! A mapped file whose bytes are read in place, or copied out by the kernel.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use memmap2::{MmapOptions, MmapRaw};

pub struct Mapped {
    map: MmapRaw,
}

impl Mapped {
    /// Maps the whole file, for reading, and closes it.
    pub fn open(file: &Path) -> io::Result<Self> {
        let file = File::open(file)?;
        Ok(Self { map: MmapOptions::new().map_raw_read_only(&file)? })
    }

    pub fn len(&self) -> usize {
        self.map.len()
    }

    fn has(&self, at: usize, len: usize) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.map.len())
    }

    /// The bytes themselves. Who reads them dies of SIGBUS where the file has become shorter, and
    /// may find other bytes each time.
    pub fn in_place(&self, at: usize, len: usize) -> Option<&[u8]> {
        // SAFETY: the range was mapped; that nobody writes to the file is not known.
        self.has(at, len)
            .then(|| unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(at), len) })
    }

    /// Has the kernel begin to read these bytes, and no others around them (MADV_WILLNEED).
    pub fn announce(&self, at: usize, len: usize) {
        if self.has(at, len) {
            let _ = self.map.advise_range(memmap2::Advice::WillNeed, at, len);
        }
    }

    /// A private copy, made by the kernel (process_vm_readv(2)).
    ///
    /// # Errors
    /// EFAULT where the file has become shorter; otherwise what the call says.
    pub fn copied(&self, at: usize, len: usize) -> io::Result<Vec<u8>> {
        if !self.has(at, len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let from = self.map.as_ptr().wrapping_add(at).cast_mut().cast();
        let remote = libc::iovec { iov_base: from, iov_len: len };
        fill(len, |room| {
            let local = libc::iovec { iov_base: room.cast(), iov_len: len };
            // SAFETY: `local` names room that is ours alone. What `remote` names is not ours to
            // promise, but the kernel checks it.
            unsafe { libc::process_vm_readv(libc::getpid(), &local, 1, &remote, 1, 0) }
        })
    }
}

/// A private copy from the file itself (pread(2)).
///
/// # Errors
/// EFAULT where the file has become shorter; otherwise what the call says.
pub fn pread(file: &File, at: usize, len: usize) -> io::Result<Vec<u8>> {
    // SAFETY: `fill` gives room for that many bytes.
    fill(len, |room| unsafe { libc::pread(file.as_raw_fd(), room.cast(), len, at as i64) })
}

/// A buffer of `len` bytes which `call` fills, answering as read(2) does.
///
/// # Errors
/// That of the call; EFAULT where it filled less.
fn fill(len: usize, call: impl FnOnce(*mut u8) -> isize) -> io::Result<Vec<u8>> {
    let mut buffer = Vec::with_capacity(len);
    match call(buffer.as_mut_ptr()) {
        -1 => Err(io::Error::last_os_error()),
        n if n as usize == len => {
            // SAFETY: the kernel has filled that many bytes.
            unsafe { buffer.set_len(len) };
            Ok(buffer)
        }
        _ => Err(io::Error::from_raw_os_error(libc::EFAULT)),
    }
}
