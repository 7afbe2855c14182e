//! The vocabulary: what can be known about a path, and what a lookup answers.
//!
//! Plain data and pure functions. Nothing here touches the filesystem, and every other room may
//! use it.

/// What kind of thing a name or a path denotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link, seen in a listing: what it points at is not known yet.
    Link,
    /// The filesystem did not say (`DT_UNKNOWN`): only a stat can tell.
    Unknown,
    /// A socket, device or FIFO: never a module.
    Other,
}

/// What `stat(2)` said of a path that is there, links followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// `st_mode`: type and permission bits.
    pub mode: u32,
    /// `st_ino`.
    pub ino: u64,
    /// `st_dev`, as `os.stat` shows it.
    pub dev: u64,
    /// `st_nlink`.
    pub nlink: u64,
    /// `st_uid`.
    pub uid: u32,
    /// `st_gid`.
    pub gid: u32,
    /// `st_size`, bytes.
    pub size: u64,
    /// Last access, nanoseconds since the epoch.
    pub atime_ns: i128,
    /// Last change of content, nanoseconds since the epoch.
    pub mtime_ns: i128,
    /// Last change of the inode (on Windows: creation), nanoseconds since the epoch.
    pub ctime_ns: i128,
}

impl Stat {
    /// The type in `mode`, by the bits of inode(7). Never `Link` or `Unknown`.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.mode & 0o170_000 {
            0o040_000 => Kind::Dir,
            0o100_000 => Kind::File,
            _ => Kind::Other,
        }
    }

    /// `st_mtime` as `os.stat` shows it.
    #[must_use]
    pub fn mtime(&self) -> f64 {
        seconds(self.mtime_ns)
    }
}

/// Nanoseconds as seconds, by the rule of `fill_time` in CPython's `posixmodule.c`: whole seconds plus
/// 1e-9 times the rest.
#[must_use]
pub fn seconds(ns: i128) -> f64 {
    let (seconds, rest) = (ns.div_euclid(1_000_000_000), ns.rem_euclid(1_000_000_000));
    seconds as f64 + 1e-9 * rest as f64
}

/// A regular file's whole content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What fstat(2) said of the very file that was read, before it was read.
    pub stat: Stat,
    /// As many bytes as `stat.size` says.
    pub bytes: Box<[u8]>,
}

/// The answer to one question put to the filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// It is there.
    Present(Stat),
    /// It is not there: ENOENT, or ENOTDIR (a parent is no directory).
    Absent,
    /// The question failed with this errno (EACCES, ELOOP, ENAMETOOLONG, EIO, EINVAL for a path
    /// with an embedded NUL, ...). Not evidence of absence.
    Failed(i32),
}

impl Fact {
    /// What is there, if anything is.
    #[must_use]
    pub fn stat(&self) -> Option<&Stat> {
        match self {
            Fact::Present(stat) => Some(stat),
            Fact::Absent | Fact::Failed(_) => None,
        }
    }

    /// Whether this is a regular file, as `_path_isfile` of importlib asks it.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.stat().is_some_and(|s| s.kind() == Kind::File)
    }

    /// Whether this is a directory, as `_path_isdir` of importlib asks it.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.stat().is_some_and(|s| s.kind() == Kind::Dir)
    }
}

/// The version of a directory: while it is unchanged, so is the set of names in it.
///
/// Stock importlib compares `st_mtime` alone, as a float; we add identity and `ctime`, so that a
/// directory put in another's place, or a change whose mtime was set back, is seen too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation {
    dev: u64,
    ino: u64,
    mtime_ns: i128,
    ctime_ns: i128,
}

impl Generation {
    /// The generation that this stat of a directory shows.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        Self { dev: stat.dev, ino: stat.ino, mtime_ns: stat.mtime_ns, ctime_ns: stat.ctime_ns }
    }

    /// Device, inode, `mtime` and `ctime` (nanoseconds since the epoch), for whoever stores it.
    #[must_use]
    pub fn parts(&self) -> (u64, u64, i128, i128) {
        (self.dev, self.ino, self.mtime_ns, self.ctime_ns)
    }

    /// The generation of which [`Generation::parts`] gave these.
    #[must_use]
    pub fn from_parts(dev: u64, ino: u64, mtime_ns: i128, ctime_ns: i128) -> Self {
        Self { dev, ino, mtime_ns, ctime_ns }
    }

    /// `st_dev` of the directory.
    #[must_use]
    pub fn device(&self) -> u64 {
        self.dev
    }

    /// When it changed last, of content or of attributes; nanoseconds since the epoch.
    #[must_use]
    pub fn youngest_ns(&self) -> i128 {
        self.mtime_ns.max(self.ctime_ns)
    }

    /// Whether another change could still hide behind the same timestamps: the last change is
    /// younger than the filesystem's clock can tell apart, seen at `now_ns` (since the epoch).
    ///
    /// A stamp with a fraction of a second comes from a clock no coarser than a kernel tick (10 ms
    /// at most): twice that is safe. A whole second may mean that the filesystem keeps no
    /// fractions (FAT counts in twos). A stamp from the future (clock skew) is racy too.
    #[must_use]
    pub fn is_racy(&self, now_ns: i128) -> bool {
        const TICK_NS: i128 = 20_000_000;
        const WHOLE_NS: i128 = 2_000_000_000;
        let youngest = self.youngest_ns();
        let granularity = if self.mtime_ns % 1_000_000_000 == 0 { WHOLE_NS } else { TICK_NS };
        now_ns - youngest < granularity
    }
}

/// The version of a regular file: while it is unchanged, so is its content.
///
/// Stock importlib compares size and `st_mtime` in whole seconds (`_validate_timestamp_pyc`); we add identity and
/// `ctime`, so that a file put in another's place, or one whose mtime was set back, is seen too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// `st_dev`.
    pub dev: u64,
    /// `st_ino`.
    pub ino: u64,
    /// `st_size`, bytes.
    pub size: u64,
    /// Last change of content, nanoseconds since the epoch.
    pub mtime_ns: i128,
    /// Last change of the inode, nanoseconds since the epoch.
    pub ctime_ns: i128,
}

impl Stamp {
    /// The version that this stat of a file shows.
    #[must_use]
    pub fn of(stat: &Stat) -> Self {
        let Stat { dev, ino, size, mtime_ns, ctime_ns, .. } = *stat;
        Self { dev, ino, size, mtime_ns, ctime_ns }
    }
}
