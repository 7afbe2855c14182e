//! The command line of `slowfs`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lexopt::prelude::*;

/// What `--help` prints.
pub const HELP: &str = "\
Show a directory at another place, read-only, with a delay on every operation, as a network
filesystem would have it. Linux; needs /dev/fuse and root (CAP_SYS_ADMIN).

usage: slowfs [OPTION...] SOURCE MOUNTPOINT

      --delay-ms MS         delay of each operation, milliseconds      [1.0]
      --attr-timeout-s S    how long the kernel may keep attributes    [1]
      --entry-timeout-s S   how long it may keep names that exist      [as --attr-timeout-s]
      --threads N           threads that ask SOURCE when a delay ends  [16]
      --allow-other         let every user in, who then reads what this one can
      --stats FILE          write the counts to FILE, on SIGUSR1 and at exit
      --log-ops FILE        write a line per operation to FILE: kind, tab, path below SOURCE
  -h, --help                this text

Prints `ready` when mounted, then serves until SIGTERM, SIGINT or umount, and unmounts. After a
SIGKILL the mount point answers ENOTCONN: `umount -l MOUNTPOINT`.

Any number of operations can be under way at the same time. Names that do not exist are never kept:
each question about one reaches the server. MOUNTPOINT/.slowfs-stats reads as the counts so far, as
JSON; reading it is neither delayed nor counted.

exit status: 0 unmounted as asked, 1 could not mount or serve, 2 wrong usage

example: slowfs --delay-ms 1 --attr-timeout-s 60 ~/.venv/lib /mnt/slow
";

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How long each operation takes.
    pub delay: Duration,
    /// How long the kernel may keep attributes.
    pub attr_timeout: Duration,
    /// How long the kernel may keep a name that exists.
    pub entry_timeout: Duration,
    /// How many threads ask the source: not how many operations can be under way.
    pub threads: usize,
    /// Whether users other than this one are let in.
    pub allow_other: bool,
    /// Where the counts are written, if anywhere.
    pub stats: Option<PathBuf>,
    /// Where a line per operation is written, if anywhere.
    pub log_ops: Option<PathBuf>,
    /// The directory that is shown.
    pub source: PathBuf,
    /// Where it is shown.
    pub mountpoint: PathBuf,
}

/// The options on the command line; None when help was asked for.
///
/// # Errors
/// Names the option and the value that is wrong.
pub fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut delay = Duration::from_millis(1);
    let mut attr_timeout = Duration::from_secs(1);
    let mut entry_timeout = None;
    let mut threads = 16;
    let mut allow_other = false;
    let (mut stats, mut log_ops) = (None, None);
    let mut places: Vec<PathBuf> = Vec::new();
    while let Some(arg) = parser.next()? {
        match arg {
            Long("delay-ms") => delay = duration(&mut parser, "--delay-ms", 1e-3)?,
            Long("attr-timeout-s") => {
                attr_timeout = duration(&mut parser, "--attr-timeout-s", 1.0)?;
            }
            Long("entry-timeout-s") => {
                entry_timeout = Some(duration(&mut parser, "--entry-timeout-s", 1.0)?);
            }
            Long("threads") => threads = count(&mut parser)?,
            Long("allow-other") => allow_other = true,
            Long("stats") => stats = Some(parser.value()?.into()),
            Long("log-ops") => log_ops = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            Value(place) if places.len() < 2 => places.push(place.into()),
            _ => return Err(arg.unexpected()),
        }
    }
    let entry_timeout = entry_timeout.unwrap_or(attr_timeout);
    let [source, mountpoint] = <[PathBuf; 2]>::try_from(places)
        .map_err(|given| format!("SOURCE and MOUNTPOINT are needed, got {given:?}"))?;
    Ok(Some(Options {
        delay,
        attr_timeout,
        entry_timeout,
        threads,
        allow_other,
        stats,
        log_ops,
        source,
        mountpoint,
    }))
}

/// The next value, a non-negative number of units of `unit` seconds, an hour at the most.
fn duration(
    parser: &mut lexopt::Parser,
    option: &str,
    unit: f64,
) -> Result<Duration, lexopt::Error> {
    let text = parser.value()?.string()?;
    let seconds = f64::from_str(&text).ok().map(|number| number * unit);
    match seconds {
        Some(s) if (0.0..=3600.0).contains(&s) => Ok(Duration::from_secs_f64(s)),
        _ => Err(format!("{option}: {text:?} is not a number from 0 to an hour's worth").into()),
    }
}

/// The next value, a number of threads.
fn count(parser: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    let text = parser.value()?.string()?;
    match usize::from_str(&text) {
        Ok(n @ 1..=4096) => Ok(n),
        _ => Err(format!("--threads: {text:?} is not a number from 1 to 4096").into()),
    }
}
