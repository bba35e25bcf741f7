//! The tree and its controller, as one thing that is never lost: sessions, elections, conditional changes of states.
//! Nodes see its changes in order, as late as chance wants.

use std::collections::BTreeMap;
use std::sync::Arc;

use tern::broker::replication::StateWish;
use tern::coordinator::cluster::{Broker as Registration, ConfigMap, Replicas};
use tern::coordinator::{Change, Cluster, PartitionState, Topic, features};
use tern::types::{Instant, LeaderEpoch, NodeId, SessionId, TopicId, Zxid};

pub const TOPIC: &str = "t";

pub struct Controller {
    /// Every change with the cluster after it.
    pub log: Vec<(Change, Cluster)>,
    pub now: Cluster,
    /// When each session ends.
    pub sessions: BTreeMap<NodeId, Instant>,
    /// The disk that each broker had when it registered last.
    pub disks: BTreeMap<NodeId, u64>,
    /// The board whose bits flip, and one whose disk was replaced and that has not registered since: what the tree believes
    /// in sync there may be gone.
    pub rots: NodeId,
    pub wiped: Option<NodeId>,
    pub elections: u32,
    pub shrinks: u32,
    pub expansions: u32,
    pub moves_begun: u32,
    pub moves_done: u32,
}

/// Where the copies of a partition belong.
pub fn home(partition: usize, nodes: &[NodeId], copies: usize) -> Replicas {
    let turned = nodes.iter().cycle().skip(partition % nodes.len());
    turned.take(copies).copied().collect()
}

fn topic(partitions: usize, nodes: &[NodeId], copies: usize, min_insync: usize) -> Topic {
    let state = |index: usize| {
        let replicas = home(index, nodes, copies);
        PartitionState {
            leader: None,
            leader_epoch: LeaderEpoch(0),
            isr: replicas.clone(),
            version: 0,
            controller_epoch: 1,
            replicas,
            ..PartitionState::default()
        }
    };
    let name: Arc<str> = TOPIC.into();
    let config = [("min.insync.replicas", min_insync.to_string()), ("segment.bytes", "4096".to_string())];
    Topic {
        name,
        id: TopicId([7; 16]),
        partitions: (0..partitions).map(state).collect(),
        config: config.into_iter().map(|(key, value)| (key.to_string(), value)).collect::<ConfigMap>(),
        version: 0,
    }
}

impl Controller {
    pub fn new(partitions: usize, nodes: &[NodeId], copies: usize, min_insync: usize, rots: NodeId) -> Controller {
        let topic = topic(partitions, nodes, copies, min_insync);
        let feature_level = features::LEVEL;
        let mut now = Cluster { cluster_id: Some("cluster".into()), feature_level, ..Cluster::default() };
        now.topic_names.insert(topic.id, topic.name.clone());
        now.topics.insert(topic.name.clone(), topic);
        Controller {
            log: Vec::new(),
            now,
            sessions: BTreeMap::new(),
            disks: BTreeMap::new(),
            rots,
            wiped: None,
            elections: 0,
            shrinks: 0,
            expansions: 0,
            moves_begun: 0,
            moves_done: 0,
        }
    }

    fn push(&mut self, change: Change) {
        self.log.push((change, self.now.clone()));
    }

    fn change_states(&mut self, change: impl Fn(&Cluster, &mut PartitionState) -> bool) {
        let before = self.now.clone();
        let topic = self.now.topics.get_mut(TOPIC).unwrap();
        let mut has_changed = false;
        for state in &mut topic.partitions {
            if change(&before, state) {
                state.version += 1;
                has_changed = true;
            }
        }
        if has_changed {
            self.push(Change::PartitionsChanged { name: TOPIC.into() });
        }
    }

    /// Changes the state of one partition, when `change` says so.
    pub fn change_state(&mut self, partition: usize, change: impl FnOnce(&Cluster, &mut PartitionState) -> bool) {
        let before = self.now.clone();
        let state = &mut self.now.topics.get_mut(TOPIC).unwrap().partitions[partition];
        if change(&before, state) {
            state.version += 1;
            self.push(Change::PartitionsChanged { name: TOPIC.into() });
        }
    }

    /// A new life of a broker: the epochs of what it led rise before anybody hears of it, and on another disk than before
    /// it is in sync nowhere. `coordinator`'s own `RegisterBrokerIn` is tested there.
    pub fn register(&mut self, node: NodeId, disk: u64, at: Instant, timeout_us: u64) {
        self.sessions.insert(node, Instant(at.0 + timeout_us));
        let life = self.log.len() as i64 + 1;
        let registration = Registration {
            endpoints: Vec::new(),
            rack: None,
            epoch: Zxid(life),
            session: SessionId(life),
            feature_level_max: features::LEVEL,
        };
        self.now.brokers.insert(node, registration);
        let is_wiped = self.disks.insert(node, disk).is_some_and(|before| before != disk);
        self.wiped.take_if(|wiped| *wiped == node);
        self.change_states(|_, state| {
            let led = state.leader == Some(node);
            if led {
                state.leader_epoch.0 += 1;
            }
            if led && is_wiped {
                state.leader = None;
            }
            let was_in_sync = is_wiped && state.isr.contains(&node);
            state.isr.retain(|other| !is_wiped || *other != node);
            led || was_in_sync
        });
        self.push(Change::BrokersChanged);
        self.elect();
    }

    /// Sessions that nobody has renewed end.
    pub fn expire(&mut self, at: Instant) {
        let ended: Vec<NodeId> = self.sessions.iter().filter(|(_, ends)| **ends < at).map(|(node, _)| *node).collect();
        for node in ended {
            self.sessions.remove(&node);
            self.now.brokers.remove(&node);
            self.push(Change::BrokersChanged);
        }
        self.elect();
    }

    fn elect(&mut self) {
        let elections = std::cell::Cell::new(0);
        self.change_states(|cluster, state| {
            let is_alive = |node: &NodeId| cluster.brokers.contains_key(node);
            if state.leader.as_ref().is_some_and(is_alive) {
                return false;
            }
            let leader = state.replicas.iter().copied().find(|node| state.isr.contains(node) && is_alive(node));
            let Some(leader) = leader else { return false };
            elections.set(elections.get() + 1);
            state.leader = Some(leader);
            state.leader_epoch.0 += 1;
            true
        });
        self.elections += elections.get();
    }

    /// What a leader wishes, if the state is still the one it was wished for.
    pub fn grant(&mut self, partition: usize, wish: &StateWish) -> bool {
        let state = &mut self.now.topics.get_mut(TOPIC).unwrap().partitions[partition];
        if state.version != wish.version {
            return false;
        }
        assert!(wish.isr.contains(&wish.leader), "{wish:?}");
        assert!(wish.isr.iter().all(|node| state.replicas.contains(node)), "{wish:?}");
        self.shrinks += (wish.isr.len() < state.isr.len()) as u32;
        self.expansions += (wish.isr.len() > state.isr.len()) as u32;
        state.version += 1;
        state.leader = Some(wish.leader);
        state.leader_epoch.0 += wish.raises_epoch as i32;
        state.isr = wish.isr.clone();
        self.push(Change::PartitionsChanged { name: TOPIC.into() });
        true
    }
}
