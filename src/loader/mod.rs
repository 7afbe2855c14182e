//! Loading on top of the index: the native body of `SourceLoader.get_code`.
//!
//! `SourceFileLoader` stays the class, and its other methods stay stock's. For exactly that class, untouched, on an
//! absolute path, the source's stat and the bytecode come from the index, the header is judged as stock judges it,
//! and the code is unmarshalled from the bytes as they were read, with the garbage collector at rest. Whatever is not
//! like that (no bytecode, an old one, a prefix for bytecode, a method replaced) is stock's: it compiles, writes
//! and raises. So an answer is a code object or none, which means Ask.

mod ahead;
mod at_rest;
mod frame;
mod module;
mod open_code;
mod stock;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use pyo3::exceptions::{PyOSError, PyRuntimeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::finder::{Finder, Wrapper, fits_fs_encoding, without_gil};
use crate::index::{Index, Loaded};
use crate::pyc::{self, Claim, Naming};
use ahead::Ahead;
use module::Maker;
use open_code::Opener;
use stock::Stock;

/// `O_RDONLY | O_CLOEXEC`, with which `io.open_code` opens.
const OPEN_FLAGS: i32 = 0o2_000_000;

/// A native `SourceLoader.get_code`.
pub struct Loader {
    stock: Stock,
    /// None where making modules is left to stock.
    maker: Option<Maker>,
    naming: Naming,
    magic: [u8; 4],
    sys: Py<PyAny>,
    /// `-v` wants to be told every step: stock tells it.
    verbose: bool,
    ahead: Ahead,
    opener: Opener,
    /// Whether the collector rests while it unmarshals.
    rests: bool,
    counters: Counters,
}

/// The native bodies.
pub struct Natives<'py> {
    pub get_code: Bound<'py, PyAny>,
    pub create_module: Bound<'py, PyAny>,
}

/// What the loader has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Code objects given.
    pub loaded: u64,
    /// Modules left to stock.
    pub asked: u64,
    /// Nanoseconds of unmarshalling.
    pub unmarshal_ns: u64,
}

#[derive(Debug, Default)]
struct Counters {
    loaded: AtomicU64,
    asked: AtomicU64,
    unmarshal_ns: AtomicU64,
}

impl Loader {
    /// A loader for this interpreter, not yet in place. With `rests`, no collection begins while it unmarshals.
    ///
    /// # Errors
    /// An interpreter that is not one of those we know, or whose code somebody else opens (PEP 578).
    pub fn new(py: Python<'_>, rests: bool) -> PyResult<Self> {
        let opener = Opener::default();
        if opener.is_hooked(py) {
            return Err(PyRuntimeError::new_err("a hook opens code here (PEP 578)"));
        }
        let stock = Stock::new(py)?;
        let sys = py.import("sys")?.into_any();
        let flags = sys.getattr("flags")?;
        let tag: String = sys.getattr("implementation")?.getattr("cache_tag")?.extract()?;
        let naming = Naming::new(&tag, flags.getattr("optimize")?.extract()?);
        let magic = stock.magic(py)?;
        Ok(Self {
            ahead: Ahead::new(&sys, naming.clone(), magic),
            maker: Maker::new(py).ok(),
            naming,
            magic,
            verbose: flags.getattr("verbose")?.extract::<i32>()? != 0,
            sys: sys.unbind(),
            rests,
            counters: Counters::default(),
            opener,
            stock,
        })
    }

