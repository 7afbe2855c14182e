//! The source directory: answers what FUSE asks by asking the filesystem below.
//!
//! It writes nothing, keeps nothing but open files, and knows neither delay nor counters. Called by
//! `fs.rs`, from many threads at once.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{Errno, FileAttr, FileHandle, FileType, INodeNo};
use nix::sys::statvfs::{Statvfs, statvfs};
use nix::unistd::{AccessFlags, access};

use crate::nodes::{Identity, Nodes, ROOT};

/// A file or directory that is open.
pub enum Handle {
    /// A file, read from where it is.
    File(File),
    /// A directory; its entries as they were when the listing was begun.
    Dir(Mutex<Arc<Vec<Entry>>>),
    /// A text that was made when it was opened.
    Text(String),
}

/// A name in a directory.
pub struct Entry {
    /// Its node.
    pub node: u64,
    /// Its type, as the listing gave it.
    pub kind: FileType,
    /// The name.
    pub name: OsString,
}

/// The directory that is shown, and what is open in it.
pub struct Source {
    nodes: Nodes,
    handles: RwLock<HashMap<u64, Arc<Handle>>>,
    next_handle: AtomicU64,
}

impl Source {
    /// The directory at `root`.
    ///
    /// # Errors
    /// It is no directory, or may not be listed.
    pub fn new(root: &Path) -> io::Result<Self> {
        let root = root.canonicalize()?;
        fs::read_dir(&root)?;
        let identity = identity(&fs::metadata(&root)?);
        Ok(Self {
            nodes: Nodes::new(root, identity),
            handles: RwLock::default(),
            next_handle: AtomicU64::new(0),
        })
    }

    /// `name` in `node`, or `node` itself if the name is empty, below the root; for logs.
    pub fn shown(&self, node: INodeNo, name: &OsStr) -> PathBuf {
        let path = self.nodes.below_root(node.0).unwrap_or_else(|| PathBuf::from("?"));
        match (path == Path::new(""), name.is_empty()) {
            (true, true) => PathBuf::from("."),
            (_, true) => path,
            (_, false) => path.join(name),
        }
    }

    /// Where `node` is, or ESTALE, see [`gone`].
    fn path(&self, node: INodeNo) -> Result<PathBuf, Errno> {
        self.nodes.path(node.0).ok_or(Errno::ESTALE)
    }

    /// Looks `name` up in `parent`.
    pub fn find(&self, parent: INodeNo, name: &OsStr) -> Result<FileAttr, Errno> {
        let meta = fs::symlink_metadata(self.path(parent)?.join(name))?;
        let attr = self.attributes(&meta)?;
        self.nodes.place(attr.ino.0, parent.0, name);
        Ok(attr)
    }

    /// What is known of `node` now, through `fh` if it is open; ESTALE if something else is in its
    /// place.
    pub fn attributes_of(&self, node: INodeNo, fh: Option<FileHandle>) -> Result<FileAttr, Errno> {
        let open = fh.and_then(|fh| self.handle(fh).ok());
        let meta = match open.as_deref() {
            Some(Handle::File(file)) => file.metadata()?,
            _ => fs::symlink_metadata(self.path(node)?).map_err(gone)?,
        };
        self.attributes_as(node, &meta)
    }

    /// `meta` as the attributes of `node`, or ESTALE if it is another file's.
    fn attributes_as(&self, node: INodeNo, meta: &Metadata) -> Result<FileAttr, Errno> {
        let attr = self.attributes(meta)?;
        if attr.ino == node { Ok(attr) } else { Err(Errno::ESTALE) }
    }

    /// The fields of stat(2) as FUSE wants them.
    fn attributes(&self, meta: &Metadata) -> Result<FileAttr, Errno> {
        Ok(FileAttr {
            ino: INodeNo(self.nodes.number(identity(meta))),
            size: meta.size(),
            blocks: meta.blocks(),
            atime: time(meta.atime(), meta.atime_nsec()),
            mtime: time(meta.mtime(), meta.mtime_nsec()),
            ctime: time(meta.ctime(), meta.ctime_nsec()),
            crtime: UNIX_EPOCH,
            kind: FileType::from_std(meta.file_type()).ok_or(Errno::EIO)?,
            perm: (meta.mode() & 0o7777) as u16,
            nlink: u32::try_from(meta.nlink()).unwrap_or(u32::MAX),
            uid: meta.uid(),
            gid: meta.gid(),
            // The lower half of a dev_t is the encoding that FUSE carries (new_encode_dev).
            rdev: meta.rdev() as u32,
            blksize: u32::try_from(meta.blksize()).unwrap_or(4096),
            flags: 0,
        })
    }

    /// The target of the symbolic link `node`.
    pub fn target(&self, node: INodeNo) -> Result<PathBuf, Errno> {
        fs::read_link(self.path(node)?).map_err(gone)
    }

