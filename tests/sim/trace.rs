//! What happened, in order: every message, every line that the product logs, every act of the simulation. Its hash is what two runs
//! of one seed must agree on; written to a file it is what one reads to understand a failure.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{BufWriter, Write as _};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::net::{Fate, HostId, now};

struct Trace {
    hasher: blake3::Hasher,
    lines: u64,
    file: Option<BufWriter<File>>,
    last: std::collections::VecDeque<String>,
}

/// Lines that a failure shows.
const LAST: usize = 60;

thread_local! {
    static TRACE: RefCell<Option<Trace>> = const { RefCell::new(None) };
    static HOST: Cell<Option<HostId>> = const { Cell::new(None) };
    static NAMES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Begins the trace of this thread; `file` gets its lines.
pub fn begin(file: Option<File>, names: Vec<String>, level: Level) {
    NAMES.set(names);
    let trace = Trace { hasher: blake3::Hasher::new(), lines: 0, file: file.map(BufWriter::new), last: Default::default() };
    TRACE.set(Some(trace));
    let subscriber = tracing_subscriber::registry().with(Lines(level));
    tracing::subscriber::set_global_default(subscriber).expect("one simulation a process");
}

/// Its hash, and how many lines it has.
pub fn end() -> (String, u64) {
    TRACE.with_borrow_mut(|trace| {
        let trace = trace.as_mut().expect("it has begun");
        if let Some(file) = &mut trace.file {
            file.flush().expect("the trace can be written");
        }
        (trace.hasher.finalize().to_hex()[..16].to_owned(), trace.lines)
    })
}

/// The last lines.
pub fn last() -> Vec<String> {
    TRACE.with_borrow(|trace| trace.as_ref().map(|trace| trace.last.iter().cloned().collect()).unwrap_or_default())
}

/// Which host runs now.
pub fn host() -> Option<HostId> {
    HOST.get()
}

/// Runs `act` as `host`.
pub fn as_host<T>(host: HostId, act: impl FnOnce() -> T) -> T {
    let before = HOST.replace(Some(host));
    let done = act();
    HOST.set(before);
    done
}

/// The name of a host.
pub fn name(host: HostId) -> String {
    NAMES.with_borrow(|names| names.get(host.0).cloned().unwrap_or_else(|| format!("host {}", host.0)))
}

/// Adds a line.
pub fn line(text: fmt::Arguments<'_>) {
    add(text, true);
}

fn add(text: fmt::Arguments<'_>, is_ours: bool) {
    let host = HOST.get().map(name).unwrap_or_else(|| "-".to_owned());
    let at = now();
    TRACE.with_borrow_mut(|trace| {
        let Some(trace) = trace else { return };
        let mut written = String::with_capacity(96);
        let _ = writeln!(written, "{:>10.6} {host:<3} {text}", at.as_secs_f64());
        if is_ours {
            trace.hasher.update(written.as_bytes());
            trace.lines += 1;
        }
        if let Some(file) = &mut trace.file {
            file.write_all(written.as_bytes()).expect("the trace can be written");
        }
        if trace.last.len() == LAST {
            trace.last.pop_front();
        }
        trace.last.push_back(written);
    });
}

/// A message and what becomes of it.
pub fn message(from: HostId, to: HostId, what: &'static str, fate: &Fate) {
    let (from, to) = (name(from), name(to));
    match fate {
        Fate::Arrives(at) => line(format_args!("{what} {from}>{to} arrives {:.6}", at.as_secs_f64())),
        Fate::Lost => line(format_args!("{what} {from}>{to} lost")),
        Fate::Refused(_) => line(format_args!("{what} {from}>{to} refused")),
    }
}

/// The product's lines.
struct Lines(Level);

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let added = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            // Places in files: certificates lie before them, whose signatures are not of one length and follow from no seed.
            "found" | "acknowledged" | "bytes" => Ok(()),
            name => write!(self.rest, " {name}={value:?}"),
        };
        added.expect("text can be added to text");
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.0))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let (target, level) = (event.metadata().target(), event.metadata().level());
        // openraft tells more than anyone needs, with times that are the machine's: read, but not compared.
        let is_ours = target.starts_with("coffer");
        if !is_ours && *level > Level::WARN {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        add(format_args!("{level} {} {}{}", target.trim_start_matches("coffer::"), fields.message, fields.rest), is_ours);
    }
}
