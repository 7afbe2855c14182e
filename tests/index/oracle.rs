//! What stock importlib would answer with nothing cached, by plain calls of the standard library.
//!
//! `PathFinder._get_spec` and `FileFinder.find_spec` of `Lib/importlib/_bootstrap_external.py`, line
//! by line. It shares no code with the crate but the types of an answer.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use fastpath::candidates::Candidate;
use fastpath::index::Answer;

/// The suffixes of a CPython on Linux, in its order.
pub const SUFFIXES: [&str; 5] =
    [".cpython-313-x86_64-linux-gnu.so", ".abi3.so", ".so", ".py", ".pyc"];

/// What a file finder finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    Loaded(Candidate),
    Portion,
}

/// `PathFinder.find_spec` over plain directories.
pub fn path_finder(dirs: &[PathBuf], name: &str) -> Answer {
    let mut portions = Vec::new();
    for (entry, dir) in dirs.iter().enumerate() {
        match file_finder(dir, name) {
            Some(Spec::Loaded(candidate)) => return Answer::Found { entry, candidate },
            Some(Spec::Portion) => portions.push(entry),
            None => {}
        }
    }
    if portions.is_empty() { Answer::Absent } else { Answer::Portions(portions.into()) }
}

/// `FileFinder.find_spec` of a finder just made.
pub fn file_finder(dir: &Path, name: &str) -> Option<Spec> {
    let names = names_in(dir);
    let holds = |name: &str| names.contains(OsStr::new(name));
    let mut is_portion = false;
    if holds(name) {
        let package = dir.join(name);
        let init = |suffix: &&str| is_file(&package.join(format!("__init__{suffix}")));
        if let Some(suffix) = SUFFIXES.iter().position(init) {
            return Some(Spec::Loaded(Candidate::Package(suffix)));
        }
        is_portion = fs::metadata(&package).is_ok_and(|m| m.is_dir());
    }
    let module = |suffix: &&str| {
        let full = format!("{name}{suffix}");
        holds(&full) && is_file(&dir.join(full))
    };
    match SUFFIXES.iter().position(module) {
        Some(suffix) => Some(Spec::Loaded(Candidate::Module(suffix))),
        None => is_portion.then_some(Spec::Portion),
    }
}

/// `FileFinder._fill_cache`. A finder that cannot stat its directory never gets to list it.
fn names_in(dir: &Path) -> BTreeSet<OsString> {
    if fs::metadata(dir).is_err() {
        return BTreeSet::new();
    }
    match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| entry.expect("a name").file_name()).collect(),
        Err(e) => match e.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::PermissionDenied => {
                BTreeSet::new()
            }
            _ => panic!("stock would raise here, so this is no case for an oracle: {e}"),
        },
    }
}

fn is_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_file())
}

/// Whether some path that matters for this name ends in a loop of links: there the index may leave
/// the answer to stock.
pub fn is_tangled(dirs: &[PathBuf], name: &str) -> bool {
    const ELOOP: i32 = 40;
    let loops = |path: &Path| fs::metadata(path).is_err_and(|e| e.raw_os_error() == Some(ELOOP));
    dirs.iter().any(|dir| loops(dir) || loops(&dir.join(name)))
}
