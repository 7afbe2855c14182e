//! Imports read off compiled modules: what compilers have written, and what nobody should have.
//!
//! `bytecode/make.py` makes the modules, one per version of CPython. Whether every module of the standard
//! library is understood is for `python/test_bytecode.py`, which has an interpreter to ask.

use fastpath::bytecode::{Constant, Import, Opcodes, imports, imports_of};
use proptest::collection::vec;
use proptest::prelude::*;

const MODULES: [(u8, &[u8]); 6] = [
    (10, include_bytes!("bytecode/3.10.bin")),
    (11, include_bytes!("bytecode/3.11.bin")),
    (12, include_bytes!("bytecode/3.12.bin")),
    (13, include_bytes!("bytecode/3.13.bin")),
    (14, include_bytes!("bytecode/3.14.bin")),
    (15, include_bytes!("bytecode/3.15.bin")),
];

fn opcodes(minor: u8) -> &'static Opcodes {
    Opcodes::of(minor).expect("a known version")
}

fn import(level: u32, name: &str, from: &[&str]) -> Import {
    Import { level, name: name.into(), from: from.iter().map(ToString::to_string).collect() }
}

/// What the module in `bytecode/make.py` imports as it runs.
fn expected() -> Vec<Import> {
    vec![
        import(0, "a", &[]),
        import(0, "b.c", &[]),
        import(1, "", &["e"]),
        import(2, "f.g", &["h", "i"]),
        import(0, "k", &["*"]),
        import(0, "l", &[]),
        import(0, "m", &["n"]),
        import(0, "o", &[]),
        import(0, "p", &[]),
        import(0, "a", &[]),
    ]
}

#[test]
fn every_version_is_understood() {
    for (minor, module) in MODULES {
        assert_eq!(imports(module, opcodes(minor)), Some(expected()), "3.{minor}");
    }
    assert!(Opcodes::of(9).is_none() && Opcodes::of(16).is_none());
}

/// However much of a file is there, it gives all imports or none: half an answer would look like a whole one.
#[test]
fn a_truncated_module_is_not_understood() {
    for (minor, module) in MODULES {
        let opcodes = opcodes(minor);
        let found = |len: &usize| imports(&module[..*len], opcodes);
        let enough = (0..=module.len()).find(|len| found(len).is_some()).expect("the whole is");
        assert!(enough > module.len() / 2, "3.{minor}: {enough}");
        assert!((enough..=module.len()).all(|len| found(&len) == Some(expected())), "3.{minor}");
    }
}

