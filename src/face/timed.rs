//! Batches of stats with a clock beside them: the native side of `python -m fastpath bench`.
//!
//! Only the questions are within the two looks at the clock: no Python object is made there, as that would take longer
//! than a quick question. For measurements; no import depends on it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use xxhash_rust::xxh3::Xxh3;

use super::{fs_path, options};
use crate::fact::{Fact, Stat};
use crate::probe::{Prober, cpu_used};

/// What a measurement found out.
struct Timed {
    facts: Vec<Fact>,
    by_ring: u64,
    wall_ns: u64,
    cpu_ns: Option<u64>,
}

/// Ask about all paths, `batch` at a time, and that `repeat` times over. `wall_ns` and `cpu_ns` are of all of it together, the latter
/// of all threads of this process and the kernel's workers for its rings; `digest` is of the facts, but for the time of last
/// access, which asking may change; `present` says how many are there; `by_ring` how many answers came through a ring.
#[pyfunction]
#[pyo3(signature = (paths, backend, width=None, *, batch, repeat=1))]
pub fn _probe_timed<'py>(
    py: Python<'py>,
    paths: &Bound<'py, PyAny>,
    backend: &str,
    width: Option<usize>,
    batch: usize,
    repeat: usize,
) -> PyResult<Bound<'py, PyDict>> {
    let backend = options::backend(backend)?;
    if batch == 0 || repeat == 0 {
        return Err(PyValueError::new_err("batch and repeat must be 1 at least"));
    }
    let paths: Vec<PathBuf> =
        paths.try_iter()?.map(|path| fs_path(&path?)).collect::<PyResult<_>>()?;
    let timed = py.detach(|| {
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        let prober = match width {
            Some(width) => Prober::with_width(backend, width),
            None => Prober::new(backend),
        };
        run(&prober, &paths, batch, repeat)
    });
    let present = timed.facts.iter().filter(|fact| fact.stat().is_some()).count();
    let told = PyDict::new(py);
    told.set_item("digest", digest(&timed.facts))?;
    told.set_item("present", present)?;
    told.set_item("by_ring", timed.by_ring)?;
    told.set_item("wall_ns", timed.wall_ns)?;
    told.set_item("cpu_ns", timed.cpu_ns)?;
    Ok(told)
}

fn run(prober: &Prober, paths: &[&Path], batch: usize, repeat: usize) -> Timed {
    let mut answers = Vec::with_capacity(paths.len().div_ceil(batch));
    let (cpu, start) = (cpu_used(), Instant::now());
    for _ in 0..repeat {
        answers.clear();
        answers.extend(paths.chunks(batch).map(|paths| prober.stat(paths)));
    }
    let wall = start.elapsed();
    let cpu = cpu_used().zip(cpu).map(|(now, then)| now.saturating_sub(then));
    Timed {
        facts: answers.concat(),
        by_ring: prober.tally().uring,
        wall_ns: wall.as_nanos() as u64,
        cpu_ns: cpu.map(|cpu| cpu.as_nanos() as u64),
    }
}

/// The same for the same facts in the same order.
fn digest(facts: &[Fact]) -> u64 {
    let mut hash = Xxh3::new();
    for fact in facts {
        match fact {
            Fact::Absent => hash.update(&[0]),
            Fact::Failed(errno) => hash.update(&[&[1][..], &errno.to_le_bytes()].concat()),
            Fact::Present(stat) => {
                hash.update(&[2]);
                for number in numbers(stat) {
                    hash.update(&number.to_le_bytes());
                }
            }
        }
    }
    hash.digest()
}

/// All of it but the time of last access.
fn numbers(stat: &Stat) -> [i128; 9] {
    let Stat { mode, ino, dev, nlink, uid, gid, size, mtime_ns, ctime_ns, atime_ns: _ } = *stat;
    let [mode, uid, gid] = [mode, uid, gid].map(i128::from);
    let [ino, dev, nlink, size] = [ino, dev, nlink, size].map(i128::from);
    [mode, uid, gid, ino, dev, nlink, size, mtime_ns, ctime_ns]
}
