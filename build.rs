//! Has the unwinder loaded when something is unwound, and our code read together (`src/prefetch.c`), where that is possible;
//! and compiles cshim/ for a bench, if that is asked for.
//!
//! A Rust extension depends on `libgcc_s.so.1`, which no CPython loads by itself: finding, mapping and
//! relocating it is two thirds of what loading ours costs an interpreter's start (257 µs with it, 93 µs
//! without). rustc names the library outright; a linker script of that name, found first, sends the linker to
//! `src/unwinder.c` instead, which says why it is not the static archive of the same code. `src/prefetch.c` is linked along with it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

const UNWINDER: &str = "src/unwinder.c";
const PREFETCH: &str = "src/prefetch.c";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={UNWINDER}");
    println!("cargo::rerun-if-changed={PREFETCH}");
    #[cfg(feature = "cshim")]
    compile_the_shim();
    let target = env::var("TARGET").unwrap_or_default();
    // Cross-compiling, it would be compiled for the build machine.
    if !target.ends_with("linux-gnu") || env::var("HOST").is_ok_and(|host| host != target) {
        return;
    }
    let Some(out) = env::var_os("OUT_DIR").map(PathBuf::from) else { return };
    let [unwinder, prefetch] = ["unwinder.o", "prefetch.o"].map(|name| out.join(name));
    if compile(UNWINDER, &unwinder) && compile(PREFETCH, &prefetch) {
        let objects = format!("{} {}", unwinder.display(), prefetch.display());
        let script = format!("INPUT({objects} -lgcc -ldl)\n");
        if fs::write(out.join("libgcc_s.so"), script).is_ok() {
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

/// Whether there is a C compiler that makes this object of the source. Frames of it are unwound, too.
fn compile(source: &str, object: &Path) -> bool {
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    let flags = ["-c", "-O2", "-fPIC", "-fexceptions", "-Wall", "-Wextra", "-Werror"];
    let compiled = Command::new(compiler).args(flags).arg(source).arg("-o").arg(object).status();
    compiled.is_ok_and(|status| status.success())
}
