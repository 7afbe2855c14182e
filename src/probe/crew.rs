//! A batch done by the calling thread, with as much help as its waiting pays for.
//!
//! For [`super::Prober`]. This is both the `threads` engine and `auto`: they differ in how many
//! helpers are there at the beginning.
//!
//! The rule is that of the ski rental: nobody knows whether the next call will be slow, so spend
//! on helpers what was already lost waiting, and no more. Where calls are quick (a hot local
//! filesystem) no helper is ever hired and the batch is a plain loop; where they take a
//! millisecond, two of them pay for as many helpers as are good for anything, and after that the
//! place is remembered. Helpers that find the calls quick again go home, unless the user asked for
//! threads.
//!
//! Helpers are threads of the batch: bounded in number, and joined before it returns. Where none
//! can be started, those who are there do the work.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crossbeam::deque::{Injector, Steal};

use super::memory::Memory;
use super::pace::{IDLE, Pace};

/// Helpers at work at once, at the most. With more of them a filesystem of 1 ms is no faster
/// (experiments/0101-adaptive-engine).
const MOST: usize = 128;

/// What a helper costs, in nanoseconds: 12 µs to start it, and the rest to meet it everywhere.
const HIRE_NS: u64 = 40_000;

/// Waiting that no disk causes, in nanoseconds, unless it is busy: a network or a user-space
/// filesystem, where the next call will wait as well.
pub(super) const FAR_NS: u64 = 400_000;

/// Helpers that are paid for in advance where the user asked for threads.
const ADVANCE: u64 = 16;

/// Enough for a `stat` and a signal frame; only what is touched becomes memory.
const STACK: usize = 256 << 10;

/// What is to be done with each path.
pub(super) struct Job<A, T> {
    /// The question, and where the answer is to stay.
    pub(super) ask: A,
    /// What stands in an answer's place until there is one.
    pub(super) blank: fn() -> T,
    /// The place whose slowness a path shares.
    pub(super) place: fn(&Path) -> &[u8],
}

/// How a batch begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// With nobody but the caller, unless the place is known to be slow.
    Alone,
    /// With helpers at once.
    Many,
}

/// What became of a batch.
pub(super) struct Outcome<T> {
    /// One answer per path, in order.
    pub(super) answers: Vec<T>,
    /// How many of them were given before there was any help.
    pub(super) alone: usize,
}

/// Asks every path.
pub(super) fn run<T, A>(
    job: &Job<A, T>,
    paths: &[&Path],
    memory: &Memory,
    opening: Opening,
) -> Outcome<T>
where
    T: Send,
    A: Fn(&Path, &mut T) + Sync,
{
    let work = |paths: &[&Path], slots: &mut [T], pace: &mut Pace| {
        for (path, slot) in paths.iter().zip(slots) {
            (job.ask)(path, slot);
        }
        step(job, paths, memory, pace)
    };
    let (mut purse, patience) = match opening {
        Opening::Many => (Purse::new(ADVANCE * HIRE_NS), u32::MAX),
        Opening::Alone => {
            (Purse::new(memory.expect(paths.iter().map(|path| (job.place)(path)))), IDLE)
        }
    };
    let mut answers = Vec::with_capacity(paths.len());
    answers.resize_with(paths.len(), job.blank);
    let alone =
        if purse.helpers() == 0 { alone(&work, paths, &mut answers, &mut purse) } else { 0 };
    let (rest, slots) = (&paths[alone..], &mut answers[alone..]);
    if !rest.is_empty() && !Crew::new(&work, patience, rest, slots).finish(purse) {
        // Nobody knows how far a helper came that panicked.
        rest.iter().zip(&mut answers[alone..]).for_each(|(path, slot)| (job.ask)(path, slot));
    }
    Outcome { answers, alone }
}

/// The calls for these paths have ended: how long the last lap waited, which is remembered.
#[inline]
fn step<A, T>(job: &Job<A, T>, paths: &[&Path], memory: &Memory, pace: &mut Pace) -> u64 {
    let Some(lap) = pace.step(paths.len()) else { return 0 };
    // Whose fault a slow lap of several calls was is not known; the next call, looked at alone, tells.
    if lap.waited == 0 || lap.calls == 1 {
        paths.iter().for_each(|path| memory.note(|| (job.place)(path), lap.waited));
    }
    lap.waited
}

/// Asks path after path, until there is money for a helper. How many were asked.
fn alone<T>(
    work: &impl Fn(&[&Path], &mut [T], &mut Pace) -> u64,
    paths: &[&Path],
    slots: &mut [T],
    purse: &mut Purse,
) -> usize {
    let mut pace = Pace::start();
    let mut asked = 0;
    while purse.helpers() == 0 && asked < paths.len() {
        let now = asked..paths.len().min(asked + pace.stride());
        asked = now.end;
        purse.earn(work(&paths[now.clone()], &mut slots[now], &mut pace), 0);
    }
    asked
}

