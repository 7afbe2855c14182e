//! Stock importlib as it was found: its classes, the bodies we put ours in place of, and whether
//! anybody else has changed it since. Only the rest of `finder` may use it.

use std::sync::OnceLock;

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCFunction, PyDict, PyInt, PyList, PySet, PyString, PyTuple, PyType};

use super::named::{self, Wrapper};
use super::watch::Plain;
use crate::candidates::Suffixes;

/// Classes and functions of `importlib._bootstrap_external`, CPython 3.10 to 3.15.
pub struct Stock {
    pub path_finder: Py<PyType>,
    pub file_finder: Py<PyType>,
    module_spec: Py<PyAny>,
    namespace_path: Py<PyAny>,
    getcwd: Py<PyAny>,
    find_spec: Body,
    get_spec: Body,
    /// Attributes our answers take for granted, with the values they had.
    relied_on: Vec<Attribute>,
    /// The leading `sys.path_hooks` that turn a directory into a `FileFinder`, if they are the usual.
    hooks: Vec<Py<PyAny>>,
    /// `FileFinder._loaders`, by place in the order of suffixes.
    loaders: Vec<(String, Py<PyAny>)>,
    loader_details: Py<PyTuple>,
    /// What `FileFinder.__init__` has been seen to set; none if that is not just what we know of.
    pattern: OnceLock<Option<Py<PyDict>>>,
}

/// Of both bodies.
const PARAMETERS: [&str; 4] = ["cls", "fullname", "path", "target"];

/// A class's dictionary, a name in it, and the value it had.
type Attribute = (Py<PyAny>, Py<PyString>, Py<PyAny>);

/// A function in a class's dictionary, with the descriptor around it.
struct Body {
    name: &'static str,
    descriptor: Py<PyAny>,
    function: Py<PyAny>,
}

impl Body {
    fn of(
        home: &Bound<'_, PyModule>,
        class: &Bound<'_, PyType>,
        name: &'static str,
    ) -> PyResult<Self> {
        let descriptor = class.getattr("__dict__")?.get_item(name)?;
        let function = own_function(home, &descriptor, name)?;
        Ok(Self { name, descriptor: descriptor.unbind(), function: function.unbind() })
    }

    /// Puts `native` in this body's place, in the same kind of descriptor, under the same names; with `wrapper`, as a
    /// Python function.
    fn replace<'py>(
        &self,
        class: &Bound<'py, PyType>,
        native: &Bound<'py, PyAny>,
        wrapper: Option<&Wrapper<'py>>,
    ) -> PyResult<()> {
        let py = class.py();
        let native = match wrapper {
            Some(wrapper) => wrapper.around(native, self.function.bind(py), &PARAMETERS)?,
            None => named::as_method_of(class, native, self.function.bind(py))?,
        };
        let descriptor = self.descriptor.bind(py).get_type().call1((native,))?;
        class.setattr(self.name, descriptor)
    }

    fn restore(&self, class: &Bound<'_, PyType>) -> PyResult<()> {
        class.setattr(self.name, &self.descriptor)
    }
}

/// The native bodies.
pub struct Natives<'py> {
    pub find_spec: Bound<'py, PyAny>,
    pub get_spec: Bound<'py, PyAny>,
}

