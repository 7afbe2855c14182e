//! What the cases share: directories to search, an index over them, and leave to skip.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use fastpath::candidates::Suffixes;
use fastpath::index::{Answer, Freshness, Index, Run};
use fastpath::probe::{Backend, Engine, Tally};
use tempfile::TempDir;

use crate::oracle::{self, SUFFIXES};

pub const FRESHNESS: [Freshness; 3] = [Freshness::Auto, Freshness::Strict, Freshness::Sealed];

/// Every way of asking that a user can choose.
pub fn backends() -> impl Iterator<Item = Backend> {
    Engine::ALL.into_iter().map(Backend::Only).chain([Backend::Auto])
}

/// Some directories to search, empty at first, removed at the end.
pub struct Bed {
    pub dirs: Vec<PathBuf>,
    _root: TempDir,
}

impl Bed {
    /// This many directories, in the system's place for temporary files.
    pub fn new(count: usize) -> Self {
        Self::within(&std::env::temp_dir(), count)
    }

    /// This many directories somewhere below `place`.
    pub fn within(place: &Path, count: usize) -> Self {
        let root = tempfile::tempdir_in(place).expect("a temporary directory");
        let dirs: Vec<_> = (0..count).map(|i| root.path().join(i.to_string())).collect();
        for dir in &dirs {
            fs::create_dir(dir).expect("a directory");
        }
        Self { dirs, _root: root }
    }

    /// Makes an empty file at this path below the bed (`"0/m.py"`), and the directories it needs.
    pub fn file(&self, path: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("its directories");
        File::create(&path).expect("the file");
        path
    }

    /// Makes a directory at this path below the bed.
    pub fn dir(&self, path: &str) -> PathBuf {
        let path = self.at(path);
        fs::create_dir_all(&path).expect("the directory");
        path
    }

    /// Makes a link at this path below the bed. Whether its target is there does not matter.
    pub fn link(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, self.at(path)).expect("the link");
    }

    pub fn remove(&self, path: &str) {
        let path = self.at(path);
        let is_dir = fs::symlink_metadata(&path).expect("something to remove").is_dir();
        if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self._root.path().join(path)
    }

    /// An index over all these directories.
    pub fn index(&self, backend: Backend, freshness: Freshness) -> Ours {
        Ours::new(backend, freshness, &self.dirs)
    }

    /// One that checks everything every time.
    pub fn strict(&self) -> Ours {
        self.index(Backend::Auto, Freshness::Strict)
    }
}

/// An index, and a run of directories in it.
pub struct Ours {
    pub index: Index,
    pub run: Run,
    dirs: Vec<PathBuf>,
}

impl Ours {
    pub fn new(backend: Backend, freshness: Freshness, dirs: &[PathBuf]) -> Self {
        Self::of(Index::new(backend, freshness, Suffixes::new(&SUFFIXES)), dirs)
    }

    /// This index, with these directories.
    pub fn of(index: Index, dirs: &[PathBuf]) -> Self {
        let run = index.run(dirs.iter().map(|dir| index.directory(dir)).collect());
        Self { index, run, dirs: dirs.to_vec() }
    }

    /// One lookup.
    pub fn find(&self, name: &str) -> Answer {
        self.index.find(&mut self.index.pass(), &self.run, name)
    }

    /// One lookup, and whether it is what stock would say at this moment.
    #[track_caller]
    pub fn find_right(&self, name: &str) -> Answer {
        let ours = self.find(name);
        assert_eq!(ours, oracle::path_finder(&self.dirs, name), "{name:?}");
        ours
    }

    /// How many directories `what` listed.
    pub fn listings<R>(&self, what: impl FnOnce(&Self) -> R) -> u64 {
        self.asked(what).1
    }

    /// Questions and listings of `what`.
    pub fn asked<R>(&self, what: impl FnOnce(&Self) -> R) -> (u64, u64) {
        let stats = |tally: &Tally| tally.serial + tally.threads + tally.uring;
        let before = self.index.counts().1;
        what(self);
        let after = self.index.counts().1;
        (stats(&after) - stats(&before), after.listings - before.listings)
    }
}

/// Lets what was just changed become old enough not to be racy: from then on its generation is kept.
pub fn age() {
    sleep(Duration::from_millis(30));
}

/// Sets a directory's time of change to a fixed moment long ago, as `utime` would. (Nobody can set
/// its `ctime`.)
pub fn set_back(dir: &Path) {
    let long_ago = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 500_000_000);
    if let Ok(dir) = File::open(dir) {
        dir.set_modified(long_ago).expect("our own directory");
    }
}

/// Says, in a line that the test harness does not swallow, what could not be tested and why.
pub fn skip(what: &str, why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {what}: {why}");
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Runs the ignored test of this name alone, in a process of its own started by `command` (which
/// gets the test's arguments behind its own).
pub fn alone(mut command: Command, test: &str) {
    let output = command
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {said}{complained}");
    assert!(said.contains("1 passed"), "{test} is no test: {said}");
}

/// This test binary in a mount namespace of its own: what it mounts goes when it ends.
pub fn with_own_mounts() -> Command {
    let mut command = Command::new("unshare");
    command.args(["--mount", "--"]).arg(std::env::current_exe().expect("this binary"));
    command
}

/// Whether a command runs and succeeds.
pub fn succeeds(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}
