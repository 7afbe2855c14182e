//! Python imports that ask the filesystem once.
//!
//! The rooms, in reading order; each uses only rooms above it (see ARCHITECTURE.md):

pub mod fact;

pub mod bytecode;
pub mod candidates;
pub mod probe;
pub mod table;

pub mod index;

#[cfg(feature = "python")]
mod finder;

#[cfg(feature = "python")]
mod face;
