//! All brokers of a cluster: finds who leads a partition or coordinates a group, and keeps a connection to each.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::{Client, check, explain};
use crate::cli::usage;
use crate::config::Endpoint;
use crate::kafka::codec::{
    Array, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataRequestTopic, MetadataResponse,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{LeaderEpoch, NodeId, Offset, PartitionIndex};

/// How long a topic or a coordinator that comes into being may take.
const CREATION: Duration = Duration::from_secs(10);

/// Between two questions about it.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a broker may take to tell what is shown of it.
const LENIENCE: Duration = Duration::from_secs(3);

/// What to do about a broker that was named and is not there.
const UP_OR_WRONG: &str = "tern status shows who is up; whoever is has a wrong key advertised.listeners";

/// What `ListOffsets` takes for the start of a log, and for its end.
pub const EARLIEST: i64 = -2;
/// See [`EARLIEST`].
pub const LATEST: i64 = -1;

/// A cluster, reached through any of its brokers.
pub struct Cluster {
    bootstrap: String,
    brokers: BTreeMap<NodeId, String>,
    controller: NodeId,
    clients: BTreeMap<String, Client>,
    /// With each broker; none: the usual one.
    patience: Option<Duration>,
    /// What a broker leaves unanswered is left out.
    is_lenient: bool,
    /// Why brokers left something unanswered, the first reason of each.
    silent: BTreeMap<NodeId, io::Error>,
}

/// A topic as metadata tells it, copied out so that the connection is free again.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Kept by the brokers for themselves.
    pub is_internal: bool,
    /// In order of their indexes.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Which.
    pub index: PartitionIndex,
    /// -1: none.
    pub leader: NodeId,
    /// The leader's.
    pub epoch: LeaderEpoch,
    /// All who have or shall have a copy, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Those who are in sync.
    pub isr: Vec<NodeId>,
}

impl Cluster {
    /// Connects to the first broker of `host:port[,...]` that answers.
    pub fn connect(bootstrap: &str) -> io::Result<Cluster> {
        Cluster::connect_within(bootstrap, None)
    }

