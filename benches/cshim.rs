//! Our engines beside the same work in C (cshim/), on the same paths.
//!
//! ```text
//! make bench-cshim                                     criterion
//! make bench-cshim CSHIM=--ratios                      Rust to C, medians of pairs that took turns
//! make bench-cshim CSHIM='--ratios 201'                as often as that
//! make bench-cshim CSHIM='--run rust serial 300 1000'  that alone: 1000 batches of 300 files
//! ```
//!
//! Hot files and hot absent names on the filesystem of the build directory, 1 to 3000 paths. The C
//! engines keep the same promise as ours: nothing outlives a batch, neither a ring nor a thread; they make the
//! same calls, have the same width, stacks and depth, and every batch has answers of its own. Two things
//! are easier for C: its paths have their NUL beforehand, and it never looks at the clock. Every answer is compared,
//! field by field, before anything is measured. An engine that cannot be had is skipped with a line that says so.
//!
//! `--run` is for whoever counts instructions or system calls (valgrind, strace); the difference between two
//! numbers of batches is the cost of a batch.
//!
//! Criterion measures one contender after the other, which on a busy machine says little of their
//! ratio: that is what `--ratios` is for. It can fail nothing: times are no tests.
//!
//! It starts as a program in C does. A Rust program's own beginning gives every thread that it will ever
//! start a second stack for signals, four system calls each; an interpreter that loads our extension module has had no
//! such beginning.

#![allow(unsafe_code)]
#![no_main]

use std::ffi::{CString, c_char, c_int, c_uint};
use std::hint::black_box;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use fastpath::fact::{Fact, Stat};
use fastpath::probe::{Backend, Engine, Prober, availability};

const SIZES: [usize; 4] = [1, 10, 300, 3000];

/// Threads of the C engine: what our engine hires in advance, and the caller.
const WIDTH: c_uint = 17;

/// Paths that a sample of `--ratios` asks, at the least.
const SAMPLE: usize = 3000;

/// As the C library calls it: no panic may leave it.
#[unsafe(no_mangle)]
extern "C" fn main(_: c_int, _: *const *const c_char) -> c_int {
    c_int::from(std::panic::catch_unwind(measure).is_err())
}

fn measure() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let tree = Tree::make();
    if let Some(at) = args.iter().position(|arg| arg == "--run") {
        return run(&tree, &args[at + 1..]);
    }
    if args.iter().any(|arg| arg == "--ratios") {
        let rounds = args.iter().find_map(|arg| arg.parse().ok()).unwrap_or(41);
        return ratios(&tree, rounds);
    }
    let mut criterion = Criterion::default().configure_from_args();
    engines(&mut criterion, &tree);
    criterion.final_summary();
}

/// `struct fp_fact` of cshim/replay.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct CFact {
    error: i32,
    mode: u32,
    ino: u64,
    dev: u64,
    nlink: u64,
    uid: u32,
    gid: u32,
    size: u64,
    atime_ns: i64,
    mtime_ns: i64,
    ctime_ns: i64,
}

impl CFact {
    /// As our engines say it.
    fn fact(&self) -> Fact {
        match self.error {
            0 => Fact::Present(Stat {
                mode: self.mode,
                ino: self.ino,
                dev: self.dev,
                nlink: self.nlink,
                uid: self.uid,
                gid: self.gid,
                size: self.size,
                atime_ns: self.atime_ns.into(),
                mtime_ns: self.mtime_ns.into(),
                ctime_ns: self.ctime_ns.into(),
            }),
            libc::ENOENT | libc::ENOTDIR => Fact::Absent,
            errno => Fact::Failed(errno),
        }
    }
}

unsafe extern "C" {
    fn fastpath_c_stat_serial(paths: *const *const c_char, n: usize, out: *mut CFact);
    fn fastpath_c_stat_uring(paths: *const *const c_char, n: usize, out: *mut CFact) -> c_int;
    fn fastpath_c_stat_threads(
        paths: *const *const c_char,
        n: usize,
        width: c_uint,
        out: *mut CFact,
    );
}

/// Paths as C has them.
struct CBatch {
    pointers: Vec<*const c_char>,
    /// Own what the pointers point to.
    _paths: Vec<CString>,
}

impl CBatch {
    fn new(paths: &[&Path]) -> Self {
        let strings = paths.iter().map(|path| CString::new(path.as_os_str().as_bytes()));
        let owned: Vec<CString> = strings.map(|path| path.expect("no NUL")).collect();
        let pointers = owned.iter().map(|path| path.as_ptr()).collect();
        Self { pointers, _paths: owned }
    }

    /// Asks every path. None where the engine is refused.
    fn ask(&self, engine: Engine) -> Option<Vec<CFact>> {
        let (paths, n) = (self.pointers.as_ptr(), self.pointers.len());
        let mut facts = Vec::with_capacity(n);
        let out = facts.as_mut_ptr();
        // SAFETY: there are `n` strings, each with its NUL, and room for `n` answers, which live
        // until the call returns; nothing of the callee's outlives it; and if it is not refused,
        // it has answered each.
        unsafe {
            match engine {
                Engine::Serial => fastpath_c_stat_serial(paths, n, out),
                Engine::Threads => fastpath_c_stat_threads(paths, n, WIDTH, out),
                Engine::Uring if fastpath_c_stat_uring(paths, n, out) != 0 => return None,
                Engine::Uring => {}
            }
            facts.set_len(n);
        }
        Some(facts)
    }
}

