//! The Python face: the module `fastpath._native`.
//!
//! It installs and removes finder and loader, reads the environment, checks arguments, and sees to it that
//! nothing of ours ever breaks an import: whatever goes wrong inside, stock answers.

mod at_exit;
mod counters;
mod explain;
mod options;
mod program;
mod seal;
mod share;
mod switches;
mod table_learn;
mod tables;
mod timed;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList, PyString, PyTuple};

use crate::fact::{self, Stat};
use crate::finder::{Finder, Natives, without_gil};
use crate::loader::{Loader, Natives as LoaderNatives};
use crate::probe::{self, Prober};
use crate::table::shared::Published;
use options::Options;
use switches::Switches;

/// The finder, once there has been one. It outlives `uninstall`: a namespace package may hold our
/// `_get_spec`, which then calls stock's.
static FINDER: Mutex<Option<Arc<Installed>>> = Mutex::new(None);
/// Whether the bodies in place are ours.
static ACTIVE: AtomicBool = AtomicBool::new(false);

struct Installed {
    finder: Finder,
    /// Made when something is found that it could load, as a process that imports nothing shall not pay for
    /// it; none in it where loading is left to stock.
    loader: OnceLock<Option<Loader>>,
    is_loader_begun: AtomicBool,
    options: Options,
}

impl Installed {
    /// The loader, put in the place of stock's when this is first called; none where loading is left to stock, and while
    /// another thread is about to put it there.
    fn loader(&self, py: Python<'_>) -> Option<&Loader> {
        if let Some(loader) = self.loader.get() {
            return loader.as_ref();
        }
        let switches = Switches::now();
        // Not within the lock: making it runs Python, which may let another thread come here.
        if !switches.loading || self.is_loader_begun.swap(true, Ordering::AcqRel) {
            return None;
        }
        let put_in_place = || {
            let module = PyModule::new(py, "fastpath._native")?;
            let natives = LoaderNatives {
                get_code: wrap_pyfunction!(get_code, &module)?.into_any(),
                create_module: wrap_pyfunction!(create_module, &module)?.into_any(),
            };
            let loader = Loader::new(py, switches.resting)?;
            // Known before it is called.
            if let Some(loader) = self.loader.get_or_init(|| Some(loader)) {
                loader.put_in_place(py, &natives)?;
            }
            Ok(())
        };
        if let Err::<(), PyErr>(reason) = put_in_place() {
            options::debug(py, &format!("loading is left to stock: {reason}"));
        }
        self.loader.get_or_init(|| None).as_ref()
    }
}

fn current() -> Option<Arc<Installed>> {
    FINDER.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Runs one lookup, or loads one module. A panic in it is ours alone: everything of ours takes itself out, and
/// stock answers.
fn guarded<'py>(
    py: Python<'py>,
    ours: impl FnOnce(&Installed) -> PyResult<Bound<'py, PyAny>>,
    stocks: impl FnOnce(&Installed) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let installed = current().expect("a native body is made by `install` only");
    if !ACTIVE.load(Ordering::Acquire) {
        return stocks(&installed);
    }
    let answer = catch_unwind(AssertUnwindSafe(|| ours(&installed)));
    answer.unwrap_or_else(|_| {
        options::debug(py, "an import failed inside; stock importlib takes over");
        uninstall(py)?;
        stocks(&installed)
    })
}

/// Try to find a spec for 'fullname' on sys.path or 'path'.
///
/// The search is based on sys.path_hooks and sys.path_importer_cache.
#[pyfunction]
#[pyo3(name = "find_spec", signature = (*args, **kwargs))]
#[pyo3(text_signature = "(cls, fullname, path=None, target=None)")]
fn find_spec<'py>(
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    guarded(
        args.py(),
        |installed| match arguments(args, kwargs)? {
            Some([Some(cls), Some(name), path, target]) => {
                let (py, finder) = (cls.py(), &installed.finder);
                let path = path.filter(|path| !path.is_none());
                let spec = finder.find_spec(&cls, &name, path.as_ref(), target.as_ref())?;
                if !spec.is_none()
                    && let Some(loader) = installed.loader(py)
                {
                    loader.look_ahead(py, finder);
                }
                Ok(spec)
            }
            _ => installed.finder.stock().call_find_spec(args, kwargs),
        },
        |Installed { finder, .. }| finder.stock().call_find_spec(args, kwargs),
    )
}

