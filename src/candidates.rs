//! Which files CPython would try for a name in a directory, and in which order.
//!
//! Pure: nothing here touches the filesystem. The rule is `FileFinder.find_spec` of
//! `Lib/importlib/_bootstrap_external.py`: if the directory holds the bare name, the package's
//! `__init__` with each suffix; then the module file with each suffix; and where neither is there
//! and the bare name is a directory, a portion of a namespace package.

use std::path::{Path, PathBuf};

/// The stem of the file that makes a directory a regular package.
pub const INIT: &str = "__init__";

/// The suffixes of importable files, in the order of `FileFinder._loaders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suffixes(Box<[Box<str>]>);

impl Suffixes {
    /// The suffixes, first tried first. Each begins with a dot.
    #[must_use]
    pub fn new<S: AsRef<str>>(ordered: &[S]) -> Self {
        Self(ordered.iter().map(|s| s.as_ref().into()).collect())
    }

    /// Each suffix, first tried first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// The suffix at this place in the order.
    #[must_use]
    pub fn get(&self, at: usize) -> &str {
        &self.0[at]
    }
}

/// What a name turned out to be in one directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// A regular package: the bare name is a directory with `__init__` and the suffix at this place.
    Package(usize),
    /// A module: a file with the suffix at this place.
    Module(usize),
}

/// Whether a name could stand in a directory listing at all. No filesystem lists a name with a
/// separator or NUL, so stock's set of names never has one; a stat of such a path might succeed.
#[must_use]
pub fn can_be_listed(name: &str) -> bool {
    !name.contains(['/', '\0']) && (!cfg!(windows) || !name.contains(['\\', ':']))
}

/// `dir` with `name` behind it, as `_path_join` of importlib joins: trailing separators of the
/// directory are stripped first.
#[must_use]
pub fn join(dir: &Path, name: &str, suffix: &str) -> PathBuf {
    let mut joined = trimmed(dir);
    joined.reserve_exact(1 + name.len() + suffix.len());
    joined.push("/");
    joined.push(name);
    joined.push(suffix);
    PathBuf::from(joined)
}

fn trimmed(dir: &Path) -> std::ffi::OsString {
    match dir.to_str() {
        Some(text) => text.trim_end_matches('/').into(),
        None => dir.as_os_str().to_owned(),
    }
}

/// The module files of `name` in `dir`, one per suffix, in order.
#[must_use]
pub fn files(dir: &Path, name: &str, suffixes: &Suffixes) -> Vec<PathBuf> {
    suffixes.iter().map(|suffix| join(dir, name, suffix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins_as_importlib_does() {
        for (dir, want) in [("/a", "/a/m.py"), ("/a//", "/a/m.py"), ("/", "/m.py")] {
            assert_eq!(join(Path::new(dir), "m", ".py"), Path::new(want));
        }
    }

    #[test]
    fn files_follow_the_order_of_the_suffixes() {
        let suffixes = Suffixes::new(&[".abi3.so", ".py", ".pyc"]);
        let files = files(Path::new("/d"), "m", &suffixes);
        assert_eq!(files, ["/d/m.abi3.so", "/d/m.py", "/d/m.pyc"].map(PathBuf::from));
    }

    #[test]
    fn separators_and_nul_are_never_listed() {
        assert!(can_be_listed("numpy") && can_be_listed("") && can_be_listed("é"));
        assert!(!can_be_listed("a/b") && !can_be_listed("a\0b"));
    }
}
