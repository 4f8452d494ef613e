//! How RocksDB is set up: every setting that safety or memory rests on, even where it equals the default.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::path::PathBuf;

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, LogLevel, Options};

use super::direct;

/// Where the state lies, and how much memory it may take.
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// A folder of its own, made if missing.
    pub folder: PathBuf,
    /// Blocks of rows kept in memory, in bytes.
    pub cache_bytes: usize,
    /// Rows kept in memory as they were last written, in bytes.
    pub recent_bytes: usize,
    /// Rows written but not yet in a file, in bytes. A crash replays at most about this much from the Raft log.
    pub unflushed_bytes_max: usize,
    /// Threads that write and merge files.
    pub background_jobs: i32,
}

impl RocksOptions {
    /// What a server uses.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            cache_bytes: 256 * 1024 * 1024,
            recent_bytes: 32 * 1024 * 1024,
            unflushed_bytes_max: 64 * 1024 * 1024,
            background_jobs: 2,
        }
    }
}

/// Settings of the whole database.
pub(super) fn database(options: &RocksOptions) -> Options {
    let mut rocks = Options::default();
    rocks.create_if_missing(true);
    rocks.create_missing_column_families(true);
    // Without its own log, column families flushed one by one would stand at different moments after a crash.
    rocks.set_atomic_flush(true);
    rocks.set_paranoid_checks(true);
    rocks.set_db_write_buffer_size(options.unflushed_bytes_max);
    rocks.set_max_background_jobs(options.background_jobs);
    rocks.set_bytes_per_sync(1024 * 1024);
    rocks.set_use_direct_io_for_flush_and_compaction(direct::is_possible(&options.folder));
    // One writer at a time: without locks in the memtables, and quick where keys only grow (records, changes of the tree).
    rocks.set_allow_concurrent_memtable_write(false);
    // All files stay open: an old reader goes on reading a file whose name is gone.
    rocks.set_max_open_files(-1);
    rocks.set_keep_log_file_num(4);
    rocks.set_log_level(LogLevel::Warn);
    rocks
}

/// Bytes that this node gathers more than others before it writes a file. All nodes of a cluster get the same writes, and would write
/// their files in the same moment; so a majority goes on meanwhile.
pub(super) fn stagger(options: &RocksOptions) -> usize {
    let random = RandomState::new().build_hasher().finish();
    usize::try_from(random).unwrap_or_default() % (options.unflushed_bytes_max / 8).max(1)
}

/// Settings of one column family. What is gathered before it is a file is small, so that writing it is a short burst: with four times as
/// much, requests waited up to 0.2 s for it on two cores.
pub(super) fn family(options: &RocksOptions, cache: &Cache, stagger: usize) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    // Most reads of a key that is not there (a new path, a dead token) are answered without reading a file.
    blocks.set_bloom_filter(10.0, false);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_block_size(16 * 1024);
    let mut rocks = Options::default();
    rocks.set_block_based_table_factory(&blocks);
    // Ciphertext does not compress.
    rocks.set_compression_type(DBCompressionType::None);
    rocks.set_level_compaction_dynamic_level_bytes(true);
    rocks.set_write_buffer_size(options.unflushed_bytes_max / 4 + stagger);
    rocks.set_max_write_buffer_number(4);
    // The same for what is not in a file yet.
    rocks.set_memtable_prefix_bloom_ratio(0.05);
    rocks.set_memtable_whole_key_filtering(true);
    rocks
}
