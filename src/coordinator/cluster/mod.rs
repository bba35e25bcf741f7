//! The typed view of what the tree says about brokers, topics and the controller. Doors and the broker read this,
//! never JSON.
//!
//! Invariants: it is a function of the tree, kept up to date by `apply` alone; what the tree says wrongly is left out
//! here and reported as `Change::Invalid`.

pub mod json;
pub mod quotas;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub use quotas::{ClientQuotas, QuotaValues};
pub(super) use update::read_assignment;
pub use update::{assignment_of, check_topic_name};

use crate::limits::REPLICAS_MAX;
use crate::types::{LeaderEpoch, NodeId, PartitionIndex, SessionId, TopicId, Zxid};

/// The brokers of one partition, at most `REPLICAS_MAX`.
pub type Replicas = heapless::Vec<NodeId, REPLICAS_MAX>;

/// A topic's or a broker's configuration as the tree has it: only what was set.
pub type ConfigMap = BTreeMap<String, String>;

/// What the tree says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cluster {
    /// `/brokers/ids/N`.
    pub brokers: BTreeMap<NodeId, Broker>,
    /// The boards that `/zookeeper/config` names.
    pub members: BTreeSet<NodeId>,
    /// `/brokers/topics/T`, those that have an id.
    pub topics: BTreeMap<Arc<str>, Topic>,
    /// The names of `topics`, by id.
    pub topic_names: BTreeMap<TopicId, Arc<str>>,
    /// `/brokers/topics/T` as old tools write it, without an id: the controller completes them.
    pub incoming: BTreeMap<Arc<str>, Vec<Replicas>>,
    /// `/admin/delete_topics/T`: the controller deletes them.
    pub deleting: BTreeSet<Arc<str>>,
    /// `/config/topics/T`, also of topics that do not exist yet.
    pub topic_configs: BTreeMap<Arc<str>, ConfigMap>,
    /// `/config/brokers/N`; `None` is `<default>`.
    pub broker_configs: BTreeMap<Option<NodeId>, ConfigMap>,
    /// `/config/clients/C`, `/config/users/U` and `/config/users/U/clients/C`.
    pub quotas: ClientQuotas,
    /// `/controller`.
    pub controller: Option<Controller>,
    /// `/controller_epoch`; 0 before the first controller.
    pub controller_epoch: i32,
    /// `/cluster/id`.
    pub cluster_id: Option<Arc<str>>,
    /// What all members understand, by `/feature`; see `features`. 0 before the tree says anything.
    pub feature_level: u16,
    /// `/latest_producer_id_block`.
    pub producer_ids: Option<ProducerIdBlock>,
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// One for each listener, in the order of the registration.
    pub endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// The registration's czxid: Kafka's broker epoch.
    pub epoch: Zxid,
    /// The session that keeps it alive.
    pub session: SessionId,
    /// The highest level that its program understands; see `features`.
    pub feature_level_max: u16,
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `PLAINTEXT`, `INTERNAL`, ...
    pub listener: String,
    /// By `listener.security.protocol.map`.
    pub security_protocol: String,
    /// As advertised.
    pub host: String,
    /// As advertised.
    pub port: u16,
}

/// A topic that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its identity for life.
    pub id: TopicId,
    /// By partition index, without gaps.
    pub partitions: Vec<PartitionState>,
    /// What `/config/topics/T` sets.
    pub config: ConfigMap,
    /// The version of the znode `/brokers/topics/T`.
    pub version: i32,
}

