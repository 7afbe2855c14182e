//! Shared tables where a file's owner is not known in POSIX's terms: none are read, and none written.

use std::io::{self, Write};
use std::path::Path;

use super::{Bytes, Published, Refusal, Trust};

const NONE: Refusal = Refusal::NoPlace("tables are not shared on this system");

/// Refuses.
///
/// # Errors
/// Always.
pub fn open(_path: &Path, _trust: Trust) -> Result<Box<dyn Bytes>, Refusal> {
    Err(NONE)
}

/// Refuses.
///
/// # Errors
/// Always.
pub fn publish(
    _path: &Path,
    _write: impl FnOnce(&mut dyn Write) -> io::Result<bool>,
) -> io::Result<Published> {
    Err(NONE.into())
}

/// Not known.
#[must_use]
pub fn acting_user() -> Option<u32> {
    None
}

/// Not known.
#[must_use]
pub fn acts_as(_user: u32) -> bool {
    false
}

/// Not known, and nothing hangs on it.
pub(super) fn has_more_rights() -> bool {
    false
}

/// Leaves everything.
///
/// # Errors
/// None.
pub fn tidy(_path: &Path, _most: u64) -> io::Result<usize> {
    Ok(0)
}
