//! `refuse`: runs a command under a kernel that says no.
//!
//! A seccomp filter makes the io_uring system calls fail, as container engines do by default;
//! resource limits make files and threads run out. It changes itself and becomes the command: no
//! process is left in between.

mod options;

use std::collections::BTreeMap;
use std::env::consts::ARCH;
use std::error::Error;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use caps::{CapSet, Capability, CapsHashSet};
use nix::sys::prctl::{set_keepcaps, set_no_new_privs};
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

use crate::options::{HELP, Options};

/// io_uring_setup, io_uring_enter, io_uring_register: the same numbers on every architecture.
const IO_URING_CALLS: [i64; 3] = [425, 426, 427];

/// As env(1): refuse itself failed; the command could not be run; the command was not found.
const EXIT_OWN: u8 = 125;
const EXIT_CANNOT_RUN: u8 = 126;
const EXIT_NOT_FOUND: u8 = 127;

fn main() -> ExitCode {
    let options = match options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("refuse: {e}\ntry: refuse --help");
            return ExitCode::from(EXIT_OWN);
        }
    };
    if let Err(e) = apply(&options) {
        eprintln!("refuse: {e}");
        return ExitCode::from(EXIT_OWN);
    }
    let error = Command::new(&options.command).args(&options.arguments).exec();
    eprintln!("refuse: {}: {error}", options.command.display());
    ExitCode::from(match error.kind() {
        ErrorKind::NotFound => EXIT_NOT_FOUND,
        _ => EXIT_CANNOT_RUN,
    })
}

/// Puts every restriction on this process; exec(3) hands them on.
fn apply(options: &Options) -> Result<(), String> {
    if let Some(user) = options.user {
        switch_to(user).map_err(|e| format!("--user {user}: {e}"))?;
    }
    for (resource, name, limit) in [
        (Resource::RLIMIT_NOFILE, "--nofile", options.nofile),
        (Resource::RLIMIT_NPROC, "--nproc", options.nproc),
    ] {
        if let Some(limit) = limit {
            setrlimit(resource, limit, limit).map_err(|e| format!("{name} {limit}: {e}"))?;
        }
    }
    set_no_new_privs().map_err(|e| format!("no_new_privs: {e}"))?;
    if let Some(errno) = options.errno {
        let filter = filter(errno as u32).map_err(|e| format!("seccomp filter: {e}"))?;
        seccompiler::apply_filter(&filter).map_err(|e| format!("seccomp filter: {e}"))?;
    }
    Ok(())
}

/// Becomes `user`, with the group of the same number, and keeps of root's powers only that of reading
/// and searching everything: so that limits bind (root is exempt from RLIMIT_NPROC), and interpreters
/// in root's home still run. See capabilities(7) on ambient sets.
fn switch_to(user: u32) -> Result<(), Box<dyn Error>> {
    set_keepcaps(true)?;
    setgroups(&[])?;
    setgid(Gid::from_raw(user))?;
    setuid(Uid::from_raw(user))?;
    let kept = CapsHashSet::from([Capability::CAP_DAC_READ_SEARCH]);
    // Permitted last: the other two are taken from it. Ambient is what exec hands on.
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted, CapSet::Ambient] {
        caps::set(None, set, &kept)?;
    }
    Ok(())
}

/// A filter that answers `errno` to the io_uring calls and lets everything else through.
fn filter(errno: u32) -> Result<BpfProgram, seccompiler::BackendError> {
    // No rule under a call means: whatever its arguments.
    let calls: BTreeMap<_, _> = IO_URING_CALLS.into_iter().map(|call| (call, vec![])).collect();
    let here = TargetArch::try_from(ARCH)?;
    SeccompFilter::new(calls, SeccompAction::Allow, SeccompAction::Errno(errno), here)?.try_into()
}
