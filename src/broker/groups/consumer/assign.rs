//! The coordinator's assignors (KIP-848): who shall read what, from who subscribes to what and who had what.
//!
//! `uniform` gives everybody the same number of partitions, one more or less, and leaves what it can where it is. `range`
//! gives everybody a run of neighbouring partitions of each topic, the same run of topics that have the same readers
//! and size. Racks are not looked at. Both are functions of their arguments: no chance, no clock.
//!
//! Invariants: each partition of a topic that somebody subscribes to has exactly one owner, who subscribes to it.

use std::collections::{BTreeMap, BTreeSet};

use super::partitions::{Partitions, TopicPartition};
use crate::config::Assignor;
use crate::types::{PartitionIndex, TopicId};

/// A member, as assignors see it.
#[derive(Clone, Debug)]
pub struct Candidate<'a> {
    /// Sorts members for `range`: the instance id of static ones, so that a new process gets the same partitions.
    pub name: &'a str,
    /// What it was to read until now.
    pub before: &'a Partitions,
    /// The topics that it subscribes to and that exist, sorted.
    pub topics: Vec<TopicId>,
}

/// Topics and their number of partitions.
pub type Sizes = BTreeMap<TopicId, i32>;

/// What each member shall read, in the order of `members`, which are in a fixed order.
pub fn assign(assignor: Assignor, members: &[Candidate<'_>], sizes: &Sizes) -> Vec<Partitions> {
    match assignor {
        _ if members.is_empty() => Vec::new(),
        Assignor::Uniform => uniform(members, sizes),
        Assignor::Range => range(members, sizes),
    }
}

fn range(members: &[Candidate<'_>], sizes: &Sizes) -> Vec<Partitions> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|&at| members.get(at).map(|member| member.name));
    let mut given: Vec<Vec<TopicPartition>> = vec![Vec::new(); members.len()];
    for (&topic, &size) in sizes {
        let subscribes =
            |at: &usize| members.get(*at).is_some_and(|member| member.topics.binary_search(&topic).is_ok());
        let readers: Vec<usize> = order.iter().copied().filter(subscribes).collect();
        let Some(each) = (size as usize).checked_div(readers.len()) else { continue };
        let mut next = 0;
        for (place, reader) in readers.iter().enumerate() {
            let count = each + usize::from(place < size as usize % readers.len());
            if let Some(given) = given.get_mut(*reader) {
                given.extend((next..next + count).map(|index| (topic, PartitionIndex(index as i32))));
            }
            next += count;
        }
    }
    given.into_iter().map(Partitions::from_iter).collect()
}

fn uniform(members: &[Candidate<'_>], sizes: &Sizes) -> Vec<Partitions> {
    let mut owned = keep(members, sizes);
    let kept: BTreeSet<TopicPartition> = owned.iter().flatten().copied().collect();
    let wanted: BTreeSet<TopicId> = members.iter().flat_map(|member| &member.topics).copied().collect();
    let sizes = sizes.iter().filter(|(topic, _)| wanted.contains(topic));
    let all = sizes.flat_map(|(&topic, &size)| (0..size).map(move |index| (topic, PartitionIndex(index))));
    let mut free: Vec<TopicPartition> = all.filter(|partition| !kept.contains(partition)).collect();
    drop(kept);
    let is_same = members.windows(2).all(|pair| matches!(pair, [one, other] if one.topics == other.topics));
    match is_same {
        true => spread(&mut owned, &mut free),
        false => balance(members, &mut owned, free),
    }
    owned.into_iter().map(Partitions::from_iter).collect()
}

/// What each member may keep of what it had.
fn keep(members: &[Candidate<'_>], sizes: &Sizes) -> Vec<Vec<TopicPartition>> {
    let mut taken = BTreeSet::new();
    let mut keep_of = |member: &Candidate<'_>| {
        let exists = |(topic, index): &TopicPartition| sizes.get(topic).is_some_and(|size| index.0 < *size);
        let may = |one: &&TopicPartition| exists(one) && member.topics.binary_search(&one.0).is_ok();
        member.before.iter().filter(may).filter(|one| taken.insert(**one)).copied().collect()
    };
    members.iter().map(&mut keep_of).collect()
}

/// Members who subscribe to the same topics: everybody gets the same number, some one more.
fn spread(owned: &mut [Vec<TopicPartition>], free: &mut Vec<TopicPartition>) {
    let total = free.len() + owned.iter().map(Vec::len).sum::<usize>();
    let Some(each) = total.checked_div(owned.len()) else { return };
    let mut extra = total % owned.len();
    let mut rooms = Vec::with_capacity(owned.len());
    for own in owned.iter_mut() {
        let has_extra = own.len() > each && extra > 0;
        extra -= usize::from(has_extra);
        let room = each + usize::from(has_extra);
        free.extend(own.drain(room.min(own.len())..));
        rooms.push(room);
    }
    for room in rooms.iter_mut().filter(|room| **room == each) {
        if extra == 0 {
            break;
        }
        *room += 1;
        extra -= 1;
    }
    free.sort_unstable();
    // Round and round, so that the partitions of each topic are spread as well.
    let mut free = free.iter().copied();
    while free.len() > 0 {
        for (own, room) in owned.iter_mut().zip(&rooms) {
            if own.len() < *room {
                own.extend(free.next());
            }
        }
    }
}

/// Members who subscribe to different topics: the next partition goes to whoever has least, then partitions move from
/// who has two more than another reader of their topic.
fn balance(members: &[Candidate<'_>], owned: &mut [Vec<TopicPartition>], mut free: Vec<TopicPartition>) {
    let mut readers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        member.topics.iter().for_each(|topic| readers.entry(*topic).or_default().push(at));
    }
    let readers_of = |topic: &TopicId| readers.get(topic).map_or(&[][..], |readers| readers);
    let load = |owned: &[Vec<TopicPartition>], at: usize| owned.get(at).map_or(0, Vec::len);
    free.sort_by_key(|one| (readers_of(&one.0).len(), *one));
    for partition in free {
        let least = readers_of(&partition.0).iter().copied().min_by_key(|at| (load(owned, *at), *at));
        if let Some(own) = least.and_then(|at| owned.get_mut(at)) {
            own.push(partition);
        }
    }
    // Every move makes the sum of the squares of the loads smaller, therefore this ends.
    let mut has_moved = true;
    while std::mem::take(&mut has_moved) {
        for (topic, readers) in &readers {
            let has = |owned: &[Vec<TopicPartition>], at: usize| {
                owned.get(at).and_then(|own| own.iter().rposition(|one| one.0 == *topic))
            };
            loop {
                let owners = readers.iter().copied().filter_map(|at| Some((at, has(owned, at)?)));
                let Some((most, place)) = owners.max_by_key(|(at, _)| (load(owned, *at), *at)) else { break };
                let Some(least) = readers.iter().copied().min_by_key(|at| (load(owned, *at), *at)) else { break };
                if load(owned, most) < load(owned, least) + 2 {
                    break;
                }
                let moved = owned.get_mut(most).map(|own| own.remove(place));
                if let Some(own) = owned.get_mut(least) {
                    own.extend(moved);
                }
                has_moved = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;

    fn id(topic: usize) -> TopicId {
        TopicId([topic as u8 + 1; 16])
    }

    fn sizes(counts: &[i32]) -> Sizes {
        counts.iter().enumerate().map(|(topic, &count)| (id(topic), count)).collect()
    }

    /// Assigns to members that are described by the topics they subscribe to, from what they had.
    fn run(assignor: Assignor, members: &[Vec<TopicId>], before: &[Partitions], sizes: &Sizes) -> Vec<Partitions> {
        let names: Vec<String> = (0..members.len()).map(|number| format!("m{number:04}")).collect();
        let none = Partitions::default();
        let candidates: Vec<Candidate<'_>> = members
            .iter()
            .enumerate()
            .map(|(at, topics)| Candidate {
                name: &names[at],
                before: before.get(at).unwrap_or(&none),
                topics: topics.iter().filter(|topic| sizes.contains_key(topic)).copied().collect(),
            })
            .collect();
        let assigned = assign(assignor, &candidates, sizes);
        assert_eq!(assigned, assign(assignor, &candidates, sizes), "the same again");
        let mut seen = BTreeSet::new();
        for (member, own) in members.iter().zip(&assigned) {
            assert!(own.iter().all(|one| member.contains(&one.0) && one.1.0 < sizes[&one.0] && seen.insert(*one)));
        }
        let wanted = |topic: &&TopicId| members.iter().any(|member| member.contains(topic));
        let all: i32 = sizes.keys().filter(wanted).map(|topic| sizes[topic]).sum();
        assert_eq!(seen.len(), all as usize, "nothing is left over");
        assigned
    }

    fn moved(before: &[Partitions], after: &[Partitions]) -> usize {
        before.iter().zip(after).map(|(before, after)| before.without(after).len()).sum()
    }

    /// Whoever subscribes alike gets as much as the others, and only what must move does.
    #[test]
    fn uniform_is_balanced_and_sticky() {
        let mut rng = Rng::new(5);
        for _ in 0..200 {
            let sizes = sizes(&(0..1 + rng.below(4)).map(|_| rng.below(20) as i32).collect::<Vec<_>>());
            let topics: Vec<TopicId> = sizes.keys().copied().collect();
            let total: usize = sizes.values().map(|size| *size as usize).sum();
            let mut members = vec![topics.clone(); 1 + rng.below(7) as usize];
            let mut own = run(Assignor::Uniform, &members, &[], &sizes);
            for _ in 0..6 {
                let before = own.clone();
                match rng.one_in(2) || members.len() == 1 {
                    true => members.push(topics.clone()),
                    false => {
                        members.pop();
                    }
                }
                own = run(Assignor::Uniform, &members, &before[..before.len().min(members.len())], &sizes);
                let loads: Vec<usize> = own.iter().map(Partitions::len).collect();
                assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1, "{loads:?}");
                assert!(moved(&before[..before.len().min(own.len())], &own) <= total.div_ceil(members.len()));
                assert_eq!(run(Assignor::Uniform, &members, &own, &sizes), own, "nothing moves without a reason");
            }
        }
    }

    /// The partitions of one topic do not heap up at one member.
    #[test]
    fn uniform_spreads_topics() {
        let sizes = sizes(&[3, 3, 3]);
        let members = vec![sizes.keys().copied().collect::<Vec<_>>(); 3];
        for own in run(Assignor::Uniform, &members, &[], &sizes) {
            assert_eq!(own.by_topic().map(|(_, run)| run.len()).collect::<Vec<_>>(), [1, 1, 1]);
        }
    }

    /// Members who subscribe to different topics: nobody has two more than another who could take one of them.
    #[test]
    fn uniform_with_different_topics() {
        let mut rng = Rng::new(6);
        for _ in 0..300 {
            let sizes = sizes(&(0..2 + rng.below(4)).map(|_| rng.below(12) as i32).collect::<Vec<_>>());
            let mut own = Vec::new();
            for _ in 0..4 {
                let members: Vec<Vec<TopicId>> =
                    (0..1 + rng.below(6)).map(|_| sizes.keys().filter(|_| rng.one_in(2)).copied().collect()).collect();
                own = run(Assignor::Uniform, &members, &own, &sizes);
                for (one, member) in own.iter().zip(&members) {
                    for (topic, _) in one.by_topic() {
                        let others = own.iter().zip(&members).filter(|(_, topics)| topics.contains(&topic));
                        assert!(others.map(|(other, _)| other.len()).min().unwrap() + 1 >= one.len(), "{member:?}");
                    }
                }
                let again = run(Assignor::Uniform, &members, &own, &sizes);
                assert_eq!(again, own, "nothing moves without a reason");
            }
        }
    }

    /// Runs of neighbours, the first members one more, the same run of topics of one size.
    #[test]
    fn ranges() {
        let sizes = sizes(&[7, 7]);
        let members = vec![sizes.keys().copied().collect::<Vec<_>>(); 3];
        let own = run(Assignor::Range, &members, &[], &sizes);
        for (own, indexes) in own.iter().zip([vec![0, 1, 2], vec![3, 4], vec![5, 6]]) {
            for (_, run) in own.by_topic() {
                assert_eq!(run.iter().map(|one| one.1.0).collect::<Vec<_>>(), indexes);
            }
        }
        let members = vec![vec![id(0)], vec![id(0), id(1)]];
        let own = run(Assignor::Range, &members, &own, &sizes);
        assert_eq!((own[0].len(), own[1].len()), (4, 10));
    }

    /// A thousand members and partitions take no time to speak of, in either way.
    #[test]
    fn thousand() {
        let sizes = sizes(&[250; 4]);
        let topics: Vec<TopicId> = sizes.keys().copied().collect();
        let mut members = vec![topics; 1000];
        let own = run(Assignor::Uniform, &members, &[], &sizes);
        assert!(own.iter().all(|own| own.len() == 1));
        members[0].pop();
        assert_eq!(moved(&own, &run(Assignor::Uniform, &members, &own, &sizes)), 0);
    }
}
