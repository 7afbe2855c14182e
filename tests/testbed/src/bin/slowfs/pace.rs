//! Holds jobs back for the delay, then runs them on a few threads.
//!
//! The delay is the same for all, so first come is first due: a plain queue is enough, any number of
//! jobs can be held back at the same time, and of a burst only the first few cost a timer. That
//! leaves the processors to the client that is measured. What a job does is not known here.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: Mutex<VecDeque<(Instant, Job)>>,
    more: Condvar,
}

/// The queue and its threads, which live as long as the process.
pub struct Pace {
    delay: Duration,
    queue: Arc<Queue>,
}

impl Pace {
    /// A queue that holds each job back for `delay` and has `threads` of them run at once.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(delay: Duration, threads: usize) -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        for n in 0..threads {
            let queue = Arc::clone(&queue);
            let work = move || loop {
                let (due, job) = queue.next();
                thread::sleep(due.saturating_duration_since(Instant::now()));
                job();
            };
            thread::Builder::new().name(format!("pace-{n}")).spawn(work)?;
        }
        Ok(Self { delay, queue })
    }

    /// Has `job` run once the delay is over.
    pub fn hold(&self, job: impl FnOnce() + Send + 'static) {
        let due = Instant::now() + self.delay;
        let mut jobs = self.queue.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.push_back((due, Box::new(job)));
        drop(jobs);
        self.queue.more.notify_one();
    }
}

impl Queue {
    /// The job that is due next; waits for one.
    fn next(&self) -> (Instant, Job) {
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut jobs = self
            .more
            .wait_while(jobs, |jobs| jobs.is_empty())
            .unwrap_or_else(PoisonError::into_inner);
        jobs.pop_front().expect("wait_while returns when there is a job")
    }
}
