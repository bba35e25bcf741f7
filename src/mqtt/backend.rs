//! What this door asks of the engine: the few verbs of it that MQTT becomes, so that a test can stand in for a log.

use crate::effect::Effects;
use crate::engine::{AppendError, Engine, NewRecord, PartitionKey, TopicError, Waiter};
use crate::types::{Now, Offset, PartitionIndex};

/// The engine, or a stand-in. Each method is `Engine`'s of the same name unless it says otherwise.
pub trait Backend {
    /// How many partitions a topic has; `None` when it does not exist.
    fn partition_count(&self, topic: &str) -> Option<u32>;

    /// The handle by which records are published to a partition, wherever it is led: `Engine::publish_key`.
    fn partition(&mut self, topic: &str, index: PartitionIndex) -> Option<PartitionKey>;

    /// One record into the partition's open batch.
    fn append_record(
        &mut self,
        now: Now,
        key: PartitionKey,
        record: NewRecord<'_>,
        waiter: Option<Waiter>,
    ) -> Result<Offset, AppendError>;

    /// Creates a topic with the defaults.
    fn auto_create_topic(
        &mut self,
        now: Now,
        name: &str,
        waiter: Option<Waiter>,
        fx: &mut Effects,
    ) -> Result<bool, TopicError>;

    /// Switches `Completion::Tail` of all partitions on or off.
    fn set_tails(&mut self, on: bool);

    /// True while SUBACK has to wait, lest something that comes next be missed.
    fn awaits_tails(&mut self, now: Now) -> bool;
}

impl Backend for Engine {
    fn partition_count(&self, topic: &str) -> Option<u32> {
        self.view().topics.get(topic).map(|topic| topic.partitions.len() as u32)
    }

    fn partition(&mut self, topic: &str, index: PartitionIndex) -> Option<PartitionKey> {
        self.publish_key(topic, index)
    }

    fn append_record(
        &mut self,
        now: Now,
        key: PartitionKey,
        record: NewRecord<'_>,
        waiter: Option<Waiter>,
    ) -> Result<Offset, AppendError> {
        Engine::append_record(self, now, key, record, waiter)
    }

    fn auto_create_topic(
        &mut self,
        now: Now,
        name: &str,
        waiter: Option<Waiter>,
        fx: &mut Effects,
    ) -> Result<bool, TopicError> {
        Engine::auto_create_topic(self, now, name, waiter, fx)
    }

    fn set_tails(&mut self, on: bool) {
        Engine::set_tails(self, on);
    }

    fn awaits_tails(&mut self, now: Now) -> bool {
        Engine::awaits_tails(self, now)
    }
}
