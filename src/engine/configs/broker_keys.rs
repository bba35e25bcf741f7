//! Keys of brokers that can be altered while they run: those whose values topics inherit, and a few of their own.

use super::TopicKey;
use crate::broker::topic_keys::{BROKER_KEYS, TOPIC_KEYS};

/// The key of topics that inherits from the broker's key of that name, or the broker's own.
pub fn find(name: &str) -> Option<&'static TopicKey> {
    TOPIC_KEYS.iter().chain(BROKER_KEYS).find(|key| key.synonym == Some(name))
}

/// All of them.
pub fn all() -> impl Iterator<Item = (&'static str, &'static TopicKey)> {
    TOPIC_KEYS.iter().chain(BROKER_KEYS).filter_map(|key| Some((key.synonym?, key)))
}
