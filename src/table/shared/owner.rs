//! In whose hands a file or a directory is, and whether these are the right ones.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use super::{Refusal, Trust, system};

/// Root's number.
const ROOT: u32 = 0;
/// Write permission of the group and of everybody. Whom an access control list lets write is in the group's (acl(5)).
const OTHERS_WRITE: u32 = 0o022;

/// Whether nobody but those trusted may have written to what this is the stat of: it is theirs, and theirs alone to write.
///
/// The sticky bit is no excuse for a directory: nobody can take our file away from `/tmp`, but anybody can put his there
/// before us.
///
/// # Errors
/// [`Refusal::Owner`] or [`Refusal::Writable`].
pub(super) fn check(meta: &Metadata, trust: Trust) -> Result<(), Refusal> {
    let owner = meta.uid();
    if !(trust == Trust::Baked && owner == ROOT || is_ours(owner)) {
        return Err(Refusal::Owner(owner));
    }
    if meta.mode() & OTHERS_WRITE != 0 {
        return Err(Refusal::Writable(meta.mode() & 0o7777));
    }
    Ok(())
}

/// Whether a directory with this stat may get a new one of ours in it: it is ours or root's.
///
/// Else root, with `HOME` still that of whoever called sudo, would leave there what its owner cannot remove. Others may be able
/// to write to it, as to `/tmp`: the new one is ours all the same, and if somebody is quicker, it is not, and refused.
///
/// # Errors
/// [`Refusal::Owner`].
pub(super) fn check_ancestor(meta: &Metadata) -> Result<(), Refusal> {
    let owner = meta.uid();
    if owner == ROOT || is_ours(owner) { Ok(()) } else { Err(Refusal::Owner(owner)) }
}

/// As which user the process acts now.
#[must_use]
pub fn acting_user() -> Option<u32> {
    Some(rustix::process::geteuid().as_raw())
}

/// Whether the process acts as this user now: what he may do with his own, it may.
#[must_use]
pub fn acts_as(user: u32) -> bool {
    acting_user() == Some(user)
}

/// Whether this is the user whose rights the process has, or had when it was executed.
///
/// The latter is known without a call, and as good: a process that has more rights now than it had then had them
/// in reserve all the time (or is refused a place, by `AT_SECURE`), and one that has fewer may trust who gave them up.
fn is_ours(owner: u32) -> bool {
    system::user_at_start() == Some(owner) || acts_as(owner)
}
