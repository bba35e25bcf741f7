//! From an MQTT topic to a partition and a key, with the Kafka topic created where a rule names one that does not exist.
//!
//! A publisher's last topic is kept in its connection, so that a sensor that repeats it pays for one comparison; the
//! number of partitions is looked up again after `MQTT_ROUTE_SECONDS_MAX`.

use std::sync::Arc;

use super::MqttDoor;
use super::acks::SLOTS;
use super::backend::Backend;
use super::codec::{self, Publish, Version};
use super::connection::{Block, Connection};
use super::errors::{Reason, Refusal};
use super::ingest::Stop;
use crate::effect::Effects;
use crate::engine::{Door, PartitionKey, TopicDone, TopicError, Waiter};
use crate::limits::{MQTT_RETRY_MILLIS, MQTT_ROUTE_SECONDS_MAX};
use crate::record::partition_of;
use crate::types::{ConnId, Now, PartitionIndex, Slot};

impl MqttDoor {
    /// The partition for a message, with its key in `connection.route`: looked up when the topic is not the last one.
    pub(super) fn route(
        &mut self,
        now: Now,
        connection: &mut Connection,
        publish: &Publish<'_>,
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Result<PartitionKey, Stop> {
        let Connection { aliases, route, .. } = connection;
        let topic = match publish.alias {
            None if publish.topic.is_empty() && connection.version == Version::V5 => {
                return Err(Stop::End(Reason::ProtocolError));
            }
            Some(alias) if publish.topic.is_empty() => aliases.get(alias).map_err(Stop::End)?,
            _ => publish.topic,
        };
        let fresh = now.mono.since(route.at).as_secs() < MQTT_ROUTE_SECONDS_MAX;
        if let Some(partition) = route.partition
            && fresh
            && route.topic == topic
        {
            // The alias may be a new one for the same topic.
            if let (Some(alias), false) = (publish.alias, publish.topic.is_empty()) {
                aliases.set(alias, publish.topic).map_err(Stop::End)?;
            }
            return Ok(partition);
        }
        if codec::topic_name(topic).map_err(Stop::End)?.starts_with("$SYS/") {
            return Err(Stop::Ignore);
        }
        if route.topic != topic {
            route.topic.clear();
            route.topic.extend_from_slice(topic);
        }
        if let (Some(alias), false) = (publish.alias, publish.topic.is_empty()) {
            aliases.set(alias, publish.topic).map_err(Stop::End)?;
        }
        route.partition = None;
        let partition = self.look_up(now, connection, backend, fx)?;
        connection.route.partition = Some(partition);
        connection.route.at = now.mono;
        Ok(partition)
    }

    /// Maps `connection.route.topic`, creates the Kafka topic where it does not exist, and chooses the partition.
    fn look_up(
        &mut self,
        now: Now,
        connection: &mut Connection,
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Result<PartitionKey, Stop> {
        let refuse = Stop::Refuse(Reason::TopicNameInvalid);
        let mut name = std::mem::take(&mut self.scratch.kafka_topic);
        let topic = std::str::from_utf8(&connection.route.topic).map_err(|_| refuse)?;
        let mapped = self.settings.mapping.map(topic, &connection.client_id, &mut name, &mut connection.route.key);
        let result = mapped.ok_or(refuse).and_then(|mapped| {
            connection.route.has_key = mapped.has_key;
            match backend.partition_count(&name) {
                Some(count) => Ok(count),
                None => self.create(now, connection, &name, mapped.is_dynamic, backend, fx),
            }
        });
        let result = result.and_then(|count| {
            let index = match connection.route.has_key {
                true => partition_of(&connection.route.key, count),
                // Without a key a publisher stays in one partition, so that its own order holds.
                false => PartitionIndex((connection.id.index % count.max(1)) as i32),
            };
            backend.partition(&name, index).ok_or(Stop::Block(Block::Later))
        });
        self.scratch.kafka_topic = name;
        result
    }

    /// Creates a topic that a rule names: how many partitions it has, when that is known at once.
    fn create(
        &mut self,
        now: Now,
        connection: &mut Connection,
        name: &str,
        is_dynamic: bool,
        backend: &mut impl Backend,
        fx: &mut Effects,
    ) -> Result<u32, Stop> {
        if let Some(reason) = connection.topic_refusal.take() {
            return Err(Stop::Refuse(reason));
        }
        if is_dynamic && !self.created.contains(name) {
            if self.created.len() >= self.settings.topics_created_max {
                self.tell_too_many(now, name);
                return Err(Stop::Refuse(Reason::QuotaExceeded));
            }
            self.created.insert(name.into());
        }
        let waiter = Waiter { door: Door::Mqtt, conn: connection.id, slot: Slot(SLOTS) };
        match backend.auto_create_topic(now, name, Some(waiter), fx) {
            Ok(true) => Err(Stop::Block(Block::Topic)),
            Ok(false) => backend.partition_count(name).ok_or(Stop::Block(Block::Later)),
            Err(error) => {
                self.created.remove(name);
                match Refusal::from(&error) {
                    Refusal::Answer(reason) => Err(Stop::Refuse(reason)),
                    Refusal::Busy | Refusal::Later | Refusal::Stale => Err(Stop::Block(Block::Later)),
                }
            }
        }
    }

    /// The creation that a connection waits for has ended.
    pub(super) fn on_topics(&mut self, now: Now, conn: ConnId, results: &[(Arc<str>, Result<TopicDone, TopicError>)]) {
        let Some((name, result)) = results.first() else { return };
        let refusal = result.as_ref().err().map(Refusal::from);
        if let Err(error) = result {
            self.created.remove(&**name);
            if let Some(suppressed) = self.diagnostics.allow(now.mono) {
                tracing::warn!("topic {name} of an MQTT rule: {error} ({suppressed} others not told)");
            }
        }
        let Some(connection) = self.get_mut(conn) else { return };
        if connection.block != Some(Block::Topic) {
            return;
        }
        connection.block = Some(Block::FirstAttempt); // is tried at the turn's end
        match refusal {
            Some(Refusal::Answer(reason)) => connection.topic_refusal = Some(reason),
            Some(_) => {
                connection.block = Some(Block::Later);
                self.retry_at.get_or_insert(now.mono.plus_millis(MQTT_RETRY_MILLIS));
            }
            None => {}
        }
    }

    fn tell_too_many(&mut self, now: Now, name: &str) {
        let max = self.settings.topics_created_max;
        if let Some(suppressed) = self.diagnostics.allow(now.mono) {
            tracing::warn!(
                "topic {name} is not created: mqtt.topics.max is {max} and as many were created \
                 ({suppressed} others not told)"
            );
        }
    }
}
