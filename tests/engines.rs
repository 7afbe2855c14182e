//! One suite, run over every engine: the same batch, the same facts, whatever the weather.
//!
//! The oracle is the standard library's `metadata`, turned into a fact here and not by the crate,
//! so that the serial engine is on trial like the others. `engines/hostile.rs` holds the cases
//! that need a process of their own: no ring, no descriptor, no thread, no rights;
//! `engines/contents.rs` those about reading files.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use fastpath::fact::{Fact, Kind, Stat};
use fastpath::probe::{Backend, Engine, Listing, Prober, Tally, availability, backends};
use proptest::prelude::*;
use tempfile::TempDir;

#[cfg(target_os = "linux")]
#[path = "engines/contents.rs"]
mod contents;

#[cfg(target_os = "linux")]
#[path = "engines/hostile.rs"]
#[allow(unsafe_code)]
mod hostile;

/// Every way of asking that a user can choose.
fn backends_all() -> impl Iterator<Item = Backend> {
    Engine::ALL.into_iter().map(Backend::Only).chain([Backend::Auto])
}

/// What the standard library says.
#[cfg(unix)]
fn oracle(path: &Path) -> Fact {
    use std::os::unix::fs::MetadataExt;
    let ns = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
    match std::fs::metadata(path) {
        Ok(m) => Fact::Present(Stat {
            mode: m.mode(),
            ino: m.ino(),
            dev: m.dev(),
            nlink: m.nlink(),
            uid: m.uid(),
            gid: m.gid(),
            size: m.size(),
            atime_ns: ns(m.atime(), m.atime_nsec()),
            mtime_ns: ns(m.mtime(), m.mtime_nsec()),
            ctime_ns: ns(m.ctime(), m.ctime_nsec()),
        }),
        Err(e) => match e.raw_os_error() {
            Some(2 | 20) => Fact::Absent,
            Some(errno) => Fact::Failed(errno),
            None => Fact::Failed(22),
        },
    }
}

/// Elsewhere the portable engine is all there is, and its own oracle.
#[cfg(not(unix))]
fn oracle(path: &Path) -> Fact {
    Prober::new(Backend::Only(Engine::Serial)).stat(&[path])[0]
}

/// Every backend gives the oracle's facts, in the oracle's order. Returns each one's tally.
fn all_agree(paths: &[PathBuf]) -> Vec<(Backend, Tally)> {
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let expected: Vec<Fact> = paths.iter().map(|path| oracle(path)).collect();
    let one = |backend: Backend| {
        let prober = Prober::new(backend);
        let facts = prober.stat(&paths);
        assert_eq!(facts.len(), paths.len(), "{}", backend.name());
        for ((path, fact), expected) in paths.iter().zip(&facts).zip(&expected) {
            assert_eq!(fact, expected, "{} on {path:?}", backend.name());
        }
        (backend, prober.tally())
    };
    backends_all().map(one).collect()
}

/// Every width that a measurement may choose gives the oracle's facts, too.
fn wide_agree(paths: &[PathBuf]) {
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let expected: Vec<Fact> = paths.iter().map(|path| oracle(path)).collect();
    for backend in backends_all() {
        for width in [0, 1, 2, 64] {
            let prober = Prober::with_width(backend, width);
            assert!(prober.stat(&paths) == expected, "{} at width {width}", backend.name());
            assert_eq!(asked(&prober.tally()), paths.len() as u64, "{}", backend.name());
        }
    }
}

/// All paths of a tally.
fn asked(tally: &Tally) -> u64 {
    tally.serial + tally.threads + tally.uring
}

fn names(root: &Path, count: usize) -> Vec<PathBuf> {
    (0..count).map(|i| root.join(format!("name{i}"))).collect()
}

#[test]
fn an_empty_batch_asks_nothing() {
    for (backend, tally) in all_agree(&[]) {
        assert_eq!(tally, Tally::default(), "{}", backend.name());
    }
}

