//! A directory as a table's must be, and tables that show whether they are complete.

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use fastpath::table::shared::{Bytes, Published, Refusal, Trust, open, publish};
use tempfile::TempDir;

/// A table's name.
pub const NAME: &str = "0123.table";

/// Whether what only Linux has is used here.
pub const LINUX: bool = cfg!(all(target_os = "linux", not(fastpath_portable)));

/// Bytes that are written at a time, which suits no buffer.
const PIECE: usize = 1013;

/// A directory of ours alone, and a table's path in it.
pub struct Bed {
    dir: TempDir,
}

impl Bed {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        chmod(dir.path(), 0o700);
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn table(&self) -> PathBuf {
        self.dir().join(NAME)
    }

    /// A bed with this table in it, written by nobody's code but the test's.
    pub fn with(bytes: &[u8]) -> Self {
        let bed = Self::new();
        fs::write(bed.table(), bytes).unwrap();
        chmod(&bed.table(), 0o600);
        bed
    }

    /// What lies in the directory, in order.
    pub fn names(&self) -> Vec<String> {
        names(self.dir())
    }

    /// Why the table is not used by its user.
    pub fn refusal(&self) -> Refusal {
        open(&self.table(), Trust::User).expect_err("a refusal")
    }
}

pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

pub fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().permissions().mode() & 0o7777
}

/// Says, in a line that the test harness does not swallow, that a test is skipped for want of this feature; fails if
/// FASTPATH_REQUIRE lists it.
pub fn skip(feature: &str, reason: &str) {
    let required = std::env::var("FASTPATH_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|r| r.trim() == feature), "{feature} is required: {reason}");
    let _ = writeln!(io::stderr(), "skipped: {feature}: {reason}");
}

/// Whether this is root, who can be somebody else and give files away; else a line says that it is not.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip("root", "only root can be another user, and give files away");
    }
    root
}

/// The bytes of a table that shows what it should be: its number, then as many bytes as follow from that, each from
/// its place and the number.
pub fn pattern(number: u8) -> Vec<u8> {
    let length = 40_000 + 3_001 * usize::from(number);
    (0..length).map(|at| byte(number, at)).collect()
}

fn byte(number: u8, at: usize) -> u8 {
    if at == 0 { number } else { number.wrapping_add((at % 251) as u8) }
}

/// The number of a table, which must be complete. None where it has been replaced since it was opened, and is no longer
/// to be had.
#[track_caller]
pub fn number(table: &dyn Bytes) -> Option<u8> {
    let length = usize::try_from(table.len()).unwrap();
    let bytes = table.read(0, length)?;
    assert!(*bytes == *pattern(bytes[0]), "the table {} is not whole: {length} bytes", bytes[0]);
    Some(bytes[0])
}

/// The number of the table at this path.
#[track_caller]
pub fn number_at(path: &Path) -> u8 {
    let tries = (0..1000).find_map(|_| number(&*open(path, Trust::User).unwrap()));
    tries.expect("a table that stays for as long as it takes to read it")
}

/// Publishes the table of this number, piece by piece; `between` is run before each, with how many there were.
pub fn publish_number(
    path: &Path,
    number: u8,
    mut between: impl FnMut(usize) -> io::Result<()>,
) -> io::Result<Published> {
    publish(path, |out: &mut dyn Write| {
        for (at, piece) in pattern(number).chunks(PIECE).enumerate() {
            between(at)?;
            out.write_all(piece)?;
        }
        between(usize::MAX)?;
        Ok(true)
    })
}
