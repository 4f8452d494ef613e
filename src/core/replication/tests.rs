//! Replication as operators see it.
