//! The four-letter words: what monitoring asks before any session exists. A connection is served one and closed.

use super::ZooKeeperDoor;
use crate::engine::Engine;
use crate::types::Now;

/// What a word may look at.
#[derive(Debug)]
#[allow(dead_code)] // for the words
pub struct Around<'a> {
    /// The door with its connections.
    pub door: &'a ZooKeeperDoor,
    /// The engine.
    pub engine: &'a Engine,
    /// What the clocks said.
    pub now: Now,
}

/// The answer to the first four bytes of a connection; `None` when they are no word and thus a frame's length.
pub fn answer(word: [u8; 4], _around: &Around<'_>) -> Option<String> {
    match &word {
        b"ruok" => Some("imok".to_owned()),
        _ => None,
    }
}
