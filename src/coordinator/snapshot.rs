//! The whole state as bytes and back: exact, in slices, while transactions go on.
//!
//! Layout: a sequence of slices, each one version byte, then records in postcard until its end. A record is a header
//! (first), a session, an ACL list, a znode, or the end (last) with the counts, by which a missing slice is found.
//! Whoever stores the slices keeps their lengths and checks their bytes.
//!
//! Invariants: what is written is the state at `begin_snapshot`, whatever is applied meanwhile; what is restored is a
//! tree (one root, every znode reachable from it, names legal and unique), or an error, never a panic.

use serde::{Deserialize, Serialize};

use super::acl::Acl;
use super::sessions::Session;
use super::tree::{Index, Links, NONE, Node, ROOT, Tree, TreeLimits};
use super::{Cluster, Coordinator, Sessions};
use crate::types::{SessionId, Zxid};

const SNAPSHOT_VERSION: u8 = 1;

/// Places of the tree looked at in one slice: a step of the node's thread takes a millisecond at most.
const SLICE_PLACES_MAX: u32 = 4096;

/// What a running snapshot remembers of changed znodes before changes have to wait for it.
pub const OVERLAY_BYTES_MAX: usize = 1024 * 1024;

/// One piece of the state. The order of variants is the stored format: append only.
#[derive(Debug, Serialize, Deserialize)]
enum Record<'a> {
    Header {
        last_zxid: Zxid,
    },
    Session {
        id: SessionId,
        session: Session,
    },
    AclList {
        number: u32,
        list: Vec<Acl>,
    },
    #[serde(borrow)]
    Znode(ZnodeRecord<'a>),
    End {
        sessions: u64,
        znodes: u64,
    },
}

#[derive(Debug, Serialize, Deserialize)]
struct ZnodeRecord<'a> {
    index: Index,
    parent: Index,
    name: &'a str,
    #[serde(borrow)]
    data: Option<Raw<'a>>,
    czxid: i64,
    mzxid: i64,
    ctime: i64,
    mtime: i64,
    pzxid: i64,
    owner: i64,
    version: i32,
    aversion: i32,
    creates: i32,
    acl: u32,
}

/// Bytes that are copied at once instead of one by one.
#[derive(Debug)]
struct Raw<'a>(&'a [u8]);

impl Serialize for Raw<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Raw)
    }
}

/// How far a snapshot has come.
#[derive(Debug)]
pub(super) struct Progress {
    head: Vec<u8>,
    is_tree_done: bool,
    sessions: u64,
    znodes: u64,
}

impl Coordinator {
    /// Begins a snapshot of the state as it is now. One at a time: an earlier one is forgotten.
    pub fn begin_snapshot(&mut self) {
        let mut head = Vec::new();
        push(&mut head, &Record::Header { last_zxid: self.last_zxid });
        for (id, session) in self.sessions.iter() {
            push(&mut head, &Record::Session { id, session: *session });
        }
        for (number, list) in self.tree.acls().iter() {
            push(&mut head, &Record::AclList { number, list: list.to_vec() });
        }
        self.tree.begin_snapshot();
        self.snapshot = Some(Progress {
            head,
            is_tree_done: false,
            sessions: self.sessions.len() as u64,
            znodes: self.tree.node_count() as u64,
        });
    }

    /// The next slice, of about `max_bytes` plus one znode (the first also holds all sessions and ACL lists); `None`
    /// when the snapshot is complete or none is running.
    pub fn snapshot_slice(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        let progress = self.snapshot.as_mut()?;
        let mut slice = vec![SNAPSHOT_VERSION];
        slice.append(&mut progress.head);
        if !progress.is_tree_done {
            progress.is_tree_done = !self.tree.snapshot_slice(&mut slice, max_bytes, SLICE_PLACES_MAX);
            return Some(slice);
        }
        push(&mut slice, &Record::End { sessions: progress.sessions, znodes: progress.znodes });
        self.end_snapshot();
        Some(slice)
    }

    /// Forgets a running snapshot.
    pub fn end_snapshot(&mut self) {
        self.tree.end_snapshot();
        self.snapshot = None;
    }

    /// True while a running snapshot holds as many old znodes as it may: apply nothing before the next slice.
    pub fn is_snapshot_full(&self) -> bool {
        self.tree.overlay_bytes() >= OVERLAY_BYTES_MAX
    }
}

/// Why a snapshot cannot be restored. What it says is for a person; the bytes passed their checksums before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// Written by a newer version.
    Version(u8),
    /// Not a snapshot of a tree.
    Invalid(&'static str),
    /// More than the memory budget gives the tree.
    TooLarge { used_bytes: usize, limit_bytes: usize },
}

impl std::fmt::Display for RestoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RestoreError::Version(version) => {
                write!(f, "the snapshot has format {version}, this program reads {SNAPSHOT_VERSION}")
            }
            RestoreError::Invalid(why) => write!(f, "the snapshot is not one of a tree: {why}"),
            RestoreError::TooLarge { used_bytes, limit_bytes } => write!(
                f,
                "the tree needs {used_bytes} bytes of memory and memory.budget leaves it {limit_bytes}: raise memory.budget"
            ),
        }
    }
}

impl std::error::Error for RestoreError {}

