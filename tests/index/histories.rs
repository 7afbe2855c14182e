//! Random histories: whatever happened to the directories, in whichever order and however fast, no
//! index is staler than it promises.
//!
//! Each lookup of a history is put to several indexes at once, which have seen the same past: strict
//! ones (with the memory of a run, short and long, and with runs of one, by different engines), one in `auto`,
//! one that is sealed and told before each lookup.

use std::fs;
use std::path::{Path, PathBuf};

use fastpath::index::Answer::{self, Ask, Found, Portions};
use fastpath::index::Freshness;
use fastpath::probe::{Backend, Engine};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::bed::{Bed, Ours, age, set_back};
use crate::oracle::{Spec, file_finder, is_tangled, path_finder};

/// Empty directories behind those of the path, which change no answer, but make it long.
const PADDING: usize = 20;
/// Directories of the path; one more, besides, is where links may lead.
const DIRS: usize = 3;
const NAMES: [&str; 4] = ["m", "n", "o", "p"];
/// Of what stands at a name: the bare name, two suffixes, and what is within a package.
const PLACES: [&str; 5] = ["", ".so", ".py", "/__init__.py", "/__init__.so"];

/// Something of that name in that directory.
#[derive(Clone, Copy, Debug)]
struct Node(usize, usize, usize);

impl Node {
    fn at(self, bed: &Bed) -> PathBuf {
        let Node(dir, name, place) = self;
        bed.at(&format!("{dir}/{}{}", NAMES[name], PLACES[place]))
    }
}

