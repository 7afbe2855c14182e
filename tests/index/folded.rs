//! A filesystem that takes `foo` for `Foo`: only a listing shows how a name is spelled.
//!
//! Needs root, and one of: ext4 with case folding, vfat, exfat, exfat by FUSE. Else it says that it
//! was skipped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use fastpath::probe::Backend;

use crate::bed::{self, Bed, FRESHNESS, Ours, succeeds};

/// How to make a filesystem on a device or image, how to mount it, and how to make a directory on
/// it fold case.
const WAYS: [(&[&str], &[&str], &[&str]); 4] = [
    (&["mkfs.ext4", "-q", "-O", "casefold"], &["mount"], &["chattr", "+F"]),
    (&["mkfs.vfat"], &["mount", "-t", "vfat"], &[]),
    (&["mkfs.exfat"], &["mount", "-t", "exfat"], &[]),
    (&["mkfs.exfat"], &["mount.exfat-fuse"], &[]),
];

#[test]
fn where_the_filesystem_folds_case() {
    if bed::is_root() {
        bed::alone(bed::with_own_mounts(), "folded::on_a_mount_of_its_own");
    } else {
        bed::skip("case-insensitive filesystem", "only root may mount one");
    }
}

#[test]
#[ignore = "mounts: run by the test above it"]
fn on_a_mount_of_its_own() {
    let place = tempfile::tempdir().unwrap();
    let Some(mount) = WAYS.iter().find_map(|way| Mounted::new(place.path(), way)) else {
        return bed::skip("case-insensitive filesystem", "the kernel and the tools make none");
    };
    spelling_counts(&mount.folding);
    spelling_counts_in_a_crowd(&mount.folding);
}

#[track_caller]
fn all_are_right(dirs: &[PathBuf], names: &[&str]) {
    for freshness in FRESHNESS {
        let ours = Ours::new(Backend::Auto, freshness, dirs);
        for name in names.iter().chain(names) {
            ours.find_right(name);
        }
    }
}

fn spelling_counts(place: &Path) {
    let bed = Bed::within(place, 2);
    bed.file("0/Foo.py");
    bed.file("0/Package/__init__.py");
    bed.dir("0/Space");
    bed.file("1/foo.py");
    bed.file("1/suffix.PY");
    all_are_right(
        &bed.dirs,
        &["Foo", "foo", "FOO", "Package", "package", "Space", "space", "suffix", "none"],
    );
}

/// As many names as make this directory a large one, be it by its size or by their number.
fn spelling_counts_in_a_crowd(place: &Path) {
    let bed = Bed::within(place, 2);
    for i in 0..3_000 {
        fs::write(bed.at(&format!("0/a_name_as_long_as_this_takes_more_room_{i:0100}.py")), "")
            .unwrap();
    }
    bed.file("0/Foo.py");
    bed.file("0/Package/__init__.py");
    bed.dir("0/Space");
    bed.dir("0/É");
    bed.file("1/foo.py");
    let names = ["foo", "Foo", "package", "Package", "space", "Space", "É", "é", "none"];
    for name in names {
        all_are_right(&bed.dirs, &[name]);
    }
    all_are_right(&bed.dirs, &names);
}

/// A folding filesystem on a loop device.
struct Mounted {
    at: PathBuf,
    /// A directory on it that takes `a` for `A`.
    folding: PathBuf,
}

impl Mounted {
    fn new(place: &Path, (make, mount, fold): &(&[&str], &[&str], &[&str])) -> Option<Self> {
        let (image, at) = (place.join("image"), place.join("at"));
        let file = fs::File::create(&image).ok()?;
        file.set_len(64 << 20).ok()?;
        fs::create_dir_all(&at).ok()?;
        if !run(make, &[&image]) {
            return None;
        }
        let setup = Command::new("losetup").args(["-f", "--show"]).arg(&image).output().ok()?;
        let device = PathBuf::from(String::from_utf8(setup.stdout).ok()?.trim());
        let mounted = run(mount, &[&device, &at]);
        // It goes with the last mount of it.
        succeeds(Command::new("losetup").arg("-d").arg(&device));
        if !mounted {
            return None;
        }
        let folding = at.join("folding");
        let mounted = Self { at, folding };
        let folding = &mounted.folding;
        fs::create_dir(folding).ok()?;
        let folds = (fold.is_empty() || run(fold, &[folding]))
            && fs::write(folding.join("A"), "").is_ok()
            && fs::metadata(folding.join("a")).is_ok();
        folds.then_some(mounted)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        succeeds(Command::new("umount").arg("--lazy").arg(&self.at));
    }
}

fn run(command: &[&str], paths: &[&Path]) -> bool {
    succeeds(Command::new(command[0]).args(&command[1..]).args(paths))
}