/// Find the loader or namespace_path for this module/package name.
#[pyfunction]
#[pyo3(name = "_get_spec", signature = (*args, **kwargs))]
#[pyo3(text_signature = "(cls, fullname, path, target=None)")]
fn get_spec<'py>(
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    guarded(
        args.py(),
        |Installed { finder, .. }| match arguments(args, kwargs)? {
            Some([Some(cls), Some(name), Some(path), target]) => {
                finder.get_spec(&cls, &name, &path, target.as_ref())
            }
            _ => finder.stock().call_get_spec(args, kwargs),
        },
        |Installed { finder, .. }| finder.stock().call_get_spec(args, kwargs),
    )
}

/// Concrete implementation of InspectLoader.get_code.
#[pyfunction]
fn get_code<'py>(
    this: &Bound<'py, PyAny>,
    fullname: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let stocks = |installed: &Installed| {
        let loader = installed.loader.get().and_then(Option::as_ref);
        loader.expect("a native body is made by a loader only").call_stock(this, fullname)
    };
    let ours = |installed: &Installed| {
        if let Some(Some(loader)) = installed.loader.get()
            && let Some(code) = loader.get_code(&installed.finder, this, fullname)?
        {
            return Ok(code);
        }
        stocks(installed)
    };
    guarded(this.py(), ours, stocks)
}

/// Use default semantics for module creation.
#[pyfunction]
fn create_module<'py>(
    this: &Bound<'py, PyAny>,
    spec: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let nothing = || this.py().None().into_bound(this.py());
    let ours = |installed: &Installed| {
        let loader = installed.loader.get().and_then(Option::as_ref);
        Ok(loader.and_then(|loader| loader.create_module(this, spec)).unwrap_or_else(nothing))
    };
    guarded(this.py(), ours, |_| Ok(nothing()))
}

/// `cls, fullname, path, target` from a call; none where it does not fit, and stock says so in its words.
fn arguments<'py>(
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Option<[Option<Bound<'py, PyAny>>; 4]>> {
    const NAMES: [&str; 4] = ["cls", "fullname", "path", "target"];
    let mut bound = [const { None }; 4];
    if args.len() > NAMES.len() {
        return Ok(None);
    }
    for (slot, arg) in bound.iter_mut().zip(args.iter()) {
        *slot = Some(arg);
    }
    for (key, value) in kwargs.into_iter().flatten() {
        let at = NAMES.iter().position(|name| key.eq(name).unwrap_or(false));
        match at {
            Some(at) if bound[at].is_none() => bound[at] = Some(value),
            _ => return Ok(None),
        }
    }
    Ok(Some(bound))
}

/// In the child of a fork: if any thread was at work in the table, the child starts with a new one.
#[pyfunction]
fn _after_fork_in_child(py: Python<'_>) -> PyResult<()> {
    if !without_gil::was_cut_off_by_fork() || !ACTIVE.load(Ordering::Acquire) {
        return Ok(());
    }
    let Some(installed) = current() else { return Ok(()) };
    let options = installed.options.clone();
    uninstall(py)?;
    // Its locks may never be released: it is left as it is, for good.
    std::mem::forget(installed);
    put_in_place(py, options)
}

fn put_in_place(py: Python<'_>, options: Options) -> PyResult<()> {
    let mut finder = Finder::new(py, options.backend, options.freshness)?;
    let module = PyModule::new(py, "fastpath._native")?;
    let natives = Natives {
        find_spec: wrap_pyfunction!(find_spec, &module)?.into_any(),
        get_spec: wrap_pyfunction!(get_spec, &module)?.into_any(),
    };
    let switches = Switches::now();
    finder.look_ahead(switches.ahead);
    match share::of(py, &options, switches.settling) {
        Ok(Some(share)) => {
            finder.share(share);
            at_exit::register(hand_on_at_exit);
        }
        Ok(None) => {}
        // Who has no cache tag may still have his modules found.
        Err(reason) => options::debug(py, &format!("nothing is shared: {reason}")),
    }
    if switches.finding {
        finder.put_in_place(py, &natives)?;
    }
    let installed = Arc::new(Installed {
        finder,
        loader: OnceLock::new(),
        is_loader_begun: AtomicBool::new(false),
        options,
    });
    let former = FINDER.lock().unwrap_or_else(PoisonError::into_inner).replace(installed);
    drop(former);
    ACTIVE.store(true, Ordering::Release);
    Ok(())
}

