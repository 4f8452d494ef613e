//! Configuration, wiring, start and stop: the only place that knows everyone. It decides nothing about requests.

mod addresses;
#[cfg(test)]
mod aging;
mod args;
pub mod assembly;
mod banner;
#[cfg(feature = "chaos")]
mod chaos;
pub mod config;
mod data_folder;
mod dev;
mod dev_tls;
mod hardening;
mod join_client;
mod replication;
mod signals;
mod tasks;
mod wiring;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;

use args::Args;
use config::Config;
use dev::DevMode;
use signals::{Asked, Signals};
use wiring::Node;

use crate::telemetry::{self, Level, LogOptions, Logs};

/// `coffer server`: runs until a signal ends it.
pub fn main(args: impl IntoIterator<Item = String>) -> ExitCode {
    let env = |name: &str| variable(&|name| std::env::var(name).ok(), name);
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
    match prepare(&args, &env).and_then(|prepared| serve(&args, prepared, &env)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A variable of the environment: under our own name first, then under Vault's. An empty one is none.
fn variable(env: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    let own = name.strip_prefix("VAULT_").map(|rest| format!("COFFER_{rest}"));
    own.as_deref().into_iter().chain([name]).find_map(|name| env(name).filter(|value| !value.is_empty()))
}

struct Prepared {
    config: Config,
    logs: Logs,
    /// Removed when the server has ended.
    dev: Option<DevMode>,
}

fn prepare(args: &Args, env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Prepared> {
    if args.config.is_empty() && !args.dev {
        anyhow::bail!("Must specify at least one config path using -config");
    }
    let mut config = Config::load(&args.config, env)?;
    let dev = if args.dev { Some(DevMode::make(args)?) } else { None };
    if let Some(dev) = &dev {
        dev.configure(&mut config, args);
    }
    config.check()?;
    if let Some(level) = &args.log_level {
        config::log_level(&mut config, "-log-level", level)?;
    }
    if let Some(format) = &args.log_format {
        config::log_format(&mut config, "-log-format", format)?;
    }
    if let Some(file) = &args.log_file {
        config.log.file = Some(file.clone());
    }
    let logs = Logs::start(&LogOptions { level: level_of(&config), is_json: config.log.is_json, file: config.log.file.clone() })?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(Prepared { config, logs, dev })
}

/// What was read was checked then.
fn level_of(config: &Config) -> Level {
    config.log.level.as_deref().and_then(Level::parse).unwrap_or(Level::INFO)
}

fn serve(args: &Args, prepared: Prepared, env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<()> {
    hardening::apply();
    crate::raft::install_panic_abort();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    let ended = runtime.block_on(run(args, prepared, env));
    match ended {
        Ok(Ended::AtOnce) => runtime.shutdown_background(),
        _ => runtime.shutdown_timeout(Duration::from_secs(2)),
    }
    ended.map(|_| ())
}

/// How a server came to its end.
enum Ended {
    Cleanly,
    /// By a second signal: nothing is waited for.
    AtOnce,
}

async fn run(args: &Args, prepared: Prepared, env: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Ended> {
    let Prepared { config, logs, dev } = prepared;
    if config.has_metrics {
        telemetry::install_metrics();
    }
    let mut signals = Signals::listen().context("listen for signals")?;
    let node = tokio::select! {
        node = start(args, &config, dev.as_ref()) => node?,
        // Nothing was promised to anybody yet, and what is on disk may end at any moment.
        () = signals.end() => {
            println!("==> Vault shutdown triggered");
            return Ok(Ended::AtOnce);
        }
    };
    // Not before: a server that finds the ports or the folder of another one taken must leave that one's file alone.
    let pid_file = config.pid_file.as_deref().map(PidFile::write).transpose().context("write pid_file")?;
    while signals.next().await == Asked::Reload {
        println!("==> Vault reload triggered");
        reload_logs(args, &logs, env);
        node.reload().await;
    }
    println!("==> Vault shutdown triggered");
    let ended = tokio::select! {
        () = node.stop() => Ended::Cleanly,
        () = signals.end_again() => {
            tracing::warn!("ended at once by a second signal");
            Ended::AtOnce
        }
    };
    drop(pid_file);
    drop(dev);
    Ok(ended)
}

/// Starts the node and says so; in dev mode also opens it.
async fn start(args: &Args, config: &Config, dev: Option<&DevMode>) -> anyhow::Result<Node> {
    let node = Node::start(config, dev::kv_version(args)).await?;
    let storage = if dev.is_some() { "raft (dev mode: removed at the end)" } else { "raft" };
    println!("{}", banner::settings(config, &node.addresses.api, &node.addresses.cluster, storage));
    let Some(dev) = dev else { return Ok(node) };
    let opened = dev::open(&node.core, args.dev_root_token.as_deref()).await?;
    let home = std::env::var_os("HOME").filter(|_| !args.dev_no_store_token);
    let stored = home.map(|home| dev::store_token(home.as_ref(), &opened.root_token));
    if let Some(Err(error)) = &stored {
        tracing::warn!(%error, "the root token could not be stored in ~/.vault-token");
    }
    let said = banner::Dev {
        api_addr: &node.addresses.api,
        ca_file: dev.tls.as_ref().map(|tls| tls.ca_file.as_path()),
        unseal_key: &opened.unseal_key,
        root_token: &opened.root_token,
        is_stored: matches!(stored, Some(Ok(()))),
    };
    println!("{}", banner::dev(&said));
    Ok(node)
}

/// Opens the log file anew, and takes the level that the files say now; a flag stands.
fn reload_logs(args: &Args, logs: &Logs, env: &dyn Fn(&str) -> Option<String>) {
    if let Err(error) = logs.reopen() {
        tracing::error!(%error, "log lines go where they went");
    }
    if args.log_level.is_some() || args.config.is_empty() {
        return;
    }
    match Config::load(&args.config, env) {
        Ok(config) => {
            let level = level_of(&config);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_variables_come_before_vaults() {
        let env = |name: &str| match name {
            "COFFER_UI" => Some("true".to_owned()),
            "COFFER_API_ADDR" => Some(String::new()),
            "VAULT_UI" | "VAULT_API_ADDR" => Some("vault".to_owned()),
            _ => None,
        };
        for (name, value) in [("VAULT_UI", Some("true")), ("VAULT_API_ADDR", Some("vault")), ("VAULT_NONE", None)] {
            assert_eq!(variable(&env, name).as_deref(), value, "{name}");
        }
    }
}
