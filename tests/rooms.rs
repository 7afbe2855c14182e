//! The house rules that a machine can keep: which room may know which, where `unsafe` and the
//! operating system may stand, how a file begins and how long it may grow.
//!
//! It reads the sources as text, comments and unit tests left out, and knows nothing of what they
//! mean. An exception is listed here with its reason, and must still be needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The rooms that know no Python, with the rooms each may name. `bytecode`, `candidates`, `probe`,
/// `pyc` and `table` are siblings: they never name each other.
const CORE: [(&str, &[&str]); 7] = [
    ("fact", &[]),
    ("bytecode", &[]),
    ("candidates", &["fact"]),
    ("probe", &["fact"]),
    ("pyc", &["fact"]),
    ("table", &["fact"]),
    ("index", &["fact", "bytecode", "candidates", "probe", "pyc", "table"]),
];

/// The rooms that know Python. They may name any room but those that come after them.
const FACE: [(&str, &[&str]); 3] = [
    ("finder", &["fact", "candidates", "probe", "table", "index"]),
    ("loader", &["fact", "bytecode", "pyc", "index", "finder"]),
    ("face", &["fact", "candidates", "probe", "pyc", "table", "index", "finder", "loader"]),
];

/// Where `unsafe` may stand, and for what.
const UNSAFE: [(&str, &str); 12] = [
    ("benches/cshim.rs", "C is called, for a bench alone"),
    (
        "src/face/at_exit.rs",
        "what is called at the end of a process is told to CPython's C API alone",
    ),
    ("src/finder/named.rs", "a built-in bound to a class is made by CPython's C API alone"),
    ("src/finder/watch.rs", "three hundred borrowed references a lookup: pyo3 would count each"),
    (
        "src/loader/at_rest.rs",
        "a view of bytes that Python does not own, and a rest for its collector",
    ),
    (
        "src/loader/frame.rs",
        "a frame's code and a module's dictionary, without an auditing event or foreign code",
    ),
    ("src/loader/open_code.rs", "whether a hook opens code is known to CPython's C API alone"),
    ("src/probe/linux/naps.rs", "getrusage has no safe face in libc"),
    ("src/probe/linux/uring/batch.rs", "the kernel writes where a submission points"),
    ("src/probe/linux/uring/lookup.rs", "a statx is the kernel's to fill"),
    ("src/probe/linux/uring/reading.rs", "a descriptor comes from the kernel as a number"),
    ("src/table/shared/linux/auxv.rs", "getauxval has no safe face"),
];

/// Where code may depend on the operating system: the seam.
const SEAM: [&str; 3] = ["src/probe/mod.rs", "src/table/shared/mod.rs", "build.rs"];

/// Where else it does, and why it does not belong behind the seam.
const BESIDE_THE_SEAM: [(&str, &str); 5] = [
    ("src/candidates.rs", "which characters a name cannot have is a rule about names, not a call"),
    ("src/finder/stock.rs", "declines on a platform whose importlib we do not follow"),
    ("src/loader/open_code.rs", "Windows links with the limited API alone"),
    ("src/table/shared/root.rs", "bytes become a path, which asks nothing of the system"),
    ("src/face.rs", "the bytes of os.fsencode become a path, which asks nothing of the system"),
];

/// What shows in a `cfg` that it is about the operating system.
const SYSTEMS: [&str; 7] = [
    "unix",
    "windows",
    "target_os",
    "target_vendor",
    "target_family",
    "target_env",
    "fastpath_portable",
];

/// Lines in a file, at most.
const LONGEST: usize = 500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file at or below this path, by its path from the root.
fn sources(below: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut pending = vec![root().join(below)];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(children(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).expect("below the root").to_str().expect("UTF-8");
            found.insert(name.replace('\\', "/"), fs::read_to_string(&path).expect("a source"));
        }
    }
    found
}

fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| !path.ends_with("target")).collect()
}

