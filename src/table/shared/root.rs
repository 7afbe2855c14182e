//! Paths as a table has them: absolute, or what stands behind a root, so that a table can move with its environment.
//!
//! It joins and splits bytes and asks nothing of the filesystem.

use std::path::{Path, PathBuf};

use super::layout::{Made, checksum};

/// A directory that paths are stored relative to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Whether what lies below is trusted without a look at the filesystem.
    pub sealed: bool,
}

/// A path in a table: the number of its root (0: none, it is absolute), and the rest.
pub(super) type Place<'a> = (u32, &'a [u8]);

/// The roots of a table, the first of which has the number 1.
#[derive(Debug, Default)]
pub(super) struct Roots(Vec<Box<[u8]>>);

impl Roots {
    pub(super) fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        Self(paths.into_iter().map(|path| without_slashes(bytes(path)).into()).collect())
    }

    /// Every way to say this path, that with the longest root first, the absolute one last.
    pub(super) fn places<'a>(&self, path: &'a Path) -> Vec<Place<'a>> {
        let path = bytes(path);
        let mut places = vec![(0, path)];
        let below = |root: &[u8]| below(path, root);
        places.extend((1..).zip(&self.0).filter_map(|(n, root)| Some((n, below(root)?))));
        places.sort_by_key(|(number, rest)| (rest.len(), *number));
        places
    }

    /// The path that is meant. None if it has a root that is not among ours, or is not a path on this system.
    pub(super) fn path(&self, (root, rest): Place<'_>) -> Option<PathBuf> {
        if root == 0 {
            return from_bytes(rest.to_vec()).filter(|path| path.has_root());
        }
        let root = self.0.get(usize::try_from(root).ok()?.checked_sub(1)?)?;
        let slash = !rest.is_empty() || root.is_empty();
        from_bytes([root, &b"/"[..usize::from(slash)], rest].concat())
    }
}

/// The hash that a path has in the index.
pub(super) fn hash((root, rest): Place<'_>) -> u64 {
    let mut made = Made::with_room(4 + rest.len());
    checksum(&made.u32(root).bytes(rest).0)
}

/// A path's bytes, as the system has them.
pub(super) fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

/// What stands behind the root and its slash, if joining the two gives the same bytes again.
fn below<'a>(path: &'a [u8], root: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(root)?;
    if rest.is_empty() {
        return (!root.is_empty()).then_some(rest);
    }
    let rest = rest.strip_prefix(b"/")?;
    (!rest.is_empty() || root.is_empty()).then_some(rest)
}

fn without_slashes(mut path: &[u8]) -> &[u8] {
    while let Some(shorter) = path.strip_suffix(b"/") {
        path = shorter;
    }
    path
}

#[cfg(unix)]
pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    Some(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
}

#[cfg(not(unix))]
pub(super) fn from_bytes(bytes: Vec<u8>) -> Option<PathBuf> {
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_said_by_its_longest_root_and_comes_back() {
        let roots = Roots::new([Path::new("/venv/"), Path::new("/"), Path::new("/venv/lib")]);
        let cases = [
            ("/venv/lib/a", 3, "a"),
            ("/venv/lib", 3, ""),
            ("/venv/library", 1, "library"),
            ("/venv", 1, ""),
            ("/etc", 2, "etc"),
            ("/", 2, ""),
            ("/venv//x", 1, "/x"),
        ];
        for (path, root, rest) in cases {
            let places = roots.places(Path::new(path));
            assert_eq!(places[0], (root, rest.as_bytes()), "{path}");
            for place in places {
                assert_eq!(bytes(&roots.path(place).expect(path)), path.as_bytes());
            }
        }
    }

    #[test]
    fn unknown_roots_and_relative_paths_are_none() {
        let roots = Roots::new([Path::new("/venv")]);
        assert_eq!(roots.path((2, b"a")), None);
        assert_eq!(roots.path((u32::MAX, b"a")), None);
        assert_eq!(roots.path((0, b"a")), None);
    }
}
