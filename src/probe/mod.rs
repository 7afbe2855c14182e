//! Asking the filesystem: a batch of paths in, a fact (or a listing, or a content) each out, in order.
//!
//! One contract, three engines, and every engine gives the same answers: `serial` (the portable
//! one, and the oracle for the others), `crew` (threads) and `uring`. [`Prober`] holds the choice
//! between them. What only one operating system has is behind the seam below, and nowhere else.
//!
//! It keeps no thread, no descriptor and no path between two batches, so there is nothing to
//! inherit over a fork; what it keeps is numbers (the tally, and which places were slow).

mod content;
mod crew;
mod fixed;
mod list;
mod memory;
mod pace;
mod serial;

#[cfg(unix)]
#[path = "meta_unix.rs"]
mod meta;
#[cfg(not(unix))]
#[path = "meta_other.rs"]
mod meta;

#[cfg(all(target_os = "linux", not(fastpath_portable)))]
#[path = "linux/mod.rs"]
mod system;
#[cfg(not(all(target_os = "linux", not(fastpath_portable))))]
#[path = "elsewhere.rs"]
mod system;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::fact::{Content, Fact};
pub use list::Listing;
use memory::Memory;
use pace::Pace;

/// Whether this platform's filesystems tell `a` from `A`. Where they do not, only a listing shows how a
/// name is spelled, and a probe decides nothing.
pub const CASE_SENSITIVE: bool = !cfg!(any(windows, target_vendor = "apple"));

/// No errno: what stands where no answer is yet.
const UNASKED: i32 = 0;

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One plain system call after the other, on the calling thread.
    Serial,
    /// Plain system calls on a bounded set of threads that end with the batch.
    Threads,
    /// The same calls as requests to io_uring, on a ring that lives for the batch.
    Uring,
}

impl Engine {
    /// Every engine, the portable one first.
    pub const ALL: [Engine; 3] = [Engine::Serial, Engine::Threads, Engine::Uring];

    /// What people call it: `serial`, `threads` or `uring`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Engine::Serial => "serial",
            Engine::Threads => "threads",
            Engine::Uring => "uring",
        }
    }
}

/// Which engine the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Backend {
    /// Whatever the measured latency asks for, call by call.
    #[default]
    Auto,
    /// This one; where it is not usable here, as `Auto`.
    Only(Engine),
}

impl Backend {
    /// The backend of this name: `auto`, or the name of an engine.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        if name == "auto" {
            return Some(Backend::Auto);
        }
        Engine::ALL.into_iter().find(|e| e.name() == name).map(Backend::Only)
    }

    /// What people call it; [`Backend::from_name`] takes it back.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Backend::Auto => "auto",
            Backend::Only(engine) => engine.name(),
        }
    }
}

/// Whether an engine is usable here.
///
/// Asked of the kernel once and kept, except where the reason may pass (no memory, no descriptor
/// left), which is asked again.
///
/// # Errors
/// Why not, in words for people.
pub fn availability(engine: Engine) -> Result<(), String> {
    match engine {
        Engine::Serial | Engine::Threads => Ok(()),
        Engine::Uring => system::uring::availability(),
    }
}

/// Every engine's name, with the reason if it is not usable here.
#[must_use]
pub fn backends() -> Vec<(&'static str, Option<String>)> {
    Engine::ALL.into_iter().map(|e| (e.name(), availability(e).err())).collect()
}

/// The processor time of all threads of this process so far, the kernel's workers for its rings among them;
/// none where the system does not tell.
#[must_use]
pub fn cpu_used() -> Option<Duration> {
    system::cpu::used()
}

/// How many questions went out, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Batches asked; an empty one asks nothing.
    pub batches: u64,
    /// Paths asked by plain calls on the calling thread alone.
    pub serial: u64,
    /// Paths asked by threads, the calling one among them.
    pub threads: u64,
    /// Paths asked through a ring.
    pub uring: u64,
    /// Directories listed.
    pub listings: u64,
    /// Files read, by whatever engine.
    pub reads: u64,
}

/// The tally while it is being counted.
#[derive(Debug, Default)]
struct Counters {
    batches: AtomicU64,
    serial: AtomicU64,
    threads: AtomicU64,
    uring: AtomicU64,
    listings: AtomicU64,
    reads: AtomicU64,
}

/// Asks batches, by the engine that suits. One may be shared by all threads of a process.
#[derive(Debug, Default)]
pub struct Prober {
    backend: Backend,
    width: Option<usize>,
    memory: Memory,
    counters: Counters,
}

