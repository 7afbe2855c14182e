//! What only Linux has. `elsewhere.rs` is its twin for every other platform.

pub(super) mod cpu;
pub(super) mod naps;
pub(super) mod uring;
