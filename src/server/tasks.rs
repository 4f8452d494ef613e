//! Tasks with names, and their end: each is told to stop and is waited for, but not for ever.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Tasks that end together.
#[derive(Debug, Default)]
pub struct Tasks {
    stop: CancellationToken,
    running: Vec<(String, JoinHandle<()>)>,
}

impl Tasks {
    /// What tasks listen to.
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task that ends soon after the stop token is cancelled.
    pub fn spawn(&mut self, name: impl Into<String>, task: impl Future<Output = ()> + Send + 'static) {
        self.running.push((name.into(), tokio::spawn(task)));
    }

    /// Ends all, in reverse order of starting, and gives each at most `patience`.
    pub async fn end(self, patience: Duration) {
        self.stop.cancel();
        for (name, task) in self.running.into_iter().rev() {
            let abort = task.abort_handle();
            if tokio::time::timeout(patience, task).await.is_err() {
                tracing::warn!(name, "a task did not end in time");
                abort.abort();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn a_task_that_does_not_end_is_ended() {
        let mut tasks = Tasks::default();
        let stop = tasks.stop_token();
        tasks.spawn("gentle", async move { stop.cancelled().await });
        tasks.spawn("deaf", std::future::pending());
        tokio::time::timeout(Duration::from_secs(5), tasks.end(Duration::from_millis(20))).await.unwrap();
    }
}
