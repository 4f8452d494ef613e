//! What the operator says by signal: reload, end, end now.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// SIGHUP: read certificates and the log level again, open audit files anew.
    Reload,
    /// SIGTERM, SIGINT: end cleanly.
    End,
}

/// What ends a process is often sent to it and to its group too: so soon after the first, it is the same one.
const SAME_SIGNAL: Duration = Duration::from_millis(200);

/// The signals of this process, from now on.
#[derive(Debug)]
pub struct Signals {
    hup: Signal,
    term: Signal,
    int: Signal,
    usr2: Signal,
}

impl Signals {
    /// Takes over from the system's defaults.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hup: signal(SignalKind::hangup())?,
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Asked {
        loop {
            tokio::select! {
                _ = self.hup.recv() => return Asked::Reload,
                _ = self.term.recv() => return Asked::End,
                _ = self.int.recv() => return Asked::End,
                // Asks Vault for its stacks. Left to the system, it would end this process.
                _ = self.usr2.recv() => tracing::info!("SIGUSR2 does nothing here: this server has no stack dump"),
            }
        }
    }

    /// Returns at the next signal to end. Those that ask for something else pass.
    pub async fn end(&mut self) {
        while self.next().await != Asked::End {}
    }

    /// After a signal to end: returns at another one.
    pub async fn end_again(&mut self) {
        let first = Instant::now();
        loop {
            self.end().await;
            if first.elapsed() > SAME_SIGNAL {
                return;
            }
        }
    }
}
