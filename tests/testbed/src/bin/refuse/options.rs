//! The command line of `refuse`.

use std::ffi::OsString;
use std::str::FromStr;

use lexopt::prelude::*;
use nix::errno::Errno;

/// What `--help` prints.
pub const HELP: &str = "\
Run a command under a kernel that refuses io_uring, or with few files and threads. Linux.

usage: refuse [--errno NAME] [--nofile N] [--nproc N] [--user UID] [--] COMMAND [ARGUMENT...]

      --errno NAME   io_uring_setup, io_uring_enter and io_uring_register fail with NAME:
                     EPERM (Docker, containerd), ENOSYS (old or small kernels), EOPNOTSUPP, ENOMEM
      --nofile N     at most N file descriptors (RLIMIT_NOFILE)
      --nproc N      at most N processes and threads of this user (RLIMIT_NPROC); root is exempt
      --user UID     become this user, who need not exist, but still read and search everything
                     (CAP_DAC_READ_SEARCH); needs root
  -h, --help         this text

One of the first three options is needed. The command also gets no_new_privs: no set-user-ID program
works below it.

exit status: the command's; 125 if refuse itself fails, 126 if the command cannot be run, 127 if it
is not found

examples: refuse --errno EPERM --nofile 64 -- python3 -c pass
          refuse --user 54321 --nproc 1 -- python3 -c 'import threading; threading.Thread().start()'
";

/// The errors that kernels and sandboxes were seen to give.
const ERRNOS: [(&str, Errno); 4] = [
    ("EPERM", Errno::EPERM),
    ("ENOSYS", Errno::ENOSYS),
    ("EOPNOTSUPP", Errno::EOPNOTSUPP),
    ("ENOMEM", Errno::ENOMEM),
];

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// What the io_uring calls fail with; None lets them through.
    pub errno: Option<Errno>,
    /// RLIMIT_NOFILE, soft and hard.
    pub nofile: Option<u64>,
    /// RLIMIT_NPROC, soft and hard.
    pub nproc: Option<u64>,
    /// The user to become.
    pub user: Option<u32>,
    /// The program, looked for on PATH.
    pub command: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// The options on the command line; None when help was asked for.
///
/// # Errors
/// Names the option and the value that is wrong.
pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let (mut errno, mut nofile, mut nproc, mut user) = (None, None, None, None);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("errno") => errno = Some(errno_named(&parser.value()?.string()?)?),
            Long("nofile") => nofile = Some(number(&mut parser, "--nofile")?),
            Long("nproc") => nproc = Some(number(&mut parser, "--nproc")?),
            Long("user") => user = Some(number(&mut parser, "--user")?),
            Short('h') | Long("help") => return Ok(None),
            // What follows the command's name is the command's.
            Value(command) => {
                if errno.is_none() && nofile.is_none() && nproc.is_none() {
                    return Err("one of --errno, --nofile and --nproc is needed".into());
                }
                let arguments = parser.raw_args()?.collect();
                return Ok(Some(Options { errno, nofile, nproc, user, command, arguments }));
            }
            _ => return Err(arg.unexpected()),
        }
    }
    Err("a COMMAND is needed".into())
}

fn errno_named(text: &str) -> Result<Errno, lexopt::Error> {
    match ERRNOS.iter().find(|(name, _)| *name == text) {
        Some((_, errno)) => Ok(*errno),
        None => {
            let names: Vec<_> = ERRNOS.iter().map(|(name, _)| *name).collect();
            Err(format!("--errno: {text:?} is none of {}", names.join(", ")).into())
        }
    }
}

fn number<N: FromStr>(parser: &mut lexopt::Parser, option: &str) -> Result<N, lexopt::Error> {
    let text = parser.value()?.string()?;
    N::from_str(&text).map_err(|_| format!("{option}: {text:?} is no number that fits").into())
}
