//! Pieces of a file, read along with what lies behind them: whoever wants a module's bytecode will want the next one's, which was
//! learnt right after it. Nothing of the file stays open or mapped in between.
//!
//! Measured (experiments/0108): a mapping must be copied out of by the kernel, since a plain read of a page that somebody has cut off is
//! a SIGBUS, and that costs more than reading; a descriptor that is kept is one that the program sees. Opening once for many pieces
//! costs less than either.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::reopened::Reopened;

/// Bytes read along with the first piece somewhere,
const FIRST: usize = 16 << 10;
/// and with each that follows twice as many, up to these.
const MOST: usize = 256 << 10;
/// Windows kept: one for the end of the file, one for directories, one for contents, and one for whatever is read out of turn.
const KEPT: usize = 4;

/// A file and the parts of it that were read last.
#[derive(Debug)]
pub(super) struct Windows {
    file: Reopened,
    len: u64,
    /// The one used last is the last one.
    kept: Mutex<Vec<Window>>,
}

/// Consecutive bytes of a file.
#[derive(Debug, Default)]
struct Window {
    at: u64,
    bytes: Vec<u8>,
    /// How many bytes to read along when what is wanted lies behind it.
    next: usize,
}

impl Window {
    fn piece(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        let start = usize::try_from(at.checked_sub(self.at)?).ok()?;
        self.bytes.get(start..start.checked_add(len)?).map(Into::into)
    }

    /// Whether a piece from here on is one that was to be expected after this window.
    fn goes_on_at(&self, at: u64) -> bool {
        at >= self.at && at - self.at <= (self.bytes.len() + self.next) as u64
    }
}

impl Windows {
    /// The file of so many bytes, whose last ones are these.
    pub(super) fn new(file: Reopened, len: u64, tail: Vec<u8>) -> Self {
        let window = Window { at: len - tail.len() as u64, bytes: tail, next: FIRST };
        Self { file, len, kept: Mutex::new(vec![window]) }
    }

    /// A private copy of these bytes, if they are there.
    pub(super) fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        let left = self.len.checked_sub(at).filter(|left| len as u64 <= *left)?;
        if let Some(piece) = self.known(at, len) {
            return Some(piece);
        }
        let mut window = self.window_for(at);
        let more = len.max(window.next).min(usize::try_from(left).unwrap_or(usize::MAX));
        if !self.file.read(at, more, &mut window.bytes) {
            return None;
        }
        window.at = at;
        let piece = window.piece(at, len);
        // What is larger is wanted once.
        if more <= MOST {
            self.keep(window);
        }
        piece
    }

    fn known(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        let mut kept = self.kept();
        let found =
            kept.iter().enumerate().find_map(|(n, window)| Some((n, window.piece(at, len)?)));
        let (number, piece) = found?;
        kept[number..].rotate_left(1);
        Some(piece)
    }

    /// The window that this piece goes on from, to be filled anew; a fresh one where it goes on from none.
    fn window_for(&self, at: u64) -> Window {
        let mut kept = self.kept();
        match kept.iter().position(|window| window.goes_on_at(at)) {
            Some(number) => {
                let window = kept.remove(number);
                Window { next: (window.next * 2).min(MOST), ..window }
            }
            None => Window { next: FIRST, ..Window::default() },
        }
    }

    fn keep(&self, window: Window) {
        let mut kept = self.kept();
        if kept.len() >= KEPT {
            kept.remove(0);
        }
        kept.push(window);
    }

    /// The lock is for a look or a change, never for I/O.
    fn kept(&self) -> MutexGuard<'_, Vec<Window>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
