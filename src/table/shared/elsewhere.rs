//! The system's own means where it has none of Linux's: the twin of `linux/`, with the same functions.

use rustix::process::{getegid, geteuid, getgid, getuid};

/// Whether the process has more rights than whoever executed it, as far as its numbers show it.
pub(super) fn has_more_rights() -> bool {
    getuid() != geteuid() || getgid() != getegid()
}

/// Not known without a call.
pub(super) fn user_at_start() -> Option<u32> {
    None
}
