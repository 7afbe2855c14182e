//! Listing one directory, by the portable call.
//!
//! For [`super::Prober`]. It never reads further than its limit: a directory may hold 200,000 names.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::fact::Kind;

/// The names found in a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Each name, as the platform's encoded bytes, with what the listing said of it.
    pub names: Vec<(Box<[u8]>, Kind)>,
    /// Whether that is all of them: false where the limit cut the listing short.
    pub complete: bool,
}

/// The names in `dir`, `limit` of them at the most. `.` and `..` are left out, as `os.listdir` does.
///
/// # Errors
/// The errno of the first call that failed; EINVAL for a path with an embedded NUL, EIO where the
/// platform gave no number.
pub(super) fn list(dir: &Path, limit: usize) -> Result<Listing, i32> {
    let errno = |e: io::Error| match e.kind() {
        ErrorKind::InvalidInput => e.raw_os_error().unwrap_or(22),
        _ => e.raw_os_error().unwrap_or(5),
    };
    let mut listing = Listing { names: Vec::new(), complete: true };
    for entry in std::fs::read_dir(dir).map_err(errno)? {
        if listing.names.len() == limit {
            listing.complete = false;
            break;
        }
        let entry = entry.map_err(errno)?;
        let kind = match entry.file_type() {
            Ok(t) if t.is_dir() => Kind::Dir,
            Ok(t) if t.is_file() => Kind::File,
            Ok(t) if t.is_symlink() => Kind::Link,
            Ok(_) => Kind::Other,
            Err(_) => Kind::Unknown,
        };
        listing.names.push((entry.file_name().into_encoded_bytes().into(), kind));
    }
    Ok(listing)
}
