//! How often the calling thread gave its processor up of its own accord.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;

/// Voluntary context switches of this thread so far (`ru_nvcsw` of getrusage(2)).
pub(in super::super) fn count() -> Option<isize> {
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole rusage of our own, which is all that the call writes.
    let answer = unsafe { libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) };
    // SAFETY: all of it was zeroed, and zeroes are valid in each of its integer fields.
    (answer == 0).then(|| unsafe { usage.assume_init() }.ru_nvcsw as isize)
}
