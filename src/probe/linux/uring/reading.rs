//! Reading one file whole, as requests: open, stat of what was opened, read, close.
//!
//! For [`super`]. Each file goes its own way, so that a batch is as many round trips as one file.
//! The rules are those of `content`. What goes wrong but for a reason that lies in the file is left
//! unanswered, for a plain call to tell.
//!
//! Descriptors are plain ones: statx takes none that is registered with a ring. So one is owned from
//! the answer that brings it to the answer that says it is closed. Closing is a request as well,
//! because a network filesystem makes close(2) wait (FUSE: flush). Nor are buffers registered: each
//! file has another size, is read once, and pinning its pages would be a system call for each batch.

#![allow(unsafe_code)]

use std::ffi::c_char;
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, squeue, types};

use super::batch::{Errand, Step};
use super::lookup::{Answer, is_final};
use crate::fact::{Content, Stat};
use crate::probe::content;

/// Bytes in one read, at the most; read(2) itself stops a little below 2 GiB.
const CHUNK: usize = 1 << 30;

/// Which answer is awaited.
enum State {
    Opening,
    Looking,
    Reading(Stat),
    /// With what the answer for the path will be.
    Closing(Option<Result<Content, i32>>),
}

/// What the kernel reads and writes for one file.
pub(super) struct Reading {
    limit: u64,
    answer: Answer,
    buffer: Vec<u8>,
    filled: usize,
    file: Option<OwnedFd>,
    state: State,
}

impl Reading {
    /// For any path; at most `limit` bytes.
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            answer: Answer::new(),
            buffer: Vec::new(),
            filled: 0,
            file: None,
            state: State::Opening,
        }
    }

    fn fd(&self) -> types::Fd {
        types::Fd(self.file.as_ref().map_or(-1, AsRawFd::as_raw_fd))
    }

    /// The descriptor is ours from here on.
    fn opened(&mut self, fd: i32) -> squeue::Entry {
        // SAFETY: the kernel has just opened it for this request, and told nobody else.
        self.file = Some(unsafe { OwnedFd::from_raw_fd(fd) });
        self.state = State::Looking;
        self.answer.ask(self.fd(), c"".as_ptr(), libc::AT_EMPTY_PATH)
    }

    fn looked(&mut self) -> squeue::Entry {
        let stat = self.answer.stat();
        match content::room(&stat, self.limit) {
            Ok(buffer) => {
                (self.buffer, self.filled) = (buffer, 0);
                self.read_on(stat)
            }
            Err(errno) => self.close(Some(Err(errno))),
        }
    }

    /// Always by a worker. The kernel would try it at once, and a filesystem may wait in there without
    /// saying so: FUSE, for a read past the end, asks for attributes that it no longer keeps, and
    /// files would be read one after the other (experiments/0107-reading).
    fn read_on(&mut self, stat: Stat) -> squeue::Entry {
        self.state = State::Reading(stat);
        let fd = self.fd();
        let rest = &mut self.buffer[self.filled..];
        opcode::Read::new(fd, rest.as_mut_ptr(), rest.len().min(CHUNK) as u32)
            .offset(self.filled as u64)
            .build()
            .flags(squeue::Flags::ASYNC)
    }

    fn has_read(&mut self, stat: Stat, length: usize) -> squeue::Entry {
        self.filled += length;
        if !content::is_through(&self.buffer, self.filled, length) {
            return self.read_on(stat);
        }
        let buffer = std::mem::take(&mut self.buffer);
        self.close(Some(content::finish(stat, buffer, self.filled)))
    }

    fn close(&mut self, answer: Option<Result<Content, i32>>) -> squeue::Entry {
        self.state = State::Closing(answer);
        opcode::Close::new(self.fd()).build()
    }

    /// Linux closes whatever close(2) says of it; only what was never begun is still to be done.
    fn closed(&mut self, result: i32) {
        let file = self.file.take();
        if result != -libc::ECANCELED {
            file.map(IntoRawFd::into_raw_fd);
        }
    }
}

// SAFETY: the answer lies in the errand, the buffer on the heap. The buffer is made by `looked` and taken
// by `has_read`, each of which is called when nothing is on its way; the name of nothing is a constant.
unsafe impl Errand for Reading {
    type Answer = Result<Content, i32>;
    const HOLDS: bool = true;

    fn begin(&mut self, path: *const c_char) -> squeue::Entry {
        self.state = State::Opening;
        let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY;
        opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path).flags(flags).build()
    }

    fn go_on(&mut self, result: i32) -> Step<Self::Answer> {
        match std::mem::replace(&mut self.state, State::Opening) {
            State::Opening if result >= 0 => Step::Ask(self.opened(result)),
            State::Opening => Step::Done(is_final(-result).then_some(Err(-result))),
            State::Looking if result == 0 => Step::Ask(self.looked()),
            State::Reading(stat) if result >= 0 => Step::Ask(self.has_read(stat, result as usize)),
            State::Looking | State::Reading(_) => Step::Ask(self.close(None)),
            State::Closing(answer) => {
                self.closed(result);
                Step::Done(answer)
            }
        }
    }

    /// Closes what is open, by a plain call.
    fn give_up(&mut self) {
        self.file = None;
        self.state = State::Opening;
    }
}
