//! The admin socket of a test build of the product: a line in, a line out.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::node::Node;

/// Where failpoints are listed, in the product's source.
const POINTS: &str = include_str!("../../../src/chaos/points.rs");

/// Names of all failpoints that a node can reach, as the product lists them.
pub fn failpoints() -> Vec<&'static str> {
    let lines = POINTS.lines().map(str::trim).filter(|line| line.starts_with("failing(\"") || line.starts_with("point("));
    lines.filter_map(|line| line.split('"').nth(1)).filter(|name| !name.starts_with("test.")).collect()
}

/// Says a line to a node: its answer.
///
/// # Errors
/// If the node was not built for tests, or refuses.
pub fn tell(node: &Node, line: &str) -> Result<String, String> {
    let path = node.data.join("chaos.sock");
    let named = |error: std::io::Error| format!("{}: {error} (a build with the feature `chaos` has it)", path.display());
    let mut stream = UnixStream::connect(&path).map_err(named)?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(named)?;
    stream.write_all(format!("{line}\n").as_bytes()).map_err(named)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).map_err(named)?;
    match answer.trim() {
        refused if refused.starts_with("error: ") => Err(format!("{line}: {refused}")),
        answer => Ok(answer.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_products_failpoints_are_known() {
        let points = failpoints();
        assert!(points.len() > 30 && points.contains(&"log-sync.before") && points.contains(&"generation-write.after"), "{points:?}");
    }
}
