//! The world a test runs in: processes, network, disks, clocks, and what this machine can do to them.
