//! The operating system's side of the shared table: which file is believed, that nothing done to one hurts whoever reads it, and that
//! whatever becomes of a writer, the table is whole.
//!
//! `bed` makes directories, and tables that show whether they are complete; `alone` runs what takes something
//! from its whole process, or kills it, in one of its own. The other files hold the cases.
#![cfg(unix)]

mod bed;
mod places;
mod publishing;
mod reading;

#[cfg(target_os = "linux")]
mod alone;
#[cfg(target_os = "linux")]
mod deaths;
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
mod without;
