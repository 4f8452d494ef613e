//! Why the store could not be read or written.

/// An error of the store. Never the client's fault; the text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// RocksDB reports it.
    #[error("{action}")]
    Rocks {
        /// What was attempted.
        action: &'static str,
        /// RocksDB's own words.
        #[source]
        source: rocksdb::Error,
    },
    /// The file system reports it.
    #[error("{action}")]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The system's own words.
        #[source]
        source: std::io::Error,
    },
    /// Bytes are not what was written.
    #[error("stored bytes are not what was written: {0}")]
    Corrupt(&'static str),
}

impl StorageError {
    /// Names what RocksDB was asked to do: for `map_err`.
    pub(super) fn rocks(action: &'static str) -> impl FnOnce(rocksdb::Error) -> Self {
        move |source| Self::Rocks { action, source }
    }
    /// Names what the file system was asked to do: for `map_err`.
    pub(super) fn io(action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}
