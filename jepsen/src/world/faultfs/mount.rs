//! The kernel's side of the disk: FUSE requests, answered from the tree. Nothing is cached for longer than a file is open.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::tree::{Kind, Node, Number, Refused};
use super::{State, lock};

const NOT_CACHED: Duration = Duration::ZERO;
const BLOCK: u32 = 4096;
/// What `statfs` tells where there is no limit.
const ROOMY: u64 = 16 * 1024 * 1024 * 1024;

/// Mounts; the session ends it when dropped.
pub fn spawn(state: Arc<Mutex<State>>, folder: &Path) -> io::Result<BackgroundSession> {
    let mut config = Config::default();
    config.mount_options = vec![MountOption::FSName("jepsen-disk".to_owned()), MountOption::DefaultPermissions];
    config.n_threads = Some(1);
    fuser::spawn_mount(Mount(state), folder, &config)
}

struct Mount(Arc<Mutex<State>>);

fn errno(refused: Refused) -> Errno {
    match refused {
        Refused::Missing => Errno::ENOENT,
        Refused::NotEmpty => Errno::ENOTEMPTY,
        Refused::WrongKind => Errno::EINVAL,
    }
}

fn attr(number: Number, node: &Node) -> FileAttr {
    let (kind, size, links) = match &node.kind {
        Kind::File { now, .. } => (FileType::RegularFile, now.len() as u64, 1),
        Kind::Folder { .. } => (FileType::Directory, 0, 2),
        Kind::Socket => (FileType::Socket, 0, 1),
    };
    FileAttr {
        ino: INodeNo(number),
        size,
        blocks: size.div_ceil(512),
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind,
        perm: node.mode,
        nlink: links,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: BLOCK,
        flags: 0,
    }
}

impl Mount {
    fn shown(&self, number: Number) -> Result<FileAttr, Errno> {
        lock(&self.0).tree.get(number).map(|node| attr(number, node)).ok_or(Errno::ENOENT)
    }

    fn make(&self, parent: INodeNo, name: &OsStr, what: &str, mode: u32) -> Result<FileAttr, Errno> {
        let mut state = lock(&self.0);
        if state.faults.fails_now() {
            return Err(Errno::EIO);
        }
        let mode = u16::try_from(mode & 0o7777).unwrap_or(0o600);
        let number = state.tree.make(parent.0, &name.to_string_lossy(), what, mode).map_err(errno)?;
        state.tree.get(number).map(|node| attr(number, node)).ok_or(Errno::EIO)
    }

    fn change(&self, what: impl FnOnce(&mut State) -> Result<(), Refused>) -> Result<(), Errno> {
        let mut state = lock(&self.0);
        if state.faults.fails_now() {
            return Err(Errno::EIO);
        }
        what(&mut state).map_err(errno)
    }

    fn sync(&self, number: Number) -> Result<(), Errno> {
        let mut state = lock(&self.0);
        let slow = state.faults.slow;
        if state.faults.sync_fails || state.faults.fails_now() {
            return Err(Errno::EIO);
        }
        if !state.faults.sync_lies {
            state.tree.sync(number);
        }
        drop(state);
        std::thread::sleep(slow);
        Ok(())
    }

    /// Sets a file's length, if there is room.
    fn resize(&self, number: Number, size: u64) -> Result<(), Errno> {
        let mut state = lock(&self.0);
        let (used, room) = (state.tree.size(), state.faults.room);
        let more = size.saturating_sub(state.tree.bytes(number).map_err(errno)?.len() as u64);
        if more > 0 && room.is_some_and(|room| used + more > room) {
            return Err(Errno::ENOSPC);
        }
        state.tree.resize(number, usize::try_from(size).map_err(|_| Errno::EFBIG)?).map_err(errno)
    }
}

fn empty(reply: ReplyEmpty, result: Result<(), Errno>) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(error),
    }
}

fn entry(reply: ReplyEntry, result: Result<FileAttr, Errno>) {
    match result {
        Ok(attr) => reply.entry(&NOT_CACHED, &attr, Generation(0)),
        Err(error) => reply.error(error),
    }
}

