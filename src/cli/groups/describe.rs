//! `tern group list` and `describe`.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::ask::{self, Group};
use crate::cli::kafka::assignment::Place;
use crate::cli::kafka::{Cluster, check};
use crate::cli::table::Table;
use crate::kafka::errors::ErrorCode;
use crate::types::Offset;

/// A row a group: state, members, lag.
pub fn overview(cluster: &mut Cluster) -> io::Result<Table> {
    let mut table = Table::new(&["group", "state", "coordinator", "members", "topics", "lag"]);
    for (name, coordinator) in ask::list(cluster)? {
        let told = told(cluster, &name).map_err(|error| {
            // Who does not answer is known already, or this is a refusal.
            if cluster.silent().is_empty() {
                cluster.remember(coordinator, io::Error::other(error));
            }
        });
        let (group, topics, lag) =
            told.map_or_else(|()| Default::default(), |(group, topics, lag)| (Some(group), topics, lag));
        table.row(vec![
            name.into(),
            group.as_ref().map(|group| group.state.as_str()).into(),
            i64::from(coordinator.0).into(),
            group.as_ref().map(|group| group.members.len() as i64).into(),
            topics.into(),
            lag.into(),
        ]);
    }
    Ok(table)
}

/// A group, the topics that it has committed, and its lag, if all leaders tell of their ends.
fn told(cluster: &mut Cluster, name: &str) -> io::Result<(Group, String, Option<i64>)> {
    let group = ask::describe(cluster, name)?;
    let committed = ask::committed(cluster, name)?;
    let ends = ask::ends(cluster, committed.keys().map(|(topic, _)| topic.as_str()))?;
    let topics: BTreeSet<&str> = committed.keys().map(|(topic, _)| topic.as_str()).collect();
    let lag = committed.iter().filter_map(|(place, offset)| lag(&ends, place, *offset)).sum();
    let topics = topics.into_iter().collect::<Vec<_>>().join(",");
    Ok((group, topics, cluster.silent().is_empty().then_some(lag)))
}

fn lag(ends: &BTreeMap<Place, Offset>, place: &Place, committed: Offset) -> Option<i64> {
    ends.get(place).map(|end| end.0.saturating_sub(committed.0).max(0))
}

/// Prints groups, each by a line and a table.
pub(super) fn run(cluster: &mut Cluster, names: &[String], members: bool, json: bool) -> io::Result<()> {
    for (number, name) in names.iter().enumerate() {
        let group = ask::describe(cluster, name)?;
        let committed = ask::committed(cluster, name)?;
        if group.is_absent() && committed.is_empty() {
            check(ErrorCode::GROUP_ID_NOT_FOUND, &format!("group {name}"))?;
        }
        if !json {
            let assignor =
                if group.assignor.is_empty() { String::new() } else { format!(" assignor={}", group.assignor) };
            let gap = if number > 0 { "\n" } else { "" };
            println!("{gap}{name}: state={} members={}{assignor}", group.state, group.members.len());
        }
        let table = match members {
            true => members_table(&group),
            false => {
                let assigned = group.members.iter().flat_map(|member| &member.reads);
                let places: BTreeSet<Place> = committed.keys().chain(assigned).cloned().collect();
                let ends = ask::ends(cluster, places.iter().map(|(topic, _)| topic.as_str()))?;
                partitions_table(&group, &places, &committed, &ends)
            }
        };
        if json || !table.is_empty() {
            table.print(json);
        }
    }
    Ok(())
}

fn partitions_table(
    group: &Group,
    places: &BTreeSet<Place>,
    committed: &BTreeMap<Place, Offset>,
    ends: &BTreeMap<Place, Offset>,
) -> Table {
    let mut table = Table::new(&["group", "topic", "partition", "offset", "end", "lag", "member", "client", "host"]);
    for place in places {
        let reader = group.reader_of(place);
        let offset = committed.get(place).copied();
        table.row(vec![
            group.name.as_str().into(),
            place.0.as_str().into(),
            i64::from(place.1.0).into(),
            offset.map(|offset| offset.0).into(),
            ends.get(place).map(|end| end.0).into(),
            offset.and_then(|offset| lag(ends, place, offset)).into(),
            reader.map(|member| member.id.as_str()).into(),
            reader.map(|member| member.client.as_str()).into(),
            reader.map(|member| member.host.as_str()).into(),
        ]);
    }
    table
}

fn members_table(group: &Group) -> Table {
    let mut table = Table::new(&["group", "member", "instance", "client", "host", "partitions", "reads"]);
    for member in &group.members {
        let mut topics: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (topic, partition) in &member.reads {
            topics.entry(topic).or_default().push(partition.to_string());
        }
        let reads: Vec<String> =
            topics.iter().map(|(topic, partitions)| format!("{topic}:{}", partitions.join(","))).collect();
        table.row(vec![
            group.name.as_str().into(),
            member.id.as_str().into(),
            member.instance.as_deref().into(),
            member.client.as_str().into(),
            member.host.as_str().into(),
            (member.reads.len() as i64).into(),
            reads.join(" ").into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::PartitionIndex;

    /// Lag is what lies between; a partition that is gone has none, and a commit beyond the end is none.
    #[test]
    fn lags() {
        let place = |index| ("t".to_owned(), PartitionIndex(index));
        let ends = BTreeMap::from([(place(0), Offset(10))]);
        assert_eq!(lag(&ends, &place(0), Offset(3)), Some(7));
        assert_eq!(lag(&ends, &place(0), Offset(30)), Some(0));
        assert_eq!(lag(&ends, &place(1), Offset(3)), None);
    }
}
