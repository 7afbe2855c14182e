//! Look-ahead reads what may be a wrong guess, told by bytes that nobody has checked: everything has an end.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use super::tree::{Cost, Looker, age, beside, from, import, module};
use crate::bed::Bed;
use fastpath::bytecode::Import;
use fastpath::index::LookAhead;
use fastpath::probe::Backend;

/// Bytes that the shelf holds at most.
const SHELF: u64 = 64 << 20;
/// Bytes of one file at most.
const LARGEST: u64 = 1 << 20;
const MOST_AT_ONCE: usize = 256;
const MOST_FILES: u64 = 4_096;

/// Makes a module's bytecode so long: what follows the code is nobody's business.
fn lengthen(source: &Path, bytes: u64) {
    let file = File::options().write(true).open(beside(source)).unwrap();
    file.set_len(bytes).unwrap();
}

fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{prefix}{at}")).collect()
}

fn all(names: &[String]) -> Vec<Import> {
    names.iter().map(|name| import(name)).collect()
}

#[test]
fn a_large_file_is_left_to_whoever_loads_it() {
    let bed = Bed::new(1);
    let [large, larger] = ["0/a.py", "0/b.py"].map(|path| module(&bed, path, &[]));
    lengthen(&large, LARGEST);
    lengthen(&larger, LARGEST + 1);
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look_from("", &[import("a"), import("b")]));
    assert_eq!((cost.files, cost.reads), (1, 2));
    assert!(looker.load_right(&large));
    assert!(!looker.load_right(&larger));
}

#[test]
fn what_is_fetched_at_once_fits_on_the_shelf() {
    let bed = Bed::new(1);
    let names = names("m", MOST_AT_ONCE);
    let share = SHELF / MOST_AT_ONCE as u64;
    for (at, name) in names.iter().enumerate() {
        let source = module(&bed, &format!("0/{name}.py"), &[]);
        lengthen(&source, share + at as u64 % 2);
    }
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look_from("", &all(&names)));
    assert_eq!((cost.steps, cost.reads), (1, MOST_AT_ONCE as u64));
    assert_eq!(cost.files, MOST_AT_ONCE as u64 / 2);
}

#[test]
fn a_full_shelf_takes_no_more() {
    let bed = Bed::new(1);
    let names = names("m", 80);
    for name in &names {
        lengthen(&module(&bed, &format!("0/{name}.py"), &[]), LARGEST);
    }
    age();
    let looker = Looker::new(&bed);
    for name in &names {
        looker.look(name);
    }
    let counts = looker.index.counts().0;
    assert_eq!((counts.ahead_files, counts.ahead_bytes), (64, SHELF));
}

#[test]
fn more_than_may_be_fetched_at_once_takes_more_steps() {
    let bed = Bed::new(1);
    let names = names("m", MOST_AT_ONCE + 1);
    for name in &names {
        module(&bed, &format!("0/{name}.py"), &[]);
    }
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look_from("", &all(&names)));
    assert_eq!((cost.steps, cost.files), (2, names.len() as u64));
}

/// What is left when there were too many files is not lost: the next module to be loaded goes on from there.
#[test]
fn what_one_look_ahead_leaves_the_next_one_fetches() {
    const LEVELS: usize = 18;
    let bed = Bed::new(1);
    let of_level = |level: usize| names(&format!("m{level}_"), MOST_AT_ONCE);
    for level in 0..LEVELS {
        for (at, name) in of_level(level).iter().enumerate() {
            let next =
                if at == 0 && level + 1 < LEVELS { all(&of_level(level + 1)) } else { vec![] };
            module(&bed, &format!("0/{name}.py"), &next);
        }
    }
    age();
    let looker = Looker::new(&bed);
    let mut files = 0;
    let mut rounds = 0;
    while files < (LEVELS * MOST_AT_ONCE) as u64 {
        // As the modules are loaded, the first of every level asks for the next level.
        let level = files as usize / MOST_AT_ONCE;
        let cost = looker.cost(|looker| looker.look_from("", &all(&of_level(level))));
        assert!(cost.files <= MOST_FILES, "{cost:?}");
        assert!(cost.files > 0, "{files} of them, and no more");
        files += cost.files;
        rounds += 1;
    }
    assert!(rounds > 1);
}

#[test]
fn names_have_a_longest_length() {
    let looker = Looker::new(&Bed::new(1));
    let unattended = |imports: &[Import]| {
        looker.index.unattended("p.q", imports, &|_| false).iter().map(String::len).sum::<usize>()
    };
    let dots = "a.".repeat(500_000) + "a";
    assert_eq!(unattended(&[import(&dots), from(1, &dots, &[]), import("")]), 0);
    assert_eq!(unattended(&[from(0, "a", &[&dots])]), 1);
    let long = "b".repeat(512);
    assert_eq!(unattended(&[import(&long), import(&format!("{long}b"))]), 512);
}

#[test]
fn a_module_of_endless_imports_is_not_followed_in_all() {
    let looker = Looker::new(&Bed::new(1));
    let imports = all(&names("m", 40_000));
    let unattended = |loaded: &HashSet<String>| {
        looker.index.unattended("", &imports, &|name| loaded.contains(name))
    };
    let names: HashSet<_> = unattended(&HashSet::new()).into_iter().collect();
    assert_eq!(names.len(), 1 << 14);
    // The others are new still.
    let rest = unattended(&names);
    assert!(!rest.is_empty() && rest.iter().all(|name| !names.contains(name)));
}

#[test]
fn a_name_with_a_separator_leads_nowhere() {
    let bed = Bed::new(2);
    module(&bed, "1/m.py", &[]);
    bed.dir("0/p");
    age();
    let looker = Looker::with(Backend::Auto, LookAhead::Always, &[&bed.dirs[..1]]);
    looker.look("p");
    let imports = ["../1/m", "p.../../1/m", "/1/m", "..", "p..m", ".", "m\0"].map(import);
    let cost = looker.cost(|looker| looker.look_from("", &imports));
    assert_eq!(Cost { steps: 0, ..cost }, Cost::default());
}
