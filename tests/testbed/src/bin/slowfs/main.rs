//! `slowfs`: a directory seen through a slow, read-only filesystem that counts what it is asked.
//!
//! This file mounts, waits for signals and unmounts. `options` is the command line, `fs` the
//! filesystem: `pace` delays, `source` answers, `nodes` are its inode numbers, `tally` its counters.

mod fs;
mod nodes;
mod options;
mod pace;
mod source;
mod tally;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use fuser::{Config, MountOption, Session, SessionACL, SessionUnmounter};
use nix::mount::{MntFlags, umount2};
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::Signals;

use crate::fs::SlowFs;
use crate::options::{HELP, Options};
use crate::tally::Tally;

fn main() -> ExitCode {
    let options = match options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("slowfs: {e}\ntry: slowfs --help");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("slowfs: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Threads that take requests from the kernel and put them into the queue: quick work, but each
/// brings a buffer of 16 MB.
const READERS: usize = 2;

/// Mounts, serves until unmounted, writes the counts.
fn run(options: &Options) -> Result<(), String> {
    // The kernel may add this much to a sleep, by default 50 µs; threads inherit it.
    let _ = nix::sys::prctl::set_timerslack(1);
    let mountpoint = check_places(options)?;
    let tally = Arc::new(Tally::default());
    let server = SlowFs::new(options, Arc::clone(&tally))?;
    // Before the mount, so that no signal finds us with a mount and without a handler.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGUSR1]).map_err(|e| e.to_string())?;
    let mut session = Session::new(server, &mountpoint, &config(options))
        .map_err(|e| format!("cannot mount at {}: {e}", mountpoint.display()))?;
    let mut unmounter = session.unmount_callable();
    let stats = options.stats.clone();
    {
        let (tally, stats) = (Arc::clone(&tally), stats.clone());
        thread::spawn(move || {
            for signal in &mut signals {
                match signal {
                    SIGUSR1 => report(stats.as_deref(), &tally),
                    _ => unmount(&mut unmounter, &mountpoint),
                }
            }
        });
    }
    // Whoever waited for that line may have gone: no reason to stop.
    let _ = writeln!(io::stdout(), "ready");
    let served = session.run();
    report(stats.as_deref(), &tally);
    served.map_err(|e| format!("serving ended: {e}"))
}

/// The mount point, made absolute. Refuses one inside the source and one that holds the source: a
/// question to the server would then ask the server.
fn check_places(options: &Options) -> Result<PathBuf, String> {
    let resolve = |path: &Path| match path.canonicalize() {
        Ok(found) if found.is_dir() => Ok(found),
        Ok(_) => Err(format!("{}: not a directory", path.display())),
        Err(e) if e.raw_os_error() == Some(nix::libc::ENOTCONN) => {
            Err(format!("{0}: a dead mount is in the way: umount -l {0}", path.display()))
        }
        Err(e) => Err(format!("{}: {e}", path.display())),
    };
    let (source, mountpoint) = (resolve(&options.source)?, resolve(&options.mountpoint)?);
    if source.starts_with(&mountpoint) || mountpoint.starts_with(&source) {
        return Err(format!(
            "SOURCE {} and MOUNTPOINT {} must not contain each other",
            source.display(),
            mountpoint.display()
        ));
    }
    Ok(mountpoint)
}

/// `default_permissions` is left out: with it the kernel asks for the attributes of every directory
/// on the way, and the counts no longer show what the client asked.
fn config(options: &Options) -> Config {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::RO,
        MountOption::FSName(options.source.display().to_string()),
        MountOption::Subtype("slowfs".to_owned()),
    ];
    config.acl = if options.allow_other { SessionACL::All } else { SessionACL::Owner };
    config.n_threads = Some(READERS);
    config
}

/// Unmounts. Where somebody still uses the mount, it is taken from them: they get ENOTCONN.
fn unmount(unmounter: &mut SessionUnmounter, mountpoint: &Path) {
    if let Err(e) = unmounter.unmount() {
        eprintln!("slowfs: {}: {e}; detaching by force", mountpoint.display());
        if let Err(e) = umount2(mountpoint, MntFlags::MNT_FORCE | MntFlags::MNT_DETACH) {
            eprintln!("slowfs: cannot unmount {}: {e}", mountpoint.display());
        }
    }
}

/// Writes the counts to `file`, in one step for whoever reads it.
fn report(file: Option<&Path>, tally: &Tally) {
    let Some(file) = file else { return };
    let mut fresh = file.as_os_str().to_owned();
    fresh.push(".new");
    let written = std::fs::write(&fresh, tally.json()).and_then(|()| std::fs::rename(&fresh, file));
    if let Err(e) = written {
        eprintln!("slowfs: cannot write {}: {e}", file.display());
    }
}