    /// The same with another patience, for every connection and answer.
    pub fn connect_within(bootstrap: &str, patience: Option<Duration>) -> io::Result<Cluster> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "--bootstrap: no address; allowed: HOST:PORT[,...]");
        for address in bootstrap.split(',').map(str::trim).filter(|address| !address.is_empty()) {
            match Client::connect_within(address, patience) {
                Ok(client) => return Ok(Cluster { patience, ..Cluster::of(address, client) }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// For those who show what there is: the first broker that answers. Nobody is waited for long, and what others leave
    /// unanswered is left out; `silent` tells who did.
    pub fn connect_leniently(bootstrap: &str) -> io::Result<Cluster> {
        let mut found = Err(io::ErrorKind::InvalidInput.into());
        for address in bootstrap.split(',') {
            let connected = Cluster::connect_within(address, Some(LENIENCE));
            found = connected.and_then(|mut cluster| cluster.metadata(Some(&[]), false).map(|_| cluster));
            if found.is_ok() {
                break;
            }
        }
        found.map(|cluster| Cluster { is_lenient: true, ..cluster })
    }

    /// The cluster of the broker at `address`.
    pub fn of(address: &str, client: Client) -> Cluster {
        let clients = BTreeMap::from([(address.to_owned(), client)]);
        let (bootstrap, brokers) = (address.to_owned(), BTreeMap::new());
        let silent = BTreeMap::new();
        Cluster { bootstrap, brokers, controller: NodeId(-1), clients, patience: None, is_lenient: false, silent }
    }

    /// The broker that was reached first, or another one when that is gone.
    pub fn any(&mut self) -> io::Result<&mut Client> {
        let known = self.brokers.values().cloned();
        let addresses: Vec<String> = std::iter::once(self.bootstrap.clone()).chain(known).collect();
        let reached = addresses.iter().find(|address| self.at(address).is_ok()).unwrap_or(&self.bootstrap).clone();
        self.at(&reached)
    }

    /// Breaks all connections; those needed come about again. Another broker than before is asked first: one that hangs
    /// accepts connections and answers nothing.
    pub fn reconnect(&mut self) {
        self.clients.clear();
        let addresses: Vec<&String> = self.brokers.values().collect();
        let known = addresses.iter().position(|address| **address == self.bootstrap);
        let next = known.map_or(0, |index| index + 1) % addresses.len().max(1);
        if let Some(next) = addresses.get(next).map(|next| (*next).clone()) {
            self.bootstrap = next;
        }
    }

    /// The broker of that id; the one reached first, when nobody knows the id.
    pub fn broker(&mut self, id: NodeId) -> io::Result<&mut Client> {
        let address = self.brokers.get(&id).unwrap_or(&self.bootstrap).clone();
        self.at(&address)
    }

    /// What a broker answers; none when it does not: `silent` says why, and it is not waited for again.
    pub fn ask<T>(&mut self, id: NodeId, question: impl FnOnce(&mut Client) -> io::Result<T>) -> Option<T> {
        if self.is_silent(id) {
            return None;
        }
        self.broker(id).and_then(question).map_err(|error| self.remember(id, error)).ok()
    }

    /// Remembers why a broker left something unanswered.
    pub fn remember(&mut self, id: NodeId, error: io::Error) {
        if !self.is_silent(id) {
            self.silent.insert(id, error);
        }
    }

    /// True when nothing comes from a broker, not even a refusal.
    pub fn is_silent(&self, id: NodeId) -> bool {
        self.silent.get(&id).is_some_and(|error| error.kind() != io::ErrorKind::Other)
    }

    /// Brokers that left something unanswered, and why.
    pub fn silent(&self) -> &BTreeMap<NodeId, io::Error> {
        &self.silent
    }

    /// An error that names those brokers, if there are any.
    pub fn all_answered(&self) -> io::Result<()> {
        let (silent, refusing): (Vec<_>, Vec<_>) = self.silent.iter().partition(|(id, _)| self.is_silent(**id));
        let mut sentences: Vec<String> = refusing.iter().map(|(id, error)| format!("node {id}: {error}")).collect();
        if !silent.is_empty() {
            let at = |id| self.brokers.get(id).map_or("an unknown address", String::as_str);
            let names: Vec<String> = silent.iter().map(|(id, _)| format!("node {id} at {}", at(id))).collect();
            sentences.push(format!("no answer from {}; {UP_OR_WRONG}", names.join(", ")));
        }
        if sentences.is_empty() { Ok(()) } else { Err(io::Error::other(sentences.join("; "))) }
    }

    /// The controller.
    pub fn controller(&mut self) -> io::Result<&mut Client> {
        self.metadata(Some(&[]), false)?;
        self.broker(self.controller)
    }

    /// The controller's id, as of the last question about topics; -1 when there is none.
    pub fn controller_id(&self) -> NodeId {
        self.controller
    }

    /// Every broker and its address, as of the last question about topics.
    pub fn brokers(&self) -> &BTreeMap<NodeId, String> {
        &self.brokers
    }

    /// The coordinator of a group, once there is one.
    pub fn coordinator(&mut self, group: &str) -> io::Result<&mut Client> {
        let started = Instant::now();
        let patience = if self.is_lenient { Duration::ZERO } else { CREATION };
        loop {
            let request = FindCoordinatorRequest { key: group, ..Default::default() };
            let response: FindCoordinatorResponse<'_> = self.any()?.call(2, &request)?;
            let address = u16::try_from(response.port).map(|port| Endpoint::new(response.host, port).to_string());
            match (response.error_code, address) {
                (ErrorCode::NONE, Ok(address)) => return self.at(&address),
                (ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, _)
                    if started.elapsed() < patience => {}
                (code, _) => {
                    explain(code, response.error_message, &format!("the coordinator of group {group}"))?;
                    return Err(io::Error::other(format!("the coordinator of group {group} has no address")));
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn at(&mut self, address: &str) -> io::Result<&mut Client> {
        if !self.clients.contains_key(address) {
            let client = Client::connect_within(address, self.patience).map_err(|error| {
                let bootstrap = &self.bootstrap;
                if address == bootstrap {
                    return error;
                }
                let kind = error.kind();
                io::Error::new(kind, format!("the broker at {bootstrap} names {address}: {kind}; {UP_OR_WRONG}"))
            })?;
            self.clients.insert(address.to_owned(), client);
        }
        self.clients.get_mut(address).ok_or_else(|| io::Error::other("no connection"))
    }

    /// Topics by name, or all of them, with the error of each; remembers brokers and controller.
    pub fn metadata(&mut self, names: Option<&[&str]>, create: bool) -> io::Result<Vec<(Topic, ErrorCode)>> {
        let wanted: Option<Vec<MetadataRequestTopic<'_>>> = names.map(|names| {
            names.iter().map(|name| MetadataRequestTopic { name: Some(name), ..Default::default() }).collect()
        });
        let request = MetadataRequest {
            topics: wanted.as_deref().map(Array::of),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let response: MetadataResponse<'_> = self.any()?.call(8, &request)?;
        let (mut topics, controller) = (Vec::new(), response.controller_id);
        for topic in response.topics.iter() {
            let partitions = topic.partitions.iter().map(|partition| Partition {
                index: partition.partition_index,
                leader: partition.leader_id,
                epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.iter().collect(),
                isr: partition.isr_nodes.iter().collect(),
            });
            let mut partitions: Vec<Partition> = partitions.collect();
            partitions.sort_unstable_by_key(|partition| partition.index);
            let name = topic.name.unwrap_or_default().to_owned();
            topics.push((Topic { name, is_internal: topic.is_internal, partitions }, topic.error_code));
        }
        let address = |host, port| u16::try_from(port).map(|port| Endpoint::new(host, port).to_string()).ok();
        let brokers = response.brokers.iter().filter_map(|b| Some((b.node_id, address(b.host, b.port)?)));
        self.brokers = brokers.collect();
        self.controller = controller;
        topics.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// All topics, in the order of their names.
    pub fn topics(&mut self) -> io::Result<Vec<Topic>> {
        Ok(self.metadata(None, false)?.into_iter().map(|(topic, _)| topic).collect())
    }

    /// A topic whose partitions all have leaders, waiting while it comes into being; `create` asks for that.
    pub fn topic(&mut self, name: &str, create: bool) -> io::Result<Topic> {
        let started = Instant::now();
        loop {
            let Some((topic, code)) = self.metadata(Some(&[name]), create)?.pop() else {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the broker's answer names no topic"));
            };
            let is_whole = !topic.partitions.is_empty() && topic.partitions.iter().all(|p| p.leader.0 >= 0);
            match code {
                ErrorCode::NONE if is_whole || started.elapsed() >= CREATION => return Ok(topic),
                ErrorCode::NONE | ErrorCode::LEADER_NOT_AVAILABLE if started.elapsed() < CREATION => {}
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION if create && started.elapsed() < CREATION => {}
                code => check(code, &format!("topic {name}"))?,
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// The offset of each partition that has a leader, by Kafka's convention for `timestamp`: [`EARLIEST`], [`LATEST`],
    /// else the first at or after that time, the end when there is none. Asks each leader once; a lenient cluster leaves
    /// those out whose leader does not answer.
    pub fn offsets(&mut self, topic: &Topic, timestamp: i64) -> io::Result<BTreeMap<PartitionIndex, Offset>> {
        let mut offsets = BTreeMap::new();
        let mut late = Vec::new();
        for (leader, partitions) in topic.by_leader() {
            let question = |client: &mut Client| client.offsets_at(&topic.name, &partitions, timestamp);
            let told = match self.is_lenient {
                true => self.ask(leader, question).unwrap_or_default(),
                false => question(self.broker(leader)?)?,
            };
            for (index, offset) in told {
                if offset.0 < 0 && timestamp >= 0 {
                    late.push(index);
                } else {
                    offsets.insert(index, offset);
                }
            }
        }
        if !late.is_empty() {
            let ends = self.offsets(topic, LATEST)?;
            offsets.extend(ends.into_iter().filter(|(index, _)| late.contains(index)));
        }
        Ok(offsets)
    }
}

impl Topic {
    /// Its partitions that have one, under their leaders.
    pub fn by_leader(&self) -> BTreeMap<NodeId, Vec<PartitionIndex>> {
        let mut leaders: BTreeMap<NodeId, Vec<PartitionIndex>> = BTreeMap::new();
        for partition in self.partitions.iter().filter(|partition| partition.leader.0 >= 0) {
            leaders.entry(partition.leader).or_default().push(partition.index);
        }
        leaders
    }

    /// Keeps one partition; an error that says what there is when the topic has none of that index.
    pub fn keep(&mut self, only: Option<i32>) -> io::Result<()> {
        let Some(only) = only else { return Ok(()) };
        let last = self.partitions.len().saturating_sub(1);
        self.partitions.retain(|partition| partition.index.0 == only);
        match self.partitions.is_empty() {
            true => Err(usage(format!("topic {} has no partition {only}; allowed: 0 to {last}", self.name))),
            false => Ok(()),
        }
    }
}
