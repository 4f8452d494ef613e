//! `jepsen`: parses the command line and leaves the rest to `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    jepsen::cli::main()
}
