//! Every transition of a group's life, one test a story.

use super::fixture_test::*;
use super::*;
use crate::config::Config;

/// Members that come within the delay are in the first generation; the first is the leader and learns of all.
#[test]
fn join_of_many() {
    let mut f = Fixture::new();
    let joining: Vec<(String, u32)> = (0..4).map(|_| f.newcomer()).collect();
    assert_eq!(f.state(), Some(State::PreparingRebalance));
    assert!(f.answers.is_empty(), "everybody waits");
    f.pass(6_001);
    let joined: Vec<Joined> = joining.iter().map(|(_, slot)| f.joined(*slot)).collect();
    for (joined, (id, _)) in joined.iter().zip(&joining) {
        assert_eq!((joined.generation, &*joined.leader, &*joined.member), (1, &*joining[0].0, &**id));
        assert_eq!(joined.protocol.as_deref(), Some("range"));
        assert_eq!(joined.members.len(), if *id == joining[0].0 { 4 } else { 0 });
    }
    assert!(joined[0].members.iter().all(|member| member.metadata == SUBSCRIPTION));
}

/// The first rebalance takes one delay when nobody else comes, and is drawn out, within bounds, while members come.
#[test]
fn initial_delay() {
    let mut f = Fixture::new();
    let delay_ms = f.groups.cx.config.initial_rebalance_delay_ms;
    let (_, first) = f.newcomer();
    f.pass(delay_ms - 1);
    let (_, second) = f.newcomer();
    f.pass(delay_ms - 1);
    assert!(f.answers.is_empty(), "drawn out by the second");
    f.pass(2);
    assert_eq!((f.joined(first).generation, f.joined(second).generation), (1, 1));
}

/// A follower that syncs before the leader waits for it; nobody is told before the assignment is durable.
#[test]
fn follower_syncs_first() {
    let mut f = Fixture::new();
    let (a, b) = (f.newcomer(), f.newcomer());
    f.pass(6_001);
    let generation = f.joined(a.1).generation;
    f.joined(b.1);
    let follower = f.sync(&b.0, generation, &[]);
    let leader = f.sync(&a.0, generation, &[(&a.0, b"A"), (&b.0, b"B"), ("stranger", b"?")]);
    assert!(f.answers.is_empty() && f.state() == Some(State::CompletingRebalance));
    f.store();
    assert_eq!((f.synced(follower), f.synced(leader)), (b"B".to_vec(), b"A".to_vec()));
    assert_eq!(f.state(), Some(State::Stable));
    let again = f.sync(&b.0, generation, &[]);
    assert_eq!(f.synced(again), b"B", "a lost answer is given again");
}

/// An assignment that cannot be stored is nobody's, and the generation is made anew.
#[test]
fn assignment_not_stored() {
    let mut f = Fixture::new();
    let (a, b) = (f.newcomer(), f.newcomer());
    f.pass(6_001);
    f.joined(a.1);
    f.joined(b.1);
    let slots = [f.sync(&b.0, 1, &[]), f.sync(&a.0, 1, &[(&a.0, b"A")])];
    f.fail();
    assert!(slots.map(|slot| f.refused(slot)).iter().all(|error| *error == GroupError::Unavailable));
    assert_eq!(f.state(), Some(State::PreparingRebalance));
    let again = [f.join(&request(&a.0)), f.join(&request(&b.0))];
    assert_eq!(again.map(|slot| f.joined(slot).generation), [2, 2]);
}