    /// Puts these bodies in the place of stock's.
    pub fn put_in_place<'py>(&self, py: Python<'py>, natives: &Natives<'py>) -> PyResult<()> {
        let wrapper = Wrapper::new(py, 2)?;
        self.stock.replace(&wrapper, &natives.get_code)?;
        let replace = |maker: &Maker| maker.replace(&wrapper, &natives.create_module);
        self.maker.as_ref().map_or(Ok(()), replace)
    }

    /// Puts stock's bodies back.
    pub fn take_out(&self, py: Python<'_>) -> PyResult<()> {
        self.stock.restore(py)?;
        self.maker.as_ref().map_or(Ok(()), |maker| maker.restore(py))
    }

    /// What it has done so far.
    pub fn counts(&self) -> Counts {
        let Counters { loaded, asked, unmarshal_ns } = &self.counters;
        Counts {
            loaded: loaded.load(Relaxed),
            asked: asked.load(Relaxed),
            unmarshal_ns: unmarshal_ns.load(Relaxed),
        }
    }

    /// Stock's own body, called as ours was.
    pub fn call_stock<'py>(
        &self,
        loader: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.stock.get_code.bind(loader.py()).call1((loader, fullname))
    }

    /// `SourceLoader.get_code(self, fullname)`; none where stock has to do it.
    ///
    /// # Errors
    /// What an auditing hook raises.
    pub fn get_code<'py>(
        &self,
        finder: &Finder,
        loader: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let code = match self.files_of(loader, fullname) {
            Some((source, bytecode)) => self.load(finder, fullname, &source, &bytecode)?,
            None => None,
        };
        let counter = if code.is_some() { &self.counters.loaded } else { &self.counters.asked };
        counter.fetch_add(1, Relaxed);
        Ok(code)
    }

    /// `_LoaderBasics.create_module(self, spec)`; none is what stock gives.
    pub fn create_module<'py>(
        &self,
        loader: &Bound<'py, PyAny>,
        spec: &Bound<'py, PyAny>,
    ) -> Option<Bound<'py, PyAny>> {
        let maker = self.maker.as_ref()?;
        if self.names_as_ever(loader.py()) { maker.make(loader, spec, &self.naming) } else { None }
    }

    /// The source of a loader, and where its bytecode lies, if loader and surroundings are the usual ones.
    fn files_of<'py>(
        &self,
        loader: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
    ) -> Option<(Bound<'py, PyString>, String)> {
        let py = loader.py();
        if !self.is_usual(py) {
            return None;
        }
        let source = self.stock.plain_path(loader, fullname)?;
        let text = source.to_str().ok()?;
        if text.contains('\0') || !fits_fs_encoding(py, text) {
            return None;
        }
        let bytecode = self.naming.beside(text)?;
        Some((source, bytecode))
    }

    /// Whether the surroundings are those that our answers are for.
    fn is_usual(&self, py: Python<'_>) -> bool {
        !self.verbose
            && self.names_as_ever(py)
            && self.stock.is_untouched(py)
            && !self.opener.is_hooked(py)
    }

    /// Whether bytecode lies where it lay.
    fn names_as_ever(&self, py: Python<'_>) -> bool {
        let prefix = self.sys.bind(py).getattr(intern!(py, "pycache_prefix"));
        prefix.is_ok_and(|prefix| prefix.is_none()) && self.stock.names_as_ever(py)
    }

    fn load<'py>(
        &self,
        finder: &Finder,
        fullname: &Bound<'py, PyAny>,
        source: &Bound<'py, PyString>,
        bytecode: &str,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let (py, index) = (source.py(), finder.index());
        let path = Path::new(source.to_str()?);
        let loaded = without_gil::run(py, || index.load(path, Path::new(bytecode)));
        let Some(Loaded { source: stat, bytecode: file }) = loaded else { return Ok(None) };
        let compared = match Claim::of(&file.bytes, self.magic) {
            Some(claim @ Claim::Timestamp { .. }) if claim.fits(&stat) => Some(false),
            Some(Claim::Hash { hash, checked }) => match self.stock.compares_hashes(py, checked) {
                Some(true) => (self.hash_of(py, index, path)? == Some(hash)).then_some(true),
                uncompared => uncompared,
            },
            _ => None,
        };
        let Some(compared) = compared else { return Ok(None) };
        if !self.may_open(py, bytecode)? || (compared && !self.may_open(py, source)?) {
            return Ok(None);
        }
        self.ahead.of_module(finder, fullname, path, &file.bytes[pyc::HEADER..]);
        let began = Instant::now();
        let function = self.stock.compile_bytecode(py);
        let code = at_rest::call(function, self.rests, file.bytes, pyc::HEADER, |view| {
            (view, fullname, bytecode, source)
        });
        let took = began.elapsed().as_nanos() as u64;
        self.counters.unmarshal_ns.fetch_add(took, Relaxed);
        code.map(Some)
    }

    /// A module was found for code that runs: what else that code will import may be fetched now.
    pub fn look_ahead(&self, py: Python<'_>, finder: &Finder) {
        if finder.index().may_look_ahead() && self.is_usual(py) {
            self.ahead.of_frame(py, finder);
        }
    }

    /// The hash of a source, as `_imp.source_hash` makes it.
    fn hash_of(&self, py: Python<'_>, index: &Index, source: &Path) -> PyResult<Option<[u8; 8]>> {
        let Some(content) = without_gil::run(py, || index.content(source)) else { return Ok(None) };
        let hash = self.stock.source_hash(&PyBytes::new(py, &content.bytes))?;
        Ok(hash.as_bytes().try_into().ok())
    }

    /// Raises the auditing event that stock's opening of a file raises (PEP 578): it has been read by now,
    /// but nothing has been made of it. False if a hook refuses as a file might: stock goes on
    /// from there.
    fn may_open<'py>(&self, py: Python<'py>, path: impl IntoPyObject<'py>) -> PyResult<bool> {
        let audit = self.sys.bind(py).getattr(intern!(py, "audit"))?;
        match audit.call1((intern!(py, "open"), path, intern!(py, "r"), OPEN_FLAGS)) {
            Ok(_) => Ok(true),
            Err(error) if error.is_instance_of::<PyOSError>(py) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
