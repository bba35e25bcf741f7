//! SIGTERM and SIGINT stop the node cleanly; a second one ends it at once. SIGHUP reads the configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that a node listens to.
pub struct Signals<F> {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    on_hangup: F,
}

impl<F: FnMut()> Signals<F> {
    /// Registers the handlers; `on_hangup` must not block.
    pub fn new(on_hangup: F) -> io::Result<Signals<F>> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            on_hangup,
        })
    }

    /// Waits for a request to stop. A hang-up (log rotation, a closed terminal) never ends a broker.
    pub async fn stop_requested(&mut self) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hangup.recv() => (self.on_hangup)(),
            }
        }
    }
}