/// What a heartbeat, a sync and a commit are told in each state, and from whom they are not taken.
#[test]
fn heartbeats_in_each_state() {
    let mut f = Fixture::new();
    assert_eq!(f.heartbeat("x", 0), Err(GroupError::UnknownMember), "no group");
    let (ids, generation) = f.stable(2);
    assert_eq!(f.heartbeat(&ids[0], generation), Ok(()));
    assert_eq!(f.heartbeat("x", generation), Err(GroupError::UnknownMember));
    assert_eq!(f.heartbeat(&ids[0], generation - 1), Err(GroupError::IllegalGeneration));
    assert_eq!(f.commit("g", &ids[0], generation, 5), Ok(()));
    let (third, slot) = f.newcomer();
    assert_eq!(f.state(), Some(State::PreparingRebalance));
    assert_eq!(f.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
    assert_eq!(f.commit("g", &ids[0], generation, 6), Ok(()), "work that is done counts");
    let sync = f.sync(&ids[0], generation, &[]);
    assert_eq!(f.refused(sync), GroupError::RebalanceInProgress);
    let again = [f.join(&request(&ids[0])), f.join(&request(&ids[1]))];
    assert_eq!(f.state(), Some(State::CompletingRebalance));
    assert_eq!(again.map(|slot| f.joined(slot).generation), [generation + 1; 2]);
    f.joined(slot);
    assert_eq!(f.heartbeat(&third, generation + 1), Ok(()));
    assert_eq!(f.commit("g", &third, generation + 1, 7), Err(GroupError::RebalanceInProgress));
    assert_eq!(f.commit("g", &third, generation, 7), Err(GroupError::IllegalGeneration));
    for id in ids.iter().chain([&third]) {
        assert_eq!(f.leave(id, None), Ok(()));
    }
    assert_eq!(f.state(), Some(State::Empty));
    assert_eq!(f.heartbeat(&third, generation + 1), Err(GroupError::UnknownMember));
    assert_eq!(f.committed("g"), Some(6));
}

/// A leader that falls silent is removed, another is chosen, and the others get on.
#[test]
fn leader_fails() {
    let mut f = Fixture::new();
    let (ids, generation) = f.stable(3);
    for _ in 0..3 {
        f.pass(4_000);
        for id in &ids[1..] {
            let _ = f.heartbeat(id, generation);
        }
    }
    assert_eq!(f.state(), Some(State::PreparingRebalance));
    let slots: Vec<u32> = ids[1..].iter().map(|id| f.join(&request(id))).collect();
    let joined: Vec<Joined> = slots.into_iter().map(|slot| f.joined(slot)).collect();
    assert!(joined.iter().all(|joined| joined.generation == generation + 1 && *joined.leader != *ids[0]));
    let leader = joined[0].leader.to_string();
    let mut left = ids[1..].to_vec();
    left.sort_by_key(|id| *id != leader);
    f.settle(&left, generation + 1);
    assert_eq!(f.heartbeat(&ids[0], generation), Err(GroupError::UnknownMember));
}

/// Who does not join again within the rebalance timeout is left out.
#[test]
fn rebalance_timeout() {
    let mut f = Fixture::new();
    let (ids, generation) = f.stable(2);
    let slot = f.join(&request(&ids[0]));
    for _ in 0..20 {
        f.pass(3_000);
        let _ = f.heartbeat(&ids[1], generation);
    }
    let joined = f.joined(slot);
    assert_eq!((joined.generation, joined.members.len()), (generation + 1, 1));
    assert_eq!(f.heartbeat(&ids[1], generation), Err(GroupError::UnknownMember));
}

/// Who does not ask for its assignment within the rebalance timeout is removed.
#[test]
fn sync_timeout() {
    let mut f = Fixture::new();
    let (a, b) = (f.newcomer(), f.newcomer());
    f.pass(3_000 * 2 + 1);
    f.joined(a.1);
    f.joined(b.1);
    let slot = f.sync(&a.0, 1, &[(&a.0, b"A")]);
    f.store();
    assert_eq!(f.synced(slot), b"A");
    for _ in 0..20 {
        f.pass(3_000);
        let _ = (f.heartbeat(&a.0, 1), f.heartbeat(&b.0, 1));
    }
    assert_eq!(f.state(), Some(State::PreparingRebalance));
    assert_eq!(f.heartbeat(&b.0, 1), Err(GroupError::UnknownMember));
    let again = f.join(&request(&a.0));
    assert_eq!(f.joined(again).generation, 2);
}

/// All members vanish: the group is empty, its generation stored, its offsets kept.
#[test]
fn all_vanish() {
    let mut f = Fixture::new();
    let (ids, generation) = f.stable(3);
    assert_eq!(f.commit("g", &ids[0], generation, 9), Ok(()));
    f.pass(200_000);
    f.store();
    assert_eq!((f.state(), f.committed("g")), (Some(State::Empty), Some(9)));
    f.restart();
    let group = f.groups.get("g").unwrap();
    assert_eq!((group.state(), group.generation() > generation, f.committed("g")), (State::Empty, true, Some(9)));
}

/// A follower that joins again without news gets the generation that stands; with other metadata it makes a new one;
/// the leader always does.
#[test]
fn rejoin() {
    let mut f = Fixture::new();
    let (ids, generation) = f.stable(2);
    let slot = f.join(&request(&ids[1]));
    let joined = f.joined(slot);
    assert_eq!((joined.generation, joined.members.len(), f.state()), (generation, 0, Some(State::Stable)));
    let mut changed = request(&ids[1]);
    changed.protocols = vec![("range", b"\0\0\0\0\0\0\xff\xff\xff\xff")];
    let follower = f.join(&changed);
    assert_eq!(f.state(), Some(State::PreparingRebalance));
    let leader = f.join(&request(&ids[0]));
    assert_eq!((f.joined(follower).generation, f.joined(leader).generation), (generation + 1, generation + 1));
    let lost = f.join(&request(&ids[0]));
    assert_eq!(f.joined(lost).members.len(), 2, "the leader's answer was lost, and is given again");
    f.settle(&ids, generation + 1);
    f.join(&request(&ids[0]));
    assert_eq!(f.state(), Some(State::PreparingRebalance));
}

/// A member that joins again while its JoinGroup waits is answered once, the later request.
#[test]
fn join_twice() {
    let mut f = Fixture::new();
    let (id, first) = f.newcomer();
    let second = f.join(&request(&id));
    assert_eq!(f.refused(first), GroupError::RebalanceInProgress);
    f.pass(6_001);
    assert_eq!(f.joined(second).generation, 1);
}

/// Ids that were given and never used are forgotten, and the group with them.
#[test]
fn given_ids_expire() {
    let mut f = Fixture::new();
    let slot = f.join(&request(""));
    assert_eq!(f.refused(slot), GroupError::MemberIdRequired);
    assert!(f.state().is_some());
    f.pass(10_000);
    assert_eq!((f.state(), f.account.used_bytes(), f.groups.next_deadline()), (None, 0, None));
    let slot = f.join(&request("made-up"));
    assert_eq!((f.refused(slot), f.state()), (GroupError::UnknownMember, None));
}

fn static_request<'a>(member: &'a str, instance: &'a str) -> JoinRequest<'a> {
    JoinRequest { instance: Some(instance), ..request(member) }
}

/// A static member that restarts takes its old place and assignment without a rebalance; the old process is fenced.
#[test]
fn static_replacement() {
    for may_skip in [false, true] {
        let mut f = Fixture::new();
        let (a, b) = (f.join(&static_request("", "one")), f.join(&static_request("", "two")));
        f.pass(6_001);
        let (a, b) = (f.joined(a), f.joined(b));
        let (old, follower) = (a.leader.to_string(), b.member.to_string());
        f.settle(&[old.clone(), follower.clone()], 1);
        let mut again = static_request("", "one");
        again.may_skip_assignment = may_skip;
        let slot = f.join(&again);
        assert!(f.answers.is_empty(), "not before the new id is durable");
        f.store();
        let joined = f.joined(slot);
        let new = joined.member.to_string();
        assert_eq!((joined.generation, f.state()), (1, Some(State::Stable)));
        assert_eq!(joined.skip_assignment, may_skip);
        assert_eq!(joined.leader.to_string(), if may_skip { new.clone() } else { old.clone() });
        assert_eq!(joined.members.len(), if may_skip { 2 } else { 0 });
        let slot = f.sync(&new, 1, &[]);
        assert_eq!(f.synced(slot), old.as_bytes(), "the assignment of its former life");
        let from = MemberOf { group: "g", member: &old, instance: Some("one"), generation: 1 };
        assert_eq!(f.groups.heartbeat(f.now(), &from), Err(GroupError::FencedInstance));
        let slot = f.join(&static_request(&old, "one"));
        assert_eq!(f.refused(slot), GroupError::FencedInstance);
        f.restart();
        assert_eq!(f.heartbeat(&new, 1), Ok(()));
        assert_eq!(f.heartbeat(&old, 1), Err(GroupError::UnknownMember));
    }
}

/// A static member that joins twice during a rebalance: the first request is fenced.
#[test]
fn static_fenced_while_joining() {
    let mut f = Fixture::new();
    let first = f.join(&static_request("", "one"));
    let second = f.join(&static_request("", "one"));
    assert_eq!(f.refused(first), GroupError::FencedInstance);
    f.pass(6_001);
    assert_eq!(f.joined(second).members.len(), 1);
}

/// When the new id cannot be stored, or not in time, the old one keeps its place.
#[test]
fn static_replacement_not_stored() {
    for comes_late in [false, true] {
        let mut f = Fixture::new();
        let slot = f.join(&static_request("", "one"));
        f.pass(6_001);
        let old = f.joined(slot).member.to_string();
        f.settle(std::slice::from_ref(&old), 1);
        let slot = f.join(&static_request("", "one"));
        if comes_late {
            f.pass(f.groups.cx.config.offsets_commit_timeout_ms - 1);
            assert!(f.answers.is_empty());
            f.pass(1);
        } else {
            f.fail();
        }
        assert_eq!(f.refused(slot), GroupError::Unavailable);
        assert_eq!(f.heartbeat(&old, 1), Ok(()));
        f.store();
        assert_eq!((f.heartbeat(&old, 1), f.answers.len()), (Ok(()), 0));
    }
}

/// An administrator removes a static member by its instance id alone; strangers cannot be removed.
#[test]
fn removal_by_instance() {
    let mut f = Fixture::new();
    let slot = f.join(&static_request("", "one"));
    f.pass(6_001);
    f.joined(slot);
    assert_eq!(f.leave("", Some("two")), Err(GroupError::UnknownMember));
    assert_eq!(f.leave("", None), Err(GroupError::UnknownMember));
    assert_eq!(f.leave("x", Some("one")), Err(GroupError::FencedInstance));
    assert_eq!(f.leave("", Some("one")), Ok(()));
    assert_eq!(f.state(), Some(State::Empty));
}

/// Members agree on the assignor that most like best among those that all have; without one nobody joins.
#[test]
fn protocols() {
    let mut f = Fixture::new();
    let with = |protocols: &[(&'static str, &'static [u8])]| {
        let mut request = request("");
        request.takes_member_id = false;
        request.protocols = protocols.to_vec();
        request
    };
    let slots = [
        f.join(&with(&[("range", b"r"), ("sticky", b"s"), ("own", b"o")])),
        f.join(&with(&[("sticky", b"s"), ("range", b"r")])),
        f.join(&with(&[("sticky", b"s"), ("range", b"r")])),
    ];
    let refused = f.join(&with(&[("own", b"o")]));
    assert_eq!(f.refused(refused), GroupError::InconsistentProtocol);
    let mut other = with(&[("range", b"r")]);
    other.protocol_type = "connect";
    let refused = f.join(&other);
    assert_eq!(f.refused(refused), GroupError::InconsistentProtocol);
    let refused = f.join(&with(&[]));
    assert_eq!(f.refused(refused), GroupError::InconsistentProtocol);
    f.pass(6_001);
    assert!(slots.map(|slot| f.joined(slot).protocol).iter().all(|name| name.as_deref() == Some("sticky")));
}

/// Bounds: names, session timeouts, members of a group, metadata of a member, memory of all.
#[test]
fn bounds() {
    let mut f = Fixture::new();
    let slot = f.join(&JoinRequest { group: "", ..request("") });
    assert_eq!(f.refused(slot), GroupError::InvalidGroupId);
    for session_timeout_ms in [-1, 0, 5_999, 1_800_001] {
        let slot = f.join(&JoinRequest { session_timeout_ms, ..request("") });
        assert_eq!(f.refused(slot), GroupError::InvalidSessionTimeout);
    }
    let large = vec![0; 1 << 20];
    let slot = f.join(&JoinRequest { protocols: vec![("range", &large)], ..request("") });
    assert_eq!(f.refused(slot), GroupError::GroupFull);
    f.stable(5);
    let slot = f.join(&request(""));
    assert_eq!(f.refused(slot), GroupError::GroupFull);
    let mut f = Fixture::with(Config::default().groups, 10_000);
    let names: Vec<String> = (0..100).map(|number| format!("group-{number}")).collect();
    let taken = names.iter().filter(|name| f.commit(name, "", -1, 1).is_ok()).count();
    assert!((5..20).contains(&taken), "{taken}");
    assert_eq!(f.commit("more", "", -1, 1), Err(GroupError::Unavailable));
    assert_eq!(f.committed(&names[0]), Some(1), "those that are there are not disturbed");
}

/// A consumer without membership commits while the group is empty, and not to a group with members.
#[test]
fn simple_consumer() {
    let mut f = Fixture::new();
    assert_eq!(f.commit("g", "", -1, 3), Ok(()));
    assert_eq!((f.state(), f.committed("g")), (Some(State::Empty), Some(3)));
    assert_eq!(f.commit("other", "m", 0, 3), Err(GroupError::IllegalGeneration));
    assert!(f.groups.get("other").is_none());
    f.stable(1);
    assert_eq!(f.commit("g", "", -1, 4), Err(GroupError::UnknownMember));
}

/// A restart keeps offsets, generations, members and their assignments; silent members then expire.
#[test]
fn restart() {
    let mut f = Fixture::new();
    let (ids, generation) = f.stable(2);
    assert_eq!(f.commit("g", &ids[1], generation, 77), Ok(()));
    f.restart();
    assert_eq!((f.state(), f.committed("g")), (Some(State::Stable), Some(77)));
    assert_eq!(f.heartbeat(&ids[0], generation), Ok(()));
    let slot = f.sync(&ids[1], generation, &[]);
    assert_eq!(f.synced(slot), ids[1].as_bytes());
    f.pass(100_000);
    assert_eq!(f.state(), Some(State::Empty));
    f.store();
    f.restart();
    assert_eq!((f.state(), f.committed("g")), (Some(State::Empty), Some(77)));
}

/// Another node takes over: whoever waits is sent there, and nothing is held any more.
#[test]
fn unload() {
    let mut f = Fixture::new();
    let (_, slot) = f.newcomer();
    let waiter = f.waiter();
    let from = MemberOf { group: "h", member: "", instance: None, generation: -1 };
    f.groups.commit(f.now(), PLACE, &from, &[to_commit(1)], waiter).unwrap();
    f.groups.unload(PLACE);
    f.collect();
    assert_eq!(f.refused(slot), GroupError::NotCoordinator);
    assert_eq!(f.answers.remove(&waiter.slot.0), Some(GroupAnswer::Stored(Err(GroupError::NotCoordinator))));
    assert_eq!((f.account.used_bytes(), f.groups.iter().count()), (0, 0));
}

/// A commit that is not copied in time is answered, so that its client looks for another coordinator; what comes of it after
/// all still counts.
#[test]
fn commit_times_out() {
    let mut f = Fixture::new();
    let waiter = f.waiter();
    let from = MemberOf { group: "g", member: "", instance: None, generation: -1 };
    f.groups.commit(f.now(), PLACE, &from, &[to_commit(7)], waiter).unwrap();
    f.pass(f.groups.cx.config.offsets_commit_timeout_ms - 1);
    assert_eq!(f.answers.remove(&waiter.slot.0), None);
    f.pass(1);
    assert_eq!(f.answers.remove(&waiter.slot.0), Some(GroupAnswer::Stored(Err(GroupError::Unavailable))));
    assert_eq!((f.groups.cx.stores.next_deadline(), f.committed("g")), (None, None));
    f.store();
    assert_eq!((f.committed("g"), f.answers.len()), (Some(7), 0));
}

/// So is who forgets offsets or a group, and who waits for an assignment: that generation is none.
#[test]
fn others_time_out() {
    let mut f = Fixture::new();
    assert_eq!(f.commit("gone", "", -1, 5), Ok(()));
    let (ids, generation) = f.completing(2);
    let [deleting, forgetting] = [f.waiter(), f.waiter()];
    f.groups.delete_offsets(f.now(), "gone", &[("t", PartitionIndex(0))], deleting).unwrap();
    f.groups.delete_group(f.now(), "gone", forgetting).unwrap();
    let led = f.sync(&ids[0], generation, &[(&ids[0], b"a"), (&ids[1], b"b")]);
    let follows = f.sync(&ids[1], generation, &[]);
    f.pass(f.groups.cx.config.offsets_commit_timeout_ms - 1);
    assert!(f.answers.is_empty());
    f.pass(1);
    for waiter in [deleting, forgetting] {
        assert_eq!(f.answers.remove(&waiter.slot.0), Some(GroupAnswer::Stored(Err(GroupError::Unavailable))));
    }
    for slot in [led, follows] {
        assert_eq!(f.answers.remove(&slot), Some(GroupAnswer::Synced(Err(GroupError::Unavailable))));
    }
    assert_eq!(f.state(), Some(State::PreparingRebalance));
    f.store();
    assert_eq!((f.state(), f.answers.len()), (Some(State::PreparingRebalance), 0));
}

/// Offsets are forgotten one by one or with their group, only where nobody reads, also those on their way.
#[test]
fn deletion() {
    let mut f = Fixture::new();
    let (ids, generation) = f.stable(1);
    assert_eq!(f.commit("g", &ids[0], generation, 5), Ok(()));
    let waiter = f.waiter();
    let at = PartitionIndex(0);
    let results = f.groups.delete_offsets(f.now(), "g", &[("t", at), ("u", at)], waiter).unwrap();
    assert_eq!(results, [Err(GroupError::SubscribedToTopic), Ok(())]);
    assert_eq!(f.groups.delete_group(f.now(), "g", waiter), Err(GroupError::NonEmptyGroup));
    assert_eq!(f.groups.delete_group(f.now(), "h", waiter), Err(GroupError::GroupNotFound));
    assert_eq!(f.leave(&ids[0], None), Ok(()));
    let committing = f.waiter();
    let from = MemberOf { group: "g", member: "", instance: None, generation: -1 };
    f.groups.commit(f.now(), PLACE, &from, &[to_commit(6)], committing).unwrap();
    let deleting = f.waiter();
    assert_eq!(f.groups.delete_offsets(f.now(), "g", &[("t", at)], deleting).unwrap(), [Ok(())]);
    f.collect();
    f.store();
    assert_eq!(f.committed("g"), None);
    f.restart();
    assert_eq!((f.committed("g"), f.state()), (None, Some(State::Empty)));
    let deleting = f.waiter();
    f.groups.delete_group(f.now(), "g", deleting).unwrap();
    f.collect();
    f.store();
    assert_eq!(f.answers.remove(&deleting.slot.0), Some(GroupAnswer::Stored(Ok(()))));
    f.restart();
    assert_eq!((f.state(), f.account.used_bytes()), (None, 0));
}

/// What was read of a topic goes with the topic.
#[test]
fn topic_deleted() {
    let mut f = Fixture::new();
    assert_eq!(f.commit("g", "", -1, 5), Ok(()));
    f.groups.forget_topic("u");
    assert_eq!(f.committed("g"), Some(5));
    f.groups.forget_topic("t");
    f.collect();
    f.store();
    assert_eq!(f.committed("g"), None);
    f.restart();
    assert_eq!(f.groups.iter().count(), 0);
}

/// Offsets outlive their group's members by the retention, in broker time; then the group goes too.
#[test]
fn expiry() {
    let mut f = Fixture::new();
    let retention_ms = f.groups.cx.config.offsets_retention_ms;
    let (ids, generation) = f.stable(1);
    assert_eq!(f.commit("g", &ids[0], generation, 5), Ok(()));
    assert_eq!(f.commit("alone", "", -1, 5), Ok(()));
    for _ in 0..retention_ms / 8_000 + 200 {
        f.pass(8_000);
        assert_eq!(f.heartbeat(&ids[0], generation), Ok(()));
    }
    assert_eq!((f.committed("g"), f.committed("alone")), (Some(5), None), "members keep offsets alive");
    assert_eq!(f.leave(&ids[0], None), Ok(()));
    f.pass(retention_ms - 1);
    assert_eq!(f.committed("g"), Some(5));
    f.pass(1_300_000);
    assert_eq!((f.committed("g"), f.state()), (None, None));
    f.store();
    f.restart();
    assert_eq!((f.groups.iter().count(), f.account.used_bytes()), (0, 0));
}
