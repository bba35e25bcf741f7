//! How `memory.budget` divides: the one place where a number of bytes becomes counts and limits.
//!
//! Some of the budget belongs to the program whatever it does. Of the rest, counts (connections, partitions, producers,
//! znodes) take what they need up to a bound of their own, and what then remains is shared by the bytes in flight.
//! Invariant: the bounds of all counts together leave a sixteenth to the bytes in flight, an ensemble's peers included, so that the sum always fits.
//! `resolve` lowers values by it, and the memory table has its lines from it.

use super::MemoryConfig;
use crate::limits::{
    CONNECTION_INPUT_BYTES_MAX, CONNECTION_STATE_BYTES, DISK_LANE_SCRATCH_BYTES, DISK_LANE_STACK_BYTES, DISK_LANES,
    KERNEL_SOCKET_BYTES_MIN, PARTITION_STATE_BYTES, PRODUCER_STATE_BYTES, PROGRAM_BYTES, QUORUM_ENTRY_BYTES_MAX,
    RUNTIME_BYTES,
};

/// What one connection costs, whatever it does.
pub const CONNECTION_BYTES: usize = CONNECTION_INPUT_BYTES_MAX + CONNECTION_STATE_BYTES + KERNEL_SOCKET_BYTES_MIN;

const MIB: usize = 1 << 20;

/// Bytes of each account, all within one budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// What the allocator loses between and around what it hands out.
    pub allocator_bytes: usize,
    /// Entries of the quorum's log that are not applied everywhere yet.
    pub quorum_bytes: usize,
    /// Consumer groups, their members and offsets.
    pub group_bytes: usize,
    /// What compaction knows of keys, and what it compresses with.
    pub compaction_bytes: usize,
    /// Kernel socket buffers beyond the least that each connection has.
    pub kernel_bytes: usize,
    /// Watches of ZooKeeper clients.
    pub watch_bytes: usize,
    /// Request frames of the Kafka door until their batches are written, and those of the ZooKeeper door.
    pub kafka_request_bytes: usize,
    /// What is read from logs and waits to be sent, over all doors but MQTT.
    pub response_bytes: usize,
    /// MQTT packets too large for a connection's own buffer.
    pub mqtt_frame_bytes: usize,
    /// Open batches of MQTT publishers, until they are written.
    pub mqtt_batch_bytes: usize,
    /// What waits to be sent to MQTT subscribers.
    pub mqtt_outgoing_bytes: usize,
    /// Messages to and from peers; 0 without an ensemble.
    pub peer_bytes: usize,
}

/// What each count may be at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountLimits {
    /// Of `max.connections`.
    pub connections: usize,
    /// Of `memory.partitions.max`.
    pub partitions: usize,
    /// Of `memory.producers.max`.
    pub producers: usize,
    /// Of `memory.tree.bytes`.
    pub tree_bytes: usize,
}

/// What is left when the program itself has its part.
fn variable_bytes(budget_bytes: usize) -> usize {
    let lanes = DISK_LANES * (DISK_LANE_STACK_BYTES + DISK_LANE_SCRATCH_BYTES);
    budget_bytes.saturating_sub(PROGRAM_BYTES + RUNTIME_BYTES + lanes + budget_bytes / 16)
}

impl CountLimits {
    /// The bounds within a budget.
    pub fn new(budget_bytes: usize) -> CountLimits {
        let variable = variable_bytes(budget_bytes);
        CountLimits {
            connections: variable / 16 * 5 / CONNECTION_BYTES,
            partitions: variable / 32 * 5 / PARTITION_STATE_BYTES,
            producers: variable / 32 / PRODUCER_STATE_BYTES,
            tree_bytes: variable / 32 * 3,
        }
    }
}

impl CountLimits {
    /// What `memory.tree.bytes` may be beside the counts of `memory`: at least its usual bound, and otherwise what they
    /// leave but for an eighth, which must flow. A board with few connections may have a large tree.
    pub fn tree_bytes_beside(memory: &MemoryConfig) -> usize {
        let without = Shares::new(&MemoryConfig { tree_bytes: 0, ..memory.clone() });
        let variable = variable_bytes(memory.budget_bytes);
        let left = (without.kafka_request_bytes / 6 * 16).saturating_sub(variable / 8);
        left.max(CountLimits::new(memory.budget_bytes).tree_bytes)
    }
}

impl MemoryConfig {
    /// The counts that suit a budget when nobody names any.
    pub fn for_budget(budget_bytes: usize) -> MemoryConfig {
        let limits = CountLimits::new(budget_bytes);
        MemoryConfig {
            budget_bytes,
            connections_max: (budget_bytes / MIB * 12).min(limits.connections).min(4096),
            partitions_max: (budget_bytes / MIB * 4).min(limits.partitions).min(4096),
            producers_max: (budget_bytes / MIB * 64).min(limits.producers),
            tree_bytes: (budget_bytes / 16).min(limits.tree_bytes),
            peers: 0,
        }
    }
}

