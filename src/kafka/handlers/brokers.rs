//! Where a client can reach the brokers: at the address of the listener through which it asked.

use crate::engine::Cluster;
use crate::engine::cluster::Broker;
use crate::kafka::settings::ListenerSettings;
use crate::types::NodeId;

/// A broker that the client can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reachable<'a> {
    /// Its id.
    pub node_id: NodeId,
    /// The host to dial, as advertised.
    pub host: &'a str,
    /// The port to dial.
    pub port: u16,
    /// Its rack, if it told.
    pub rack: Option<&'a str>,
}

/// Every broker that has a listener of that name, this one always, registered or not.
pub fn reachable<'a>(
    cluster: &'a Cluster,
    this: NodeId,
    listener: Option<&'a ListenerSettings>,
) -> impl Iterator<Item = Reachable<'a>> {
    let own = move |rack| listener.map(|own| Reachable { node_id: this, host: &own.host, port: own.port, rack });
    let unregistered = if cluster.brokers.contains_key(&this) { None } else { own(None) };
    let registered = cluster.brokers.iter().filter_map(move |(&node_id, broker)| {
        if node_id == this { own(broker.rack.as_deref()) } else { address(node_id, broker, &listener?.name) }
    });
    unregistered.into_iter().chain(registered)
}

fn address<'a>(node_id: NodeId, broker: &'a Broker, listener: &str) -> Option<Reachable<'a>> {
    let endpoint = broker.endpoints.iter().find(|endpoint| endpoint.listener == listener)?;
    Some(Reachable { node_id, host: &endpoint.host, port: endpoint.port, rack: broker.rack.as_deref() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cluster::Endpoint;
    use crate::types::{SessionId, Zxid};

    fn broker(listener: &str, host: &str, port: u16) -> Broker {
        let endpoint = Endpoint {
            listener: listener.to_owned(),
            security_protocol: "PLAINTEXT".to_owned(),
            host: host.to_owned(),
            port,
        };
        Broker { endpoints: vec![endpoint], rack: None, epoch: Zxid(1), session: SessionId(1), feature_level_max: 1 }
    }

    /// Addresses are those of the listener that was asked; who lacks it is left out; this node is there before it is
    /// registered, and once afterwards.
    #[test]
    fn by_listener() {
        let mut cluster = Cluster::default();
        let listener = ListenerSettings { name: "FIELD".to_owned(), host: "me".to_owned(), port: 1 };
        let hosts = |cluster: &Cluster| {
            let hosts = reachable(cluster, NodeId(2), Some(&listener)).map(|broker| broker.host.to_owned());
            hosts.collect::<Vec<_>>()
        };
        cluster.brokers.insert(NodeId(1), broker("FIELD", "one", 9092));
        cluster.brokers.insert(NodeId(3), broker("OFFICE", "three", 9092));
        assert_eq!(hosts(&cluster), ["me", "one"]);
        cluster.brokers.insert(NodeId(2), broker("FIELD", "as registered", 9092));
        assert_eq!(hosts(&cluster), ["one", "me"]);
    }
}
