//! What the kernel told this process of itself when it was executed (getauxval(3)). No system call.

#![allow(unsafe_code)]

/// Whether the process has more rights than whoever executed it: a set-user-ID, set-group-ID or capable program, or one that a
/// security module says this of (`AT_SECURE`).
pub(in super::super) fn has_more_rights() -> bool {
    // SAFETY: getauxval takes any number, and only reads what never changes.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// The effective user at that time (`AT_EUID`).
pub(in super::super) fn user_at_start() -> Option<u32> {
    // SAFETY: getauxval takes any number, and only reads what never changes.
    u32::try_from(unsafe { libc::getauxval(libc::AT_EUID) }).ok()
}