/// The code of a file: no comments, and nothing from its unit tests on, which stand at its end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether `word` stands in `code` as a word of its own.
fn has_word(code: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    code.match_indices(word).any(|(at, _)| {
        !part(code[..at].chars().next_back()) && !part(code[at + word.len()..].chars().next())
    })
}

/// The room that a file of `src/` belongs to.
fn room(file: &str) -> &str {
    let inner = file.strip_prefix("src/").expect("in src");
    inner.split('/').next().expect("a name").trim_end_matches(".rs")
}

/// The rooms that this code names by `crate::`, be it one by one or in a group of imports.
fn rooms_named(code: &str) -> BTreeSet<&str> {
    let all: Vec<&str> = CORE.iter().chain(&FACE).map(|(room, _)| *room).collect();
    let mut named = BTreeSet::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        let group = rest.strip_prefix('{').map(|group| group.split(';').next().unwrap_or_default());
        match group {
            Some(group) => named.extend(all.iter().filter(|room| has_word(group, room))),
            None => named.extend(all.iter().filter(|room| {
                let behind = rest.strip_prefix(**room);
                behind.is_some_and(|b| !b.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
            })),
        }
    }
    named
}

/// Whether some `cfg` in this code asks for the operating system.
fn asks_for_the_system(code: &str) -> bool {
    let starts = ["cfg(", "cfg!(", "cfg_attr("];
    starts.iter().flat_map(|start| code.match_indices(start)).any(|(at, start)| {
        let condition = balanced(&code[at + start.len()..]);
        SYSTEMS.iter().any(|system| has_word(condition, system))
    })
}

/// What stands before the closing parenthesis.
fn balanced(text: &str) -> &str {
    let mut depth = 1_i32;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    });
    &text[..end.unwrap_or(text.len())]
}

/// Both lists, as sets; and what is wrong if they differ.
#[track_caller]
fn exactly<'a>(
    found: impl IntoIterator<Item = &'a str>,
    allowed: impl IntoIterator<Item = &'a str>,
    rule: &str,
) {
    let (found, allowed): (BTreeSet<_>, BTreeSet<_>) =
        (found.into_iter().collect(), allowed.into_iter().collect());
    let surplus: Vec<_> = found.difference(&allowed).collect();
    let unused: Vec<_> = allowed.difference(&found).collect();
    assert!(surplus.is_empty(), "{rule}: {surplus:?}");
    assert!(unused.is_empty(), "{rule}: no longer needed for {unused:?}");
}

#[test]
fn every_file_is_in_a_room() {
    let rooms: BTreeSet<_> = CORE.iter().chain(&FACE).map(|(room, _)| *room).collect();
    let files = sources("src");
    let strays: Vec<_> =
        files.keys().filter(|file| *file != "src/lib.rs" && !rooms.contains(room(file))).collect();
    assert!(strays.is_empty(), "say in this test which rooms they may know: {strays:?}");
    let empty: Vec<_> =
        rooms.iter().filter(|name| !files.keys().any(|file| room(file) == **name)).collect();
    assert!(empty.is_empty(), "no such rooms: {empty:?}");
}

#[test]
fn the_arrows_between_rooms_run_one_way() {
    let may: BTreeMap<_, _> = CORE.into_iter().chain(FACE).collect();
    for (file, text) in sources("src") {
        let Some(allowed) = may.get(room(&file)) else { continue };
        let code = code(&text);
        for named in rooms_named(&code) {
            let own = named == room(&file);
            assert!(own || allowed.contains(&named), "{file} must not know `{named}`");
        }
    }
}

/// A room is entered by its name: `super` leads around within one, never out of it.
#[test]
fn nobody_climbs_out_of_a_room() {
    for (file, text) in sources("src") {
        let depth = file.matches('/').count() - usize::from(file.ends_with("/mod.rs"));
        let out_of_it = "super::".repeat(depth);
        for line in code(&text).lines().filter(|line| !line.contains("pub(in ")) {
            assert!(!line.contains(&out_of_it), "{file}: {}", line.trim());
        }
    }
}

