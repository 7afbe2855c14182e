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
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::reading::now_ns;
use super::{Index, Pass, Run, count};
use crate::bytecode::{self, Import, Opcodes};
use crate::candidates::{self, INIT};
use crate::fact::{Content, Generation, Kind, Stat};
use crate::pyc::{self, Claim, Naming};
use crate::table::{Directory, NameSet, Names, StemHash};

/// No further step is begun when so many files were fetched: the next module goes on from there.
const MOST_FILES: usize = 4_096;
/// Files fetched at once at most.
const MOST_AT_ONCE: usize = 256;
/// A larger bytecode file is not fetched, in bytes: it may be a wrong guess. Where many are fetched at once, each
/// may have its share of the shelf and no more.
const LARGEST: u64 = 1 << 20;
/// Names that wait for their turn at most. Most of what is imported `from` something is no module, and is
/// gone at the first look.
const MOST_WAITING: usize = 1 << 14;
/// A longer name is nobody's, in bytes: each of its dots would make another name.
const LONGEST_NAME: usize = 512;
/// The suffix of what is compiled.
const SOURCE: &str = ".py";
/// No further step is begun when so much time has passed, either.
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

/// Directories that are searched in order.
pub type Dirs = Arc<[Arc<Directory>]>;

/// A module that is looked for, and where.
struct Wanted {
    name: String,
    dirs: Dirs,
}

/// Where a module lies, going by the names of directories.
struct Place {
    /// The file that it is loaded from, where it is worth fetching.
    file: Option<PathBuf>,
    /// Where its submodules are looked for, if it is a package.
    home: Vec<Arc<Directory>>,
}

/// What was fetched of a module.
type Fetched = Option<(Stat, Content)>;

impl Index {
    /// The names of modules that these imports, made in `package` (of which there is none where it is empty), will
    /// ask for and nobody has looked after yet. From now on somebody has: they are for [`Index::look_ahead`].
    /// `loaded` says what the program has already. Asks the filesystem nothing.
    #[must_use]
    pub fn unattended(
        &self,
        package: &str,
        imports: &[Import],
        loaded: &dyn Fn(&str) -> bool,
    ) -> Vec<String> {
        self.some_unattended(package, imports, loaded, MOST_WAITING)
    }

    /// Not more than `most` of them.
    fn some_unattended(
        &self,
        package: &str,
        imports: &[Import],
        loaded: &dyn Fn(&str) -> bool,
        most: usize,
    ) -> Vec<String> {
        let names = imports.iter().flat_map(|import| names_of(import, package));
        // Whoever says what is loaded may be running the program's code: not under the lock.
        let missing: Vec<_> = names.filter(|name| !loaded(name)).take(most).collect();
        let mut shelf = self.shelf();
        missing.into_iter().filter(|name| shelf.is_new(name)).collect()
    }

    /// Fetches the modules of these names, which [`Index::unattended`] gave, and what they lead to: in as many
    /// steps as the imports are deep, each of a few batches. Their bytecode, as `dialect` has it, is on the shelf
    /// then, and [`Index::load`] uses it. Bounded in files, bytes and time; what is left is unattended again.
    pub fn look_ahead(&self, dialect: &Dialect, scene: &Scene, mut names: Vec<String>) {
        if self.ahead == LookAhead::Never {
            return;
        }
        let began = Instant::now();
        let path: Dirs = scene.path.iter().flat_map(|run| run.dirs()).cloned().collect();
        let (mut pass, mut files) = (self.pass(), 0);
        while !names.is_empty() && files < MOST_FILES && began.elapsed() < LONGEST {
            count(&self.counters.ahead_steps, 1);
            let (reachable, later) = self.within_reach(scene, &path, names);
            self.read_unread(&mut pass, dirs_of(&reachable));
            names = later;
            let now = self.next(reachable, &mut names);
            if now.is_empty() {
                // Most names are no modules: no helper is hired for nothing.
                continue;
            }
            files += now.len();
            let asked = Instant::now();
            let fetched = self.fetch(&mut pass, dialect, &now);
            let done = now.into_iter().zip(fetched);
            self.sort_out(dialect, scene, asked, done, &mut names);
        }
        self.shelf().forget(&names);
    }

