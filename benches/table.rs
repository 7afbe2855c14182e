//! The table that processes share: opening it, taking a directory's names from it, and a module's bytecode.
//!
//! `cargo bench --no-default-features --bench table`. Each is checked before it is measured. As large as what 500 modules of the
//! standard library leave: 40 directories, 500 files of 16 KB.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use fastpath::fact::{Generation, Kind, Stamp};
use fastpath::table::StemHash;
use fastpath::table::shared::{
    Key, Learnt, LearntDir, LearntFile, Published, Shared, Trust, merge, open, publish,
};

const DIRS: usize = 40;
const FILES: usize = 500;
const BYTES: usize = 16 << 10;

fn key() -> Key {
    let environment = b"/usr\0/usr".to_vec();
    Key { cache_tag: "cpython-313".into(), magic: [243, 13, 13, 10], optimize: 0, environment }
}

fn directory(number: usize) -> PathBuf {
    format!("/usr/lib/python3.13/package{number}").into()
}

fn learnt() -> Learnt {
    let per_dir = FILES.div_ceil(DIRS);
    let file = |number: usize| LearntFile {
        name: format!("module{number}.py").into_bytes().into(),
        source: Stamp { size: number as u64, ..Stamp::default() },
        bytecode: Stamp { size: BYTES as u64, ..Stamp::default() },
        bytes: (0..BYTES).map(|at| (at * 7 + number) as u8).collect(),
    };
    let dir = |number: usize| LearntDir {
        path: directory(number),
        names: Some((
            Generation::from_parts(1, number as u64, 1_000, 1_000),
            (0..60).map(|n| (format!("module{n}.py").into_bytes().into(), Kind::File)).collect(),
        )),
        files: (0..per_dir).map(file).collect(),
    };
    let dirs: Vec<_> = (0..DIRS).map(dir).collect();
    let paths = dirs.iter().flat_map(|dir| dir.files.iter().map(move |file| (dir, file)));
    let path = |(dir, file): (&LearntDir, &LearntFile)| {
        dir.path.join(String::from_utf8_lossy(&file.name).into_owned())
    };
    let plan = Some((b"script /app.py".to_vec(), paths.map(path).collect()));
    Learnt { dirs, plan, day: 20_000 }
}

fn opened(path: &Path) -> Shared {
    Shared::new(open(path, Trust::User).expect("a table"), &key(), &[]).expect("our table")
}

fn table(c: &mut Criterion) {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join(key().file_name());
    let published = publish(&path, |out| merge(None, &key(), learnt(), u64::MAX, out));
    assert_eq!(published.expect("room"), Published::Done);
    let shared = opened(&path);
    let block = shared.block(&directory(7)).expect("a directory");
    let file = block.file(b"module3.py").expect("a module");
    assert_eq!(shared.bytes_of(&file).expect("its bytes")[..2], [3, 10]);
    let names = block.names().expect("names");
    assert!(names.may_hold(StemHash::of("module59")) && !names.may_hold(StemHash::of("other")));
    assert_eq!(shared.plan(b"script /app.py").expect("a plan").len(), DIRS * FILES.div_ceil(DIRS));

    let mut group = c.benchmark_group("table");
    group.bench_function("open", |b| b.iter(|| black_box(opened(black_box(&path)))));
    group.bench_function("a directory", |b| b.iter(|| shared.block(black_box(&directory(7)))));
    group.bench_function("a name that is there", |b| {
        b.iter(|| names.kind(black_box(b"module59.py")));
    });
    group.bench_function("a name that is not", |b| {
        b.iter(|| names.may_hold(StemHash::of(black_box("other"))));
    });
    group.bench_function("a module of 16 KB", |b| b.iter(|| shared.bytes_of(black_box(&file))));
    group.bench_function("a plan of 500 files", |b| b.iter(|| shared.plan(b"script /app.py")));
    group.finish();
}

criterion_group!(benches, table);
criterion_main!(benches);
