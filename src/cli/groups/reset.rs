//! `tern group reset`: moves a group's offsets. Like Kafka's own tool it only shows what would change, unless told to do it.

use std::collections::BTreeMap;
use std::io;

use super::ask;
use crate::cli::arguments::ResetGroup;
use crate::cli::kafka::{Cluster, EARLIEST, LATEST, assignment, check};
use crate::cli::place::{Place, time_of};
use crate::cli::table::Table;
use crate::cli::usage;
use crate::kafka::codec::{
    Array, OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetCommitResponse,
};
use crate::kafka::errors::ErrorCode;
use crate::types::{Offset, PartitionIndex};

/// Where offsets go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Place(Place),
    Shift(i64),
}

/// Offsets of one topic: partition, then from where to where.
type Moves = BTreeMap<PartitionIndex, (Option<Offset>, Offset)>;

/// Shows what changes, and changes it with `--execute`.
pub(super) fn run(arguments: &ResetGroup) -> io::Result<()> {
    let target = target(arguments)?;
    let name = arguments.name.as_str();
    let mut cluster = Cluster::connect(&arguments.bootstrap.bootstrap)?;
    let group = ask::describe(&mut cluster, name)?;
    if !group.members.is_empty() {
        check(ErrorCode::NON_EMPTY_GROUP, &format!("group {name}"))?;
    }
    let committed = ask::committed(&mut cluster, name)?;
    let mut scopes = arguments.topic.iter().map(|text| scope(text)).collect::<io::Result<Vec<_>>>()?;
    if arguments.all_topics {
        let mut topics: Vec<String> = committed.keys().map(|(topic, _)| topic.clone()).collect();
        topics.dedup();
        scopes.extend(topics.into_iter().map(|topic| (topic, Vec::new())));
    }
    if scopes.is_empty() {
        return Err(io::Error::other(format!("group {name} has no offsets yet; --topic says which to set")));
    }
    let mut table = Table::new(&["group", "topic", "partition", "offset", "new-offset"]);
    let mut moves = BTreeMap::new();
    for (topic, partitions) in scopes {
        let planned = plan(&mut cluster, &topic, &partitions, target, &committed)?;
        for (index, (from, to)) in &planned {
            let from = from.map(|offset| offset.0);
            table.row(vec![name.into(), topic.as_str().into(), i64::from(index.0).into(), from.into(), to.0.into()]);
        }
        moves.insert(topic, planned);
    }
    if arguments.execute {
        commit(&mut cluster, name, &moves)?;
    }
    table.print(arguments.json);
    if !arguments.execute && !arguments.json {
        eprintln!("nothing was changed; --execute does it");
    }
    Ok(())
}

fn target(arguments: &ResetGroup) -> io::Result<Target> {
    Ok(match (arguments.to_offset, arguments.shift_by, &arguments.to_datetime) {
        (Some(offset), _, _) if offset >= 0 => Target::Place(Place::Offset(offset)),
        (Some(offset), _, _) => {
            return Err(usage(format!("--to-offset {offset}: it is negative; allowed: 0 and above")));
        }
        (_, Some(by), _) => Target::Shift(by),
        (_, _, Some(time)) => Target::Place(Place::Time(time_of("--to-datetime", time)?)),
        _ if arguments.to_latest => Target::Place(Place::End),
        _ => Target::Place(Place::Beginning),
    })
}

/// A topic and its partitions, all of them when none is named.
fn scope(text: &str) -> io::Result<(String, Vec<PartitionIndex>)> {
    let Some((topic, list)) = text.split_once(':') else { return Ok((text.to_owned(), Vec::new())) };
    let partitions = list.split(',').map(|number| number.trim().parse().map(PartitionIndex)).collect::<Result<_, _>>();
    match partitions {
        Ok(partitions) => Ok((topic.to_owned(), partitions)),
        Err(_) => Err(usage(format!("--topic {text}: {list} is no list of partitions; allowed: TOPIC[:N,N]"))),
    }
}

fn plan(
    cluster: &mut Cluster,
    topic: &str,
    partitions: &[PartitionIndex],
    target: Target,
    committed: &BTreeMap<assignment::Place, Offset>,
) -> io::Result<Moves> {
    let mut found = cluster.topic(topic, false)?;
    for wanted in partitions {
        found.clone().keep(Some(wanted.0))?;
    }
    found.partitions.retain(|partition| partitions.is_empty() || partitions.contains(&partition.index));
    let (begin, end) = (cluster.offsets(&found, EARLIEST)?, cluster.offsets(&found, LATEST)?);
    let wanted = match target {
        Target::Place(place) => place.find(cluster, &found)?,
        Target::Shift(_) => BTreeMap::new(),
    };
    let mut moves = Moves::new();
    for (&index, &first) in &begin {
        let from = committed.get(&(topic.to_owned(), index)).copied();
        let last = end.get(&index).copied().unwrap_or(first);
        let to = match target {
            Target::Place(_) => wanted.get(&index).copied(),
            Target::Shift(by) => from.map(|from| Offset(from.0.saturating_add(by))),
        };
        let Some(to) = to else {
            return Err(io::Error::other(format!(
                "{topic}-{index} has no offset to shift; --to-earliest, --to-latest or --to-offset give it one"
            )));
        };
        moves.insert(index, (from, to.clamp(first, last.max(first))));
    }
    Ok(moves)
}

fn commit(cluster: &mut Cluster, group: &str, moves: &BTreeMap<String, Moves>) -> io::Result<()> {
    let partitions: Vec<(&str, Vec<OffsetCommitRequestPartition<'_>>)> = moves
        .iter()
        .map(|(topic, moves)| {
            let partition = |(&partition_index, &(_, committed_offset)): (&PartitionIndex, &(_, Offset))| {
                OffsetCommitRequestPartition { partition_index, committed_offset, ..Default::default() }
            };
            (topic.as_str(), moves.iter().map(partition).collect())
        })
        .collect();
    let topics: Vec<OffsetCommitRequestTopic<'_>> = partitions
        .iter()
        .map(|(name, partitions)| OffsetCommitRequestTopic { name, partitions: Array::of(partitions) })
        .collect();
    let request = OffsetCommitRequest { group_id: group, topics: Array::of(&topics), ..Default::default() };
    let response: OffsetCommitResponse<'_> = cluster.coordinator(group)?.call(6, &request)?;
    for topic in response.topics.iter() {
        for partition in topic.partitions.iter() {
            check(partition.error_code, &format!("group {group}, {}-{}", topic.name, partition.partition_index))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A topic alone means all its partitions; anything behind the colon must be numbers.
    #[test]
    fn scopes() {
        assert_eq!(scope("t").unwrap(), ("t".to_owned(), vec![]));
        assert_eq!(scope("t:0,2").unwrap(), ("t".to_owned(), vec![PartitionIndex(0), PartitionIndex(2)]));
        assert_eq!(scope("t:x").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