/// Make this interpreter's imports go through fastpath. See the stubs for the whole story.
#[pyfunction]
#[pyo3(signature = (*, backend="auto", freshness="auto", cache="auto"))]
fn install(py: Python<'_>, backend: &str, freshness: &str, cache: &str) -> PyResult<bool> {
    let options = Options::new(py, backend, freshness, cache)?;
    let done = install_with(py, options);
    if let (true, Some(installed)) = (done, current()) {
        // Who asks for it has something to import.
        installed.loader(py);
    }
    Ok(done)
}

fn install_with(py: Python<'_>, options: Options) -> bool {
    if options.disabled {
        return false;
    }
    if ACTIVE.load(Ordering::Acquire) {
        if current().is_some_and(|installed| installed.options == options) {
            return true;
        }
        if uninstall(py).is_err() {
            return false;
        }
    }
    let done = put_in_place(py, options).and_then(|()| register_fork_hook(py));
    if let Err(error) = &done {
        options::debug(py, &format!("not installed: {error}"));
    }
    done.is_ok()
}

/// What was learnt goes to other processes when this one ends.
fn hand_on_at_exit() {
    if let (true, Some(installed)) = (ACTIVE.load(Ordering::Acquire), current()) {
        // There is nobody left to tell: the table that was there stays.
        let _ = installed.finder.index().hand_on();
    }
}

/// The same now, for tests: what became of it.
#[pyfunction]
fn _hand_on(py: Python<'_>) -> PyResult<&'static str> {
    let Some(installed) = current() else { return Ok("not installed") };
    match without_gil::run(py, || installed.finder.index().hand_on())? {
        Published::Done => Ok("done"),
        Published::NothingNew => Ok("nothing new"),
        Published::Busy => Ok("busy"),
    }
}

/// Once per process: `os` cannot be told to forget a hook.
fn register_fork_hook(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    let os = py.import("_frozen_importlib_external")?.getattr("_os")?;
    if !os.hasattr("register_at_fork")? || REGISTERED.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    let module = PyModule::new(py, "fastpath._native")?;
    let kwargs = PyDict::new(py);
    kwargs.set_item("after_in_child", wrap_pyfunction!(_after_fork_in_child, &module)?)?;
    os.call_method("register_at_fork", (), Some(&kwargs)).map(drop)
}

/// Put stock importlib back.
#[pyfunction]
fn uninstall(py: Python<'_>) -> PyResult<()> {
    if ACTIVE.swap(false, Ordering::AcqRel)
        && let Some(installed) = current()
    {
        if let Some(Some(loader)) = installed.loader.get() {
            loader.take_out(py)?;
        }
        installed.finder.take_out(py)?;
    }
    Ok(())
}

/// Whether imports go through fastpath now.
#[pyfunction]
fn is_installed() -> bool {
    ACTIVE.load(Ordering::Acquire)
}

/// For the start of an interpreter: `install` as the environment says. Never raises.
#[pyfunction]
fn _start(py: Python<'_>) -> bool {
    let start = || is_installed() || install_with(py, Options::from_environment(py));
    catch_unwind(AssertUnwindSafe(start)).unwrap_or(false)
}

/// One batch of stat calls.
#[pyfunction]
#[pyo3(name = "probe", signature = (paths, *, backend="auto"))]
fn probe_paths<'py>(
    py: Python<'py>,
    paths: &Bound<'py, PyAny>,
    backend: &str,
) -> PyResult<Bound<'py, PyList>> {
    let backend = options::backend(backend)?;
    if paths.is_instance_of::<PyString>() || paths.is_instance_of::<PyBytes>() {
        return Err(PyTypeError::new_err(
            "paths must be an iterable of paths, not a single str or bytes: wrap it in a list",
        ));
    }
    let paths: Vec<PathBuf> =
        paths.try_iter()?.map(|path| fs_path(&path?)).collect::<PyResult<_>>()?;
    let facts = py.detach(|| {
        let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
        Prober::new(backend).stat(&paths)
    });
    let class = py.import("os")?.getattr("stat_result")?;
    let results = facts.iter().map(|fact| match fact.stat() {
        Some(stat) => stat_result(&class, stat),
        None => Ok(py.None().into_bound(py)),
    });
    PyList::new(py, results.collect::<PyResult<Vec<_>>>()?)
}

/// What `os.fspath` and `os.fsencode` make of a path.
fn fs_path(path: &Bound<'_, PyAny>) -> PyResult<PathBuf> {
    let encoded = path.py().import("os")?.call_method1("fsencode", (path,))?;
    let bytes = encoded.cast_into::<PyBytes>()?;
    if bytes.as_bytes().contains(&0) {
        return Err(PyValueError::new_err(format!("embedded null byte in path {}", path.repr()?)));
    }
    path_of_bytes(bytes.as_bytes())
}

