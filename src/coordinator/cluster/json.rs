//! The JSON that Kafka's brokers and tools of the ZooKeeper era write and read, and nothing of what it means.
//!
//! Reading is tolerant as theirs is: fields nobody asked for are passed over. Writing gives exactly their shapes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConfigMap, Endpoint, ProducerIdBlock, Replicas};
use crate::coordinator::features::{self, NAME};
use crate::types::{LeaderEpoch, NodeId, Timestamp, TopicId};

/// Replicas by partition, as `/brokers/topics/T` has them.
pub type Assignment = BTreeMap<i32, Vec<i32>>;

/// `/brokers/topics/T`, version 3; older versions lack the later fields.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TopicJson {
    pub partitions: Assignment,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic_id: Option<String>,
    #[serde(default)]
    pub adding_replicas: Assignment,
    #[serde(default)]
    pub removing_replicas: Assignment,
    #[serde(default)]
    pub version: i32,
}

/// `/brokers/topics/T/partitions/P/state`.
#[derive(Debug, Serialize, Deserialize)]
pub struct StateJson {
    #[serde(default)]
    pub controller_epoch: i32,
    pub leader: i32,
    #[serde(default)]
    pub version: i32,
    pub leader_epoch: i32,
    pub isr: Vec<i32>,
    /// Ours alone, where there are any: see `PartitionState::emptied`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub emptied: Vec<i32>,
}

/// `/brokers/ids/N`, version 5; older versions lack the later fields.
#[derive(Debug, Serialize, Deserialize)]
pub struct BrokerJson {
    #[serde(default)]
    pub features: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub listener_security_protocol_map: BTreeMap<String, String>,
    #[serde(default)]
    pub endpoints: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    #[serde(default)]
    pub jmx_port: i32,
    #[serde(default)]
    pub port: i32,
    #[serde(default)]
    pub host: Option<String>,
    #[serde(default)]
    pub version: i32,
    #[serde(default)]
    pub timestamp: String,
}

/// `/config/topics/T` and `/config/brokers/N`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ConfigJson {
    #[serde(default)]
    pub version: i32,
    pub config: ConfigMap,
}

/// `/controller`, version 2; older versions lack the last field.
#[derive(Debug, Serialize, Deserialize)]
pub struct ControllerJson {
    #[serde(default)]
    pub version: i32,
    pub brokerid: i32,
    #[serde(default)]
    pub timestamp: String,
    #[serde(default = "no_epoch", rename = "kraftControllerEpoch")]
    pub kraft_controller_epoch: i32,
}

fn no_epoch() -> i32 {
    -1
}

/// `/feature`, version 2; what version 1 says about levels is not read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct FeaturesJson {
    #[serde(default)]
    pub features: BTreeMap<String, i32>,
    #[serde(default)]
    pub version: i32,
    #[serde(default)]
    pub status: i32,
}

/// `/cluster/id`.
#[derive(Debug, Serialize, Deserialize)]
pub struct ClusterIdJson {
    #[serde(default)]
    pub version: String,
    pub id: String,
}

/// `/latest_producer_id_block`; numbers as text, as Kafka writes them.
#[derive(Debug, Serialize, Deserialize)]
pub struct ProducerIdsJson {
    #[serde(default)]
    pub version: i32,
    pub broker: i32,
    pub block_start: String,
    pub block_end: String,
}

/// Reads any of the above; the sentence says what is wrong.
pub fn read<'a, T: Deserialize<'a>>(data: Option<&'a [u8]>) -> Result<T, String> {
    let data = data.unwrap_or_default();
    if data.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is no JSON object".to_string()); // serde would take an array's items for fields
    }
    serde_json::from_slice(data).map_err(|error| error.to_string())
}

