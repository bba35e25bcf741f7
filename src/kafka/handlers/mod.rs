//! The registry: one row an API, and what a handler is given and must give back.
//!
//! A handler is a function that reads its request, uses the engine's verbs and answers at once, or leaves a [`Pending`]
//! behind that answers when the engine does. A [`Reply`] is the right to answer once; whoever drops it without answering
//! must have closed the connection.
//!
//! Adding an API: its messages in `codec/messages`, a file here, a row in `ROWS`. ApiVersions advertises the rows.

mod acls;
mod alter_configs;
mod api_versions;
mod brokers;
mod client_quotas;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod elect_leaders;
mod fetch;
mod find_coordinator;
mod groups;
mod heartbeat;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
pub(super) mod partitions;
pub(super) mod produce;
mod reassignments;
mod scram;
mod sync_group;
mod transactions;
mod update_features;

use std::net::IpAddr;

use bytes::Bytes;

use super::admission::{Admission, Purpose};
use super::codec::{Api, Message, Request, response_size, write_response};
use super::fetch_session::FetchSessions;
use super::quotas::{Limit, Limits, Quotas};
use super::schedule::Schedule;
use super::settings::Settings;
use crate::effect::Effects;
use crate::engine::{Completion, Door, Engine, Waiter};
use crate::memory::Grant;
use crate::metrics::METRICS;
use crate::types::{ConnId, Instant, Now, ReadError, Rng, Slot};

/// One API that is served. Produce is advertised like the others and handled by the door itself, because several of
/// them are in flight on one connection.
pub struct Row {
    /// The API; its advertised versions are the codec's.
    pub api: Api,
    /// Bytes that this request may need until it is answered, its reply included. Reserved before `handle` is called.
    pub estimate: fn(&Context<'_>, &Request<'_>, usize) -> Result<usize, ReadError>,
    /// Answers, or begins to.
    pub handle: fn(&mut Context<'_>, Request<'_>, Reply) -> Result<Answer, ReadError>,
}

