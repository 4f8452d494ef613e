//! Which clusters a run has, and how many nodes each: `3`, or `P3+S3`.

use std::fmt;
use std::str::FromStr;

/// The most nodes a topology may have: two cores run no more.
const NODES_MAX: usize = 9;

/// What a cluster is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Alone, without replication.
    Alone,
    /// Ships what is shared.
    Primary,
    /// Follows the primary.
    Secondary,
}

/// The clusters of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Name, part and number of nodes.
    pub clusters: Vec<(String, Part, usize)>,
}

impl FromStr for Topology {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no topology: use a number of nodes, or P and S with numbers, as P3+S3");
        let mut clusters = Vec::new();
        for (n, word) in text.split('+').enumerate() {
            let (part, letter, size) = match (word.chars().next(), n) {
                (Some('P'), 0) => (Part::Primary, "p", &word[1..]),
                (Some('S'), 1..) => (Part::Secondary, "s", &word[1..]),
                (_, 0) => (Part::Alone, "a", word),
                _ => return Err(wrong()),
            };
            let size: usize = size.parse().map_err(|_| wrong())?;
            let name = if n > 1 { format!("{letter}{n}") } else { letter.to_owned() };
            clusters.push((name, part, size));
        }
        let is_pair = clusters[0].1 == Part::Primary;
        let total: usize = clusters.iter().map(|(_, _, size)| size).sum();
        if clusters.iter().any(|(_, _, size)| *size == 0) || total > NODES_MAX || is_pair != (clusters.len() > 1) {
            return Err(wrong());
        }
        Ok(Self { clusters })
    }
}

impl Topology {
    /// Whether there is replication to test.
    pub fn is_replicated(&self) -> bool {
        self.clusters.len() > 1
    }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.clusters.iter().map(|(_, part, size)| match part {
            Part::Alone => size.to_string(),
            Part::Primary => format!("P{size}"),
            Part::Secondary => format!("S{size}"),
        });
        f.write_str(&words.collect::<Vec<_>>().join("+"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topologies_are_read_and_written_alike() {
        for text in ["1", "3", "5", "P3+S3", "P1+S1+S3"] {
            assert_eq!(text.parse::<Topology>().unwrap().to_string(), text);
        }
        for text in ["", "0", "P3", "S3", "3+3", "P3+P3", "P9+S9", "x"] {
            assert!(text.parse::<Topology>().is_err(), "{text}");
        }
    }
}