#[test]
fn one_path_is_a_plain_call_under_every_backend() {
    let dir = TempDir::new().unwrap();
    for (backend, tally) in all_agree(&[dir.path().into()]) {
        let plain = Tally { batches: 1, serial: 1, ..Tally::default() };
        assert_eq!(tally, plain, "{}", backend.name());
    }
}

#[test]
fn batches_of_every_size() {
    let dir = TempDir::new().unwrap();
    for path in names(dir.path(), 1000).iter().step_by(3) {
        std::fs::write(path, "x".repeat(path.as_os_str().len())).unwrap();
    }
    for size in [0, 1, 2, 3, 100, 1000] {
        wide_agree(&names(dir.path(), size));
    }
    for size in [2, 10, 255, 256, 257, 1000, 100_000] {
        for (backend, tally) in all_agree(&names(dir.path(), size)) {
            assert_eq!(tally.batches, 1);
            assert_eq!(asked(&tally), size as u64, "{}", backend.name());
        }
    }
}

#[test]
fn the_same_path_again_and_again() {
    let dir = TempDir::new().unwrap();
    all_agree(&vec![dir.path().to_path_buf(); 700]);
}

/// Engines give a path its NUL in rooms of several sizes, up to the 4096 bytes of PATH_MAX.
#[test]
#[cfg(unix)]
fn paths_of_every_length() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("file"), "pass\n").unwrap();
    let of = |length: usize| {
        let mut path = dir.path().as_os_str().to_owned();
        path.push("/".repeat(length - path.len() - "file".len()));
        path.push("file");
        PathBuf::from(path)
    };
    let lengths = (120..140).chain(250..270).chain(4090..4100);
    let there: Vec<PathBuf> = lengths.map(of).collect();
    assert!(oracle(&there[0]).is_file());
    // Another byte at the end: not there, or no path at all.
    let with = |end: &str| {
        let cut = |path: &PathBuf| path.to_str().unwrap()[..path.as_os_str().len() - 1].to_owned();
        there.iter().map(|path| PathBuf::from(cut(path) + end)).collect::<Vec<_>>()
    };
    all_agree(&there);
    all_agree(&with("d"));
    all_agree(&with("\0"));
    // In batches as long as one of them, where it is the longest.
    for path in &there {
        all_agree(&[path.clone(), dir.path().into()]);
    }
}

/// One of each kind of answer that a path can have.
#[cfg(unix)]
fn odd_paths(root: &Path) -> Vec<PathBuf> {
    use std::os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener};
    std::fs::write(root.join("file"), "pass\n").unwrap();
    std::fs::create_dir(root.join("dir")).unwrap();
    symlink("file", root.join("link")).unwrap();
    symlink("nothing", root.join("dangling")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("link", root.join("link to link")).unwrap();
    std::fs::write(root.join(OsStr::from_bytes(b"caf\xe9\xff.py")), "").unwrap();
    std::fs::write(root.join("n".repeat(255)), "").unwrap();
    drop(UnixListener::bind(root.join("socket")).unwrap());
    let inside = [
        "file",
        "dir",
        "dir/",
        "file/",
        "file/below",
        "link",
        "dangling",
        "loop",
        "loop/below",
        "link to link",
        "socket",
        "absent",
        "absent/below",
        "dir/../file",
        ".",
        "dir/..",
        "./dir/.",
    ];
    let mut paths: Vec<PathBuf> = inside.iter().map(|name| root.join(name)).collect();
    paths.extend([
        root.join(OsStr::from_bytes(b"caf\xe9\xff.py")),
        root.join(OsStr::from_bytes(b"caf\xe9.py")),
        root.join("n".repeat(255)),
        root.join("n".repeat(256)),
        root.join("n".repeat(10_000)),
        root.join("./".repeat(2500)).join("file"),
        root.join("a\0b"),
        PathBuf::from("\0"),
        PathBuf::from(""),
        PathBuf::from("src"),
        PathBuf::from("Cargo.toml"),
        PathBuf::from("/"),
        PathBuf::from("/dev/null"),
        PathBuf::from("/proc/self/status/below"),
    ]);
    paths
}

