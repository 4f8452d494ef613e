//! Parses argv: `server` goes to `server`, the rest to `cli`; nothing else.

fn main() {}
