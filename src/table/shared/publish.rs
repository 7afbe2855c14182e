//! A new table in an old one's place: whole, or not at all.
//!
//! One writer at a time and nobody waits, readers are never in the way, and whoever dies over it leaves at most one file, which the next
//! writer removes. It never changes the permissions of what is there.

use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, flock, openat, renameat, unlinkat};
use rustix::process::{Resource, getrlimit};

use super::file::{open_itself, refusal};
use super::{Published, Refusal, Trust, owner, system};

/// Permissions of a directory that is made, as the XDG base directory specification has it.
const DIRECTORY: u32 = 0o700;

/// How every file is opened that is written to: what is there itself, and without waiting for a reader.
const SAFELY: OFlags =
    OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// Bytes that are gathered before they are written.
const BUFFER: usize = 64 << 10;

/// Has `write` write a table, which then is the one at `path` (absolute), all at once by rename(2); what was there before stays until
/// then, and stays for good if `write` says false or anything fails. Its directory is made where there is none, with those above
/// it. A file beside it, `<path>.lock`, stays behind: removing a lock is a race.
///
/// There is no fsync(2). After a power cut the file may be there with bytes missing; but its end says how long it is, and every piece has
/// a checksum, so that what is missing reads as not known, and is learnt and written anew. The same goes for an
/// error that a network filesystem tells only when the file is closed. An fsync would make every process that has learnt
/// something wait for a disk when it ends.
///
/// # Errors
/// Those of the calls, of `write`, and a [`Refusal`] where the directory is not ours alone, or
/// the process has more rights than whoever executed it.
pub fn publish(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<bool>,
) -> io::Result<Published> {
    publish_through(|file| file, path, write)
}

/// The same, with something between the buffer and the file: the place where a test has the disk be full.
fn publish_through<W: Write>(
    outlet: impl FnOnce(Bounded) -> W,
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<bool>,
) -> io::Result<Published> {
    if system::has_more_rights() {
        return Err(Refusal::Secure.into());
    }
    let parent = path.parent().filter(|_| path.is_absolute()).zip(path.file_name());
    let (parent, name) = parent.ok_or(Refusal::NoPlace("its path is not absolute"))?;
    let dir = directory(parent)?;
    let Some(_lock) = lock(&dir, &beside(name, ".lock"))? else {
        return Ok(Published::Busy);
    };
    let (unfinished, file) = Unfinished::create(&dir, beside(name, ".new"))?;
    let mut out = BufWriter::with_capacity(BUFFER, outlet(Bounded::new(file)));
    if !write(&mut out)? {
        return Ok(Published::NothingNew);
    }
    out.flush()?;
    unfinished.becomes(name)?;
    Ok(Published::Done)
}

fn beside(name: &OsStr, suffix: &str) -> OsString {
    let mut other = name.to_owned();
    other.push(suffix);
    other
}

/// The directory, made if there is none, and open: what is done in it is done in this very one, whatever becomes of its
/// name.
fn directory(path: &Path) -> io::Result<File> {
    let dir = match open_itself(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(path)?;
            open_itself(path)
        }
        opened => opened,
    };
    let dir = dir.map_err(plainly)?;
    let meta = dir.metadata()?;
    if !meta.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    owner::check(&meta, Trust::User)?;
    Ok(dir)
}

/// Of a link, open(2) says that there were too many.
fn plainly(error: io::Error) -> io::Error {
    if refusal(&error) == Refusal::Link { Refusal::Link.into() } else { error }
}

/// Makes a directory, and those above it.
fn make(path: &Path) -> io::Result<()> {
    let there: Option<Metadata> = path.ancestors().find_map(|dir| dir.metadata().ok());
    if let Some(meta) = there {
        owner::check_ancestor(&meta)?;
    }
    DirBuilder::new().recursive(true).mode(DIRECTORY).create(path)
}

/// The lock of this name, ours until it is dropped; none if it is somebody else's. Whoever dies loses it.
fn lock(dir: &File, name: &OsStr) -> io::Result<Option<File>> {
    let file = create(dir, name, OFlags::empty())?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Opens for writing, and makes it where it is not, for its owner alone.
///
/// # Errors
/// Those of open(2), or what forbids to use what is there.
fn create(dir: &File, name: &OsStr, flags: OFlags) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | SAFELY | flags;
    let file = openat(dir, name, flags, Mode::RUSR | Mode::WUSR);
    let file = File::from(file.map_err(|errno| plainly(errno.into()))?);
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(Refusal::NotRegular.into());
    }
    owner::check(&meta, Trust::User)?;
    Ok(file)
}

/// A table's file while it is being written: gone again unless it becomes the table.
#[derive(Debug)]
struct Unfinished<'a> {
    dir: &'a File,
    name: OsString,
    is_table: bool,
}

impl<'a> Unfinished<'a> {
    /// Makes it. One that is there has been left behind by a writer who was killed: the lock is ours, so nobody is at it.
    fn create(dir: &'a File, name: OsString) -> io::Result<(Self, File)> {
        match unlinkat(dir, &name, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let file = create(dir, &name, OFlags::EXCL)?;
        Ok((Self { dir, name, is_table: false }, file))
    }

    /// Gives it this name, and takes it from whatever had it: in a directory that is ours alone, that is ours to decide.
    fn becomes(mut self, name: &OsStr) -> io::Result<()> {
        renameat(self.dir, &self.name, self.dir, name)?;
        self.is_table = true;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_table {
            // Where even that fails, the next writer tries again.
            let _ = unlinkat(self.dir, &self.name, AtFlags::empty());
        }
    }
}

/// A file that does not grow above the process's limit (`RLIMIT_FSIZE`). CPython ignores SIGXFSZ, but a program around
/// it may have it back, and then the first byte above the limit would kill the process at its very end.
#[derive(Debug)]
struct Bounded {
    file: File,
    left: u64,
}

impl Bounded {
    fn new(file: File) -> Self {
        Self { file, left: getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX) }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
        if most == 0 && !bytes.is_empty() {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        let written = self.file.write(&bytes[..most])?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// ENOSPC from the n-th write on; before that, half of what it is given.
    struct Full {
        file: Bounded,
        writes: usize,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.writes =
                self.writes.checked_sub(1).ok_or(io::Error::from_raw_os_error(libc::ENOSPC))?;
            self.file.write(&bytes[..bytes.len().div_ceil(2)])
        }

        fn flush(&mut self) -> io::Result<()> {
            self.file.flush()
        }
    }

    fn names(dir: &Path) -> Vec<OsString> {
        let mut names: Vec<_> =
            fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    /// The old table stays, byte by byte, and nothing lies beside it, at whichever write the disk is full.
    #[test]
    fn a_full_disk_leaves_the_old_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.table");
        let old = vec![1; 100_000];
        let new: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        publish(&path, |out| out.write_all(&old).map(|()| true)).unwrap();
        let mut failed = 0;
        loop {
            let full = |file| Full { file, writes: failed };
            let outcome = publish_through(full, &path, |out| {
                new.chunks(999).try_for_each(|piece| out.write_all(piece)).map(|()| true)
            });
            assert_eq!(names(dir.path()), ["a.table", "a.table.lock"], "write {failed}");
            match outcome {
                Ok(published) => {
                    assert_eq!(published, Published::Done);
                    break;
                }
                Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOSPC)),
            }
            assert!(fs::read(&path).unwrap() == old, "write {failed}");
            failed += 1;
        }
        assert!(failed > 100, "only {failed} places to fail");
        assert!(fs::read(&path).unwrap() == new);
    }
}
