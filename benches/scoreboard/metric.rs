//! What a metric is.

use crate::result::Measured;
use crate::stage::Stage;

/// One row of the scoreboard: it starts what it needs, measures in interleaved rounds, and keeps every raw number.
pub trait Metric {
    /// Its number in the design's list, which readers know it by.
    fn number(&self) -> u8;
    /// Its name on the command line: `kv-write`.
    fn name(&self) -> &'static str;
    /// What it says, for people.
    fn title(&self) -> &'static str;
    /// Measures. What could not be measured is said in the result; an error is for what should not happen.
    ///
    /// # Errors
    /// If the instrument itself failed: a cluster did not start, a load generator broke.
    fn run(&self, stage: &Stage) -> anyhow::Result<Measured>;
}
