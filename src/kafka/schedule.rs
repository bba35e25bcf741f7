//! When requests that wait want to be woken: at a moment, or at the end of the turn.

use crate::types::{ConnId, Timers};

/// Wake-ups, at most one of each kind for a connection.
#[derive(Debug, Default)]
pub struct Schedule {
    /// At a moment.
    pub wakes: Timers<ConnId>,
    /// At the end of this turn.
    pub turn_end: Vec<ConnId>,
}

impl Schedule {
    /// The request has been answered, or its connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        self.wakes.cancel(conn);
        self.turn_end.retain(|&waiting| waiting != conn);
    }
}
