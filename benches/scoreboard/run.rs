//! One run: choose metrics, measure them one after the other, print the table, keep the numbers.

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::args::Args;
use crate::machine::{self, Machine};
use crate::metric::Metric;
use crate::result::{Measured, Scoreboard};
use crate::stage::Stage;
use crate::{cluster, metrics, page, table};

/// Numbers of a build with debug assertions mean nothing.
const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };

/// # Errors
/// If an argument names nothing, or results cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let all = metrics::all();
    if args.list {
        for metric in &all {
            println!("{:>3}  {:<16} {}", metric.number(), metric.name(), metric.title());
        }
        return Ok(());
    }
    let chosen = choose(&all, &args.only)?;
    let began = jiff::Timestamp::now();
    let parent = args.scratch.as_deref().unwrap_or(Path::new(env!("CARGO_TARGET_TMPDIR")));
    fs::create_dir_all(parent)?;
    let scratch = tempfile::Builder::new().prefix("scoreboard-").tempdir_in(parent)?;
    end_with_signals(scratch.path());
    let stage = Stage::new(args, scratch.path());
    let mut board = Scoreboard {
        format: 1,
        began: began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        commit: machine::commit(),
        profile: PROFILE,
        machine: Machine::here(scratch.path()),
        settings: stage.settings.clone(),
        systems: stage.versions(),
        metrics: Vec::new(),
    };
    warn(&stage);
    print!("{}", table::heading(&board));
    let name = format!("{}-{}", began.strftime("%Y-%m-%dT%H%M"), board.commit);
    for metric in chosen {
        stage.bar.set_prefix(metric.name());
        let measured =
            metric.run(&stage).unwrap_or_else(|error| Measured { missing: Some(format!("failed: {error:#}")), ..Measured::default() });
        board.metrics.push(Measured { number: metric.number(), name: metric.name().into(), title: metric.title().into(), ..measured });
        // At once: who interrupts a long run keeps what it has measured.
        keep(&board, &args.out, &name)?;
        stage.bar.suspend(|| print!("{}", board.metrics.last().map(table::section).unwrap_or_default()));
    }
    stage.bar.finish_and_clear();
    warn(&stage);
    println!("\nraw numbers: {0}.json\npage: {0}.html", args.out.join(name).display());
    Ok(())
}

fn choose<'m>(all: &'m [Box<dyn Metric>], only: &[String]) -> anyhow::Result<Vec<&'m dyn Metric>> {
    let is_named = |metric: &dyn Metric, name: &String| metric.name() == name || metric.number().to_string() == *name;
    for name in only {
        let is_known = all.iter().any(|metric| is_named(metric.as_ref(), name));
        anyhow::ensure!(is_known, "no metric is called {name:?}; --list names them");
    }
    let is_chosen = |metric: &&dyn Metric| only.is_empty() || only.iter().any(|name| is_named(*metric, name));
    Ok(all.iter().map(AsRef::as_ref).filter(is_chosen).collect())
}

fn warn(stage: &Stage) {
    if PROFILE == "debug" {
        eprintln!("WARNING: built with debug assertions; these numbers mean nothing. `make bench` builds for release.");
    }
    if stage.device.is_none() {
        eprintln!("WARNING: {} is on no block device, so syncs may cost nothing; --scratch names another folder.", stage.scratch.display());
    }
}

fn keep(board: &Scoreboard, folder: &Path, name: &str) -> anyhow::Result<()> {
    // Cargo runs a bench in the package's folder.
    fs::create_dir_all(folder)?;
    let path = folder.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_string(board)?).with_context(|| path.display().to_string())?;
    let shown = folder.join(format!("{name}.html"));
    fs::write(&shown, page::render(board)).with_context(|| shown.display().to_string())?;
    Ok(())
}

/// Ctrl-C and SIGTERM end the servers and remove their data.
fn end_with_signals(scratch: &Path) {
    let scratch = scratch.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let Ok(runtime) = runtime else { return };
        runtime.block_on(async {
            let Ok(mut term) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else { return };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = term.recv() => {}
            }
            cluster::server::end_all();
            let _ = fs::remove_dir_all(&scratch);
            std::process::exit(130);
        });
    });
}
