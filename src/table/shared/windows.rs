//! Pieces of a file, read along with what lies behind them: whoever wants a module's bytecode will want the next one's, which was
//! learnt right after it. Nothing of the file stays open or mapped in between.
//!
//! Measured (experiments/0108): a mapping must be copied out of by the kernel, since a plain read of a page that somebody has cut off is
//! a SIGBUS, and that costs more than reading; a descriptor that is kept is one that the program sees. Opening once for many pieces
//! costs less than either.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::reopened::Reopened;

/// Bytes read along with the first piece somewhere,
const FIRST: usize = 16 << 10;
/// and with each that follows twice as many, up to these.
const MOST: usize = 256 << 10;
/// Windows kept: one for the end of the file, one for directories, one for contents, and one for whatever is read out of turn.
const KEPT: usize = 4;

/// A read that takes longer was waited for.
const WAITED: Duration = Duration::from_millis(1);
/// Where the last one was, so many bytes are read at once, those in front of the piece included: what lies beside it is of the same
/// package, and each read is some five waits on a network, however much it brings.
const BLOCK: usize = 512 << 10;
/// So many blocks are kept there: nobody knows in which order they are wanted.
const BLOCKS: usize = 32;

/// A file and the parts of it that were read last.
#[derive(Debug)]
pub(super) struct Windows {
    file: Reopened,
    len: u64,
    /// The one used last is the last one.
    kept: Mutex<Vec<Window>>,
    /// Whether the last read was waited for.
    is_far: AtomicBool,
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
        Self { file, len, kept: Mutex::new(vec![window]), is_far: AtomicBool::new(false) }
    }

    /// A private copy of these bytes, if they are there.
    pub(super) fn read(&self, at: u64, len: usize) -> Option<Box<[u8]>> {
        let left = self.len.checked_sub(at).filter(|left| len as u64 <= *left)?;
        if let Some(piece) = self.known(at, len) {
            return Some(piece);
        }
        let is_far = self.is_far.load(Relaxed);
        let before = if is_far { (at % BLOCK as u64) as usize } else { 0 };
        let mut window = if is_far { Window::default() } else { self.window_for(at) };
        let left = usize::try_from(left).unwrap_or(usize::MAX).saturating_add(before);
        let wanted = if is_far { BLOCK } else { window.next };
        let more = len.saturating_add(before).max(wanted).min(left);
        window.at = at - before as u64;
        let began = Instant::now();
        if !self.file.read(window.at, more, &mut window.bytes) {
            return None;
        }
        self.is_far.store(began.elapsed() > WAITED, Relaxed);
        let piece = window.piece(at, len);
        // What is larger is wanted once.
        if more <= if is_far { BLOCK } else { MOST } {
            self.keep(window, if is_far { BLOCKS } else { KEPT });
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

    fn keep(&self, window: Window, most: usize) {
        let mut kept = self.kept();
        let many = (kept.len() + 1).saturating_sub(most);
        kept.drain(..many);
        kept.push(window);
    }

    /// The lock is for a look or a change, never for I/O.
    fn kept(&self) -> MutexGuard<'_, Vec<Window>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use super::super::reopened::Version;
    use super::*;

    #[test]
    fn where_reading_is_waited_for_whole_blocks_are_read() {
        const LEN: usize = 5 * BLOCK / 2;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("table");
        let bytes: Vec<u8> = (0..LEN).map(|at| (at / 7) as u8).collect();
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        let version = Version::of(&path.metadata().unwrap());
        let windows = Windows::new(Reopened::new(&path, version), LEN as u64, Vec::new());
        let is =
            |at: usize, len| windows.read(at as u64, len).as_deref() == Some(&bytes[at..at + len]);
        let is_known = |at: usize| windows.known(at as u64, 1).is_some();

        assert!(is(BLOCK + 5000, 100), "the piece, and what is behind it");
        assert!(is_known(BLOCK + 5000 + FIRST - 1) && !is_known(BLOCK + 4999));
        for (at, len) in [(BLOCK + 300, 100), (3 * BLOCK / 2, 10), (LEN - 9, 9), (BLOCK - 5, 10)] {
            windows.is_far.store(true, Relaxed);
            assert!(is(at, len), "{at}");
        }
        assert!([BLOCK, 2 * BLOCK - 1, 2 * BLOCK, LEN - 1].into_iter().all(is_known));
        assert!(!is_known(0), "more than a block is wanted once");
        windows.is_far.store(true, Relaxed);
        assert!(is(0, 1) && is_known(BLOCK - 1));
        assert_eq!(windows.read(LEN as u64 - 1, 2), None);
    }
}