#[test]
fn a_code_object_of_another_layout_is_not_understood() {
    let (_, module) = MODULES[0];
    assert_eq!(imports(module, opcodes(11)), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn any_bytes_are_taken(bytes in vec(any::<u8>(), 0..400), minor in 10_u8..16) {
        let opcodes = opcodes(minor);
        let is_code = bytes.first().is_some_and(|first| first & 0x7f == b'c');
        prop_assert!(is_code || imports(&bytes, opcodes).is_none());
        let behind_a_head = [&b"\xe3"[..], &[0; 20], &bytes].concat();
        prop_assert!(imports(&behind_a_head, opcodes).is_none_or(|found| found.len() < 200));
    }

    #[test]
    fn damaged_modules_are_taken(
        which in 0..MODULES.len(),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        doubled in any::<bool>(),
    ) {
        let (minor, module) = MODULES[which];
        let mut bytes = module.to_vec();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if doubled {
            let at = cut.index(bytes.len());
            bytes = [&bytes[..at], &bytes[at / 2..]].concat();
        }
        let names = imports(&bytes, opcodes(minor)).unwrap_or_default();
        let length: usize = names.iter().map(|i| i.name.len() + i.from.concat().len()).sum();
        prop_assert!(length <= 64 * 1024 + 16 * bytes.len());
    }

    #[test]
    fn any_instructions_are_taken(
        code in vec(any::<u8>(), 0..400),
        start in 0_usize..500,
        minor in 10_u8..16,
    ) {
        let names = |at: usize| (at < 9).then(|| at.to_string());
        let constants = |at: usize| match at % 3 {
            0 => Some(Constant::Int(at as i64 - 9)),
            1 => Some(Constant::None),
            _ => None,
        };
        let found = imports_of(&code, start, &names, &constants, opcodes(minor));
        prop_assert!(found.len() <= code.len().saturating_sub(start) / 2);
    }
}

// ---- made by hand, for CPython 3.12 ----------------------------------------------------------------

const LOAD_CONST: u8 = 100;
const IMPORT_NAME: u8 = 108;
const NESTED: usize = 200_000;

/// A code object up to its names, from its instructions and what is marshalled for its constants and names.
fn module(code: &[u8], constants: &[u8], names: &[u8]) -> Vec<u8> {
    let head = [&b"c"[..], &[0; 20], b"s", &size(code.len())].concat();
    [&head, code, constants, names].concat()
}

fn size(len: usize) -> [u8; 4] {
    u32::try_from(len).expect("a size").to_le_bytes()
}

fn read(bytes: &[u8]) -> Option<Vec<Import>> {
    imports(bytes, opcodes(12))
}

#[test]
fn a_reference_is_to_what_was_begun_in_that_order() {
    let code = [LOAD_CONST, 0, LOAD_CONST, 1, IMPORT_NAME, 0];
    // The flagged tuple is 0, "x" in it 1, "m" 2; None is flagged in vain.
    let constants = b")\x02i\0\0\0\0\xa9\x02\xda\x01xr\x01\0\0\0";
    let names = b")\x03\xce\xda\x01mr\x02\0\0\0";
    assert_eq!(read(&module(&code, constants, names)), Some(vec![]), "its name is None");
    let with_name = [LOAD_CONST, 0, LOAD_CONST, 1, IMPORT_NAME, 2];
    let found = Some(vec![import(0, "m", &["x", "x"])]);
    assert_eq!(read(&module(&with_name, constants, names)), found);
    let beyond = b")\x01r\x03\0\0\0";
    assert_eq!(read(&module(&code, constants, beyond)), None, "there are only 0 to 2");
}

#[test]
fn all_that_marshal_can_hold_is_stepped_over() {
    let all = [
        &b")\x10FTS.f\x031.5x\x011\x012g12345678y1234567812345678I12345678"[..],
        b"l\xfe\xff\xff\xff1234[\x01\0\0\0N<\x01\0\0\0N>\0\0\0\0{NT0}0:NNi\x01\0\0\0",
    ];
    let code = module(&[], &all.concat(), b")\0");
    assert_eq!(read(&code), Some(vec![]));
    assert_eq!(read(&code[..code.len() - 1]), None, "each was as long as that");
}

#[test]
fn nesting_has_an_end() {
    for opening in
        [&b")\x01"[..], b"[\x01\0\0\0", b"{N", b":", b"c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"]
    {
        let constants = opening.repeat(NESTED);
        assert_eq!(read(&module(&[], &constants, b")\0")), None);
    }
    // Deeper than any function stands in another.
    let usual = [&b")\x01".repeat(150)[..], b"N"].concat();
    assert_eq!(read(&module(&[], &usual, b")\0")), Some(vec![]));
}

#[test]
fn a_size_beyond_the_end_is_not_believed() {
    for size in [
        b"(\xff\xff\xff\x7f",
        b"(\xff\xff\xff\xff",
        b"[\xff\xff\xff\x7f",
        b"s\xff\xff\xff\x7f",
        b"l\0\0\0\x80",
    ] {
        assert_eq!(read(&module(&[], size, b")\0")), None);
    }
}

/// A name is written once and used in every instruction: what comes out would be the square of what goes in.
#[test]
fn names_are_not_given_out_of_proportion() {
    let times = 10_000;
    let code = [LOAD_CONST, 0, LOAD_CONST, 1, IMPORT_NAME, 0].repeat(times);
    let module = |length: usize| {
        let text = [b"a", &size(length)[..], &b"n".repeat(length)].concat();
        let names = [b")\x01", &text[..]].concat();
        module(&code, &[&b")\x02i\0\0\0\0)\x01"[..], &text].concat(), &names)
    };
    assert_eq!(read(&module(4)).map(|found| found.len()), Some(times));
    assert_eq!(read(&module(40_000)), None);
}

#[test]
fn a_frame_has_before_it_what_follows_its_instruction() {
    let one = |name| [LOAD_CONST, 0, LOAD_CONST, 1, IMPORT_NAME, name];
    let code = [one(0), one(1), one(2)].concat();
    let found = |start| {
        let names = |at: usize| Some(at.to_string());
        let constants = |at| Some(if at == 0 { Constant::Int(0) } else { Constant::None });
        let found = imports_of(&code, start, &names, &constants, opcodes(12));
        found.into_iter().map(|import| import.name).collect::<Vec<_>>().concat()
    };
    assert_eq!(found(0), "012");
    // An import that is being executed is not before it.
    assert_eq!(found(4), "12");
    assert_eq!([found(16), found(18), found(usize::MAX)], [""; 3]);
}

#[test]
fn operands_may_be_longer_than_a_byte() {
    let extended_arg = 144;
    let code = [LOAD_CONST, 0, LOAD_CONST, 1, extended_arg, 1, extended_arg, 2, IMPORT_NAME, 3];
    let names = |at: usize| Some(at.to_string());
    let constants = |at| Some(if at == 0 { Constant::Int(0) } else { Constant::None });
    let found = imports_of(&code, 0, &names, &constants, opcodes(12));
    assert_eq!(found, [import(0, "66051", &[])]);
}
