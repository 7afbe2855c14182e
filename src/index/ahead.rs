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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::reading::fresh_generation;
use super::{Answer, Grounds, Index, Pass, Run, count};
use crate::bytecode::{self, Import, Opcodes};
use crate::candidates::{self, Candidate, INIT};
use crate::fact::{Content, Fact, Kind, Stat};
use crate::pyc::{self, Claim, Naming};
use crate::table::{Directory, NameSet, Names};

/// Files fetched for one module at most, those that it leads to included.
const MOST_FILES: usize = 4_096;
/// Files fetched at once at most.
const MOST_AT_ONCE: usize = 512;
/// A larger bytecode file is not fetched, in bytes: it may be a wrong guess.
const LARGEST: u64 = 1 << 20;
/// The suffix of what is compiled.
const SOURCE: &str = ".py";
/// No further step is begun when so much time has passed: the next module goes on from there.
const LONGEST: Duration = Duration::from_secs(2);

/// Where to look ahead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LookAhead {
    /// Nowhere.
    Never,
    /// In directories that were slow to read.
    #[default]
    WhereSlow,
    /// Everywhere, for whoever wants to test it on a fast filesystem.
    Always,
}

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

/// Where a module that is looked for most likely lies, by the names of directories.
struct Guess {
    source: PathBuf,
    /// None for what is loaded in some other way.
    bytecode: Option<PathBuf>,
    /// What has been fetched of it.
    fetched: Option<(Stat, Content)>,
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
            self.read_unread(&mut pass, now.iter().flat_map(Wanted::dirs).cloned());
            let mut guesses: Vec<_> =
                now.iter().map(|wanted| self.guess(dialect, wanted)).collect();
            files += guesses.iter().flatten().count();
            self.fetch(&mut pass, &now, &mut guesses);
            let imports = self.sort_out(&mut pass, dialect, now, guesses);
            // Nobody has asked for these directories yet, and whoever audits hears of them when somebody does.
            pass.take_listed().iter().for_each(|dir| dir.state().untold = true);
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
                Some(runs) if now.len() < MOST_AT_ONCE => now.push(Wanted { name, runs }),
                _ => later.push(name),
            }
        }
        (now, later)
    }

    fn run_of(&self, dirs: &[PathBuf]) -> Run {
        self.run(dirs.iter().map(|dir| self.directory(dir)).collect())
    }

    /// Where a name most likely lies: in the first directory that has something of that name.
    fn guess(&self, dialect: &Dialect, wanted: &Wanted) -> Option<Guess> {
        let name = tail(&wanted.name);
        let file = |dir: &Arc<Directory>| {
            let state = dir.state();
            let Names::Listed(names) = &state.names else { return None };
            if !(state.slow || self.ahead == LookAhead::Always) {
                return None;
            }
            if may_be_package(names, name) {
                let package = candidates::join(dir.path(), name, "");
                return Some((candidates::join(&package, INIT, SOURCE), true));
            }
            let has = |suffix: &&str| names.kind(format!("{name}{suffix}").as_bytes()).is_some();
            let suffix = self.suffixes.iter().find(has)?;
            Some((candidates::join(dir.path(), name, suffix), suffix == SOURCE))
        };
        let (source, is_source) = wanted.dirs().find_map(file)?;
        let bytecode = if is_source { dialect.naming.beside(source.to_str()?) } else { None };
        Some(Guess { source, bytecode: bytecode.map(PathBuf::from), fetched: None })
    }

    /// Fetches, all at the same time: the names of directories that may be packages, every source's stat, and
    /// every bytecode file.
    fn fetch(&self, pass: &mut Pass, wanted: &[Wanted], guesses: &mut [Option<Guess>]) {
        let inner = wanted.iter().flat_map(|wanted| {
            let name = tail(&wanted.name);
            let has = |dir: &&Arc<Directory>| match &dir.state().names {
                Names::Listed(names) => may_be_package(names, name),
                _ => false,
            };
            let dirs = wanted.dirs().filter(has);
            dirs.map(|dir| self.directory(&candidates::join(dir.path(), name, "")))
                .collect::<Vec<_>>()
        });
        let sources: Vec<&Path> = guesses.iter().flatten().map(|guess| &*guess.source).collect();
        let bytecode: Vec<&Path> =
            guesses.iter().flatten().filter_map(|guess| guess.bytecode.as_deref()).collect();
        let stat = || self.prober.stat(&sources);
        let read = || self.prober.read(&bytecode, LARGEST);
        let list = || self.read_unread(pass, inner);
        let (stats, (contents, ())) = together(stat, || together(read, list));
        let mut contents = contents.into_iter();
        for (guess, stat) in guesses.iter_mut().flatten().zip(stats) {
            let content = guess.bytecode.as_ref().and_then(|_| contents.next());
            if let (Fact::Present(stat), Some(Ok(content))) = (stat, content) {
                guess.fetched = Some((stat, content));
            }
        }
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

    /// What these names are: of packages it is kept where their submodules are looked for, of bytecode that was
    /// rightly fetched and is up to date the bytes. What all of it will import, by package.
    fn sort_out(
        &self,
        pass: &mut Pass,
        dialect: &Dialect,
        wanted: Vec<Wanted>,
        guesses: Vec<Option<Guess>>,
    ) -> Vec<(String, Vec<Import>)> {
        let mut imports = Vec::new();
        for (Wanted { name, runs }, guess) in wanted.into_iter().zip(guesses) {
            let answer = |run: &Arc<Run>| {
                let answer = self.work_out(pass, run, tail(&name), &mut Grounds::default());
                self.place_of(run, &name, &answer)
            };
            let Some((home, source)) = runs.iter().find_map(answer) else { continue };
            if let Some(home) = home {
                self.shelf().settle(name.clone(), Arc::new(self.run_of(&home)));
            }
            let (Some((source, package)), Some(guess)) = (source, guess) else { continue };
            if source != guess.source {
                continue;
            }
            if let (Some(path), Some(fetched)) = (guess.bytecode, guess.fetched) {
                let found = self.keep(dialect, path, source, fetched);
                imports.extend(found.map(|found| (package.to_owned(), found)));
            }
        }
        imports
    }

    /// Puts bytecode onto the shelf, if its source is as it says; what it imports.
    fn keep(
        &self,
        dialect: &Dialect,
        path: PathBuf,
        source: PathBuf,
        (stat, content): (Stat, Content),
    ) -> Option<Vec<Import>> {
        // What may still change within a tick would not show it.
        fresh_generation(&content.stat)?;
        match Claim::of(&content.bytes, dialect.magic)? {
            claim @ Claim::Timestamp { .. } if !claim.fits(&stat) => return None,
            _ => {}
        }
        let imports = bytecode::imports(&content.bytes[pyc::HEADER..], dialect.opcodes);
        let bytes = content.bytes.len();
        if self.shelf().put(path, source, content) {
            count(&self.counters.ahead_files, 1);
            count(&self.counters.ahead_bytes, bytes);
        }
        imports
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
        let is_source = |suffix: usize| self.suffixes.get(suffix) == SOURCE;
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

    /// A question about a file or directory `took` so long. Network filesystems tell the kernel how long it may
    /// keep what they say, a second or three; when that is over, every import would wait for its own files again.
    /// So everything that is still to be imported is asked about in one batch, which tells us nothing, but
    /// lets the kernel answer what we ask when each of them is imported.
    pub(super) fn refresh_if_forgotten(&self, took: Duration) {
        let paths = {
            let mut shelf = self.shelf();
            if !shelf.is_to_be_refreshed(took) {
                return;
            }
            shelf.paths()
        };
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        count(&self.counters.ahead_refreshes, 1);
        let _ = self.prober.stat(&paths);
    }
}

/// Whether these names say that there may be a package of this name.
fn may_be_package(names: &NameSet, name: &str) -> bool {
    matches!(names.kind(name.as_bytes()), Some(Kind::Dir | Kind::Link | Kind::Unknown))
}

/// Both, the first on a thread of its own if one can be had; it ends before this returns.
fn together<A: Send, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B) -> (A, B) {
    // Whoever comes first takes it, so that it is done even where there is no thread.
    let job = Mutex::new(Some(a));
    let take = || job.lock().unwrap_or_else(PoisonError::into_inner).take();
    std::thread::scope(|scope| {
        let helper = Builder::new().spawn_scoped(scope, || take().map(|a| a()));
        let b = b();
        let a = helper.ok().and_then(|helper| helper.join().ok().flatten());
        (a.unwrap_or_else(|| take().expect("nobody has taken it")()), b)
    })
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
