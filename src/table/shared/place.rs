//! Where tables lie: the directory that was configured, or the one of the XDG base directory specification.
//!
//! It asks the environment, never the filesystem and never the user database: getpwuid(3) may load libraries and ask
//! the network.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Refusal, system};

/// Our directory among those of others.
const OURS: &str = "fastpath";

/// The directory for shared tables, which need not be there yet: `configured`, else `fastpath` in `$XDG_CACHE_HOME`, else
/// in `$HOME/.cache`. As the [specification](https://specifications.freedesktop.org/basedir-spec/latest/) has it, an
/// `XDG_CACHE_HOME` that is empty or not absolute counts as not set.
///
/// # Errors
/// [`Refusal::Secure`] in a process that has more rights than whoever executed it: the environment is that one's. [`Refusal::NoPlace`] where
/// nothing names an absolute path: what was meant relative to one working directory is not in the next.
pub fn place(configured: Option<&Path>) -> Result<PathBuf, Refusal> {
    if system::has_more_rights() {
        return Err(Refusal::Secure);
    }
    choose(configured, env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"))
}

fn choose(
    configured: Option<&Path>,
    cache: Option<OsString>,
    home: Option<OsString>,
) -> Result<PathBuf, Refusal> {
    if let Some(dir) = configured {
        let relative = Refusal::NoPlace("the configured directory is not an absolute path");
        return if dir.is_absolute() { Ok(dir.into()) } else { Err(relative) };
    }
    let absolute = |value: OsString| Some(PathBuf::from(value)).filter(|path| path.is_absolute());
    let base = cache.and_then(absolute);
    let base = base.or_else(|| Some(home.and_then(absolute)?.join(".cache")));
    let base =
        base.ok_or(Refusal::NoPlace("neither XDG_CACHE_HOME nor HOME is an absolute path"))?;
    Ok(base.join(OURS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(configured: Option<&str>, cache: Option<&str>, home: Option<&str>) -> Option<String> {
        let choice = choose(configured.map(Path::new), cache.map(Into::into), home.map(Into::into));
        match choice {
            Ok(path) => Some(path.to_str().unwrap().to_owned()),
            Err(Refusal::NoPlace(_)) => None,
            Err(refusal) => panic!("{refusal}"),
        }
    }

    #[test]
    fn what_is_configured_wins_if_it_is_absolute() {
        assert_eq!(chosen(Some("/c"), Some("/x"), Some("/h")).as_deref(), Some("/c"));
        assert_eq!(chosen(Some("c"), Some("/x"), Some("/h")), None);
        assert_eq!(chosen(Some(""), Some("/x"), Some("/h")), None);
    }

    #[test]
    fn else_the_base_directory_specification() {
        assert_eq!(chosen(None, Some("/x"), Some("/h")).as_deref(), Some("/x/fastpath"));
        for none in [None, Some(""), Some("x"), Some("./x")] {
            let chosen = chosen(None, none, Some("/h"));
            assert_eq!(chosen.as_deref(), Some("/h/.cache/fastpath"), "{none:?}");
        }
        for none in [None, Some(""), Some("h")] {
            assert_eq!(chosen(None, None, none), None, "{none:?}");
        }
    }
}
