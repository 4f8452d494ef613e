//! What clients do: one file per workload.
