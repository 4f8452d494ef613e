//! A disk in memory: what was written is pending until it is synced, and a power loss keeps some first part of what is pending.
//!
//! The last write that is kept may be torn, or pages of all of them are kept as the disk took them. Names of files are pending as well, until their folder is synced. Syncs take simulated
//! time; reads and writes can be made to fail. Not here: the state (`coffer::storage::MemStore`), snapshots, which lie in real files.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use coffer::raft::disk::{Depth, Disk, DiskFile, Open};

use crate::rng::Rng;

/// What a disk writes whole, in bytes.
const PAGE: u64 = 4096;
/// A log with less in it loses nothing, in bytes.
const LOSABLE: u64 = 2048;
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

/// How a host's end treats what lies on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The process ended: the system writes the rest.
    Process,
    /// The machine did: what was not synced may be lost.
    Power,
}

/// What goes wrong on a disk.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Time of a sync, in microseconds: from, to.
    pub sync_micros: (u64, u64),
    /// Every so often a sync takes a hundred times as long, out of a thousand.
    pub stall_permille: u64,
    /// The next write or sync fails.
    pub fails_next: bool,
    /// No bytes can be added.
    pub is_full: bool,
}

enum Change {
    Write(u64, Vec<u8>),
    Cut(u64),
}

#[derive(Default)]
struct Bytes {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

impl Change {
    fn carry_out(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, more) => {
                let at = usize::try_from(*at).expect("a file fits in memory");
                bytes.resize(bytes.len().max(at + more.len()), 0);
                bytes[at..at + more.len()].copy_from_slice(more);
            }
            Self::Cut(len) => bytes.truncate(usize::try_from(*len).expect("a file fits in memory")),
        }
    }

    /// What is left of it if power fails in its midst.
    fn torn(&self, rng: &mut Rng) -> Self {
        match self {
            Self::Write(at, more) => Self::Write(*at, more[..rng.index(more.len() + 1)].to_vec()),
            Self::Cut(len) => Self::Cut(*len),
        }
    }

    /// Carries out what of it a disk kept that takes pages in no order. A file may have become longer before its bytes are there.
    fn some_pages(&self, rng: &mut Rng, bytes: &mut Vec<u8>) {
        let Self::Write(at, more) = self else { return self.carry_out(bytes) };
        let mut from = 0;
        while from < more.len() {
            let place = *at + from as u64;
            let page = usize::try_from(PAGE - place % PAGE).expect("a page fits in memory").min(more.len() - from);
            if rng.permille(500) {
                Self::Write(place, more[from..from + page].to_vec()).carry_out(bytes);
            }
            from += page;
        }
    }
}

struct State {
    files: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    /// Names that are durable, and what they name.
    durable: BTreeMap<PathBuf, Arc<Mutex<Bytes>>>,
    faults: Faults,
    rng: Rng,
    syncs: u64,
    /// Whether a new file that is synced has its name, as on the file systems that are used; else its folder must be synced.
    names_files: bool,
}

/// The disk of one host. Cheap to clone: all clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

struct SimFile {
    path: PathBuf,
    bytes: Arc<Mutex<Bytes>>,
    disk: SimDisk,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimDisk")
    }
}

fn locked(bytes: &Mutex<Bytes>) -> MutexGuard<'_, Bytes> {
    bytes.lock().expect("no holder of this lock panics")
}

impl SimDisk {
    /// An empty disk.
    pub fn new(faults: Faults, mut rng: Rng) -> Self {
        let names_files = rng.permille(500);
        Self(Arc::new(Mutex::new(State { files: BTreeMap::new(), durable: BTreeMap::new(), faults, rng, syncs: 0, names_files })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no holder of this lock panics")
    }

    /// Changes what goes wrong.
    pub fn break_it(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.state().faults);
    }

    /// The host has ended.
    pub fn end(&self, loss: Loss) {
        let mut state = self.state();
        let State { files, durable, rng, .. } = &mut *state;
        if loss == Loss::Process {
            return;
        }
        // Some of the names that were not synced are there.
        let names: Vec<PathBuf> = files.keys().chain(durable.keys()).cloned().collect();
        let mut after = BTreeMap::new();
        for name in names {
            let (now, before) = (files.get(&name), durable.get(&name));
            let is_same = match (now, before) {
                (Some(now), Some(before)) => Arc::ptr_eq(now, before),
                _ => false,
            };
            let kept = if is_same || rng.permille(500) { now } else { before };
            if let Some(kept) = kept {
                after.insert(name, kept.clone());
            }
        }
        for bytes in after.values() {
            let mut bytes = locked(bytes);
            let Bytes { now, durable, pending } = &mut *bytes;
            if rng.permille(500) {
                pending.iter().for_each(|change| change.some_pages(rng, durable));
            } else {
                let kept = rng.index(pending.len() + 1);
                for change in &pending[..kept] {
                    change.carry_out(durable);
                }
                if let Some(next) = pending.get(kept).filter(|_| rng.permille(500)) {
                    next.torn(rng).carry_out(durable);
                }
            }
            pending.clear();
            now.clone_from(durable);
        }
        *files = after.clone();
        *durable = after;
    }

    /// A disk that lies: the newest file of the log below `folder` ends, though it was synced, before the place that the log's mark names.
    /// Says whether there is such a place.
    pub fn lose_end(&self, folder: &Path) -> bool {
        let state = self.state();
        let (log, mark) = (folder.join("log"), folder.join("acknowledged"));
        let newest = state.files.iter().rev().find(|(path, _)| path.parent() == Some(&log));
        let (Some((path, bytes)), Some(mark)) = (newest, state.files.get(&mark)) else { return false };
        let name = path.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let segment = u64::from_str_radix(&name, 16).unwrap_or(0);
        // Two copies of the place, as `raft::log_file` writes them: the segment's number, the byte in it, and a sum of both. One may be torn.
        let mark = locked(mark);
        let copy = |at: usize| {
            let (place, sum) = mark.now.get(at..at + 20)?.split_at(16);
            let number = |at: usize| place[at..at + 8].try_into().ok().map(u64::from_be_bytes);
            (crc32fast::hash(place).to_be_bytes() == *sum).then_some((number(0)?, number(8)?))
        };
        let marked = [0, 64].into_iter().filter_map(copy).max();
        let Some((_, at)) = marked.filter(|(of, at)| *of == segment && *at > LOSABLE) else { return false };
        let mut bytes = locked(bytes);
        let Bytes { now, durable, pending } = &mut *bytes;
        now.truncate(usize::try_from(at - LOSABLE / 2).expect("a file fits in memory"));
        durable.clone_from(now);
        pending.clear();
        true
    }

    /// A new disk.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.files.clear();
        state.durable.clear();
    }

