//! Nobody can tell by an answer that somebody looked ahead: not where guesses are wrong, nor when things change.

use std::fs;
use std::path::Path;

use fastpath::bytecode::Import;
use fastpath::index::{Answer, LookAhead};
use fastpath::probe::Backend;
use proptest::collection::vec;
use proptest::prelude::*;

use super::tree::{Looker, age, from, import, module};
use crate::bed::Bed;
use crate::oracle;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Something of a name in a directory.
#[derive(Clone, Copy, Debug)]
enum Thing {
    Module,
    StaleModule,
    Package,
    EmptyDir,
    NoDir,
    Extension,
    Sourceless,
    SourcelessPackage,
    DirCalledModule,
    LinkToNothing,
    LinkToFile,
    LinkToPackage,
    LinkCalledModule,
}

use Thing::*;
const THINGS: [Thing; 13] = [
    Module,
    StaleModule,
    Package,
    EmptyDir,
    NoDir,
    Extension,
    Sourceless,
    SourcelessPackage,
    DirCalledModule,
    LinkToNothing,
    LinkToFile,
    LinkToPackage,
    LinkCalledModule,
];

/// Where it is (`"1/b"`), what it is, and what it imports.
type Made = (usize, usize, Option<usize>, usize, Vec<Import>);

fn made() -> impl Strategy<Value = Made> {
    let imported = prop_oneof![
        (0..3_usize).prop_map(|name| import(NAMES[name])),
        (0..3_usize, 0..3_usize).prop_map(|(a, b)| import(&format!("{}.{}", NAMES[a], NAMES[b]))),
        (0..3_u32, 0..3_usize).prop_map(|(level, name)| from(level, "", &[NAMES[name]])),
        (0..3_u32, 0..3_usize, 0..3_usize).prop_map(|(level, a, b)| from(
            level,
            NAMES[a],
            &[NAMES[b], "x"]
        )),
    ];
    let inner = prop::option::of(0..3_usize);
    (0..2_usize, 0..3_usize, inner, 0..THINGS.len(), vec(imported, 0..4))
}

fn make(bed: &Bed, (dir, name, inner, thing, imports): &Made) {
    let path = match inner {
        Some(inner) => format!("{dir}/{}/{}", NAMES[*name], NAMES[*inner]),
        None => format!("{dir}/{}", NAMES[*name]),
    };
    // What is in the way of it stays.
    let parent = bed.at(&path).parent().expect("a parent").to_owned();
    let file = |suffix: &str| format!("{path}{suffix}");
    let is_free = |suffix: &str| fs::symlink_metadata(bed.at(&file(suffix))).is_err();
    if fs::create_dir_all(&parent).is_err() {
        return;
    }
    let link = |target: &str, suffix: &str| {
        if is_free(suffix) {
            bed.link(target, &file(suffix));
        }
    };
    let is_dir = |suffix: &str| is_free(suffix) || bed.at(&file(suffix)).is_dir();
    let is_file = |suffix: &str| is_free(suffix) || bed.at(&file(suffix)).is_file();
    match THINGS[*thing] {
        Module if is_file(".py") => drop(module(bed, &file(".py"), imports)),
        StaleModule if is_file(".py") => {
            let source = module(bed, &file(".py"), imports);
            fs::write(source, "# longer than it was when it was compiled\n").unwrap();
        }
        Package if is_dir("") => drop(module(bed, &file("/__init__.py"), imports)),
        EmptyDir if is_dir("") => drop(bed.dir(&path)),
        NoDir if is_free("") => drop(bed.file(&path)),
        Extension if is_file(".so") => drop(bed.file(&file(".so"))),
        Sourceless if is_file(".pyc") => drop(bed.file(&file(".pyc"))),
        SourcelessPackage if is_dir("") => drop(bed.file(&file("/__init__.pyc"))),
        DirCalledModule if is_dir(".py") => drop(bed.dir(&file(".py"))),
        LinkToNothing => link("nowhere", ""),
        LinkToFile => link("a.py", ""),
        LinkToPackage => link(bed.at("1/b").to_str().unwrap(), ""),
        LinkCalledModule => link(bed.at("0/c.py").to_str().unwrap(), ".py"),
        _ => {}
    }
}

/// Every name, at the top and in each directory of that name: what the index says, and what stock would.
fn compare(bed: &Bed, looker: &Looker) -> Result<(), TestCaseError> {
    let index = &looker.index;
    let inner = bed.dirs.iter().flat_map(|dir| NAMES.map(|name| vec![dir.join(name)]));
    let paths: Vec<_> = [bed.dirs.clone()].into_iter().chain(inner).collect();
    for path in paths {
        let run = index.run(path.iter().map(|dir| index.directory(dir)).collect());
        for name in NAMES {
            let found = index.find(&mut index.pass(), &run, name);
            let right = oracle::path_finder(&path, name);
            let may_ask = oracle::is_tangled(&path, name);
            prop_assert!(
                found == right || may_ask && found == Answer::Ask,
                "{name} in {path:?}: {found:?}, not {right:?}"
            );
        }
    }
    Ok(())
}

/// Whether what is loaded of every source is what is there.
fn load_all(bed: &Bed, looker: &Looker) {
    let mut pending = bed.dirs.clone();
    while let Some(dir) = pending.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let is_source = path.extension().is_some_and(|extension| extension == "py");
            if path.is_dir() && !path.is_symlink() {
                pending.push(path);
            } else if is_source && has_bytecode(&path) {
                looker.load_right(&path);
            }
        }
    }
}

fn has_bytecode(source: &Path) -> bool {
    source.is_file() && super::tree::beside(source).is_file()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..Default::default() })]

    #[test]
    fn looking_ahead_changes_no_answer(
        first in vec(made(), 0..12),
        then in vec(made(), 0..4),
        backend in 0..4_usize,
        old in any::<bool>(),
        in_two_runs in any::<bool>(),
    ) {
        let bed = Bed::new(2);
        first.iter().for_each(|made| make(&bed, made));
        if old {
            age();
        }
        let backend = crate::bed::backends().nth(backend).unwrap_or(Backend::Auto);
        let runs: Vec<_> = bed.dirs.chunks(if in_two_runs { 1 } else { 2 }).collect();
        let looker = Looker::with(backend, LookAhead::Always, &runs);
        NAMES.iter().for_each(|name| looker.look(name));
        compare(&bed, &looker)?;
        then.iter().for_each(|made| make(&bed, made));
        compare(&bed, &looker)?;
        load_all(&bed, &looker);
        looker.index.invalidate();
        looker.look_from("", &NAMES.map(import));
        compare(&bed, &looker)?;
        load_all(&bed, &looker);
    }
}