impl Prober {
    /// A prober that follows the user's choice of engine. Starts nothing and opens nothing.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self { backend, ..Self::default() }
    }

    /// A prober whose every batch of stats has this width, whatever the latency: for measurements. With `threads`, so many
    /// threads at once, the calling one among them; with `uring`, so many kernel workers at the
    /// most, or, for 0, as many as the kernel itself allows. The others have no width.
    #[must_use]
    pub fn with_width(backend: Backend, width: usize) -> Self {
        Self { backend, width: Some(width), ..Self::default() }
    }

    /// What was asked so far, by this prober.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let Counters { batches, serial, threads, uring, listings, reads } = &self.counters;
        Tally {
            batches: batches.load(Relaxed),
            serial: serial.load(Relaxed),
            threads: threads.load(Relaxed),
            uring: uring.load(Relaxed),
            listings: listings.load(Relaxed),
            reads: reads.load(Relaxed),
        }
    }

    /// How long the calls of batches have slept so far: those under way at the same time add up, and a call that was
    /// merely preempted counts for nothing, nor does a batch of one before anything was slow. The engine `serial` does not
    /// measure.
    #[must_use]
    pub fn slept(&self) -> Duration {
        Duration::from_nanos(self.memory.slept_ns())
    }

    /// `stat(2)` of every path, in order: one fact each, whatever becomes of an engine meanwhile.
    ///
    /// A batch of one is a plain call under every backend.
    #[must_use]
    pub fn stat(&self, paths: &[&Path]) -> Vec<Fact> {
        if paths.is_empty() {
            return Vec::new();
        }
        self.counters.batches.fetch_add(1, Relaxed);
        if let [path] = paths {
            self.counters.serial.fetch_add(1, Relaxed);
            return vec![self.timed(path, serial::stat_one)];
        }
        match self.backend {
            Backend::Auto => self.stat_by_crew(paths, crew::Opening::Alone),
            Backend::Only(Engine::Threads) => match self.width {
                Some(width) => {
                    self.counters.threads.fetch_add(paths.len() as u64, Relaxed);
                    fixed::stat(paths, width)
                }
                None => self.stat_by_crew(paths, crew::Opening::Many),
            },
            Backend::Only(Engine::Uring) => self.stat_by_ring(paths),
            Backend::Only(Engine::Serial) => {
                self.counters.serial.fetch_add(paths.len() as u64, Relaxed);
                serial::stat(paths)
            }
        }
    }

    /// Asks about every path, for the kernel to know the answers: whether each was waited for, in order, so that the
    /// kernel has just learnt it. By threads also where a ring is wanted, which does not tell; the engine `serial` does
    /// not measure, and so takes all for waited for.
    #[must_use]
    pub fn wait_for(&self, paths: &[&Path]) -> Vec<bool> {
        let opening = match self.backend {
            Backend::Only(Engine::Threads) => crew::Opening::Many,
            Backend::Auto | Backend::Only(Engine::Uring) => crew::Opening::Alone,
            Backend::Only(Engine::Serial) => {
                let _ = self.stat(paths);
                return vec![true; paths.len()];
            }
        };
        self.counters.batches.fetch_add(1, Relaxed);
        self.counters.threads.fetch_add(paths.len() as u64, Relaxed);
        let ask = |path: &Path, slept: &mut bool| {
            let mut pace = Pace::start();
            let _ = serial::stat_one(path);
            *slept = pace.lap() > 0;
        };
        let job = crew::Job { ask, blank: || false, place: memory::parent };
        crew::run(&job, paths, &self.memory, opening).answers
    }

    /// The names in every directory, in order, `limit` names at the most in each; or the errno.
    ///
    /// There is no way to list through a ring: only `serial` and `threads` mean anything here.
    #[must_use]
    pub fn list(&self, dirs: &[&Path], limit: usize) -> Vec<Result<Listing, i32>> {
        if dirs.is_empty() {
            return Vec::new();
        }
        self.counters.batches.fetch_add(1, Relaxed);
        self.counters.listings.fetch_add(dirs.len() as u64, Relaxed);
        let one = |dir: &Path| list::list(dir, limit);
        let opening = match self.backend {
            Backend::Only(Engine::Serial) => return dirs.iter().map(|dir| one(dir)).collect(),
            Backend::Only(Engine::Threads) => crew::Opening::Many,
            Backend::Auto | Backend::Only(Engine::Uring) => crew::Opening::Alone,
        };
        let job = crew::Job {
            ask: |dir: &Path, slot: &mut _| *slot = one(dir),
            blank: || Err(UNASKED),
            place: memory::itself,
        };
        crew::run(&job, dirs, &self.memory, opening).answers
    }

    /// The whole content of every file, in order, each with the stat of the very file that was read; or
    /// the errno.
    ///
    /// A file of more than `limit` bytes is not read: EFBIG (27). Neither is anything but a regular
    /// file: EISDIR (21) for a directory, else EINVAL (22) or what open(2) said; an embedded NUL is
    /// EINVAL too. None of them blocks. EAGAIN (11) means that the number of bytes read was not that
    /// of the stat: the file changed meanwhile, or never says how long it is, as in /proc. A change
    /// that left the size as it was is younger than the stat, so that the next stat shows it.
    ///
    /// At the most 256 files are open at once, each close-on-exec, and none when this returns.
    /// A batch of one is a plain call under every backend.
    #[must_use]
    pub fn read(&self, paths: &[&Path], limit: u64) -> Vec<Result<Content, i32>> {
        if paths.is_empty() {
            return Vec::new();
        }
        self.counters.batches.fetch_add(1, Relaxed);
        self.counters.reads.fetch_add(paths.len() as u64, Relaxed);
        let one = |path: &Path| content::read(path, limit);
        let crew = |paths: &[&Path], opening| {
            let job = crew::Job {
                ask: |path: &Path, slot: &mut _| *slot = one(path),
                blank: || Err(UNASKED),
                place: memory::parent,
            };
            crew::run(&job, paths, &self.memory, opening).answers
        };
        let mut answers = match self.backend {
            _ if paths.len() == 1 => vec![self.timed(paths[0], one)],
            Backend::Only(Engine::Serial) => paths.iter().map(|path| one(path)).collect(),
            Backend::Only(Engine::Threads) => crew(paths, crew::Opening::Many),
            Backend::Auto => crew(paths, crew::Opening::Alone),
            Backend::Only(Engine::Uring) => {
                let mut contents: Vec<_> = paths.iter().map(|_| None).collect();
                system::uring::read(paths, limit, &mut contents);
                complete(paths, contents, |left| crew(left, crew::Opening::Alone))
            }
        };
        // Where descriptors are scarce, company itself uses them up. One at a time may still do.
        for (path, answer) in paths.iter().zip(&mut answers) {
            if answer.as_ref().is_err_and(|errno| content::wants_descriptors(*errno)) {
                *answer = one(path);
            }
        }
        answers
    }

    /// One plain call, and how long it slept, once anything was slow. That it was quick says nothing of its place: the kernel
    /// may have known that one path.
    fn timed<T>(&self, path: &Path, ask: impl Fn(&Path) -> T) -> T {
        if self.backend == Backend::Only(Engine::Serial) || !self.memory.has_met_slow() {
            return ask(path);
        }
        let mut pace = Pace::start();
        let answer = ask(path);
        let slept = pace.lap();
        if slept > 0 {
            self.memory.note(|| memory::parent(path), slept);
        }
        answer
    }

    fn stat_by_crew(&self, paths: &[&Path], opening: crew::Opening) -> Vec<Fact> {
        let job =
            crew::Job { ask: serial::tell, blank: || Fact::Failed(UNASKED), place: memory::parent };
        let outcome = crew::run(&job, paths, &self.memory, opening);
        let shared = paths.len() - outcome.alone;
        self.counters.serial.fetch_add(outcome.alone as u64, Relaxed);
        self.counters.threads.fetch_add(shared as u64, Relaxed);
        outcome.answers
    }

    /// What the ring leaves unanswered is asked as `auto` would.
    fn stat_by_ring(&self, paths: &[&Path]) -> Vec<Fact> {
        let mut facts = vec![None; paths.len()];
        system::uring::stat(paths, self.width, &mut facts);
        let answered = facts.iter().flatten().count();
        self.counters.uring.fetch_add(answered as u64, Relaxed);
        complete(paths, facts, |left| self.stat_by_crew(left, crew::Opening::Alone))
    }
}

/// What the ring answered, and where it did not (all of it, where there is none) what `ask` says.
fn complete<T>(
    paths: &[&Path],
    answers: Vec<Option<T>>,
    ask: impl FnOnce(&[&Path]) -> Vec<T>,
) -> Vec<T> {
    let left: Vec<&Path> =
        paths.iter().zip(&answers).filter(|(_, a)| a.is_none()).map(|(p, _)| *p).collect();
    let mut rest = if left.is_empty() { Vec::new() } else { ask(&left) }.into_iter();
    let mut next = || rest.next().expect("one answer for each path that was left");
    answers.into_iter().map(|answer| answer.unwrap_or_else(&mut next)).collect()
}
