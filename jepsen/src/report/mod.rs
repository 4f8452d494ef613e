//! One page that shows a run: verdicts, latencies, rates, faults, and where every node stood.
//!
//! `load` reads a run's folder, each other file draws one part from it, `page` puts them together. The page is one file that needs
//! nothing else: SVG, a style sheet and a script of its own. All that comes from a history goes through `svg::escape`.
//!
//! Not here: how a run is judged (`check`); recording (`core::recorder`), and asking nodes where they stand, which whoever runs them does (`samples.jsonl`).

mod bands;
mod latency;
mod load;
mod nodes;
mod page;
mod rate;
mod roots;
mod stale;
mod svg;
mod timeline;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};

pub use latency::beside_faults;
pub use load::Run;
pub use page::render;
pub use stale::in_words as staleness;

/// In a run's folder.
pub const FILE: &str = "report.html";

/// Writes the page of a run into its folder: where it is.
///
/// # Errors
/// If the folder cannot be written to.
pub fn write(run: &Run, folder: &Path) -> Result<PathBuf, String> {
    let page = folder.join(FILE);
    fs::write(&page, render(run)).map_err(|error| format!("{}: {error}", page.display()))?;
    Ok(page)
}
