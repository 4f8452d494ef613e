//! What a checker says: true, false, or not known, with the lines that show it.

use std::fmt;

use crate::core::Op;

/// Three-valued: what cannot be decided is not good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Valid {
    /// The property holds in this history.
    True,
    /// The history shows that it does not.
    False,
    /// The history does not tell, or the search was given up.
    Unknown,
}

impl Valid {
    /// As printed.
    pub fn name(self) -> &'static str {
        match self {
            Valid::True => "true",
            Valid::False => "false",
            Valid::Unknown => "unknown",
        }
    }
    /// Of both: a counterexample outweighs ignorance, ignorance outweighs good news.
    #[must_use]
    pub fn and(self, other: Valid) -> Valid {
        match (self, other) {
            (Valid::False, _) | (_, Valid::False) => Valid::False,
            (Valid::Unknown, _) | (_, Valid::Unknown) => Valid::Unknown,
            (Valid::True, Valid::True) => Valid::True,
        }
    }
}

/// What one checker says of a history, and what those it asked said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Which property, of which part: `register`, `register "k3"`.
    pub name: String,
    /// The decision, children included.
    pub valid: Valid,
    /// One or two sentences for whoever reads the report.
    pub text: String,
    /// The lines that show it, few enough to be read.
    pub witness: Vec<Op>,
    /// Parts that were decided separately.
    pub children: Vec<Verdict>,
}

impl Verdict {
    /// The property holds.
    pub fn valid(name: impl Into<String>, text: impl Into<String>) -> Verdict {
        Verdict::new(name, Valid::True, text)
    }
    /// The property is broken, as the witness shows.
    pub fn invalid(name: impl Into<String>, text: impl Into<String>, witness: Vec<Op>) -> Verdict {
        Verdict { witness, ..Verdict::new(name, Valid::False, text) }
    }
    /// It could not be decided.
    pub fn unknown(name: impl Into<String>, text: impl Into<String>) -> Verdict {
        Verdict::new(name, Valid::Unknown, text)
    }
    fn new(name: impl Into<String>, valid: Valid, text: impl Into<String>) -> Verdict {
        Verdict { name: name.into(), valid, text: text.into(), witness: Vec::new(), children: Vec::new() }
    }
    /// All of these together. Nothing to check is not good news: without children it is unknown.
    pub fn all(name: impl Into<String>, children: Vec<Verdict>) -> Verdict {
        let valid = children.iter().map(|child| child.valid).reduce(Valid::and).unwrap_or(Valid::Unknown);
        let bad = children.iter().filter(|child| child.valid != Valid::True).count();
        let text = match (children.len(), bad) {
            (0, _) => "nothing was checked".to_owned(),
            (count, 0) => format!("{count} of {count} hold"),
            (count, bad) => format!("{bad} of {count} do not hold"),
        };
        Verdict { children, ..Verdict::new(name, valid, text) }
    }
    /// Is it proved to hold? Unknown is not.
    pub fn is_valid(&self) -> bool {
        self.valid == Valid::True
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        let indent = "  ".repeat(depth);
        writeln!(f, "{indent}{}  {}: {}", self.valid.name(), self.name, self.text)?;
        for op in &self.witness {
            write!(
                f,
                "{indent}    {:>6} {:>12.6}s  {:<4} {:<6} {} {}",
                op.index,
                op.time as f64 / 1e9,
                op.process,
                op.kind.name(),
                op.f,
                op.value
            )?;
            for (name, text) in [("node", &op.node), ("cluster", &op.cluster), ("error", &op.error)] {
                if let Some(text) = text {
                    write!(f, "  {name}={text}")?;
                }
            }
            writeln!(f)?;
        }
        self.children.iter().try_for_each(|child| child.write(f, depth + 1))
    }
}

/// A tree, one verdict a line, witnesses below.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counterexample_outweighs_ignorance_and_ignorance_good_news() {
        let (yes, no, open) = (Verdict::valid("a", ""), Verdict::invalid("b", "", Vec::new()), Verdict::unknown("c", ""));
        assert_eq!(Verdict::all("t", vec![yes.clone(), yes.clone()]).valid, Valid::True);
        assert_eq!(Verdict::all("t", vec![yes.clone(), open.clone()]).valid, Valid::Unknown);
        assert_eq!(Verdict::all("t", vec![open, no, yes]).valid, Valid::False);
        assert_eq!(Verdict::all("t", Vec::new()).valid, Valid::Unknown);
    }
}