/// A state that is being read back, slice by slice.
#[derive(Debug)]
pub struct Restore {
    tree: Tree,
    sessions: Sessions,
    limits: TreeLimits,
    /// Numbers in the snapshot and in the new table, in the order of the former.
    acls: std::collections::BTreeMap<u32, u32>,
    last_zxid: Option<Zxid>,
    is_complete: bool,
}

impl Restore {
    /// Nothing read yet. `seed` as for `Coordinator::new`.
    pub fn new(limits: TreeLimits, seed: u64) -> Restore {
        Restore {
            tree: Tree::empty(limits, seed),
            sessions: Sessions::new(usize::MAX),
            limits,
            acls: std::collections::BTreeMap::new(),
            last_zxid: None,
            is_complete: false,
        }
    }

    /// Reads the next slice.
    pub fn slice(&mut self, slice: &[u8]) -> Result<(), RestoreError> {
        let mut rest = match slice.split_first() {
            Some((&SNAPSHOT_VERSION, rest)) => rest,
            Some((&version, _)) => return Err(RestoreError::Version(version)),
            None => return Err(RestoreError::Invalid("an empty slice")),
        };
        while !rest.is_empty() {
            let (record, after) =
                postcard::take_from_bytes(rest).map_err(|_| RestoreError::Invalid("a record cannot be read"))?;
            rest = after;
            self.record(record).map_err(RestoreError::Invalid)?;
        }
        let used_bytes = self.tree.used_bytes();
        if used_bytes > self.limits.bytes {
            return Err(RestoreError::TooLarge { used_bytes, limit_bytes: self.limits.bytes });
        }
        Ok(())
    }

    /// The state, when everything has been read and fits together.
    pub fn finish(mut self) -> Result<Coordinator, RestoreError> {
        let Some(last_zxid) = self.last_zxid.filter(|_| self.is_complete) else {
            return Err(RestoreError::Invalid("it ends early"));
        };
        let sessions = &self.sessions;
        self.tree.finish_restore(|id| sessions.get(id).is_some()).map_err(RestoreError::Invalid)?;
        self.sessions.set_count_max(self.limits.sessions);
        let cluster = Cluster::rebuild(&self.tree, &mut Vec::new());
        Ok(Coordinator { tree: self.tree, sessions: self.sessions, cluster, last_zxid, snapshot: None, burial: None })
    }

    fn record(&mut self, record: Record<'_>) -> Result<(), &'static str> {
        if self.is_complete || self.last_zxid.is_none() != matches!(record, Record::Header { .. }) {
            return Err("its parts are out of order");
        }
        match record {
            Record::Header { last_zxid } => self.last_zxid = Some(last_zxid),
            Record::Session { id, session } => {
                self.sessions.open(id, session).map_err(|_| "a session has an impossible id")?
            }
            Record::AclList { number, list } => {
                let taken = self.tree.take_acl(&list);
                self.acls.insert(number, taken);
            }
            Record::Znode(znode) => self.znode(znode)?,
            Record::End { sessions, znodes } => {
                if sessions != self.sessions.len() as u64 || znodes != self.tree.node_count() as u64 {
                    return Err("sessions or znodes are missing");
                }
                // Each list was taken once when it was read; from here on only its carriers count.
                for &number in self.acls.values() {
                    self.tree.release_acl(number);
                }
                self.is_complete = true;
            }
        }
        Ok(())
    }

    fn znode(&mut self, record: ZnodeRecord<'_>) -> Result<(), &'static str> {
        let is_root = record.index == ROOT;
        let is_name = !record.name.is_empty() && super::path::validate(&format!("/{}", record.name)).is_ok();
        if is_root != record.name.is_empty() || !is_root && (!is_name || record.name.contains('/')) {
            return Err("a znode's name is not legal");
        }
        let acl = *self.acls.get(&record.acl).ok_or("an ACL list is missing")?;
        self.tree.retain_acl(acl);
        self.tree.restore_node(record.index, record.into_node(acl))?;
        Ok(())
    }
}

impl ZnodeRecord<'_> {
    fn into_node(self, acl: u32) -> Node {
        let data = self.data.as_ref().map(|data| data.0);
        Node {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            pzxid: self.pzxid,
            owner: self.owner,
            version: self.version,
            aversion: self.aversion,
            creates: self.creates,
            parent: if self.index == ROOT { NONE } else { self.parent },
            acl,
            name_bytes: self.name.len() as u32,
            has_data: data.is_some(),
            content: [self.name.as_bytes(), data.unwrap_or_default()].concat().into_boxed_slice(),
            links: Links::NONE,
        }
    }
}

/// Appends a znode as a snapshot holds it.
pub(super) fn encode_node(index: Index, node: &Node, out: &mut Vec<u8>) {
    push(
        out,
        &Record::Znode(ZnodeRecord {
            index,
            parent: node.parent,
            name: std::str::from_utf8(node.name()).unwrap_or_default(), // names come from Strings
            data: node.data().map(Raw),
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            pzxid: node.pzxid,
            owner: node.owner,
            version: node.version,
            aversion: node.aversion,
            creates: node.creates,
            acl: node.acl,
        }),
    );
}

fn push(out: &mut Vec<u8>, record: &Record<'_>) {
    let taken = std::mem::take(out);
    // A Vec grows as needed and these types have no fallible serializer, so postcard cannot fail here.
    *out = postcard::to_extend(record, taken).unwrap_or_default();
}