impl Stock {
    /// Looks at this interpreter's importlib.
    ///
    /// # Errors
    /// Whatever is not as in the CPythons we know.
    pub fn new(sys: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = sys.py();
        let version = py.version_info();
        if sys.getattr("implementation")?.getattr("name")?.str()? != "cpython"
            || !(10..=15).contains(&version.minor)
            || cfg!(windows)
        {
            return Err(PyRuntimeError::new_err("only CPython 3.10 to 3.15 on POSIX is known"));
        }
        let external = py.import("_frozen_importlib_external")?;
        let path_finder = external.getattr("PathFinder")?.cast_into::<PyType>()?;
        let file_finder = external.getattr("FileFinder")?.cast_into::<PyType>()?;
        let namespace_path = match external.getattr("_NamespacePath") {
            Ok(class) => class,
            Err(_) => external.getattr("NamespacePath")?,
        };
        let (hooks, loader_details) = usual_hooks(sys, &external, &file_finder)?;
        let loaders = loaders(&loader_details)?;
        let relied_on = relied_on(&external, &path_finder, &file_finder)?;
        Ok(Self {
            find_spec: Body::of(&external, &path_finder, "find_spec")?,
            get_spec: Body::of(&external, &path_finder, "_get_spec")?,
            module_spec: external.getattr("_bootstrap")?.getattr("ModuleSpec")?.unbind(),
            namespace_path: namespace_path.unbind(),
            getcwd: external.getattr("_os")?.getattr("getcwd")?.unbind(),
            relied_on,
            hooks,
            loaders,
            loader_details: loader_details.unbind(),
            pattern: OnceLock::new(),
            path_finder: path_finder.unbind(),
            file_finder: file_finder.unbind(),
        })
    }

    /// The suffixes of importable files, in order.
    pub fn suffixes(&self) -> Suffixes {
        let suffixes: Vec<&str> = self.loaders.iter().map(|(suffix, _)| suffix.as_str()).collect();
        Suffixes::new(&suffixes)
    }

