//! Which modules a module imports as it runs, read off its compiled code.
//!
//! Pure: bytes in, names out. No Python, no filesystem. It is the ground of look-ahead, so it runs without the
//! GIL, and on bytes that nobody has checked: what is truncated, corrupted or made up is not understood, and
//! that is all. It never panics; time and memory are in proportion to the bytes given. What it tells is a guess
//! about the future: an import may be missed, and one that is told may never happen. So it decides nothing.
//!
//! Counted are the imports of the module's own code, in both branches of an `if`, in loops, and in what `try` tries.
//! Not counted: what stands in functions, lambdas, comprehensions and classes, in `except`, below
//! `if TYPE_CHECKING:` and `if __name__ == "__main__":`; and `lazy import` (PEP 810), which loads nothing where it
//! stands. On real packages this finds nearly all there is to find, and little else (experiments/0104).

mod marshal;
mod opcodes;
mod scan;

use std::cell::Cell;

pub use opcodes::Opcodes;

use marshal::{Code, Value};

/// An import statement, as the compiler left it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Leading dots: 0 for an absolute import.
    pub level: u32,
    /// What stands behind `import` or `from`, without the dots: `a.b`, or nothing in `from . import x`.
    pub name: String,
    /// The names imported from it: empty for `import a`, `*` alone for a star. Each may be a submodule.
    pub from: Vec<String>,
}

/// A constant of a code object, as far as imports go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// `None`.
    None,
    /// An integer that is no `bool`.
    Int(i64),
    /// A string.
    Str(String),
    /// A tuple of nothing but strings.
    Strs(Vec<String>),
    /// Anything else.
    Other,
}

/// The imports in a marshalled code object, in order.
///
/// `marshalled` is what follows the 16 bytes of header in a `.pyc` (PEP 552), written by the version of CPython
/// that `opcodes` is of. What follows the code object is not looked at, as `marshal.loads` does not.
///
/// `None` if it is not understood: no code object, an unknown type, a size beyond the end, nesting deeper than
/// any compiler writes, or names repeated so often that they would be out of proportion.
#[must_use]
pub fn imports(marshalled: &[u8], opcodes: &Opcodes) -> Option<Vec<Import>> {
    let code = marshal::read(marshalled, opcodes)?;
    let purse = Purse::for_input(marshalled.len());
    let names = |at| purse.pay_for(code.name(at)?);
    let constants = |at| Some(constant(&code, code.constant(at)?, &purse));
    let found = scan::imports(code.bytes(), 0, &names, &constants, opcodes);
    (!purse.overdrawn()).then_some(found)
}

/// The imports that a code object held by Python still has before it, in order.
///
/// `code` is its `co_code`, `start` the offset in bytes of an instruction in it (a frame's `f_lasti` names the one
/// that is being executed; beyond the end there are none). `names` and `constants` answer for `co_names` and
/// `co_consts` by index; where they answer `None`, that import is left out. The other arguments are as in [`imports`].
///
/// From within a handler, which compilers since 3.12 put behind everything else, nothing may be found.
#[must_use]
pub fn imports_of(
    code: &[u8],
    start: usize,
    names: &dyn Fn(usize) -> Option<String>,
    constants: &dyn Fn(usize) -> Option<Constant>,
    opcodes: &Opcodes,
) -> Vec<Import> {
    scan::imports(code, start, names, constants, opcodes)
}

fn constant(code: &Code, value: Value, purse: &Purse) -> Constant {
    match value {
        Value::None => Constant::None,
        Value::Int(number) => Constant::Int(number),
        Value::Str(text) => purse.pay_for(text).map_or(Constant::Other, Constant::Str),
        Value::Tuple(_) => strings(code, value, purse).map_or(Constant::Other, Constant::Strs),
        Value::Bytes(_) | Value::Other => Constant::Other,
    }
}

fn strings(code: &Code, tuple: Value, purse: &Purse) -> Option<Vec<String>> {
    let each = code.items(tuple).iter().map(|item| match item {
        Value::Str(text) => purse.pay_for(text),
        _ => None,
    });
    each.collect()
}

/// How many bytes of names may still be given out. Each is in the input once, but nothing stops made-up code from
/// naming it in every instruction, and then the output would grow with the square of the input.
struct Purse(Cell<Option<usize>>);

impl Purse {
    /// Enough for every import to name anew what the file holds once, several times over.
    fn for_input(len: usize) -> Self {
        Self(Cell::new(Some(len.saturating_mul(16).saturating_add(64 * 1024))))
    }

    fn pay_for(&self, text: &str) -> Option<String> {
        // The String itself is as long as this, empty or not.
        let left = self.0.get()?.checked_sub(text.len() + size_of::<String>());
        self.0.set(left);
        left.map(|_| text.to_owned())
    }

    fn overdrawn(&self) -> bool {
        self.0.get().is_none()
    }
}
