//! slowfs shows what is there, asks what it is said to ask, and serves at once what comes at once.

mod common;

use std::collections::BTreeSet;
use std::ffi::{CString, OsStr};
use std::fs::{self, File, Metadata};
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use common::{Counts, Mount, fuse, slowfs, wait_for};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::{AccessFlags, Uid, access, mkfifo};

/// No kept attributes or names, and no delay: what is asked, is asked.
const NOTHING_KEPT: &[&str] = &["--delay-ms", "0", "--attr-timeout-s", "0"];
/// A minute for both: what was asked, is not asked again.
const ALL_KEPT: &[&str] = &["--delay-ms", "0", "--attr-timeout-s", "60"];

fn counts(of: &[(&str, u64)]) -> Counts {
    of.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

/// One of everything that a directory can hold and a test may meet.
fn fill_with_everything(source: &Path) {
    fs::create_dir_all(source.join("package/deep/deeper")).unwrap();
    fs::write(source.join("empty"), b"").unwrap();
    fs::write(source.join("package/__init__.py"), b"x = 1\n").unwrap();
    let large: Vec<u8> = (0..3_000_001_u32).map(|n| (n % 251) as u8).collect();
    fs::write(source.join("package/deep/large"), large).unwrap();
    fs::write(source.join(OsStr::from_bytes(b"not-\xff-utf8")), b"bytes").unwrap();
    fs::write(source.join("n".repeat(255)), b"long").unwrap();
    fs::hard_link(source.join("package/__init__.py"), source.join("package/deep/hard")).unwrap();
    symlink("package/__init__.py", source.join("link")).unwrap();
    symlink("nowhere", source.join("dangling")).unwrap();
    symlink("loop", source.join("loop")).unwrap();
    let fifo = CString::new(source.join("fifo").as_os_str().as_bytes()).unwrap();
    mkfifo(fifo.as_c_str(), Mode::S_IRUSR).unwrap();
    let old = File::create(source.join("before-the-epoch")).unwrap();
    old.set_permissions(fs::Permissions::from_mode(0o4751)).unwrap();
    old.set_modified(UNIX_EPOCH - Duration::from_nanos(1_700_000_001)).unwrap();
}

/// Every path below `root`, relative, links not followed.
fn walk(root: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut todo = vec![root.to_owned()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            found.insert(entry.path().strip_prefix(root).unwrap().to_owned());
        }
    }
    found
}

/// The fields of stat(2) that must be as in the source. Not among them: the device, and the access
/// time, which the comparison itself changes.
fn fields(meta: &Metadata) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (meta.ino(), meta.mode(), meta.nlink(), meta.uid(), meta.gid(), meta.rdev()),
        (meta.size(), meta.blocks(), meta.blksize()),
        (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()),
    )
}

#[test]
fn shows_the_source_as_it_is() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(&["--delay-ms", "0"], fill_with_everything);
    let paths = walk(&mount.source);
    assert_eq!(walk(&mount.at), paths);
    assert_eq!(paths.len(), 14);
    let device = fs::metadata(&mount.at).unwrap().dev();
    for path in &paths {
        let (here, there) = (mount.at.join(path), mount.source.join(path));
        let meta = fs::symlink_metadata(&here).unwrap();
        assert_eq!(fields(&meta), fields(&fs::symlink_metadata(&there).unwrap()), "{path:?}");
        assert_eq!(meta.dev(), device, "{path:?}");
        if meta.is_file() {
            assert!(fs::read(&here).unwrap() == fs::read(&there).unwrap(), "{path:?}");
        }
        if meta.is_symlink() {
            assert_eq!(fs::read_link(&here).unwrap(), fs::read_link(&there).unwrap());
        }
    }
    assert_eq!(
        fs::metadata(mount.at.join("loop")).unwrap_err().raw_os_error(),
        fs::metadata(mount.source.join("loop")).unwrap_err().raw_os_error()
    );
}

