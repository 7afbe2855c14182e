//! Asking the filesystem: a batch of paths in, a fact each out, in order.
//!
//! One contract, three engines, and every engine gives the same answers: `serial` (the portable
//! one, and the oracle for the others), `crew` (threads) and `uring`. [`Prober`] holds the choice
//! between them. What only one operating system has is behind the seam below, and nowhere else.
//!
//! It keeps no thread, no descriptor and no path between two batches, so there is nothing to
//! inherit over a fork; what it keeps is numbers (the tally, and which places were slow).

mod crew;
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

use crate::fact::{Content, Fact};
pub use list::Listing;
use memory::Memory;

/// Whether this platform's filesystems tell `a` from `A`. Where they do not, only a listing shows how a
/// name is spelled, and a probe decides nothing.
pub const CASE_SENSITIVE: bool = !cfg!(any(windows, target_vendor = "apple"));

/// A way of asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One plain system call after the other, on the calling thread.
    Serial,
    /// Plain system calls on a bounded set of threads that end with the batch.
    Threads,
    /// `IORING_OP_STATX` on a ring that lives for the batch.
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
}

/// The tally while it is being counted.
#[derive(Debug, Default)]
struct Counters {
    batches: AtomicU64,
    serial: AtomicU64,
    threads: AtomicU64,
    uring: AtomicU64,
    listings: AtomicU64,
}

/// Asks batches, by the engine that suits. One may be shared by all threads of a process.
#[derive(Debug, Default)]
pub struct Prober {
    backend: Backend,
    memory: Memory,
    counters: Counters,
}

impl Prober {
    /// A prober that follows the user's choice of engine. Starts nothing and opens nothing.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self { backend, ..Self::default() }
    }

    /// What was asked so far, by this prober.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let Counters { batches, serial, threads, uring, listings } = &self.counters;
        Tally {
            batches: batches.load(Relaxed),
            serial: serial.load(Relaxed),
            threads: threads.load(Relaxed),
            uring: uring.load(Relaxed),
            listings: listings.load(Relaxed),
        }
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
            return vec![serial::stat_one(path)];
        }
        match self.backend {
            Backend::Auto => self.stat_by_crew(paths, crew::Opening::Alone),
            Backend::Only(Engine::Threads) => self.stat_by_crew(paths, crew::Opening::Many),
            Backend::Only(Engine::Uring) => self.stat_by_ring(paths),
            Backend::Only(Engine::Serial) => {
                self.counters.serial.fetch_add(paths.len() as u64, Relaxed);
                serial::stat(paths)
            }
        }
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
        let job = crew::Job { ask: one, place: memory::itself };
        crew::run(&job, dirs, &self.memory, opening).answers
    }

    /// Reads every file, in order; at most `limit` bytes of each; or the errno.
    #[must_use]
    pub fn read(&self, paths: &[&Path], limit: u64) -> Vec<Result<Content, i32>> {
        use std::io::Read as _;
        let one = |path: &Path| -> std::io::Result<Content> {
            let mut file = std::fs::File::open(path)?;
            let stat = meta::stat(&file.metadata()?);
            if stat.size > limit {
                return Err(std::io::Error::from_raw_os_error(27));
            }
            let mut bytes = vec![0; stat.size as usize].into_boxed_slice();
            file.read_exact(&mut bytes)?;
            Ok(Content { stat, bytes })
        };
        paths.iter().map(|p| one(p).map_err(|e| e.raw_os_error().unwrap_or(5))).collect()
    }

    fn stat_by_crew(&self, paths: &[&Path], opening: crew::Opening) -> Vec<Fact> {
        let job = crew::Job { ask: serial::stat_one, place: memory::parent };
        let outcome = crew::run(&job, paths, &self.memory, opening);
        let shared = paths.len() - outcome.alone;
        self.counters.serial.fetch_add(outcome.alone as u64, Relaxed);
        self.counters.threads.fetch_add(shared as u64, Relaxed);
        outcome.answers
    }

    /// What the ring leaves unanswered (all of it, where there is none) is asked as `auto` would.
    fn stat_by_ring(&self, paths: &[&Path]) -> Vec<Fact> {
        let mut facts = vec![None; paths.len()];
        system::uring::stat(paths, &mut facts);
        let left: Vec<&Path> =
            paths.iter().zip(&facts).filter(|(_, f)| f.is_none()).map(|(p, _)| *p).collect();
        self.counters.uring.fetch_add((paths.len() - left.len()) as u64, Relaxed);
        let mut rest = self.stat_by_crew(&left, crew::Opening::Alone).into_iter();
        let mut next = || rest.next().unwrap_or(Fact::Failed(0));
        facts.into_iter().map(|fact| fact.unwrap_or_else(&mut next)).collect()
    }
}