    /// Puts the native bodies in place.
    pub fn replace<'py>(&mut self, py: Python<'py>, natives: &Natives<'py>) -> PyResult<()> {
        let class = self.path_finder.bind(py).clone();
        let is_wrapped = py.version_info().minor == 12;
        let wrapper = is_wrapped.then(|| Wrapper::new(py, PARAMETERS.len())).transpose()?;
        self.find_spec.replace(&class, &natives.find_spec, wrapper.as_ref())?;
        self.get_spec.replace(&class, &natives.get_spec, wrapper.as_ref())?;
        let dict = class.getattr("__dict__")?;
        let ours = dict.get_item("_get_spec")?.unbind();
        self.relied_on.push((dict.unbind(), PyString::new(py, "_get_spec").unbind(), ours));
        Ok(())
    }

    /// Puts the originals back: the very same objects.
    pub fn restore(&self, py: Python<'_>) -> PyResult<()> {
        let class = self.path_finder.bind(py);
        self.find_spec.restore(class)?;
        self.get_spec.restore(class)
    }

    /// Whether nobody has replaced a method since that our answers stand for.
    pub fn is_untouched(&self, py: Python<'_>) -> bool {
        self.relied_on
            .iter()
            .all(|(dict, name, value)| dict.bind(py).get_item(name).is_ok_and(|now| now.is(value)))
    }

    /// Stock's own `PathFinder.find_spec`, called as ours was.
    pub fn call_find_spec<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.find_spec.function.bind(args.py()).call(args, kwargs)
    }

    /// Stock's own `PathFinder._get_spec`, called as ours was.
    pub fn call_get_spec<'py>(
        &self,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.get_spec.function.bind(args.py()).call(args, kwargs)
    }

    /// Stock's own search of this path.
    pub fn search<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        path: &Bound<'py, PyAny>,
        target: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        self.get_spec.function.bind(cls.py()).call1((cls, fullname, path, target))
    }

    /// How often `PathFinder.invalidate_caches` has been called: it counts for the namespace packages
    /// (bpo-45703), and so for us.
    ///
    /// # Errors
    /// There is no such count, as in CPython 3.10.0.
    pub fn invalidations(&self, py: Python<'_>) -> PyResult<i64> {
        self.namespace_path.bind(py).getattr(intern!(py, "_epoch"))?.extract()
    }

    /// Whether this is the path of a namespace package, as importlib makes it.
    pub fn is_namespace_path(&self, path: &Bound<'_, PyAny>) -> bool {
        path.get_type().is(&self.namespace_path)
    }

    /// `os.getcwd()`, as importlib calls it.
    pub fn getcwd<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.getcwd.bind(py).call0()
    }

    /// Whether a directory that has no finder yet would be given a plain `FileFinder`.
    pub fn hooks_are_usual(&self, hooks: &Bound<'_, PyAny>) -> bool {
        let Ok(hooks) = hooks.cast_exact::<PyList>() else { return false };
        !self.hooks.is_empty()
            && hooks.len() >= self.hooks.len()
            && hooks.iter().zip(&self.hooks).all(|(now, usual)| now.is(usual))
    }

    /// The finder those hooks would make.
    ///
    /// The first is made by its class. If that shows what `FileFinder.__init__` sets, we set the same for the
    /// others ourselves: a tenth of the time, which counts on a path of hundreds of entries.
    pub fn new_file_finder<'py>(
        &self,
        py: Python<'py>,
        path: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let class = self.file_finder.bind(py);
        if let Some(Some(pattern)) = self.pattern.get() {
            let finder = class.call_method1(intern!(py, "__new__"), (class,))?;
            finder.setattr(intern!(py, "__dict__"), self.attributes(pattern.bind(py), path)?)?;
            return Ok(finder);
        }
        let details = self.loader_details.bind(py);
        let args: Vec<_> = std::iter::once(path.clone()).chain(details.iter()).collect();
        let finder = class.call1(PyTuple::new(py, args)?)?;
        let shown = finder.getattr(intern!(py, "__dict__"))?.cast_into::<PyDict>()?;
        // Whoever comes second has seen the same.
        let _ = self.pattern.set(self.pattern_of(&shown, path)?);
        Ok(finder)
    }

    /// A copy of what `FileFinder.__init__` sets, if it is what we know of.
    fn pattern_of(
        &self,
        shown: &Bound<'_, PyDict>,
        path: &Bound<'_, PyAny>,
    ) -> PyResult<Option<Py<PyDict>>> {
        let py = shown.py();
        let expected = PyDict::new(py);
        let loaders = self.loaders.iter().map(|(suffix, class)| (suffix, class));
        expected.set_item(intern!(py, "_loaders"), PyList::new(py, loaders)?)?;
        expected.set_item(intern!(py, "path"), path)?;
        expected.set_item(intern!(py, "_path_mtime"), -1)?;
        for names in [intern!(py, "_path_cache"), intern!(py, "_relaxed_path_cache")] {
            expected.set_item(names, PySet::empty(py)?)?;
        }
        let same = shown.eq(&expected)? && shown.keys().eq(expected.keys())?;
        same.then(|| shown.copy().map(Bound::unbind)).transpose()
    }

    /// The attributes of a new `FileFinder`, in the order in which `__init__` sets them.
    fn attributes<'py>(
        &self,
        pattern: &Bound<'py, PyDict>,
        path: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let py = path.py();
        let made = pattern.copy()?;
        if let Some(loaders) = pattern.get_item(intern!(py, "_loaders"))? {
            let loaders = loaders.cast_into::<PyList>()?;
            made.set_item(intern!(py, "_loaders"), loaders.get_slice(0, loaders.len()))?;
        }
        made.set_item(intern!(py, "path"), path)?;
        for names in [intern!(py, "_path_cache"), intern!(py, "_relaxed_path_cache")] {
            made.set_item(names, PySet::empty(py)?)?;
        }
        Ok(made)
    }

    /// The directory of this finder, if it is a `FileFinder` that does what every `FileFinder` does.
    pub fn plain_path<'py>(
        &self,
        finder: &Bound<'py, PyAny>,
    ) -> Option<(Bound<'py, PyString>, Plain)> {
        let py = finder.py();
        if !finder.get_type().is(&self.file_finder) {
            return None;
        }
        let dict = finder.getattr(intern!(py, "__dict__")).ok()?.cast_into::<PyDict>().ok()?;
        for method in
            [intern!(py, "find_spec"), intern!(py, "_get_spec"), intern!(py, "_fill_cache")]
        {
            if dict.contains(method).ok()? {
                return None;
            }
        }
        let loaders = dict.get_item(intern!(py, "_loaders")).ok()??.cast_into::<PyList>().ok()?;
        let same = |(now, (suffix, class)): (Bound<'py, PyAny>, &(String, Py<PyAny>))| {
            let (now_suffix, now_class) =
                now.extract::<(Bound<'py, PyString>, Bound<'py, PyAny>)>().ok()?;
            (now_suffix.to_str().ok()? == suffix && now_class.is(class)).then_some(())
        };
        if loaders.len() != self.loaders.len() {
            return None;
        }
        loaders.iter().zip(&self.loaders).try_for_each(same)?;
        let path = dict.get_item(intern!(py, "path")).ok()??.cast_into_exact::<PyString>().ok()?;
        Some((path, Plain::of(&dict)?))
    }

    /// The spec of a file, as `FileFinder._get_spec` and `spec_from_file_location` make it.
    pub fn file_spec<'py>(
        &self,
        fullname: &Bound<'py, PyAny>,
        suffix: usize,
        origin: &str,
        package: Option<&str>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = fullname.py();
        let origin = PyString::new(py, origin);
        let loader = self.loaders[suffix].1.bind(py).call1((fullname, &origin))?;
        let spec = self.module_spec.bind(py).call1((fullname, loader))?;
        spec.setattr(intern!(py, "origin"), origin)?;
        spec.setattr(intern!(py, "_set_fileattr"), true)?;
        let locations = package.map(|package| PyList::new(py, [package])).transpose()?;
        spec.setattr(intern!(py, "submodule_search_locations"), locations)?;
        Ok(spec)
    }

    /// What stock's `_get_spec` returns where there is nothing to load: the portions, maybe none.
    pub fn portions_spec<'py>(
        &self,
        fullname: &Bound<'py, PyAny>,
        portions: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = fullname.py();
        let spec = self.module_spec.bind(py).call1((fullname, py.None()))?;
        spec.setattr(intern!(py, "submodule_search_locations"), portions)?;
        Ok(spec)
    }

    /// The spec of a namespace package over these portions, as `PathFinder.find_spec` makes it.
    pub fn namespace_spec<'py>(
        &self,
        cls: &Bound<'py, PyAny>,
        fullname: &Bound<'py, PyAny>,
        portions: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = fullname.py();
        let get_spec = cls.getattr(intern!(py, "_get_spec"))?;
        let path = self.namespace_path.bind(py).call1((fullname, portions, get_spec))?;
        self.portions_spec(fullname, &path)
    }
}