/// What happens to the directories, or is asked of the indexes.
#[derive(Clone, Debug)]
enum Step {
    File(Node),
    Dir(Node),
    Remove(Node),
    Rename(Node, Node),
    Link(Node, Node),
    /// The directory itself is put aside, or comes back.
    Away(usize),
    /// It is removed with all that is in it, or made anew.
    Raze(usize),
    /// Two directories of the path change places.
    Swap(usize, usize),
    /// Its time of change is set to a moment long ago.
    SetBack(usize),
    Age,
    Invalidate,
    Find(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let node = || (0..=DIRS, 0..NAMES.len(), 0..PLACES.len()).prop_map(|(d, n, p)| Node(d, n, p));
    let dir = || 0..DIRS;
    let step = prop_oneof![
        8 => node().prop_map(Step::File),
        3 => node().prop_map(Step::Dir),
        5 => node().prop_map(Step::Remove),
        3 => (node(), node()).prop_map(|(a, b)| Step::Rename(a, b)),
        3 => (node(), node()).prop_map(|(a, b)| Step::Link(a, b)),
        1 => dir().prop_map(Step::Away),
        1 => dir().prop_map(Step::Raze),
        1 => (dir(), dir()).prop_map(|(a, b)| Step::Swap(a, b)),
        2 => dir().prop_map(Step::SetBack),
        3 => Just(Step::Age),
        1 => Just(Step::Invalidate),
        20 => (0..NAMES.len()).prop_map(Step::Find),
    ];
    prop::collection::vec(step, 30..80)
}

/// The steps may fail for all sorts of good reasons: then the filesystem is simply as it was.
fn happen(bed: &Bed, step: &Step) {
    let aside = |dir: &usize| bed.at(&format!("aside{dir}"));
    let _ = match step {
        Step::File(node) => fs::write(node.at(bed), ""),
        Step::Dir(node) => fs::create_dir(node.at(bed)),
        Step::Remove(node) => remove(&node.at(bed)),
        Step::Rename(from, to) => fs::rename(from.at(bed), to.at(bed)),
        Step::Link(target, link) => std::os::unix::fs::symlink(target.at(bed), link.at(bed)),
        Step::Away(dir) if bed.dirs[*dir].exists() => fs::rename(&bed.dirs[*dir], aside(dir)),
        Step::Away(dir) => fs::rename(aside(dir), &bed.dirs[*dir]),
        Step::Raze(dir) if bed.dirs[*dir].exists() => fs::remove_dir_all(&bed.dirs[*dir]),
        Step::Raze(dir) => fs::create_dir(&bed.dirs[*dir]),
        Step::Swap(one, other) => swap(bed, &bed.dirs[*one], &bed.dirs[*other]),
        Step::SetBack(dir) => {
            set_back(&bed.dirs[*dir]);
            Ok(())
        }
        Step::Age => {
            age();
            Ok(())
        }
        Step::Invalidate | Step::Find(_) => Ok(()),
    };
}

fn remove(path: &Path) -> std::io::Result<()> {
    let is_dir = fs::symlink_metadata(path)?.is_dir();
    if is_dir { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

fn swap(bed: &Bed, one: &Path, other: &Path) -> std::io::Result<()> {
    let between = bed.at("between");
    fs::rename(one, &between)?;
    let _ = fs::rename(other, one);
    fs::rename(between, other)
}

/// The indexes that see a history.
struct Witnesses {
    strict: [Ours; 3],
    alone: Vec<Ours>,
    auto: Ours,
    told: [Ours; 2],
}

impl Witnesses {
    fn new(bed: &Bed) -> Self {
        let ring = Backend::Only(Engine::Uring);
        let single = |dir: &PathBuf| {
            Ours::new(Backend::Only(Engine::Serial), Freshness::Strict, std::slice::from_ref(dir))
        };
        let padding = (0..PADDING).map(|i| bed.dir(&format!("padding/{i}")));
        let long: Vec<_> = bed.dirs.iter().cloned().chain(padding).collect();
        let long = |freshness| Ours::new(Backend::Auto, freshness, &long);
        Self {
            strict: [bed.strict(), bed.index(ring, Freshness::Strict), long(Freshness::Strict)],
            alone: bed.dirs.iter().map(single).collect(),
            auto: bed.index(Backend::Only(Engine::Threads), Freshness::Auto),
            told: [bed.index(Backend::Auto, Freshness::Sealed), long(Freshness::Sealed)],
        }
    }

    fn invalidate(&self) {
        let all = self.strict.iter().chain(&self.alone).chain([&self.auto]);
        all.for_each(|ours| ours.index.invalidate());
    }

    fn testify(&self, bed: &Bed, name: &str) -> Result<(), TestCaseError> {
        let right = path_finder(&bed.dirs, name);
        let may_ask = is_tangled(&bed.dirs, name);
        let fits = |answer: &Answer| *answer == right || (may_ask && *answer == Ask);
        for ours in &self.strict {
            let answer = ours.find(name);
            prop_assert!(fits(&answer), "strict: {name}: {answer:?}, not {right:?}");
        }
        for (dir, ours) in bed.dirs.iter().zip(&self.alone) {
            let (answer, right) = (ours.find(name), path_finder(std::slice::from_ref(dir), name));
            let fits = answer == right || (may_ask && answer == Ask);
            prop_assert!(fits, "alone: {name}: {answer:?}, not {right:?}");
        }
        let answer = self.auto.find(name);
        let fits_auto = fits(&answer) || is_only_shadowed(bed, name, &answer, &right);
        prop_assert!(fits_auto, "auto: {name}: {answer:?}, not {right:?}");
        for ours in &self.told {
            ours.index.invalidate();
            let answer = ours.find(name);
            prop_assert!(fits(&answer), "told: {name}: {answer:?}, not {right:?}");
        }
        Ok(())
    }
}

/// Whether what `auto` found is there, and only something in an earlier directory beats it.
fn is_only_shadowed(bed: &Bed, name: &str, answer: &Answer, right: &Answer) -> bool {
    let Found { entry, candidate } = answer else { return false };
    let there = file_finder(&bed.dirs[*entry], name) == Some(Spec::Loaded(*candidate));
    there && matches!(right, Found { entry: earlier, .. } if earlier < entry)
}

fn with_one_besides(place: &Path) -> Bed {
    let bed = Bed::within(place, DIRS);
    bed.dir(&DIRS.to_string());
    bed
}

/// Runs random histories in directories below `place`.
pub fn on(place: &Path) {
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..Default::default() };
    let told = TestRunner::new(config).run(&steps(), |steps| {
        let bed = with_one_besides(place);
        let witnesses = Witnesses::new(&bed);
        for step in &steps {
            happen(&bed, step);
            match step {
                Step::Invalidate => witnesses.invalidate(),
                Step::Find(name) => witnesses.testify(&bed, NAMES[*name])?,
                _ => {}
            }
        }
        Ok(())
    });
    if let Err(failure) = told {
        panic!("{failure}");
    }
}

#[test]
fn no_history_makes_an_index_staler_than_it_promises() {
    on(&std::env::temp_dir());
}

/// What it takes for the histories to mean anything: that they lead to every kind of answer.
#[test]
fn histories_lead_to_every_kind_of_answer() {
    let mut runner = TestRunner::deterministic();
    let (mut found, mut portions, mut absent) = (0, 0, 0);
    for _ in 0..40 {
        let steps = steps().new_tree(&mut runner).expect("steps").current();
        let bed = with_one_besides(&std::env::temp_dir());
        for step in &steps {
            match step {
                Step::Age => {}
                Step::Find(name) => match path_finder(&bed.dirs, NAMES[*name]) {
                    Found { .. } => found += 1,
                    Portions(_) => portions += 1,
                    _ => absent += 1,
                },
                _ => happen(&bed, step),
            }
        }
    }
    assert!(found > 20 && portions > 20 && absent > 20, "{found} {portions} {absent}");
}
