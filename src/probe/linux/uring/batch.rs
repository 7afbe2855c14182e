//! One batch on its way through a ring, whatever is asked for each path.
//!
//! For [`super`]. It submits, gathers and cleans up; what the requests are, an [`Errand`] knows. A
//! path whose errand comes to nothing is left unanswered, never asked again.

#![allow(unsafe_code)]

use std::ffi::c_char;
use std::io;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use io_uring::{EnterFlags, IoUring, squeue};

/// How often in a row the kernel may be too busy to take requests before we give up on the ring.
const PATIENCE: u32 = 100;

/// How many milliseconds an abandoned ring has for its last answers.
const GRACE: u32 = 1000;

/// What is to be done for one path: one request after the other, each after the answer to the
/// one before. Used for many paths, one at a time.
///
/// An errand is not moved from its first request on until nothing is in flight: what a request points to
/// may lie in it.
///
/// # Safety
/// What a request points to, but for the path, belongs to the errand, stays in place while the errand
/// does, and is neither touched nor freed until its answer has come.
pub(super) unsafe trait Errand {
    /// What is found out.
    type Answer;

    /// Whether an answer that is lost is something of the system's that stays behind.
    const HOLDS: bool;

    /// The first request. The path ends with a NUL, and stays as it is until the errand is over.
    fn begin(&mut self, path: *const c_char) -> squeue::Entry;

    /// What follows from the answer to the last request: a count, or a negative errno.
    fn go_on(&mut self, result: i32) -> Step<Self::Answer>;

    /// Gives back what the errand holds of the system's: it will not go on. Nothing of its own is
    /// in flight.
    fn give_up(&mut self);
}

/// What an errand does next.
pub(super) enum Step<T> {
    /// It sends another request.
    Ask(squeue::Entry),
    /// It is over; `None` where a plain call has to tell.
    Done(Option<T>),
}

/// An errand, and the place of its path in the batch.
struct Slot<E> {
    errand: E,
    index: usize,
}

/// The paths on their way as C has them: a place for each errand's, in one piece.
struct Places {
    bytes: Vec<u8>,
    size: usize,
}

impl Places {
    /// Room for so many of these paths at once.
    fn new(count: usize, paths: &[&Path]) -> Self {
        let longest = paths.iter().map(|path| path.as_os_str().len()).max().unwrap_or(0);
        let size = (longest + 1).min(libc::PATH_MAX as usize);
        Self { bytes: vec![0; count * size], size }
    }

    /// Where this path now stands; `None` where it has a NUL in it or is longer than any may be.
    fn put(&mut self, place: usize, path: &Path) -> Option<*const c_char> {
        let bytes = path.as_os_str().as_encoded_bytes();
        let place = &mut self.bytes[place * self.size..][..self.size];
        let nul = place.get_mut(bytes.len())?;
        *nul = 0;
        place[..bytes.len()].copy_from_slice(bytes);
        // All of it is looked at, so that many bytes are compared at a time.
        let whole = bytes.iter().fold(true, |whole, &byte| whole & (byte != 0));
        whole.then_some(place.as_ptr().cast())
    }
}

/// A batch and its ring.
pub(super) struct Batch<'a, E: Errand> {
    ring: IoUring,
    paths: &'a [&'a Path],
    answers: &'a mut [Option<E::Answer>],
    /// The next path to be sent.
    next: usize,
    /// Freed when nothing is in flight, and never before, nor does it grow: the kernel may write to them.
    slots: ManuallyDrop<Vec<Slot<E>>>,
    /// Freed when the slots are: the kernel may read them.
    places: ManuallyDrop<Places>,
    /// Slots with no request in the queue or in flight.
    free: Vec<usize>,
}

impl<'a, E: Errand> Batch<'a, E> {
    /// A batch whose ring is new. There is an errand for every entry of its queue.
    pub(super) fn new(
        ring: IoUring,
        errand: impl Fn() -> E,
        paths: &'a [&'a Path],
        answers: &'a mut [Option<E::Answer>],
    ) -> Self {
        let count = ring.params().sq_entries() as usize;
        let slots = (0..count).map(|_| Slot { errand: errand(), index: 0 }).collect();
        Self {
            ring,
            paths,
            answers,
            next: 0,
            slots: ManuallyDrop::new(slots),
            places: ManuallyDrop::new(Places::new(count, paths)),
            free: (0..count).collect(),
        }
    }

    /// Sends everything and gathers everything. Where that fails it still waits for what is in
    /// flight; and if even that cannot be had, it gives itself back, to be [abandoned](Self::abandon).
    pub(super) fn run(mut self) -> (io::Result<()>, Option<Self>) {
        let outcome = self.exchange();
        if outcome.is_ok() || self.drain().is_ok() {
            self.clear();
            return (outcome, None);
        }
        (outcome, Some(self))
    }

    /// Gathers the last answers when the thread that sent the requests has ended: the kernel has
    /// then stopped its workers, and a ring for errands that hold something tells what they did, or
    /// did not, without being asked. Otherwise there is nothing to wait for, and the memory is
    /// never freed.
    pub(super) fn abandon(mut self) {
        let grace = if E::HOLDS { GRACE } else { 0 };
        for _ in 0..grace {
            self.reap(false);
            if self.in_flight() == 0 {
                return self.clear();
            }
            sleep(Duration::from_millis(1));
        }
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
            self.reap(true);
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

    /// Queues first requests while there are paths and free slots.
    fn fill(&mut self) {
        let mut queue = self.ring.submission();
        while self.next < self.paths.len() {
            let Some(place) = self.free.pop() else { return };
            let slot = &mut self.slots[place];
            slot.index = self.next;
            self.next += 1;
            let path = self.places.put(place, self.paths[slot.index]);
            let entry = path.map(|path| slot.errand.begin(path));
            if !entry.is_some_and(|entry| push(&mut queue, place, &entry)) {
                slot.errand.give_up();
                self.free.push(place);
            }
        }
    }

    /// Takes every answer that is there, and queues what follows from it, if anything is to follow
    /// at all.
    fn reap(&mut self, go_on: bool) {
        let (_, mut queue, completions) = self.ring.split();
        for completion in completions {
            let place = completion.user_data() as usize;
            let slot = &mut self.slots[place];
            match slot.errand.go_on(completion.result()) {
                Step::Ask(entry) if go_on && push(&mut queue, place, &entry) => continue,
                Step::Ask(_) => slot.errand.give_up(),
                Step::Done(answer) => self.answers[slot.index] = answer,
            }
            self.free.push(place);
        }
    }

    /// Waits until nothing is in flight. What was queued and never taken is dropped with the ring.
    fn drain(&mut self) -> io::Result<()> {
        loop {
            self.reap(false);
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

    /// Frees the errands, with what those hold that never got an answer. Nothing is in flight.
    fn clear(&mut self) {
        for mut slot in std::mem::take(&mut *self.slots) {
            slot.errand.give_up();
        }
        self.places.bytes = Vec::new();
    }
}

/// Queues the request of the errand in this place. There is room: the queue has an entry for each
/// errand, and an errand one request at a time.
fn push(queue: &mut squeue::SubmissionQueue<'_>, place: usize, entry: &squeue::Entry) -> bool {
    // SAFETY: what the entry points to stays as it is until its answer has come, as every errand
    // promises, and a path until its errand is over; and both are freed only when nothing is in flight.
    unsafe { queue.push(&entry.clone().user_data(place as u64)) }.is_ok()
}
