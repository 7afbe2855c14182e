//! Parts of fastpath that measurements and tests switch off, or force, one by one.
//!
//! For benches and tests only: no user needs them and nothing documents them. They count for what is installed
//! after they were set.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::index::LookAhead;

static FINDING: AtomicBool = AtomicBool::new(true);
static LOADING: AtomicBool = AtomicBool::new(true);
static RESTING: AtomicBool = AtomicBool::new(true);
static AHEAD: AtomicBool = AtomicBool::new(true);
static ALWAYS_AHEAD: AtomicBool = AtomicBool::new(false);
static SETTLING: AtomicBool = AtomicBool::new(true);

/// What is switched on.
pub struct Switches {
    /// The finder.
    pub finding: bool,
    /// The loader.
    pub loading: bool,
    /// The garbage collector's rest while it unmarshals.
    pub resting: bool,
    /// Look-ahead.
    pub ahead: LookAhead,
    /// Whether what has just changed stays out of the shared table.
    pub settling: bool,
}

impl Switches {
    /// As they are now.
    pub fn now() -> Self {
        let ahead = match (AHEAD.load(Relaxed), ALWAYS_AHEAD.load(Relaxed)) {
            (false, _) => LookAhead::Never,
            (true, false) => LookAhead::WhereSlow,
            (true, true) => LookAhead::Always,
        };
        let [finding, loading, resting, settling] =
            [&FINDING, &LOADING, &RESTING, &SETTLING].map(|s| s.load(Relaxed));
        Self { finding, loading, resting, ahead, settling }
    }
}

/// Switch a part on or off for the next `install`: finding, loading, collector (its rest), look-ahead,
/// look-ahead-always (on any filesystem), or settling (what has just changed stays out of the shared table).
#[pyfunction]
pub fn _switch(part: &str, on: bool) -> PyResult<()> {
    let switch = match part {
        "finding" => &FINDING,
        "loading" => &LOADING,
        "collector" => &RESTING,
        "look-ahead" => &AHEAD,
        "look-ahead-always" => &ALWAYS_AHEAD,
        "settling" => &SETTLING,
        other => return Err(PyValueError::new_err(format!("no part is called {other:?}"))),
    };
    switch.store(on, Relaxed);
    Ok(())
}
