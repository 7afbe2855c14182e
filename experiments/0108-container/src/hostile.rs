//! What a damaged file does to its reader: every question is put by a child process, for it may die.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio, exit};

use crate::facts::{self, Directory};
use crate::store::{self, KINDS, Store, file_of};

/// A child that has not answered after this many seconds never will.
const PATIENCE: u32 = 5;
/// Exit statuses of the judge.
const RIGHT: i32 = 0;
const REFUSED: i32 = 10;
const UNKNOWN: i32 = 11;
const WRONG: i32 = 12;

/// Opens the file, makes it `shorter` unless that is "-", asks for everything, compares, exits.
///
/// An answer with another generation or stamp is counted as unknown: the filesystem's own would
/// differ, and the fact would not be used.
pub fn judge(kind: &str, file: &str, facts: &[Directory], shorter: &str) {
    // SAFETY: no handler is installed.
    unsafe { libc::alarm(PATIENCE) };
    let Ok(store) = store::open(kind, Path::new(file)) else { exit(REFUSED) };
    if let Ok(length) = shorter.parse() {
        let file = fs::OpenOptions::new().write(true).open(file).expect("a file");
        file.set_len(length).expect("a file to cut");
    }
    exit(facts.iter().map(|dir| ask(&*store, dir)).max().unwrap_or(RIGHT))
}

fn ask(store: &dyn Store, dir: &Directory) -> i32 {
    let mut worst = RIGHT;
    let absent = facts::Name { name: b"absent.py".to_vec(), kind: 0 };
    for name in dir.names.iter().chain([&absent]) {
        let expected = (*name != absent).then_some(name.kind);
        let answer = match store.name(&dir.path, &name.name) {
            Some((generation, kind)) if generation == dir.generation => match kind == expected {
                true => RIGHT,
                false => WRONG,
            },
            _ => UNKNOWN,
        };
        worst = worst.max(answer);
    }
    for module in &dir.modules {
        let answer = match store.module(&dir.path, &module.name) {
            Some((source, bytecode, bytes))
                if (source, bytecode) == (module.source, module.bytecode) =>
            {
                if *bytes == module.bytes { RIGHT } else { WRONG }
            }
            _ => UNKNOWN,
        };
        worst = worst.max(answer);
    }
    worst
}

/// What became of the child, in words.
fn outcome(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(RIGHT), _) => "right".into(),
        (Some(REFUSED), _) => "refused".into(),
        (Some(UNKNOWN), _) => "not known".into(),
        (Some(WRONG), _) => "WRONG".into(),
        (Some(101), _) => "panic".into(),
        (_, Some(libc::SIGBUS)) => "SIGBUS".into(),
        (_, Some(libc::SIGSEGV)) => "SIGSEGV".into(),
        (_, Some(libc::SIGABRT)) => "SIGABRT".into(),
        (_, Some(libc::SIGALRM)) => "endless".into(),
        other => format!("{other:?}"),
    }
}

fn try_out(kind: &str, file: &Path, tree: &str, shorter: &str) -> io::Result<String> {
    let child = Command::new("/proc/self/exe")
        .args(["judge", kind])
        .arg(file)
        .args([tree, shorter])
        .stderr(Stdio::null())
        .status()?;
    Ok(outcome(child))
}

/// Tries every kind whose name begins with `which`.
pub fn run(tree: &str, folder: &Path, which: &str) -> io::Result<()> {
    store::write(folder, &facts::gather(Path::new(tree))?)?;
    let wanted = |kind: &&str| *kind != "lmdb-locked" && kind.starts_with(which);
    for kind in KINDS.into_iter().filter(wanted) {
        let sound = fs::read(folder.join(file_of(kind)))?;
        println!("{kind}, {} bytes", sound.len());
        println!("  untouched: {}", counted(kind, tree, folder, [(sound.clone(), None)])?);
        let flips = (0..sound.len()).map(|at| {
            let mut damaged = sound.clone();
            damaged[at] ^= 1 << (at % 8);
            (damaged, None)
        });
        println!("  a bit flipped in each byte: {}", counted(kind, tree, folder, flips)?);
        let shorter = |part: usize| sound.len() * part / 64;
        let before = (0..64).map(|part| (sound[..shorter(part)].to_vec(), None));
        println!("  cut before it is opened: {}", counted(kind, tree, folder, before)?);
        let after = (0..64).map(|part| (sound.clone(), Some(shorter(part))));
        println!("  cut while it is mapped: {}", counted(kind, tree, folder, after)?);
        println!("  other files: {}", counted(kind, tree, folder, arbitrary(sound.len())?)?);
    }
    Ok(())
}

/// Files that are no store: zeros, ones, text, a program, noise.
fn arbitrary(len: usize) -> io::Result<Vec<(Vec<u8>, Option<usize>)>> {
    let mut noise = vec![0; len];
    io::Read::read_exact(&mut fs::File::open("/dev/urandom")?, &mut noise)?;
    let text = b"Not a store at all.\n".repeat(len / 20);
    let program = fs::read("/proc/self/exe")?;
    Ok([vec![0; len], vec![0xff; len], text, program, noise].map(|f| (f, None)).into())
}

/// Puts each file in place, has it judged, and counts what happened.
fn counted(
    kind: &str,
    tree: &str,
    folder: &Path,
    files: impl IntoIterator<Item = (Vec<u8>, Option<usize>)>,
) -> io::Result<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let file = folder.join("damaged");
    for (bytes, shorter) in files {
        fs::write(&file, bytes)?;
        let shorter = shorter.map_or("-".into(), |length| length.to_string());
        *counts.entry(try_out(kind, &file, tree, &shorter)?).or_default() += 1;
    }
    let counts: Vec<String> = counts.iter().map(|(what, n)| format!("{n} {what}")).collect();
    Ok(counts.join(", "))
}
