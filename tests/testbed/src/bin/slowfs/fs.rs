//! The filesystem as FUSE sees it: each question is counted, held back for the delay, then put to
//! the source, and answered.
//!
//! What it answers at once and does not count: what a network client would answer by itself
//! (`ioctl`, extended attributes) and the virtual file `.slowfs-stats`. Called by fuser.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    AccessFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation,
    INodeNo, InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyOpen, ReplyStatfs, Request,
};

use crate::nodes::{ROOT, STATS};
use crate::options::Options;
use crate::pace::Pace;
use crate::source::{Handle, Source};
use crate::tally::{Op, Tally};

/// The name, in the root, that reads as the counts.
const STATS_NAME: &str = ".slowfs-stats";
/// More reads and releases than any test has under way. At the default of 12 to 16 the kernel holds
/// them back, and it is the kernel's queue that is measured.
const MAX_BACKGROUND: u16 = 1024;

/// The attributes of the virtual file: no size, as in /proc.
const STATS_ATTR: FileAttr = FileAttr {
    ino: INodeNo(STATS),
    size: 0,
    blocks: 0,
    atime: UNIX_EPOCH,
    mtime: UNIX_EPOCH,
    ctime: UNIX_EPOCH,
    crtime: UNIX_EPOCH,
    kind: FileType::RegularFile,
    perm: 0o444,
    nlink: 1,
    uid: 0,
    gid: 0,
    rdev: 0,
    blksize: 4096,
    flags: 0,
};

/// The server's state.
pub struct SlowFs {
    attr_timeout: Duration,
    entry_timeout: Duration,
    pace: Pace,
    source: Arc<Source>,
    tally: Arc<Tally>,
    log: Option<File>,
}

impl SlowFs {
    /// A server for `options.source`, which counts in `tally`.
    ///
    /// # Errors
    /// Names what could not be opened.
    pub fn new(options: &Options, tally: Arc<Tally>) -> Result<Self, String> {
        let source = Source::new(&options.source)
            .map_err(|e| format!("{}: {e}", options.source.display()))?;
        let create = |path| File::create(path).map_err(|e| format!("--log-ops {path:?}: {e}"));
        let log = options.log_ops.as_ref().map(create).transpose()?;
        let pace = Pace::new(options.delay, options.threads)
            .map_err(|e| format!("--threads {}: {e}", options.threads))?;
        Ok(Self {
            attr_timeout: options.attr_timeout,
            entry_timeout: options.entry_timeout,
            pace,
            source: Arc::new(source),
            tally,
            log,
        })
    }

    /// Serves one operation on `node`, or on `name` in it: counts it, holds it back, does `work`,
    /// passes its outcome to `answer`.
    fn serve<T>(
        &self,
        op: Op,
        node: INodeNo,
        name: &OsStr,
        work: impl FnOnce(&Source) -> T + Send + 'static,
        answer: impl FnOnce(T) + Send + 'static,
    ) {
        let ticket = self.tally.enter(op);
        self.log_operation(op, node, name);
        let (source, tally) = (Arc::clone(&self.source), Arc::clone(&self.tally));
        self.pace.hold(move || {
            let outcome = work(&source);
            tally.leave(ticket);
            answer(outcome);
        });
    }

    /// Appends one line; in one write, so that lines of different threads do not mix.
    fn log_operation(&self, op: Op, node: INodeNo, name: &OsStr) {
        let Some(mut log) = self.log.as_ref() else { return };
        let path = self.source.shown(node, name);
        let line = [op.name().as_bytes(), b"\t", path.as_os_str().as_bytes(), b"\n"].concat();
        // A full disk must not turn into wrong answers.
        let _ = log.write_all(&line);
    }
}

/// No name: the operation is on the node itself.
fn itself() -> &'static OsStr {
    OsStr::new("")
}

