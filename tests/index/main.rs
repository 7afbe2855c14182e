//! The index without Python, against an oracle that asks the filesystem anew every time.
//!
//! `oracle` says what stock importlib would answer with nothing cached; `bed` makes directories
//! and wraps an index. The other files hold the cases, by what could go wrong. Nothing here
//! measures time: tests count, or wait until what must happen has happened.
#![cfg(unix)]

mod bed;
mod oracle;

mod ahead;
mod counts;
mod folded;
mod freshness;
mod histories;
mod large;
mod sealed;
mod semantics;
mod threads;