impl Filesystem for Mount {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let number = lock(&self.0).tree.look_up(parent.0, &name.to_string_lossy()).map_err(errno);
        entry(reply, number.and_then(|number| self.shown(number)));
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.shown(ino.0) {
            Ok(attr) => reply.attr(&NOT_CACHED, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        if let Some(mode) = mode.and_then(|mode| u16::try_from(mode & 0o7777).ok()) {
            lock(&self.0).tree.set_mode(ino.0, mode);
        }
        let resized = size.map_or(Ok(()), |size| self.resize(ino.0, size));
        match resized.and_then(|()| self.shown(ino.0)) {
            Ok(attr) => reply.attr(&NOT_CACHED, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn mknod(&self, _req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, _rdev: u32, reply: ReplyEntry) {
        let what = if mode & 0o170_000 == 0o140_000 { "socket" } else { "file" };
        entry(reply, self.make(parent, name, what, mode));
    }

    fn mkdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, reply: ReplyEntry) {
        entry(reply, self.make(parent, name, "folder", mode));
    }

    fn create(&self, _req: &Request, parent: INodeNo, name: &OsStr, mode: u32, _umask: u32, _flags: i32, reply: ReplyCreate) {
        match self.make(parent, name, "file", mode) {
            Ok(attr) => reply.created(&NOT_CACHED, &attr, Generation(0), FileHandle(0), FopenFlags::empty()),
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.change(|state| state.tree.remove(parent.0, &name.to_string_lossy())));
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        empty(reply, self.change(|state| state.tree.remove(parent.0, &name.to_string_lossy())));
    }

    fn rename(&self, _req: &Request, parent: INodeNo, name: &OsStr, to: INodeNo, new: &OsStr, flags: RenameFlags, reply: ReplyEmpty) {
        if !flags.is_empty() {
            return reply.error(Errno::EINVAL);
        }
        let (name, new) = (name.to_string_lossy(), new.to_string_lossy());
        empty(reply, self.change(|state| state.tree.rename(parent.0, &name, to.0, &new)));
    }

    fn link(&self, _req: &Request, ino: INodeNo, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let linked = self.change(|state| state.tree.link(ino.0, parent.0, &name.to_string_lossy()));
        entry(reply, linked.and_then(|()| self.shown(ino.0)));
    }

    fn open(&self, _req: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _f: OpenFlags,
        _l: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut state = lock(&self.0);
        if state.faults.fails_now() {
            return reply.error(Errno::EIO);
        }
        let mut bytes = match state.tree.bytes(ino.0) {
            Ok(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                bytes[start..bytes.len().min(start + size as usize)].to_vec()
            }
            Err(refused) => return reply.error(errno(refused)),
        };
        state.faults.damage(&mut bytes);
        reply.data(&bytes);
    }

    fn write(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let (is_failing, slow) = {
            let mut state = lock(&self.0);
            (state.faults.fails_now(), state.faults.slow)
        };
        if is_failing {
            return reply.error(Errno::EIO);
        }
        let end = offset + data.len() as u64;
        let size = self.shown(ino.0).map_or(0, |attr| attr.size);
        let grown = if end > size { self.resize(ino.0, end) } else { Ok(()) };
        if let Err(error) = grown {
            return reply.error(error);
        }
        let written = lock(&self.0).tree.write(ino.0, usize::try_from(offset).unwrap_or(usize::MAX), data);
        std::thread::sleep(slow);
        match written {
            Ok(()) => reply.written(u32::try_from(data.len()).unwrap_or(u32::MAX)),
            Err(refused) => reply.error(errno(refused)),
        }
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _lock_owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(reply, self.sync(ino.0));
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        empty(reply, self.sync(ino.0));
    }

    fn fallocate(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, length: u64, mode: i32, reply: ReplyEmpty) {
        // Keeping the size is a promise of room only; holes and the like are not offered.
        match mode {
            0 => {
                let size = self.shown(ino.0).map_or(0, |attr| attr.size);
                empty(reply, self.resize(ino.0, size.max(offset + length)));
            }
            1 => reply.ok(),
            _ => reply.error(Errno::EOPNOTSUPP),
        }
    }

    fn readdir(&self, _req: &Request, ino: INodeNo, _fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let state = lock(&self.0);
        let Ok(names) = state.tree.names(ino.0) else { return reply.error(Errno::ENOTDIR) };
        let kind = |number: Number| match state.tree.get(number).map(|node| &node.kind) {
            Some(Kind::Folder { .. }) => FileType::Directory,
            Some(Kind::Socket) => FileType::Socket,
            _ => FileType::RegularFile,
        };
        let dots = [(".", ino.0), ("..", ino.0)].into_iter();
        let all = dots.chain(names.iter().map(|(name, number)| (name.as_str(), *number)));
        for (at, (name, number)) in all.enumerate().skip(usize::try_from(offset).unwrap_or(usize::MAX)) {
            if reply.add(INodeNo(number), at as u64 + 1, kind(number), name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let state = lock(&self.0);
        let (used, room) = (state.tree.size(), state.faults.room.unwrap_or(ROOMY));
        let (block, free) = (u64::from(BLOCK), room.saturating_sub(used));
        reply.statfs(room / block, free / block, free / block, 1 << 20, 1 << 20, BLOCK, 255, BLOCK);
    }
}
