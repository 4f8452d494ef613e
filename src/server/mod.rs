//! Configuration, wiring, start and stop: the only place that knows everyone. It decides nothing about requests.

mod addresses;
mod args;
mod banner;
pub mod config;
mod data_folder;
mod dev;
mod hardening;
mod join_client;
mod replication;
mod signals;
mod tasks;
mod wiring;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;

use args::Args;
use config::Config;
use dev::DevFolder;
use signals::{Asked, Signals};
use wiring::Node;

use crate::telemetry::{self, Level, LogOptions, Logs};

/// `coffer server`: runs until a signal ends it.
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    let env = |name: &str| std::env::var(name).ok();
    let args = match Args::parse(args) {
        Ok(args) => args.with_environment(&env),
        Err(text) => {
            eprintln!("{text}\n\n{}", args::HELP);
            return ExitCode::FAILURE;
        }
    };
    if args.help {
        print!("{}", args::HELP);
        return ExitCode::SUCCESS;
    }
    match prepare(&args, &env).and_then(|prepared| serve(&args, prepared)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

struct Prepared {
    config: Config,
    logs: Logs,
    /// Removed when the server has ended.
    dev: Option<DevFolder>,
}

fn prepare(args: &Args, env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Prepared> {
    if args.config.is_empty() && !args.dev {
        anyhow::bail!("Must specify at least one config path using -config");
    }
    let mut config = Config::load(&args.config, env)?;
    let dev = if args.dev { Some(DevFolder::make().context("make a folder for dev mode")?) } else { None };
    if let Some(folder) = &dev {
        dev::configure(&mut config, args, folder);
    }
    config.check()?;
    if let Some(level) = &args.log_level {
        config.log.level = Some(level.clone());
    }
    if let Some(format) = &args.log_format {
        config.log.is_json = config::log_format(format)?;
    }
    if let Some(file) = &args.log_file {
        config.log.file = Some(file.clone());
    }
    let logs = Logs::start(&LogOptions { level: level_of(&config)?, is_json: config.log.is_json, file: config.log.file.clone() })?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Prepared { config, logs, dev })
}

fn level_of(config: &Config) -> anyhow::Result<Level> {
    let text = config.log.level.as_deref().unwrap_or("info");
    Level::parse(text).with_context(|| format!("unknown log level {text:?}: trace, debug, info, warn or error"))
}

fn serve(args: &Args, prepared: Prepared) -> anyhow::Result<()> {
    hardening::apply();
    crate::raft::install_panic_abort();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let done = runtime.block_on(run(args, prepared));
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    done
}

async fn run(args: &Args, prepared: Prepared) -> anyhow::Result<()> {
    let Prepared { config, logs, dev } = prepared;
    if config.has_metrics {
        telemetry::install_metrics();
    }
    let mut signals = Signals::listen().context("listen for signals")?;
    let pid_file = config.pid_file.as_deref().map(PidFile::write).transpose().context("write pid_file")?;
    let node = Node::start(&config, dev.is_some() && !args.dev_no_kv).await?;
    let storage = if dev.is_some() { "raft (dev mode: removed at the end)" } else { "raft" };
    println!("{}", banner::settings(&config, &node.addresses.api, &node.addresses.cluster, storage));
    if dev.is_some() {
        let opened = dev::open(&node.core, args.dev_root_token.as_deref()).await?;
        if !args.dev_no_store_token
            && let Some(home) = std::env::var_os("HOME")
            && let Err(error) = dev::store_token(home.as_ref(), &opened.root_token)
        {
            tracing::warn!(%error, "the root token could not be stored in ~/.vault-token");
        }
        println!("{}", banner::dev(&node.addresses.api, &opened.unseal_key, &opened.root_token));
    }
    while signals.next().await == Asked::Reload {
        println!("==> Vault reload triggered");
        reload_level(args, &logs);
        node.reload().await;
    }
    println!("==> Vault shutdown triggered");
    tokio::select! {
        () = node.stop() => {}
        () = ended_again(&mut signals) => tracing::warn!("ended at once by a second signal"),
    }
    drop(pid_file);
    drop(dev);
    Ok(())
}

async fn ended_again(signals: &mut Signals) {
    while signals.next().await != Asked::End {}
}

/// Takes the level that the files say now; a flag stands.
fn reload_level(args: &Args, logs: &Logs) {
    if args.log_level.is_some() || args.config.is_empty() {
        return;
    }
    let level =
        Config::load(&args.config, &|name| std::env::var(name).ok()).map_err(anyhow::Error::from).and_then(|config| level_of(&config));
    match level {
        Ok(level) => {
            logs.set_level(level);
            tracing::info!(%level, "log level");
        }
        Err(error) => tracing::error!(%error, "the configuration cannot be read again: the log level stays"),
    }
}

/// The process id in a file, removed at the end.
struct PidFile(PathBuf);

impl PidFile {
    fn write(path: &std::path::Path) -> std::io::Result<Self> {
        std::fs::write(path, format!("{}\n", std::process::id()))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
