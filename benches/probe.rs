//! What the engines cost, and how close the automatic choice comes to the best of them.
//!
//! ```text
//! cargo bench --no-default-features --bench probe                        criterion, per engine
//! cargo bench --no-default-features --bench probe -- --regret            auto against the best
//! cargo bench --no-default-features --bench probe -- --regret cold --json
//! cargo bench --no-default-features --bench probe -- --waits             reading, on a slow mount
//! ```
//!
//! Every engine's answer is compared with the serial one's before anything is measured. The runs
//! of the engines are interleaved, so that a noisy neighbour disturbs them all alike; figures are
//! medians. `auto` is a prober that was used there before, `auto first` one that never was: on the
//! cold beds that is the one to look at, for what was asked before is not cold.
//!
//! `--waits` measures no time. It reads 10, then 100, then 300 files of a mount of `slowfs` that
//! `FASTPATH_BENCH_SLOW` names (410 in all), and prints what that cost in operations and in waits (see
//! tests/testbed/README.md). What has been looked up is not looked up again: mount it afresh for
//! each engine, which is the argument (`--waits uring`).
//!
//! Three beds: hot and cold files on the filesystem of the build directory (cold needs root, to
//! drop the kernel's caches), and absent names on a slow mount named by `FASTPATH_BENCH_SLOW`.
//! A bed that cannot be had is skipped with a line that says so.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use fastpath::probe::{Backend, Engine, Prober, availability};

const SIZES: [usize; 3] = [10, 300, 3000];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    if has("--waits") {
        let name = args.iter().find(|arg| !arg.starts_with("--")).map_or("auto", String::as_str);
        return waits(Backend::from_name(name).expect("an engine's name"));
    }
    let tree = Tree::make();
    if has("--regret") {
        let bed = args.iter().find(|arg| !arg.starts_with("--")).map_or("", String::as_str);
        let rows = regret(&tree, bed);
        print!("{}", if has("--json") { json(&rows) } else { table(&rows) });
        return;
    }
    let mut criterion = Criterion::default().configure_from_args();
    engines(&mut criterion, &tree);
    reading(&mut criterion, &tree);
    criterion.final_summary();
}

/// Files and absent names on the filesystem of the build directory, thirty files to a directory.
struct Tree {
    root: tempfile::TempDir,
}

