//! What the tests of the test bed share: leave to skip, and a slow mount that cleans up after itself.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The counts that `.slowfs-stats` shows.
pub type Counts = BTreeMap<String, u64>;

/// How long something may take that is not measured but must happen: generous, for busy machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether FUSE can be used here. If not, says so in a line that the test harness does not swallow;
/// fails if FASTPATH_REQUIRE lists `fuse`.
pub fn fuse() -> bool {
    let device = File::options().read(true).write(true).open("/dev/fuse");
    let missing = match device {
        Err(e) => Some(format!("/dev/fuse: {e}")),
        Ok(_) if !may_mount() => Some("no leave to mount (CAP_SYS_ADMIN)".to_owned()),
        Ok(_) => None,
    };
    let Some(reason) = missing else { return true };
    let required = env::var("FASTPATH_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|r| r.trim() == "fuse"), "fuse is required: {reason}");
    let _ = writeln!(io::stderr(), "skipped: fuse: {reason}");
    false
}

/// Whether the effective capabilities hold CAP_SYS_ADMIN (bit 21), see proc_pid_status(5).
fn may_mount() -> bool {
    let status = fs::read_to_string("/proc/self/status").expect("/proc/self/status");
    let line = status.lines().find_map(|l| l.strip_prefix("CapEff:")).expect("CapEff");
    let effective = u64::from_str_radix(line.trim(), 16).expect("hexadecimal");
    effective >> 21 & 1 == 1
}

/// The program under test.
pub fn slowfs() -> Command {
    Command::new(env!("CARGO_BIN_EXE_slowfs"))
}

/// A source directory, shown by a running slowfs at another.
pub struct Mount {
    server: Child,
    /// The directory that is shown.
    pub source: PathBuf,
    /// Where it is shown.
    pub at: PathBuf,
    /// A place for files besides.
    pub scratch: PathBuf,
    // Last, so that it is removed when everything else is over.
    _dir: TempDir,
}

impl Mount {
    /// Fills a source with `fill`, mounts it with `options`. `{}` in an option is the scratch directory.
    pub fn new(options: &[&str], fill: impl FnOnce(&Path)) -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let path = |name: &str| dir.path().join(name);
        let (source, at, scratch) = (path("source"), path("at"), path("scratch"));
        for made in [&source, &at, &scratch] {
            fs::create_dir(made).expect("a directory");
        }
        fill(&source);
        let scratch_text = scratch.to_str().expect("UTF-8");
        let mut server = slowfs()
            .args(options.iter().map(|option| option.replace("{}", scratch_text)))
            .args([&source, &at])
            .stdout(Stdio::piped())
            .spawn()
            .expect("slowfs");
        let mut line = String::new();
        let stdout = server.stdout.take().expect("a pipe");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Self { server, source, at, scratch, _dir: dir }
    }

    /// The counts so far.
    pub fn counts(&self) -> Counts {
        let text = fs::read_to_string(self.at.join(".slowfs-stats")).expect("the counts");
        serde_json::from_str(&text).expect("JSON of numbers")
    }

    /// What `work` costs: the kinds of operations and how many, zeros left out. Waits until `total`
    /// operations were served, because the kernel does not wait for the answer to a release.
    pub fn cost(&self, total: u64, work: impl FnOnce()) -> Counts {
        let before = self.counts();
        work();
        let after =
            wait_for(|| Some(self.counts()).filter(|c| c["total"] - before["total"] >= total))
                .unwrap_or_else(|| self.counts());
        after
            .into_iter()
            .filter(|(kind, _)| !["total", "max_in_flight", "waits"].contains(&kind.as_str()))
            .map(|(kind, count)| (kind.clone(), count - before[&kind]))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    /// Sends a signal to the server.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.server.id().cast_signed()), signal).expect("kill");
    }

    /// Asks the server to end; its exit status, or None if it does not.
    pub fn end(&mut self) -> Option<ExitStatus> {
        if let Some(status) = self.server.try_wait().expect("wait") {
            return Some(status);
        }
        self.signal(Signal::SIGTERM);
        wait_for(|| self.server.try_wait().expect("wait"))
    }

    /// Whether something is mounted there.
    pub fn is_mounted(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc/self/mounts");
        let at = self.at.to_str().expect("UTF-8");
        mounts.lines().any(|line| line.split(' ').nth(1) == Some(at))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if self.end().is_none() {
            let _ = self.server.kill();
            let _ = self.server.wait();
        }
        if self.is_mounted() {
            let _ = nix::mount::umount2(&self.at, nix::mount::MntFlags::MNT_DETACH);
        }
    }
}

/// The first answer of `probe` that is there, or None if patience runs out.
pub fn wait_for<T>(mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Some(answer) = probe() {
            return Some(answer);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    None
}
