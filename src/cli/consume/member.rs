//! `tern consume --group`: a member of a classic consumer group, with Kafka's range assignor.
//!
//! What was printed is committed, at most a second later and before the member leaves or gives partitions away. SIGINT
//! and SIGTERM end it politely; a member that is killed is missed after its session timeout and its last second of records
//! comes again.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use super::{Printer, positions};
use crate::cli::interrupt;
use crate::cli::kafka::assignment::{assigned, assignment, range, subscribed, subscription};
use crate::cli::kafka::{Cluster, Position, Reader, Topic, check};
use crate::cli::place::Place;
use crate::kafka::codec::{
    Array, HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
    LeaveGroupRequest, LeaveGroupResponse, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse, SyncGroupRequest,
    SyncGroupRequestAssignment, SyncGroupResponse,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{Offset, PartitionIndex};

const SESSION_TIMEOUT_MS: i32 = 10_000;
const REBALANCE_TIMEOUT_MS: i32 = 20_000;
const ASSIGNOR: &str = "range";

/// Between two heartbeats, a third of the session timeout at most.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// Between two commits.
const COMMIT: Duration = Duration::from_secs(1);

/// How long a group may refuse before that is an error.
const PATIENCE: Duration = Duration::from_secs(60);

/// A place in the group.
struct Member<'a> {
    group: &'a str,
    topic: &'a str,
    id: String,
    generation: i32,
    committed: BTreeMap<PartitionIndex, Offset>,
}

/// Prints what the group assigns, until there is enough or somebody says stop.
pub(super) fn run(
    cluster: Cluster,
    topic: &Topic,
    group: &str,
    place: Option<Place>,
    exit: bool,
    printer: &mut Printer<'_>,
) -> io::Result<()> {
    interrupt::catch();
    let mut member =
        Member { group, topic: &topic.name, id: String::new(), generation: -1, committed: BTreeMap::new() };
    let mut reader = Reader::new(cluster, &topic.name, Vec::new());
    let result = follow(&mut member, &mut reader, topic, place, exit, printer);
    let committed = member.commit(&mut reader);
    let left = member.leave(reader.cluster());
    result.and(committed).and(left)
}

fn follow(
    member: &mut Member<'_>,
    reader: &mut Reader,
    topic: &Topic,
    place: Option<Place>,
    exit: bool,
    printer: &mut Printer<'_>,
) -> io::Result<()> {
    while !interrupt::is_asked() && printer.left > 0 {
        let mine = member.join(reader.cluster())?;
        let positions = member.positions(reader.cluster(), topic, &mine, place, exit)?;
        let is_idle = positions.is_empty();
        reader.assign(positions);
        let (mut beat, mut noted) = (Instant::now(), Instant::now());
        while !interrupt::is_asked() && printer.left > 0 {
            if exit && (is_idle || reader.is_done()) {
                return Ok(());
            }
            printer.poll(reader)?;
            if noted.elapsed() >= COMMIT {
                noted = Instant::now();
                member.commit(reader)?;
            }
            if beat.elapsed() >= HEARTBEAT {
                beat = Instant::now();
                if !member.heartbeat(reader.cluster())? {
                    member.commit(reader)?;
                    break;
                }
            }
        }
    }
    Ok(())
}

