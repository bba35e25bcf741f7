//! From one protocol to the other: empty groups, live groups, and the policy that forbids it.

use super::embedded::decode_assignment;
use super::heartbeat_test::{at, indexes, joining, set};
use super::*;
use crate::broker::groups::fixture_test::{Fixture, SUBSCRIPTION, request};
use crate::broker::groups::{JoinRequest, MemberOf, SyncRequest};
use crate::config::Config;

impl Fixture {
    /// A classic member asks for its assignment and understands it.
    fn assigned(&mut self, member: &str, generation: i32) -> Vec<i32> {
        let waiter = self.waiter();
        let from = MemberOf { group: "g", member, instance: None, generation };
        let sync = SyncRequest { from, protocol_type: Some("consumer"), protocol: Some("range"), assignments: vec![] };
        self.groups.sync(self.now(), self.topics.view(), &sync, waiter);
        self.collect();
        self.store();
        let bytes = self.synced(waiter.slot.0);
        indexes(&decode_assignment(&bytes, self.topics.view().topics).unwrap())
    }

    /// A classic group of one member that reads everything.
    fn classic(&mut self) -> String {
        let (id, slot) = self.newcomer();
        self.pass(3_001);
        assert_eq!(self.joined(slot).generation, 1);
        let all = super::embedded::encode_assignment(0, &set(&[0, 1, 2, 3]), self.topics.view().topics);
        let slot = self.sync(&id, 1, &[(&id, &all)]);
        self.store();
        assert_eq!(self.synced(slot), all);
        id
    }
}

fn rejoin<'a>(id: &'a str, metadata: &'a [u8]) -> JoinRequest<'a> {
    JoinRequest { protocols: vec![("range", metadata)], ..request(id) }
}

/// A consumer joins a classic group with members: these keep what they read until they are told to join again, give up
/// what the consumer shall have, and the group is classic again when the last consumer has gone.
#[test]
fn there_and_back() {
    let mut f = Fixture::consumers();
    let old = f.classic();
    assert_eq!(f.commit("g", &old, 1, 5), Ok(()));
    let new = f.enter("new");
    assert_eq!((new.epoch, new.assignment.unwrap().len(), f.groups.get("g").unwrap().kind()), (2, 0, "consumer"));
    assert_eq!(f.consumer().members[&*old].assigned, set(&[0, 1, 2, 3]));
    assert_eq!(f.commit("g", &old, 1, 6), Ok(()), "the old member is where it was");
    assert_eq!(f.heartbeat(&old, 1), Err(GroupError::RebalanceInProgress));
    let slot = f.join(&rejoin(&old, SUBSCRIPTION));
    f.store();
    let joined = f.joined(slot);
    assert_eq!((joined.generation, &*joined.leader, joined.members.len()), (2, "", 0));
    assert_eq!(f.assigned(&old, 2), [0, 1]);
    assert_eq!(f.heartbeat(&old, 2), Ok(()));
    assert_eq!(indexes(&f.told(&at("new", 2)).unwrap().assignment.unwrap()), [2, 3]);
    assert_eq!((f.state(), f.committed("g")), (Some(State::Stable), Some(6)));
    f.restart();
    assert_eq!((f.state(), f.heartbeat(&old, 2)), (Some(State::Stable), Ok(())));
    f.told(&at("new", LEAVING)).unwrap();
    assert_eq!((f.groups.get("g").unwrap().kind(), f.state()), ("classic", Some(State::PreparingRebalance)));
    assert_eq!(f.heartbeat(&old, 3), Err(GroupError::RebalanceInProgress));
    f.store();
    f.restart();
    assert_eq!(f.groups.get("g").unwrap().kind(), "classic");
    let slot = f.join(&rejoin(&old, SUBSCRIPTION));
    let joined = f.joined(slot);
    assert_eq!((joined.generation, &*joined.leader), (4, &*old), "it leads again");
    assert_eq!(f.committed("g"), Some(6));
}

/// A cooperative member lets go of what it loses in a second round.
#[test]
fn cooperative() {
    let mut f = Fixture::consumers();
    let old = f.classic();
    f.enter("new");
    let owning = |indexes: &[i32]| {
        let mut bytes = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\x01\0\x01t".to_vec();
        bytes.extend((indexes.len() as i32).to_be_bytes());
        indexes.iter().for_each(|index| bytes.extend(index.to_be_bytes()));
        bytes
    };
    let slot = f.join(&rejoin(&old, &owning(&[0, 1, 2, 3])));
    f.store();
    assert_eq!(f.joined(slot).generation, 1, "it has not let go yet");
    assert_eq!(f.assigned(&old, 1), [0, 1]);
    assert_eq!(f.told(&at("new", 2)).unwrap().assignment, None);
    assert_eq!(f.heartbeat(&old, 1), Err(GroupError::RebalanceInProgress));
    let slot = f.join(&rejoin(&old, &owning(&[0, 1])));
    f.store();
    assert_eq!(f.joined(slot).generation, 2);
    assert_eq!(f.assigned(&old, 2), [0, 1]);
    assert_eq!(indexes(&f.told(&at("new", 2)).unwrap().assignment.unwrap()), [2, 3]);
}