/// What there is to spend on helpers.
struct Purse {
    ns: u64,
    /// Whether the last call was slow.
    slow: bool,
}

impl Purse {
    fn new(ns: u64) -> Self {
        Self { ns, slow: false }
    }

    /// A call waited so long, with so many helpers at work. It earns the part of its waiting that
    /// company would save: all of it where calls are far one after the other; less where this may
    /// have been the one call that reads a directory, or the cold beginning of a path, for all
    /// that follow; and on a disk only a share, as helpers there wait for each other too.
    fn earn(&mut self, waited_ns: u64, helpers: usize) {
        let share = match (self.slow, waited_ns >= FAR_NS) {
            (true, true) => 1,
            (true, false) => helpers as u64 + 1,
            (false, true) => 3,
            (false, false) => 8,
        };
        self.ns += waited_ns / share;
        self.slow = waited_ns > 0;
    }

    /// How many helpers that pays for.
    fn helpers(&self) -> usize {
        (self.ns / HIRE_NS) as usize
    }

    /// Spends it all. Nothing is saved up: what could not be spent when calls were slow would be
    /// spent when it is not needed.
    fn empty(&mut self) -> usize {
        let helpers = self.helpers();
        self.ns = 0;
        helpers
    }
}

/// Neighbouring paths, and where their answers go.
type Chunk<'a, T> = (&'a [&'a Path], &'a mut [T]);

/// The parts of a chunk between two looks at the clock.
fn strides<T>((paths, slots): Chunk<'_, T>, most: usize) -> impl Iterator<Item = Chunk<'_, T>> {
    paths.chunks(most).zip(slots.chunks_mut(most))
}

/// The rest of a batch, shared out.
struct Crew<'a, T, W> {
    work: &'a W,
    /// After so many quick laps in a row a helper goes home.
    patience: u32,
    chunks: Injector<Chunk<'a, T>>,
    helpers: AtomicUsize,
}

