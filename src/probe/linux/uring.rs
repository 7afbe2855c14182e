//! `IORING_OP_STATX` on a ring that lives for one batch.
//!
//! For [`super::super::Prober`]. Whatever goes wrong with the ring means "no ring here", silently:
//! paths are then left unanswered, and the caller asks them by another engine. It keeps no ring,
//! and uses neither SQPOLL nor registered buffers or files.
//!
//! The kernel hands every statx to worker threads, which belong to the *thread* that submitted it
//! and outlive the ring: by some tens of milliseconds on Linux 6.18, by seconds on older kernels
//! (`WORKER_IDLE_TIMEOUT` in io_uring/io-wq.c). There `fork`, `unshare` and whoever counts this
//! process's threads would meet them. So a batch is submitted from a thread of its own: when that
//! ends, the kernel takes the workers with it.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use io_uring::{EnterFlags, IoUring, Probe, cqueue, opcode, squeue, types};

use crate::fact::{Fact, Stat};

/// Requests in flight at once, at the most.
const DEPTH: usize = 256;

/// Kernel workers, at the most. The kernel's own limit is four for each processor, which on a
/// small machine leaves a slow filesystem idle.
const WORKERS: usize = 128;

/// How often in a row the kernel may be too busy to take requests before we give up on the ring.
const PATIENCE: u32 = 100;

/// Enough for the loop below and a signal frame.
const STACK: usize = 256 << 10;

/// What the kernel said when it was last asked for a ring: not asked yet, granted, or the errno
/// of a refusal that is not going to pass.
static VERDICT: AtomicI32 = AtomicI32::new(UNASKED);
const UNASKED: i32 = 0;
const GRANTED: i32 = -1;

/// Whether a ring with statx can be had.
///
/// # Errors
/// Why not, in words for people.
pub(in super::super) fn availability() -> Result<(), String> {
    verdict().map_err(explain)
}