#[cfg(unix)]
#[test]
fn every_kind_of_answer() {
    let dir = TempDir::new().unwrap();
    let paths = odd_paths(dir.path());
    let facts: Vec<Fact> = paths.iter().map(|path| oracle(path)).collect();
    let errnos = [libc::ENAMETOOLONG, libc::ELOOP, libc::EINVAL];
    for errno in errnos {
        assert!(facts.contains(&Fact::Failed(errno)), "the batch is to hold errno {errno}");
    }
    all_agree(&paths);
    // Each of them in every place of a batch that needs the ring to be filled more than once.
    let many: Vec<PathBuf> = paths.iter().cycle().take(paths.len() * 20).cloned().collect();
    all_agree(&many);
    for path in &paths {
        all_agree(std::slice::from_ref(path));
        all_agree(&[path.clone(), path.clone()]);
    }
}

/// A directory that comes and goes while it is asked about: each fact is one or the other.
#[test]
fn a_directory_that_vanishes_mid_batch() {
    let root = TempDir::new().unwrap();
    let dir = root.path().join("dir");
    let paths: Vec<PathBuf> = std::iter::repeat_n(dir.join("file"), 3000).collect();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    for backend in backends_all() {
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    std::fs::create_dir(&dir).unwrap();
                    std::fs::write(dir.join("file"), "").unwrap();
                    std::fs::remove_dir_all(&dir).unwrap();
                }
            });
            let prober = Prober::new(backend);
            let facts: Vec<Fact> = (0..5).flat_map(|_| prober.stat(&paths)).collect();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(facts.len(), 15_000);
            assert!(facts.iter().all(|f| *f == Fact::Absent || f.is_file()), "{}", backend.name());
        });
    }
}

#[test]
fn one_prober_for_many_threads() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("name7"), "").unwrap();
    let paths = names(dir.path(), 300);
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let expected: Vec<Fact> = paths.iter().map(|path| oracle(path)).collect();
    for backend in backends_all() {
        let prober = shared(Prober::new(backend));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..5).for_each(|_| assert_eq!(prober.stat(&paths), expected)));
            }
        });
        assert_eq!(prober.tally().batches, 40);
        assert_eq!(asked(&prober.tally()), 40 * 300, "{}", backend.name());
    }
}

/// Something in a random tree.
#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>),
    Dir,
    Link(String),
}

fn node() -> impl Strategy<Value = (String, Node)> {
    let path = "[ab]{1,2}(/[ab]){0,3}";
    let node = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..50).prop_map(Node::File),
        Just(Node::Dir),
        "(\\.\\./)?[ab]{1,2}(/[ab])?".prop_map(Node::Link),
    ];
    (path, node)
}

