//! What program an interpreter runs, by its command line: the same program imports the same modules.

use xxhash_rust::xxh3::xxh3_128;

/// What the interpreter's own command line (`sys.orig_argv`) says is run, by the grammar of `python --help`: `-m` and a
/// module, `-c` and code, or a script, which is given as it is. Empty for an interactive interpreter and for a program
/// on standard input, of which nothing is known.
pub fn of(argv: &[String], cwd: &dyn Fn() -> String) -> Vec<u8> {
    let mut args = argv.iter().skip(1);
    while let Some(arg) = args.next() {
        let Some(letters) = arg.strip_prefix('-') else {
            let is_absolute = arg.starts_with('/');
            let script = if is_absolute { arg.clone() } else { format!("{}/{arg}", cwd()) };
            return format!("script {script}").into_bytes();
        };
        if letters == "-check-hash-based-pycs" {
            args.next();
            continue;
        }
        if letters.is_empty() || letters.starts_with('-') {
            // Standard input, or a long option that says something and exits.
            return Vec::new();
        }
        if let Some(at) = letters.find(['c', 'm', 'W', 'X']) {
            let (letter, rest) = letters[at..].split_at(1);
            let value = if rest.is_empty() { args.next().map_or("", String::as_str) } else { rest };
            match letter {
                // It may be long.
                "c" => return format!("code {:032x}", xxh3_128(value.as_bytes())).into_bytes(),
                "m" => return format!("module {value}").into_bytes(),
                _ => {}
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(line: &str) -> String {
        let argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        String::from_utf8(of(&argv, &|| "/cwd".to_owned())).unwrap()
    }

    #[test]
    fn what_runs_is_what_stands_behind_the_options() {
        assert_eq!(program("python -m pip install -m x"), "module pip");
        assert_eq!(program("python -Im pip"), "module pip");
        assert_eq!(program("python -mpip"), "module pip");
        assert_eq!(program("python -W error -X dev -E /a/b.py -c x"), "script /a/b.py");
        assert_eq!(program("python -Werror -Xdev b.py"), "script /cwd/b.py");
        let code = program("python --check-hash-based-pycs never -c pass");
        assert!(code.starts_with("code "));
        assert_eq!(program("/usr/bin/python -ic pass"), code);
        assert_ne!(program("python -c fail"), code);
    }

    #[test]
    fn of_some_nothing_is_known() {
        for line in ["", "python", "python -i", "python -", "python --version", "python -W error"] {
            assert_eq!(program(line), "", "{line}");
        }
    }
}
