//! Where something is missing: rights, room, memory. The same answers, or none, and the old table stays.

use std::fs::{self, File};
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use fastpath::table::shared::{Published, Refusal, Trust, open, place};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setresgid, setresuid};

use crate::alone::{alone, child, child_of, given, succeeded};
use crate::bed::{Bed, LINUX, NAME, chmod, is_root, number_at, pattern, publish_number, skip};

/// Somebody who is neither root nor has an account.
const SOMEBODY: u32 = 12_345;

fn become_somebody() {
    let (user, group) = (Uid::from_raw(SOMEBODY), Gid::from_raw(SOMEBODY));
    setresgid(group, group, group).unwrap();
    setresuid(user, user, user).unwrap();
}

fn pieces_are_right(table: &Path, number: u8) {
    let bytes = pattern(number);
    let table = open(table, Trust::User).unwrap();
    for at in (0..bytes.len() - 5000).step_by(4999) {
        assert_eq!(table.read(at as u64, 5000).as_deref(), Some(&bytes[at..at + 5000]));
    }
}

// ---- a call ------------------------------------------------------------------------------------

/// It is the same file and version that is opened anew, or nothing is read.
#[test]
fn another_version_of_the_file_is_not_read() {
    let bed = Bed::with(&pattern(50));
    let path = bed.table();
    let table = open(&path, Trust::User).unwrap();
    assert!(table.read(20_000, 100).is_some());
    publish_number(&path, 51, |_| Ok(())).unwrap();
    assert_eq!(table.read(20_000, 100).as_deref(), Some(&pattern(50)[20_000..20_100]));
    assert_eq!(table.read(100_000, 100), None, "of another file");
    pieces_are_right(&path, 51);
    let table = open(&path, Trust::User).unwrap();
    File::options().write(true).open(&path).unwrap().set_len(30_000).unwrap();
    assert_eq!(table.read(20_000, 100), None);
}

// ---- memory ------------------------------------------------------------------------------------

#[test]
fn a_piece_for_which_there_is_no_memory_is_none() {
    alone("without::little_address_space", Bed::with(b"x").dir());
}

#[test]
#[ignore = "takes memory from its process: run by the test above it"]
fn little_address_space() {
    let path = given().join(NAME);
    File::options().write(true).open(&path).unwrap().set_len(4 << 30).unwrap();
    setrlimit(Resource::RLIMIT_AS, 3 << 30, 3 << 30).unwrap();
    let table = open(&path, Trust::User).unwrap();
    assert_eq!(table.read(1 << 31, 10_000).as_deref(), Some(&[0; 10_000][..]));
    assert_eq!(table.read(1, (4 << 30) - 1), None, "more than there is room for");
}

// ---- room on the disk --------------------------------------------------------------------------

/// The signal would kill the process, had the writer not stopped before.
#[test]
fn a_table_larger_than_a_file_may_be_is_not_published() {
    let bed = Bed::with(&pattern(1));
    alone("without::small_files_only", bed.dir());
    assert_eq!(number_at(&bed.table()), 1);
}

#[test]
#[ignore = "takes room from its process: run by the test above it"]
fn small_files_only() {
    let path = given().join(NAME);
    let length = pattern(100).len() as u64;
    for most in (0..length).step_by(20_011) {
        setrlimit(Resource::RLIMIT_FSIZE, most, length).unwrap();
        let error = publish_number(&path, 100, |_| Ok(())).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFBIG), "at {most}");
        assert_eq!(number_at(&path), 1);
        assert!(!path.with_extension("table.new").exists());
    }
    setrlimit(Resource::RLIMIT_FSIZE, length, length).unwrap();
    assert_eq!(publish_number(&path, 100, |_| Ok(())).unwrap(), Published::Done);
    assert_eq!(publish_number(&path, 1, |_| Ok(())).unwrap(), Published::Done);
}

#[test]
fn without_descriptors_nothing_is_read_or_written() {
    let bed = Bed::with(&pattern(1));
    alone("without::no_descriptors", bed.dir());
    assert_eq!((number_at(&bed.table()), bed.names()), (1, vec![NAME.to_owned()]));
}