/// Files, thirty to a directory, on the filesystem of the build directory.
struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn make() -> Self {
        let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let tree = Self { root };
        for path in tree.paths("py") {
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            std::fs::write(path, "pass\n").expect("a file");
        }
        tree
    }

    fn paths(&self, suffix: &str) -> Vec<PathBuf> {
        let name = |i| format!("package{:03}/module{i:04}.{suffix}", i / 30);
        (0..SIZES[3]).map(|i| self.root.path().join(name(i))).collect()
    }

    /// What is asked, and how it is called.
    fn beds(&self) -> [(&'static str, Vec<PathBuf>); 2] {
        [("present", self.paths("py")), ("absent", self.paths("so"))]
    }
}

/// The engines that both have here.
fn usable(paths: &[&Path]) -> Vec<Engine> {
    let both = |engine: &Engine| {
        let refused = availability(*engine).err();
        let refused = refused.or_else(|| {
            let answers = CBatch::new(paths).ask(*engine);
            answers.is_none().then(|| "refused to the C shim".to_owned())
        });
        if let Some(why) = &refused {
            eprintln!("skipped: engine {}: {why}", engine.name());
        }
        refused.is_none()
    };
    Engine::ALL.into_iter().filter(both).collect()
}

/// Panics unless both give the answers of our serial engine.
fn check(engine: Engine, prober: &Prober, batch: &CBatch, paths: &[&Path]) {
    let oracle = Prober::new(Backend::Only(Engine::Serial)).stat(paths);
    assert!(prober.stat(paths) == oracle, "our {} and the oracle disagree", engine.name());
    let answers = batch.ask(engine).expect("refused meanwhile");
    let answers: Vec<Fact> = answers.iter().map(CFact::fact).collect();
    assert!(answers == oracle, "the {} of C and the oracle disagree", engine.name());
}

/// One bed and size, for every engine: what is done with both.
fn each(tree: &Tree, mut with: impl FnMut(&str, Engine, &Prober, &CBatch, &[&Path])) {
    for (what, all) in tree.beds() {
        let all: Vec<&Path> = all.iter().map(PathBuf::as_path).collect();
        for engine in usable(&all[..1]) {
            for size in SIZES {
                let paths = &all[..size];
                let (prober, batch) = (Prober::new(Backend::Only(engine)), CBatch::new(paths));
                check(engine, &prober, &batch, paths);
                with(what, engine, &prober, &batch, paths);
            }
        }
    }
}

fn engines(criterion: &mut Criterion, tree: &Tree) {
    each(tree, |what, engine, prober, batch, paths| {
        let name = format!("cshim {what} {}", engine.name());
        let mut group = criterion.benchmark_group(name);
        group.sample_size(10).measurement_time(Duration::from_millis(700));
        group.warm_up_time(Duration::from_millis(200));
        group.throughput(Throughput::Elements(paths.len() as u64));
        group.bench_function(BenchmarkId::new("rust", paths.len()), |b| {
            b.iter(|| black_box(prober.stat(black_box(paths))));
        });
        group.bench_function(BenchmarkId::new("c", paths.len()), |b| {
            b.iter(|| black_box(batch.ask(black_box(engine))));
        });
    });
}

/// Asks for files so often, by one contender alone: "rust" or "c", an engine, paths, batches.
fn run(tree: &Tree, args: &[String]) {
    let [who, engine, paths, batches, ..] = args else { panic!("--run WHO ENGINE PATHS BATCHES") };
    let engine = Engine::ALL.into_iter().find(|one| one.name() == engine).expect("an engine");
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let all = tree.paths("py");
    let all: Vec<&Path> = all.iter().map(PathBuf::as_path).take(number(paths)).collect();
    let (prober, batch) = (Prober::new(Backend::Only(engine)), CBatch::new(&all));
    for _ in 0..number(batches) {
        match who.as_str() {
            "rust" => drop(black_box(prober.stat(&all))),
            "c" => drop(black_box(batch.ask(engine).expect("not refused"))),
            _ => panic!("rust or c, not {who}"),
        }
    }
}

/// Prints, for each bed, engine and size, what C takes and what Rust takes in proportion.
fn ratios(tree: &Tree, rounds: usize) {
    println!(
        "{:<9}{:<9}{:>6}{:>11}{:>11}{:>11}{:>11}",
        "", "engine", "paths", "C, us", "CPU, us", "Rust/C", "CPU"
    );
    each(tree, |what, engine, prober, batch, paths| {
        let repeat = SAMPLE.div_ceil(paths.len()).min(300);
        let mut pairs = Vec::with_capacity(rounds);
        for round in 0..rounds {
            let c = || sample(repeat, || batch.ask(engine));
            let rust = || sample(repeat, || prober.stat(paths));
            let pair = if round % 2 == 0 {
                (c(), rust())
            } else {
                let rust = rust();
                (c(), rust)
            };
            pairs.push(pair);
        }
        println!(
            "{what:<9}{:<9}{:>6}{:>11.1}{:>11.1}{:>11.3}{:>11.3}",
            engine.name(),
            paths.len(),
            median(&pairs, |(c, _)| c.wall * 1e6),
            median(&pairs, |(c, _)| c.cpu * 1e6),
            median(&pairs, |(c, rust)| rust.wall / c.wall),
            median(&pairs, |(c, rust)| rust.cpu / c.cpu),
        );
    });
}

/// What a batch costs, seconds: on a busy machine, CPU says more.
struct Cost {
    wall: f64,
    cpu: f64,
}

fn sample<T>(repeat: usize, mut batch: impl FnMut() -> T) -> Cost {
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    for _ in 0..repeat {
        black_box(batch());
    }
    let each = |all: Duration| all.as_secs_f64() / repeat as f64;
    Cost { wall: each(wall.elapsed()), cpu: each(cpu.elapsed()) }
}

fn median(pairs: &[(Cost, Cost)], of: impl Fn(&(Cost, Cost)) -> f64) -> f64 {
    let mut all: Vec<f64> = pairs.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