    /// access(2) of `node`.
    pub fn access(&self, node: INodeNo, mask: i32) -> Result<(), Errno> {
        access(&self.path(node)?, AccessFlags::from_bits_truncate(mask)).map_err(|e| gone(e.into()))
    }

    /// statvfs(3) of `node`.
    pub fn filesystem(&self, node: INodeNo) -> Result<Statvfs, Errno> {
        statvfs(&self.path(node)?).map_err(|e| gone(e.into()))
    }

    /// Opens the file `node` for reading, or fails with ESTALE if another is in its place.
    pub fn open_file(&self, node: INodeNo) -> Result<FileHandle, Errno> {
        let file = File::open(self.path(node)?).map_err(gone)?;
        self.attributes_as(node, &file.metadata()?)?;
        Ok(self.keep(Handle::File(file)))
    }

    /// Opens the directory `node`. The listing itself is made when it is first read.
    pub fn open_dir(&self, node: INodeNo) -> Result<FileHandle, Errno> {
        fs::read_dir(self.path(node)?).map_err(gone)?;
        Ok(self.keep(Handle::Dir(Mutex::default())))
    }

    /// Up to `size` bytes of an open file from `offset` on; fewer only at its end.
    pub fn bytes(&self, fh: FileHandle, offset: u64, size: u32) -> Result<Vec<u8>, Errno> {
        match &*self.handle(fh)? {
            Handle::File(file) => Ok(read_at(file, offset, size as usize)?),
            Handle::Text(text) => {
                let rest = text.as_bytes().get(offset as usize..).unwrap_or_default();
                Ok(rest[..rest.len().min(size as usize)].to_vec())
            }
            Handle::Dir(_) => Err(Errno::EISDIR),
        }
    }

    /// The entries to answer a question at `offset` from: listed anew where it starts from the
    /// beginning, as rewinddir(3) demands.
    pub fn entries(
        &self,
        node: INodeNo,
        fh: FileHandle,
        offset: u64,
    ) -> Result<Arc<Vec<Entry>>, Errno> {
        let handle = self.handle(fh)?;
        let Handle::Dir(entries) = &*handle else { return Err(Errno::ENOTDIR) };
        let fresh = if offset == 0 { Some(Arc::new(self.list(node)?)) } else { None };
        let mut entries = entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fresh) = fresh {
            *entries = fresh;
        }
        Ok(Arc::clone(&entries))
    }

    /// The entries of the directory `node`, `.` and `..` first.
    fn list(&self, node: INodeNo) -> Result<Vec<Entry>, Errno> {
        let dot = |node, name: &str| Entry { node, kind: FileType::Directory, name: name.into() };
        let path = self.path(node)?;
        let above = match path.parent().filter(|_| node.0 != ROOT) {
            Some(parent) => self.nodes.number(identity(&fs::metadata(parent)?)),
            None => ROOT,
        };
        let mut entries = vec![dot(node.0, "."), dot(above, "..")];
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            entries.push(Entry {
                node: self.nodes.number_listed(node.0, entry.ino()),
                kind: FileType::from_std(entry.file_type()?).unwrap_or(FileType::RegularFile),
                name: entry.file_name(),
            });
        }
        Ok(entries)
    }

    /// Makes `handle` known.
    pub fn keep(&self, handle: Handle) -> FileHandle {
        let fh = self.next_handle.fetch_add(1, Relaxed);
        let mut handles = self.handles.write().unwrap_or_else(PoisonError::into_inner);
        handles.insert(fh, Arc::new(handle));
        FileHandle(fh)
    }

    fn handle(&self, fh: FileHandle) -> Result<Arc<Handle>, Errno> {
        let handles = self.handles.read().unwrap_or_else(PoisonError::into_inner);
        handles.get(&fh.0).cloned().ok_or(Errno::EBADF)
    }

    /// Closes what `fh` stands for.
    pub fn close(&self, fh: FileHandle) {
        let closed = self.handles.write().unwrap_or_else(PoisonError::into_inner).remove(&fh.0);
        // Only now: closing a file is I/O, and the lock is given back.
        drop(closed);
    }
}

/// The errno for a question about a node: ESTALE, as an NFS server says of a file that it no longer
/// knows, where the node is not at the place at which it was last seen. On ESTALE the kernel looks
/// the path up anew, name by name, and finds what is there now.
fn gone(error: io::Error) -> Errno {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Errno::ESTALE,
        _ => error.into(),
    }
}

fn identity(meta: &Metadata) -> Identity {
    (meta.dev(), meta.ino())
}

/// A timestamp of stat(2), which may lie before the epoch: the nanoseconds always count forward.
fn time(seconds: i64, nanoseconds: i64) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let from = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
    from + Duration::from_nanos(nanoseconds.unsigned_abs())
}

/// Up to `size` bytes from `offset` on; fewer only at the end of the file.
fn read_at(file: &File, offset: u64, size: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}
