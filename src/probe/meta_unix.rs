//! `stat(2)`, where it is the native call; and opening what is to be read.
//!
//! For `serial` and `content`. The call is the one that `os.stat` makes. The standard library makes
//! another, statx(2), which also mounts what an automounter has not mounted yet; and it carries every answer
//! through two structures more.

use std::ffi::CStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{fstat, stat};
use rustix::io::Errno;

use crate::fact::{Fact, Stat};

/// Bytes of a path and its NUL, at the most, that are put together on the stack.
const SHORT: usize = 128;

/// `stat(2)` of a path, links followed. EINVAL where the path has a NUL in it: no call is made then.
///
/// The answer is written where it is to stay: to copy what has just been written in smaller pieces makes the processor
/// wait, as long as the rest of all that is done here takes.
#[inline]
pub(super) fn tell(path: &Path, fact: &mut Fact) {
    let bytes = path.as_os_str().as_bytes();
    let mut room = [0; SHORT];
    let Some(room) = room.get_mut(..=bytes.len()) else { return tell_of_long(path, fact) };
    room[..bytes.len()].copy_from_slice(bytes);
    match CStr::from_bytes_with_nul(room) {
        Ok(path) => write(stat(path), fact),
        Err(_) => *fact = Fact::Failed(libc::EINVAL),
    }
}

/// The same of any path.
#[cold]
fn tell_of_long(path: &Path, fact: &mut Fact) {
    write(stat(path), fact);
}

/// `fstat(2)` of an open file.
///
/// # Errors
/// What the call said.
pub(super) fn of_file(file: &File) -> io::Result<Stat> {
    Ok(convert(&fstat(file)?))
}

/// Opens for reading (and with O_CLOEXEC), whatever it is, without waiting: a FIFO would wait for
/// a writer, and a terminal become ours (open(2)). Neither flag means anything to a regular file.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

#[inline]
fn write(answer: rustix::io::Result<rustix::fs::Stat>, fact: &mut Fact) {
    match answer {
        Ok(stat) => *fact = Fact::Present(convert(&stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => *fact = Fact::Absent,
        Err(errno) => *fact = Fact::Failed(errno.raw_os_error()),
    }
}

/// Field by field, nothing interpreted. How wide a field is differs between systems.
#[allow(clippy::unnecessary_cast)]
#[inline]
fn convert(stat: &rustix::fs::Stat) -> Stat {
    let ns = |s: i64, n: i64| i128::from(s) * 1_000_000_000 + i128::from(n);
    Stat {
        mode: stat.st_mode as u32,
        ino: stat.st_ino as u64,
        dev: stat.st_dev as u64,
        nlink: stat.st_nlink as u64,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: stat.st_size as u64,
        atime_ns: ns(stat.st_atime as i64, stat.st_atime_nsec as i64),
        mtime_ns: ns(stat.st_mtime as i64, stat.st_mtime_nsec as i64),
        ctime_ns: ns(stat.st_ctime as i64, stat.st_ctime_nsec as i64),
    }
}
