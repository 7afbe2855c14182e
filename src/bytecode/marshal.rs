//! The part of CPython's marshal format that leads to a code object's instructions, constants and names.
//!
//! The format is that of `Python/marshal.c` (`r_object`), versions 3 to 6. Strings are borrowed, tuples are kept,
//! anything else is stepped over. Recursion is bounded, and nothing is kept but for bytes that were there.

use super::opcodes::Opcodes;

/// Levels of nesting, at most. CPython's parser gives up at 100 levels of indentation and 200 of
/// parentheses, and each function is two: its code in the constants of another.
const DEEPEST: usize = 256;

/// The bit of a type code that gives the object the next place in the table of references.
const FLAG_REF: u8 = 0x80;

/// An object, as far as imports go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    None,
    Int(i64),
    Str(&'a str),
    Bytes(&'a [u8]),
    Tuple(Span),
    Other,
}

/// Where a tuple's items stand among those of all tuples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    start: usize,
    len: usize,
}

/// What a code object runs.
pub struct Code<'a> {
    bytes: &'a [u8],
    constants: Span,
    names: Span,
    items: Vec<Value<'a>>,
}

impl<'a> Code<'a> {
    /// The instructions: `co_code`.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// `co_names[at]`.
    pub fn name(&self, at: usize) -> Option<&'a str> {
        match self.slice(self.names).get(at)? {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// `co_consts[at]`.
    pub fn constant(&self, at: usize) -> Option<Value<'a>> {
        self.slice(self.constants).get(at).copied()
    }

    /// The items of a tuple; of anything else, none.
    pub fn items(&self, value: Value) -> &[Value<'a>] {
        match value {
            Value::Tuple(span) => self.slice(span),
            _ => &[],
        }
    }

    fn slice(&self, span: Span) -> &[Value<'a>] {
        &self.items[span.start..span.start + span.len]
    }
}

/// The code object at the beginning of `input`; `None` if there is none, or not all that is needed of it.
pub fn read<'a>(input: &'a [u8], opcodes: &Opcodes) -> Option<Code<'a>> {
    let mut reader = Reader::new(input, opcodes);
    let type_code = reader.byte()?;
    if type_code & !FLAG_REF != b'c' {
        return None;
    }
    if type_code & FLAG_REF != 0 {
        reader.refs.push(Value::Other);
    }
    let (Value::Bytes(bytes), Value::Tuple(constants), Value::Tuple(names)) = reader.code_head()?
    else {
        return None;
    };
    Some(Code { bytes, constants, names, items: reader.items })
}

struct Reader<'a> {
    left: &'a [u8],
    depth: usize,
    /// Counts of 32-bit numbers and of objects in a code object: before its `co_code`, and after its line number.
    numbers: usize,
    tables: usize,
    refs: Vec<Value<'a>>,
    /// The items of every finished tuple, one tuple after the other.
    items: Vec<Value<'a>>,
    /// The items so far of tuples that are being read.
    unfinished: Vec<Value<'a>>,
}

impl<'a> Reader<'a> {
    fn new(input: &'a [u8], opcodes: &Opcodes) -> Self {
        Self {
            left: input,
            depth: 0,
            numbers: opcodes.numbers_in_code,
            tables: opcodes.tables_in_code,
            refs: Vec::new(),
            items: Vec::new(),
            unfinished: Vec::new(),
        }
    }

