//! What brokers tell of consumer groups: which there are, their members, their offsets.

use std::collections::BTreeMap;
use std::io;

use crate::cli::kafka::assignment::{Place, assigned};
use crate::cli::kafka::{Cluster, LATEST, check, explain};
use crate::kafka::codec::{
    Api, Array, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, ListGroupsRequest, ListGroupsResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{NodeId, Offset};

/// A group and who is in it.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub name: String,
    /// `Stable`, `Empty`, ...; `Dead` when there is no such group.
    pub state: String,
    pub assignor: String,
    pub members: Vec<Member>,
}

/// A member and what it reads.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub id: String,
    pub instance: Option<String>,
    pub client: String,
    pub host: String,
    pub reads: Vec<Place>,
}

impl Group {
    /// True when no broker knows it.
    pub fn is_absent(&self) -> bool {
        self.state == "Dead"
    }

    /// Who reads a partition.
    pub fn reader_of(&self, place: &Place) -> Option<&Member> {
        self.members.iter().find(|member| member.reads.contains(place))
    }
}

/// The names of all groups whose coordinator answers, sorted, each with that broker.
pub(super) fn list(cluster: &mut Cluster) -> io::Result<Vec<(String, NodeId)>> {
    cluster.metadata(Some(&[]), false)?;
    let brokers: Vec<NodeId> = cluster.brokers().keys().copied().collect();
    let mut names = Vec::new();
    for broker in brokers {
        let told = cluster.ask(broker, |client| {
            let response: ListGroupsResponse<'_> = client.call(2, &ListGroupsRequest::default())?;
            check(response.error_code, "the list of groups")?;
            Ok(response.groups.iter().map(|group| (group.group_id.to_owned(), broker)).collect::<Vec<_>>())
        });
        names.extend(told.unwrap_or_default());
    }
    names.sort_unstable();
    Ok(names)
}

/// A group as its coordinator knows it, of either protocol.
pub(super) fn describe(cluster: &mut Cluster, name: &str) -> io::Result<Group> {
    let group = describe_classic(cluster, name)?;
    match group.is_absent() && cluster.coordinator(name)?.has(Api::ConsumerGroupDescribe, 0)? {
        true => describe_consumer(cluster, name),
        false => Ok(group),
    }
}

/// A group whose coordinator assigns; absent when there is none of that name.
fn describe_consumer(cluster: &mut Cluster, name: &str) -> io::Result<Group> {
    let client = cluster.coordinator(name)?;
    let names = [name];
    let request = ConsumerGroupDescribeRequest { group_ids: Array::of(&names), ..Default::default() };
    let response: ConsumerGroupDescribeResponse<'_> = client.call(0, &request)?;
    let found = response.groups.iter().next();
    let found = found.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer names no group"))?;
    if found.error_code != ErrorCode::GROUP_ID_NOT_FOUND {
        explain(found.error_code, found.error_message, &format!("group {name}"))?;
    }
    let members = found.members.iter().map(|member| {
        let topics = member.assignment.topic_partitions.iter();
        let reads = topics.flat_map(|topic| {
            topic.partitions.iter().map(|index| (topic.topic_name.to_owned(), index)).collect::<Vec<Place>>()
        });
        Member {
            id: member.member_id.to_owned(),
            instance: member.instance_id.map(str::to_owned),
            client: member.client_id.to_owned(),
            host: member.client_host.trim_start_matches('/').to_owned(),
            reads: reads.collect(),
        }
    });
    Ok(Group {
        name: name.to_owned(),
        state: if found.group_state.is_empty() { "Dead" } else { found.group_state }.to_owned(),
        assignor: found.assignor_name.to_owned(),
        members: members.collect(),
    })
}

fn describe_classic(cluster: &mut Cluster, name: &str) -> io::Result<Group> {
    let client = cluster.coordinator(name)?;
    let version = if client.has(Api::DescribeGroups, 4)? { 4 } else { 3 };
    let names = [name];
    let request = DescribeGroupsRequest { groups: Array::of(&names), ..Default::default() };
    let response: DescribeGroupsResponse<'_> = client.call(version, &request)?;
    let found = response.groups.iter().next();
    let found = found.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer names no group"))?;
    if found.error_code != ErrorCode::GROUP_ID_NOT_FOUND {
        explain(found.error_code, found.error_message, &format!("group {name}"))?;
    }
    let members = found.members.iter().map(|member| Member {
        id: member.member_id.to_owned(),
        instance: member.group_instance_id.map(str::to_owned),
        client: member.client_id.to_owned(),
        host: member.client_host.trim_start_matches('/').to_owned(),
        reads: assigned(member.member_assignment).unwrap_or_default(),
    });
    Ok(Group {
        name: name.to_owned(),
        state: found.group_state.to_owned(),
        assignor: found.protocol_data.to_owned(),
        members: members.collect(),
    })
}

/// Every offset that a group has committed.
pub(super) fn committed(cluster: &mut Cluster, name: &str) -> io::Result<BTreeMap<Place, Offset>> {
    let request = OffsetFetchRequest { group_id: name, topics: None, ..Default::default() };
    let response: OffsetFetchResponse<'_> = cluster.coordinator(name)?.call(5, &request)?;
    check(response.error_code, &format!("offsets of group {name}"))?;
    let mut offsets = BTreeMap::new();
    for topic in response.topics.iter() {
        for partition in topic.partitions.iter().filter(|partition| partition.committed_offset.0 >= 0) {
            offsets.insert((topic.name.to_owned(), partition.partition_index), partition.committed_offset);
        }
    }
    Ok(offsets)
}

/// The end offsets of all partitions of `topics` that exist.
pub(super) fn ends<'t>(
    cluster: &mut Cluster,
    topics: impl Iterator<Item = &'t str>,
) -> io::Result<BTreeMap<Place, Offset>> {
    let mut names: Vec<&str> = topics.collect();
    names.sort_unstable();
    names.dedup();
    let mut ends = BTreeMap::new();
    if names.is_empty() {
        return Ok(ends);
    }
    for (topic, code) in cluster.metadata(Some(&names), false)? {
        if code.is_none() {
            let offsets = cluster.offsets(&topic, LATEST)?;
            ends.extend(offsets.into_iter().map(|(index, end)| ((topic.name.clone(), index), end)));
        }
    }
    Ok(ends)
}
