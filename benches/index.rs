//! What a lookup costs without Python: from the table alone, with its checks, and the first time.
//!
//! ```text
//! cargo bench --no-default-features --bench index
//! ```
//!
//! Every answer is checked before anything is measured. The directories are on the filesystem for
//! temporary files, hot, each with a few dozen names. What is promised for the table alone is 300 ns,
//! for a known name and for an absent one on 300 entries.

use std::fs::{self, File};
use std::hint::black_box;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fastpath::candidates::{Candidate, Suffixes};
use fastpath::index::{Answer, Freshness, Index, Run};
use fastpath::probe::Backend;
use tempfile::TempDir;

const SUFFIXES: [&str; 5] = [".cpython-313-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py", ".pyc"];
const PY: usize = 3;
const NAMES: usize = 30;

/// Directories of `NAMES` modules each, none of them in two: `m{entry}_{i}`.
struct Tree {
    dirs: Vec<PathBuf>,
    _root: TempDir,
}

impl Tree {
    fn new(entries: usize) -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dirs: Vec<_> = (0..entries).map(|i| root.path().join(format!("entry{i}"))).collect();
        for (entry, dir) in dirs.iter().enumerate() {
            fs::create_dir(dir).expect("a directory");
            for i in 0..NAMES {
                File::create(dir.join(format!("m{entry}_{i}.py"))).expect("a module");
            }
        }
        // Old enough for their generations to be kept.
        sleep(Duration::from_millis(50));
        Self { dirs, _root: root }
    }

    fn index(&self, freshness: Freshness) -> (Index, Run) {
        let index = Index::new(Backend::Auto, freshness, Suffixes::new(&SUFFIXES));
        let run = index.run(self.dirs.iter().map(|dir| index.directory(dir)).collect());
        (index, run)
    }

    /// A name in the last directory.
    fn last(&self) -> (String, Answer) {
        let entry = self.dirs.len() - 1;
        (format!("m{entry}_7"), Answer::Found { entry, candidate: Candidate::Module(PY) })
    }
}

fn find((index, run): &(Index, Run), name: &str) -> Answer {
    index.find(&mut index.pass(), run, name)
}

/// The answer out of the table, with nothing asked of the filesystem.
fn table_only(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("table only");
    for entries in [10, 300] {
        let tree = Tree::new(entries);
        let ours = tree.index(Freshness::Sealed);
        let (known, found) = tree.last();
        for (what, name, answer) in
            [("known", &*known, found), ("absent", "absent", Answer::Absent)]
        {
            assert_eq!(find(&ours, name), answer);
            assert_eq!(ours.0.recall(&ours.1, name).as_ref(), Some(&answer));
            group.bench_function(format!("recall, {what}, {entries} entries"), |bencher| {
                bencher.iter(|| ours.0.recall(&ours.1, black_box(name)));
            });
            let asked = ours.0.counts().1;
            group.bench_function(format!("find, sealed, {what}, {entries} entries"), |bencher| {
                bencher.iter(|| find(&ours, black_box(name)));
            });
            assert_eq!(ours.0.counts().1, asked, "the table alone");
        }
    }
    group.finish();
}

/// A name that was never asked for, on directories that are known: every directory's names.
fn new_names(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("new name");
    for entries in [10, 300] {
        let tree = Tree::new(entries);
        let ours = tree.index(Freshness::Sealed);
        assert_eq!(find(&ours, "absent"), Answer::Absent);
        let mut names = (0..).map(|i| format!("absent{i}"));
        group.bench_function(format!("absent, {entries} entries"), |bencher| {
            let next = || names.next().expect("endless");
            bencher.iter_batched(next, |name| find(&ours, &name), BatchSize::SmallInput);
        });
    }
    group.finish();
}

/// With every directory checked, as often as each mode does it.
fn checked(criterion: &mut Criterion) {
    let tree = Tree::new(10);
    let mut group = criterion.benchmark_group("10 entries");
    for freshness in [Freshness::Strict, Freshness::Auto] {
        let ours = tree.index(freshness);
        let (known, found) = tree.last();
        for (what, name, answer) in
            [("known", &*known, found), ("absent", "absent", Answer::Absent)]
        {
            assert_eq!((find(&ours, name), find(&ours, name)), (answer.clone(), answer));
            group.bench_function(format!("find, {}, {what}", freshness.name()), |bencher| {
                bencher.iter(|| find(&ours, black_box(name)));
            });
        }
    }
    group.finish();
}

/// An index that has seen nothing yet, on 300 directories.
fn first_touch(criterion: &mut Criterion) {
    let tree = Tree::new(300);
    let (known, found) = tree.last();
    assert_eq!(find(&tree.index(Freshness::Auto), &known), found);
    let mut group = criterion.benchmark_group("first touch");
    group.sample_size(20);
    group.bench_function("300 entries", |bencher| {
        let fresh = || tree.index(Freshness::Auto);
        bencher.iter_batched_ref(fresh, |ours| find(ours, &known), BatchSize::PerIteration);
    });
    group.finish();
}

criterion_group!(benches, table_only, new_names, checked, first_touch);
criterion_main!(benches);
