//! Which places were slow lately, so that the next batch there need not find out again.
//!
//! For `crew` and [`super::Prober`]. A hint and nothing more: it moves work between engines that
//! give the same answers. A fixed number of slots, shared by places whose hashes meet; no path is
//! kept, nothing is locked, and while nothing was ever slow a look costs one load.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use rustc_hash::FxHasher;

const SLOTS: usize = 256;

/// Waiting that is worth remembering, in nanoseconds: a network or a user-space filesystem. A
/// disk is quicker, and the second call in a cold directory is quick anyway.
const WORTH_NS: u32 = 250_000;

/// What a call cost lately, by place. A place is the directory in which a path lies.
pub(super) struct Memory {
    /// Nanoseconds, at least `WORTH_NS`; or 0.
    slots: [AtomicU32; SLOTS],
    /// How many slots are not 0.
    marked: AtomicU32,
}

impl Memory {
    /// How long the calls in these places will wait, in nanoseconds, for all of the batch but
    /// its slowest call: what company could save.
    pub(super) fn expect<'p>(&self, places: impl Iterator<Item = &'p [u8]>) -> u64 {
        if self.marked.load(Relaxed) == 0 {
            return 0;
        }
        let costs = places.map(|place| u64::from(self.slot(place).load(Relaxed)));
        let (sum, max) = costs.fold((0, 0), |(sum, max), ns| (sum + ns, ns.max(max)));
        sum - max
    }

    /// A call in this place waited so many nanoseconds. Quick calls wear the mark off: three or
    /// four in a row where it stood at 2 ms.
    pub(super) fn note(&self, place: &[u8], waited_ns: u64) {
        let waited_ns = u32::try_from(waited_ns).unwrap_or(u32::MAX);
        if waited_ns >= WORTH_NS {
            self.turn(self.slot(place), |_| waited_ns);
        } else if self.marked.load(Relaxed) != 0 {
            let worn = |ns: u32| if ns / 2 < WORTH_NS { 0 } else { ns / 2 };
            self.turn(self.slot(place), worn);
        }
    }

    /// Changes a slot, and `marked` along with it.
    fn turn(&self, slot: &AtomicU32, change: impl Fn(u32) -> u32) {
        let Ok(old) = slot.fetch_update(Relaxed, Relaxed, |old| {
            let new = change(old);
            (new != old).then_some(new)
        }) else {
            return;
        };
        match (old, change(old)) {
            (0, _) => self.marked.fetch_add(1, Relaxed),
            (_, 0) => self.marked.fetch_sub(1, Relaxed),
            _ => 0,
        };
    }

    fn slot(&self, place: &[u8]) -> &AtomicU32 {
        let mut hasher = FxHasher::default();
        place.hash(&mut hasher);
        &self.slots[(hasher.finish() >> 32) as usize % SLOTS]
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self { slots: [const { AtomicU32::new(0) }; SLOTS], marked: AtomicU32::new(0) }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Memory({} slow)", self.marked.load(Relaxed))
    }
}

/// The place in which a path lies: all of it up to its last separator.
pub(super) fn parent(path: &Path) -> &[u8] {
    let bytes = path.as_os_str().as_encoded_bytes();
    let end = bytes.iter().rposition(|&b| std::path::is_separator(char::from(b)));
    &bytes[..end.unwrap_or(0)]
}

/// The place that a directory is: where those paths lie that are in it.
pub(super) fn itself(dir: &Path) -> &[u8] {
    dir.as_os_str().as_encoded_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn expect(memory: &Memory, places: &[&[u8]]) -> u64 {
        memory.expect(places.iter().copied())
    }

    #[test]
    fn the_slowest_call_is_nobody_s_to_save() {
        let memory = Memory::default();
        memory.note(b"/far", MS);
        assert_eq!(expect(&memory, &[b"/far", b"/near"]), 0);
        assert_eq!(expect(&memory, &[b"/far", b"/far", b"/near"]), MS);
    }

    #[test]
    fn quick_calls_wear_a_mark_off() {
        let memory = Memory::default();
        memory.note(b"/far", MS);
        memory.note(b"/far", 0);
        assert_eq!(expect(&memory, &[b"/far", b"/far"]), MS / 2);
        memory.note(b"/far", 0);
        memory.note(b"/far", 0);
        assert_eq!(expect(&memory, &[b"/far", b"/far"]), 0);
        assert_eq!(memory.marked.load(Relaxed), 0);
    }

    #[test]
    fn what_a_disk_costs_is_not_kept() {
        let memory = Memory::default();
        memory.note(b"/disk", 100_000);
        assert_eq!(memory.marked.load(Relaxed), 0);
    }

    #[test]
    fn a_place_ends_at_the_last_separator() {
        assert_eq!(parent(Path::new("/a/b.py")), b"/a");
        assert_eq!(parent(Path::new("/b.py")), b"");
        assert_eq!(parent(Path::new("b.py")), b"");
        assert_eq!(parent(Path::new("")), b"");
    }
}
