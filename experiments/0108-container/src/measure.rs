//! Sizes, and the times of opening and of lookups: all kinds in turn, medians of one process.

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use crate::facts::Directory;
use crate::flat::{Access, Flat};
use crate::store::{self, KINDS, file_of};

/// Rounds in which every kind has its turn.
const ROUNDS: usize = 51;
/// Different lookups in a round, spread over the tree.
const LOOKUPS: usize = 500;

pub fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// At most `count` of these, evenly spread.
pub fn spread<T>(all: Vec<T>, count: usize) -> Vec<T> {
    let step = (all.len() / count).max(1);
    all.into_iter().step_by(step).take(count).collect()
}

pub fn sizes(facts: &[Directory], folder: &Path) {
    let names: usize = facts.iter().map(|d| d.names.len()).sum();
    let modules: Vec<usize> =
        facts.iter().flat_map(|d| &d.modules).map(|m| m.bytes.len()).collect();
    let sum: usize = modules.iter().sum();
    println!("{} directories, {names} names, {} modules, {sum} bytes", facts.len(), modules.len());
    for kind in ["lmdb", "rkyv", "flat"] {
        let size = fs::metadata(folder.join(kind)).map_or(0, |m| m.len());
        println!("{kind:6} {size:>12} bytes  {:.4} of the bytecode", size as f64 / sum as f64);
    }
}

fn entries(dir: &str) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

/// Opens `times` times; says what stays open and what lies beside the file meanwhile.
pub fn open(kind: &str, folder: &Path, times: usize) {
    let file = folder.join(file_of(kind));
    let before = (entries("/proc/self/fd"), entries("/proc/self/task"));
    for nth in 1..=times {
        let opened = store::open(kind, &file).expect("a sound store");
        if nth == times {
            let lock = folder.join(format!("{}-lock", file_of(kind)));
            println!(
                "{kind}: {} descriptors kept, {} threads, lock file: {}",
                entries("/proc/self/fd") - before.0,
                entries("/proc/self/task") - before.1,
                fs::metadata(lock).map_or("none".into(), |m| format!("{} bytes", m.len()))
            );
        }
        drop(black_box(opened));
    }
}

pub fn opens(folder: &Path) {
    let mut times: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for _ in 0..ROUNDS {
        for kind in KINDS {
            let file = folder.join(file_of(kind));
            let begin = Instant::now();
            let opened = store::open(kind, &file).expect("a sound store");
            let time = begin.elapsed();
            drop(black_box(opened));
            times.entry(kind).or_default().push(time.as_secs_f64() * 1e6);
        }
    }
    report(times, "flat-copied", "µs an opening");
}

pub fn lookups(facts: &[Directory], folder: &Path) {
    let names: Vec<(&[u8], &[u8])> =
        facts.iter().flat_map(|d| d.names.iter().map(|n| (&d.path[..], &n.name[..]))).collect();
    let modules: Vec<(&[u8], &[u8])> =
        facts.iter().flat_map(|d| d.modules.iter().map(|m| (&d.path[..], &m.name[..]))).collect();
    let (names, modules) = (spread(names, LOOKUPS), spread(modules, LOOKUPS));
    // LMDB must not be open twice in a process.
    let opened = KINDS
        .into_iter()
        .filter(|kind| *kind != "lmdb-locked")
        .map(|kind| (kind, store::open(kind, &folder.join(file_of(kind))).expect("a sound store")));
    let opened: Vec<_> = opened.collect();
    let flat = fs::File::open(folder.join("flat")).expect("a store");
    let flat = Flat::open(Access::Read(flat)).expect("a sound store");
    let blocks: Vec<_> = names.iter().map(|(dir, _)| flat.block(dir).expect("sound")).collect();
    let (mut of_names, mut of_modules) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..ROUNDS {
        for (kind, store) in &opened {
            time(&mut of_names, kind, &names, |(dir, name)| store.name(dir, name).is_some());
            time(&mut of_modules, kind, &modules, |(dir, name)| store.module(dir, name).is_some());
        }
        let held: Vec<_> = blocks.iter().zip(&names).map(|(b, (_, n))| (&**b, *n)).collect();
        time(&mut of_names, "flat, block held", &held, |(block, name)| {
            Flat::name_in(block, name).is_some()
        });
    }
    report(of_names, "flat-copied", "ns for generation and one name");
    report(of_modules, "flat-copied", "ns for a module's stamps and a copy of its bytes");
}

fn time<'a, T: Copy>(
    times: &mut BTreeMap<&'a str, Vec<f64>>,
    what: &'a str,
    all: &[T],
    look: impl Fn(T) -> bool,
) {
    let begin = Instant::now();
    for &one in all {
        assert!(black_box(look(one)), "{what} does not know something");
    }
    let each = begin.elapsed().as_nanos() as f64 / all.len() as f64;
    times.entry(what).or_default().push(each);
}

/// Medians, and their ratio to that of `base`.
pub fn report(mut times: BTreeMap<&str, Vec<f64>>, base: &str, unit: &str) {
    let base = median(times.get_mut(base).expect("measured"));
    println!("{unit}, median of {}; ratio", times.values().next().map_or(0, Vec::len));
    for (what, times) in &mut times {
        let median = median(times);
        println!("  {what:24} {median:>12.1}  {:>10.3}", median / base);
    }
}
