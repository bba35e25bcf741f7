//! SIGTERM and SIGINT stop the node cleanly; a second one ends it at once. SIGHUP is said to do nothing.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a node listens to.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Registers the handlers.
    pub fn new() -> io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for a request to stop. A hang-up (log rotation, a closed terminal) never ends a broker.
    pub async fn stop_requested(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => tracing::info!("SIGHUP: nothing to reload, diagnostics go to standard error"),
            }
        }
    }
}