impl Tree {
    fn make() -> Self {
        let place = env!("CARGO_TARGET_TMPDIR");
        let root = tempfile::tempdir_in(place).expect("a directory below the build directory");
        for path in Self::paths(root.path(), SIZES[2], "py") {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            // As long as a small module.
            std::fs::write(path, "pass\n".repeat(800)).unwrap();
        }
        let tree = Self { root };
        for path in tree.spread(SIZES[2]) {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        // What is not on the disk yet cannot be dropped from the caches.
        let synced = Command::new("sync").status();
        assert!(synced.is_ok_and(|status| status.success()), "sync(1) failed");
        tree
    }

    fn paths(root: &Path, count: usize, suffix: &str) -> Vec<PathBuf> {
        let name = |i| root.join(format!("package{:03}/module{i:04}.{suffix}", i / 30));
        (0..count).map(name).collect()
    }

    /// As a first look along a long path goes: every name in a directory of its own.
    fn spread(&self, count: usize) -> Vec<PathBuf> {
        let name = |i| self.root.path().join(format!("entry{i:04}/module.py"));
        (0..count).map(name).collect()
    }

    fn present(&self, count: usize) -> Vec<PathBuf> {
        Self::paths(self.root.path(), count, "py")
    }

    fn absent(&self, count: usize) -> Vec<PathBuf> {
        Self::paths(self.root.path(), count, "so")
    }
}

fn usable() -> impl Iterator<Item = Engine> {
    Engine::ALL.into_iter().filter(|engine| match availability(*engine) {
        Ok(()) => true,
        Err(why) => {
            eprintln!("skipped: engine {}: {why}", engine.name());
            false
        }
    })
}

fn check(prober: &Prober, paths: &[&Path]) {
    let oracle = Prober::new(Backend::Only(Engine::Serial)).stat(paths);
    assert!(prober.stat(paths) == oracle, "an engine and the oracle disagree");
}

/// Criterion: each engine on hot files and on hot absent names.
fn engines(criterion: &mut Criterion, tree: &Tree) {
    let backends: Vec<Backend> =
        usable().map(Backend::Only).chain(std::iter::once(Backend::Auto)).collect();
    for (what, all) in [("present", tree.present(SIZES[2])), ("absent", tree.absent(SIZES[2]))] {
        let mut group = criterion.benchmark_group(format!("hot {what}"));
        group.sample_size(10).measurement_time(Duration::from_millis(700));
        group.warm_up_time(Duration::from_millis(200));
        for size in SIZES {
            let paths: Vec<&Path> = all[..size].iter().map(PathBuf::as_path).collect();
            group.throughput(Throughput::Elements(size as u64));
            for backend in &backends {
                let prober = Prober::new(*backend);
                check(&prober, &paths);
                group.bench_function(BenchmarkId::new(backend.name(), size), |b| {
                    b.iter(|| black_box(prober.stat(black_box(&paths))));
                });
            }
        }
    }
}

/// More than any file of a bed has.
const LIMIT: u64 = 1 << 20;

/// Criterion: each engine on hot files that are read.
fn reading(criterion: &mut Criterion, tree: &Tree) {
    let all = tree.present(SIZES[2]);
    let bytes = |prober: &Prober, paths: &[&Path]| -> Vec<_> {
        prober.read(paths, LIMIT).into_iter().map(|answer| answer.map(|c| c.bytes)).collect()
    };
    let mut group = criterion.benchmark_group("hot read");
    group.sample_size(10).measurement_time(Duration::from_millis(700));
    group.warm_up_time(Duration::from_millis(200));
    for size in SIZES {
        let paths: Vec<&Path> = all[..size].iter().map(PathBuf::as_path).collect();
        let expected: Vec<_> =
            paths.iter().map(|path| Ok(std::fs::read(path).unwrap().into_boxed_slice())).collect();
        group.throughput(Throughput::Elements(size as u64));
        for backend in usable().map(Backend::Only).chain([Backend::Auto]) {
            let prober = Prober::new(backend);
            assert!(bytes(&prober, &paths) == expected, "an engine and the oracle disagree");
            group.bench_function(BenchmarkId::new(backend.name(), size), |b| {
                b.iter(|| black_box(prober.read(black_box(&paths), LIMIT)));
            });
        }
    }
}

/// What reading on a slow mount costs, in counts.
fn waits(backend: Backend) {
    let Some(mount) = std::env::var_os("FASTPATH_BENCH_SLOW").map(PathBuf::from) else {
        return eprintln!("skipped: slow mount: FASTPATH_BENCH_SLOW names none");
    };
    let count = |name: &str| -> u64 {
        let text = std::fs::read_to_string(mount.join(".slowfs-stats")).expect("a slowfs");
        let (_, rest) = text.split_once(&format!("\"{name}\":")).expect("the count");
        rest.split([',', '}']).next().and_then(|n| n.parse().ok()).expect("a number")
    };
    let entries = std::fs::read_dir(&mount).expect("a directory").map(|entry| entry.unwrap());
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    all.sort();
    let mut all = all.iter().map(PathBuf::as_path);
    println!("{:<8}{:>6}{:>8}{:>12}{:>8}", "engine", "files", "read", "operations", "waits");
    for size in [10, 100, 300] {
        let paths: Vec<&Path> = all.by_ref().take(size).collect();
        let (operations, waits) = (count("total"), count("waits"));
        let read = Prober::new(backend).read(&paths, LIMIT).iter().filter(|a| a.is_ok()).count();
        // The kernel does not wait for a release.
        std::thread::sleep(Duration::from_millis(500));
        let (operations, waits) = (count("total") - operations, count("waits") - waits);
        println!("{:<8}{:>6}{read:>8}{operations:>12}{waits:>8}", backend.name(), paths.len());
    }
}

/// What one contender's run costs.
#[derive(Clone, Copy)]
struct Cost {
    wall: Duration,
    cpu: Duration,
}

/// One bed and size: the median cost of each contender.
struct Row {
    bed: &'static str,
    size: usize,
    costs: Vec<(&'static str, Cost)>,
}

impl Row {
    fn of(&self, name: &str) -> Option<Cost> {
        self.costs.iter().find(|(n, _)| *n == name).map(|(_, cost)| *cost)
    }

    /// The engine with the least wall time.
    fn best(&self) -> (&'static str, Cost) {
        let engines = self.costs.iter().filter(|(n, _)| !n.starts_with("auto"));
        *engines.min_by_key(|(_, cost)| cost.wall).expect("serial is always there")
    }
}

/// A row for every size on every bed whose name contains `only`.
fn regret(tree: &Tree, only: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut bed = |bed: &'static str, paths: &dyn Fn(usize) -> Vec<PathBuf>, effort: &Effort| {
        if bed.contains(only) {
            rows.extend(SIZES.map(|size| row(bed, &paths(size), effort)));
        }
    };
    let hot = Effort { rounds: 41, paths: 9000, before: &|| () };
    bed("hot present", &|size| tree.present(size), &hot);
    bed("hot absent", &|size| tree.absent(size), &hot);
    if drop_caches() {
        let cold = Effort { rounds: 15, paths: 1, before: &|| assert!(drop_caches()) };
        bed("cold dense", &|size| tree.present(size), &cold);
        bed("cold spread", &|size| tree.spread(size), &cold);
    } else {
        eprintln!("skipped: cold caches: only root may drop them");
    }
    match std::env::var_os("FASTPATH_BENCH_SLOW") {
        Some(dir) => {
            let name = |i| Path::new(&dir).join(format!("absent{i:04}"));
            let slow = Effort { rounds: 9, paths: 1, before: &|| () };
            bed("slow absent", &|size| (0..size).map(name).collect(), &slow);
        }
        None => eprintln!("skipped: slow mount: FASTPATH_BENCH_SLOW names none"),
    }
    rows
}

/// How a bed is measured.
struct Effort<'a> {
    /// Samples of each contender.
    rounds: usize,
    /// Batches are repeated within a sample until it has asked so many paths.
    paths: usize,
    /// Done before each sample, unmeasured.
    before: &'a dyn Fn(),
}