    /// Those that can be looked for now, each with where; and those whose package must be found first. One that has
    /// neither is no module.
    fn within_reach(
        &self,
        scene: &Scene,
        path: &Dirs,
        mut names: Vec<String>,
    ) -> (Vec<Wanted>, Vec<String>) {
        let (mut now, mut later) = (Vec::new(), Vec::new());
        let mut waiting = HashSet::new();
        names.retain(|name| waiting.insert(name.clone()));
        let home_of = |package: &str| match scene.packages.get(package) {
            Some(dirs) => Some(dirs.iter().map(|dir| self.directory(dir)).collect()),
            None => self.shelf().home(package),
        };
        for name in names {
            let package = name.rsplit_once('.').map(|(package, _)| package);
            match package.map_or_else(|| Some(Arc::clone(path)), home_of) {
                Some(dirs) => now.push(Wanted { name, dirs }),
                None if package.is_some_and(|package| waiting.contains(package)) => {
                    later.push(name)
                }
                None => {}
            }
        }
        (now, later)
    }

    /// As many of these as may be fetched at once, with where they most likely lie. The rest joins those that
    /// wait, but for what is not there.
    fn next(&self, reachable: Vec<Wanted>, waiting: &mut Vec<String>) -> Vec<(Wanted, Place)> {
        let mut now = Vec::new();
        for wanted in reachable {
            match self.place_of(&wanted) {
                Some(place) if now.len() < MOST_AT_ONCE => now.push((wanted, place)),
                Some(_) => waiting.push(wanted.name),
                None => {}
            }
        }
        now
    }

    /// Where a name lies, by the names that are known: `PathFinder.find_spec` without a question to the
    /// filesystem. A directory whose names are not known is taken for empty.
    fn place_of(&self, wanted: &Wanted) -> Option<Place> {
        let name = tail(&wanted.name);
        let stem = StemHash::of(name);
        let mut portions = Vec::new();
        for dir in wanted.dirs.iter() {
            let Some((names, slow)) = names_with(dir, stem) else { continue };
            let is_worth_it = slow || self.ahead == LookAhead::Always;
            let file =
                |dir: &Path, stem, suffix| is_worth_it.then(|| candidates::join(dir, stem, suffix));
            if may_be_dir(&names, name) {
                let inner = self.directory(&candidates::join(dir.path(), name, ""));
                match self.init_of(&inner) {
                    Some(Some(suffix)) => {
                        let file = file(inner.path(), INIT, suffix);
                        return Some(Place { file, home: vec![inner] });
                    }
                    Some(None) => portions.push(inner),
                    None => {}
                }
            }
            if let Some(suffix) = self.suffix_in(&names, name) {
                return Some(Place { file: file(dir.path(), name, suffix), home: Vec::new() });
            }
        }
        (!portions.is_empty()).then_some(Place { file: None, home: portions })
    }

    /// The suffix of a directory's `__init__`, none where it has none; none at all where it is no directory. One whose
    /// names are not known is most likely a package.
    fn init_of(&self, dir: &Directory) -> Option<Option<&str>> {
        match &dir.state().names {
            Names::Gone => None,
            Names::Listed(names) => Some(self.suffix_in(names, INIT)),
            Names::Unread | Names::Large(_) | Names::Unreadable => Some(Some(SOURCE)),
        }
    }

    /// The first suffix with which a file of this stem may be among these names.
    fn suffix_in(&self, names: &NameSet, stem: &str) -> Option<&str> {
        self.suffixes.iter().find(|suffix| {
            let kind = names.kind(format!("{stem}{suffix}").as_bytes());
            matches!(kind, Some(Kind::File | Kind::Link | Kind::Unknown))
        })
    }