    /// A write, or a sync, may fail.
    fn may(&self, grows: bool) -> io::Result<()> {
        let mut state = self.state();
        if std::mem::take(&mut state.faults.fails_next) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if grows && state.faults.is_full {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    }

    fn synced(&self, path: &Path, bytes: &Arc<Mutex<Bytes>>) {
        let mut state = self.state();
        state.syncs += 1;
        if state.names_files && state.files.get(path).is_some_and(|named| Arc::ptr_eq(named, bytes)) {
            state.durable.insert(path.to_owned(), bytes.clone());
        }
    }
}

fn missing() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl Disk for SimDisk {
    fn make_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let within = state.files.keys().filter(|path| path.parent() == Some(folder));
        Ok(within.filter_map(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned()).collect())
    }
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        Ok(locked(self.state().files.get(file).ok_or_else(missing)?).now.clone())
    }
    fn open(&self, file: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        let found = state.files.get(file).cloned();
        let bytes = match (found, how) {
            (Some(_), Open::New) => return Err(io::Error::from(io::ErrorKind::AlreadyExists)),
            (Some(found), _) => found,
            (None, Open::Read | Open::Write) => return Err(missing()),
            (None, Open::New | Open::Make) => state.files.entry(file.to_owned()).or_default().clone(),
        };
        Ok(Arc::new(SimFile { path: file.to_owned(), bytes, disk: self.clone() }))
    }
    fn remove(&self, file: &Path) -> io::Result<()> {
        self.state().files.remove(file).map(|_| ()).ok_or_else(missing)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.may(false)?;
        let mut state = self.state();
        let State { files, durable, syncs, .. } = &mut *state;
        *syncs += 1;
        durable.retain(|path, _| path.parent() != Some(folder));
        durable.extend(files.iter().filter(|(path, _)| path.parent() == Some(folder)).map(|(path, bytes)| (path.clone(), bytes.clone())));
        Ok(())
    }
    fn simulated_sync(&self) -> Option<Duration> {
        let mut state = self.state();
        let (low, high) = state.faults.sync_micros;
        let stall = state.faults.stall_permille;
        let micros = state.rng.between(low, high);
        Some(Duration::from_micros(if state.rng.permille(stall) { micros * 100 } else { micros }))
    }
}

impl SimFile {
    fn change(&self, change: Change) {
        let mut bytes = locked(&self.bytes);
        change.carry_out(&mut bytes.now);
        bytes.pending.push(change);
    }
}

impl DiskFile for SimFile {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        let grows = at + bytes.len() as u64 > locked(&self.bytes).now.len() as u64;
        self.disk.may(grows)?;
        self.change(Change::Write(at, bytes.to_vec()));
        Ok(())
    }
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        let bytes = locked(&self.bytes);
        let at = usize::try_from(at).expect("a file fits in memory");
        let found = bytes.now.get(at..at + out.len()).ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        out.copy_from_slice(found);
        Ok(())
    }
    fn cut(&self, len: u64) -> io::Result<()> {
        self.disk.may(false)?;
        self.change(Change::Cut(len));
        Ok(())
    }
    fn sync(&self, _: Depth) -> io::Result<()> {
        self.disk.may(false)?;
        {
            let mut bytes = locked(&self.bytes);
            let Bytes { durable, pending, .. } = &mut *bytes;
            pending.drain(..).for_each(|change| change.carry_out(durable));
        }
        self.disk.synced(&self.path, &self.bytes);
        Ok(())
    }
}
