//! Look-ahead: fetching what a module will import, before it runs.
//!
//! Importing asks depth first: a module's imports are known to the filesystem only when it runs, one after the
//! other. But they stand in its code. So they are looked up and fetched together, then what *those* modules import,
//! and so on: a slow filesystem is waited for as often as the import graph is deep, not as often as it has modules.
//!
//! It changes no answer. What it learns of directories is what any lookup learns; what it fetches lies on the
//! shelf until the module is really loaded, and is compared with the filesystem then. Nothing is executed, and a wrong
//! guess costs a read. Only the index may use it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::loading::LARGEST;
use super::reading::fresh_generation;
use super::{Answer, Grounds, Index, Pass, Run, count};
use crate::bytecode::{self, Import, Opcodes};
use crate::candidates::{self, Candidate, INIT};
use crate::fact::{Fact, Kind};
use crate::pyc::{self, Claim, Naming};
use crate::table::{Directory, Names};

/// Files fetched for one module at most, those that it leads to included.
const MOST_FILES: usize = 4_096;
/// No further step is begun when so much time has passed: the next module goes on from there.
const LONGEST: Duration = Duration::from_secs(2);

/// How an interpreter compiles, and what it calls the result.
#[derive(Debug)]
pub struct Dialect {
    /// Where bytecode lies.
    pub naming: Naming,
    /// What it begins with.
    pub magic: [u8; 4],
    /// What its instructions mean.
    pub opcodes: &'static Opcodes,
}

/// The program as it stands when something is about to be imported.
#[derive(Debug, Default)]
pub struct Scene {
    /// The runs of `sys.path`, in order.
    pub path: Vec<Arc<Run>>,
    /// Every name in `sys.modules`.
    pub loaded: HashSet<String>,
    /// The directories of every package among them.
    pub packages: HashMap<String, Vec<PathBuf>>,
}

/// A module that is looked for, and where.
struct Wanted {
    name: String,
    runs: Vec<Arc<Run>>,
}

impl Wanted {
    fn dirs(&self) -> impl Iterator<Item = &Arc<Directory>> {
        self.runs.iter().flat_map(|run| run.dirs())
    }
}

/// A module that was found, and where it and its bytecode lie.
struct Found {
    /// What relative imports in it are relative to.
    package: String,
    source: PathBuf,
    bytecode: PathBuf,
}

impl Index {
    /// The names of modules that these imports, made in `package`, will ask for and nobody has looked after yet.
    /// Asks the filesystem nothing.
    #[must_use]
    pub fn unattended(
        &self,
        package: &str,
        imports: &[Import],
        loaded: &dyn Fn(&str) -> bool,
    ) -> Vec<String> {
        let mut shelf = self.shelf();
        let names = imports.iter().flat_map(|import| names_of(import, package));
        names.filter(|name| !loaded(name) && shelf.is_new(name)).collect()
    }

    /// Fetches the modules of these names, and what they lead to.
    pub fn look_ahead(&self, dialect: &Dialect, scene: &Scene, mut names: Vec<String>) {
        let began = Instant::now();
        let (mut pass, mut files) = (self.pass(), 0);
        while !names.is_empty() && files < MOST_FILES && began.elapsed() < LONGEST {
            count(&self.counters.ahead_steps, 1);
            let (now, later) = self.within_reach(scene, names);
            self.read_where(&mut pass, &now);
            let found = self.find_all(&mut pass, dialect, now);
            files += found.len();
            let imports = self.fetch(dialect, found);
            let is_loaded = |name: &str| scene.loaded.contains(name);
            names = later;
            for (package, imports) in imports {
                names.extend(self.unattended(&package, &imports, &is_loaded));
            }
        }
    }

    /// Those that can be looked for now, each with where; and those whose package must be found first. One that has
    /// neither is forgotten.
    fn within_reach(&self, scene: &Scene, names: Vec<String>) -> (Vec<Wanted>, Vec<String>) {
        let shelf = self.shelf();
        let (mut now, mut later) = (Vec::new(), Vec::new());
        let waiting: HashSet<String> = names.iter().cloned().collect();
        for name in names {
            let home = match name.rsplit_once('.') {
                None => Some(scene.path.clone()),
                Some((package, _)) => match (shelf.home(package), scene.packages.get(package)) {
                    (Some(home), _) => Some(vec![home]),
                    (None, Some(dirs)) => Some(vec![Arc::new(self.run_of(dirs))]),
                    (None, None) if waiting.contains(package) => None,
                    (None, None) => continue,
                },
            };
            match home {
                Some(runs) => now.push(Wanted { name, runs }),
                None => later.push(name),
            }
        }
        (now, later)
    }

    fn run_of(&self, dirs: &[PathBuf]) -> Run {
        self.run(dirs.iter().map(|dir| self.directory(dir)).collect())
    }

    /// Reads all directories in which these names are looked for, then those that packages among them are.
    fn read_where(&self, pass: &mut Pass, wanted: &[Wanted]) {
        self.read_unread(pass, wanted.iter().flat_map(Wanted::dirs).cloned());
        let inner = wanted.iter().flat_map(|wanted| {
            let name = tail(&wanted.name);
            let may_be_package = |dir: &&Arc<Directory>| match &dir.state().names {
                Names::Listed(names) => matches!(
                    names.kind(name.as_bytes()),
                    Some(Kind::Dir | Kind::Link | Kind::Unknown)
                ),
                _ => false,
            };
            let dirs = wanted.dirs().filter(may_be_package);
            dirs.map(|dir| self.directory(&candidates::join(dir.path(), name, "")))
                .collect::<Vec<_>>()
        });
        self.read_unread(pass, inner);
    }

