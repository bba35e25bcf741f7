//! What the configuration says about the Kafka door.

use std::net::SocketAddr;

use crate::config::{Config, KafkaListener};

/// What the door is told from outside, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// In the order of the configuration; a connection knows its index.
    pub listeners: Vec<ListenerSettings>,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: usize,
    /// `fetch.max.bytes`: records in one response.
    pub fetch_bytes_max: usize,
    /// `message.max.bytes`: the batch that a read may bring although less was asked for.
    pub message_bytes_max: usize,
    /// `offset.metadata.max.bytes`: the note beside a committed offset.
    pub offset_metadata_bytes_max: usize,
    /// `group.consumer.heartbeat.interval.ms`: what members of consumer groups are told.
    pub consumer_heartbeat_interval_ms: i32,
    /// `connections.max.idle.ms`; none: silence is no reason to close.
    pub idle_ms_max: Option<u64>,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: usize,
}

/// One listener, as clients see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSettings {
    /// `PLAINTEXT`, ...
    pub name: String,
    /// The host to dial, as advertised.
    pub host: String,
    /// The port to dial.
    pub port: u16,
}

impl Settings {
    /// From the configuration; `bound` are the addresses that the listeners really got, in the same order.
    pub fn new(config: &Config, bound: &[SocketAddr]) -> Settings {
        let kafka = &config.kafka;
        let listener = |(index, listener): (usize, &KafkaListener)| ListenerSettings {
            name: listener.name.clone(),
            host: listener.advertised.host.clone(),
            port: match listener.advertised.port {
                0 => bound.get(index).map_or(0, SocketAddr::port),
                port => port,
            },
        };
        Settings {
            listeners: kafka.listeners.iter().enumerate().map(listener).collect(),
            request_bytes_max: kafka.request_bytes_max,
            fetch_bytes_max: kafka.fetch_bytes_max,
            message_bytes_max: config.topics.message_bytes_max,
            offset_metadata_bytes_max: config.groups.offset_metadata_bytes_max,
            consumer_heartbeat_interval_ms: config.groups.consumer_heartbeat_interval_ms,
            idle_ms_max: kafka.idle_ms_max,
            auto_create_topics: kafka.auto_create_topics,
            fetch_sessions_max: kafka.fetch_sessions_max,
        }
    }
}