/// Every API but Produce, in the order of their keys.
pub const ROWS: &[Row] = &[
    Row { api: Api::Fetch, estimate: fetch::estimate, handle: fetch::handle },
    Row { api: Api::ListOffsets, estimate: list_offsets::estimate, handle: list_offsets::handle },
    Row { api: Api::Metadata, estimate: metadata::estimate, handle: metadata::handle },
    Row { api: Api::OffsetCommit, estimate: offset_commit::estimate, handle: offset_commit::handle },
    Row { api: Api::OffsetFetch, estimate: offset_fetch::estimate, handle: offset_fetch::handle },
    Row { api: Api::FindCoordinator, estimate: find_coordinator::estimate, handle: find_coordinator::handle },
    Row { api: Api::JoinGroup, estimate: join_group::estimate, handle: join_group::handle },
    Row { api: Api::Heartbeat, estimate: modest, handle: heartbeat::handle },
    Row { api: Api::LeaveGroup, estimate: modest, handle: leave_group::handle },
    Row { api: Api::SyncGroup, estimate: sync_group::estimate, handle: sync_group::handle },
    Row { api: Api::DescribeGroups, estimate: describe_groups::estimate, handle: describe_groups::handle },
    Row { api: Api::ListGroups, estimate: list_groups::estimate, handle: list_groups::handle },
    Row { api: Api::ApiVersions, estimate: modest, handle: api_versions::handle },
    Row { api: Api::CreateTopics, estimate: create_topics::estimate, handle: create_topics::handle },
    Row { api: Api::DeleteTopics, estimate: delete_topics::estimate, handle: delete_topics::handle },
    Row { api: Api::DeleteRecords, estimate: delete_records::estimate, handle: delete_records::handle },
    Row { api: Api::InitProducerId, estimate: modest, handle: init_producer_id::handle },
    Row { api: Api::OffsetForLeaderEpoch, estimate: modest, handle: offset_for_leader_epoch::handle },
    Row { api: Api::DescribeAcls, estimate: modest, handle: acls::describe },
    Row { api: Api::CreateAcls, estimate: acls::estimate, handle: acls::create },
    Row { api: Api::DeleteAcls, estimate: acls::estimate, handle: acls::delete },
    Row { api: Api::DescribeConfigs, estimate: describe_configs::estimate, handle: describe_configs::handle },
    Row { api: Api::AlterConfigs, estimate: alter_configs::estimate_whole, handle: alter_configs::whole },
    Row { api: Api::DescribeLogDirs, estimate: describe_log_dirs::estimate, handle: describe_log_dirs::handle },
    Row { api: Api::CreatePartitions, estimate: create_partitions::estimate, handle: create_partitions::handle },
    Row { api: Api::DeleteGroups, estimate: modest, handle: delete_groups::handle },
    Row { api: Api::ElectLeaders, estimate: elect_leaders::estimate, handle: elect_leaders::handle },
    Row {
        api: Api::IncrementalAlterConfigs,
        estimate: alter_configs::estimate_incremental,
        handle: alter_configs::incremental,
    },
    Row {
        api: Api::AlterPartitionReassignments,
        estimate: reassignments::estimate_alter,
        handle: reassignments::alter,
    },
    Row { api: Api::ListPartitionReassignments, estimate: reassignments::estimate_list, handle: reassignments::list },
    Row { api: Api::OffsetDelete, estimate: offset_delete::estimate, handle: offset_delete::handle },
    Row { api: Api::DescribeClientQuotas, estimate: client_quotas::estimate_describe, handle: client_quotas::describe },
    Row { api: Api::AlterClientQuotas, estimate: client_quotas::estimate_alter, handle: client_quotas::alter },
    Row { api: Api::DescribeUserScramCredentials, estimate: scram::estimate_describe, handle: scram::describe },
    Row { api: Api::AlterUserScramCredentials, estimate: scram::estimate_alter, handle: scram::alter },
    Row { api: Api::DescribeQuorum, estimate: describe_quorum::estimate, handle: describe_quorum::handle },
    Row { api: Api::UpdateFeatures, estimate: modest, handle: update_features::handle },
    Row { api: Api::DescribeCluster, estimate: describe_cluster::estimate, handle: describe_cluster::handle },
    Row { api: Api::DescribeProducers, estimate: describe_producers::estimate, handle: describe_producers::handle },
    Row { api: Api::DescribeTransactions, estimate: transactions::estimate, handle: transactions::describe },
    Row { api: Api::ListTransactions, estimate: modest, handle: transactions::list },
    Row {
        api: Api::ConsumerGroupHeartbeat,
        estimate: consumer_group_heartbeat::estimate,
        handle: consumer_group_heartbeat::handle,
    },
    Row {
        api: Api::ConsumerGroupDescribe,
        estimate: consumer_group_describe::estimate,
        handle: consumer_group_describe::handle,
    },
    Row {
        api: Api::ListConfigResources,
        estimate: list_config_resources::estimate,
        handle: list_config_resources::handle,
    },
    Row {
        api: Api::DescribeTopicPartitions,
        estimate: describe_topic_partitions::estimate,
        handle: describe_topic_partitions::handle,
    },
];

pub use api_versions::refuse as refuse_api_versions;

/// The row of an API that is served, Produce apart.
pub fn row(api: Api) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.api == api)
}

/// An estimate for requests whose answer is about as large as they are.
pub fn modest(_cx: &Context<'_>, _request: &Request<'_>, frame_bytes: usize) -> Result<usize, ReadError> {
    Ok(1024 + 8 * frame_bytes)
}