/// The hooks before and at the one that makes file finders, and what that gives its finders.
///
/// A directory passes `zipimporter` by (it takes regular files only), so behind that the first
/// `FileFinder.path_hook` has it. Any other hook in front may want it for itself.
fn usual_hooks<'py>(
    sys: &Bound<'py, PyAny>,
    external: &Bound<'py, PyModule>,
    file_finder: &Bound<'py, PyType>,
) -> PyResult<(Vec<Py<PyAny>>, Bound<'py, PyTuple>)> {
    let standard = external.getattr("_get_supported_file_loaders")?.call0()?;
    let standard = standard.cast_into::<PyList>()?.to_tuple();
    let code = file_finder.call_method0("path_hook")?.getattr("__code__")?;
    let zipimporter =
        sys.getattr("modules")?.get_item("zipimport").and_then(|m| m.getattr("zipimporter")).ok();
    let mut usual = Vec::new();
    let hooks = sys.getattr("path_hooks")?;
    for hook in hooks.try_iter()? {
        let hook = hook?;
        usual.push(hook.clone().unbind());
        if zipimporter.as_ref().is_some_and(|zip| hook.is(zip)) {
            continue;
        }
        let made_here = hook.getattr("__code__").is_ok_and(|c| c.is(&code));
        if made_here && let Some(details) = closure_of(&hook, file_finder)? {
            return Ok((usual, details));
        }
        break;
    }
    Ok((Vec::new(), standard))
}

/// The `loader_details` that a `FileFinder.path_hook` closure keeps, if it is for this very class.
fn closure_of<'py>(
    hook: &Bound<'py, PyAny>,
    file_finder: &Bound<'py, PyType>,
) -> PyResult<Option<Bound<'py, PyTuple>>> {
    let names = hook.getattr("__code__")?.getattr("co_freevars")?;
    let cells = hook.getattr("__closure__")?;
    let mut details = None;
    for (name, cell) in names.try_iter()?.zip(cells.try_iter()?) {
        let content = cell?.getattr("cell_contents")?;
        match name?.extract::<String>()?.as_str() {
            "cls" if !content.is(file_finder) => return Ok(None),
            "loader_details" => details = Some(content.cast_into::<PyTuple>()?),
            _ => {}
        }
    }
    Ok(details)
}

