//! Reading one regular file whole, by the portable calls; and the rules that every engine reads by.
//!
//! For [`super::Prober`] and its engines. It reads nothing but regular files, nothing above its
//! limit, and it never waits for a writer: a FIFO or a device is opened without blocking (see
//! `meta`), recognised by its descriptor and closed again.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::meta;
use crate::fact::{Content, Kind, Stat};

/// EAGAIN: the file changed its size while it was read.
const CHANGED: i32 = 11;
/// ENOMEM.
const NO_MEMORY: i32 = 12;
/// EISDIR.
const IS_DIRECTORY: i32 = 21;
/// EINVAL: neither a file nor a directory, or an embedded NUL.
const INVALID: i32 = 22;
/// ENFILE and EMFILE.
const NO_DESCRIPTOR: [i32; 2] = [23, 24];
/// EFBIG: above the limit.
const TOO_BIG: i32 = 27;
/// EIO, where the platform gave no number.
const UNKNOWN: i32 = 5;

/// The whole content of the file at `path`, if it has `limit` bytes at the most.
///
/// # Errors
/// The errno of the first call that failed, or one of those above.
pub(super) fn read(path: &Path, limit: u64) -> Result<Content, i32> {
    let mut file = meta::open(path).map_err(errno)?;
    let stat = meta::of_file(&file).map_err(errno)?;
    let mut buffer = room(&stat, limit)?;
    let filled = fill(&mut file, &mut buffer).map_err(errno)?;
    finish(stat, buffer, filled)
}

/// Where the content of a file with this stat goes: its size, and one byte more, which shows
/// whether it has grown. EOF need not be asked for then.
///
/// # Errors
/// What forbids to read it.
pub(super) fn room(stat: &Stat, limit: u64) -> Result<Vec<u8>, i32> {
    match stat.kind() {
        Kind::File if stat.size > limit => return Err(TOO_BIG),
        Kind::File => {}
        Kind::Dir => return Err(IS_DIRECTORY),
        _ => return Err(INVALID),
    }
    let length = usize::try_from(stat.size).ok().and_then(|size| size.checked_add(1));
    let length = length.ok_or(NO_MEMORY)?;
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(length).map_err(|_| NO_MEMORY)?;
    buffer.resize(length, 0);
    Ok(buffer)
}

/// Whether the last read of so many bytes, after which `filled` of the buffer's are there, leaves
/// anything to be read: a short read below the size may come from anything (read(2)), one that
/// ends at the size is the end of the file.
pub(super) fn is_through(buffer: &[u8], filled: usize, last: usize) -> bool {
    last == 0 || filled + 1 >= buffer.len()
}

/// What was read, if that is as much as the stat promised.
///
/// # Errors
/// EAGAIN where it is not.
pub(super) fn finish(stat: Stat, mut buffer: Vec<u8>, filled: usize) -> Result<Content, i32> {
    if filled as u64 != stat.size {
        return Err(CHANGED);
    }
    buffer.truncate(filled);
    Ok(Content { stat, bytes: buffer.into_boxed_slice() })
}

/// Whether this is what is said where too many files are open: perhaps by our own company.
pub(super) fn wants_descriptors(errno: i32) -> bool {
    NO_DESCRIPTOR.contains(&errno)
}

/// Reads into the buffer; how much of it was filled.
fn fill(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    loop {
        match file.read(&mut buffer[filled..]) {
            Ok(length) => {
                filled += length;
                if is_through(buffer, filled, length) {
                    return Ok(filled);
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// An embedded NUL is refused before any call is made, and so has no number.
fn errno(error: io::Error) -> i32 {
    let unnumbered = if error.kind() == ErrorKind::InvalidInput { INVALID } else { UNKNOWN };
    error.raw_os_error().unwrap_or(unnumbered)
}
