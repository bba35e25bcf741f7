//! All nodes of the demonstration: how they are configured, who of them is asked for what, and what can be done to them.

use std::io;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use super::links::{Links, NODE_HOST, RELAY_HOST};
use super::node::{Condition, Doors, Node};

/// Where sensors' messages go, and how many partitions they are spread over when there are several nodes.
const RULE: &str = "mqtt.map.0=sensors/+/# -> sensors key={1}";

/// Timeouts for nodes on one wire: a node that is silent for so long is taken for gone.
const SESSION_MS: u32 = 1200;

/// The nodes and the cables between them.
pub struct Ensemble {
    /// By number.
    pub nodes: Vec<Node>,
    links: Option<Arc<Links>>,
}

impl Ensemble {
    /// Starts so many nodes below `directory` and waits until all are ready.
    pub fn start(count: usize, directory: &Path) -> io::Result<Ensemble> {
        let mut shared = vec![RULE.to_owned()];
        let mut links = None;
        if count > 1 {
            let ports = free_ports(count)?;
            links = Some(Links::new(&ports)?);
            shared.extend(settings(count, &ports, directory)?);
        }
        let mut ensemble = Ensemble { nodes: Vec::new(), links };
        for number in 1..=count {
            let mut settings = shared.clone();
            settings.push(format!("broker.id={number}"));
            ensemble.nodes.push(Node::start(number, directory.join(format!("node{number}")), settings)?);
        }
        for node in &mut ensemble.nodes {
            node.ready()?;
        }
        Ok(ensemble)
    }

    /// The node of that number.
    pub fn node(&mut self, number: usize) -> io::Result<&mut Node> {
        let node = self.nodes.iter_mut().find(|node| node.number == number);
        node.ok_or_else(|| io::Error::other(format!("there is no node {number}")))
    }

    /// Cuts a node off, or connects it again.
    pub fn cut(&mut self, number: usize, is_cut: bool) -> io::Result<()> {
        if let Some(links) = &self.links {
            links.cut(number, is_cut);
        }
        self.node(number)?.condition = if is_cut { Condition::CutOff } else { Condition::Running };
        Ok(())
    }

    /// A door of every node.
    pub fn doors(&self, pick: fn(&Doors) -> &String) -> Vec<String> {
        self.nodes.iter().map(|node| pick(&node.doors).clone()).collect()
    }

    /// Stops every node; true when all did so cleanly.
    pub fn stop(mut self) -> io::Result<bool> {
        let mut all = true;
        for node in std::mem::take(&mut self.nodes) {
            all &= node.stop()?;
        }
        Ok(all)
    }
}

impl Drop for Ensemble {
    fn drop(&mut self) {
        if let Some(links) = &self.links {
            links.end();
        }
    }
}

/// What is the same on every node.
fn settings(count: usize, ports: &[[u16; 2]], directory: &Path) -> io::Result<Vec<String>> {
    let secret = directory.join("secret");
    std::fs::write(&secret, format!("only of this demonstration: {}-{ports:?}\n", std::process::id()))?;
    let mut settings = vec![
        format!("tern.peer.secret.file={}", secret.display()),
        format!("tern.peer.bind={NODE_HOST}"),
        "tickTime=400".to_owned(),
        format!("broker.session.timeout.ms={SESSION_MS}"),
        "replica.lag.time.max.ms=3000".to_owned(),
        format!("default.replication.factor={count}"),
        format!("min.insync.replicas={}", count / 2 + 1),
        format!("num.partitions={count}"),
    ];
    for (index, [data, quorum]) in ports.iter().enumerate() {
        settings.push(format!("server.{}={RELAY_HOST}:{data}:{quorum}", index + 1));
    }
    Ok(settings)
}

/// Ports that nobody uses now, two a node.
fn free_ports(count: usize) -> io::Result<Vec<[u16; 2]>> {
    let bind = || TcpListener::bind((NODE_HOST, 0));
    let listeners = (0..count).map(|_| Ok([bind()?, bind()?])).collect::<io::Result<Vec<_>>>()?;
    let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
    listeners.iter().map(|[data, quorum]| Ok([port(data)?, port(quorum)?])).collect()
}