    /// Fetches, all at the same time: the names of directories that may be packages, every file's stat, and every
    /// bytecode file. What was fetched, one by one.
    fn fetch(&self, pass: &mut Pass, dialect: &Dialect, now: &[(Wanted, Place)]) -> Vec<Fetched> {
        let files: Vec<&Path> = now.iter().filter_map(|(_, place)| place.file.as_deref()).collect();
        let beside = |file: &&Path| bytecode_of(dialect, file);
        let bytecode: Vec<Option<PathBuf>> = files.iter().map(beside).collect();
        let proposals: Vec<_> = files.iter().map(|file| self.proposal(file)).collect();
        // What a table has is asked about, not read.
        let proposed = |is: bool| {
            let pairs = bytecode.iter().zip(&proposals);
            pairs
                .filter(move |(_, one)| one.is_some() == is)
                .filter_map(|(path, _)| path.as_deref())
        };
        let wanted: Vec<&Path> = proposed(false).collect();
        let asked: Vec<&Path> = files.iter().copied().chain(proposed(true)).collect();
        let share = self.shelf().room() / wanted.len().max(1) as u64;
        let began = now_ns();
        let stat = || self.prober.stat(&asked);
        let read = || self.prober.read(&wanted, share.min(LARGEST));
        let list = || self.read_unread(pass, &self.may_be_packages(now));
        let (facts, (contents, ())) = together(stat, || together(read, list));
        let (facts, now_proposed) = facts.split_at(files.len());
        let (mut contents, mut now_proposed) = (contents.into_iter(), now_proposed.iter());
        let mut parts = facts.iter().zip(&bytecode).zip(&proposals);
        let mut fetched = |_: &PathBuf| {
            let ((fact, path), proposal) = parts.next()?;
            let content = match (path, proposal) {
                (None, _) => None,
                (Some(_), None) => contents.next()?.ok(),
                (Some(_), Some(one)) => self.proposed(one, now_proposed.next()?.stat()?),
            };
            Some((*fact.stat()?, content?))
        };
        // What may still have changed within a tick after it was read would not show it.
        let is_old = |(_, content): &(Stat, Content)| !Generation::of(&content.stat).is_racy(began);
        now.iter()
            .map(|(_, place)| place.file.as_ref().and_then(&mut fetched).filter(is_old))
            .collect()
    }

    /// The directories that have the name of a module that is looked for.
    fn may_be_packages(&self, wanted: &[(Wanted, Place)]) -> Vec<Arc<Directory>> {
        let inner = |(wanted, _): &(Wanted, Place)| {
            let name = tail(&wanted.name);
            let stem = StemHash::of(name);
            let has = |dir: &&Arc<Directory>| {
                names_with(dir, stem).is_some_and(|(names, _)| may_be_dir(&names, name))
            };
            let dirs = wanted.dirs.iter().filter(has);
            dirs.map(|dir| self.directory(&candidates::join(dir.path(), name, "")))
                .collect::<Vec<_>>()
        };
        wanted.iter().flat_map(inner).collect()
    }

