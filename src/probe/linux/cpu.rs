//! The processor time of this process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What all threads of this process have used so far, those that have ended and the kernel's workers for
/// its rings among them (`CLOCK_PROCESS_CPUTIME_ID` of clock_gettime(2)).
pub(in super::super) fn used() -> Option<Duration> {
    clock_gettime(ClockId::ProcessCPUTime).try_into().ok()
}