/// `(suffix, loader class)` in the order of `FileFinder.__init__`.
fn loaders(details: &Bound<'_, PyTuple>) -> PyResult<Vec<(String, Py<PyAny>)>> {
    let mut loaders = Vec::new();
    for detail in details.iter() {
        let (class, suffixes) = detail.extract::<(Bound<'_, PyAny>, Vec<String>)>()?;
        loaders.extend(suffixes.into_iter().map(|suffix| (suffix, class.clone().unbind())));
    }
    Ok(loaders)
}

/// Whether a function was made in this module of importlib's; so is taken to be what is no Python function.
pub fn is_of(home: &Bound<'_, PyModule>, value: &Bound<'_, PyAny>) -> bool {
    if is_no_function(value) || value.is_exact_instance_of::<PyCFunction>() {
        return true;
    }
    let globals = value.getattr(intern!(value.py(), "__globals__"));
    globals.map_or(true, |globals| globals.is(home.dict()))
}

/// Whether this is of a class that shows that it is no function, nor anything around one. So are many, and to ask them for
/// an attribute that they do not have makes an exception, which takes longer than all the rest.
pub fn is_no_function(value: &Bound<'_, PyAny>) -> bool {
    value.is_exact_instance_of::<PyModule>()
        || value.is_exact_instance_of::<PyString>()
        || value.is_exact_instance_of::<PyBytes>()
        || value.is_exact_instance_of::<PyInt>()
        || value.is_exact_instance_of::<PyList>()
        || value.is_exact_instance_of::<PyType>()
}

/// Whether this is of a class whose instances are bound to nothing, such as that of Python functions
/// (`Py_TPFLAGS_METHOD_DESCRIPTOR`, PEP 590).
pub fn is_unbound(value: &Bound<'_, PyAny>) -> bool {
    const METHOD_DESCRIPTOR: u64 = 1 << 17;
    let flags = value.get_type().getattr(intern!(value.py(), "__flags__"));
    let flags = flags.and_then(|flags| flags.extract::<u64>());
    flags.is_ok_and(|flags| flags & METHOD_DESCRIPTOR != 0)
}

/// The function in a descriptor of a class, which has to be importlib's own.
///
/// Nothing is asked for that is not there: to make its first error costs pyo3 more than all the rest.
fn own_function<'py>(
    home: &Bound<'py, PyModule>,
    descriptor: &Bound<'py, PyAny>,
    name: &str,
) -> PyResult<Bound<'py, PyAny>> {
    let function = descriptor.getattr(intern!(home.py(), "__func__"))?;
    if is_of(home, &function) { Ok(function) } else { Err(replaced(name)) }
}

/// What somebody else's function does in the place of importlib's, ours cannot stand for.
pub fn replaced(name: &str) -> PyErr {
    PyRuntimeError::new_err(format!("somebody has replaced importlib's {name}"))
}

fn relied_on(
    external: &Bound<'_, PyModule>,
    path_finder: &Bound<'_, PyType>,
    file_finder: &Bound<'_, PyType>,
) -> PyResult<Vec<Attribute>> {
    let mut found = Vec::new();
    for (class, names, are_bound) in [
        (path_finder, &["_path_hooks", "_path_importer_cache"][..], true),
        (file_finder, &["find_spec", "_get_spec", "_fill_cache", "__init__"][..], false),
    ] {
        let dict = class.getattr("__dict__")?;
        for text in names {
            let name = PyString::intern(class.py(), text);
            let value = dict.get_item(&name)?;
            if are_bound {
                own_function(external, &value, text)?;
            } else if !is_of(external, &value) {
                return Err(replaced(text));
            }
            found.push((dict.clone().unbind(), name.unbind(), value.unbind()));
        }
    }
    Ok(found)
}