#[test]
#[ignore = "takes descriptors from its process: run by the test above it"]
fn no_descriptors() {
    let path = given().join(NAME);
    let table = open(&path, Trust::User).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 0, 0).unwrap();
    assert_eq!(open(&path, Trust::User).unwrap_err(), Refusal::Io(libc::EMFILE));
    let error = publish_number(&path, 2, |_| Ok(())).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    assert_eq!(table.read(1, 10), None);
    assert!(table.read(table.len() - 10, 10).is_some(), "what was read along is there");
}

// ---- rights ------------------------------------------------------------------------------------

#[test]
fn a_directory_that_cannot_be_written_to_is_read_all_the_same() {
    let bed = Bed::with(&pattern(1));
    if Uid::effective().is_root() {
        chown(bed.dir(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        chown(bed.table(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    chmod(bed.dir(), 0o500);
    alone("without::read_only_directory", bed.dir());
    assert_eq!(bed.names(), [NAME]);
    chmod(bed.dir(), 0o700);
}

#[test]
#[ignore = "takes rights from its process: run by the test above it"]
fn read_only_directory() {
    if Uid::effective().is_root() {
        become_somebody();
    }
    let path = given().join(NAME);
    pieces_are_right(&path, 1);
    let error = publish_number(&path, 2, |_| Ok(())).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    // Neither can a directory be made in there.
    let error = publish_number(&given().join("a").join(NAME), 2, |_| Ok(())).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    assert_eq!(number_at(&path), 1);
    // Where nothing can even be seen, the number says so.
    chmod(&given(), 0);
    assert_eq!(open(&path, Trust::User).unwrap_err(), Refusal::Io(libc::EACCES));
    chmod(&given(), 0o500);
}

/// What root made is for everybody who trusts the environment; another user's table is for nobody.
#[test]
fn roots_tables_are_believed_where_they_came_with_the_environment() {
    if !is_root() {
        return;
    }
    let bed = Bed::with(&pattern(1));
    chmod(bed.dir(), 0o755);
    chmod(&bed.table(), 0o644);
    let somebody = |test: &str| {
        let mut command = by_copy(test, bed.dir());
        succeeded(test, &command.uid(SOMEBODY).gid(SOMEBODY).output().unwrap());
    };
    somebody("without::roots_table");
    chown(bed.table(), Some(SOMEBODY + 1), None).unwrap();
    somebody("without::strangers_table");
}

/// The command that runs a test from a copy of this binary, where everybody may execute it.
fn by_copy(test: &str, dir: &Path) -> Command {
    let copy = dir.join("tests");
    if !copy.exists() {
        // By another process: a child of some other test's would inherit our descriptor, and while anybody has a
        // file open for writing, it cannot be executed (ETXTBSY).
        let mut by = Command::new("cp");
        assert!(by.arg(std::env::current_exe().unwrap()).arg(&copy).status().unwrap().success());
        chmod(&copy, 0o755);
    }
    let mut command = child_of(&copy, test, dir);
    command.current_dir("/");
    command
}

#[test]
#[ignore = "needs another user: run by a test above it"]
fn roots_table() {
    let path = given().join(NAME);
    assert_eq!(open(&path, Trust::User).unwrap_err(), Refusal::Owner(0));
    assert_eq!(open(&path, Trust::Baked).unwrap().len(), pattern(1).len() as u64);
}

#[test]
#[ignore = "needs another user: run by a test above it"]
fn strangers_table() {
    let path = given().join(NAME);
    for trust in [Trust::User, Trust::Baked] {
        assert_eq!(open(&path, trust).unwrap_err(), Refusal::Owner(SOMEBODY + 1));
    }
}

/// Whoever executes a set-user-ID program says what its environment is.
#[test]
fn a_process_with_more_rights_than_its_user_has_no_place() {
    if !is_root() {
        return;
    }
    let bed = Bed::new();
    chmod(bed.dir(), 0o755);
    let test = "without::set_user_id";
    let mut command = by_copy(test, bed.dir());
    let copy = bed.dir().join("tests");
    chown(&copy, Some(SOMEBODY), None).unwrap();
    chmod(&copy, 0o4755);
    succeeded(test, &command.output().unwrap());
    assert!(place(Some(Path::new("/a"))).is_ok(), "without more rights");
}

#[test]
#[ignore = "needs to be executed as another user's: run by the test above it"]
fn set_user_id() {
    if Uid::effective() == Uid::current() {
        skip("suid", "nothing is executed as its owner's here (nosuid)");
        return;
    }
    assert_eq!(place(Some(Path::new("/a"))), Err(Refusal::Secure));
    assert_eq!(place(None), Err(Refusal::Secure));
    for trust in [Trust::User, Trust::Baked] {
        assert_eq!(open(&given().join(NAME), trust).unwrap_err(), Refusal::Secure);
    }
    let error = publish_number(&given().join("a").join(NAME), 2, |_| Ok(())).unwrap_err();
    assert_eq!(error.to_string(), Refusal::Secure.to_string());
}

// ---- nothing: how many calls it takes ----------------------------------------------------------

#[test]
fn the_calls_are_those_that_were_promised() {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    if !strace.is_ok_and(|status| status.success()) {
        return skip("strace", "there is none");
    }
    let bed = Bed::with(&pattern(50));
    let log = bed.dir().join("calls");
    let test = "without::open_and_read";
    let itself = child(test, bed.dir());
    let mut traced = Command::new("strace");
    traced.args(["-f", "-o"]).arg(&log).arg(itself.get_program()).args(itself.get_args());
    traced.envs(itself.get_envs().filter_map(|(name, value)| Some((name, value?))));
    succeeded(test, &traced.output().unwrap());
    let log = fs::read_to_string(log).unwrap();
    let between = |from: &str, to: &str| {
        let calls = log.lines().skip_while(|line| !line.contains(from)).skip(1);
        let calls = calls.take_while(|line| !line.contains(to));
        // Before it closes one, the standard library of a debug build asks whether it is open.
        calls.filter(|line| !line.contains("F_GETFD")).collect::<Vec<_>>()
    };
    let missing = between("/mark-missing", "/mark-opened");
    assert_eq!(missing.len(), if LINUX { 1 } else { 1 + 4 }, "{missing:#?}");
    let opened = between("/mark-opened", "/mark-piece");
    // Elsewhere users and groups are asked for: four to see whether the process has more rights than its user, one for
    // the file and one for the directory.
    let at_most = if LINUX { 5 } else { 5 + 6 };
    assert!(opened.len() <= at_most, "{opened:#?}");
    let piece = between("/mark-piece", "/mark-publish");
    assert!(piece.len() <= 4, "{piece:#?}");
    // The table's name is never without a table, and nobody waits for a disk.
    let published = between("/mark-publish", "/mark-end");
    let quoted = format!("\"{NAME}\"");
    let naming: Vec<_> = published.iter().filter(|line| line.contains(&quoted)).collect();
    assert!(matches!(naming[..], [call] if call.contains("rename")), "{naming:#?}");
    assert!(!published.iter().any(|line| line.contains("sync(")), "{published:#?}");
}

#[test]
#[ignore = "is counted: run by the test above it"]
fn open_and_read() {
    let (path, missing) = (given().join(NAME), given().join("none"));
    let mark = |name: &str| drop(fs::metadata(name));
    mark("/mark-missing");
    let none = open(&missing, Trust::User);
    mark("/mark-opened");
    let table = open(&path, Trust::User).unwrap();
    let first = table.read(table.len() - 16_384, 16_384);
    mark("/mark-piece");
    let piece = table.read(20_000, 5000);
    mark("/mark-publish");
    publish_number(&path, 51, |_| Ok(())).unwrap();
    mark("/mark-end");
    assert!(none.is_err() && first.is_some() && piece.is_some());
}
