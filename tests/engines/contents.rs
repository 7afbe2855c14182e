//! The suite's part about reading: every engine, the same contents and the same errnos.
//!
//! The oracle is the standard library's `metadata` and `read`, with the rules written down again. Linux
//! only, for its devices and FIFOs.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use fastpath::fact::{Content, Fact, Kind, Stat};
use fastpath::probe::{Prober, Tally};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{backends_all, grow, names, node, odd_paths, oracle};

/// What the standard library says, and the rules.
fn content_oracle(path: &Path, limit: u64) -> Result<Content, i32> {
    let errno = |e: std::io::Error| e.raw_os_error().unwrap_or(libc::EINVAL);
    let Fact::Present(stat) = oracle(path) else {
        return Err(errno(std::fs::metadata(path).unwrap_err()));
    };
    match stat.kind() {
        Kind::Dir => Err(libc::EISDIR),
        // Nobody can open one, but for connect(2).
        _ if stat.mode & libc::S_IFMT == libc::S_IFSOCK => Err(libc::ENXIO),
        Kind::File if stat.size > limit => Err(libc::EFBIG),
        Kind::File => {
            let bytes = std::fs::read(path).map_err(errno)?;
            let whole = bytes.len() as u64 == stat.size;
            whole.then(|| Content { stat, bytes: bytes.into() }).ok_or(libc::EAGAIN)
        }
        _ => Err(libc::EINVAL),
    }
}

/// Reading may move the time of the last access, by which nothing is told here.
fn at_rest(answer: Result<Content, i32>) -> Result<Content, i32> {
    answer.map(|c| Content { stat: Stat { atime_ns: 0, ..c.stat }, ..c })
}

/// Every backend reads what the oracle reads, in the oracle's order, and counts it.
pub fn contents_agree(paths: &[PathBuf], limit: u64) {
    let expected: Vec<_> = paths.iter().map(|path| at_rest(content_oracle(path, limit))).collect();
    contents_are(paths, limit, &expected);
}

/// Every backend gives these answers.
pub fn contents_are(paths: &[PathBuf], limit: u64, expected: &[Result<Content, i32>]) {
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    for backend in backends_all() {
        let prober = Prober::new(backend);
        let answers = prober.read(&paths, limit);
        assert_eq!(answers.len(), paths.len(), "{}", backend.name());
        for ((path, answer), expected) in paths.iter().zip(answers).zip(expected) {
            assert!(
                at_rest(answer.clone()) == *expected,
                "{} on {path:?}: {} instead of {}",
                backend.name(),
                told(&answer),
                told(expected)
            );
        }
        let batches = u64::from(!paths.is_empty());
        let tally = Tally { batches, reads: paths.len() as u64, ..Tally::default() };
        assert_eq!(prober.tally(), tally, "{}", backend.name());
    }
}

/// An answer for a message: contents may be long.
fn told(answer: &Result<Content, i32>) -> String {
    match answer {
        Ok(content) => format!("{} bytes, {:?}", content.bytes.len(), content.stat),
        Err(errno) => format!("errno {errno}"),
    }
}

/// So many files, of which no two hold the same.
pub fn files(root: &Path, count: usize) -> Vec<PathBuf> {
    std::fs::create_dir_all(root).unwrap();
    let paths = names(root, count);
    for (i, path) in paths.iter().enumerate() {
        std::fs::write(path, format!("{i}\n").repeat(i % 7)).unwrap();
    }
    paths
}

#[test]
fn batches_of_every_size() {
    let dir = TempDir::new().unwrap();
    let paths = files(dir.path(), 3000);
    for size in [0, 1, 2, 10, 255, 256, 257, 3000] {
        contents_agree(&paths[..size], 1 << 20);
    }
    // The same again and again, and every second one missing.
    contents_agree(&vec![paths[6].clone(); 700], 1 << 20);
    paths.iter().step_by(2).for_each(|path| std::fs::remove_file(path).unwrap());
    contents_agree(&paths, 1 << 20);
}

