//! Where something is missing: the ring, memory, descriptors, threads, rights. Same answers.
//!
//! Each case takes something from its whole process, so each runs in one of its own: this test
//! binary again, with the one (otherwise ignored) test that does it. Linux only.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use fastpath::fact::Fact;
use fastpath::probe::{Backend, Engine, Prober, Tally, availability};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use tempfile::TempDir;

use super::contents::{contents_agree, contents_are, files};
use super::{all_agree, asked, names, odd_paths};

const RING: Backend = Backend::Only(Engine::Uring);

/// Bytes to be read of a file, at the most.
const LIMIT: u64 = 1 << 20;

/// Runs one ignored test in a process of its own, alone.
fn alone(test: &str) {
    let name = format!("hostile::{test}");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&status.stdout);
    let complained = String::from_utf8_lossy(&status.stderr);
    assert!(status.status.success(), "{name}: {said}{complained}");
    assert!(said.contains("1 passed"), "{name} is no test: {said}");
}

/// Declares a test, and the ignored one that does its work in a process of its own.
macro_rules! in_a_process_of_its_own {
    ($($(#[$meta:meta])* $name:ident => $work:ident $body:block)+) => {$(
        $(#[$meta])*
        #[test]
        fn $name() {
            alone(stringify!($work));
        }

        #[test]
        #[ignore = "takes something from its process: run by the test above it"]
        fn $work() $body
    )+};
}

/// Whether the kernel gives out rings, asked without the crate under test; and whether that has
/// the ring engine in it.
fn ring_expected() -> bool {
    let mut params = [0_u8; 120];
    // SAFETY: `io_uring_params` is 120 bytes, all zero to ask for nothing special.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    if fd >= 0 {
        // SAFETY: the descriptor was just made for us, and nobody else knows it.
        unsafe { libc::close(fd as libc::c_int) };
    }
    fd >= 0 && !cfg!(fastpath_portable)
}

fn tally_of(tallies: &[(Backend, Tally)], backend: Backend) -> Tally {
    tallies.iter().find(|(b, _)| *b == backend).unwrap().1
}

/// A thousand paths of which some are there, and one of every odd kind.
fn thousand(dir: &TempDir) -> Vec<PathBuf> {
    let mut paths = odd_paths(dir.path());
    paths.extend(names(dir.path(), 1000 - paths.len()));
    for path in paths.iter().rev().step_by(2).take(100) {
        std::fs::write(path, "x").unwrap();
    }
    paths
}

#[test]
fn the_ring_is_used_where_the_kernel_has_it() {
    if !ring_expected() {
        println!("skipped: this kernel or build has no io_uring");
        assert!(availability(Engine::Uring).is_err());
        return;
    }
    assert_eq!(availability(Engine::Uring), Ok(()));
    let dir = TempDir::new().unwrap();
    let paths = names(dir.path(), 1000);
    let tally = tally_of(&all_agree(&paths), RING);
    assert_eq!(tally, Tally { batches: 1, uring: 1000, ..Tally::default() });
}

/// From here on this thread, and those it starts, get `errno` from a system call whose second
/// argument is none of `allowed`; from all of them, if there are none.
fn refuse(call: i64, errno: i32, allowed: &[u64]) {
    let differs = |value: &u64| {
        SeccompCondition::new(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, *value).unwrap()
    };
    let rule: Vec<SeccompRule> = match allowed {
        [] => vec![],
        some => vec![SeccompRule::new(some.iter().map(differs).collect()).unwrap()],
    };
    let filter = SeccompFilter::new(
        BTreeMap::from([(call, rule)]),
        SeccompAction::Allow,
        SeccompAction::Errno(errno as u32),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: seccompiler::BpfProgram = filter.unwrap().try_into().unwrap();
    seccompiler::apply_filter(&program).unwrap();
}

/// The ring refuses: everybody answers all the same, and the ring nothing.
fn without_a_ring(why: &str) {
    assert!(!ring_expected());
    let dir = TempDir::new().unwrap();
    let paths = thousand(&dir);
    contents_agree(&paths, LIMIT);
    let tallies = all_agree(&paths);
    assert_eq!(tally_of(&tallies, RING).uring, 0);
    assert_eq!(asked(&tally_of(&tallies, RING)), 1000);
    let told = availability(Engine::Uring).unwrap_err();
    assert!(cfg!(fastpath_portable) || told.contains(why), "{told}");
}

/// A call that the ring needs later on fails: how many the ring still answered.
fn ring_answers_after_refusing(call: i64, errno: i32, allowed: &[u64]) -> u64 {
    let dir = TempDir::new().unwrap();
    let paths = names(dir.path(), 1000);
    std::fs::write(&paths[100], "x").unwrap();
    refuse(call, errno, allowed);
    let tally = tally_of(&all_agree(&paths), RING);
    assert_eq!(asked(&tally), 1000);
    tally.uring
}

/// The ring enters the kernel with no other number of requests than these: files are read all the
/// same, and none of them is left open.
fn read_after_refusing_to_enter(errno: i32, allowed: &[u64]) {
    let dir = TempDir::new().unwrap();
    let paths = files(dir.path(), 1000);
    // Whether there is a ring is asked before it is refused.
    assert_eq!(availability(Engine::Uring).is_ok(), ring_expected());
    let descriptors = count("/proc/self/fd");
    refuse(libc::SYS_io_uring_enter, errno, allowed);
    contents_agree(&paths, LIMIT);
    assert_eq!(count("/proc/self/fd"), descriptors);
    // A refusal that came in the middle counts as one.
    let refused = errno == libc::EPERM && !cfg!(fastpath_portable);
    assert_eq!(availability(Engine::Uring).is_ok(), ring_expected() && !refused);
}

in_a_process_of_its_own! {
    ring_refused_with_eperm => eperm {
        refuse(libc::SYS_io_uring_setup, libc::EPERM, &[]);
        without_a_ring("Operation not permitted");
    }

    ring_refused_with_enosys => enosys {
        refuse(libc::SYS_io_uring_setup, libc::ENOSYS, &[]);
        without_a_ring("Function not implemented");
    }

    ring_refused_with_eopnotsupp => eopnotsupp {
        refuse(libc::SYS_io_uring_setup, libc::EOPNOTSUPP, &[]);
        without_a_ring("Operation not supported");
    }

    no_memory_for_a_ring => enomem {
        refuse(libc::SYS_io_uring_setup, libc::ENOMEM, &[]);
        without_a_ring("Cannot allocate memory");
    }

    /// The seccomp filter of a container that knows the first of the three calls only.
    ring_that_takes_nothing => enter_refused {
        assert_eq!(ring_answers_after_refusing(libc::SYS_io_uring_enter, libc::EPERM, &[]), 0);
    }

    ring_that_tells_nothing_of_itself => register_refused {
        assert_eq!(ring_answers_after_refusing(libc::SYS_io_uring_register, libc::EPERM, &[]), 0);
        assert!(availability(Engine::Uring).is_err());
    }

    /// The first 256 requests get through and the next do not: what is in flight is gathered,
    /// kept, and the rest asked by another engine.
    ring_that_fails_midway => enter_refused_midway {
        let ring = ring_expected();
        let kept = ring_answers_after_refusing(libc::SYS_io_uring_enter, libc::EPERM, &[256, 0]);
        assert!(!ring || (200..1000).contains(&kept), "{kept}");
    }

    /// As before, and then not even the answers can be waited for.
    ring_that_falls_silent_midway => enter_refused_for_good {
        let kept = ring_answers_after_refusing(libc::SYS_io_uring_enter, libc::EPERM, &[256]);
        assert!(kept < 1000, "{kept}");
    }

    /// EBUSY for good, with requests in flight: it ends.
    ring_that_is_always_busy => enter_busy {
        let kept = ring_answers_after_refusing(libc::SYS_io_uring_enter, libc::EBUSY, &[256, 0]);
        assert!(kept < 1000, "{kept}");
    }

    /// The files are open and half of the stats are there.
    reading_that_fails_midway => reading_refused_midway {
        read_after_refusing_to_enter(libc::EPERM, &[256, 0]);
    }

    reading_that_falls_silent_midway => reading_refused_for_good {
        read_after_refusing_to_enter(libc::EPERM, &[256]);
    }

    reading_that_is_always_busy => reading_busy {
        read_after_refusing_to_enter(libc::EBUSY, &[256, 0]);
    }

    /// A seccomp filter binds system calls, and what a ring is asked for is none: so whoever may
    /// not open a file by himself has it from the ring, and from nobody else.
    the_ring_reads_by_itself => open_refused {
        let dir = TempDir::new().unwrap();
        let paths = files(dir.path(), 1000);
        let ring = ring_expected();
        refuse(libc::SYS_openat, libc::EPERM, &[]);
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        for backend in super::backends_all() {
            let answers = Prober::new(backend).read(&paths, LIMIT);
            let read = answers.iter().filter(|answer| answer.is_ok()).count();
            let expected = if ring && backend == RING { 1000 } else { 0 };
            assert_eq!(read, expected, "{}", backend.name());
        }
    }

    no_descriptor_left => nofile {
        let dir = TempDir::new().unwrap();
        let paths = thousand(&dir);
        let read = files(&dir.path().join("read"), 1000);
        // It takes so long to read that helpers get in each other's way.
        let long = vec![dir.path().join("long"); 64];
        std::fs::write(&long[0], vec![7; 1 << 18]).unwrap();
        let ring = ring_expected();
        setrlimit(Resource::RLIMIT_NOFILE, 64, 64).unwrap();
        let mut hoard = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            hoard.push(file);
        }
        contents_are(&read, LIMIT, &vec![Err(libc::EMFILE); read.len()]);
        let tallies = all_agree(&paths);
        assert_eq!(tally_of(&tallies, RING).uring, 0);
        super::listings_fail(&[dir.path(), dir.path()], libc::EMFILE);
        hoard.pop();
        contents_agree(&long, LIMIT);
        // One for a ring and some for its files, and too few for them all.
        for _ in 0..5 {
            hoard.pop();
            contents_agree(&read, LIMIT);
        }
        drop(hoard);
        // That was no verdict on the ring.
        assert_eq!(tally_of(&all_agree(&paths), RING).uring > 0, ring);
    }

    no_thread_to_be_had => nproc {
        let dir = TempDir::new().unwrap();
        let paths = thousand(&dir);
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let dirs = vec![dir.path(); 40];
        let listed = Prober::new(Backend::Only(Engine::Serial)).list(&dirs, 10_000);
        become_nobody();
        setrlimit(Resource::RLIMIT_NPROC, 0, 0).unwrap();
        assert!(std::thread::Builder::new().spawn(|| ()).is_err(), "a thread could be started");
        all_agree(&paths);
        contents_agree(&paths, LIMIT);
        for backend in super::backends_all() {
            assert_eq!(Prober::new(backend).list(&dirs, 10_000), listed);
        }
    }

    /// The directory itself is closed to us, so each name in it is EACCES: not absent.
    no_right_to_look => eacces {
        let dir = TempDir::new().unwrap();
        let paths = names(dir.path(), 1000);
        std::fs::write(&paths[0], "").unwrap();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o000)).unwrap();
        become_nobody();
        let paths_: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        for backend in super::backends_all() {
            let facts = Prober::new(backend).stat(&paths_);
            assert_eq!(facts, vec![Fact::Failed(libc::EACCES); 1000], "{}", backend.name());
        }
        all_agree(&paths);
        super::listings_fail(&[dir.path(), dir.path()], libc::EACCES);
        contents_are(&paths, LIMIT, &vec![Err(libc::EACCES); paths.len()]);
    }

    /// A file that is there for all to see and for some to read.
    no_right_to_read => unreadable {
        let dir = TempDir::new().unwrap();
        let paths = files(dir.path(), 300);
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        paths.iter().for_each(|path| {
            std::fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
        });
        become_nobody();
        assert!(std::fs::metadata(&paths[0]).is_ok());
        contents_are(&paths, LIMIT, &vec![Err(libc::EACCES); paths.len()]);
    }

    /// No thread (ours or the kernel's) and no descriptor is left when a batch returns.
    nothing_outlives_its_batch => leftovers {
        let dir = TempDir::new().unwrap();
        let paths = thousand(&dir);
        let (threads, descriptors) = (count("/proc/self/task"), count("/proc/self/fd"));
        for _ in 0..20 {
            all_agree(&paths);
            contents_agree(&paths, LIMIT);
            assert_eq!(count("/proc/self/fd"), descriptors);
            // A thread that was joined leaves the table a moment later, when the kernel reaps
            // it. What was left behind would stay: a thread for good, a kernel worker, on all but
            // recent kernels, for five seconds.
            let gone = (0..1000).any(|_| {
                sleep(Duration::from_millis(1));
                count("/proc/self/task") == threads
            });
            assert!(gone, "{} threads instead of {threads}", count("/proc/self/task"));
        }
    }

    /// A child forked between two batches asks as its parent does.
    a_forked_child_asks_too => fork {
        let dir = TempDir::new().unwrap();
        let paths = thousand(&dir);
        all_agree(&paths);
        // SAFETY: the child calls nothing that another thread of this process could have locked:
        // the only other one is the test harness's, which waits for this one.
        match unsafe { nix::unistd::fork() }.unwrap() {
            nix::unistd::ForkResult::Child => {
                let outcome = std::panic::catch_unwind(|| {
                    all_agree(&paths);
                    contents_agree(&paths, LIMIT);
                });
                // SAFETY: ends the child at once, without the harness's own way out.
                unsafe { libc::_exit(i32::from(outcome.is_err())) }
            }
            nix::unistd::ForkResult::Parent { child } => {
                let status = nix::sys::wait::waitpid(child, None).unwrap();
                assert_eq!(status, nix::sys::wait::WaitStatus::Exited(child, 0));
            }
        }
    }
}

/// Gives up root's rights, which no file mode and no limit of processes bind.
fn become_nobody() {
    if Uid::effective().is_root() {
        let (uid, gid) = (Uid::from_raw(65534), Gid::from_raw(65534));
        setresgid(gid, gid, gid).unwrap();
        setresuid(uid, uid, uid).unwrap();
    }
}

fn count(dir: &str) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}
