//! `$SYS/broker/...`: a few figures under the names that mosquitto gave them, for dashboards that know those.
//!
//! Sent to who subscribes, with the retain flag as if they were retained, and again every ten seconds.

use super::MqttDoor;
use super::codec::Qos;
use super::connection::Connection;
use super::deliver::From;
use super::outgoing::{How, Message, Sent};
use crate::limits::MQTT_SYS_MILLIS;
use crate::types::{Instant, Now};

const TOPICS: [&str; 9] = [
    "$SYS/broker/version",
    "$SYS/broker/uptime",
    "$SYS/broker/clients/connected",
    "$SYS/broker/clients/total",
    "$SYS/broker/subscriptions/count",
    "$SYS/broker/publish/messages/received",
    "$SYS/broker/publish/messages/sent",
    "$SYS/broker/publish/messages/dropped",
    "$SYS/broker/messages/received",
];

/// When the figures are due.
#[derive(Debug, Default)]
pub struct Sys {
    /// `None` while nobody asks.
    pub publish_at: Option<Instant>,
}

impl MqttDoor {
    fn sys_value(&self, topic: &str, now: Now) -> String {
        let stats = self.stats();
        match topic {
            "$SYS/broker/version" => concat!("tern version ", env!("CARGO_PKG_VERSION")).to_owned(),
            "$SYS/broker/uptime" => format!("{} seconds", now.mono.0 / 1_000_000),
            "$SYS/broker/clients/connected" | "$SYS/broker/clients/total" => stats.clients.to_string(),
            "$SYS/broker/subscriptions/count" => stats.subscriptions.to_string(),
            "$SYS/broker/publish/messages/sent" => stats.delivered.to_string(),
            "$SYS/broker/publish/messages/dropped" => (stats.dropped + stats.delivery_dropped).to_string(),
            _ => stats.received.to_string(),
        }
    }

    /// A client has subscribed to some of these topics: what they are now.
    pub(super) fn greet_with_sys(&mut self, now: Now, connection: &mut Connection) {
        let account = self.settings.output.clone();
        let mut matched = std::mem::take(&mut self.scratch.matched);
        for topic in TOPICS {
            self.subscriptions.matching(topic, &mut matched);
            if !matched.iter().any(|subscription| subscription.conn == connection.id) {
                continue;
            }
            let value = self.sys_value(topic, now);
            let message = Message { topic, properties: &[], payload: value.as_bytes() };
            let how = How { qos: Qos::AtMostOnce, retain: true, subscription_ids: &[] };
            let sent = connection.outgoing.as_mut().map(|outgoing| outgoing.send(&message, how, &account, &mut None));
            if sent == Some(Sent::Dropped) {
                self.stats.delivery_dropped += 1;
            }
        }
        self.scratch.matched = matched;
        self.writers.push(connection.id);
        self.sys.publish_at.get_or_insert(now.mono.plus_millis(MQTT_SYS_MILLIS));
    }

    /// Publishes the figures when they are due.
    pub(super) fn publish_sys(&mut self, now: Now) {
        if self.sys.publish_at.is_none_or(|at| at > now.mono) {
            return;
        }
        if self.subscriptions.sys() == 0 {
            self.sys.publish_at = None;
            return;
        }
        self.sys.publish_at = Some(now.mono.plus_millis(MQTT_SYS_MILLIS));
        let from = From { qos: Qos::AtMostOnce, retain: false, client_id: &[] };
        let mut matched = std::mem::take(&mut self.scratch.matched);
        for topic in TOPICS {
            self.subscriptions.matching(topic, &mut matched);
            if !matched.is_empty() {
                let value = self.sys_value(topic, now);
                self.deliver(&Message { topic, properties: &[], payload: value.as_bytes() }, &from, &matched);
            }
        }
        self.scratch.matched = matched;
    }
}
