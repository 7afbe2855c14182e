//! Links the unwinder in statically, where that is possible; and, for a bench alone, C of ours.
//!
//! A Rust extension depends on `libgcc_s.so.1`, which no CPython loads by itself: finding, mapping and
//! relocating it is two thirds of what loading ours costs an interpreter's start (257 µs with it, 93 µs
//! without). rustc names the library outright, so `-static-libgcc` has no effect; a linker script of that
//! name, found first, sends the linker to the static archive of the same code.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    #[cfg(feature = "cshim")]
    compile_the_shim();
    let target = env::var("TARGET").unwrap_or_default();
    // Cross-compiling, the archive of the build machine would be the wrong one.
    if !target.ends_with("linux-gnu") || env::var("HOST").is_ok_and(|host| host != target) {
        return;
    }
    if let (true, Some(out)) = (has_static_unwinder(), env::var_os("OUT_DIR").map(PathBuf::from)) {
        let script = fs::write(out.join("libgcc_s.so"), "INPUT(-lgcc_eh -lgcc)\n");
        if script.is_ok() {
            println!("cargo::rustc-link-search=native={}", out.display());
        }
    }
}

/// Compiles cshim/ without its `main`, for benches/cshim.rs to link.
#[cfg(feature = "cshim")]
fn compile_the_shim() {
    println!("cargo::rerun-if-changed=cshim");
    let files = ["plain", "threads", "uring", "watch"].map(|name| format!("cshim/{name}.c"));
    cc::Build::new().files(files).std("c11").warnings_into_errors(true).compile("fastpath_cshim");
}

/// Whether the C compiler has `libgcc_eh.a`; where it has not, it repeats the bare name.
fn has_static_unwinder() -> bool {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let output = Command::new(compiler).arg("-print-file-name=libgcc_eh.a").output();
    output.is_ok_and(|o| Path::new(String::from_utf8_lossy(&o.stdout).trim()).is_absolute())
}
