//! Sealed tables: made once for an environment, wherever that will stand, and on whatever machine.

use std::path::{Path, PathBuf};

use fastpath::fact::{Generation, Stamp};
use fastpath::table::shared::{Learnt, LearntDir, LearntFile, Root, Shared, merge, seal};

use super::forge;
use super::model::*;

/// What there is to know of an environment at `prefix`, on a machine where every device, inode and date is `n`.
fn environment(prefix: &str, n: u64) -> Learnt {
    let time = i128::from(n);
    let file = |name: &str, bytes: &[u8]| LearntFile {
        name: name.as_bytes().into(),
        source: Stamp { dev: n, ino: n, size: 9, mtime_ns: 1_700_000_000, ctime_ns: time },
        bytecode: Stamp { dev: n, ino: n, size: 4, mtime_ns: time, ctime_ns: time },
        bytes: bytes.into(),
    };
    let generation = Generation::from_parts(n, n, time, time);
    let dir = |path: &str, files| LearntDir {
        path: format!("{prefix}{path}").into(),
        names: Some((generation, listed(0, &["m.py", "n"]).expect("names").1)),
        files,
    };
    Learnt {
        dirs: vec![dir("", vec![]), dir("/lib", vec![file("m.py", b"code"), file("a.py", b"")])],
        plan: Some((b"prog".to_vec(), vec![format!("{prefix}/lib/m.py").into()])),
        day: 0,
    }
}

fn sealed(learnt: Learnt, roots: &[(&str, bool)]) -> Vec<u8> {
    let root = |(path, sealed): &(&str, bool)| Root { path: path.into(), sealed: *sealed };
    let roots: Vec<_> = roots.iter().map(root).collect();
    let mut out = Vec::new();
    seal(&key(), learnt, &roots, &mut out).expect("memory does not fail");
    out
}

fn open_at(bytes: &[u8], roots: &[&str]) -> Shared {
    let roots: Vec<_> = roots.iter().map(PathBuf::from).collect();
    Shared::new(Box::new(bytes.to_vec()), &key(), &roots).expect("a table")
}

#[test]
fn equal_environments_give_equal_bytes_anywhere() {
    let here = sealed(environment("/here", 1), &[("/here", true)]);
    let there = sealed(environment("/over/there", 2), &[("/over/there", true)]);
    assert_eq!(here, there);
    let dated = sealed(environment("/here", 1), &[("/here", false)]);
    assert_ne!(dated, sealed(environment("/here", 2), &[("/here", false)]), "not sealed: dated");
}

#[test]
fn a_sealed_table_moves_with_its_environment() {
    let bytes = sealed(environment("/here", 1), &[("/here", true)]);
    for prefix in ["/here", "/there/", "/"] {
        let table = open_at(&bytes, &[prefix]);
        assert!(table.is_sealed());
        let lib = Path::new(prefix).join("lib");
        let block = table.block(&lib).expect("it has moved");
        assert_eq!((block.path(), block.is_sealed()), (&*lib, true));
        assert_eq!(block.generation(), Some(Generation::from_parts(0, 0, 0, 0)));
        let file = block.file(b"m.py").expect("stored");
        let source = Stamp { size: 9, mtime_ns: 1_700_000_000, ..Stamp::default() };
        assert_eq!(file.source, source);
        assert_eq!(file.bytecode, Stamp { size: 4, ..Stamp::default() });
        assert_eq!(table.bytes_of(&file).as_deref(), Some(&b"code"[..]));
        assert_eq!(table.plan(b"prog"), Some(vec![lib.join("m.py")]));
        assert!(block.names().is_some_and(|names| names.len() == 2));
    }
    let table = open_at(&bytes, &["/there"]);
    assert!(table.block(Path::new("/here/lib")).is_none(), "no longer there");
    assert!(table.block(Path::new("/there")).is_some(), "the root itself");
}

#[test]
fn only_what_lies_below_a_sealed_root_is_sealed() {
    let mut learnt = environment("/venv", 1);
    learnt.dirs.extend(environment("/base", 1).dirs);
    learnt.dirs.extend(environment("/venv/lib/python", 1).dirs);
    learnt.dirs.extend(environment("/elsewhere", 1).dirs);
    let roots = [("/venv", true), ("/base", false), ("/venv/lib/python", false)];
    let table = open_at(&sealed(learnt, &roots), &roots.map(|(root, _)| root));
    for (path, sealed) in [
        ("/venv/lib", true),
        ("/base/lib", false),
        ("/venv/lib/python/lib", false),
        ("/elsewhere/lib", false),
    ] {
        let block = table.block(Path::new(path)).expect(path);
        assert_eq!(block.is_sealed(), sealed, "{path}");
        assert_eq!(block.generation() == Some(Generation::from_parts(0, 0, 0, 0)), sealed);
    }
}

#[test]
fn without_its_roots_a_sealed_table_has_nothing_to_say() {
    let table = open_at(&sealed(environment("/here", 1), &[("/here", true)]), &[]);
    assert!(table.block(Path::new("/here/lib")).is_none());
    assert!(table.block(Path::new("lib")).is_none());
    assert_eq!(table.plan(b"prog"), Some(vec![]));
    let shown: Vec<_> = table.blocks().map(|block| block.path().to_owned()).collect();
    assert_eq!(shown, [PathBuf::new(), PathBuf::from("lib")], "tools are shown what is there");
    assert_eq!(table.check_all().damaged, 0);
}

#[test]
fn what_is_sealed_does_not_get_into_a_table_that_is_not() {
    let bytes = sealed(environment("/here", 1), &[("/here", true)]);
    let old = open_at(&bytes, &["/here"]);
    let mut out = Vec::new();
    let more = today(1, vec![learnt("/d", 1, &["x"], vec![])]);
    let new = merge(Some(&old), &key(), more, NO_LIMIT, &mut out);
    assert!(new.expect("memory does not fail"));
    let table = open(&out);
    assert!(!table.is_sealed());
    let paths: Vec<_> = table.blocks().map(|block| block.path().to_owned()).collect();
    assert_eq!(paths, [Path::new("/d")], "undated, the others would never be believed");
}

/// Or what comes into it would never be seen.
#[test]
fn without_its_names_a_directory_is_not_sealed() {
    let roots = [("/here", true)];
    let mut learnt = environment("/here", 1);
    let whole = sealed(learnt.clone(), &roots);
    for dir in &mut learnt.dirs {
        dir.names = None;
    }
    let mut forged = forge::Table::of(&whole);
    let blocks: Vec<_> = forged.entries().map(|entry| entry[8]).collect();
    for block in blocks {
        let flags = forged.sections[1].start + usize::from(block) + 8;
        assert_eq!(forged.bytes[flags], 1, "its names are known");
        forged.bytes[flags] = 0;
    }
    for (bytes, names_len) in [(sealed(learnt, &roots), 0), (forged.sealed_again(), 2)] {
        let table = open_at(&bytes, &["/here"]);
        let block = table.block(Path::new("/here/lib")).expect("it has files");
        assert!(block.file(b"m.py").is_some());
        assert_eq!((block.is_sealed(), block.names(), block.generation()), (false, None, None));
        assert_eq!(block.names_len(), names_len);
    }
}

#[test]
fn too_many_roots_are_refused() {
    let roots = vec![Root { path: "/a".into(), sealed: false }; 64];
    let error = seal(&key(), Learnt::default(), &roots, &mut Vec::new()).expect_err("64 roots");
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
