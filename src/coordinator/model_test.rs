//! The tree against a model so naive that it is plainly right: a map of full paths, cloned before every transaction.
//! Random transactions from a seed must agree in every reply, Stat and path; on the way the view, the account and
//! snapshots are checked as well.

use std::collections::{BTreeMap, BTreeSet};

use super::acl::{self, Acl, Id};
use super::*;
use crate::types::{Rng, SessionId, Term};

#[derive(Clone, Debug, PartialEq)]
struct ModelNode {
    data: Option<Vec<u8>>,
    acl: Vec<Acl>,
    /// `Some(0)` stands for containers.
    owner: Option<SessionId>,
    is_container: bool,
    creates: i32,
    stat: Stat,
}

#[derive(Clone, Debug, Default)]
struct Model {
    nodes: BTreeMap<String, ModelNode>,
    sessions: BTreeSet<SessionId>,
}

fn parent_of(path: &str) -> Option<String> {
    let (parent, _) = path.rsplit_once('/')?;
    Some(if parent.is_empty() { "/".to_string() } else { parent.to_string() })
}

impl Model {
    fn of(tree: &Tree) -> Model {
        let mut model = Model::default();
        let mut open = vec![tree.get("/").unwrap()];
        while let Some(znode) = open.pop() {
            let node = ModelNode {
                data: znode.data().map(<[u8]>::to_vec),
                acl: znode.acl().to_vec(),
                owner: match znode.owner() {
                    Owner::Session(session) => Some(session),
                    _ => None,
                },
                is_container: znode.owner() == Owner::Container,
                creates: znode.creates(),
                stat: znode.stat(),
            };
            model.nodes.insert(znode.path(), node);
            open.extend(znode.children());
        }
        model
    }

    fn children(&self, path: &str) -> i32 {
        self.nodes.keys().filter(|other| *other != "/" && parent_of(other).as_deref() == Some(path)).count() as i32
    }

    fn apply(&mut self, zxid: Zxid, time: Timestamp, txn: &Txn) -> Result<Outcome, TxnError> {
        let before = matches!(txn.body, Body::Multi(_)).then(|| self.clone());
        let outcome = match &txn.body {
            Body::CreateSession { session, .. } => {
                self.sessions.insert(*session);
                Ok(Outcome::SessionCreated)
            }
            Body::CloseSession { session } => self.close(*session, zxid),
            Body::One(op) => self.op(zxid, time, &txn.by, op).map(Outcome::One).map_err(|code| (0, code)),
            Body::Multi(ops) => ops
                .iter()
                .enumerate()
                .map(|(i, op)| self.op(zxid, time, &txn.by, op).map_err(|code| (i, code)))
                .collect::<Result<_, _>>()
                .map(Outcome::Multi),
            Body::RegisterBroker { .. }
            | Body::RegisterBrokerIn { .. }
            | Body::Reconfig { .. }
            | Body::MoveSession { .. } => unreachable!(),
        };
        outcome.map_err(|(failed_op, code)| {
            if let Some(before) = before {
                *self = before;
            }
            TxnError { failed_op, code }
        })
    }

    fn close(&mut self, session: SessionId, zxid: Zxid) -> Result<Outcome, (usize, ErrorCode)> {
        if !self.sessions.remove(&session) {
            return Err((0, ErrorCode::SessionExpired));
        }
        let gone: Vec<String> =
            self.nodes.iter().filter(|(_, node)| node.owner == Some(session)).map(|(path, _)| path.clone()).collect();
        gone.iter().for_each(|path| self.remove(path, zxid));
        Ok(Outcome::SessionClosed { ephemerals: gone.len() })
    }

    fn remove(&mut self, path: &str, zxid: Zxid) {
        self.nodes.remove(path);
        let parent = parent_of(path).unwrap();
        self.nodes.get_mut(&parent).unwrap().stat.pzxid = zxid;
        self.recount(&parent);
    }

    fn recount(&mut self, path: &str) {
        let children = self.children(path);
        let node = self.nodes.get_mut(path).unwrap();
        node.stat.num_children = children;
        node.stat.cversion = 2 * node.creates - children;
    }

    fn permit(&self, by: &By, path: &str, perm: u8) -> Result<(), ErrorCode> {
        match by {
            By::Client { ids, .. } if !acl::permits(&self.nodes[path].acl, perm, ids) => Err(ErrorCode::NoAuth),
            _ => Ok(()),
        }
    }

