//! What the log promises: nothing acknowledged is lost unnoticed.

use std::path::PathBuf;
use std::sync::Condvar;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, RaftLogReader};

use super::super::disk::{DiskFile, SystemDisk};
use super::super::log_file::FRAME_HEAD;
use super::super::types::{Payload, log_id as id};
use super::*;

fn reopen(folder: &Path, applied: Option<LogId>) -> Result<LogStore, StartError> {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    open(&disk, folder, applied)
}

fn entry(term: u64, index: u64) -> Entry {
    Entry { log_id: id(term, index), payload: EntryPayload::Normal(Payload(format!("{term}/{index}").into())) }
}

async fn append(store: &mut LogStore, entries: impl IntoIterator<Item = Entry> + Send) {
    let entries: Vec<Entry> = entries.into_iter().collect();
    let (tell, told) = Types::oneshot();
    store.append(entries, IOFlushed::signal(tell)).await.unwrap();
    told.await.unwrap().unwrap();
}

async fn indexes(store: &mut LogStore) -> Vec<(u64, u64)> {
    let entries = store.get_log_reader().await.try_get_log_entries(..).await.unwrap();
    entries.iter().map(|entry| (*entry.log_id.leader_id, entry.log_id.index)).collect()
}

#[tokio::test]
async fn all_that_was_written_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    store.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    append(&mut store, (0..10).map(|index| entry(1, index))).await;
    store.truncate_after(Some(id(1, 6))).await.unwrap();
    append(&mut store, (7..9).map(|index| entry(2, index))).await;
    store.purge(id(1, 3)).await.unwrap();
    store.save_committed(Some(id(1, 5))).await.unwrap();
    store.save_vote(&Vote::new(3, 1)).await.unwrap();
    let wanted = vec![(1, 4), (1, 5), (1, 6), (2, 7), (2, 8)];
    assert_eq!(indexes(&mut store).await, wanted);
    store.control().stop().await;

    let mut store = reopen(folder.path(), Some(id(1, 5))).unwrap();
    assert_eq!(indexes(&mut store).await, wanted);
    let mut reader = store.get_log_reader().await;
    assert_eq!(reader.read_vote().await.unwrap(), Some(Vote::new(3, 1)));
    assert_eq!(store.read_committed().await.unwrap(), Some(id(1, 5)));
    let state = store.get_log_state().await.unwrap();
    assert_eq!((state.last_purged_log_id, state.last_log_id), (Some(id(1, 3)), Some(id(2, 8))));
    assert!(store.control().holds(&id(2, 8)) && !store.control().holds(&id(1, 8)) && !store.control().holds(&id(1, 3)));
    // An entry read from its file is the one that was written.
    assert_eq!(reader.try_get_log_entries(5..6).await.unwrap(), vec![entry(1, 5)]);
    assert_eq!(store.control().purge_point(2, u64::MAX), Some(6));
    assert_eq!(store.control().purge_point(100, u64::MAX), None);
}

#[tokio::test]
async fn a_torn_tail_is_cut_off_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    append(&mut store, (0..3).map(|index| entry(1, index))).await;
    store.control().stop().await;
    let path = segment_path(&folder.path().join("log"), 1);
    let whole = std::fs::read(&path).unwrap();
    for torn in [&[0_u8][..], &[0, 0, 0, 40, 1, 2, 3, 4, 5][..], &[0xff; 64][..], &[0; 100][..]] {
        std::fs::write(&path, [&whole[..], torn].concat()).unwrap();
        let mut store = reopen(folder.path(), None).unwrap();
        assert_eq!(indexes(&mut store).await.len(), 3, "{torn:?}");
        store.control().stop().await;
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    let mut store = reopen(folder.path(), None).unwrap();
    append(&mut store, [entry(1, 3)]).await;
    store.control().stop().await;
    assert_eq!(indexes(&mut reopen(folder.path(), None).unwrap()).await.len(), 4);
}

#[tokio::test]
async fn a_segment_has_room_for_what_comes_and_no_append_makes_it_longer() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    append(&mut store, [entry(1, 0)]).await;
    let path = segment_path(&folder.path().join("log"), 1);
    let len = || std::fs::metadata(&path).unwrap().len();
    let (first, end) = (len(), store.end.at);
    assert!(first > 50 * end);
    append(&mut store, (1..20).map(|index| entry(1, index))).await;
    assert_eq!(len(), first);
    // Larger than the room that is left.
    append(&mut store, [Entry { log_id: id(1, 20), payload: EntryPayload::Normal(Payload(vec![7; 300_000].into())) }]).await;
    assert!(len() > store.end.at);
    let end = store.end.at;
    // The process dies, so the room stays; and it is no sign of damage, nor in the way.
    store.control().pull_the_plug();
    let mut store = reopen(folder.path(), None).unwrap();
    assert_eq!((indexes(&mut store).await.len(), store.end.at), (21, end));
    append(&mut store, [entry(1, 21)]).await;
    store.control().stop().await;
    assert_eq!(len(), store.end.at, "the room is given back");
    assert_eq!(indexes(&mut reopen(folder.path(), None).unwrap()).await.len(), 22);
}