/// One partition: its assignment and `/brokers/topics/T/partitions/P/state`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The assignment; the first is the preferred leader.
    pub replicas: Replicas,
    /// Those being added by a reassignment.
    pub adding: Replicas,
    /// Those being removed by a reassignment.
    pub removing: Replicas,
    /// `None` while no replica in the ISR is alive, and before the state exists.
    pub leader: Option<NodeId>,
    /// `LeaderEpoch::NONE` before the state exists.
    pub leader_epoch: LeaderEpoch,
    /// In sync by the last committed word.
    pub isr: Replicas,
    /// Those that came back with an empty disk and have not been in sync since (`features::EMPTIED`).
    pub emptied: Replicas,
    /// The version of the state's znode, for conditional changes; -1 before it exists.
    pub version: i32,
    /// The epoch of the controller that wrote the state.
    pub controller_epoch: i32,
}

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controller {
    /// The broker.
    pub broker: NodeId,
    /// The session that holds `/controller`.
    pub session: SessionId,
}

/// The last block of producer ids that was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerIdBlock {
    /// To whom.
    pub broker: NodeId,
    /// The first id.
    pub start: i64,
    /// The last id.
    pub end: i64,
    /// The version of the znode.
    pub version: i32,
}

/// What a transaction changed for brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A topic with an id came into being.
    TopicCreated { name: Arc<str>, id: TopicId },
    /// A topic is gone; its partitions may be deleted.
    TopicDeleted { name: Arc<str>, id: TopicId },
    /// Assignment, leaders or ISR of some of its partitions changed, or partitions were added.
    PartitionsChanged { name: Arc<str> },
    /// `/config/topics/T` changed.
    TopicConfigChanged { name: Arc<str> },
    /// `/config/brokers/N` changed; `None` is `<default>`.
    BrokerConfigChanged { broker: Option<NodeId> },
    /// A broker came, went or moved.
    BrokersChanged,
    /// `/controller` changed.
    ControllerChanged,
    /// A topic without an id, or without partition states, waits for the controller.
    TopicIncoming { name: Arc<str> },
    /// `/admin/delete_topics/T` waits for the controller.
    DeletionRequested { name: Arc<str> },
    /// A znode that brokers read cannot be understood. It stays what it is and creates nothing.
    Invalid { path: String, why: String },
}

impl Default for PartitionState {
    /// Before its state exists.
    fn default() -> Self {
        PartitionState {
            replicas: Replicas::new(),
            adding: Replicas::new(),
            removing: Replicas::new(),
            leader: None,
            leader_epoch: LeaderEpoch::NONE,
            isr: Replicas::new(),
            emptied: Replicas::new(),
            version: -1,
            controller_epoch: 0,
        }
    }
}

impl PartitionState {
    /// How many replicas it has, without those that a reassignment adds.
    pub fn copies(&self) -> usize {
        self.replicas.len().saturating_sub(self.adding.len())
    }

    /// The data of its next state. Whoever is in sync has what there is, whatever became of its disk before.
    pub fn next_state(
        &self,
        leader: Option<NodeId>,
        epoch: LeaderEpoch,
        isr: &[NodeId],
        controller_epoch: i32,
    ) -> Vec<u8> {
        let is_empty = |id: &&NodeId| self.replicas.contains(id) && !isr.contains(id);
        let emptied: Replicas = self.emptied.iter().filter(is_empty).copied().collect();
        json::state_with_emptied(leader, epoch, isr, controller_epoch, &emptied)
    }
}

impl Topic {
    /// The controller has yet to give some of its partitions a state.
    pub fn lacks_states(&self) -> bool {
        self.partitions.iter().any(|partition| partition.version < 0)
    }
}

impl Cluster {
    /// The boards that there are, alive or not: members of the ensemble and registered brokers.
    pub fn boards(&self) -> BTreeSet<NodeId> {
        self.members.iter().chain(self.brokers.keys()).copied().collect()
    }

    /// The topic of that name.
    pub fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    /// The topic of that id.
    pub fn topic_by_id(&self, id: TopicId) -> Option<&Topic> {
        self.topics.get(self.topic_names.get(&id)?)
    }

    /// One partition of a topic.
    pub fn partition(&self, topic: &str, index: PartitionIndex) -> Option<&PartitionState> {
        self.topic(topic)?.partitions.get(usize::try_from(index.0).ok()?)
    }
}
