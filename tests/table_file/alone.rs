//! A test in a process of its own: this binary again, with the one (otherwise ignored) test that does it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Where the other process finds its bed.
const DIR: &str = "FASTPATH_TEST_DIR";

/// The command that runs an ignored test, by its module and name, in this directory.
pub fn child(test: &str, dir: &Path) -> Command {
    child_of(&env::current_exe().unwrap(), test, dir)
}

/// The same, of another copy of this binary.
pub fn child_of(binary: &Path, test: &str, dir: &Path) -> Command {
    let mut command = Command::new(binary);
    let arguments = ["--exact", test, "--ignored", "--nocapture", "--test-threads=1"];
    command.args(arguments).env(DIR, dir);
    command
}

/// Runs an ignored test to its end, which must be a good one.
#[track_caller]
pub fn alone(test: &str, dir: &Path) {
    succeeded(test, &child(test, dir).output().unwrap());
}

#[track_caller]
pub fn succeeded(test: &str, output: &Output) {
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}: {said}{complained}");
    assert!(said.contains("1 passed"), "{test} is no test: {said}");
}

/// In the other process: the directory it was given.
pub fn given() -> PathBuf {
    env::var_os(DIR).expect("run by the test above it").into()
}
