//! The opcodes and layouts of each minor version of CPython, as far as imports go.
//!
//! Data and nothing else. The sources are `Lib/opcode.py` (3.10 to 3.12), `Include/opcode_ids.h` (from 3.13 on) for
//! the numbers, `Python/bytecodes.c` for operands, and `Python/marshal.c` for the layout of a code object. They are
//! those of a release: before its first candidate a version may still renumber, so whoever uses a table
//! should try it on code that the interpreter at hand has compiled.

/// What one minor version of CPython calls the instructions around an import.
#[derive(Debug)]
pub struct Opcodes {
    pub(super) extended_arg: u8,
    pub(super) import_name: u8,
    /// How many low bits of `IMPORT_NAME`'s operand are flags, of which [`LAZY`] is one (PEP 810).
    pub(super) import_flags: u32,
    pub(super) load_const: u8,
    /// Pushes its operand.
    pub(super) load_small_int: Option<u8>,
    /// The instruction and the operand that push `None`, where that is no constant of the code.
    pub(super) load_none: Option<(u8, u32)>,
    /// Loads by name, each with the number of low bits of its operand that are flags.
    pub(super) loads: [(u8, u32); 3],
    /// Stands between a load and the jump that depends on it.
    pub(super) to_bool: Option<u8>,
    pub(super) jump_if_false: u8,
    pub(super) jump_if_true: u8,
    /// Always jump, and may do so forward.
    pub(super) jump: &'static [u8],
    /// May jump forward, the two above aside. What enters a handler is not among these: see [`super::scan`].
    pub(super) may_jump: &'static [u8],
    /// Lead nowhere ahead: returns, and jumps that are always taken and go back.
    pub(super) leave: &'static [u8],
    /// Compares two values, with the number of low bits of its operand that are not the comparison.
    pub(super) compare: (u8, u32),
    /// Jumps whose operand counts from the beginning of the code, not from the next instruction.
    pub(super) absolute: &'static [u8],
    /// How many 32-bit numbers a marshalled code object begins with.
    pub(super) numbers_in_code: usize,
    /// How many objects follow its line number.
    pub(super) tables_in_code: usize,
}

/// The flag of `IMPORT_NAME` for an import that is lazy because the statement says so.
pub(super) const LAZY: u32 = 1;

impl Opcodes {
    /// The table for CPython 3.`minor`; `None` for a version that is not known, earlier or later.
    #[must_use]
    pub fn of(minor: u8) -> Option<&'static Self> {
        let first = 10;
        TABLES.get(usize::from(minor.checked_sub(first)?))
    }
}

/// 3.10, 3.11 and so on.
static TABLES: [Opcodes; 6] = [V3_10, V3_11, V3_12, V3_13, V3_14, V3_15];

const V3_10: Opcodes = Opcodes {
    extended_arg: 144,
    import_name: 108,
    import_flags: 0,
    load_const: 100,
    load_small_int: None,
    load_none: None,
    loads: [(101, 0), (116, 0), (106, 0)],
    to_bool: None,
    jump_if_false: 114,
    jump_if_true: 115,
    // JUMP_FORWARD, JUMP_ABSOLUTE.
    jump: &[110, 113],
    // FOR_ITER, JUMP_IF_FALSE_OR_POP, JUMP_IF_TRUE_OR_POP, JUMP_IF_NOT_EXC_MATCH.
    may_jump: &[93, 111, 112, 121],
    leave: &[83],
    compare: (107, 0),
    absolute: &[111, 112, 113, 114, 115, 121],
    numbers_in_code: 6,
    tables_in_code: 1,
};

const V3_11: Opcodes = Opcodes {
    loads: [(101, 0), (116, 1), (106, 0)],
    jump: &[110],
    // FOR_ITER, JUMP_IF_FALSE_OR_POP, JUMP_IF_TRUE_OR_POP, SEND, POP_JUMP_FORWARD_IF_NOT_NONE,
    // POP_JUMP_FORWARD_IF_NONE.
    may_jump: &[93, 111, 112, 123, 128, 129],
    // RETURN_VALUE, JUMP_BACKWARD, JUMP_BACKWARD_NO_INTERRUPT; then RETURN_CONST too, in 3.12 and 3.13.
    leave: &[83, 140, 134],
    absolute: &[],
    numbers_in_code: 5,
    tables_in_code: 2,
    ..V3_10
};

const V3_12: Opcodes = Opcodes {
    loads: [(101, 0), (116, 1), (106, 1)],
    // FOR_ITER, SEND, POP_JUMP_IF_NOT_NONE, POP_JUMP_IF_NONE.
    may_jump: &[93, 123, 128, 129],
    leave: &[83, 140, 134, 121],
    compare: (107, 4),
    ..V3_11
};

const V3_13: Opcodes = Opcodes {
    extended_arg: 71,
    import_name: 75,
    load_const: 83,
    loads: [(92, 0), (91, 1), (82, 1)],
    to_bool: Some(40),
    jump_if_false: 97,
    jump_if_true: 100,
    jump: &[79],
    may_jump: &[72, 104, 99, 98],
    leave: &[36, 77, 78, 103],
    compare: (58, 5),
    ..V3_12
};

const V3_14: Opcodes = Opcodes {
    extended_arg: 69,
    import_name: 73,
    load_const: 82,
    load_small_int: Some(94),
    loads: [(93, 0), (92, 1), (80, 1)],
    to_bool: Some(39),
    jump_if_false: 100,
    jump_if_true: 103,
    jump: &[77],
    may_jump: &[70, 106, 102, 101],
    leave: &[35, 75, 76],
    compare: (56, 5),
    ..V3_13
};

const V3_15: Opcodes = Opcodes {
    extended_arg: 67,
    import_name: 72,
    import_flags: 2,
    load_const: 81,
    load_small_int: Some(93),
    // LOAD_COMMON_CONSTANT with CONSTANT_NONE.
    load_none: Some((80, 7)),
    loads: [(92, 0), (91, 1), (79, 1)],
    to_bool: Some(37),
    jump_if_false: 99,
    jump_if_true: 102,
    jump: &[76],
    may_jump: &[68, 105, 101, 100],
    leave: &[33, 74, 75],
    compare: (54, 5),
    ..V3_14
};