#[test]
fn listings_give_types_and_numbers_without_a_question_each() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(NOTHING_KEPT, fill_with_everything);
    let list = |dir: &Path| -> BTreeSet<_> {
        let entries = fs::read_dir(dir).unwrap().map(Result::unwrap);
        entries.map(|e| (e.file_name(), format!("{:?}", e.file_type().unwrap()), e.ino())).collect()
    };
    let cost = mount.cost(5, || assert_eq!(list(&mount.at), list(&mount.source)));
    // opendir(3) itself asks for the attributes of what it opened.
    let asked = [("opendir", 1), ("getattr", 1), ("readdir", 2), ("releasedir", 1)];
    assert_eq!(cost, counts(&asked));
}

#[test]
fn lists_more_names_than_one_question_answers() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(NOTHING_KEPT, |source| {
        for n in 0..5_000 {
            fs::write(source.join(format!("module_{n}.py")), b"").unwrap();
        }
    });
    let cost = mount.cost(0, || assert_eq!(walk(&mount.at), walk(&mount.source)));
    assert!(cost["readdir"] > 2, "{cost:?}");
    assert_eq!(walk(&mount.at).len(), 5_000);
}

#[test]
fn lookups_in_one_directory_are_served_at_once() {
    if !fuse() {
        return;
    }
    const CLIENTS: u64 = 64;
    let mount = Mount::new(&["--delay-ms", "400", "--threads", "2"], |_| ());
    let together = Barrier::new(CLIENTS as usize);
    thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (together, path) = (&together, mount.at.join(format!("absent_{n}")));
            scope.spawn(move || {
                together.wait();
                assert_eq!(fs::metadata(path).unwrap_err().kind(), ErrorKind::NotFound);
            });
        }
    });
    let counts = mount.counts();
    assert_eq!(counts["lookup"], CLIENTS);
    // One at a time, were the directory locked; all of them, unless this machine is very busy.
    assert!(counts["max_in_flight"] >= CLIENTS / 2, "{counts:?}");
    // Of those that were in service at once no two went one after the other.
    let most = 1 + CLIENTS - counts["max_in_flight"];
    assert!((1..=most).contains(&counts["waits"]), "{counts:?}");
}

#[test]
fn waits_are_what_went_one_after_another() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(NOTHING_KEPT, fill_with_everything);
    let waits = |work: &dyn Fn()| {
        let before = mount.counts()["waits"];
        work();
        mount.counts()["waits"] - before
    };
    let absent = |n: u64| assert!(fs::metadata(mount.at.join(format!("absent_{n}"))).is_err());
    assert_eq!(waits(&|| ()), 0);
    assert_eq!(waits(&|| (0..20).for_each(absent)), 20);
    // lookup, open, flush; nobody waits for the release.
    assert_eq!(waits(&|| drop(File::open(mount.at.join("empty")).unwrap())), 3);
}

#[test]
fn counts_every_operation_and_nothing_else() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(NOTHING_KEPT, fill_with_everything);
    let at = |path: &str| mount.at.join(path);
    let zero = mount.counts();
    assert!(zero.values().all(|count| *count == 0), "{zero:?}");

    let cost = mount.cost(2, || assert!(fs::symlink_metadata(at("empty")).is_ok()));
    assert_eq!(cost, counts(&[("lookup", 1), ("getattr", 1)]));
    let cost = mount.cost(3, || assert!(fs::symlink_metadata(at("package/deep")).is_ok()));
    assert_eq!(cost, counts(&[("lookup", 2), ("getattr", 1)]));
    let cost = mount.cost(1, || assert!(fs::symlink_metadata(at("absent")).is_err()));
    assert_eq!(cost, counts(&[("lookup", 1)]));
    let cost = mount.cost(2, || assert!(fs::read_link(at("link")).is_ok()));
    assert_eq!(cost, counts(&[("lookup", 1), ("readlink", 1)]));
    let cost = mount.cost(2, || assert!(access(&at("empty"), AccessFlags::R_OK).is_ok()));
    assert_eq!(cost, counts(&[("lookup", 1), ("access", 1)]));
    let cost = mount.cost(1, || assert!(nix::sys::statvfs::statvfs(&mount.at).is_ok()));
    assert_eq!(cost, counts(&[("statfs", 1)]));
    let cost = mount.cost(4, || drop(File::open(at("empty")).unwrap()));
    assert_eq!(cost, counts(&[("lookup", 1), ("open", 1), ("flush", 1), ("release", 1)]));
    assert_eq!(mount.counts()["max_in_flight"], 1);
}

