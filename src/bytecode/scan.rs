//! Imports in a code object's instructions.
//!
//! One pass from front to back, which follows control as far as this is worth it. `if TYPE_CHECKING` and
//! `if __name__ == "__main__"` go one way; of every other branch both ways count. Exceptions are not followed: a
//! handler stands behind a jump around it or behind the last return, where nothing leads. And a loop going
//! round can only lead to where the pass has been.

use super::opcodes::{LAZY, Opcodes};
use super::{Constant, Import};

type Names<'a> = &'a dyn Fn(usize) -> Option<String>;
type Constants<'a> = &'a dyn Fn(usize) -> Option<Constant>;

/// `typing.TYPE_CHECKING`, which is false when a program runs.
const TYPE_CHECKING: &str = "TYPE_CHECKING";

/// What `__name__` is not in a module that is imported.
const MAIN: &str = "__main__";

/// The operand of `COMPARE_OP` for `==`: `Py_EQ` of `Include/object.h`.
const EQUAL: u32 = 2;

/// The imports from the byte `start` on; see [`super::imports_of`].
pub fn imports(
    code: &[u8],
    start: usize,
    names: Names,
    constants: Constants,
    opcodes: &Opcodes,
) -> Vec<Import> {
    let mut scan = Scan {
        names,
        constants,
        opcodes,
        live: true,
        landings: vec![false; code.len() / UNIT + 1],
        before: [Instruction::default(); 2],
        found: Vec::new(),
    };
    let mut at = start;
    while let Some(instruction) = next(code, at, opcodes.extended_arg) {
        scan.step(instruction);
        at = instruction.end;
    }
    scan.found
}

/// Bytes of an opcode and its operand.
const UNIT: usize = 2;

/// Caches have this opcode, and 3.10, which has no caches, has none such.
const CACHE: u8 = 0;

#[derive(Clone, Copy, Default)]
struct Instruction {
    opcode: u8,
    operand: u32,
    /// Where it begins, with what extends its operand, and where the next one does, past its caches.
    start: usize,
    end: usize,
}

/// The instruction at `start`; `None` at the end of the code.
fn next(code: &[u8], start: usize, extended_arg: u8) -> Option<Instruction> {
    let (mut operand, mut end) = (0_u32, start);
    loop {
        let &[opcode, low] = code.get(end..)?.first_chunk()?;
        operand = operand << 8 | u32::from(low);
        end += UNIT;
        if opcode != extended_arg {
            while code.get(end) == Some(&CACHE) {
                end += UNIT;
            }
            return Some(Instruction { opcode, operand, start, end });
        }
    }
}

struct Scan<'a> {
    names: Names<'a>,
    constants: Constants<'a>,
    opcodes: &'a Opcodes,
    /// Whether what follows can be reached.
    live: bool,
    /// By unit: whether a jump leads there.
    landings: Vec<bool>,
    /// The two instructions before this one, the nearest last.
    before: [Instruction; 2],
    found: Vec<Import>,
}

impl Scan<'_> {
    fn step(&mut self, this: Instruction) {
        let (opcode, opcodes) = (this.opcode, self.opcodes);
        self.live |= self.landings.get(this.start / UNIT) == Some(&true);
        if self.live {
            if opcode == opcodes.import_name {
                self.found.extend(self.import(this));
            } else if opcodes.jump.contains(&opcode) {
                self.jump(this, true);
            } else if opcode == opcodes.jump_if_false {
                self.jump(this, self.is_false());
            } else if opcode == opcodes.jump_if_true {
                if !self.is_false() {
                    self.jump(this, false);
                }
            } else if opcodes.leave.contains(&opcode) {
                self.live = false;
            } else if opcodes.may_jump.contains(&opcode) {
                self.jump(this, false);
            }
        }
        // The value that a load has left is the one that is tested.
        if opcodes.to_bool != Some(opcode) {
            self.before = [self.before[1], this];
        }
    }

    /// Control goes to where this jump leads; `always`: and nowhere else.
    fn jump(&mut self, this: Instruction, always: bool) {
        let absolute = self.opcodes.absolute.contains(&this.opcode);
        let from = if absolute { 0 } else { this.end };
        let to = (from / UNIT).saturating_add(this.operand as usize);
        if let Some(landing) = self.landings.get_mut(to) {
            *landing = true;
        }
        self.live &= !always;
    }

    /// Whether the value on the stack is false in every module that is imported.
    fn is_false(&self) -> bool {
        let [one, other] = self.before;
        let (compare, flags) = self.opcodes.compare;
        if other.opcode == compare {
            other.operand >> flags == EQUAL && self.pushed(one) == Some(Constant::Str(MAIN.into()))
        } else {
            self.loaded(other).as_deref() == Some(TYPE_CHECKING)
        }
    }

    /// The name by which an instruction has loaded a variable or an attribute; `None` if it has not.
    fn loaded(&self, load: Instruction) -> Option<String> {
        let mut loads = self.opcodes.loads.iter();
        let (_, flags) = loads.find(|(opcode, _)| *opcode == load.opcode)?;
        (self.names)((load.operand >> flags) as usize)
    }

    /// `IMPORT_NAME` takes the level and the names to import from the stack, where the compiler has just put them.
    fn import(&self, this: Instruction) -> Option<Import> {
        let flags = this.operand & ((1 << self.opcodes.import_flags) - 1);
        if flags & LAZY != 0 {
            return None;
        }
        let [level, from] = self.before;
        let Constant::Int(level) = self.pushed(level)? else { return None };
        let from = match self.pushed(from)? {
            Constant::None => Vec::new(),
            Constant::Strs(names) => names,
            _ => return None,
        };
        let name = (self.names)((this.operand >> self.opcodes.import_flags) as usize)?;
        Some(Import { level: level.try_into().ok()?, name, from })
    }

    /// The constant that an instruction has pushed; `None` if it is not one that pushes a constant.
    fn pushed(&self, load: Instruction) -> Option<Constant> {
        let opcodes = self.opcodes;
        if load.opcode == opcodes.load_const {
            (self.constants)(load.operand as usize)
        } else if Some(load.opcode) == opcodes.load_small_int {
            Some(Constant::Int(load.operand.into()))
        } else if Some((load.opcode, load.operand)) == opcodes.load_none {
            Some(Constant::None)
        } else {
            None
        }
    }
}
