//! CPython's protocol on top of the index: the native bodies of `PathFinder`.
//!
//! Semantics are those of `PathFinder` and `FileFinder` in `Lib/importlib/_bootstrap_external.py`.
//! Whatever is not a plain directory with a plain `FileFinder` is left to stock, entry by entry: its
//! own `_get_spec` is called with that one entry, so hooks, archives and foreign finders see exactly
//! what they would have seen.

mod named;
mod plan;
mod relied;
mod stock;
mod watch;
pub mod without_gil;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};
use rustc_hash::FxHashMap;

use crate::candidates::{Candidate, INIT};
use crate::index::{Answer, Freshness, Index, LookAhead, Pass, Run, Share};
use crate::probe::Backend;
use crate::table::Directory;
pub use named::Wrapper;
pub use plan::fits_fs_encoding;
use plan::{Around, Place, Plan, Step};
pub use relied::Relied;
use stock::Stock;
pub use stock::{Natives, is_no_function, is_of, is_unbound, replaced};
use watch::Entries;

/// Plans kept: `sys.path`, and the paths of a few namespace packages.
const MAX_PLANS: usize = 8;
/// Plans kept of one entry: the paths of packages.
const MAX_SINGLES: usize = 256;

/// A native `PathFinder`.
pub struct Finder {
    stock: Stock,
    index: Index,
    sys: Py<PyAny>,
    plans: Mutex<Vec<Arc<Plan>>>,
    /// Those of one entry, by its address: they hold it, so nothing else can come to lie there.
    singles: Mutex<FxHashMap<usize, Arc<Plan>>>,
    asked: AtomicU64,
    /// Nanoseconds spent on finding, stock's part included.
    find_ns: AtomicU64,
    /// Calls of `importlib.invalidate_caches()` that the index has heard of.
    invalidations: AtomicI64,
    /// `-v` wants to be told every step: stock tells it.
    verbose: bool,
}