#[tokio::test]
async fn a_log_that_ends_before_the_mark_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    append(&mut store, (0..3).map(|index| entry(1, index))).await;
    // A lost vote is as bad as a lost entry.
    store.save_vote(&Vote::new(5, 1)).await.unwrap();
    store.control().stop().await;
    let path = segment_path(&folder.path().join("log"), 1);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(reopen(folder.path(), None), Err(StartError::LogTooShort { found: 2, .. })));
}

#[tokio::test]
async fn a_log_that_is_gone_while_the_state_is_there_does_not_open() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(reopen(folder.path(), Some(id(1, 7))), Err(StartError::LogTooShort { applied: 7, .. })));
}

#[tokio::test]
async fn what_was_not_synced_when_the_machine_died_was_not_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    append(&mut store, [entry(1, 0)]).await;
    store.control().pull_the_plug();
    let (tell, told) = Types::oneshot();
    store.append([entry(1, 1)], IOFlushed::signal(tell)).await.unwrap();
    assert!(told.await.is_err());
    assert_eq!(indexes(&mut reopen(folder.path(), None).unwrap()).await, vec![(1, 0)]);
}

#[tokio::test]
async fn full_segments_are_closed_and_removed_once_purged() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    store.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    let big = |index| Entry { log_id: id(1, index), payload: EntryPayload::Normal(Payload(vec![7; 2 * 1024 * 1024].into())) };
    for index in 0..80 {
        append(&mut store, [big(index)]).await;
    }
    let count = || std::fs::read_dir(folder.path().join("log")).unwrap().count();
    assert_eq!(count(), 3);
    // Most are no longer in memory.
    let mut reader = store.get_log_reader().await;
    assert_eq!(reader.try_get_log_entries(3..4).await.unwrap(), vec![big(3)]);
    assert_eq!(reader.limited_get_log_entries(0, 80).await.unwrap().len(), 1);
    store.purge(id(1, 70)).await.unwrap();
    store.control().stop().await;
    assert_eq!(count(), 1);
    let mut store = reopen(folder.path(), None).unwrap();
    assert_eq!(indexes(&mut store).await.first(), Some(&(1, 71)));
    let vote = store.get_log_reader().await.read_vote().await.unwrap();
    assert_eq!(vote, Some(Vote::new_committed(1, 1)), "it was written in a segment that is gone");
    store.save_vote(&Vote::new_committed(2, 1)).await.unwrap();
    store.control().stop().await;
    let mut store = reopen(folder.path(), None).unwrap();
    assert_eq!(store.get_log_reader().await.read_vote().await.unwrap(), Some(Vote::new_committed(2, 1)));
}

