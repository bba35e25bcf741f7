//! Keeps the view true: for each path that a transaction touched, reads again what the tree says there now.
//!
//! Because only the state after the transaction is read, the order of its changes does not matter, and a rebuild from
//! the whole tree gives the same view.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::json::{self, Assignment, StateJson, TopicJson};
use super::{Broker, Change, Cluster, Controller, PartitionState, ProducerIdBlock, Replicas, Topic};
use crate::coordinator::NodeChange;
use crate::coordinator::features;
use crate::coordinator::tree::{Owner, Tree, Znode};
use crate::limits::{MEMBERS_MAX, PARTITIONS_PER_TOPIC_MAX, TOPIC_NAME_BYTES_MAX};
use crate::types::{LeaderEpoch, NodeId, SessionId, TopicId};

/// One transaction's effect on the view.
struct Update<'a> {
    tree: &'a Tree,
    out: &'a mut Vec<Change>,
    /// Topics touched, with the ids they had before.
    topics: BTreeMap<Arc<str>, Option<TopicId>>,
    configs: BTreeSet<Arc<str>>,
    seen: BTreeSet<&'a str>,
}

impl Cluster {
    /// Takes in what a transaction touched.
    pub(in crate::coordinator) fn update(&mut self, tree: &Tree, changed: &[NodeChange], out: &mut Vec<Change>) {
        let mut update = Update { tree, out, topics: BTreeMap::new(), configs: BTreeSet::new(), seen: BTreeSet::new() };
        for change in changed {
            if is_ours(&change.path) && update.seen.insert(&change.path) {
                self.update_path(&change.path, &mut update);
            }
        }
        self.report(update);
    }

    /// The view of a whole tree.
    pub(in crate::coordinator) fn rebuild(tree: &Tree, out: &mut Vec<Change>) -> Cluster {
        let mut cluster = Cluster::default();
        let mut update = Update { tree, out, topics: BTreeMap::new(), configs: BTreeSet::new(), seen: BTreeSet::new() };
        for single in [
            "/controller",
            "/controller_epoch",
            "/cluster/id",
            "/feature",
            "/latest_producer_id_block",
            "/zookeeper/config",
        ] {
            cluster.update_path(single, &mut update);
        }
        let children = |parent: &str| tree.get(parent).into_iter().flat_map(|znode| znode.children());
        for parent in [
            "/brokers/ids",
            "/brokers/topics",
            "/config/topics",
            "/config/brokers",
            "/config/clients",
            "/config/users",
            "/admin/delete_topics",
        ] {
            for child in children(parent) {
                cluster.update_path(&format!("{parent}/{}", child.name()), &mut update);
            }
        }
        for user in children("/config/users") {
            let parent = format!("/config/users/{}/clients", user.name());
            for client in children(&parent) {
                cluster.update_path(&format!("{parent}/{}", client.name()), &mut update);
            }
        }
        cluster.report(update);
        cluster
    }