/// Makes what can be made; where something is in the way, it stays.
fn grow(root: &Path, nodes: &[(String, Node)]) {
    for (path, node) in nodes {
        let path = root.join(path);
        let _ = std::fs::create_dir_all(path.parent().unwrap());
        let _ = match node {
            Node::File(content) => std::fs::write(&path, content),
            Node::Dir => std::fs::create_dir(&path),
            #[cfg(unix)]
            Node::Link(target) => std::os::unix::fs::symlink(target, &path),
            #[cfg(not(unix))]
            Node::Link(_) => Ok(()),
        };
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_trees(
        nodes in proptest::collection::vec(node(), 0..30),
        questions in proptest::collection::vec("[ab]{1,2}(/[ab]|/\\.\\.|/){0,4}", 0..80),
    ) {
        let dir = TempDir::new().unwrap();
        // So deep that no `..` leads to a directory that somebody else may change meanwhile.
        let root = dir.path().join("1/2/3/4/5");
        grow(&root, &nodes);
        let known = nodes.iter().map(|(path, _)| root.join(path));
        let paths: Vec<PathBuf> = known.chain(questions.iter().map(|q| root.join(q))).collect();
        all_agree(&paths);
        listings_agree(&paths, 3);
        listings_agree(&paths, usize::MAX);
    }
}

/// The engine `serial` cannot tell, and says that it has waited; the others, that they have for few of these.
#[test]
fn what_the_kernel_knows_is_not_waited_for() {
    let dir = TempDir::new().unwrap();
    let paths: Vec<PathBuf> = (0..300).map(|i| dir.path().join(format!("{i}"))).collect();
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    for backend in backends_all() {
        let waited = Prober::new(backend).wait_for(&paths);
        assert_eq!(waited.len(), paths.len(), "{}", backend.name());
        let is_blind = backend == Backend::Only(Engine::Serial);
        assert_eq!(waited.iter().filter(|is| **is).count() > 150, is_blind, "{}", backend.name());
    }
}

/// What the standard library says is in a directory.
fn listing_oracle(dir: &Path, limit: usize) -> Result<Listing, i32> {
    let errno = |e: std::io::Error| e.raw_os_error().unwrap_or(22);
    let all: Vec<_> = std::fs::read_dir(dir).map_err(errno)?.map(Result::unwrap).collect();
    let kind = |t: std::fs::FileType| match (t.is_dir(), t.is_file(), t.is_symlink()) {
        (true, ..) => Kind::Dir,
        (_, true, _) => Kind::File,
        (.., true) => Kind::Link,
        _ => Kind::Other,
    };
    let names = all.iter().take(limit).map(|entry| {
        let name: Box<[u8]> = entry.file_name().as_encoded_bytes().into();
        (name, kind(entry.file_type().unwrap()))
    });
    Ok(Listing { names: names.collect(), complete: all.len() <= limit })
}

fn listings_agree(dirs: &[PathBuf], limit: usize) {
    let dirs: Vec<&Path> = dirs.iter().map(PathBuf::as_path).collect();
    let expected: Vec<_> = dirs.iter().map(|dir| listing_oracle(dir, limit)).collect();
    for backend in backends_all() {
        let prober = Prober::new(backend);
        assert_eq!(prober.list(&dirs, limit), expected, "{}", backend.name());
        assert_eq!(prober.tally().listings, dirs.len() as u64);
    }
}

/// Every listing fails, with this errno, under every backend.
#[cfg(target_os = "linux")]
fn listings_fail(dirs: &[&Path], errno: i32) {
    for backend in backends_all() {
        let expected: Vec<Result<Listing, i32>> = vec![Err(errno); dirs.len()];
        assert_eq!(Prober::new(backend).list(dirs, 10), expected, "{}", backend.name());
    }
}

#[cfg(unix)]
#[test]
fn listings_of_every_kind() {
    let dir = TempDir::new().unwrap();
    let paths = odd_paths(dir.path());
    let inside: Vec<PathBuf> =
        paths.into_iter().filter(|path| path.starts_with(dir.path())).collect();
    for limit in [0, 1, 5, 1000] {
        listings_agree(&inside, limit);
    }
    listings_agree(&[], 10);
}

#[test]
fn a_listing_stops_at_its_limit() {
    let dir = TempDir::new().unwrap();
    for path in names(dir.path(), 50) {
        std::fs::write(path, "").unwrap();
    }
    for (limit, length, complete) in [(0, 0, false), (49, 49, false), (50, 50, true)] {
        for backend in backends_all() {
            let listings = Prober::new(backend).list(&[dir.path()], limit);
            let listing = listings[0].as_ref().unwrap();
            assert_eq!((listing.names.len(), listing.complete), (length, complete));
        }
    }
}

#[test]
fn names_and_reasons_are_for_people() {
    for backend in backends_all() {
        assert_eq!(Backend::from_name(backend.name()), Some(backend));
    }
    for wrong in ["", "Auto", "io_uring", "threads "] {
        assert_eq!(Backend::from_name(wrong), None);
    }
    let told = backends();
    assert_eq!(
        told.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["serial", "threads", "uring"]
    );
    for (engine, (_, reason)) in Engine::ALL.into_iter().zip(told) {
        assert_eq!(reason, availability(engine).err());
    }
}