#[cfg(unix)]
fn path_of_bytes(bytes: &[u8]) -> PyResult<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    Ok(std::ffi::OsStr::from_bytes(bytes).into())
}

#[cfg(not(unix))]
fn path_of_bytes(bytes: &[u8]) -> PyResult<PathBuf> {
    // `os.fsencode` is UTF-8 on Windows (PEP 529).
    let text = std::str::from_utf8(bytes);
    text.map(PathBuf::from).map_err(|e| PyValueError::new_err(e.to_string()))
}

/// An `os.stat_result`: its ten items, then the times as floats and as nanoseconds.
fn stat_result<'py>(class: &Bound<'py, PyAny>, stat: &Stat) -> PyResult<Bound<'py, PyAny>> {
    let times = [stat.atime_ns, stat.mtime_ns, stat.ctime_ns];
    let ids = (stat.mode, stat.ino, stat.dev, stat.nlink, stat.uid, stat.gid, stat.size);
    let py = class.py();
    let mut items: Vec<Bound<'py, PyAny>> =
        ids.into_pyobject(py)?.into_any().try_iter()?.collect::<PyResult<_>>()?;
    for ns in times {
        items.push(ns.div_euclid(1_000_000_000).into_pyobject(py)?.into_any());
    }
    for ns in times {
        items.push(fact::seconds(ns).into_pyobject(py)?.into_any());
    }
    for ns in times {
        items.push(ns.into_pyobject(py)?.into_any());
    }
    class.call1((PyTuple::new(py, items)?,))
}

/// Each engine's name, with the reason if it is not usable here.
#[pyfunction]
fn backends(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let dict = PyDict::new(py);
    for (name, why_not) in py.detach(probe::backends) {
        dict.set_item(name, why_not)?;
    }
    Ok(dict)
}

/// How a name is resolved.
#[pyfunction]
#[pyo3(name = "explain")]
fn explain_name<'py>(py: Python<'py>, name: &Bound<'py, PyString>) -> PyResult<Bound<'py, PyDict>> {
    match current() {
        Some(installed) => explain::explain(py, &installed.finder, name),
        None => {
            let options = Options::from_environment(py);
            let finder = Finder::new(py, options.backend, options.freshness)?;
            explain::explain(py, &finder, name)
        }
    }
}

/// What `fastpath` is made of. Importing it changes nothing; `install` does.
#[pymodule(gil_used = true)]
#[pyo3(name = "_native")]
fn native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    // A panic of ours is caught and answered by stock; its message is for debugging only.
    std::panic::set_hook(Box::new(|info| {
        if options::is_debug() {
            eprintln!("fastpath: {info}");
        }
    }));
    // Not by `add`, which keeps an `__all__` up to date that nobody asks for, at every start; nor as attributes, which
    // takes twice as long.
    let dict = module.dict();
    dict.set_item("__version__", env!("CARGO_PKG_VERSION"))?;
    dict.set_item("install", wrap_pyfunction!(install, module)?)?;
    dict.set_item("uninstall", wrap_pyfunction!(uninstall, module)?)?;
    dict.set_item("is_installed", wrap_pyfunction!(is_installed, module)?)?;
    dict.set_item("_start", wrap_pyfunction!(_start, module)?)?;
    dict.set_item("_hand_on", wrap_pyfunction!(_hand_on, module)?)?;
    dict.set_item("_seal", wrap_pyfunction!(seal::_seal, module)?)?;
    dict.set_item("_program", wrap_pyfunction!(seal::_program, module)?)?;
    dict.set_item("_seal_facts", wrap_pyfunction!(seal::_seal_facts, module)?)?;
    dict.set_item("_switch", wrap_pyfunction!(switches::_switch, module)?)?;
    dict.set_item("_tables", wrap_pyfunction!(tables::_tables, module)?)?;
    dict.set_item("_probe_timed", wrap_pyfunction!(timed::_probe_timed, module)?)?;
    dict.set_item("stats", wrap_pyfunction!(counters::stats, module)?)?;
    dict.set_item("probe", wrap_pyfunction!(probe_paths, module)?)?;
    dict.set_item("backends", wrap_pyfunction!(backends, module)?)?;
    dict.set_item("explain", wrap_pyfunction!(explain_name, module)?)
}