    fn update_path(&mut self, path: &str, update: &mut Update<'_>) {
        let znode = update.tree.get(path);
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        let result = match parts[..] {
            ["brokers", "ids", id] => self.update_broker(id, znode, update),
            ["brokers", "topics", topic] => self.update_topic(topic, znode, update),
            ["brokers", "topics", topic, "partitions", index, "state"] => {
                self.update_state(topic, index, znode, update)
            }
            ["config", "topics", topic] => self.update_topic_config(topic, znode, update),
            ["config", "brokers", broker] => self.update_broker_config(broker, znode, update),
            ["config", "clients", client] => self.update_quotas(None, Some(client), znode),
            ["config", "users", user] => self.update_quotas(Some(user), None, znode),
            ["config", "users", user, "clients", client] => self.update_quotas(Some(user), Some(client), znode),
            ["admin", "delete_topics", topic] => {
                self.update_deletion(topic, znode, update);
                Ok(())
            }
            ["controller"] => self.update_controller(znode, update),
            ["controller_epoch"] => self.update_controller_epoch(znode),
            ["cluster", "id"] => self.update_cluster_id(znode),
            ["feature"] => self.update_feature(znode),
            ["latest_producer_id_block"] => self.update_producer_ids(znode),
            ["zookeeper", "config"] => {
                self.members = znode.map(read_members).unwrap_or_default();
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(why) = result {
            update.out.push(Change::Invalid { path: path.to_string(), why });
        }
    }

    fn update_broker(&mut self, id: &str, znode: Option<Znode<'_>>, update: &mut Update<'_>) -> Result<(), String> {
        let Some(id) = parse_id(id) else { return Err("the name is no broker id".to_string()) };
        let before = self.brokers.remove(&id);
        let after = znode.map(read_broker).transpose();
        if let Ok(Some(broker)) = &after {
            self.brokers.insert(id, broker.clone());
        }
        if self.brokers.get(&id) != before.as_ref() && !update.out.contains(&Change::BrokersChanged) {
            update.out.push(Change::BrokersChanged);
        }
        after.map(|_| ())
    }

    fn update_topic(&mut self, name: &str, znode: Option<Znode<'_>>, update: &mut Update<'_>) -> Result<(), String> {
        let name = self.touch_topic(name, update);
        let before = self.topics.remove(&name);
        self.incoming.remove(&name);
        if let Some(topic) = &before {
            self.topic_names.remove(&topic.id);
        }
        let Some(znode) = znode else { return Ok(()) };
        let json: TopicJson = json::read(znode.data())?;
        check_topic_name(&name)?;
        let replicas = read_assignment(&json)?;
        let Some(id) = json.topic_id.as_deref().map(|text| TopicId::parse(text).ok_or("topic_id is no id")) else {
            self.incoming.insert(name, replicas);
            return Ok(());
        };
        let id = id?;
        if id == TopicId::ZERO || self.topic_names.contains_key(&id) {
            return Err("topic_id is not unique".to_string());
        }
        let config = self.topic_configs.get(&name).cloned().unwrap_or_default();
        let mut topic = Topic { name: name.clone(), id, partitions: Vec::new(), config, version: znode.stat().version };
        let known = before.filter(|before| before.id == id).map_or(Vec::new(), |before| before.partitions);
        let mut known = known.into_iter();
        for (index, replicas) in replicas.into_iter().enumerate() {
            let mut partition = known.next().unwrap_or_else(|| read_state_of(update.tree, &name, index));
            partition.replicas = replicas;
            partition.adding = read_replicas(json.adding_replicas.get(&(index as i32)))?;
            partition.removing = read_replicas(json.removing_replicas.get(&(index as i32)))?;
            topic.partitions.push(partition);
        }
        self.topic_names.insert(id, name.clone());
        self.topics.insert(name, topic);
        Ok(())
    }

    fn update_state(
        &mut self,
        topic: &str,
        index: &str,
        znode: Option<Znode<'_>>,
        update: &mut Update<'_>,
    ) -> Result<(), String> {
        let name = self.touch_topic(topic, update);
        let place = index.parse::<usize>().ok();
        let Some(partition) =
            place.and_then(|index| self.topics.get_mut(&name).and_then(|topic| topic.partitions.get_mut(index)))
        else {
            return Ok(()); // of no topic that the view has
        };
        match znode {
            Some(znode) => read_state(znode, partition),
            None => {
                forget_state(partition);
                Ok(())
            }
        }
    }

    fn update_topic_config(
        &mut self,
        topic: &str,
        znode: Option<Znode<'_>>,
        update: &mut Update<'_>,
    ) -> Result<(), String> {
        let name = self.name(topic);
        let read = znode.map(|znode| json::read::<json::ConfigJson>(znode.data())).transpose();
        let config = read.as_ref().ok().and_then(|json| json.as_ref()).map(|json| json.config.clone());
        let known = self.topics.get_mut(&name).map(|topic| {
            topic.config = config.clone().unwrap_or_default();
        });
        match config {
            Some(config) => self.topic_configs.insert(name.clone(), config),
            None => self.topic_configs.remove(&name),
        };
        if known.is_some() {
            update.configs.insert(name);
        }
        read.map(|_| ())
    }

    fn update_broker_config(
        &mut self,
        broker: &str,
        znode: Option<Znode<'_>>,
        update: &mut Update<'_>,
    ) -> Result<(), String> {
        let broker = match broker {
            "<default>" => None,
            id => Some(parse_id(id).ok_or("the name is no broker id")?),
        };
        let read = znode.map(|znode| json::read::<json::ConfigJson>(znode.data())).transpose();
        match read.as_ref().ok().and_then(|json| json.as_ref()) {
            Some(json) => self.broker_configs.insert(broker, json.config.clone()),
            None => self.broker_configs.remove(&broker),
        };
        update.out.push(Change::BrokerConfigChanged { broker });
        read.map(|_| ())
    }

    fn update_quotas(
        &mut self,
        user: Option<&str>,
        client: Option<&str>,
        znode: Option<Znode<'_>>,
    ) -> Result<(), String> {
        // A znode without data is but the parent of others.
        let told = znode.filter(|znode| znode.data().is_some_and(|data| !data.is_empty()));
        let read = told.map(|znode| json::read::<json::ConfigJson>(znode.data())).transpose();
        let config = read.as_ref().ok().and_then(|json| json.as_ref()).map(|json| &json.config);
        self.quotas.set(user, client, config);
        read.map(|_| ())
    }

    fn update_deletion(&mut self, topic: &str, znode: Option<Znode<'_>>, update: &mut Update<'_>) {
        let name = self.name(topic);
        if znode.is_none() {
            self.deleting.remove(&name);
        } else if self.deleting.insert(name.clone()) {
            update.out.push(Change::DeletionRequested { name });
        }
    }

    fn update_controller(&mut self, znode: Option<Znode<'_>>, update: &mut Update<'_>) -> Result<(), String> {
        let before = self.controller.take();
        let read = znode.map(|znode| {
            let json: json::ControllerJson = json::read(znode.data())?;
            Ok::<_, String>(Controller { broker: NodeId(json.brokerid), session: session_of(&znode) })
        });
        let read = read.transpose();
        self.controller = read.as_ref().ok().copied().flatten();
        if self.controller != before {
            update.out.push(Change::ControllerChanged);
        }
        read.map(|_| ())
    }

    fn update_controller_epoch(&mut self, znode: Option<Znode<'_>>) -> Result<(), String> {
        self.controller_epoch = 0;
        let text = znode.and_then(|znode| znode.data()).and_then(|data| std::str::from_utf8(data).ok());
        let Some(text) = text else { return Ok(()) };
        self.controller_epoch = text.trim().parse().map_err(|_| "the controller epoch is no number")?;
        Ok(())
    }

    fn update_cluster_id(&mut self, znode: Option<Znode<'_>>) -> Result<(), String> {
        self.cluster_id = None;
        let Some(znode) = znode else { return Ok(()) };
        self.cluster_id = Some(json::read::<json::ClusterIdJson>(znode.data())?.id.as_str().into());
        Ok(())
    }

    /// A tree of the first format names no level.
    fn update_feature(&mut self, znode: Option<Znode<'_>>) -> Result<(), String> {
        self.feature_level = znode.is_some() as u16 * features::FIRST;
        let Some(data) = znode.and_then(|znode| znode.data()).filter(|data| !data.is_empty()) else { return Ok(()) };
        let json: json::FeaturesJson = json::read(Some(data))?;
        let Some(&level) = json.features.get(features::NAME) else { return Ok(()) };
        self.feature_level = u16::try_from(level).map_err(|_| "a level is between 0 and 65535")?.max(features::FIRST);
        Ok(())
    }

    fn update_producer_ids(&mut self, znode: Option<Znode<'_>>) -> Result<(), String> {
        self.producer_ids = None;
        let Some(znode) = znode else { return Ok(()) };
        let Some(data) = znode.data().filter(|data| !data.is_empty()) else { return Ok(()) };
        let json: json::ProducerIdsJson = json::read(Some(data))?;
        let number = |text: &str| text.parse::<i64>().map_err(|_| "a block's bound is no number");
        self.producer_ids = Some(ProducerIdBlock {
            broker: NodeId(json.broker),
            start: number(&json.block_start)?,
            end: number(&json.block_end)?,
            version: znode.stat().version,
        });
        Ok(())
    }

    /// One change a topic, whatever happened to its znodes.
    fn report(&self, update: Update<'_>) {
        let Update { tree, out, topics, configs, .. } = update;
        for (name, before) in topics {
            let topic = self.topics.get(&name);
            let after = topic.map(|topic| topic.id);
            let is_gone = after.is_some() || tree.get(&format!("/brokers/topics/{name}")).is_none();
            if let Some(id) = before.filter(|_| before != after && is_gone) {
                out.push(Change::TopicDeleted { name: name.clone(), id });
            }
            match after {
                Some(id) if before != after => out.push(Change::TopicCreated { name: name.clone(), id }),
                Some(_) => out.push(Change::PartitionsChanged { name: name.clone() }),
                None => {}
            }
            if self.incoming.contains_key(&name) || topic.is_some_and(Topic::lacks_states) {
                out.push(Change::TopicIncoming { name });
            }
        }
        out.extend(configs.into_iter().map(|name| Change::TopicConfigChanged { name }));
    }

    fn touch_topic(&self, name: &str, update: &mut Update<'_>) -> Arc<str> {
        let name = self.name(name);
        let id = self.topics.get(&name).map(|topic| topic.id);
        update.topics.entry(name.clone()).or_insert(id);
        name
    }

    /// The name as it is kept already, so that every map shares one allocation.
    fn name(&self, name: &str) -> Arc<str> {
        let kept = self.topics.get_key_value(name).map(|(kept, _)| kept);
        kept.or_else(|| self.topic_configs.get_key_value(name).map(|(kept, _)| kept)).cloned().unwrap_or(name.into())
    }
}

/// Most of a ZooKeeper client's znodes are none of the brokers' business.
fn is_ours(path: &str) -> bool {
    [
        "/brokers/",
        "/config/",
        "/admin/",
        "/controller",
        "/cluster/",
        "/feature",
        "/latest_producer_id_block",
        "/zookeeper/config",
    ]
    .iter()
    .any(|prefix| path.starts_with(prefix))
}

/// What Kafka allows: 1 to 249 of `[a-zA-Z0-9._-]`, but neither `.` nor `..`.
pub fn check_topic_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("a topic name is not empty".to_string());
    }
    if name == "." || name == ".." {
        return Err("a topic name is neither \".\" nor \"..\"".to_string());
    }
    if name.len() > TOPIC_NAME_BYTES_MAX {
        return Err(format!("a topic name has at most {TOPIC_NAME_BYTES_MAX} characters"));
    }
    match name.chars().find(|letter| !(letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-'))) {
        Some(letter) => Err(format!("a topic name has only letters, digits, '.', '_' and '-', not {letter:?}")),
        None => Ok(()),
    }
}

fn parse_id(text: &str) -> Option<NodeId> {
    text.parse().ok().filter(|&id| id >= 0).map(NodeId)
}

fn session_of(znode: &Znode<'_>) -> SessionId {
    match znode.owner() {
        Owner::Session(session) => session,
        _ => SessionId(0),
    }
}

/// The numbers of the lines `server.N=...`; what else there is belongs to the quorum.
fn read_members(znode: Znode<'_>) -> BTreeSet<NodeId> {
    let text = String::from_utf8_lossy(znode.data().unwrap_or_default());
    let id = |line: &str| parse_id(line.trim().strip_prefix("server.")?.split_once('=')?.0);
    text.lines().filter_map(id).take(MEMBERS_MAX).collect()
}

fn read_broker(znode: Znode<'_>) -> Result<Broker, String> {
    let json: json::BrokerJson = json::read(znode.data())?;
    let endpoints = json.endpoints()?;
    let feature_level_max = json.feature_level_max();
    Ok(Broker { endpoints, rack: json.rack, epoch: znode.stat().czxid, session: session_of(&znode), feature_level_max })
}

pub(in crate::coordinator) fn read_assignment(json: &TopicJson) -> Result<Vec<Replicas>, String> {
    if json.partitions.is_empty() {
        return Err("a topic has at least one partition".to_string());
    }
    if json.partitions.len() > PARTITIONS_PER_TOPIC_MAX {
        return Err(format!("a topic has at most {PARTITIONS_PER_TOPIC_MAX} partitions"));
    }
    let mut all = Vec::new();
    for (place, (&index, replicas)) in json.partitions.iter().enumerate() {
        if index != place as i32 {
            return Err(format!("partition {place} is missing"));
        }
        let replicas = read_replicas(Some(replicas))?;
        if replicas.is_empty() {
            return Err(format!("partition {index} has no replicas"));
        }
        all.push(replicas);
    }
    Ok(all)
}

fn read_replicas(ids: Option<&Vec<i32>>) -> Result<Replicas, String> {
    let mut replicas = Replicas::new();
    for &id in ids.into_iter().flatten() {
        if id < 0 || replicas.contains(&NodeId(id)) {
            return Err(format!("broker {id} is negative or named twice"));
        }
        replicas.push(NodeId(id)).map_err(|_| "too many replicas")?;
    }
    Ok(replicas)
}

fn read_state_of(tree: &Tree, topic: &str, index: usize) -> PartitionState {
    let mut partition = PartitionState::default();
    if let Some(znode) = tree.get(&format!("/brokers/topics/{topic}/partitions/{index}/state")) {
        // An error is reported when the state itself is touched.
        let _ = read_state(znode, &mut partition);
    }
    partition
}

fn read_state(znode: Znode<'_>, partition: &mut PartitionState) -> Result<(), String> {
    let json: StateJson = json::read(znode.data())?;
    if json.leader_epoch < 0 || json.leader < -1 {
        return Err("leader or leader epoch is negative".to_string());
    }
    partition.isr = read_replicas(Some(&json.isr))?;
    partition.emptied = read_replicas(Some(&json.emptied))?;
    partition.leader = (json.leader >= 0).then_some(NodeId(json.leader));
    partition.leader_epoch = LeaderEpoch(json.leader_epoch);
    partition.controller_epoch = json.controller_epoch;
    partition.version = znode.stat().version;
    Ok(())
}

fn forget_state(partition: &mut PartitionState) {
    let PartitionState { replicas, adding, removing, .. } = std::mem::take(partition);
    *partition = PartitionState { replicas, adding, removing, ..PartitionState::default() };
}

/// Replicas by partition in the form of JSON.
pub fn assignment_of(topic: &Topic, which: impl Fn(&PartitionState) -> &Replicas) -> Assignment {
    let all = topic.partitions.iter().enumerate();
    all.filter(|(_, partition)| !which(partition).is_empty())
        .map(|(index, partition)| (index as i32, json::ids(which(partition))))
        .collect()
}
