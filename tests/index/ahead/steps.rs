//! What look-ahead costs: as many steps as imports are deep, and in each as many batches as ever, however many
//! modules there are.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fastpath::bytecode::Import;
use fastpath::index::LookAhead;

use super::tree::{Cost, Looker, age, from, import, module};
use crate::bed::{Bed, backends};

const DEPTH: usize = 5;

/// Stats of the files and contents of the bytecode.
const FETCH: u64 = 2;
/// Stats of directories and their names.
const LIST: u64 = 2;

/// `m0` imports every `m1_...`, the first of which imports every `m2_...`, and so on.
fn chain(bed: &Bed, width: usize) -> Vec<PathBuf> {
    let name = |level: usize, at: usize| format!("m{level}_{at}");
    let mut sources = vec![module(bed, "0/m0.py", &imports(&name, 1, width))];
    for level in 1..DEPTH {
        for at in 0..width {
            let next = if at == 0 && level + 1 < DEPTH {
                imports(&name, level + 1, width)
            } else {
                vec![]
            };
            sources.push(module(bed, &format!("0/{}.py", name(level, at)), &next));
        }
    }
    age();
    sources
}

fn imports(name: &dyn Fn(usize, usize) -> String, level: usize, width: usize) -> Vec<Import> {
    (0..width).map(|at| import(&name(level, at))).collect()
}

#[test]
fn a_chain_takes_a_step_for_each_link_however_many_there_are_beside_it() {
    for width in [1, 2, 60] {
        let bed = Bed::new(1);
        let sources = chain(&bed, width);
        let files = sources.len() as u64;
        for backend in backends() {
            let looker = Looker::with(backend, LookAhead::Always, &[&bed.dirs]);
            let cost = looker.cost(|looker| looker.look("m0"));
            let steps = DEPTH as u64;
            let batches = LIST + steps * FETCH;
            let expected = Cost {
                steps,
                files,
                batches,
                stats: 1 + files,
                listings: 1,
                reads: files,
                used: 0,
            };
            assert_eq!(cost, expected, "{width}, {}", backend.name());
            for source in &sources {
                assert!(looker.load_right(source), "{}", source.display());
            }
        }
    }
}

/// `p` imports `.p`, which imports `.p`, and so on, with packages beside each.
#[test]
fn nested_packages_take_a_step_each_however_many_there_are_beside_them() {
    for beside in [0, 30] {
        let bed = Bed::new(1);
        let names: Vec<_> = (0..beside).map(|at| format!("q{at}")).chain(["p".into()]).collect();
        let all: Vec<_> = names.iter().map(|name| from(1, name, &["nothing", "*"])).collect();
        let mut path = String::from("0");
        for level in 0..DEPTH {
            path.push_str("/p");
            let last = level + 1 == DEPTH;
            module(&bed, &format!("{path}/__init__.py"), if last { &[] } else { &all });
            for name in names.iter().filter(|name| *name != "p" && !last) {
                module(&bed, &format!("{path}/{name}/__init__.py"), &[]);
            }
        }
        age();
        for backend in backends() {
            let looker = Looker::with(backend, LookAhead::Always, &[&bed.dirs]);
            let cost = looker.cost(|looker| looker.look("p"));
            let (steps, files) = (DEPTH as u64, (DEPTH + (DEPTH - 1) * beside) as u64);
            assert_eq!((cost.files, cost.reads), (files, files));
            // What the last but one imports from the last is looked for in a step more, which asks nothing.
            assert_eq!(cost.steps, steps + 1);
            assert_eq!(cost.batches, LIST + steps * (FETCH + LIST), "{beside}, {}", backend.name());
        }
    }
}

#[test]
fn one_import_of_a_deep_name_takes_a_step_for_each_of_its_parts() {
    let bed = Bed::new(1);
    for path in ["0/a/__init__.py", "0/a/b/__init__.py", "0/a/b/c/__init__.py", "0/a/b/c/d.py"] {
        module(&bed, path, &[]);
    }
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look("a.b.c.d"));
    assert_eq!((cost.steps, cost.files, cost.reads), (4, 4, 4));
}

#[test]
fn nothing_is_looked_after_twice() {
    let bed = Bed::new(2);
    chain(&bed, 3);
    let looker = Looker::new(&bed);
    looker.look("m0");
    assert_eq!(looker.cost(|looker| looker.look("m0")), Cost::default());
    assert_eq!(looker.cost(|looker| looker.look("m2_1")), Cost::default());
    // What was not there is not asked for again either.
    looker.look("missing.entirely");
    assert_eq!(looker.cost(|looker| looker.look("missing.entirely")), Cost::default());
}

#[test]
fn what_the_program_has_is_not_fetched_nor_what_it_leads_to() {
    let bed = Bed::new(1);
    module(&bed, "0/a.py", &[import("b"), import("c")]);
    module(&bed, "0/b.py", &[import("d")]);
    module(&bed, "0/c.py", &[]);
    module(&bed, "0/d.py", &[]);
    age();
    let mut looker = Looker::new(&bed);
    looker.has_loaded("b");
    let cost = looker.cost(|looker| looker.look("a"));
    assert_eq!((cost.steps, cost.files), (2, 2));
}

#[test]
fn modules_that_import_each_other_and_themselves_are_fetched_once() {
    let bed = Bed::new(1);
    module(&bed, "0/a.py", &[import("a"), import("b"), import("b")]);
    module(&bed, "0/b.py", &[import("a"), import("p")]);
    module(&bed, "0/p/__init__.py", &[from(1, "", &["__init__", "p"]), from(0, "p", &["*"])]);
    age();
    let cost = Looker::new(&bed).cost(|looker| looker.look("a"));
    // `p.__init__` is a file like any other, and a module of its own if somebody imports it.
    assert_eq!(cost.files, 4);
    assert_eq!(cost.reads, 4);
}

#[test]
fn names_given_twice_are_fetched_once() {
    let bed = Bed::new(1);
    module(&bed, "0/a.py", &[]);
    age();
    let looker = Looker::new(&bed);
    let names = vec!["a".to_owned(); 5];
    let cost = looker.cost(|l| l.index.look_ahead(&l.dialect, &l.scene, names));
    assert_eq!((cost.files, cost.reads), (1, 1));
}

/// Whoever may not search a directory sees it as empty: whether that is so has to be asked, for all at once.
#[test]
fn directories_that_not_everybody_may_search_cost_one_batch_more() {
    let batches = |count: usize| {
        let bed = Bed::new(1);
        let names: Vec<_> = (0..count).map(|at| format!("p{at}")).collect();
        for name in &names {
            module(&bed, &format!("0/{name}/__init__.py"), &[]);
            fs::set_permissions(bed.at(&format!("0/{name}")), Permissions::from_mode(0o750))
                .unwrap();
        }
        age();
        let imports: Vec<_> = names.iter().map(|name| import(name)).collect();
        let cost = Looker::new(&bed).cost(|looker| looker.look_from("", &imports));
        assert_eq!(cost.files, count as u64);
        cost.batches
    };
    assert_eq!(batches(2), batches(30));
}
