//! Generates Rust from `proto/`, without a protoc: `protox` is a compiler in pure Rust.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["proto/machine.proto", "proto/raft.proto", "proto/cluster.proto", "proto/replication.proto"];
    let present: Vec<&str> = files.into_iter().filter(|file| Path::new(file).exists()).collect();
    let descriptors = protox::compile(present, ["proto"])?;
    // Made anew, not overwritten: target folders that were copied by hard links go on sharing what is overwritten.
    for generated in fs::read_dir(env::var("OUT_DIR")?)? {
        fs::remove_file(generated?.path())?;
    }
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
