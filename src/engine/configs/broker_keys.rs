//! Keys of brokers that can be altered while they run: those whose values topics inherit.

use super::TopicKey;
use crate::broker::topic_keys::TOPIC_KEYS;

/// The key of topics that inherits from the broker's key of that name.
pub fn find(name: &str) -> Option<&'static TopicKey> {
    TOPIC_KEYS.iter().find(|key| key.synonym == Some(name))
}

/// All of them.
pub fn all() -> impl Iterator<Item = (&'static str, &'static TopicKey)> {
    TOPIC_KEYS.iter().filter_map(|key| Some((key.synonym?, key)))
}