/// What a path says of a name.
enum Outcome<'py> {
    Spec(Bound<'py, PyAny>),
    Portions(Bound<'py, PyAny>),
}

impl Finder {
    /// A finder for this interpreter, not yet in place.
    ///
    /// # Errors
    /// An interpreter that is not one of those we know.
    pub fn new(py: Python<'_>, backend: Backend, freshness: Freshness) -> PyResult<Self> {
        let sys = py.import("sys")?.into_any();
        let stock = Stock::new(&sys)?;
        let index = Index::new(backend, freshness, stock.suffixes());
        let verbose = sys.getattr("flags")?.getattr("verbose")?.extract::<i32>()? != 0;
        let (plans, singles, asked, find_ns) = Default::default();
        let invalidations = AtomicI64::new(stock.invalidations(py)?);
        let sys = sys.unbind();
        Ok(Self { stock, index, sys, plans, singles, asked, find_ns, invalidations, verbose })
    }

    /// Puts these bodies in the place of stock's.
    pub fn put_in_place<'py>(&mut self, py: Python<'py>, natives: &Natives<'py>) -> PyResult<()> {
        self.stock.replace(py, natives)
    }

    /// Where to look ahead; it is where the filesystem is slow unless this is called.
    pub fn look_ahead(&mut self, ahead: LookAhead) {
        self.index.look_ahead_where(ahead);
    }

    /// Shares what is learnt with other processes; it is not shared unless this is called.
    pub fn share(&mut self, share: Share) {
        self.index.share(share);
    }

    /// Puts stock's bodies back.
    pub fn take_out(&self, py: Python<'_>) -> PyResult<()> {
        self.stock.restore(py)
    }

    /// The table behind it.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// Stock importlib, as it was found.
    pub fn stock(&self) -> &Stock {
        &self.stock
    }

    /// How many questions the filesystem was asked: paths probed and directories listed.
    pub fn questions(&self) -> u64 {
        let tally = self.index.counts().1;
        tally.serial + tally.threads + tally.uring + tally.listings
    }

    /// How many path entries were left to stock.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Nanoseconds spent on finding so far, stock's part included.
    pub fn find_ns(&self) -> u64 {
        self.find_ns.load(Ordering::Relaxed)
    }

    /// The runs of directories on `sys.path`; what stock is asked for there is left out.
    pub fn path_runs(&self, py: Python<'_>) -> PyResult<Vec<Arc<Run>>> {
        let sys = self.sys.bind(py);
        let path = sys.getattr(intern!(py, "path"))?;
        let around = plan::around(py, sys, &self.stock, &self.index);
        let (Some(around), Some(entries)) = (around, plan::entries(&self.stock, &path)?) else {
            return Ok(Vec::new());
        };
        let plan = self.plan(&around, &mut self.index.pass(), &entries)?;
        let run = |step: &Step| match step {
            Step::Dirs(run, _) => Some(Arc::clone(run)),
            Step::Ask(..) => None,
        };
        Ok(plan.steps.iter().filter_map(run).collect())
    }

    /// `PathFinder.find_spec(fullname, path=None, target=None)`.
    pub fn find_spec<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        path: Option<&Bound<'py, PyAny>>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let began = Instant::now();
        let spec = self.find(cls, fullname, path, target);
        self.find_ns.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        spec
    }

    fn find<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        path: Option<&Bound<'py, PyAny>>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = cls.py();
        let found = match path {
            Some(path) => self.search(cls, fullname, path, target)?,
            None => {
                let path = self.sys.bind(py).getattr(intern!(py, "path"))?;
                self.search(cls, fullname, &path, target)?
            }
        };
        match found {
            None => {
                self.stock.call_find_spec(&(cls, fullname, path, target).into_pyobject(py)?, None)
            }
            Some(Outcome::Spec(spec)) => Ok(spec),
            Some(Outcome::Portions(portions)) if portions.len()? == 0 => {
                Ok(py.None().into_bound(py))
            }
            Some(Outcome::Portions(portions)) => {
                self.stock.namespace_spec(cls, fullname, &portions)
            }
        }
    }

    /// `PathFinder._get_spec(fullname, path, target=None)`: namespace packages call it to find their
    /// portions anew.
    pub fn get_spec<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        match self.search(cls, fullname, path, target)? {
            None => self.stock.search(cls, fullname, path, target),
            Some(Outcome::Spec(spec)) => Ok(spec),
            Some(Outcome::Portions(portions)) => self.stock.portions_spec(fullname, &portions),
        }
    }

    /// The search itself; none where all of it is stock's business.
    fn search<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Option<Outcome<'py>>> {
        let py = cls.py();
        if self.verbose || !cls.is(&self.stock.path_finder) || !self.stock.is_untouched(py) {
            return Ok(None);
        }
        let Some(name) = tail(fullname) else { return Ok(None) };
        let Some(entries) = plan::entries(&self.stock, path)? else { return Ok(None) };
        let Some(around) = plan::around(py, self.sys.bind(py), &self.stock, &self.index) else {
            return Ok(None);
        };
        let invalidations = self.stock.invalidations(py)?;
        if self.invalidations.swap(invalidations, Ordering::AcqRel) != invalidations {
            self.index.invalidate();
        }
        let mut pass = self.index.pass();
        let plan = self.plan(&around, &mut pass, &entries)?;
        let portions = PyList::empty(py);
        for step in &plan.steps {
            let found = match step {
                Step::Ask(entry, at) => {
                    let found = self.ask(cls, fullname, entry.bind(py), target, &portions)?;
                    if found.is_none() && !plan.has_entries(&entries) {
                        // Stock walks the list itself, and sees what a hook has made of it.
                        let rest = rest_of(path, at + 1)?;
                        self.ask_all(cls, fullname, &rest, target, &portions)?
                    } else {
                        found
                    }
                }
                Step::Dirs(run, places) => {
                    let lookup = Lookup { cls, fullname, name, target };
                    self.search_run(&around, &mut pass, &lookup, run, places, &portions)?
                }
            };
            if let Some(spec) = found {
                return Ok(Some(Outcome::Spec(spec)));
            }
            if matches!(step, Step::Ask(..)) && !plan.has_entries(&entries) {
                break;
            }
        }
        Ok(Some(Outcome::Portions(portions.into_any())))
    }

    fn search_run<'py>(
        &self,
        around: &Around<'_, 'py>,
        pass: &mut Pass,
        lookup: &Lookup<'_, 'py>,
        run: &Run,
        places: &[Place],
        portions: &Bound<'py, PyList>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = lookup.cls.py();
        let mut answer = without_gil::run(py, || self.index.find(pass, run, lookup.name));
        self.audit(py, pass)?;
        let reached = match &answer {
            Answer::Found { entry, .. } => entry + 1,
            Answer::Ask => 0,
            Answer::Portions(_) | Answer::Absent => places.len(),
        };
        if !self.give_finders(around, pass, &run.dirs()[..reached], &places[..reached])? {
            answer = Answer::Ask;
        }
        match answer {
            Answer::Found { entry, candidate } => {
                self.spec_of(lookup, &places[entry], candidate).map(Some)
            }
            Answer::Absent => Ok(None),
            Answer::Portions(at) => {
                for entry in at.iter() {
                    portions.append([&*places[*entry].base, lookup.name].concat())?;
                }
                Ok(None)
            }
            Answer::Ask => {
                for place in places {
                    let found = self.ask(
                        lookup.cls,
                        lookup.fullname,
                        place.entry.bind(py),
                        lookup.target,
                        portions,
                    )?;
                    if found.is_some() {
                        return Ok(found);
                    }
                }
                Ok(None)
            }
        }
    }

    /// Raises the auditing event that stock's listing raises (PEP 578), for each directory listed. The
    /// lookup cannot stop for it, so it comes right after.
    fn audit(&self, py: Python<'_>, pass: &mut Pass) -> PyResult<()> {
        for dir in pass.take_listed() {
            let audit = self.sys.bind(py).getattr(intern!(py, "audit"))?;
            audit.call1((intern!(py, "os.listdir"), dir.path().to_str()))?;
        }
        Ok(())
    }

    /// The entries that a lookup went by get their finder, as stock's lookup would have given it. False if
    /// one of them is no longer a directory: then the hooks must be asked.
    fn give_finders(
        &self,
        around: &Around<'_, '_>,
        pass: &mut Pass,
        dirs: &[Arc<Directory>],
        places: &[Place],
    ) -> PyResult<bool> {
        let py = around.hooks.py();
        if !places.iter().any(Place::is_fresh) {
            return Ok(true);
        }
        let fresh = dirs.iter().zip(places).filter(|(_, place)| place.is_fresh());
        let fresh: Vec<_> = fresh.map(|(dir, _)| Arc::clone(dir)).collect();
        if !without_gil::run(py, || self.index.are_directories(pass, &fresh)) {
            return Ok(false);
        }
        for key in places.iter().filter_map(|place| place.fresh.as_ref()) {
            let key = key.bind(py);
            if !around.cache.contains(key)? {
                around.cache.set_item(key, self.stock.new_file_finder(py, key.as_any())?)?;
            }
        }
        Ok(true)
    }

    fn spec_of<'py>(
        &self,
        lookup: &Lookup<'_, 'py>,
        place: &Place,
        candidate: Candidate,
    ) -> PyResult<Bound<'py, PyAny>> {
        let suffixes = self.index.suffixes();
        match candidate {
            Candidate::Module(suffix) => {
                let origin = [&*place.base, lookup.name, suffixes.get(suffix)].concat();
                self.stock.file_spec(lookup.fullname, suffix, &origin, None)
            }
            Candidate::Package(suffix) => {
                let bare = [&*place.base, lookup.name].concat();
                let origin = [&*bare, "/", INIT, suffixes.get(suffix)].concat();
                self.stock.file_spec(lookup.fullname, suffix, &origin, Some(&bare))
            }
        }
    }

    /// Stock's answer for one entry: a spec to load, or portions that are added to `portions`.
    fn ask<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        entry: &Bound<'py, PyAny>,
        target: Option<&Bound<'py, PyAny>>,
        portions: &Bound<'py, PyList>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let alone = PyList::new(cls.py(), [entry])?;
        self.ask_all(cls, fullname, alone.as_any(), target, portions)
    }

    /// The same for all entries of an iterable.
    fn ask_all<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
        target: Option<&Bound<'py, PyAny>>,
        portions: &Bound<'py, PyList>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = cls.py();
        let spec = self.stock.search(cls, fullname, path, target)?;
        if spec.is_none() || !spec.getattr(intern!(py, "loader"))?.is_none() {
            return Ok(Some(spec));
        }
        let more = spec.getattr(intern!(py, "submodule_search_locations"))?;
        portions.call_method1(intern!(py, "extend"), (more,))?;
        Ok(None)
    }

    fn plan<'py>(
        &self,
        around: &Around<'_, 'py>,
        pass: &mut Pass,
        entries: &Entries<'_, 'py>,
    ) -> PyResult<Arc<Plan>> {
        if let Some(entry) = entries.only() {
            return self.plan_of_one(around, pass, entries, entry.as_ptr() as usize);
        }
        let kept = || self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let candidates = kept().clone();
        if let Some(plan) = candidates.iter().find(|plan| plan.suits(around, entries)) {
            return Ok(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::new(around, pass, &entries.to_vec())?);
        let mut plans = vec![Arc::clone(&plan)];
        plans.extend(candidates.into_iter().filter(|plan| !plan.has_entries(entries)));
        plans.truncate(MAX_PLANS);
        // A plan holds Python objects; dropping one may run anybody's code, so not under the lock.
        let former = std::mem::replace(&mut *kept(), plans);
        drop(former);
        Ok(plan)
    }

    /// The same for a path of one entry, which lies at this address.
    fn plan_of_one<'py>(
        &self,
        around: &Around<'_, 'py>,
        pass: &mut Pass,
        entries: &Entries<'_, 'py>,
        address: usize,
    ) -> PyResult<Arc<Plan>> {
        let kept = || self.singles.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept().get(&address).cloned();
        if let Some(plan) = known.filter(|plan| plan.suits(around, entries)) {
            return Ok(plan);
        }
        let plan = Arc::new(Plan::new(around, pass, &entries.to_vec())?);
        // As above: nothing is dropped under the lock.
        let former = {
            let mut kept = kept();
            let full = (kept.len() >= MAX_SINGLES).then(|| std::mem::take(&mut *kept));
            (full, kept.insert(address, Arc::clone(&plan)))
        };
        drop(former);
        Ok(plan)
    }
}

/// An iterator over the living list, from this place on.
fn rest_of<'py>(path: &Bound<'py, PyAny>, from: usize) -> PyResult<Bound<'py, PyAny>> {
    let rest = path.try_iter()?.into_any();
    rest.call_method1(intern!(path.py(), "__setstate__"), (from,))?;
    Ok(rest)
}

/// What is looked for.
struct Lookup<'a, 'py> {
    cls: &'a Bound<'py, PyAny>,
    fullname: &'a Bound<'py, PyAny>,
    name: &'a str,
    target: Option<&'a Bound<'py, PyAny>>,
}

/// The part of a module's name behind its last dot, if the index can look for it.
fn tail<'a>(fullname: &'a Bound<'_, PyAny>) -> Option<&'a str> {
    let text = fullname.cast_exact::<PyString>().ok()?.to_str().ok()?;
    let name = text.rsplit_once('.').map_or(text, |(_, tail)| tail);
    fits_fs_encoding(fullname.py(), name).then_some(name)
}
