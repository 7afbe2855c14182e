//! The tables of one directory together: of environments that are gone, nobody else takes them away.
//!
//! Only the operating system's side. Whoever reads a table that goes reads on what it has of it, and the rest elsewhere.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A table's name is as many hexadecimal digits, and a suffix.
const DIGITS: usize = 32;

/// Removes tables beside the one at `path`, and their locks, those first that were written longest ago, until all of them
/// have at most `most` bytes; how many. For when a new table has come: then others may have gone out of use. Only regular
/// files that are called as tables are, and belong to whoever owns this one.
///
/// # Errors
/// Those of looking at the directory; what cannot be removed stays.
pub fn tidy(path: &Path, most: u64) -> io::Result<usize> {
    let own = fs::symlink_metadata(path)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut others: Vec<(SystemTime, u64, PathBuf)> = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let other = entry.path();
        let meta = entry.metadata()?;
        if other != path && is_table(&other, &meta) && meta.uid() == own.uid() {
            others.push((meta.modified()?, meta.len(), other));
        }
    }
    others.sort();
    let mut bytes = others.iter().map(|(_, len, _)| len).sum::<u64>().saturating_add(own.len());
    let mut removed = 0;
    for (_, len, other) in others {
        if bytes <= most {
            break;
        }
        if fs::remove_file(&other).is_ok() {
            let _ = fs::remove_file(other.with_extension("table.lock"));
            removed += 1;
        }
        bytes = bytes.saturating_sub(len);
    }
    Ok(removed)
}

fn is_table(path: &Path, meta: &Metadata) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    meta.is_file()
        && path.extension().is_some_and(|suffix| suffix == "table")
        && stem.len() == DIGITS
        && stem.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name(number: u8) -> String {
        format!("{number:032x}.table")
    }

    #[test]
    fn the_oldest_tables_go_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let write = |name: &str, age: u64| {
            let path = home.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let time = SystemTime::now() - Duration::from_secs(age);
            fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            path
        };
        let own = write(&name(0), 900);
        let kept = [write(&name(1), 10), write("notes.table", 999), write("other", 999)];
        let gone = [write(&name(2), 20), write(&name(3), 30)];
        let lock = write(&format!("{}.lock", name(3)), 30);
        std::os::unix::fs::symlink(&kept[2], home.path().join(name(4))).unwrap();
        assert_eq!(tidy(&own, 400).unwrap(), 0, "there is room for all");
        assert_eq!(tidy(&own, 250).unwrap(), 2);
        assert!(own.exists() && kept.iter().all(|path| path.exists()));
        assert!(gone.iter().all(|path| !path.exists()) && !lock.exists());
        assert!(home.path().join(name(4)).is_symlink());
    }
}
