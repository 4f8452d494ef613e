//! Metrics of the design that cannot be measured yet, so that none is left out in silence.

use crate::metric::Metric;
use crate::result::Measured;
use crate::stage::Stage;

/// One of them.
pub struct Absent {
    pub number: u8,
    pub name: &'static str,
    pub title: &'static str,
    pub why: &'static str,
}

/// All of them.
pub const ALL: [Absent; 4] = [
    Absent { number: 6, name: "standby-read", title: "linearizable reads, and reads at standbys", why: "standbys do not answer reads yet" },
    Absent { number: 8, name: "transit", title: "transit encryption", why: "the transit engine is not built yet" },
    Absent { number: 10, name: "tls", title: "TLS handshakes", why: "no metric yet" },
    Absent { number: 15, name: "anti-entropy", title: "comparing two clusters", why: "no metric yet" },
];

impl Metric for Absent {
    fn number(&self) -> u8 {
        self.number
    }
    fn name(&self) -> &'static str {
        self.name
    }
    fn title(&self) -> &'static str {
        self.title
    }
    fn run(&self, _: &Stage) -> anyhow::Result<Measured> {
        Ok(Measured { missing: Some(self.why.into()), ..Measured::default() })
    }
}
