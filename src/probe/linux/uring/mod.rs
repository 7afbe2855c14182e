//! io_uring: a ring that lives for one batch.
//!
//! For [`super::super::Prober`]. This file opens the ring and knows whether there is one; `batch` sends
//! and gathers, `lookup` and `reading` are what is sent. Whatever goes wrong with the ring means "no ring here", silently:
//! paths are then left unanswered, and the caller asks them by another engine. It keeps no ring,
//! and uses neither SQPOLL nor registered buffers or files.
//!
//! The kernel hands every statx, and whatever else would wait, to worker threads, which belong to the *thread* that submitted it
//! and outlive the ring: by some tens of milliseconds on Linux 6.18, by seconds on older kernels
//! (`WORKER_IDLE_TIMEOUT` in io_uring/io-wq.c). There `fork`, `unshare` and whoever counts this
//! process's threads would meet them. So a batch is submitted from a thread of its own: when that
//! ends, the kernel takes the workers with it.

mod batch;
mod lookup;
mod reading;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use io_uring::{IoUring, Probe, opcode};

use crate::fact::{Content, Fact};
use batch::{Batch, Errand};
use lookup::Lookup;
use reading::Reading;

/// Paths under way at once, at the most, and so requests, and so files that are open.
const DEPTH: usize = 256;

/// Kernel workers, at the most. The kernel's own limit is four for each processor, which on a
/// small machine leaves a slow filesystem idle.
const WORKERS: usize = 128;

/// Enough for the loop below and a signal frame.
const STACK: usize = 256 << 10;

/// What the kernel said when it was last asked for a ring: not asked yet, granted, or the errno
/// of a refusal that is not going to pass.
static VERDICT: AtomicI32 = AtomicI32::new(UNASKED);
const UNASKED: i32 = 0;
const GRANTED: i32 = -1;

/// Whether a ring with all that we ask of it can be had.
///
/// # Errors
/// Why not, in words for people.
pub(in super::super) fn availability() -> Result<(), String> {
    verdict().map_err(explain)
}

/// Answers as many paths as it can, with so many kernel workers at the most (0: as many as the kernel
/// itself allows; none: as many as are good for anything). The rest, perhaps all of them, stay `None`.
pub(in super::super) fn stat(paths: &[&Path], workers: Option<usize>, facts: &mut [Option<Fact>]) {
    run(Lookup::new, paths, workers.unwrap_or(WORKERS), facts);
}

/// Reads as many files as it can, of `limit` bytes at the most. The rest, perhaps all of them, stay
/// `None`.
pub(in super::super) fn read(
    paths: &[&Path],
    limit: u64,
    contents: &mut [Option<Result<Content, i32>>],
) {
    run(|| Reading::new(limit), paths, WORKERS, contents);
}

/// Runs an errand for every path, on a thread that ends with the batch.
fn run<E>(
    errand: impl Fn() -> E + Send,
    paths: &[&Path],
    workers: usize,
    answers: &mut [Option<E::Answer>],
) where
    E: Errand + Send,
    E::Answer: Send,
{
    if verdict().is_err() {
        return;
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("fastpath-ring".into()).stack_size(STACK);
        let work = || {
            let (outcome, broken) = match open(paths.len(), workers, E::HOLDS) {
                Ok(ring) => Batch::new(ring, errand, paths, answers).run(),
                Err(e) => (Err(e), None),
            };
            let _ = outcome.map_err(|e| remember(&e));
            broken
        };
        if let Ok(thread) = builder.spawn_scoped(scope, work) {
            // The scope itself would not wait until the thread, and the workers with it, are gone.
            if let Ok(Some(broken)) = thread.join() {
                broken.abandon();
            }
        }
    });
}

/// Asked of the kernel at the first call, and then kept.
fn verdict() -> Result<(), i32> {
    match VERDICT.load(Relaxed) {
        GRANTED => Ok(()),
        UNASKED => ask().map_err(|e| remember(&e)),
        errno => Err(errno),
    }
}

/// Opens a ring and looks at what it can do.
fn ask() -> io::Result<()> {
    let ring = IoUring::new(1)?;
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe)?;
    let needed =
        [opcode::Statx::CODE, opcode::OpenAt::CODE, opcode::Read::CODE, opcode::Close::CODE];
    let offered = needed.into_iter().all(|code| probe.is_supported(code));
    if !offered || !ring.params().is_feature_nodrop() {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    VERDICT.store(GRANTED, Relaxed);
    Ok(())
}

/// Keeps a refusal, unless its reason may pass. Returns the errno.
fn remember(error: &io::Error) -> i32 {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    let passing =
        [libc::ENOMEM, libc::EMFILE, libc::ENFILE, libc::EAGAIN, libc::EBUSY, libc::EINTR];
    if !passing.contains(&errno) {
        VERDICT.store(errno, Relaxed);
    }
    errno
}

/// For people: what the kernel said, and where such an answer usually comes from.
fn explain(errno: i32) -> String {
    let said = io::Error::from_raw_os_error(errno);
    let why = match errno {
        libc::EPERM => match std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled") {
            Ok(level) if level.trim() != "0" => {
                format!("kernel.io_uring_disabled is {}", level.trim())
            }
            _ => "a sandbox refuses it; container engines do by default".into(),
        },
        libc::ENOSYS => "this kernel has no io_uring, or a sandbox hides it".into(),
        libc::EOPNOTSUPP => "no statx through io_uring on this kernel (5.6 is the first)".into(),
        libc::ENOMEM => "no memory to be had for a ring (before Linux 5.12: ulimit -l)".into(),
        libc::EMFILE | libc::ENFILE => "no file descriptor left".into(),
        _ => "io_uring is refused".into(),
    };
    format!("{why}: {said}")
}

/// A ring for a batch of this size, with as many of the flags we like as the kernel takes, and
/// with its limit of workers set, unless that is 0.
///
/// What workers answer comes all at once when it is asked for (`DEFER_TASKRUN`), but where an answer may
/// be something to `hold`: that has to reach us even when the kernel can no longer be asked.
fn open(paths: usize, workers: usize, hold: bool) -> io::Result<IoUring> {
    let entries = paths.min(DEPTH).next_power_of_two() as u32;
    let mut builder = IoUring::builder();
    builder.setup_single_issuer();
    if !hold {
        builder.setup_defer_taskrun();
    }
    let ring = builder.build(entries).or_else(|e| retry_plain(e, entries))?;
    // Refused before 5.15: then the kernel's own limit holds, as it does with 0.
    let _ = ring.submitter().register_iowq_max_workers(&mut [paths.min(workers) as u32, 0]);
    Ok(ring)
}

/// EINVAL is how a kernel says that it does not know a flag: before 6.1 it knows none of them.
fn retry_plain(error: io::Error, entries: u32) -> io::Result<IoUring> {
    match error.raw_os_error() {
        Some(libc::EINVAL) => IoUring::new(entries),
        _ => Err(error),
    }
}