#[test]
fn only_the_rooms_that_know_python_name_pyo3() {
    let face: Vec<_> = FACE.iter().map(|(room, _)| *room).collect();
    for (file, text) in sources("src") {
        let knows = has_word(&code(&text), "pyo3");
        assert!(!knows || face.contains(&room(&file)), "{file} must know no Python");
    }
}

#[test]
fn lib_is_a_map_and_nothing_else() {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    let code = code(&text);
    for line in code.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let module = line.trim_start_matches("pub ").starts_with("mod ") && line.ends_with(';');
        assert!(module || line.starts_with("#["), "lib.rs: {line}");
    }
}

#[test]
fn unsafe_stands_where_it_must() {
    let files: BTreeMap<_, _> =
        ["src", "benches", "build.rs"].into_iter().flat_map(sources).collect();
    let with_unsafe = files.iter().filter(|(_, text)| has_word(&code(text), "unsafe"));
    exactly(
        with_unsafe.map(|(file, _)| file.as_str()),
        UNSAFE.iter().map(|(file, _)| *file),
        "unsafe",
    );
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    for (file, _) in UNSAFE {
        let text = fs::read_to_string(root().join(file)).expect("a source");
        let blocks = code(&text).matches("unsafe {").count();
        let reasons = text.matches("// SAFETY:").count();
        assert!(reasons >= blocks, "{file}: {blocks} blocks, {reasons} reasons");
    }
}

#[test]
fn the_operating_system_is_asked_for_at_the_seam() {
    let files: BTreeMap<_, _> = ["src", "build.rs"].into_iter().flat_map(sources).collect();
    let asking = files.iter().filter(|(_, text)| asks_for_the_system(&code(text)));
    let elsewhere = asking.map(|(file, _)| file.as_str()).filter(|file| !SEAM.contains(file));
    exactly(elsewhere, BESIDE_THE_SEAM.iter().map(|(file, _)| *file), "cfg of a system");
}

#[test]
fn every_file_says_first_what_it_is() {
    for below in ["src", "benches", "tests", "build.rs"] {
        for (file, text) in sources(below) {
            assert!(text.starts_with("//! "), "{file} begins with no `//!`");
        }
    }
}

#[test]
fn no_file_is_long() {
    let files: BTreeMap<_, _> =
        ["src", "benches", "tests", "build.rs"].into_iter().flat_map(sources).collect();
    for (file, text) in files {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{file} has {lines} lines");
    }
}

// ---- the checks themselves ---------------------------------------------------------------------

#[test]
fn rooms_are_seen_however_they_are_named() {
    let named = |code: &str| rooms_named(code).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(named("use crate::probe::{Prober, Tally};"), "probe");
    assert_eq!(named("use crate::{fact::Fact,\n    table};"), "fact table");
    assert_eq!(named("let x = crate::index::Index::new();"), "index");
    assert_eq!(named("use crate::tables; use std::probe;"), "");
}

#[test]
fn systems_are_seen_in_any_cfg() {
    for code in [
        "#[cfg(unix)]",
        "#[cfg(all(feature = \"x\", not(target_os = \"linux\")))]",
        "if cfg!(windows) {",
        "#[cfg_attr(fastpath_portable, path = \"x.rs\")]",
    ] {
        assert!(asks_for_the_system(code), "{code}");
    }
    for code in ["#[cfg(test)]", "#[cfg(feature = \"python\")] use std::os::unix::ffi;"] {
        assert!(!asks_for_the_system(code), "{code}");
    }
}

#[test]
fn comments_and_unit_tests_do_not_count() {
    let text = "fn a() {} // unsafe\n/// pyo3\n#[cfg(test)]\nmod tests { unsafe {} }";
    assert!(!has_word(&code(text), "unsafe") && !has_word(&code(text), "pyo3"));
    assert!(has_word(&code("unsafe { a() }"), "unsafe"));
    assert!(!has_word("unsafe_code", "unsafe"));
}
