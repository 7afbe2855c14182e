//! Sealed tables: what they say is not compared with the filesystem, and what they do not say is never taken for a no.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fastpath::candidates::Candidate::{Module, Package};
use fastpath::candidates::Suffixes;
use fastpath::fact::{Generation, Kind, Stamp};
use fastpath::index::Answer::{Absent, Found, Portions};
use fastpath::index::{Freshness, Index, Share};
use fastpath::probe::Backend;
use fastpath::table::shared::{Key, Learnt, LearntDir, LearntFile, Listed, Refusal, Root, seal};

use crate::bed::{Bed, Ours};
use crate::oracle::SUFFIXES;

const PY: usize = 3;

/// A directory in a seal, with the bytecode of a module in it.
fn dir(bed: &Bed, path: &str, names: Option<&[(&str, Kind)]>) -> LearntDir {
    let listed = |names: &[(&str, Kind)]| -> Listed {
        let names = names.iter().map(|(name, kind)| (name.as_bytes().into(), *kind)).collect();
        (Generation::from_parts(0, 0, 0, 0), names)
    };
    let (source, bytecode) = (Stamp::default(), Stamp { size: 4, ..Stamp::default() });
    let file = LearntFile { name: b"m.py"[..].into(), source, bytecode, bytes: b"code"[..].into() };
    LearntDir { path: bed.at(path), names: names.map(listed), files: vec![file] }
}

/// An index over the bed, all of which is sealed by a table that says this.
fn sealed(bed: &Bed, dirs: Vec<LearntDir>) -> Ours {
    let root = bed.at("");
    let environment = root.as_os_str().as_encoded_bytes().to_vec();
    let key = Key { cache_tag: "tag".into(), magic: [1; 4], optimize: 0, environment };
    let path = bed.at("seal");
    let mut file = File::create(&path).expect("the seal");
    file.set_permissions(Permissions::from_mode(0o600)).expect("our own file");
    let roots = [Root { path: root.clone(), sealed: true }];
    let learnt = Learnt { dirs, plan: None, day: 0 };
    seal(&key.anywhere(), learnt, &roots, &mut file).expect("the seal");
    let mut index = Index::new(Backend::Auto, Freshness::Auto, Suffixes::new(&SUFFIXES));
    index.share(Share {
        sealed: Some(path),
        file: Err(Refusal::Missing),
        key,
        roots: vec![root],
        program: Vec::new(),
        recurs: false,
        writes: false,
        settled_ns: 0,
        limit: 0,
    });
    let ours = Ours::of(index, &bed.dirs);
    assert_eq!(ours.index.tables()[0].1, Ok(()), "the seal is used");
    ours
}

/// What the other cases would be with names.
#[test]
fn what_is_sealed_is_not_asked_about() {
    let bed = Bed::new(1);
    let ours = sealed(&bed, vec![dir(&bed, "0", Some(&[("m.py", Kind::File)]))]);
    bed.file("0/n.py");
    let asked = ours.asked(|ours| {
        assert_eq!(
            ours.find("m"),
            Found { entry: 0, candidate: Module(PY) },
            "gone, if it ever was"
        );
        assert_eq!(ours.find("n"), Absent);
    });
    assert_eq!(asked, (0, 0));
    ours.index.invalidate();
    assert_eq!(ours.find_right("n"), Found { entry: 0, candidate: Module(PY) });
    assert_eq!(ours.find_right("m"), Absent);
}

#[test]
fn a_sealed_directory_without_names_is_looked_at() {
    let bed = Bed::new(2);
    let ours = sealed(&bed, vec![dir(&bed, "0", None), dir(&bed, "1", None)]);
    bed.file("0/m.py");
    assert_eq!(ours.find_right("m"), Found { entry: 0, candidate: Module(PY) });
    assert_eq!(ours.find_right("n"), Absent);
    bed.file("1/n.py");
    assert_eq!(ours.find_right("n"), Found { entry: 1, candidate: Module(PY) }, "what comes later");
    bed.remove("0");
    assert_eq!(ours.find_right("m"), Absent);
    assert_eq!(ours.find_right("n"), Found { entry: 1, candidate: Module(PY) });
    let dirs = [bed.at("0"), bed.at("1")].map(|path| ours.index.directory(&path));
    assert_eq!(ours.index.identify(&mut ours.index.pass(), &dirs), [false, true]);
}

#[test]
fn the_bytecode_in_one_is_compared() {
    let bed = Bed::new(1);
    for (names, is_found) in [(None, false), (Some(&[("m.py", Kind::File)][..]), true)] {
        let ours = sealed(&bed, vec![dir(&bed, "0", names)]);
        let bytecode: PathBuf = bed.at("0/__pycache__/m.pyc");
        let loaded = ours.index.load(&bed.at("0/m.py"), &bytecode);
        assert_eq!(loaded.is_some(), is_found, "there is no such file");
    }
}

#[test]
fn a_package_without_names_in_a_sealed_directory_is_looked_at() {
    let bed = Bed::new(1);
    let names = [("p", Kind::Dir), ("gone", Kind::Dir)];
    let dirs =
        vec![dir(&bed, "0", Some(&names)), dir(&bed, "0/p", None), dir(&bed, "0/gone", None)];
    let ours = sealed(&bed, dirs);
    bed.file("0/p/__init__.py");
    assert_eq!(ours.find("p"), Found { entry: 0, candidate: Package(PY) });
    assert_eq!(ours.find("gone"), Absent, "no portion either");
    fs::remove_file(bed.at("0/p/__init__.py")).expect("removed");
    assert!(matches!(ours.find("p"), Portions(_)));
}
