//! Look-ahead in many threads at once, while others load and find; and where no thread is to be had.

use std::process::Command;
use std::sync::Barrier;
use std::thread;

use super::tree::{Looker, age, from, import, module};
use crate::bed::{self, Bed};
use crate::oracle::path_finder;

const LOOKERS: usize = 6;
const MODULES: usize = 40;
const ROUNDS: usize = 20;

/// Modules `m0`, `m1`, ..., each of which imports all, and half of which are packages.
fn furnished() -> (Bed, Vec<String>, Vec<std::path::PathBuf>) {
    let bed = Bed::new(2);
    let names: Vec<_> = (0..MODULES).map(|at| format!("m{at}")).collect();
    let all: Vec<_> = names.iter().map(|name| import(name)).collect();
    let make = |(at, name): (usize, &String)| match at % 2 {
        0 => module(&bed, &format!("1/{name}.py"), &all),
        _ => module(&bed, &format!("{}/{name}/__init__.py", at % 4 / 2), &all),
    };
    let sources = names.iter().enumerate().map(make).collect();
    age();
    (bed, names, sources)
}

#[test]
fn many_may_look_ahead_while_others_load_and_find() {
    let (bed, names, sources) = furnished();
    let looker = Looker::new(&bed);
    let together = Barrier::new(3 * LOOKERS);
    let found: Vec<_> = names.iter().map(|name| path_finder(&bed.dirs, name)).collect();
    thread::scope(|scope| {
        for at in 0..LOOKERS {
            let (looker, together, names, sources, found) =
                (&looker, &together, &names, &sources, &found);
            scope.spawn(move || {
                together.wait();
                looker.look(&names[at]);
            });
            scope.spawn(move || {
                together.wait();
                for source in sources {
                    let loaded = looker.load(source).expect("it is there");
                    let bytecode = std::fs::read(super::tree::beside(source)).unwrap();
                    assert_eq!(*loaded.bytecode.bytes, *bytecode);
                }
            });
            scope.spawn(move || {
                together.wait();
                for (name, found) in names.iter().zip(found) {
                    let run = &looker.scene.path[0];
                    assert_eq!(looker.index.find(&mut looker.index.pass(), run, name), *found);
                }
            });
        }
    });
    let counts = looker.index.counts().0;
    assert_eq!(counts.ahead_files, MODULES as u64, "each once");
    assert!(counts.ahead_used_files <= counts.ahead_files);
}

#[test]
fn caches_may_be_invalidated_meanwhile() {
    let (bed, names, sources) = furnished();
    let looker = Looker::new(&bed);
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            for name in names.iter().cycle().take(ROUNDS) {
                looker.look(name);
                looker.look_from(name, &[from(1, "x", &[])]);
            }
        });
        while !looking.is_finished() {
            looker.index.invalidate();
            thread::yield_now();
        }
    });
    for source in &sources {
        looker.load_right(source);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn where_no_thread_is_to_be_had() {
    bed::alone(Command::new(std::env::current_exe().unwrap()), "ahead::company::without_threads");
}

#[cfg(target_os = "linux")]
#[test]
#[ignore = "takes something from its process: run by the test above it"]
fn without_threads() {
    use nix::sys::resource::{Resource, setrlimit};
    use nix::unistd::{Gid, Uid, setgid, setuid};
    use std::os::unix::fs::PermissionsExt;

    let (bed, _, sources) = furnished();
    let root = bed.dirs[0].parent().unwrap();
    std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o755)).unwrap();
    if bed::is_root() {
        // Who may do anything has no limit.
        setgid(Gid::from_raw(65_534)).unwrap();
        setuid(Uid::from_raw(65_534)).unwrap();
    }
    setrlimit(Resource::RLIMIT_NPROC, 0, 0).unwrap();
    assert!(thread::Builder::new().spawn(|| ()).is_err(), "a thread could be started");
    let looker = Looker::new(&bed);
    let cost = looker.cost(|looker| looker.look("m0"));
    assert_eq!(cost.files, MODULES as u64);
    assert!(sources.iter().all(|source| looker.load_right(source)));
}