impl Member<'_> {
    /// Joins the next generation; the partitions to read.
    fn join(&mut self, cluster: &mut Cluster) -> io::Result<Vec<PartitionIndex>> {
        let started = Instant::now();
        loop {
            let code = match self.try_join(cluster)? {
                Ok(mine) => return Ok(mine),
                Err(code) => code,
            };
            match code {
                ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => self.id.clear(),
                ErrorCode::MEMBER_ID_REQUIRED | ErrorCode::REBALANCE_IN_PROGRESS => {}
                ErrorCode::NOT_COORDINATOR
                | ErrorCode::COORDINATOR_NOT_AVAILABLE
                | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => std::thread::sleep(Duration::from_millis(100)),
                code => check(code, &format!("group {}", self.group))?,
            }
            if started.elapsed() >= PATIENCE {
                check(code, &format!("group {}", self.group))?;
            }
        }
    }

    fn try_join(&mut self, cluster: &mut Cluster) -> io::Result<Result<Vec<PartitionIndex>, ErrorCode>> {
        let metadata = subscription(self.topic);
        let protocols = [JoinGroupRequestProtocol { name: ASSIGNOR, metadata: &metadata }];
        let request = JoinGroupRequest {
            group_id: self.group,
            session_timeout_ms: SESSION_TIMEOUT_MS,
            rebalance_timeout_ms: REBALANCE_TIMEOUT_MS,
            member_id: &self.id,
            protocol_type: "consumer",
            protocols: Array::of(&protocols),
            ..Default::default()
        };
        let response: JoinGroupResponse<'_> = cluster.coordinator(self.group)?.call(5, &request)?;
        let (code, id) = (response.error_code, response.member_id.to_owned());
        self.generation = response.generation_id;
        let leads = response.leader == response.member_id;
        let members = response.members.iter().filter(|_| leads);
        let members = members.map(|member| {
            let topics = subscribed(member.metadata).unwrap_or_default();
            (member.member_id.to_owned(), topics)
        });
        let members: Vec<(String, Vec<String>)> = members.collect();
        if code.is_none() || code == ErrorCode::MEMBER_ID_REQUIRED {
            self.id = id;
        }
        if !code.is_none() {
            return Ok(Err(code));
        }
        self.sync(cluster, &members)
    }

    /// Brings the assignment when this member leads, and takes its own.
    fn sync(
        &mut self,
        cluster: &mut Cluster,
        members: &[(String, Vec<String>)],
    ) -> io::Result<Result<Vec<PartitionIndex>, ErrorCode>> {
        let mut names: Vec<&str> = members.iter().flat_map(|(_, topics)| topics).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let mut counts = BTreeMap::new();
        if !names.is_empty() {
            let topics = cluster.metadata(Some(&names), false)?;
            counts.extend(topics.into_iter().map(|(topic, _)| (topic.name, topic.partitions.len())));
        }
        let assignments: Vec<(&str, Vec<u8>)> =
            range(members, &counts).into_iter().map(|(member, places)| (member, assignment(&places))).collect();
        let assignments: Vec<SyncGroupRequestAssignment<'_>> = assignments
            .iter()
            .map(|(member_id, assignment)| SyncGroupRequestAssignment { member_id, assignment })
            .collect();
        let request = SyncGroupRequest {
            group_id: self.group,
            generation_id: self.generation,
            member_id: &self.id,
            assignments: Array::of(&assignments),
            ..Default::default()
        };
        let response: SyncGroupResponse<'_> = cluster.coordinator(self.group)?.call(3, &request)?;
        if !response.error_code.is_none() {
            return Ok(Err(response.error_code));
        }
        let places = match response.assignment {
            [] => Vec::new(),
            bytes => assigned(bytes).map_err(|error| io::Error::other(format!("the assignment: {error}")))?,
        };
        let mine = places.into_iter().filter(|(topic, _)| topic == self.topic);
        Ok(Ok(mine.map(|(_, partition)| partition).collect()))
    }

    /// Where the group has read to, or where the command says.
    fn positions(
        &mut self,
        cluster: &mut Cluster,
        topic: &Topic,
        mine: &[PartitionIndex],
        place: Option<Place>,
        exit: bool,
    ) -> io::Result<Vec<Position>> {
        let topics = [OffsetFetchRequestTopic { name: self.topic, partition_indexes: Array::of(mine) }];
        let request =
            OffsetFetchRequest { group_id: self.group, topics: Some(Array::of(&topics)), ..Default::default() };
        let response: OffsetFetchResponse<'_> = cluster.coordinator(self.group)?.call(5, &request)?;
        check(response.error_code, &format!("offsets of group {}", self.group))?;
        self.committed.clear();
        for partition in response.topics.iter().flat_map(|topic| topic.partitions.iter()) {
            check(partition.error_code, &format!("offsets of group {}", self.group))?;
            if partition.committed_offset.0 >= 0 {
                self.committed.insert(partition.partition_index, partition.committed_offset);
            }
        }
        let mut assigned = topic.clone();
        assigned.partitions.retain(|partition| mine.contains(&partition.index));
        let mut positions = positions(cluster, &assigned, place.unwrap_or(Place::Beginning), exit)?;
        for position in &mut positions {
            position.next = self.committed.get(&position.partition).copied().unwrap_or(position.next);
        }
        Ok(positions)
    }

    /// False when the group wants everybody to join anew.
    fn heartbeat(&mut self, cluster: &mut Cluster) -> io::Result<bool> {
        let request = HeartbeatRequest {
            group_id: self.group,
            generation_id: self.generation,
            member_id: &self.id,
            ..Default::default()
        };
        let response: HeartbeatResponse = cluster.coordinator(self.group)?.call(3, &request)?;
        match response.error_code {
            ErrorCode::NONE => Ok(true),
            ErrorCode::REBALANCE_IN_PROGRESS => Ok(false),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                self.id.clear();
                Ok(false)
            }
            ErrorCode::NOT_COORDINATOR
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => Ok(true),
            code => check(code, &format!("group {}", self.group)).map(|()| true),
        }
    }

    /// Commits what was printed since the last time. Who was thrown out has nothing to commit.
    fn commit(&mut self, reader: &mut Reader) -> io::Result<()> {
        let is_new = |position: &&Position| self.committed.get(&position.partition) != Some(&position.next);
        let moved: Vec<(PartitionIndex, Offset)> =
            reader.positions().iter().filter(is_new).map(|position| (position.partition, position.next)).collect();
        if moved.is_empty() || self.id.is_empty() {
            return Ok(());
        }
        let partition = |&(partition_index, committed_offset): &_| OffsetCommitRequestPartition {
            partition_index,
            committed_offset,
            ..Default::default()
        };
        let partitions: Vec<_> = moved.iter().map(partition).collect();
        let topics = [OffsetCommitRequestTopic { name: self.topic, partitions: Array::of(&partitions) }];
        let request = OffsetCommitRequest {
            group_id: self.group,
            generation_id_or_member_epoch: self.generation,
            member_id: &self.id,
            topics: Array::of(&topics),
            ..Default::default()
        };
        let response: OffsetCommitResponse<'_> = reader.cluster().coordinator(self.group)?.call(7, &request)?;
        for partition in response.topics.iter().flat_map(|topic| topic.partitions.iter()) {
            match partition.error_code {
                ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
                    return Ok(()); // the next heartbeat says so, too
                }
                code => check(code, &format!("{}-{} in group {}", self.topic, partition.partition_index, self.group))?,
            }
        }
        self.committed.extend(moved);
        Ok(())
    }

    fn leave(&mut self, cluster: &mut Cluster) -> io::Result<()> {
        if self.id.is_empty() {
            return Ok(());
        }
        let request = LeaveGroupRequest { group_id: self.group, member_id: &self.id, ..Default::default() };
        let response: LeaveGroupResponse<'_> = cluster.coordinator(self.group)?.call(2, &request)?;
        match response.error_code {
            ErrorCode::UNKNOWN_MEMBER_ID => Ok(()),
            code => check(code, &format!("leaving group {}", self.group)),
        }
    }
}