#[test]
fn a_name_that_is_absent_is_asked_about_every_time() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(ALL_KEPT, fill_with_everything);
    let absent = mount.at.join("absent");
    let cost = mount.cost(5, || (0..5).for_each(|_| assert!(fs::metadata(&absent).is_err())));
    assert_eq!(cost, counts(&[("lookup", 5)]));
    fs::write(mount.source.join("absent"), b"").unwrap();
    assert!(fs::metadata(&absent).is_ok());
}

#[test]
fn a_name_that_is_there_is_kept_for_as_long_as_was_asked() {
    if !fuse() {
        return;
    }
    let look = |mount: &Mount| {
        mount.cost(1, || {
            (0..5).for_each(|_| assert!(fs::symlink_metadata(mount.at.join("empty")).is_ok()));
        })
    };
    let both = Mount::new(ALL_KEPT, fill_with_everything);
    assert_eq!(look(&both), counts(&[("lookup", 1)]));
    let names = Mount::new(
        &["--delay-ms", "0", "--attr-timeout-s", "0", "--entry-timeout-s", "60"],
        fill_with_everything,
    );
    assert_eq!(look(&names), counts(&[("lookup", 1), ("getattr", 5)]));
}

#[test]
fn follows_changes_below_as_nfs_does() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(ALL_KEPT, fill_with_everything);
    let (at, below) = (|p: &str| mount.at.join(p), |p: &str| mount.source.join(p));
    assert_eq!(fs::read(at("empty")).unwrap(), b"");
    assert_eq!(fs::read(at("package/__init__.py")).unwrap(), b"x = 1\n");

    // Another file in its place: the kernel still holds the old node, which is stale.
    fs::write(below("new"), b"replaced").unwrap();
    fs::rename(below("new"), below("empty")).unwrap();
    assert_eq!(fs::read(at("empty")).unwrap(), b"replaced");

    // A directory that moved takes what was known of its content along.
    fs::rename(below("package"), below("moved")).unwrap();
    assert_eq!(fs::read(at("moved/__init__.py")).unwrap(), b"x = 1\n");
    assert_eq!(fs::read(at("moved/deep/hard")).unwrap(), b"x = 1\n");

    // One of two names of a file is gone: the other still leads to it.
    fs::remove_file(below("moved/deep/hard")).unwrap();
    assert_eq!(fs::read(at("moved/__init__.py")).unwrap(), b"x = 1\n");
    // And so does the removed one, for as long as the kernel keeps names.
    assert_eq!(fs::read(at("moved/deep/hard")).unwrap(), b"x = 1\n");
}