impl Shares {
    /// Divides the budget of `memory` after its counts.
    pub fn new(memory: &MemoryConfig) -> Shares {
        let variable = variable_bytes(memory.budget_bytes);
        let (quorum_bytes, kernel_bytes, group_bytes) = (variable / 64 * 3, variable / 32 * 3, variable / 16);
        let (watch_bytes, compaction_bytes) = (variable / 64, variable / 64);
        let peer_bytes = if memory.peers > 0 { variable / 12 } else { 0 };
        // On 32 bits even a product may overflow: what cannot be counted leaves nothing to flow.
        let taken = [
            memory.connections_max.saturating_mul(CONNECTION_BYTES),
            memory.partitions_max.saturating_mul(PARTITION_STATE_BYTES),
            memory.producers_max.saturating_mul(PRODUCER_STATE_BYTES),
            memory.tree_bytes,
            quorum_bytes,
            kernel_bytes,
            group_bytes,
            watch_bytes,
            peer_bytes,
            compaction_bytes,
        ];
        let sixteenth = taken.into_iter().fold(variable, usize::saturating_sub) / 16;
        Shares {
            allocator_bytes: memory.budget_bytes / 16,
            quorum_bytes,
            group_bytes,
            kernel_bytes,
            watch_bytes,
            compaction_bytes,
            kafka_request_bytes: sixteenth * 6,
            response_bytes: sixteenth * 5,
            mqtt_frame_bytes: sixteenth,
            mqtt_batch_bytes: sixteenth * 2,
            mqtt_outgoing_bytes: sixteenth * 2,
            peer_bytes,
        }
    }

    /// The largest Kafka request: two fit at once, so that one never waits for itself.
    pub fn request_bytes_max(&self) -> usize {
        self.kafka_request_bytes / 2
    }

    /// The largest batch: it must come in and go out again, with a request's and a response's head around it.
    pub fn message_bytes_max(&self) -> usize {
        self.request_bytes_max().min(self.response_bytes / 2).saturating_sub(16 * 1024)
    }

    /// The most of one fetch response.
    pub fn fetch_bytes_max(&self) -> usize {
        self.response_bytes / 2
    }

    /// The largest transaction of the quorum's log: its entry and its batch fit at once.
    pub fn entry_bytes_max(&self) -> usize {
        (self.quorum_bytes / 2).saturating_sub(16 * 1024).min(QUORUM_ENTRY_BYTES_MAX)
    }

    /// The largest MQTT packet.
    pub fn packet_bytes_max(&self) -> usize {
        (self.mqtt_frame_bytes / 2).min(self.mqtt_batch_bytes / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100,000 znodes of 100 B fit 64 MiB when connections are few; whatever the tree takes, the rest still flows.
    #[test]
    fn a_large_tree() {
        let memory = MemoryConfig { connections_max: 200, ..MemoryConfig::for_budget(64 * MIB) };
        let tree_bytes = CountLimits::tree_bytes_beside(&memory);
        assert!(tree_bytes > 27 * MIB, "{tree_bytes}");
        let shares = Shares::new(&MemoryConfig { tree_bytes, ..memory });
        assert!(shares.message_bytes_max() >= MIB - 128 * 1024, "{}", shares.message_bytes_max());
        let usual = MemoryConfig::for_budget(16 * MIB);
        assert!(CountLimits::tree_bytes_beside(&usual) >= usual.tree_bytes);
    }

    /// From the smallest budget to the largest, defaults and bounds alike leave room for bytes in flight.
    #[test]
    fn always_fits() {
        for budget_mib in [16, 24, 32, 48, 64, 96, 128, 256, 512, 1024, 2047] {
            let budget_bytes = budget_mib * MIB;
            let limits = CountLimits::new(budget_bytes);
            let at_most = MemoryConfig {
                budget_bytes,
                connections_max: limits.connections,
                partitions_max: limits.partitions,
                producers_max: limits.producers,
                tree_bytes: limits.tree_bytes,
                peers: 2,
            };
            for memory in [MemoryConfig::for_budget(budget_bytes), at_most] {
                let shares = Shares::new(&memory);
                let flowing = shares.kafka_request_bytes / 6 * 16;
                assert!(flowing >= variable_bytes(budget_bytes) / 16, "{budget_mib} MiB: {shares:?}");
                assert!(shares.message_bytes_max() > 64 * 1024, "{budget_mib} MiB: {shares:?}");
                assert!(shares.packet_bytes_max() > 16 * 1024, "{budget_mib} MiB: {shares:?}");
            }
        }
    }

    /// The default budget carries Kafka's own largest message and some hundreds of connections.
    #[test]
    fn default_budget() {
        let memory = MemoryConfig::for_budget(64 * MIB);
        assert_eq!((memory.connections_max, memory.partitions_max, memory.producers_max), (768, 256, 4096));
        let shares = Shares::new(&memory);
        assert!(shares.message_bytes_max() >= 1_048_588 * 3, "{shares:?}");
        assert!(CountLimits::new(64 * MIB).partitions >= 1000 + 50, "a thousand partitions and those of the groups");
    }
}
