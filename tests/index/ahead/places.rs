//! Where modules lie: what the names of directories do not tell costs a step more, and never a question for each.

use fastpath::index::LookAhead;
use fastpath::probe::Backend;

use super::tree::{Cost, Looker, age, from, import, module};
use crate::bed::Bed;

#[test]
fn relative_imports_are_those_of_the_package() {
    let bed = Bed::new(1);
    module(&bed, "0/p/__init__.py", &[from(1, "", &["a"]), from(1, "q.b", &["x"])]);
    module(&bed, "0/p/a.py", &[from(1, "c", &["*"]), from(2, "beyond", &[]), from(3, "", &["x"])]);
    module(&bed, "0/p/c.py", &[]);
    module(&bed, "0/p/q/__init__.py", &[]);
    module(&bed, "0/p/q/b.py", &[from(2, "d", &[]), from(u32::MAX, "e", &[])]);
    module(&bed, "0/p/d.py", &[]);
    // Nobody imports these.
    module(&bed, "0/beyond.py", &[]);
    module(&bed, "0/x.py", &[]);
    module(&bed, "0/e.py", &[]);
    age();
    let cost = Looker::new(&bed).cost(|looker| looker.look("p"));
    assert_eq!((cost.files, cost.reads), (6, 6));
    let top = Looker::new(&bed).cost(|looker| looker.look_from("", &[from(1, "x", &[])]));
    assert_eq!(top, Cost::default(), "there is no package");
}

#[test]
fn a_directory_beside_a_module_is_a_wrong_guess_that_costs_a_step() {
    let bed = Bed::new(1);
    let source = module(&bed, "0/m.py", &[import("n")]);
    let next = module(&bed, "0/n.py", &[]);
    bed.file("0/m/data.txt");
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look("m"));
    assert_eq!((cost.steps, cost.files), (3, 2));
    assert!(looker.load_right(&source) && looker.load_right(&next));
}

#[test]
fn a_namespace_package_has_portions_in_every_directory() {
    let bed = Bed::new(3);
    let sources = [module(&bed, "0/space/a.py", &[]), module(&bed, "2/space/b.py", &[])];
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look_from("", &[from(0, "space", &["a", "b"])]));
    assert_eq!((cost.steps, cost.files), (2, 2));
    assert!(sources.iter().all(|source| looker.load_right(source)));
}

/// `PathFinder` goes on to the end of the path before it makes do with portions.
#[test]
fn a_portion_in_one_run_does_not_hide_a_package_in_a_later_one() {
    let bed = Bed::new(2);
    bed.dir("0/p");
    let sources =
        [module(&bed, "1/p/__init__.py", &[from(1, "a", &[])]), module(&bed, "1/p/a.py", &[])];
    age();
    let runs = [&bed.dirs[..1], &bed.dirs[1..]];
    let looker = Looker::with(Backend::Auto, LookAhead::Always, &runs);
    looker.look("p");
    assert!(sources.iter().all(|source| looker.load_right(source)));
}

/// As in a tree that a build tool has laid out: every file, and some directories, are links.
#[test]
fn links_are_followed_and_asked_for_all_at_once() {
    let batches = |count: usize| {
        let bed = Bed::new(2);
        let names: Vec<_> = (0..count).map(|at| format!("m{at}")).collect();
        let mut sources = vec![module(&bed, "1/p/__init__.py", &[])];
        for name in &names {
            let target = module(&bed, &format!("1/{name}.py"), &[]);
            bed.dir("0/__pycache__");
            let bytecode = super::tree::beside(&bed.at(&format!("0/{name}.py")));
            bed.link(target.to_str().unwrap(), &format!("0/{name}.py"));
            let real = super::tree::beside(&target);
            std::os::unix::fs::symlink(real, bytecode).unwrap();
            sources.push(bed.at(&format!("0/{name}.py")));
        }
        bed.link("../1/p", "0/p");
        sources[0] = bed.at("0/p/__init__.py");
        age();
        let looker = Looker::with(Backend::Auto, LookAhead::Always, &[&bed.dirs[..1]]);
        let imports: Vec<_> = names.iter().map(|name| import(name)).chain([import("p")]).collect();
        let cost = looker.cost(|looker| looker.look_from("", &imports));
        assert_eq!((cost.steps, cost.files), (1, count as u64 + 1));
        assert!(sources.iter().all(|source| looker.load_right(source)));
        cost.batches
    };
    assert_eq!(batches(1), batches(30));
}

#[test]
fn a_link_without_a_suffix_may_be_anything() {
    let bed = Bed::new(1);
    let source = module(&bed, "0/m.py", &[]);
    bed.link("m.py", "0/m");
    let other = module(&bed, "0/n.py", &[]);
    bed.link("nowhere", "0/n");
    age();
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look_from("", &[import("m"), import("n")]));
    assert_eq!((cost.steps, cost.files), (2, 2));
    assert!(looker.load_right(&source) && looker.load_right(&other));
}

#[test]
fn what_has_no_bytecode_of_a_source_is_not_read() {
    let bed = Bed::new(1);
    bed.file("0/a.abi3.so");
    bed.file("0/p/__init__.pyc");
    bed.file("0/b.pyc");
    age();
    let imports = [import("a"), import("b"), import("p")];
    let cost = Looker::new(&bed).cost(|looker| looker.look_from("", &imports));
    // Of a directory it is not known at first that it has no source.
    assert_eq!((cost.files, cost.reads), (0, 1));
    assert_eq!(cost.steps, 2);
}

#[test]
fn a_directory_too_large_to_list_is_taken_for_empty() {
    let bed = Bed::new(2);
    for at in 0..8_200 {
        bed.file(&format!("0/other{at}.txt"));
    }
    module(&bed, "0/a.py", &[]);
    let source = module(&bed, "1/b.py", &[]);
    age();
    let looker = Looker::new(&bed);
    looker.look("first");
    let cost = looker.cost(|looker| looker.look_from("", &[import("a"), import("b")]));
    assert_eq!(
        cost,
        Cost { steps: 1, files: 1, batches: 2, stats: 1, reads: 1, ..Cost::default() }
    );
    assert!(looker.load_right(&source));
}

#[test]
fn directories_that_are_not_there_are_asked_for_once() {
    let bed = Bed::new(3);
    module(&bed, "1/a.py", &[import("b"), import("c")]);
    module(&bed, "1/b.py", &[]);
    bed.remove("0");
    bed.remove("2");
    // It cannot be told what is there.
    bed.link("2", "2");
    age();
    let cost = Looker::new(&bed).cost(|looker| looker.look("a"));
    assert_eq!((cost.steps, cost.files, cost.listings), (2, 2, 1));
    // The directories, two sources.
    assert_eq!((cost.batches, cost.stats), (2 + 2 + 2, 3 + 2));
}

#[test]
fn where_nobody_looks_ahead_nothing_is_fetched() {
    let bed = Bed::new(1);
    module(&bed, "0/a.py", &[import("b")]);
    age();
    let looker = Looker::with(Backend::Auto, LookAhead::Never, &[&bed.dirs]);
    // However slow it seems to be.
    assert_eq!(looker.cost(|looker| looker.look("a")), Cost::default());
    assert!(!looker.index.may_look_ahead());
}