/// A log of three segments, and the paths of all.
async fn three_segments() -> (tempfile::TempDir, LogStore, [PathBuf; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    for index in 0..10 {
        let payload = EntryPayload::Normal(Payload(vec![7; 16 * 1024 * 1024].into()));
        append(&mut store, [Entry { log_id: id(1, index), payload }]).await;
    }
    let paths = [1, 2, 3].map(|segment| segment_path(&folder.path().join(LOG), segment));
    (folder, store, paths)
}

#[tokio::test]
async fn a_purged_segment_that_a_loss_of_power_brought_back_is_removed() {
    let (folder, mut store, [first, second, _]) = three_segments().await;
    let copy = folder.path().join("copy");
    std::fs::copy(&first, &copy).unwrap();
    store.purge(id(1, 8)).await.unwrap();
    store.control().stop().await;
    assert!(!first.exists() && !second.exists());
    std::fs::rename(copy, &first).unwrap();
    let mut store = reopen(folder.path(), None).unwrap();
    assert_eq!(indexes(&mut store).await, vec![(1, 9)]);
    assert!(!first.exists());
}

#[tokio::test]
async fn a_log_that_lacks_a_segment_that_was_not_purged_does_not_open() {
    let (folder, store, [first, second, third]) = three_segments().await;
    store.control().stop().await;
    std::fs::remove_file(second).unwrap();
    let is_refused = || matches!(reopen(folder.path(), None), Err(StartError::Io { .. }));
    assert!(is_refused());
    // Nor if nothing follows but a head.
    let whole = std::fs::read(&third).unwrap();
    let head = FRAME_HEAD + u32::from_be_bytes(whole[..4].try_into().unwrap()) as usize;
    std::fs::write(&third, &whole[..head]).unwrap();
    std::fs::remove_file(folder.path().join("acknowledged")).unwrap();
    assert!(is_refused());
    assert!(first.exists(), "nothing is removed from a log that is damaged");
}

/// Lets the syncs of a log through one by one, and remembers them.
#[derive(Clone, Debug, Default)]
struct Gate {
    /// Syncs of segments that began.
    begun: Arc<AtomicU64>,
    /// Syncs of any file that are over.
    calls: Arc<AtomicU64>,
    /// Syncs of segments wait until this many may begin.
    admitted: Arc<(Mutex<u64>, Condvar)>,
}

/// A file behind the gate.
struct Gated {
    file: Arc<dyn DiskFile>,
    /// The mark has its own syncs, by time.
    is_mark: bool,
    gate: Gate,
}

impl Gate {
    fn admit(&self, up_to: u64) {
        *self.admitted.0.lock().unwrap() = up_to;
        self.admitted.1.notify_all();
    }
}

impl DiskFile for Gated {
    fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_at(bytes, at)
    }
    fn read_at(&self, out: &mut [u8], at: u64) -> io::Result<()> {
        self.file.read_at(out, at)
    }
    fn cut(&self, len: u64) -> io::Result<()> {
        self.file.cut(len)
    }
    fn sync(&self, depth: Depth) -> io::Result<()> {
        if depth == Depth::Bytes && !self.is_mark {
            let nth = self.gate.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let (admitted, changed) = &*self.gate.admitted;
            drop(changed.wait_while(admitted.lock().unwrap(), |admitted| *admitted < nth).unwrap());
        }
        self.file.sync(depth)?;
        self.gate.calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

impl Disk for Gate {
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.make_folder(folder)
    }
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        SystemDisk.names(folder)
    }
    fn read(&self, file: &Path) -> io::Result<Vec<u8>> {
        SystemDisk.read(file)
    }
    fn open(&self, file: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let is_mark = file.ends_with("acknowledged");
        Ok(Arc::new(Gated { file: SystemDisk.open(file, how)?, is_mark, gate: self.clone() }))
    }
    fn remove(&self, file: &Path) -> io::Result<()> {
        SystemDisk.remove(file)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        SystemDisk.sync_folder(folder)?;
        self.calls.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn each_append_is_one_sync_and_all_that_wait_for_it_share_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    let disk: Arc<dyn Disk> = Arc::new(gate.clone());
    let mut store = open(&disk, folder.path(), None).unwrap();
    let counts = store.control().counts;
    gate.admit(5);
    for index in 0..5 {
        append(&mut store, [entry(1, index)]).await;
        assert_eq!(gate.begun.load(Ordering::SeqCst), index + 1);
    }
    // The sixth is held up; what comes meanwhile waits for it, and then goes together.
    let mut waiting = Vec::new();
    for index in 5..30 {
        let (tell, told) = Types::oneshot();
        store.append([entry(1, index)], IOFlushed::signal(tell)).await.unwrap();
        waiting.push(told);
        while gate.begun.load(Ordering::SeqCst) < 6 {
            tokio::task::yield_now().await;
        }
    }
    gate.admit(7);
    for told in waiting {
        told.await.unwrap().unwrap();
    }
    assert_eq!(gate.begun.load(Ordering::SeqCst), 7);
    store.control().stop().await;
    assert_eq!(counts.syncs.load(Ordering::SeqCst), gate.calls.load(Ordering::SeqCst));
    assert_eq!(counts.entries.load(Ordering::SeqCst), 30);
}

#[tokio::test]
async fn whatever_is_acknowledged_was_synced_first() {
    let folder = tempfile::tempdir().unwrap();
    let gate = Gate::default();
    gate.admit(u64::MAX);
    let disk: Arc<dyn Disk> = Arc::new(gate.clone());
    let mut store = open(&disk, folder.path(), None).unwrap();
    let synced = |times: u64| assert_eq!(gate.begun.load(Ordering::SeqCst), times);
    store.save_vote(&Vote::new_committed(1, 1)).await.unwrap();
    synced(1);
    append(&mut store, [Entry { log_id: id(1, 0), payload: EntryPayload::Blank }]).await;
    synced(2);
    append(&mut store, [entry(1, 1)]).await;
    synced(3);
    store.control().stop().await;
}