    fn op(&mut self, zxid: Zxid, time: Timestamp, by: &By, op: &Op) -> Result<OpResult, ErrorCode> {
        let session = by.session();
        if matches!(by, By::Client { .. }) && !self.sessions.contains(&session) {
            return Err(ErrorCode::SessionExpired);
        }
        let exists = |model: &Model, path: &str| {
            if model.nodes.contains_key(path) { Ok(()) } else { Err(ErrorCode::NoNode) }
        };
        let version = |expected: i32, now: i32| {
            if expected == -1 || expected == now { Ok(()) } else { Err(ErrorCode::BadVersion) }
        };
        match op {
            Op::Create { path, data, acl, mode } => {
                let parent = parent_of(path).ok_or(ErrorCode::BadArguments)?;
                let ids: &[Id] = if let By::Client { ids, .. } = by { ids } else { &[] };
                let acl = acl::fix_up(acl.clone(), ids)?;
                exists(self, &parent)?;
                self.permit(by, &parent, acl::CREATE)?;
                let mut path = path.clone();
                if mode.is_sequential() {
                    path += &format!("{:010}", self.nodes[&parent].creates);
                }
                path::validate(&path)?;
                if self.nodes.contains_key(&path) {
                    return Err(ErrorCode::NodeExists);
                }
                if self.nodes[&parent].owner.is_some() {
                    return Err(ErrorCode::NoChildrenForEphemerals);
                }
                let above = self.nodes.get_mut(&parent).unwrap();
                above.creates += 1;
                above.stat.pzxid = zxid;
                let owner = mode.is_ephemeral().then_some(session);
                let stat = Stat {
                    czxid: zxid,
                    mzxid: zxid,
                    ctime: time,
                    mtime: time,
                    ephemeral_owner: owner.unwrap_or_default(),
                    data_length: data.as_ref().map_or(0, |data| data.len() as i32),
                    pzxid: zxid,
                    ..Stat::default()
                };
                let is_container = *mode == CreateMode::Container;
                self.nodes
                    .insert(path.clone(), ModelNode { data: data.clone(), acl, owner, is_container, creates: 0, stat });
                self.recount(&parent);
                Ok(OpResult::Created { path, stat })
            }
            Op::Delete { path, version: expected } => {
                if path::is_special(path) {
                    return Err(ErrorCode::BadArguments);
                }
                let parent = parent_of(path).ok_or(ErrorCode::BadArguments)?;
                exists(self, &parent)?;
                self.permit(by, &parent, acl::DELETE)?;
                exists(self, path)?;
                version(*expected, self.nodes[path].stat.version)?;
                if self.children(path) > 0 {
                    return Err(ErrorCode::NotEmpty);
                }
                self.remove(path, zxid);
                Ok(OpResult::Done)
            }
            Op::SetData { path, data, version: expected } => {
                path::validate(path)?;
                exists(self, path)?;
                self.permit(by, path, acl::WRITE)?;
                version(*expected, self.nodes[path].stat.version)?;
                let node = self.nodes.get_mut(path).unwrap();
                node.data = data.clone();
                node.stat.version += 1;
                node.stat.mzxid = zxid;
                node.stat.mtime = time;
                node.stat.data_length = data.as_ref().map_or(0, |data| data.len() as i32);
                Ok(OpResult::Stat(node.stat))
            }
            Op::SetAcl { path, acl, version: expected } => {
                path::validate(path)?;
                let ids: &[Id] = if let By::Client { ids, .. } = by { ids } else { &[] };
                let acl = acl::fix_up(acl.clone(), ids)?;
                exists(self, path)?;
                self.permit(by, path, acl::ADMIN)?;
                version(*expected, self.nodes[path].stat.aversion)?;
                let node = self.nodes.get_mut(path).unwrap();
                node.acl = acl;
                node.stat.aversion += 1;
                Ok(OpResult::Stat(node.stat))
            }
            Op::Check { path, version: expected } => {
                path::validate(path)?;
                exists(self, path)?;
                self.permit(by, path, acl::READ)?;
                version(*expected, self.nodes[path].stat.version)?;
                Ok(OpResult::Done)
            }
            Op::DeleteContainer { path } => {
                if path::is_special(path) {
                    return Err(ErrorCode::BadArguments);
                }
                exists(self, path)?;
                if self.children(path) > 0 {
                    return Err(ErrorCode::NotEmpty);
                }
                if !self.nodes[path].is_container || self.nodes[path].creates == 0 {
                    return Err(ErrorCode::BadVersion);
                }
                self.remove(path, zxid);
                Ok(OpResult::Done)
            }
        }
    }
}

