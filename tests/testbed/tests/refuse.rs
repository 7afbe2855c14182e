//! Under refuse, the io_uring system calls fail as asked, the limits hold, and all else is as before.
//!
//! The command that is run under it is this test program itself, told by its arguments to run only
//! `what_a_child_sees`.
#![allow(unsafe_code)] // system calls that libc has no function for, with arguments that do nothing

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::Uid;

const EXE: &str = env!("CARGO_BIN_EXE_refuse");

/// Runs `what_a_child_sees` under refuse with `options`; what it printed, line by line.
fn seen_by_child(options: &[&str]) -> Vec<String> {
    let this = env::current_exe().unwrap();
    let output = Command::new(EXE)
        .args(options)
        .arg("--")
        .arg(this)
        .args(["--ignored", "--exact", "what_a_child_sees", "--nocapture", "--test-threads=1"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.strip_prefix("seen: ")).map(str::to_owned).collect()
}

#[test]
#[ignore = "run by the other tests, under refuse"]
fn what_a_child_sees() {
    let errno = |call: i64| {
        // SAFETY: the arguments point at nothing: no entries, no parameters, no such descriptor.
        let result = unsafe { libc::syscall(call, -1, 0, 0, 0, 0, 0) };
        assert_eq!(result, -1);
        std::io::Error::last_os_error().raw_os_error().unwrap()
    };
    // The harness has begun a line of its own.
    println!();
    println!("seen: io_uring {} {} {}", errno(425), errno(426), errno(427));
    println!("seen: nofile {:?}", getrlimit(Resource::RLIMIT_NOFILE).unwrap());
    println!("seen: nproc {:?}", getrlimit(Resource::RLIMIT_NPROC).unwrap());
    println!("seen: no_new_privs {}", nix::sys::prctl::get_no_new_privs().unwrap());
    let files: Vec<_> = (0..100).map_while(|_| File::open("/dev/null").ok()).collect();
    println!("seen: files {}", files.len());
}

#[test]
fn io_uring_fails_with_the_errno_that_was_asked_for() {
    for (name, errno) in [
        ("EPERM", libc::EPERM),
        ("ENOSYS", libc::ENOSYS),
        ("EOPNOTSUPP", libc::EOPNOTSUPP),
        ("ENOMEM", libc::ENOMEM),
    ] {
        let seen = seen_by_child(&["--errno", name]);
        assert_eq!(seen[0], format!("io_uring {errno} {errno} {errno}"));
        assert_eq!(seen[3], "no_new_privs true");
        assert_eq!(seen[4], "files 100");
    }
}

#[test]
fn limits_hold_and_leave_io_uring_alone() {
    let seen = seen_by_child(&["--nofile", "20", "--nproc", "1234"]);
    let refused = [libc::EPERM, libc::ENOMEM].map(|e| format!("io_uring {e} {e} {e}"));
    assert!(!refused.contains(&seen[0]), "{seen:?}");
    assert_eq!(seen[1], "nofile (20, 20)");
    assert_eq!(seen[2], "nproc (1234, 1234)");
    let files: u32 = seen[4].strip_prefix("files ").unwrap().parse().unwrap();
    assert!((1..=17).contains(&files), "{seen:?}");
}

/// Root is exempt from RLIMIT_NPROC: without `--user` this limit could not be tried by root.
#[test]
fn another_user_has_no_second_thread_but_reads_what_root_reads() {
    if !Uid::effective().is_root() {
        let _ = writeln!(std::io::stderr(), "skipped: root: --user needs it");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "read").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    // A user number that nobody else has processes of; the shell cannot fork, so it only has built-ins.
    let user = (0x4000_0000 | std::process::id()).to_string();
    let script = "read -r line <\"$1\"; echo \"$line\"; (echo second)";
    let arguments = ["--user", &user, "--nproc", "1", "--", "sh", "-c", script, "sh"];
    let output = Command::new(EXE).args(arguments).arg(&secret).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "read\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("fork"), "{output:?}");
    assert!(!output.status.success());
    let output = run(&["--user", &user, "--nproc", "2", "--", "sh", "-c", "(echo second)"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "second\n");
}

fn run(arguments: &[&str]) -> Output {
    Command::new(EXE).args(arguments).output().unwrap()
}

#[test]
fn exits_as_the_command_does() {
    assert_eq!(run(&["--errno", "EPERM", "--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(run(&["--nofile", "50", "sh", "-c", "exit 8", "--help"]).status.code(), Some(8));
    assert_eq!(run(&["--nofile", "50", "/"]).status.code(), Some(126));
    assert_eq!(run(&["--nofile", "50", "no-such-command"]).status.code(), Some(127));
}

#[test]
fn says_which_value_is_wrong() {
    for (arguments, named) in [
        (&["--errno", "EWHAT", "true"][..], "\"EWHAT\""),
        (&["--nofile", "few", "true"], "--nofile: \"few\""),
        (&["--nproc", "-1", "true"], "--nproc: \"-1\""),
        (&["--user", "nobody", "true"], "--user: \"nobody\""),
        (&["--errno", "EPERM"], "COMMAND"),
        (&["true"], "--errno"),
        (&["--quiet", "true"], "--quiet"),
    ] {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{said}");
        assert!(said.contains(named), "{said}");
    }
}