/// A classic member that does not join again in time, or does not sync, is removed.
#[test]
fn classic_deadlines() {
    let mut f = Fixture::consumers();
    let old = f.classic();
    f.enter("new");
    assert_eq!(f.heartbeat(&old, 1), Err(GroupError::RebalanceInProgress));
    for _ in 0..13 {
        f.pass(5_000);
        let _ = f.heartbeat(&old, 1);
        let epoch = f.consumer().members["new"].epoch;
        f.told(&at("new", epoch)).unwrap();
    }
    assert!(!f.consumer().members.contains_key(&*old), "its rebalance timeout is a minute");
    f.store();
    let epoch = f.consumer().members["new"].epoch;
    let all = f.told(&ConsumerHeartbeat { owned: Some(set(&[])), ..joining("new") });
    assert_eq!(all.unwrap().epoch, epoch);
    assert_eq!(f.heartbeat(&old, 1), Err(GroupError::UnknownMember));
}

/// An empty group is what its next member makes of it; its offsets stay.
#[test]
fn empty_groups() {
    let mut f = Fixture::consumers();
    let old = f.classic();
    assert_eq!(f.commit("g", &old, 1, 5), Ok(()));
    f.leave(&old, None).unwrap();
    f.store();
    f.enter("new");
    assert_eq!((f.groups.get("g").unwrap().kind(), f.committed("g")), ("consumer", Some(5)));
    f.told(&at("new", LEAVING)).unwrap();
    f.restart();
    assert_eq!((f.groups.get("g").unwrap().kind(), f.state()), ("consumer", Some(State::Empty)));
    let (_, slot) = f.newcomer();
    f.pass(3_001);
    assert_eq!(f.joined(slot).generation, 1);
    assert_eq!((f.groups.get("g").unwrap().kind(), f.committed("g")), ("classic", Some(5)));
    f.store();
    f.restart();
    assert_eq!(f.groups.get("g").unwrap().kind(), "classic");
}

/// What the policy forbids, and groups that are no consumers', stay what they are.
#[test]
fn forbidden() {
    let mut config = Config::default().groups;
    (config.may_upgrade, config.may_downgrade) = (false, false);
    let mut f = Fixture::with(config, 1 << 20);
    let old = f.classic();
    assert_eq!(f.told(&joining("new")), Err(GroupError::GroupNotFound));
    assert_eq!(f.heartbeat(&old, 1), Ok(()), "nothing else is disturbed");
    let mut f = Fixture::consumers();
    let slot = f.join(&JoinRequest { protocol_type: "connect", takes_member_id: false, ..request("") });
    assert_eq!(f.told(&joining("new")), Err(GroupError::GroupNotFound));
    f.pass(3_001);
    assert_eq!(f.joined(slot).generation, 1);
    let mut f = Fixture::consumers();
    f.enter("new");
    let slot = f.join(&JoinRequest { protocol_type: "connect", takes_member_id: false, ..request("") });
    assert_eq!(f.refused(slot), GroupError::InconsistentProtocol);
}

/// A static member may come back under the other protocol and go on with what it had.
#[test]
fn static_members() {
    let mut f = Fixture::consumers();
    f.enter("b");
    let mut epoch = 1;
    let mut owned = vec![0, 1, 2, 3];
    let join = JoinRequest { instance: Some("i"), takes_member_id: false, ..rejoin("", SUBSCRIPTION) };
    let slot = f.join(&join);
    f.store();
    let first = f.joined(slot);
    f.step("b", &mut epoch, &mut owned);
    f.step("b", &mut epoch, &mut owned);
    assert_eq!(owned, [0, 1]);
    let news = ConsumerHeartbeat { instance: Some("i"), ..joining("a") };
    let standing = f.told(&news).unwrap();
    assert_eq!((standing.epoch, indexes(&standing.assignment.unwrap())), (2, vec![2, 3]));
    assert_eq!(f.heartbeat(&first.member, first.generation), Err(GroupError::UnknownMember));
    let stale = MemberOf { group: "g", member: &first.member, instance: Some("i"), generation: first.generation };
    assert_eq!(f.groups.heartbeat(f.now(), &stale), Err(GroupError::FencedInstance));
}
