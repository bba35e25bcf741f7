//! Puts a node together from what was configured and what was bound.

use std::net::SocketAddr;
use std::sync::Arc;

use super::Listener;
use super::Node;
use super::route::Routes;
use crate::config::Config;
use crate::engine::Engine;
use crate::http::HttpDoor;
use crate::kafka::{self, KafkaDoor};
use crate::limits::CLOCK_FLOOR_MS;
use crate::memory::{Accounts, Table};
use crate::mqtt::{self, MqttDoor};
use crate::types::{Rng, Timestamp};
use crate::zookeeper::{self, ZooKeeperDoor};

impl Node {
    /// A node that has not started: its first input is `Start`. `bound` are the addresses that the listeners really
    /// got, where the configuration said port 0; `seed` must differ between two lives of a node. The error is a
    /// sentence about the configuration.
    pub fn new(
        mut config: Config,
        table: Table,
        accounts: &Accounts,
        bound: &[(Listener, SocketAddr)],
        seed: u64,
    ) -> Result<Node, String> {
        let mut rng = Rng::new(seed);
        fill_in_ports(&mut config, bound);
        let addresses: Vec<SocketAddr> = bound
            .iter()
            .filter(|(listener, _)| matches!(listener, Listener::Kafka(_)))
            .map(|(_, address)| *address)
            .collect();
        let settings = kafka::Settings::new(&config, &addresses);
        let (requests, responses) = (accounts.kafka_requests.clone(), accounts.responses.clone());
        let kafka = KafkaDoor::new(settings, requests, responses.clone(), Rng::new(rng.next()));
        let mqtt = MqttDoor::new(
            mqtt::Settings::new(&config, accounts).map_err(|error| error.to_string())?,
            Rng::new(rng.next()),
        );
        let zookeeper = ZooKeeperDoor::new(zookeeper::Settings::new(&config, accounts), accounts);
        let routes = Routes::new(config.memory.connections_max);
        let floor = Timestamp(CLOCK_FLOOR_MS);
        let engine = Engine::new(Arc::new(config), accounts, floor, rng.next());
        Ok(Node {
            engine,
            kafka,
            zookeeper,
            mqtt,
            http: HttpDoor::new(table, responses),
            routes,
            ready_said: false,
            wake_at: None,
            worked_on: None,
        })
    }
}

/// A port that was 0 becomes the one that was bound: it is what this broker registers and advertises.
fn fill_in_ports(config: &mut Config, bound: &[(Listener, SocketAddr)]) {
    for (listener, address) in bound {
        if let Listener::ZooKeeper = listener {
            config.zookeeper.bind.port = address.port();
        }
        let Listener::Kafka(index) = listener else { continue };
        if let Some(listener) = config.kafka.listeners.get_mut(*index as usize) {
            listener.bind.port = address.port();
            if listener.advertised.port == 0 {
                listener.advertised.port = address.port();
            }
        }
    }
}