/// Writes any of the above. Keys are texts or integers and values finite, so that it cannot fail.
pub fn write(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The broker ids of `replicas`.
pub fn ids(replicas: &[NodeId]) -> Vec<i32> {
    replicas.iter().map(|id| id.0).collect()
}

/// The data of `/brokers/topics/T`.
pub fn topic(id: TopicId, partitions: &[Replicas], adding: Assignment, removing: Assignment) -> Vec<u8> {
    let partitions = partitions.iter().enumerate().map(|(index, replicas)| (index as i32, ids(replicas))).collect();
    write(&TopicJson {
        partitions,
        topic_id: Some(id.to_string()),
        adding_replicas: adding,
        removing_replicas: removing,
        version: 3,
    })
}

/// The data of the state of a partition of which every replica may have records; no leader is -1.
pub fn state(leader: Option<NodeId>, epoch: LeaderEpoch, isr: &[NodeId], controller_epoch: i32) -> Vec<u8> {
    state_with_emptied(leader, epoch, isr, controller_epoch, &[])
}

/// The same with replicas whose disks were emptied.
pub(super) fn state_with_emptied(
    leader: Option<NodeId>,
    epoch: LeaderEpoch,
    isr: &[NodeId],
    controller_epoch: i32,
    emptied: &[NodeId],
) -> Vec<u8> {
    write(&StateJson {
        controller_epoch,
        leader: leader.map_or(-1, |id| id.0),
        version: 1,
        leader_epoch: epoch.0,
        isr: ids(isr),
        emptied: ids(emptied),
    })
}

/// The data of `/brokers/ids/N`. Kafka repeats the first PLAINTEXT endpoint as `host` and `port`.
pub fn broker(endpoints: &[Endpoint], rack: Option<&str>, time: Timestamp) -> Vec<u8> {
    let levels = serde_json::json!({ "min_version": features::FIRST, "max_version": features::LEVEL });
    let plain = endpoints.iter().find(|endpoint| endpoint.security_protocol == "PLAINTEXT");
    write(&BrokerJson {
        features: [(NAME.to_string(), levels)].into(),
        listener_security_protocol_map: endpoints
            .iter()
            .map(|endpoint| (endpoint.listener.clone(), endpoint.security_protocol.clone()))
            .collect(),
        endpoints: endpoints.iter().map(Endpoint::to_string).collect(),
        rack: rack.map(str::to_string),
        jmx_port: -1,
        port: plain.map_or(-1, |endpoint| endpoint.port as i32),
        host: plain.map(|endpoint| endpoint.host.clone()),
        version: 5,
        timestamp: time.0.to_string(),
    })
}

/// The data of `/config/topics/T`.
pub fn config(config: &ConfigMap) -> Vec<u8> {
    write(&ConfigJson { version: 1, config: config.clone() })
}

/// The data of `/config/changes/config_change_N`.
pub fn config_change(entity_path: &str) -> Vec<u8> {
    #[derive(Serialize)]
    struct ConfigChangeJson<'a> {
        version: i32,
        entity_path: &'a str,
    }
    write(&ConfigChangeJson { version: 2, entity_path })
}

/// The data of `/controller`.
pub fn controller(broker: NodeId, time: Timestamp) -> Vec<u8> {
    write(&ControllerJson {
        version: 2,
        brokerid: broker.0,
        timestamp: time.0.to_string(),
        kraft_controller_epoch: no_epoch(),
    })
}

/// The data of `/cluster/id`.
pub fn cluster_id(id: &str) -> Vec<u8> {
    write(&ClusterIdJson { version: "1".to_string(), id: id.to_string() })
}

/// The data of `/feature`: enabled, and the one feature has this level.
pub fn features(level: u16) -> Vec<u8> {
    write(&FeaturesJson { features: [(NAME.to_string(), level.into())].into(), version: 2, status: 1 })
}

/// The data of `/latest_producer_id_block`.
pub fn producer_ids(block: &ProducerIdBlock) -> Vec<u8> {
    write(&ProducerIdsJson {
        version: 1,
        broker: block.broker.0,
        block_start: block.start.to_string(),
        block_end: block.end.to_string(),
    })
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{}://{open}{}{close}:{}", self.listener, self.host, self.port)
    }
}