/// Draws transactions that often hit what exists.
struct Workload {
    rng: Rng,
}

impl Workload {
    fn path(&mut self) -> String {
        let names = ["a", "b", "c", "brokers", "zookeeper", "quota", "a0000000003", ""];
        let depth = 1 + self.rng.below(3);
        (0..depth).map(|_| format!("/{}", names[self.rng.below(names.len() as u64) as usize])).collect()
    }

    fn data(&mut self) -> Option<Vec<u8>> {
        let length = self.rng.below(40) as usize;
        (!self.rng.one_in(5)).then(|| vec![self.rng.next() as u8; length])
    }

    fn acl(&mut self) -> Vec<Acl> {
        match self.rng.below(8) {
            0 => vec![Acl { perms: self.rng.below(32) as u8, id: Id::new("digest", "u:h") }],
            1 => vec![Acl { perms: acl::ALL, id: Id::new("auth", "") }],
            2 => vec![],
            3 => Acl::readable(),
            _ => Acl::open(),
        }
    }

    fn version(&mut self) -> i32 {
        self.rng.below(4) as i32 - 1
    }

    fn session(&mut self) -> SessionId {
        SessionId(1 + self.rng.below(4) as i64)
    }

    fn op(&mut self) -> Op {
        let path = self.path();
        match self.rng.below(12) {
            0..=4 => {
                let mode = match self.rng.below(8) {
                    0 => CreateMode::Ephemeral,
                    1 => CreateMode::PersistentSequential,
                    2 => CreateMode::EphemeralSequential,
                    3 => CreateMode::Container,
                    _ => CreateMode::Persistent,
                };
                Op::Create { path, data: self.data(), acl: self.acl(), mode }
            }
            5 | 6 => Op::Delete { path, version: self.version() },
            7 | 8 => Op::SetData { path, data: self.data(), version: self.version() },
            9 => Op::SetAcl { path, acl: self.acl(), version: self.version() },
            10 => Op::Check { path, version: self.version() },
            _ => Op::DeleteContainer { path },
        }
    }

    fn txn(&mut self) -> Txn {
        let session = self.session();
        let ids = if self.rng.one_in(2) { vec![Id::new("digest", "u:h")] } else { vec![Id::new("ip", "::1")] };
        let by = By::Client { session, ids };
        let body = match self.rng.below(20) {
            0 => Body::CreateSession { session, timeout_ms: 1000 },
            1 if self.rng.one_in(4) => Body::CloseSession { session },
            2..=5 => Body::Multi((0..self.rng.below(5)).map(|_| self.op()).collect()),
            _ => Body::One(self.op()),
        };
        Txn { by, body }
    }
}

const LIMITS: TreeLimits = TreeLimits { bytes: 8 << 20, sessions: 100 };

fn assert_same(coordinator: &Coordinator, model: &Model) {
    let ours = Model::of(coordinator.tree());
    assert_eq!(ours.nodes, model.nodes);
    let content: usize = model
        .nodes
        .iter()
        .map(|(path, node)| path.rsplit_once('/').unwrap().1.len() + node.data.as_ref().map_or(0, Vec::len))
        .sum();
    assert_eq!(coordinator.tree().content_bytes(), content);
    let ephemerals = model.nodes.values().filter(|node| node.owner.is_some()).count();
    assert_eq!(coordinator.tree().ephemeral_count(), ephemerals);
    assert_eq!(&Cluster::rebuild(coordinator.tree(), &mut Vec::new()), coordinator.cluster());
}

fn restore(slices: &[Vec<u8>]) -> Result<Coordinator, RestoreError> {
    let mut restore = Restore::new(LIMITS, 99);
    slices.iter().try_for_each(|slice| restore.slice(slice))?;
    restore.finish()
}