    /// Reads those of these directories whose names are not known. A lookup that makes use of them will tell
    /// that they were listed.
    fn read_unread<'d>(&self, pass: &mut Pass, dirs: impl IntoIterator<Item = &'d Arc<Directory>>) {
        let trust = self.table.trust();
        let mut known = HashSet::new();
        let is_unread = |dir: &&Arc<Directory>| {
            let state = dir.state();
            // What could not be read a moment ago is not tried again.
            (matches!(state.names, Names::Unread) || state.trust != trust) && state.pass != pass.id
        };
        let unread = dirs.into_iter().filter(|dir| known.insert(Arc::as_ptr(dir)));
        let unread: Vec<_> = unread.filter(is_unread).cloned().collect();
        if !unread.is_empty() {
            self.read_and_time(pass, &unread);
        }
        for dir in pass.take_listed() {
            dir.state().untold = true;
        }
    }

    /// Of packages, keeps where their submodules are looked for; of bytecode that is up to date, the bytes. Adds
    /// to `waiting` what all of it will import, and what turned out to lie elsewhere.
    fn sort_out(
        &self,
        dialect: &Dialect,
        scene: &Scene,
        asked: Instant,
        done: impl Iterator<Item = ((Wanted, Place), Fetched)>,
        waiting: &mut Vec<String>,
    ) {
        let is_loaded = |name: &str| scene.loaded.contains(name);
        for ((wanted, guess), fetched) in done {
            // The names of packages were not known before.
            let Some(place) = self.place_of(&wanted) else { continue };
            if place.file.is_some() && place.file != guess.file {
                waiting.push(wanted.name);
                continue;
            }
            let is_package = !place.home.is_empty();
            if is_package {
                self.shelf().settle(wanted.name.clone(), place.home.into());
            }
            let (Some(file), Some(fetched)) = (place.file, fetched) else { continue };
            let Some(imports) = self.keep(dialect, file, fetched, asked) else { continue };
            let package = match wanted.name.rsplit_once('.') {
                _ if is_package => &*wanted.name,
                Some((package, _)) => package,
                None => "",
            };
            let most = MOST_WAITING.saturating_sub(waiting.len());
            waiting.extend(self.some_unattended(package, &imports, &is_loaded, most));
        }
    }

    /// Puts bytecode onto the shelf, if its source is as it says; what it imports.
    fn keep(
        &self,
        dialect: &Dialect,
        source: PathBuf,
        (stat, content): (Stat, Content),
        asked: Instant,
    ) -> Option<Vec<Import>> {
        match Claim::of(&content.bytes, dialect.magic)? {
            claim @ Claim::Timestamp { .. } if !claim.fits(&stat) => return None,
            _ => {}
        }
        let imports = bytecode::imports(&content.bytes[pyc::HEADER..], dialect.opcodes);
        let bytes = content.bytes.len();
        let path = bytecode_of(dialect, &source)?;
        if self.shelf().put(path, source, content, asked) {
            count(&self.counters.ahead_files, 1);
            count(&self.counters.ahead_bytes, bytes);
        }
        imports
    }

    /// A question had us sleep for so long: about a file that is to be loaded, or, where there is none, about directories.
    /// Network filesystems tell the kernel how long it may keep what they say, a second or three; when that is
    /// over, every import would wait for its own files again. So everything that is still to be imported, and forgotten too,
    /// is asked about in one batch, which tells us nothing, but lets the kernel answer what we ask when each is imported.
    pub(super) fn refresh_if_forgotten(&self, slept: Duration, bytecode: Option<&Path>) {
        let asked = Instant::now();
        let paths = self.shelf().forgotten(slept, bytecode, asked);
        if paths.is_empty() {
            return;
        }
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        count(&self.counters.ahead_refreshes, 1);
        let waited = self.prober.wait_for(&paths);
        let waited = paths.into_iter().zip(waited).filter(|(_, waited)| *waited);
        self.shelf().refreshed(&waited.map(|(path, _)| path).collect(), asked);
    }
}

/// Every directory in which one of these is looked for. Most share one long path, which counts once.
fn dirs_of(wanted: &[Wanted]) -> impl Iterator<Item = &Arc<Directory>> {
    let mut known = HashSet::new();
    let paths = wanted.iter().filter(move |wanted| known.insert(wanted.dirs.as_ptr()));
    paths.flat_map(|wanted| &*wanted.dirs)
}

/// The names of a directory that may hold this stem, and whether it was slow to read.
fn names_with(dir: &Directory, stem: StemHash) -> Option<(Arc<NameSet>, bool)> {
    let state = dir.state();
    match &state.names {
        Names::Listed(names) if names.may_hold(stem) => Some((Arc::clone(names), state.slow)),
        _ => None,
    }
}

