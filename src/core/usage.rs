//! How many tokens and leases there are: counted now and then on the active node, off the path of requests.
//!
//! Not here: what ends them (`lease`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::task::JoinHandle;

use super::lifecycle::{ActivePart, StartError};
use super::{Context, keys};
use crate::pool::off_thread;
use crate::storage::{Reader, StorageError};
use crate::types::Prefix;
use crate::types::limits::PAGE_NAMES_MAX;

/// A count reads every name of its kind; a quarter of a million take a fraction of a second.
const COUNT_EVERY: Duration = Duration::from_secs(300);

/// What is counted, and under which name.
fn counted() -> [(&'static str, Prefix); 3] {
    [
        ("vault.token.count", keys::token_accessors()),
        ("vault.expire.num_leases", keys::leases("")),
        ("vault.expire.num_irrevocable_leases", keys::irrevocable_leases()),
    ]
}

/// Counts, while this node is active.
pub(super) struct UsagePart {
    context: Arc<Context>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl UsagePart {
    pub fn new(context: Arc<Context>) -> Self {
        Self { context, task: Mutex::default() }
    }
}

#[async_trait]
impl ActivePart for UsagePart {
    fn name(&self) -> &'static str {
        "usage"
    }

    async fn start(&self) -> Result<(), StartError> {
        let context = self.context.clone();
        let task = tokio::spawn(async move {
            let mut tick = tokio::time::interval(COUNT_EVERY);
            loop {
                tick.tick().await;
                let reader = context.store.reader();
                let counting = off_thread(move || counted().map(|(name, under)| (name, count(reader.as_ref(), &under))));
                let Ok(counts) = counting.await else { return };
                for (name, count) in counts {
                    match count {
                        Ok(count) => metrics::gauge!(name).set(f64::from(count)),
                        Err(error) => tracing::warn!(%error, name, "it could not be counted"),
                    }
                }
            }
        });
        *self.task.lock().expect("no holder of this lock panics") = Some(task);
        Ok(())
    }

    async fn stop(&self) {
        let task = self.task.lock().expect("no holder of this lock panics").take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        // Only the active node counts.
        counted().into_iter().for_each(|(name, _)| metrics::gauge!(name).set(f64::NAN));
    }
}

fn count(reader: &dyn Reader, under: &Prefix) -> Result<u32, StorageError> {
    let (mut count, mut after) = (0, None::<Arc<str>>);
    loop {
        let names = reader.list(under, after.as_deref(), PAGE_NAMES_MAX)?;
        count += u32::try_from(names.len()).unwrap_or(u32::MAX);
        match names.last() {
            Some(last) if names.len() == PAGE_NAMES_MAX => after = Some(last.clone()),
            _ => return Ok(count),
        }
    }
}
