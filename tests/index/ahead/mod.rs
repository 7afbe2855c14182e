//! Look-ahead without Python: what it fetches, what that costs, and that nobody can tell by the answers.
//!
//! `tree` makes modules whose bytecode really imports, and looks ahead in them. The other files hold the cases. All
//! of it is on a fast filesystem, where look-ahead is made to work by [`LookAhead::Always`].
//!
//! [`LookAhead::Always`]: fastpath::index::LookAhead::Always

mod tree;

mod answers;
mod bounds;
mod company;
mod loading;
mod places;
mod steps;
