//! Which places were slow lately, so that the next batch there need not find out again.
//!
//! For `crew` and [`super::Prober`]. A hint and nothing more: it moves work between engines that
//! give the same answers. A fixed number of slots, shared by places whose hashes meet; no path is
//! kept, nothing is locked, and until something was slow a look costs one load.
//!
//! A place is a directory, and costs what the calls for paths in it cost. One that was never
//! asked is taken to be as slow as the nearest one above it that was: they are most likely of the same filesystem.

use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};

use rustc_hash::FxHasher;

use super::crew::FAR_NS;

const SLOTS: usize = 1024;

/// Waiting that is worth remembering, in nanoseconds. What a disk has read once is quick anyway.
const WORTH_NS: u32 = FAR_NS as u32;

/// What a slot says of a place that was never asked, and of one that is quick. All else are
/// nanoseconds, at least `WORTH_NS`.
const UNKNOWN: u32 = 0;
const QUICK: u32 = 1;

/// What a call cost lately, by place.
pub(super) struct Memory {
    slots: [AtomicU32; SLOTS],
    /// Whether anything was ever slow. Until then nothing is looked up and nothing noted.
    any: AtomicBool,
    /// How long all calls have slept, in nanoseconds.
    slept_ns: AtomicU64,
}

impl Memory {
    /// How long all calls have slept so far, in nanoseconds: those of threads at work at the same time add up.
    pub(super) fn slept_ns(&self) -> u64 {
        self.slept_ns.load(Relaxed)
    }

    /// Whether anything was ever slow.
    pub(super) fn has_met_slow(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// How long the calls in these places will wait, in nanoseconds, for all of the batch but
    /// its slowest call: what company could save.
    pub(super) fn expect<'p>(&self, places: impl Iterator<Item = &'p [u8]>) -> u64 {
        if !self.has_met_slow() {
            return 0;
        }
        let costs = places.map(|place| u64::from(self.cost(place)));
        let (sum, max) = costs.fold((0, 0), |(sum, max), ns| (sum + ns, ns.max(max)));
        sum - max
    }

    /// A call for this path waited so many nanoseconds. Quick calls wear a slow mark off by
    /// halves, as some calls are quick everywhere.
    pub(super) fn note<'p>(&self, place: impl FnOnce() -> &'p [u8], waited_ns: u64) {
        if waited_ns > 0 {
            self.slept_ns.fetch_add(waited_ns, Relaxed);
        }
        let waited_ns = u32::try_from(waited_ns).unwrap_or(u32::MAX);
        if waited_ns >= WORTH_NS {
            self.any.store(true, Relaxed);
            self.slot(place()).store(waited_ns, Relaxed);
        } else if self.has_met_slow() {
            let slot = self.slot(place());
            let half = slot.load(Relaxed) / 2;
            slot.store(if half < WORTH_NS { QUICK } else { half }, Relaxed);
        }
    }

    fn cost(&self, mut place: &[u8]) -> u32 {
        loop {
            match self.slot(place).load(Relaxed) {
                UNKNOWN if !place.is_empty() => place = dirname(place),
                cost => return cost,
            }
        }
    }

    fn slot(&self, place: &[u8]) -> &AtomicU32 {
        let mut hasher = FxHasher::default();
        place.hash(&mut hasher);
        &self.slots[(hasher.finish() >> 32) as usize % SLOTS]
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            slots: [const { AtomicU32::new(UNKNOWN) }; SLOTS],
            any: AtomicBool::new(false),
            slept_ns: AtomicU64::new(0),
        }
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let slow = self.slots.iter().filter(|slot| slot.load(Relaxed) >= WORTH_NS).count();
        write!(f, "Memory({slow} slow)")
    }
}

/// The place whose slowness a path shares: the directory in which it lies.
pub(super) fn parent(path: &Path) -> &[u8] {
    dirname(path.as_os_str().as_encoded_bytes())
}

/// The place whose slowness the listing of a directory shares: where those paths lie that are in
/// it.
pub(super) fn itself(dir: &Path) -> &[u8] {
    dir.as_os_str().as_encoded_bytes()
}

/// All of it up to its last separator; nothing, if there is none.
fn dirname(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|&b| std::path::is_separator(char::from(b)));
    &bytes[..end.unwrap_or(0)]
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
        memory.note(|| b"/far", MS);
        assert_eq!(expect(&memory, &[b"/far", b"/near"]), u64::from(UNKNOWN));
        assert_eq!(expect(&memory, &[b"/far", b"/far", b"/near"]), MS);
    }

    #[test]
    fn quick_calls_wear_a_mark_off() {
        let memory = Memory::default();
        memory.note(|| b"/far", MS);
        memory.note(|| b"/far", 0);
        assert_eq!(expect(&memory, &[b"/far", b"/far"]), MS / 2);
        memory.note(|| b"/far", 0);
        assert_eq!(expect(&memory, &[b"/far", b"/far"]), u64::from(QUICK));
    }

    #[test]
    fn an_unknown_place_is_as_slow_as_the_nearest_above_it() {
        let memory = Memory::default();
        memory.note(|| b"/far", MS);
        assert_eq!(expect(&memory, &[b"/far/new", b"/far/newer/inner"]), MS);
        assert_eq!(expect(&memory, &[b"/new", b"relative"]), 0);
        memory.note(|| b"/far/new", 0);
        assert_eq!(expect(&memory, &[b"/far/new", b"/far/new/inner"]), u64::from(QUICK));
    }

    #[test]
    fn what_a_disk_costs_is_not_kept() {
        let memory = Memory::default();
        memory.note(|| b"/disk", 100_000);
        assert!(!memory.any.load(Relaxed));
        assert_eq!(expect(&memory, &[b"/disk", b"/disk"]), 0);
    }

    #[test]
    fn a_place_ends_at_the_last_separator() {
        assert_eq!(parent(Path::new("/a/b.py")), b"/a");
        assert_eq!(parent(Path::new("/b.py")), b"");
        assert_eq!(parent(Path::new("b.py")), b"");
        assert_eq!(parent(Path::new("")), b"");
    }
}
