//! Every command of the test bed says how to use it, with an example, and exits with 0.

use std::process::Command;

#[test]
fn help_has_an_example() {
    for exe in
        [env!("CARGO_BIN_EXE_imports"), env!("CARGO_BIN_EXE_refuse"), env!("CARGO_BIN_EXE_slowfs")]
    {
        let output = Command::new(exe).arg("--help").output().unwrap();
        assert_eq!((output.status.code(), &output.stderr[..]), (Some(0), &b""[..]), "{exe}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains("\nexample: ") || said.contains("\nexamples: "), "{said}");
    }
}