    fn value(&mut self) -> Option<Value<'a>> {
        if self.depth == DEEPEST {
            return None;
        }
        self.depth += 1;
        let value = self.any();
        self.depth -= 1;
        value
    }

    fn any(&mut self) -> Option<Value<'a>> {
        let type_code = self.byte()?;
        match type_code & !FLAG_REF {
            // These are never entered into the table, flag or not.
            b'N' => return Some(Value::None),
            b'T' | b'F' | b'S' | b'.' => return Some(Value::Other),
            b'r' => return self.reference(),
            _ => {}
        }
        // A container takes its place in the table before its items do.
        let place = self.refs.len();
        let referred = type_code & FLAG_REF != 0;
        if referred {
            self.refs.push(Value::Other);
        }
        let value = self.object(type_code & !FLAG_REF)?;
        if referred {
            self.refs[place] = value;
        }
        Some(value)
    }

    fn object(&mut self, type_code: u8) -> Option<Value<'a>> {
        match type_code {
            b'i' => Some(Value::Int(self.number()?.into())),
            b's' => Some(Value::Bytes(self.sized_bytes()?)),
            b'a' | b'A' | b'u' | b't' => Some(text(self.sized_bytes()?)),
            b'z' | b'Z' => Some(text(self.short_bytes()?)),
            b'(' => {
                let len = self.size()?;
                self.tuple(len)
            }
            b')' => {
                let len = self.byte()?.into();
                self.tuple(len)
            }
            _ => {
                self.step_over(type_code)?;
                Some(Value::Other)
            }
        }
    }

    /// What is never part of an import.
    fn step_over(&mut self, type_code: u8) -> Option<()> {
        match type_code {
            b'l' => {
                let digits = usize::try_from(self.number()?.unsigned_abs()).ok()?;
                self.bytes(digits.checked_mul(2)?).map(drop)
            }
            b'I' | b'g' => self.bytes(8).map(drop),
            b'y' => self.bytes(16).map(drop),
            b'f' => self.short_bytes().map(drop),
            b'x' => self.short_bytes().and_then(|_| self.short_bytes()).map(drop),
            b'[' | b'<' | b'>' => {
                let len = self.size()?;
                self.values(len)
            }
            b'{' | b'}' => self.dict(),
            b':' => self.values(3),
            b'c' => self.nested_code(),
            _ => None,
        }
    }

    fn tuple(&mut self, len: usize) -> Option<Value<'a>> {
        let base = self.unfinished.len();
        for _ in 0..len {
            let item = self.value()?;
            self.unfinished.push(item);
        }
        let start = self.items.len();
        self.items.extend(self.unfinished.drain(base..));
        Some(Value::Tuple(Span { start, len }))
    }

    fn values(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.value().map(drop))
    }

    /// Keys and values in turn, up to a null.
    fn dict(&mut self) -> Option<()> {
        while self.left.first()? & !FLAG_REF != b'0' {
            self.values(2)?;
        }
        self.byte().map(drop)
    }

    /// `co_code`, `co_consts` and `co_names`, which all versions have in this order.
    fn code_head(&mut self) -> Option<(Value<'a>, Value<'a>, Value<'a>)> {
        self.bytes(4 * self.numbers)?;
        Some((self.value()?, self.value()?, self.value()?))
    }

    /// A function, a class or a comprehension. Up to 3.10 the five after the names are `varnames`, `freevars`,
    /// `cellvars`, `filename` and `name`, then `localsplusnames`, `localspluskinds`, `filename`, `name` and `qualname`.
    fn nested_code(&mut self) -> Option<()> {
        self.code_head()?;
        self.values(5)?;
        self.number()?;
        self.values(self.tables)
    }

    fn reference(&mut self) -> Option<Value<'a>> {
        let place = usize::try_from(self.number()?).ok()?;
        self.refs.get(place).copied()
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.left.split_first()?;
        self.left = rest;
        Some(*first)
    }

    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.left.split_at_checked(len)?;
        self.left = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<i32> {
        let (taken, rest) = self.left.split_first_chunk()?;
        self.left = rest;
        Some(i32::from_le_bytes(*taken))
    }

    /// A count of bytes or items. Nothing is reserved for it: a size that is not true ends with the input.
    fn size(&mut self) -> Option<usize> {
        usize::try_from(self.number()?).ok()
    }

    fn sized_bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.size()?;
        self.bytes(len)
    }

    fn short_bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.byte()?.into();
        self.bytes(len)
    }
}

/// A string. One with a lone surrogate names no module, and is no error either.
fn text(bytes: &[u8]) -> Value<'_> {
    str::from_utf8(bytes).map_or(Value::Other, Value::Str)
}