impl<'a, T, W> Crew<'a, T, W>
where
    T: Send,
    W: Fn(&[&Path], &mut [T], &mut Pace) -> u64 + Sync,
{
    /// The first chunks are larger than the last ones, so that everybody ends at about the same
    /// time although few chunks have to be handed out.
    fn new(work: &'a W, patience: u32, mut paths: &'a [&'a Path], mut slots: &'a mut [T]) -> Self {
        let chunks = Injector::new();
        while !paths.is_empty() {
            let size = (paths.len() / (2 * MOST)).max(1);
            let (some, others) = slots.split_at_mut(size);
            chunks.push((&paths[..size], some));
            (paths, slots) = (&paths[size..], others);
        }
        Self { work, patience, chunks, helpers: AtomicUsize::new(0) }
    }

    /// Works until nothing is left, hiring as the purse allows. False if a helper panicked.
    fn finish(self, mut purse: Purse) -> bool {
        std::thread::scope(|scope| {
            let mut hired = Vec::new();
            self.hire(scope, &mut hired, &mut purse);
            let mut pace = Pace::start();
            while let Some(chunk) = self.take() {
                for (paths, slots) in strides(chunk, pace.stride()) {
                    let waited = (self.work)(paths, slots, &mut pace);
                    purse.earn(waited, self.helpers.load(Relaxed));
                    if purse.helpers() > 0 {
                        self.hire(scope, &mut hired, &mut purse);
                        pace = Pace::start();
                    }
                }
            }
            // The scope itself would wait for the helpers' last line only; a join waits until
            // the thread is gone.
            let ends = hired.into_iter().map(ScopedJoinHandle::join);
            ends.filter(Result::is_err).count() == 0
        })
    }

    /// As many helpers as there is money and work for. One that cannot be started is no matter.
    fn hire<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        hired: &mut Vec<ScopedJoinHandle<'scope, ()>>,
        purse: &mut Purse,
    ) {
        let free = MOST.saturating_sub(self.helpers.load(Relaxed));
        for _ in 0..purse.empty().min(free).min(self.chunks.len()) {
            // The first ones may be through already.
            if self.chunks.is_empty() {
                break;
            }
            let builder = Builder::new().name("fastpath-probe".into()).stack_size(STACK);
            self.helpers.fetch_add(1, Relaxed);
            match builder.spawn_scoped(scope, || self.help()) {
                Ok(helper) => hired.push(helper),
                Err(_) => {
                    self.helpers.fetch_sub(1, Relaxed);
                    break;
                }
            }
        }
    }

    fn help(&self) {
        let mut pace = Pace::start();
        while pace.quick() < self.patience {
            let Some(chunk) = self.take() else { break };
            for (paths, slots) in strides(chunk, pace.stride()) {
                (self.work)(paths, slots, &mut pace);
            }
        }
        self.helpers.fetch_sub(1, Relaxed);
    }

    fn take(&self) -> Option<Chunk<'a, T>> {
        loop {
            match self.chunks.steal() {
                Steal::Success(chunk) => return Some(chunk),
                Steal::Empty => return None,
                Steal::Retry => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::thread::{ThreadId, current, sleep};
    use std::time::Duration;

    use super::super::memory::parent;
    use super::*;

    /// Asks every path with `ask`; the answers, and how many threads gave them.
    fn threads(
        count: usize,
        memory: &Memory,
        opening: Opening,
        ask: fn(&Path),
    ) -> (Outcome<PathBuf>, usize) {
        let seen: Mutex<HashSet<ThreadId>> = Mutex::default();
        let ask = |path: &Path, answer: &mut PathBuf| {
            ask(path);
            seen.lock().unwrap().insert(current().id());
            *answer = path.to_path_buf();
        };
        let paths: Vec<PathBuf> = (0..count).map(|i| format!("/far/{i}").into()).collect();
        let borrowed: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let outcome =
            run(&Job { ask, blank: PathBuf::new, place: parent }, &borrowed, memory, opening);
        assert_eq!(outcome.answers, paths, "one answer for each path, in order");
        let threads = seen.lock().unwrap().len();
        (outcome, threads)
    }

    fn quick(_: &Path) {}

    fn slow(_: &Path) {
        sleep(Duration::from_millis(2));
    }

    /// Busy for longer than any call may be to pass as quick, and never asleep.
    fn busy(_: &Path) {
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_micros(100) {
            std::hint::spin_loop();
        }
    }

    /// Whether a thread that is merely preempted can be told from one that waits. Where it cannot,
    /// a quick call on a busy machine may pass for a slow one.
    fn knows_naps() -> bool {
        let known = super::super::system::naps::count().is_some();
        if !known {
            println!("skipped: this build cannot tell a preempted call from a waiting one");
        }
        known
    }

    fn trips_elsewhere(_: &Path) {
        assert!(current().name() != Some("fastpath-probe"), "a helper trips");
        slow(Path::new(""));
    }

    #[test]
    fn what_a_helper_leaves_is_asked_again() {
        threads(100, &Memory::default(), Opening::Many, trips_elsewhere);
    }

    #[test]
    fn quick_calls_need_no_help() {
        if !knows_naps() {
            return;
        }
        let (outcome, threads) = threads(5000, &Memory::default(), Opening::Alone, quick);
        assert_eq!((outcome.alone, threads), (5000, 1));
    }

    #[test]
    fn busy_calls_would_not_be_quicker_in_company() {
        if !knows_naps() {
            return;
        }
        let (outcome, threads) = threads(100, &Memory::default(), Opening::Alone, busy);
        assert_eq!((outcome.alone, threads), (100, 1));
    }

    #[test]
    fn slow_calls_are_noticed_and_then_known_from_the_start() {
        let memory = Memory::default();
        let (outcome, first) = threads(300, &memory, Opening::Alone, slow);
        assert!((1..=2).contains(&outcome.alone), "{} calls alone", outcome.alone);
        assert!((2..=MOST + 1).contains(&first), "{first} threads");
        let (outcome, again) = threads(300, &memory, Opening::Alone, slow);
        assert_eq!(outcome.alone, 0);
        assert!((2..=MOST + 1).contains(&again), "{again} threads");
    }

    #[test]
    fn a_place_that_is_quick_again_is_done_alone_again() {
        if !knows_naps() {
            return;
        }
        let memory = Memory::default();
        threads(10, &memory, Opening::Alone, slow);
        threads(10, &memory, Opening::Alone, quick);
        let (outcome, _) = threads(10, &memory, Opening::Alone, quick);
        assert_eq!(outcome.alone, 10);
    }

    #[test]
    fn there_are_never_more_helpers_than_paths_or_than_the_bound() {
        let (_, few) = threads(3, &Memory::default(), Opening::Many, slow);
        assert!(few <= 3, "{few} threads");
        let (_, many) = threads(400, &Memory::default(), Opening::Many, slow);
        assert!((2..=MOST + 1).contains(&many), "{many} threads");
    }

    #[test]
    fn one_slow_call_alone_earns_little() {
        let mut purse = Purse::new(0);
        purse.earn(1_000_000, 0);
        assert_eq!(purse.empty(), 8, "helpers for the first millisecond");
        purse.earn(1_000_000, 8);
        assert_eq!(purse.empty(), 25, "helpers for the second");
        purse.earn(0, 8);
        purse.earn(160_000, 8);
        assert_eq!(purse.empty(), 0, "helpers for a disk's read");
        purse.earn(160_000, 1);
        assert_eq!(purse.empty(), 2, "helpers for another");
        assert_eq!(purse.empty(), 0, "helpers for nothing");
    }
}