/// Empties the page, dentry and inode caches (proc(5), `drop_caches`). False without the right.
fn drop_caches() -> bool {
    std::fs::write("/proc/sys/vm/drop_caches", "3").is_ok()
}

/// Medians over interleaved rounds; each sample is the mean of its batches.
fn row(bed: &'static str, paths: &[PathBuf], effort: &Effort) -> Row {
    let repeat = effort.paths.div_ceil(paths.len());
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let mut contenders: Vec<(&'static str, Prober, Vec<Cost>)> = usable()
        .map(|engine| (engine.name(), Prober::new(Backend::Only(engine)), Vec::new()))
        .collect();
    contenders.push(("auto", Prober::new(Backend::Auto), Vec::new()));
    contenders.push(("auto first", Prober::new(Backend::Auto), Vec::new()));
    for (_, prober, _) in &contenders {
        check(prober, &paths);
    }
    for round in 0..effort.rounds {
        let count = contenders.len();
        for turn in 0..count {
            let (name, prober, costs) = &mut contenders[(round + turn) % count];
            (effort.before)();
            let fresh = || Prober::new(Backend::Auto);
            costs.push(if *name == "auto first" {
                sample(repeat, || fresh().stat(&paths))
            } else {
                sample(repeat, || prober.stat(&paths))
            });
        }
    }
    let costs = contenders.into_iter().map(|(name, _, costs)| (name, median(&costs))).collect();
    Row { bed, size: paths.len(), costs }
}

fn sample<T>(repeat: usize, mut batch: impl FnMut() -> T) -> Cost {
    let (wall, cpu) = (Instant::now(), ProcessTime::now());
    for _ in 0..repeat {
        black_box(batch());
    }
    let n = repeat as u32;
    Cost { wall: wall.elapsed() / n, cpu: cpu.elapsed() / n }
}

fn median(costs: &[Cost]) -> Cost {
    let middle = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<Duration> = costs.iter().map(of).collect();
        all.sort();
        all[all.len() / 2]
    };
    Cost { wall: middle(|c| c.wall), cpu: middle(|c| c.cpu) }
}

/// Past the bound: more than 10 % and more than 30 µs above the best engine.
fn is_over(cost: Cost, best: Cost) -> bool {
    let more = cost.wall.saturating_sub(best.wall);
    more > best.wall / 10 && more > Duration::from_micros(30)
}

fn table(rows: &[Row]) -> String {
    let names = ["serial", "threads", "uring", "auto", "auto first"];
    let mut out = String::from("\nwall (CPU) of a batch, milliseconds\n\n");
    let _ = write!(out, "{:<13}{:>5}", "", "paths");
    for name in names {
        let _ = write!(out, "{name:>18}");
    }
    let _ = writeln!(out, "   best     auto/best   first/best");
    for row in rows {
        let _ = write!(out, "{:<13}{:>5}", row.bed, row.size);
        for name in names {
            let text = row.of(name).map_or("-".into(), |c| {
                format!("{:.3} ({:.3})", c.wall.as_secs_f64() * 1e3, c.cpu.as_secs_f64() * 1e3)
            });
            let _ = write!(out, "{text:>18}");
        }
        let (name, best) = row.best();
        let _ = write!(out, "   {name:<8}");
        for auto in ["auto", "auto first"] {
            let cost = row.of(auto).expect("auto always runs");
            let ratio = cost.wall.as_secs_f64() / best.wall.as_secs_f64();
            let mark = if is_over(cost, best) { " over" } else { "     " };
            let _ = write!(out, "{ratio:>7.2}{mark}");
        }
        out.push('\n');
    }
    out
}

fn json(rows: &[Row]) -> String {
    let us = |d: Duration| d.as_secs_f64() * 1e6;
    let one = |row: &Row| {
        let costs: Vec<String> = row
            .costs
            .iter()
            .map(|(n, c)| {
                format!("\"{n}\":{{\"wall_us\":{:.1},\"cpu_us\":{:.1}}}", us(c.wall), us(c.cpu))
            })
            .collect();
        format!("{{\"bed\":\"{}\",\"paths\":{},{}}}", row.bed, row.size, costs.join(","))
    };
    format!("[{}]\n", rows.iter().map(one).collect::<Vec<_>>().join(",\n "))
}