    fn read_unread(&self, pass: &mut Pass, dirs: impl Iterator<Item = Arc<Directory>>) {
        let trust = self.table.trust();
        let mut known = HashSet::new();
        let is_unread = |dir: &Arc<Directory>| {
            let state = dir.state();
            matches!(state.names, Names::Unread) || state.trust != trust
        };
        let unread: Vec<_> =
            dirs.filter(|dir| known.insert(Arc::as_ptr(dir)) && is_unread(dir)).collect();
        if !unread.is_empty() {
            self.read_and_time(pass, &unread);
        }
    }

    /// What these names are. Of packages it is kept where their submodules are looked for.
    fn find_all(&self, pass: &mut Pass, dialect: &Dialect, wanted: Vec<Wanted>) -> Vec<Found> {
        let mut found = Vec::new();
        for Wanted { name, runs } in wanted {
            for run in &runs {
                let mut grounds = Grounds::default();
                let answer = self.work_out(pass, run, tail(&name), &mut grounds);
                let Some((home, file)) = self.place_of(run, &name, &answer) else { continue };
                if let Some(home) = home {
                    self.shelf().settle(name.clone(), Arc::new(self.run_of(&home)));
                }
                found.extend(file.filter(|(source, _)| self.is_slow_at(source)).and_then(
                    |(source, package)| {
                        let bytecode = dialect.naming.beside(source.to_str()?)?.into();
                        Some(Found { package: package.to_owned(), source, bytecode })
                    },
                ));
                break;
            }
        }
        found
    }

    /// For an answer that ends the search: the directories of a package, and the source with the package that it
    /// belongs to. Only sources are fetched ahead.
    #[allow(clippy::type_complexity)]
    fn place_of<'n>(
        &self,
        run: &Run,
        name: &'n str,
        answer: &Answer,
    ) -> Option<(Option<Vec<PathBuf>>, Option<(PathBuf, &'n str)>)> {
        let dir = |entry: usize| candidates::join(run.dirs()[entry].path(), tail(name), "");
        let is_source = |suffix: usize| self.suffixes.get(suffix) == ".py";
        match answer {
            Answer::Found { entry, candidate: Candidate::Package(suffix) } => {
                let home = dir(*entry);
                let source = candidates::join(&home, INIT, self.suffixes.get(*suffix));
                Some((Some(vec![home]), is_source(*suffix).then_some((source, name))))
            }
            Answer::Found { entry, candidate: Candidate::Module(suffix) } => {
                let suffix_text = self.suffixes.get(*suffix);
                let source = candidates::join(run.dirs()[*entry].path(), tail(name), suffix_text);
                let package = name.rsplit_once('.').map_or("", |(package, _)| package);
                Some((None, is_source(*suffix).then_some((source, package))))
            }
            Answer::Portions(at) => {
                Some((Some(at.iter().map(|entry| dir(*entry)).collect()), None))
            }
            Answer::Absent | Answer::Ask => None,
        }
    }

    /// Fetches sources' stats and their bytecode; what those that are up to date will import, by package.
    fn fetch(&self, dialect: &Dialect, found: Vec<Found>) -> Vec<(String, Vec<Import>)> {
        let sources: Vec<_> = found.iter().map(|found| found.source.as_path()).collect();
        let stats = self.prober.stat(&sources);
        let paths: Vec<_> = found.iter().map(|found| found.bytecode.as_path()).collect();
        let contents = self.prober.read(&paths, LARGEST);
        let mut imports = Vec::new();
        for ((found, stat), content) in found.into_iter().zip(stats).zip(contents) {
            let (Fact::Present(stat), Ok(content)) = (stat, content) else { continue };
            // What may still change within a tick would not show it.
            if fresh_generation(&content.stat).is_none() {
                continue;
            }
            match Claim::of(&content.bytes, dialect.magic) {
                None => continue,
                Some(claim @ Claim::Timestamp { .. }) if !claim.fits(&stat) => continue,
                Some(_) => {}
            }
            let known = bytecode::imports(&content.bytes[pyc::HEADER..], dialect.opcodes);
            imports.extend(known.map(|known| (found.package, known)));
            count(&self.counters.ahead_files, 1);
            count(&self.counters.ahead_bytes, content.bytes.len());
            if !self.shelf().put(found.bytecode, content) {
                break;
            }
        }
        imports
    }
}

/// The modules that an import asks for, packages first.
fn names_of(import: &Import, package: &str) -> Vec<String> {
    let mut base = String::new();
    if import.level > 0 {
        let mut context = package;
        for _ in 1..import.level {
            let Some((outer, _)) = context.rsplit_once('.') else { return Vec::new() };
            context = outer;
        }
        if context.is_empty() {
            return Vec::new();
        }
        base.push_str(context);
        if !import.name.is_empty() {
            base.push('.');
        }
    }
    base.push_str(&import.name);
    let dots = base.match_indices('.').map(|(at, _)| at);
    let mut names: Vec<String> = dots.map(|at| base[..at].to_owned()).collect();
    let from = import.from.iter().filter(|name| *name != "*").map(|name| format!("{base}.{name}"));
    names.extend(from.collect::<Vec<_>>());
    names.push(base);
    names
}

fn tail(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, tail)| tail)
}
