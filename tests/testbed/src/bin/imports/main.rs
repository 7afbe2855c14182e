//! `imports`: says what fastpath reads off compiled modules.
//!
//! A window into `fastpath::bytecode` for tests that compare it with what an interpreter says, so that
//! the extension needs no public function for it. It adds nothing of its own.

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use fastpath::bytecode::{Import, Opcodes, imports};
use lexopt::prelude::*;
use serde_json::{Value as Json, json};

const HELP: &str = "\
Print the imports in compiled modules, a line of JSON for each.

usage: imports MINOR <NAMES

      MINOR   the version of CPython that compiled them: 12 for 3.12
      NAMES   names of .pyc files, one on a line
  -h, --help  this text

A line is a list of [level, name, [names imported from it]], or null for what is not understood.

exit status: 0 all were read; 1 one could not be; 2 wrong usage, or no such version

example: ls __pycache__/*.cpython-312.pyc | imports 12
";

/// PEP 552: magic number, flags, and two words more.
const HEADER: usize = 16;

fn main() -> ExitCode {
    let minor = match parse(lexopt::Parser::from_env()) {
        Ok(Some(minor)) => minor,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(e) => {
            eprintln!("imports: {e}\ntry: imports --help");
            return ExitCode::from(2);
        }
    };
    let Some(opcodes) = Opcodes::of(minor) else {
        eprintln!("imports: the opcodes of CPython 3.{minor} are not known");
        return ExitCode::from(2);
    };
    match answer(opcodes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("imports: {e}");
            ExitCode::FAILURE
        }
    }
}

/// The version asked for; None when help was.
fn parse(mut parser: lexopt::Parser) -> Result<Option<u8>, lexopt::Error> {
    let mut minor = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Value(text) if minor.is_none() => minor = Some(text.parse()?),
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    minor.map(Some).ok_or_else(|| "which version?".into())
}

fn answer(opcodes: &Opcodes) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    for name in io::stdin().lock().lines() {
        let name = name?;
        let bytes =
            std::fs::read(&name).map_err(|e| io::Error::new(e.kind(), format!("{name}: {e}")))?;
        let found = imports(bytes.get(HEADER..).unwrap_or_default(), opcodes);
        writeln!(out, "{}", found.map_or(Json::Null, shown))?;
    }
    out.flush()
}

fn shown(found: Vec<Import>) -> Json {
    found.into_iter().map(|import| json!([import.level, import.name, import.from])).collect()
}
