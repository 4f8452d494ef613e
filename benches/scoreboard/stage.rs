//! What a metric works with: settings, the systems that are here, a scratch folder, and a way to say how far it is.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::args::Args;
use crate::cluster::{Cluster, System, Wanted, coffer, etcd, openbao};
use crate::machine::block_device;
use crate::result::Settings;
use crate::rounds::Rounds;

/// What all metrics share.
pub struct Stage {
    pub settings: Settings,
    /// A folder on the disk that is measured; removed at the end.
    pub scratch: PathBuf,
    /// That disk, below `/sys`.
    pub device: Option<PathBuf>,
    programs: BTreeMap<System, Result<PathBuf, String>>,
    pub bar: ProgressBar,
    is_watched: bool,
    clusters: Cell<u32>,
    /// Rounds that several metrics read, made once.
    pub kv_writes: RefCell<Option<Rc<Rounds>>>,
}

const ALIKE: &str = "all on loopback: plain to clients, TLS between nodes, no audit unless said, a service token";

impl Stage {
    pub fn new(args: &Args, scratch: &Path) -> Self {
        let seconds = args.seconds.unwrap_or(if args.quick { 2.0 } else { 5.0 });
        let find = |system: System, found: anyhow::Result<PathBuf>| {
            let is_out = args.without.iter().any(|name| name == system.name());
            let found = if is_out { Err("left out by --without".into()) } else { found.map_err(|error| format!("{error:#}")) };
            (system, found)
        };
        let bar = ProgressBar::new(1);
        bar.set_style(
            ProgressStyle::with_template("{prefix:>14} [{bar:30}] {pos:>3}/{len} {msg} ({elapsed})").expect("the template is valid"),
        );
        bar.enable_steady_tick(Duration::from_millis(500));
        Self {
            settings: Settings {
                quick: args.quick,
                rounds: args.rounds.unwrap_or(if args.quick { 1 } else { 5 }),
                seconds,
                warm_up_seconds: seconds / 6.0,
                keys: if args.quick { 1000 } else { 10_000 },
                value_bytes: 256,
                nodes: crate::cluster::NODES,
                alike: ALIKE,
            },
            scratch: scratch.into(),
            device: block_device(scratch),
            programs: BTreeMap::from([
                (System::Coffer, Ok(coffer::binary())),
                find(System::OpenBao, openbao::binary()),
                find(System::Etcd, etcd::binary()),
            ]),
            is_watched: !bar.is_hidden(),
            bar,
            clusters: Cell::new(0),
            kv_writes: RefCell::new(None),
        }
    }

    /// Those of `wanted` that are here.
    pub fn present(&self, wanted: &[System]) -> Vec<System> {
        wanted.iter().copied().filter(|system| self.programs[system].is_ok()).collect()
    }

    /// Why a system is not here; `None` if it is.
    pub fn absence(&self, system: System) -> Option<String> {
        self.programs[&system].as_ref().err().cloned()
    }

    /// Version of each system, or why it is missing.
    pub fn versions(&self) -> BTreeMap<String, String> {
        let version = |(system, found): (&System, &Result<PathBuf, String>)| {
            let said = match (system, found) {
                (_, Err(why)) => return (system.name().to_owned(), format!("missing: {why}")),
                (System::Coffer, _) => coffer::version(),
                (System::OpenBao, Ok(binary)) => openbao::version(binary),
                (System::Etcd, Ok(binary)) => etcd::version(binary),
            };
            (system.name().to_owned(), said.unwrap_or_else(|error| format!("{error:#}")))
        };
        self.programs.iter().map(version).collect()
    }

    /// Starts a cluster in a new folder.
    ///
    /// # Errors
    /// If the system is not here, or does not start.
    pub fn start(&self, system: System, audit: bool) -> anyhow::Result<Box<dyn Cluster>> {
        let binary = self.programs[&system].as_ref().map_err(|why| anyhow::anyhow!("{why}"))?;
        let wanted = Wanted { folder: self.folder(system.name()), name: system.name().into(), audit };
        self.say(&format!("{}: start three nodes", system.name()));
        Ok(match system {
            System::Coffer => Box::new(coffer::start(&wanted)?),
            System::OpenBao => Box::new(openbao::start(binary, &wanted)?),
            System::Etcd => Box::new(etcd::start(binary, &wanted)?),
        })
    }

    /// A folder that nobody has used, not made yet.
    pub fn folder(&self, name: &str) -> PathBuf {
        self.clusters.set(self.clusters.get() + 1);
        self.scratch.join(format!("{name}-{}", self.clusters.get()))
    }

    /// Removes what clusters stored that have ended: of a turn that can be ten gigabytes.
    ///
    /// # Errors
    /// If something is left.
    pub fn sweep(&self) -> std::io::Result<()> {
        for entry in std::fs::read_dir(&self.scratch)? {
            let path = entry?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(path)?;
            } else {
                std::fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Says what is done now.
    pub fn say(&self, text: &str) {
        self.bar.set_message(text.to_owned());
        if !self.is_watched {
            eprintln!("{}: {text}", self.bar.prefix());
        }
    }
}
