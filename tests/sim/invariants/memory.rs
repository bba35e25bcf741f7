//! Memory accounts are never exceeded, and what was taken comes back: when clients are gone and nothing moves, nothing is
//! held for them.

use crate::world::World;

/// While things go on.
pub fn within_bounds(world: &World) {
    for board in &world.boards {
        let accounts = &board.accounts;
        for (name, account) in [
            ("kafka_requests", &accounts.kafka_requests),
            ("responses", &accounts.responses),
            ("mqtt_frames", &accounts.mqtt_frames),
            ("mqtt_batches", &accounts.mqtt_batches),
            ("mqtt_outgoing", &accounts.mqtt_outgoing),
            ("quorum", &accounts.quorum),
            ("groups", &accounts.groups),
            ("watches", &accounts.watches),
            ("peers", &accounts.peers),
        ] {
            let (peak, limit) = (account.peak_bytes(), account.limit_bytes());
            assert!(peak <= limit, "board {}: {name} held {peak} of {limit} bytes", board.id);
        }
    }
}

/// At the end, when all clients have left.
pub fn given_back(world: &World) {
    for board in &world.boards {
        let accounts = &board.accounts;
        for (name, account) in [
            ("kafka_requests", &accounts.kafka_requests),
            ("responses", &accounts.responses),
            ("mqtt_frames", &accounts.mqtt_frames),
            ("mqtt_batches", &accounts.mqtt_batches),
            ("mqtt_outgoing", &accounts.mqtt_outgoing),
            ("watches", &accounts.watches),
        ] {
            assert_eq!(account.used_bytes(), 0, "board {}: {name} is held by nobody", board.id);
        }
    }
}
