//! Memory accounts are never exceeded, and what was taken comes back: when clients are gone and nothing moves, nothing is
//! held for them.

use tern::memory::{Account, Accounts};

use crate::world::World;

/// All of them; true for those that are taken for clients alone, and given back when they have left.
fn all(accounts: &Accounts) -> [(&'static str, &Account, bool); 9] {
    [
        ("kafka_requests", &accounts.kafka_requests, true),
        ("responses", &accounts.responses, true),
        ("mqtt_frames", &accounts.mqtt_frames, true),
        ("mqtt_batches", &accounts.mqtt_batches, true),
        ("mqtt_outgoing", &accounts.mqtt_outgoing, true),
        ("quorum", &accounts.quorum, false),
        ("groups", &accounts.groups, false),
        ("watches", &accounts.watches, true),
        ("peers", &accounts.peers, false),
    ]
}

/// While things go on.
pub fn within_bounds(world: &World) {
    for board in &world.boards {
        for (name, account, _) in all(&board.accounts) {
            let (peak, limit) = (account.peak_bytes(), account.limit_bytes());
            assert!(peak <= limit, "board {}: {name} held {peak} of {limit} bytes", board.id);
        }
    }
}

/// At the end, when all clients have left.
pub fn given_back(world: &World) {
    for board in &world.boards {
        for (name, account, _) in all(&board.accounts).into_iter().filter(|(.., is_given_back)| *is_given_back) {
            assert_eq!(account.used_bytes(), 0, "board {}: {name} is held by nobody", board.id);
        }
    }
}