/// Answers as many paths as it can. The rest, perhaps all of them, stay `None`.
pub(in super::super) fn stat(paths: &[&Path], facts: &mut [Option<Fact>]) {
    if verdict().is_err() {
        return;
    }
    std::thread::scope(|scope| {
        let builder = std::thread::Builder::new().name("fastpath-ring".into()).stack_size(STACK);
        let work = || {
            let outcome = open(paths.len()).and_then(|ring| Batch::new(ring, paths, facts).run());
            outcome.map_err(|e| remember(&e))
        };
        if let Ok(thread) = builder.spawn_scoped(scope, work) {
            // The scope itself would not wait until the thread, and the workers with it, are gone.
            let _ = thread.join();
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
    if !probe.is_supported(opcode::Statx::CODE) || !ring.params().is_feature_nodrop() {
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
/// with its limit of workers raised.
fn open(paths: usize) -> io::Result<IoUring> {
    let entries = paths.min(DEPTH).next_power_of_two() as u32;
    let ring = IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .build(entries)
        .or_else(|e| retry_plain(e, entries))?;
    // Refused before 5.15: then the kernel's own limit holds.
    let _ = ring.submitter().register_iowq_max_workers(&mut [paths.min(WORKERS) as u32, 0]);
    Ok(ring)
}

/// EINVAL is how a kernel says that it does not know a flag: before 6.1 it knows none of them.
fn retry_plain(error: io::Error, entries: u32) -> io::Result<IoUring> {
    match error.raw_os_error() {
        Some(libc::EINVAL) => IoUring::new(entries),
        _ => Err(error),
    }
}

/// What the kernel reads and writes for one request.
struct Slot {
    /// The path and its NUL.
    path: Vec<u8>,
    /// Boxed, so that it stays where it is; in a cell, as the kernel writes it behind our back.
    answer: Box<UnsafeCell<MaybeUninit<libc::statx>>>,
    /// The place of the path in the batch.
    index: usize,
}

/// One batch on its way through a ring.
struct Batch<'a> {
    ring: IoUring,
    paths: &'a [&'a Path],
    facts: &'a mut [Option<Fact>],
    /// The next path to be sent.
    next: usize,
    /// Freed by `run` alone: the kernel may write to them as long as anything is in flight.
    slots: ManuallyDrop<Vec<Slot>>,
    /// Slots with no request in the queue or in flight.
    free: Vec<usize>,
}

impl<'a> Batch<'a> {
    fn new(ring: IoUring, paths: &'a [&'a Path], facts: &'a mut [Option<Fact>]) -> Self {
        let slot = |_| Slot {
            path: Vec::new(),
            answer: Box::new(UnsafeCell::new(MaybeUninit::zeroed())),
            index: 0,
        };
        let count = ring.params().sq_entries() as usize;
        let slots = ManuallyDrop::new((0..count).map(slot).collect());
        Self { ring, paths, facts, next: 0, slots, free: (0..count).collect() }
    }

    /// Sends everything and gathers everything. Where that fails it still waits for what is in
    /// flight; and if even that cannot be had, the memory is never freed.
    fn run(mut self) -> io::Result<()> {
        let outcome = self.exchange();
        if outcome.is_ok() || self.drain().is_ok() {
            drop(std::mem::take(&mut *self.slots));
        }
        outcome
    }

    fn exchange(&mut self) -> io::Result<()> {
        let mut refused = 0;
        loop {
            self.fill();
            let wanted = self.wanted();
            if wanted == 0 {
                return Ok(());
            }
            match self.ring.submit_and_wait(wanted) {
                Ok(_) => refused = 0,
                Err(e) => match e.raw_os_error() {
                    Some(libc::EINTR) => {}
                    // Too much at once: make room, then go on.
                    Some(libc::EAGAIN | libc::EBUSY) if refused < PATIENCE => {
                        refused += 1;
                        let some = self.in_flight().min(1);
                        self.wait(some)?;
                    }
                    _ => return Err(e),
                },
            }
            self.reap();
        }
    }

    /// How many answers to wait for: all of them at the end of the batch, before that half of
    /// what is on its way, so that the workers never run dry.
    fn wanted(&self) -> usize {
        let busy = self.slots.len() - self.free.len();
        if self.next < self.paths.len() { busy.div_ceil(2) } else { busy }
    }

    /// Requests that the kernel has taken and not answered.
    fn in_flight(&mut self) -> usize {
        let queued = self.ring.submission().len();
        self.slots.len() - self.free.len() - queued
    }

    /// Queues requests while there are paths and free slots.
    fn fill(&mut self) {
        while self.next < self.paths.len() {
            let Some(slot) = self.free.pop() else { return };
            let path = self.paths[self.next].as_os_str().as_encoded_bytes();
            let index = self.next;
            self.next += 1;
            // A NUL cannot be sent. Nor can anything if there were no room in the queue, but it
            // has an entry for each slot. Either way the path is left to another engine.
            if path.contains(&0) || self.queue(slot, path, index).is_err() {
                self.free.push(slot);
            }
        }
    }

    fn queue(&mut self, slot: usize, path: &[u8], index: usize) -> Result<(), squeue::PushError> {
        let place = &mut self.slots[slot];
        place.path.clear();
        place.path.extend_from_slice(path);
        place.path.push(0);
        place.index = index;
        let cwd = types::Fd(libc::AT_FDCWD);
        let entry = opcode::Statx::new(cwd, place.path.as_ptr().cast(), place.answer.get().cast())
            .flags(libc::AT_STATX_SYNC_AS_STAT)
            .mask(libc::STATX_BASIC_STATS)
            .build()
            .user_data(slot as u64);
        // SAFETY: the path and the answer belong to this slot, which is not free and therefore
        // not touched again before its completion was reaped; both are on the heap and do not
        // move with the slot. `run` frees the slots only when nothing is in flight.
        unsafe { self.ring.submission().push(&entry) }
    }

    /// Takes every answer that is there.
    fn reap(&mut self) {
        let (slots, facts, free) = (&self.slots, &mut *self.facts, &mut self.free);
        for completion in self.ring.completion() {
            let slot = completion.user_data() as usize;
            facts[slots[slot].index] = answer(&completion, &slots[slot]);
            free.push(slot);
        }
    }

    /// Waits until nothing is in flight. What was queued and never taken is dropped with the ring.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            self.reap();
            match self.in_flight() {
                0 => return Ok(()),
                some => self.wait(some)?,
            }
        }
    }

    /// Waits for so many answers, sending nothing.
    fn wait(&self, answers: usize) -> io::Result<()> {
        let flags = EnterFlags::GETEVENTS.bits();
        // SAFETY: no argument is passed, and nothing is submitted.
        let outcome = unsafe {
            self.ring.submitter().enter::<libc::sigset_t>(0, answers as u32, flags, None)
        };
        match outcome {
            Err(e) if e.raw_os_error() != Some(libc::EINTR) => Err(e),
            _ => Ok(()),
        }
    }
}

/// The fact in a completion; `None` where the ring's word is not that of the filesystem, and a
/// plain call has to tell (cancelled, out of memory, not supported, ...).
fn answer(completion: &cqueue::Entry, slot: &Slot) -> Option<Fact> {
    match -completion.result() {
        0 => {
            // SAFETY: the request is complete, so the kernel writes no more, and it has filled
            // the structure; it began as zeroes, which are valid in each of its integer fields.
            let statx = unsafe { (*slot.answer.get()).assume_init() };
            Some(Fact::Present(convert(&statx)))
        }
        libc::ENOENT | libc::ENOTDIR => Some(Fact::Absent),
        errno @ (libc::EACCES | libc::ELOOP | libc::ENAMETOOLONG) => Some(Fact::Failed(errno)),
        _ => None,
    }
}

/// Field by field, the device as `os.stat` shows it.
fn convert(statx: &libc::statx) -> Stat {
    let ns =
        |t: &libc::statx_timestamp| i128::from(t.tv_sec) * 1_000_000_000 + i128::from(t.tv_nsec);
    Stat {
        mode: u32::from(statx.stx_mode),
        ino: statx.stx_ino,
        dev: libc::makedev(statx.stx_dev_major, statx.stx_dev_minor),
        nlink: u64::from(statx.stx_nlink),
        uid: statx.stx_uid,
        gid: statx.stx_gid,
        size: statx.stx_size,
        atime_ns: ns(&statx.stx_atime),
        mtime_ns: ns(&statx.stx_mtime),
        ctime_ns: ns(&statx.stx_ctime),
    }
}