impl Filesystem for SlowFs {
    /// Without `FUSE_PARALLEL_DIROPS` the kernel asks one thing after the other in each directory,
    /// and every way of asking would look equally slow. `FUSE_DO_READDIRPLUS` is left out: a listing
    /// gives names and types, as NFS's plain READDIR does, so that listing and probing stay two
    /// costs that can be told apart.
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let refused = |what: &str| io::Error::other(format!("the kernel does not offer {what}"));
        config
            .add_capabilities(InitFlags::FUSE_PARALLEL_DIROPS)
            .map_err(|_| refused("FUSE_PARALLEL_DIROPS"))?;
        config.set_max_background(MAX_BACKGROUND).map_err(|_| refused("max_background"))?;
        config
            .set_congestion_threshold(MAX_BACKGROUND)
            .map_err(|_| refused("congestion_threshold"))?;
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if parent.0 == ROOT && name == STATS_NAME {
            return reply.entry(&Duration::ZERO, &STATS_ATTR, Generation(0));
        }
        let (attr_timeout, entry_timeout) = (self.attr_timeout, self.entry_timeout);
        let wanted = name.to_owned();
        self.serve(
            Op::Lookup,
            parent,
            name,
            move |source| source.find(parent, &wanted),
            move |found| match found {
                Ok(attr) => {
                    reply.entry_with_ttls(&attr_timeout, &entry_timeout, &attr, Generation(0));
                }
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn getattr(&self, _req: &Request, node: INodeNo, fh: Option<FileHandle>, reply: ReplyAttr) {
        if node.0 == STATS {
            return reply.attr(&Duration::ZERO, &STATS_ATTR);
        }
        let timeout = self.attr_timeout;
        self.serve(
            Op::Getattr,
            node,
            itself(),
            move |source| source.attributes_of(node, fh),
            move |found| match found {
                Ok(attr) => reply.attr(&timeout, &attr),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn readlink(&self, _req: &Request, node: INodeNo, reply: ReplyData) {
        self.serve(
            Op::Readlink,
            node,
            itself(),
            move |source| source.target(node),
            move |found| match found {
                Ok(target) => reply.data(target.as_os_str().as_bytes()),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn open(&self, _req: &Request, node: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        if node.0 == STATS {
            let fh = self.source.keep(Handle::Text(self.tally.json()));
            return reply.opened(fh, FopenFlags::FOPEN_DIRECT_IO);
        }
        let work = move |source: &Source| source.open_file(node);
        self.serve(Op::Open, node, itself(), work, move |opened| answer_open(reply, opened));
    }

    fn read(
        &self,
        _req: &Request,
        node: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let work = move |source: &Source| source.bytes(fh, offset, size);
        let answer = move |read: Result<Vec<u8>, Errno>| match read {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        };
        if node.0 == STATS {
            return answer(work(&self.source));
        }
        self.serve(Op::Read, node, itself(), work, answer);
    }

    fn flush(
        &self,
        _req: &Request,
        node: INodeNo,
        _fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        if node.0 == STATS {
            return reply.ok();
        }
        self.serve(Op::Flush, node, itself(), |_| (), move |()| reply.ok());
    }

    fn release(
        &self,
        _req: &Request,
        node: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        if node.0 == STATS {
            self.source.close(fh);
            return reply.ok();
        }
        let work = move |source: &Source| source.close(fh);
        self.serve(Op::Release, node, itself(), work, move |()| reply.ok());
    }

    fn opendir(&self, _req: &Request, node: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let work = move |source: &Source| source.open_dir(node);
        self.serve(Op::Opendir, node, itself(), work, move |opened| answer_open(reply, opened));
    }

    fn readdir(
        &self,
        _req: &Request,
        node: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        self.serve(
            Op::Readdir,
            node,
            itself(),
            move |source| source.entries(node, fh, offset),
            move |listed| match listed {
                Ok(entries) => {
                    for (at, entry) in entries.iter().enumerate().skip(offset as usize) {
                        // The offset of an entry is where the next one begins.
                        if reply.add(INodeNo(entry.node), at as u64 + 1, entry.kind, &entry.name) {
                            break;
                        }
                    }
                    reply.ok();
                }
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn releasedir(
        &self,
        _req: &Request,
        node: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let work = move |source: &Source| source.close(fh);
        self.serve(Op::Releasedir, node, itself(), work, move |()| reply.ok());
    }

    fn statfs(&self, _req: &Request, node: INodeNo, reply: ReplyStatfs) {
        self.serve(
            Op::Statfs,
            node,
            itself(),
            move |source| source.filesystem(node),
            move |found| match found {
                Ok(s) => reply.statfs(
                    s.blocks(),
                    s.blocks_free(),
                    s.blocks_available(),
                    s.files(),
                    s.files_free(),
                    s.block_size() as u32,
                    s.name_max() as u32,
                    s.fragment_size() as u32,
                ),
                Err(errno) => reply.error(errno),
            },
        );
    }

    fn access(&self, _req: &Request, node: INodeNo, mask: AccessFlags, reply: ReplyEmpty) {
        if node.0 == STATS {
            return reply.ok();
        }
        self.serve(
            Op::Access,
            node,
            itself(),
            move |source| source.access(node, mask.bits()),
            move |allowed| match allowed {
                Ok(()) => reply.ok(),
                Err(errno) => reply.error(errno),
            },
        );
    }

    /// `open()` in Python asks every file whether it is a terminal. No file is, and a network client
    /// knows that without asking its server.
    fn ioctl(
        &self,
        _req: &Request,
        _node: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }
}

fn answer_open(reply: ReplyOpen, opened: Result<FileHandle, Errno>) {
    match opened {
        Ok(fh) => reply.opened(fh, FopenFlags::empty()),
        Err(errno) => reply.error(errno),
    }
}
