//! Configuration, wiring, start and stop: the only place that knows everyone. It decides nothing about requests.

mod args;
mod banner;
pub mod config;
mod data_folder;
mod hardening;
mod join_client;
mod signals;

pub use join_client::HttpJoinClient;