/// What a handler works with.
pub struct Context<'a> {
    /// The clocks.
    pub now: Now,
    /// The verbs.
    pub engine: &'a mut Engine,
    /// What the configuration says.
    pub settings: &'a Settings,
    /// Fetch sessions (KIP-227).
    pub sessions: &'a mut FetchSessions,
    /// Chance, for the ids of fetch sessions.
    pub rng: &'a mut Rng,
    /// Wake-ups of requests that wait.
    pub schedule: &'a mut Schedule,
    /// Where answers leave.
    pub out: Outlet<'a>,
    /// Through which listener the request came in: metadata answers with its advertised address.
    pub listener: u8,
    /// Where the client is.
    pub peer: IpAddr,
    /// Which request of the connection, so that a late completion of an earlier one is known.
    pub serial: u8,
}

/// The way back to the client, apart from the engine so that an answer can be written out of its view.
pub struct Outlet<'a> {
    /// Who asks.
    pub conn: ConnId,
    /// What is asked of the world.
    pub fx: &'a mut Effects,
    /// Who gets memory.
    pub admission: &'a mut Admission,
    /// Where small replies are written before they are copied.
    pub scratch: &'a mut Vec<u8>,
    /// What the request is counted against.
    pub limits: Limits,
    /// Who has had how much.
    pub quotas: &'a mut Quotas,
    /// The client is told to wait so long, and is not read meanwhile.
    pub throttle_ms: u64,
    /// Set when granted bytes were sent: until they have left, the connection gets no further request served.
    pub sent_apart: bool,
}

/// Bits of a `Slot` that a request may use for its parts.
const ITEM_BITS: u32 = 24;

/// Items that a request can tell apart.
pub const ITEMS_MAX: usize = 1 << ITEM_BITS;

impl Context<'_> {
    /// For the engine: answers come back to this request, with `item` to tell its parts apart.
    pub fn waiter(&self, item: u32) -> Waiter {
        Waiter { door: Door::Kafka, conn: self.out.conn, slot: self.slot(item) }
    }

    /// The slot of `waiter(item)`.
    pub fn slot(&self, item: u32) -> Slot {
        Slot((self.serial as u32) << ITEM_BITS | item & (ITEMS_MAX as u32 - 1))
    }

    /// Calls `Pending::wake` at `at`, unless the answer has left by then. A later call replaces an earlier one.
    pub fn wake_at(&mut self, at: Instant) {
        self.schedule.wakes.set(self.out.conn, at);
    }

    /// Calls `Pending::wake` at the end of this turn: for those whom the engine told that it is busy.
    pub fn wake_at_turn_end(&mut self) {
        if !self.schedule.turn_end.contains(&self.out.conn) {
            self.schedule.turn_end.push(self.out.conn);
        }
    }

    /// Memory for `purpose`; or `None`, and `Pending::wake` is called when there is some.
    pub fn take(&mut self, purpose: Purpose, bytes: usize) -> Option<Grant> {
        self.out.admission.take(self.out.conn, purpose, bytes)
    }
}

impl Outlet<'_> {
    /// Counts what the request takes of one of its limits.
    pub fn charge(&mut self, now: Now, limit: Option<Limit>, amount: usize) {
        let wait_ms = self.quotas.charge(now, limit, amount as f64);
        self.throttle_ms = self.throttle_ms.max(wait_ms);
    }

    /// The message as it leaves: with the time to wait, if there is one.
    fn throttled<M: Message>(&self, message: &M) -> M {
        let mut message = *message;
        if self.throttle_ms > 0 {
            message.throttle(self.throttle_ms.min(i32::MAX as u64) as i32);
        }
        message
    }

    /// Sends bytes under their grant.
    pub fn send_apart(&mut self, bytes: Bytes, grant: Grant) {
        if bytes.is_empty() {
            return;
        }
        self.sent_apart = true;
        METRICS.kafka.bytes_out.add(bytes.len() as u64);
        self.fx.send(self.conn, bytes, grant);
    }

    fn send_scratch(&mut self, range: impl std::slice::SliceIndex<[u8], Output = [u8]>) {
        let bytes = self.scratch.get(range).unwrap_or_default();
        METRICS.kafka.bytes_out.add(bytes.len() as u64);
        self.fx.send_copy(self.conn, bytes);
    }
}

