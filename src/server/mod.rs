//! Configuration, wiring, start and stop: the only place that knows everyone. It decides nothing about requests.

pub mod config;
