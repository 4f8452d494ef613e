//! Generates Rust from `proto/`, without a protoc: `protox` is a compiler in pure Rust.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = ["proto/machine.proto", "proto/raft.proto", "proto/cluster.proto", "proto/replication.proto"];
    let present: Vec<&str> = files.into_iter().filter(|file| std::path::Path::new(file).exists()).collect();
    let descriptors = protox::compile(present, ["proto"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