/// Splits a slot into the serial of its request and the item.
pub fn parts_of(slot: Slot) -> (u8, u32) {
    ((slot.0 >> ITEM_BITS) as u8, slot.0 & (ITEMS_MAX as u32 - 1))
}

/// What a handler has done.
pub enum Answer {
    /// The reply has left.
    Sent,
    /// The reply comes from this, when the engine has answered or a wake-up has come.
    Later(Box<dyn Pending>),
    /// There is no answer that the client would understand.
    Close,
}

/// A request that waits. It is the connection's only one: nothing behind it is served before it has answered.
pub trait Pending: std::fmt::Debug {
    /// The engine has answered `waiter(item)`.
    fn complete(self: Box<Self>, cx: &mut Context<'_>, item: u32, completion: Completion) -> Answer;

    /// A wake-up that it asked for, or a spurious one.
    fn wake(self: Box<Self>, cx: &mut Context<'_>) -> Answer;
}

/// The right to answer one request.
#[derive(Debug)]
pub struct Reply {
    version: i16,
    correlation_id: i32,
    grant: Grant,
}

impl Reply {
    /// For a request; `grant` is what its estimate reserved.
    pub fn new(version: i16, correlation_id: i32, grant: Grant) -> Reply {
        Reply { version, correlation_id, grant }
    }

    /// The version to answer in.
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Answers in the version of the request.
    pub fn send<M: Message>(self, out: &mut Outlet<'_>, message: &M) -> Answer {
        let version = self.version;
        self.send_as(out, version, message)
    }

    /// Answers in another version: for ApiVersions, whose refusal is always of version 0.
    pub fn send_as<M: Message>(mut self, out: &mut Outlet<'_>, version: i16, message: &M) -> Answer {
        let message = out.throttled(message);
        match self.write(out, version, &message) {
            None => out.send_scratch(..),
            Some((bytes, grant)) => out.send_apart(bytes, grant),
        }
        Answer::Sent
    }

    /// Answers with a message whose records lie elsewhere, under `grant`. `records` are the positions that the message
    /// noted for them, read only after it was written, and their bytes.
    pub fn send_with_records<M: Message>(
        mut self,
        out: &mut Outlet<'_>,
        message: &M,
        records: impl Iterator<Item = (usize, Bytes)>,
        mut grant: Grant,
    ) -> Answer {
        let version = self.version;
        let message = out.throttled(message);
        let (mut head, mut from) = (self.write(out, version, &message), 0);
        for (position, bytes) in records {
            match &mut head {
                None => out.send_scratch(from..position),
                Some((head, head_grant)) => {
                    let before = head.split_to(position.saturating_sub(from).min(head.len()));
                    let part = head_grant.split(before.len());
                    out.send_apart(before, part);
                }
            }
            let part = grant.split(bytes.len());
            out.send_apart(bytes, part);
            from = position;
        }
        match head {
            None => out.send_scratch(from..),
            Some((rest, grant)) => out.send_apart(rest, grant),
        }
        Answer::Sent
    }

    /// Writes the frame into the scratch buffer (`None`), or, when it is too large, into one of its own.
    fn write<M: Message>(&mut self, out: &mut Outlet<'_>, version: i16, message: &M) -> Option<(Bytes, Grant)> {
        out.scratch.clear();
        if write_response(out.scratch, version, self.correlation_id, message).is_ok() {
            return None;
        }
        let size = response_size(version, message);
        let grant = match self.grant.bytes() >= size {
            true => self.grant.split(size),
            // The estimate was too low: what was reserved counts, or all of it if there is as much.
            false => out.admission.take_now(Purpose::State, size).unwrap_or_else(|| self.grant.split(size)),
        };
        let mut bytes = Vec::with_capacity(size);
        let written = write_response(&mut bytes, version, self.correlation_id, message);
        debug_assert!(written.is_ok(), "the size is what was counted");
        Some((bytes.into(), grant))
    }
}
