//! Which container for the shared table, and how to read pieces of it. See README.md.

mod archive;
mod facts;
mod flat;
mod hostile;
mod lmdb;
mod mapped;
mod measure;
mod pieces;
mod store;

use std::path::Path;

const HELP: &str =
    "container write TREE FOLDER       store what is known of a tree, in every container
container open KIND FOLDER TIMES  open one of them again and again
container opens FOLDER            time of opening, all kinds in turn
container lookups TREE FOLDER     time of lookups, all kinds in turn
container hostile TREE FOLDER [KIND]   damage a small store in every byte, and ask it
container pieces TREE FOLDER      time of reading 500 pieces, all ways in turn
container truncated FOLDER [undumpable]   read a mapping whose file became shorter
(judge, touch and read-in-place are the child processes of these)";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["write", tree, folder] => facts::gather(Path::new(tree))
            .and_then(|facts| store::write(Path::new(folder), &facts).map(|()| facts))
            .map(|facts| measure::sizes(&facts, Path::new(folder))),
        ["open", kind, folder, times] => {
            measure::open(kind, Path::new(folder), times.parse().expect("a number"));
            Ok(())
        }
        ["opens", folder] => {
            measure::opens(Path::new(folder));
            Ok(())
        }
        ["lookups", tree, folder] => {
            facts::gather(Path::new(tree)).map(|f| measure::lookups(&f, Path::new(folder)))
        }
        ["hostile", tree, folder] => hostile::run(tree, Path::new(folder), ""),
        ["hostile", tree, folder, kind] => hostile::run(tree, Path::new(folder), kind),
        ["judge", kind, file, tree, shorter] => {
            facts::gather(Path::new(tree)).map(|f| hostile::judge(kind, file, &f, shorter))
        }
        ["pieces", tree, folder] => {
            facts::gather(Path::new(tree)).and_then(|f| pieces::run(&f, Path::new(folder)))
        }
        ["touch", way, folder] => pieces::touch(way, Path::new(folder)),
        ["truncated", folder] => pieces::truncated(Path::new(folder), false),
        ["truncated", folder, "undumpable"] => pieces::truncated(Path::new(folder), true),
        ["read-in-place", file] => pieces::read_in_place(Path::new(file)),
        _ => {
            eprintln!("{HELP}");
            std::process::exit(2)
        }
    };
    if let Err(error) = done {
        eprintln!("container: {error}");
        std::process::exit(1);
    }
}