/// Whether these names say that there may be a directory of this name.
fn may_be_dir(names: &NameSet, name: &str) -> bool {
    matches!(names.kind(name.as_bytes()), Some(Kind::Dir | Kind::Link | Kind::Unknown))
}

/// Where the bytecode of this file lies; none for what has none.
fn bytecode_of(dialect: &Dialect, file: &Path) -> Option<PathBuf> {
    let file = file.to_str().filter(|file| file.ends_with(SOURCE))?;
    dialect.naming.beside(file).map(PathBuf::from)
}

/// Both, the first on a thread of its own if one can be had; it ends before this returns. If that thread panics,
/// nothing is lost: it is done again here.
pub(super) fn together<A: Send, B>(a: impl Fn() -> A + Sync, b: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let helper = Builder::new().spawn_scoped(scope, &a);
        let b = b();
        let done = helper.ok().and_then(|helper| helper.join().ok());
        (done.unwrap_or_else(&a), b)
    })
}

/// The modules that an import asks for, packages first; none where it goes beyond the top, or where no module could
/// be called so.
fn names_of(import: &Import, package: &str) -> Vec<String> {
    let Some(base) = absolute(import, package) else { return Vec::new() };
    let dots = base.match_indices('.').map(|(at, _)| at);
    let mut names: Vec<String> = dots.map(|at| base[..at].to_owned()).collect();
    names.push(base);
    let base = &names[names.len() - 1];
    let is_short = |name: &&String| base.len() + 1 + name.len() <= LONGEST_NAME;
    let from = import.from.iter().filter(|name| *name != "*").filter(is_short);
    let from: Vec<_> = from.map(|name| format!("{base}.{name}")).collect();
    names.extend(from);
    names
}

/// The full name of what an import in `package` names: `_resolve_name` of `Lib/importlib/_bootstrap.py`.
fn absolute(import: &Import, package: &str) -> Option<String> {
    let mut base = package;
    for _ in 1..import.level {
        base = base.rsplit_once('.')?.0;
    }
    let name = match (import.level, &*import.name) {
        (0, name) => name.to_owned(),
        (_, _) if base.is_empty() => return None,
        (_, "") => base.to_owned(),
        (_, name) => format!("{base}.{name}"),
    };
    Some(name).filter(|name| (1..=LONGEST_NAME).contains(&name.len()))
}

fn tail(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, tail)| tail)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn what_a_helper_does_not_finish_is_done_again() {
        let is_first = AtomicBool::new(true);
        let a = || {
            assert!(!is_first.swap(false, Ordering::Relaxed), "the helper's");
            1
        };
        assert_eq!(together(a, || 2), (1, 2));
        let both = together(|| 1, || together(|| 2, || 3));
        assert_eq!(both, (1, (2, 3)));
    }

    #[test]
    fn an_import_asks_for_packages_first_and_never_beyond_the_top() {
        let names = |level, name: &str, from: &[&str], package| {
            let from = from.iter().map(ToString::to_string).collect();
            names_of(&Import { level, name: name.into(), from }, package).join(" ")
        };
        assert_eq!(names(0, "a.b", &[], "p"), "a a.b");
        assert_eq!(names(0, "a.b", &["c", "*"], "p"), "a a.b a.b.c");
        assert_eq!(names(1, "", &["c"], "p.q"), "p p.q p.q.c");
        assert_eq!(names(2, "a", &["c"], "p.q"), "p p.a p.a.c");
        for (level, package) in [(1, ""), (2, "p"), (3, "p.q"), (u32::MAX, "p.q")] {
            assert_eq!(names(level, "a", &["c"], package), "", "{level}, {package}");
        }
        assert_eq!(names(0, "", &["c"], "p"), "");
    }
}
