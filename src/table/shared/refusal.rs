//! Why a table is not used.

use std::fmt;
use std::io;

/// Why a table is taken for empty. Its text is a sentence without a full stop, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such file.
    Missing,
    /// It, or the directory it lies in, is a symbolic link.
    Link,
    /// It is no regular file.
    NotRegular,
    /// It belongs to the user of this number.
    Owner(u32),
    /// Its group or everybody may write to it; these are its permission bits.
    Writable(u32),
    /// The process runs with more rights than whoever started it (`AT_SECURE`).
    Secure,
    /// There is no place for it: what is missing.
    NoPlace(&'static str),
    /// It is of a later format, with this number.
    Future(u32),
    /// It is for another interpreter or environment.
    OtherKey,
    /// It is not as a table must be: where.
    Damaged(&'static str),
    /// The system refused with this error number.
    Io(i32),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is none yet"),
            Self::Link => f.write_str("it is a symbolic link"),
            Self::NotRegular => f.write_str("it is no regular file"),
            Self::Owner(uid) => write!(f, "it belongs to another user (uid {uid})"),
            Self::Writable(mode) => {
                write!(f, "others than its owner may write to it (mode {:04o})", mode & 0o7777)
            }
            Self::Secure => f.write_str("the process runs with more rights than its user"),
            Self::NoPlace(missing) => write!(f, "there is no place for it: {missing}"),
            Self::Future(format) => write!(f, "it is of a later format ({format})"),
            Self::OtherKey => f.write_str("it is for another interpreter or environment"),
            Self::Damaged(place) => write!(f, "it is damaged: {place}"),
            Self::Io(errno) => {
                write!(f, "it cannot be read: {}", io::Error::from_raw_os_error(*errno))
            }
        }
    }
}

impl std::error::Error for Refusal {}

/// For whoever writes, where a refusal is one error among others.
impl From<Refusal> for io::Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Io(errno) => Self::from_raw_os_error(errno),
            Refusal::Missing => Self::new(io::ErrorKind::NotFound, refusal),
            _ => Self::new(io::ErrorKind::PermissionDenied, refusal),
        }
    }
}