#[test]
fn refuses_to_be_written() {
    if !fuse() {
        return;
    }
    let mount = Mount::new(NOTHING_KEPT, fill_with_everything);
    let kind = |outcome: std::io::Result<()>| outcome.unwrap_err().kind();
    assert_eq!(kind(fs::write(mount.at.join("empty"), b"x")), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(kind(fs::remove_file(mount.at.join("empty"))), ErrorKind::ReadOnlyFilesystem);
    assert_eq!(kind(fs::create_dir(mount.at.join("made"))), ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn reports_to_files_and_unmounts_when_told_to() {
    if !fuse() {
        return;
    }
    let mut options = NOTHING_KEPT.to_vec();
    options.extend(["--stats", "{}/stats", "--log-ops", "{}/log"]);
    let mut mount = Mount::new(&options, fill_with_everything);
    assert!(fs::metadata(mount.at.join("package/absent")).is_err());

    let stats = mount.scratch.join("stats");
    assert!(!stats.exists());
    mount.signal(Signal::SIGUSR1);
    let text = wait_for(|| fs::read_to_string(&stats).ok()).expect("written on SIGUSR1");
    assert_eq!(text, fs::read_to_string(mount.at.join(".slowfs-stats")).unwrap());
    fs::remove_file(&stats).unwrap();

    assert!(mount.is_mounted());
    assert!(mount.end().expect("ends on SIGTERM").success());
    assert!(!mount.is_mounted());
    assert_eq!(fs::read_to_string(&stats).unwrap(), text);
    let log = fs::read_to_string(mount.scratch.join("log")).unwrap();
    assert_eq!(log, "lookup\tpackage\nlookup\tpackage/absent\n");
}

#[test]
fn unmounts_even_while_in_use() {
    if !fuse() {
        return;
    }
    let mut mount = Mount::new(&["--delay-ms", "0"], fill_with_everything);
    let mut user = Command::new("sleep").arg("60").current_dir(&mount.at).spawn().unwrap();
    let ended = mount.end();
    user.kill().unwrap();
    user.wait().unwrap();
    assert!(ended.expect("ends on SIGTERM").success());
    assert!(!mount.is_mounted());
}

#[test]
fn lets_other_users_in_only_if_told_to() {
    if !fuse() || !Uid::effective().is_root() {
        return;
    }
    for (option, allowed) in [(&["--threads", "1"][..], false), (&["--allow-other"], true)] {
        let mount = Mount::new(option, fill_with_everything);
        // Another user who, but for FUSE's own check, may read everything.
        let mut ls = Command::new(env!("CARGO_BIN_EXE_refuse"));
        ls.args(["--nofile", "100", "--user", "65534", "--", "ls"]).arg(&mount.at);
        ls.stdout(Stdio::null()).stderr(Stdio::null());
        assert_eq!(ls.status().unwrap().success(), allowed, "{option:?}");
    }
}

/// Exit status and what it said on standard error.
fn complaint(arguments: &[&OsStr]) -> (Option<i32>, String) {
    let output = slowfs().args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn says_which_value_is_wrong() {
    for (arguments, named) in [
        (["--delay-ms", "soon", "a", "b"], "--delay-ms: \"soon\""),
        (["--attr-timeout-s", "-1", "a", "b"], "--attr-timeout-s: \"-1\""),
        (["--entry-timeout-s", "nan", "a", "b"], "--entry-timeout-s: \"nan\""),
        (["--threads", "0", "a", "b"], "--threads: \"0\""),
        (["--fast", "a", "b", "c"], "--fast"),
        (["a", "b", "extra", "d"], "extra"),
    ] {
        let (code, said) = complaint(&arguments.map(OsStr::new));
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(named), "{said}");
    }
    let (code, said) = complaint(&[OsStr::new("alone")]);
    assert_eq!((code, said.contains("alone")), (Some(2), true), "{said}");
    let (code, said) = complaint(&[OsStr::new("nonesuch"), OsStr::new(".")]);
    assert_eq!((code, said.contains("nonesuch")), (Some(1), true), "{said}");
}

#[test]
fn refuses_a_mount_point_that_would_ask_itself() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    fs::create_dir(&inner).unwrap();
    for (source, mountpoint) in [(dir.path(), &*inner), (&*inner, dir.path()), (&*inner, &*inner)] {
        let (code, said) = complaint(&[source.as_os_str(), mountpoint.as_os_str()]);
        assert_eq!((code, said.contains("contain each other")), (Some(1), true), "{said}");
    }
}