impl BrokerJson {
    /// The highest level that the broker's program understands; those that name none know the first.
    pub fn feature_level_max(&self) -> u16 {
        let levels = self.features.get(NAME).and_then(|levels| levels.get("max_version"));
        let highest = levels.and_then(serde_json::Value::as_u64).unwrap_or(features::FIRST.into());
        u16::try_from(highest).unwrap_or(u16::MAX)
    }

    /// Where the broker listens; registrations before version 2 know only host and port.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, String> {
        if self.endpoints.is_empty() {
            let host = self.host.clone().ok_or("neither endpoints nor host")?;
            let port = u16::try_from(self.port).map_err(|_| format!("port {} is out of range", self.port))?;
            let plain = "PLAINTEXT".to_string();
            return Ok(vec![Endpoint { listener: plain.clone(), security_protocol: plain, host, port }]);
        }
        self.endpoints.iter().map(|text| self.endpoint(text)).collect()
    }

    fn endpoint(&self, text: &str) -> Result<Endpoint, String> {
        let parts = || {
            let (listener, address) = text.split_once("://")?;
            let (host, port) = address.rsplit_once(':')?;
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            Some((listener, host, port.parse().ok()?))
        };
        let (listener, host, port) = parts().ok_or_else(|| format!("{text:?} is no endpoint"))?;
        let security_protocol = self.listener_security_protocol_map.get(listener).map_or(listener, String::as_str);
        Ok(Endpoint {
            listener: listener.to_string(),
            security_protocol: security_protocol.to_string(),
            host: host.to_string(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shapes that Kafka's tools print, byte for byte where they fix an order and by meaning where not.
    #[test]
    fn shapes_are_kafkas() {
        let replicas = |ids: &[i32]| ids.iter().map(|&id| NodeId(id)).collect::<Replicas>();
        let topic =
            topic(TopicId([1; 16]), &[replicas(&[2, 1]), replicas(&[3, 2])], Assignment::new(), Assignment::new());
        assert_eq!(
            std::str::from_utf8(&topic).unwrap(),
            r#"{"partitions":{"0":[2,1],"1":[3,2]},"topic_id":"AQEBAQEBAQEBAQEBAQEBAQ","adding_replicas":{},"removing_replicas":{},"version":3}"#
        );
        let state = state(Some(NodeId(1)), LeaderEpoch(4), &[NodeId(1)], 7);
        assert_eq!(
            std::str::from_utf8(&state).unwrap(),
            r#"{"controller_epoch":7,"leader":1,"version":1,"leader_epoch":4,"isr":[1]}"#
        );
        let block = producer_ids(&ProducerIdBlock { broker: NodeId(1), start: 1000, end: 1999, version: 0 });
        assert_eq!(
            std::str::from_utf8(&block).unwrap(),
            r#"{"version":1,"broker":1,"block_start":"1000","block_end":"1999"}"#
        );
    }

    /// A registration survives the way through JSON, and one of an old broker is understood.
    #[test]
    fn registrations() {
        let endpoint = |listener: &str, protocol: &str, host: &str| Endpoint {
            listener: listener.to_string(),
            security_protocol: protocol.to_string(),
            host: host.to_string(),
            port: 9092,
        };
        let endpoints = [endpoint("INTERNAL", "SSL", "::1"), endpoint("PLAINTEXT", "PLAINTEXT", "board1")];
        let bytes = broker(&endpoints, Some("shed"), Timestamp(5));
        let json: BrokerJson = read(Some(&bytes)).unwrap();
        assert_eq!(json.endpoints().unwrap(), endpoints);
        assert_eq!((json.host.as_deref(), json.port, json.version), (Some("board1"), 9092, 5));
        assert_eq!(json.feature_level_max(), features::LEVEL);
        let old: BrokerJson = read(Some(br#"{"jmx_port":-1,"host":"h","port":1,"version":1}"#)).unwrap();
        assert_eq!(old.endpoints().unwrap()[0].to_string(), "PLAINTEXT://h:1");
        assert_eq!(old.feature_level_max(), features::FIRST);
        assert!(read::<BrokerJson>(Some(b"[]")).is_err() && read::<BrokerJson>(None).is_err());
    }
}