/// Six thousand random transactions a seed agree with the model in every reply; so does a tree that was restored from a
/// snapshot taken while transactions went on, as of the moment when it began.
#[test]
fn agrees_with_the_model() {
    for seed in 0..4 {
        let mut workload = Workload { rng: Rng::new(seed) };
        let mut coordinator = Coordinator::new(LIMITS, seed);
        let mut model = Model::of(coordinator.tree());
        let mut changes = Changes::default();
        let mut snapshot: Option<(Vec<Vec<u8>>, Model, Zxid)> = None;
        for step in 0..6_000 {
            let txn = workload.txn();
            let zxid = coordinator.next_zxid(Term(1 + step / 3000)).unwrap();
            let time = Timestamp(1_000_000 + step as i64);
            let ours = coordinator.apply(zxid, time, &txn.encode(), &mut changes);
            assert_eq!(ours.outcome, model.apply(zxid, time, &txn), "seed {seed} step {step} {txn:?}");
            if step % 97 == 0 {
                assert_same(&coordinator, &model);
            }
            if workload.rng.one_in(300) && snapshot.is_none() {
                coordinator.begin_snapshot();
                snapshot = Some((Vec::new(), model.clone(), coordinator.last_zxid()));
            }
            if workload.rng.one_in(4)
                && let Some((slices, _, _)) = &mut snapshot
            {
                match coordinator.snapshot_slice(64) {
                    Some(slice) => slices.push(slice),
                    None => {
                        let (slices, then, zxid) = snapshot.take().unwrap();
                        let restored = restore(&slices).unwrap();
                        assert_same(&restored, &then);
                        assert_eq!(restored.last_zxid(), zxid);
                        let sessions: BTreeSet<_> = restored.sessions().iter().map(|(id, _)| id).collect();
                        assert_eq!(sessions, then.sessions);
                    }
                }
            }
        }
        assert_same(&coordinator, &model);
    }
}

/// Whatever the quorum hands over, `apply` answers: bytes cut, changed or invented.
#[test]
fn apply_survives_any_bytes() {
    let mut workload = Workload { rng: Rng::new(77) };
    let mut coordinator = Coordinator::new(LIMITS, 1);
    let mut changes = Changes::default();
    for step in 0..30_000u32 {
        let mut bytes = workload.txn().encode();
        for _ in 0..1 + workload.rng.below(3) {
            let place = workload.rng.below(bytes.len() as u64) as usize;
            match workload.rng.below(3) {
                0 => bytes.truncate(place.max(1)),
                1 => bytes[place] = workload.rng.next() as u8,
                _ => bytes.insert(place, workload.rng.next() as u8),
            }
        }
        changes = Changes::default();
        coordinator.apply(Zxid::new(Term(1), step + 1), Timestamp(step as i64), &bytes, &mut changes);
    }
    assert_eq!(&Cluster::rebuild(coordinator.tree(), &mut Vec::new()), coordinator.cluster());
    assert!(coordinator.apply(Zxid(5), Timestamp(0), &[], &mut changes).outcome.is_err());
}

/// A damaged snapshot is an error or another tree, never a panic; a shortened one is always an error.
#[test]
fn restore_survives_any_bytes() {
    let mut workload = Workload { rng: Rng::new(5) };
    let mut coordinator = Coordinator::new(LIMITS, 1);
    for step in 0..4000 {
        let txn = workload.txn().encode();
        coordinator.apply(Zxid::new(Term(1), step + 1), Timestamp(1), &txn, &mut Changes::default());
    }
    coordinator.begin_snapshot();
    let slices: Vec<Vec<u8>> = std::iter::from_fn(|| coordinator.snapshot_slice(100)).collect();
    assert_eq!(restore(&slices).err(), None);
    assert!(slices.len() > 5, "{}", slices.len());
    for missing in 0..slices.len() {
        let rest: Vec<_> = slices.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, s)| s.clone()).collect();
        assert!(restore(&rest).is_err(), "slice {missing} of {}", slices.len());
    }
    for _ in 0..3_000 {
        let mut damaged = slices.clone();
        let slice = workload.rng.below(damaged.len() as u64) as usize;
        let place = workload.rng.below(damaged[slice].len() as u64) as usize;
        damaged[slice][place] = workload.rng.next() as u8;
        let _ = restore(&damaged);
    }
}