#[test]
fn files_and_limits_of_every_size() {
    let dir = TempDir::new().unwrap();
    let sizes = [0, 1, 4095, 4096, 4097, 1 << 20];
    let write = |size: usize| {
        let path = dir.path().join(size.to_string());
        let bytes: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let paths: Vec<PathBuf> = sizes.into_iter().map(write).collect();
    for limit in sizes {
        for limit in [limit.saturating_sub(1), limit, limit + 1] {
            contents_agree(&paths, limit as u64);
        }
    }
    contents_agree(&paths, u64::MAX);
    // Larger than any memory: refused for its size, and not read.
    let vast = dir.path().join("vast");
    std::fs::File::create(&vast).unwrap().set_len(1 << 43).unwrap();
    contents_agree(&[vast.clone(), paths[1].clone()], 1 << 20);
}

#[test]
fn every_kind_of_answer() {
    let dir = TempDir::new().unwrap();
    let mut paths = odd_paths(dir.path());
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    std::os::unix::fs::symlink("fifo", dir.path().join("link to fifo")).unwrap();
    // A path that the kernel cannot walk without waiting, so that it is left to a ring's workers.
    let slowly = PathBuf::from(format!("/proc/self/root{}", fifo.display()));
    paths.extend([fifo, dir.path().join("link to fifo"), slowly]);
    paths.extend(["/dev/zero", "/dev/urandom"].map(PathBuf::from));
    // The one says that it is empty, the other that it has a page; neither is so.
    paths.extend(["/proc/self/status", "/sys/devices/system/cpu/online"].map(PathBuf::from));
    let answers: Vec<_> = paths.iter().map(|path| content_oracle(path, 1 << 20)).collect();
    let errnos = [
        libc::ENOENT,
        libc::ENOTDIR,
        libc::EISDIR,
        libc::EINVAL,
        libc::ELOOP,
        libc::ENAMETOOLONG,
        libc::ENXIO,
        libc::EAGAIN,
    ];
    for errno in errnos {
        assert!(answers.contains(&Err(errno)), "the batch is to hold errno {errno}");
    }
    contents_agree(&paths, 1 << 20);
    let many: Vec<PathBuf> = paths.iter().cycle().take(paths.len() * 20).cloned().collect();
    contents_agree(&many, 1 << 20);
    for path in &paths {
        contents_agree(std::slice::from_ref(path), 1 << 20);
        contents_agree(&[path.clone(), path.clone()], 0);
    }
}

/// One file put in another's place, and one that grows and shrinks, while they are read: each answer
/// is of one file, whole, and its stat is that file's.
#[test]
fn files_that_change_mid_batch() {
    let dir = TempDir::new().unwrap();
    let (path, unsteady) = (dir.path().join("file"), dir.path().join("unsteady"));
    let next = dir.path().join("next");
    std::fs::write(&path, "0").unwrap();
    std::fs::write(&unsteady, "").unwrap();
    let paths: Vec<&Path> =
        (0..1000).map(|i| if i % 2 == 0 { &*path } else { &*unsteady }).collect();
    for backend in backends_all() {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for i in (1_usize..).take_while(|_| !done.load(Relaxed)) {
                    // As many letters as the letter's place in the alphabet.
                    let letter = char::from(b'a' + (i % 26) as u8);
                    std::fs::write(&next, letter.to_string().repeat(i % 26 + 1)).unwrap();
                    std::fs::rename(&next, &path).unwrap();
                    std::fs::write(&unsteady, "x".repeat(i % 9000)).unwrap();
                }
            });
            let prober = Prober::new(backend);
            let answers: Vec<_> = (0..5).flat_map(|_| prober.read(&paths, 1 << 20)).collect();
            done.store(true, Relaxed);
            assert_eq!(answers.len(), 5000);
            for (i, answer) in answers.iter().enumerate() {
                match answer {
                    Ok(Content { stat, bytes }) => {
                        assert_eq!(stat.size, bytes.len() as u64);
                        let letter = bytes.first().copied().unwrap_or(b'x');
                        assert!(bytes.iter().all(|b| *b == letter));
                        let whole = letter == b'0' || bytes.len() == usize::from(letter - b'a') + 1;
                        assert!(i % 2 == 1 || whole, "{bytes:?}");
                    }
                    Err(errno) => assert!(i % 2 == 1 && *errno == libc::EAGAIN, "errno {errno}"),
                }
            }
        });
        std::fs::write(&path, "0").unwrap();
    }
}

#[test]
fn one_prober_for_many_threads() {
    let dir = TempDir::new().unwrap();
    let paths = files(dir.path(), 300);
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let read =
        |prober: &Prober| prober.read(&paths, 100).into_iter().map(at_rest).collect::<Vec<_>>();
    let expected: Vec<_> = paths.iter().map(|p| at_rest(content_oracle(p, 100))).collect();
    for backend in backends_all() {
        let prober = Prober::new(backend);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..3).for_each(|_| assert!(read(&prober) == expected)));
            }
        });
        assert_eq!(prober.tally().reads, 12 * 300, "{}", backend.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_trees(
        nodes in proptest::collection::vec(node(), 0..30),
        questions in proptest::collection::vec("[ab]{1,2}(/[ab]|/\\.\\.|/){0,4}", 0..80),
        limit in 0_u64..60,
    ) {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("1/2/3/4/5");
        grow(&root, &nodes);
        let known = nodes.iter().map(|(path, _)| root.join(path));
        let paths: Vec<PathBuf> = known.chain(questions.iter().map(|q| root.join(q))).collect();
        contents_agree(&paths, limit);
    }
}
