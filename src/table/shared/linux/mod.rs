//! What only Linux has. `elsewhere.rs` is its twin for every other POSIX system.

mod auxv;

pub(super) use auxv::{has_more_rights, user_at_start};
