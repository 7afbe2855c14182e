//! A table's file, opened to be read: only if nobody but those trusted can have written it.
//!
//! It keeps no descriptor, since a program sees those. It waits for nobody, whatever lies in the table's place, and says nothing of what
//! the bytes mean.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use super::reopened::{Reopened, Version};
use super::windows::Windows;
use super::{Bytes, Refusal, Trust, layout, owner, system};

/// Bytes read at once while the file is open: the end of it, where a table says what is in it.
const TAIL: u64 = layout::TAIL as u64;

/// A table of more bytes is none: sixteen times what one may grow to unless told otherwise.
const LARGEST: u64 = 4 << 30;

/// The bytes of an open table.
#[derive(Debug)]
struct Table {
    len: u64,
    windows: Windows,
}

impl Bytes for Table {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        self.windows.read(at, len)
    }
}

/// The bytes of the table in the file at `path`, an absolute path. Six system calls at most; the last file descriptor is closed
/// when it returns.
///
/// What it asks for: a regular file, no link, of whom `trust` says, and nobody else may write to it; and the same of the
/// directory that it lies in. A directory further up is not looked at: whoever can exchange one there can put another file
/// of *ours* in the table's place at most. That also makes a configured directory in `/tmp` right, which is sticky:
/// its name cannot be taken from us.
///
/// With [`Trust::Baked`] the directory may be reached by a link (`current -> releases/42`): whoever made the environment
/// made its links too, and the directory arrived at has to be his or ours. With [`Trust::User`] it may not: it is at a place
/// where a link is somebody's idea of having us read or write elsewhere.
///
/// # Errors
/// Why it is not used.
pub fn open(path: &Path, trust: Trust) -> Result<Box<dyn Bytes>, Refusal> {
    if system::has_more_rights() {
        return Err(Refusal::Secure);
    }
    let parent = path.parent().filter(|_| path.is_absolute());
    let dir = parent.ok_or(Refusal::NoPlace("its path is not absolute"))?;
    let file = open_itself(path).map_err(|e| refusal(&e))?;
    let meta = file.metadata().map_err(|e| refusal(&e))?;
    if !meta.is_file() {
        return Err(Refusal::NotRegular);
    }
    owner::check(&meta, trust)?;
    check_directory(dir, trust)?;
    let version = Version::of(&meta);
    let tail = tail(&file, version.len)?;
    let windows = Windows::new(Reopened::new(path, version), version.len, tail);
    Ok(Box::new(Table { len: version.len, windows }))
}

/// Opens for reading what is there itself, without following a link, without waiting (a FIFO would wait for a writer), without making a
/// terminal ours (open(2)).
///
/// # Errors
/// Those of open(2).
pub(super) fn open_itself(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// What an error of a call that asks for a file means.
pub(super) fn refusal(error: &io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) => Refusal::Missing,
        // What O_NOFOLLOW says of a link: the latter on FreeBSD.
        Some(libc::ELOOP | libc::EMLINK) => Refusal::Link,
        // What open(2) says of a socket.
        Some(libc::ENXIO) => Refusal::NotRegular,
        Some(errno) => Refusal::Io(errno),
        // Only a NUL in the path has no number.
        None => Refusal::Io(libc::EINVAL),
    }
}

fn check_directory(dir: &Path, trust: Trust) -> Result<(), Refusal> {
    let meta = match trust {
        Trust::User => fs::symlink_metadata(dir),
        Trust::Baked => fs::metadata(dir),
    };
    let meta = meta.map_err(|e| refusal(&e))?;
    if meta.is_symlink() {
        return Err(Refusal::Link);
    }
    owner::check(&meta, trust)
}

/// The file's last bytes.
fn tail(file: &File, len: u64) -> Result<Vec<u8>, Refusal> {
    match len {
        0 => return Err(Refusal::Damaged("it has no bytes")),
        1..=LARGEST => {}
        _ => return Err(Refusal::Damaged("it has more than 4 GB")),
    }
    let mut tail = vec![0; len.min(TAIL) as usize];
    match file.read_at(&mut tail, len.saturating_sub(TAIL)) {
        Ok(read) if read == tail.len() => Ok(tail),
        Ok(_) => Err(Refusal::Damaged("it was cut short meanwhile")),
        Err(error) => Err(refusal(&error)),
    }
}
