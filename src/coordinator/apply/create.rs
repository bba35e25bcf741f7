//! `Op::Create`: a new znode.

use super::{Apply, guard};
use crate::coordinator::acl::{self, Acl};
use crate::coordinator::tree::{Index, NewNode, Owner, TTL, TTL_MS_MAX};
use crate::coordinator::txn::{By, CreateMode, OpResult};
use crate::coordinator::{ErrorCode, NodeChangeKind, path, tree};

impl Apply<'_> {
    pub(super) fn create(
        &mut self,
        by: &By,
        mut path: String,
        data: Option<&[u8]>,
        acl: Vec<Acl>,
        mode: CreateMode,
    ) -> Result<OpResult, ErrorCode> {
        let owner = self.owner_of(by, mode)?;
        let parent_path = match path::split(&path) {
            Some((parent, _)) if !path.contains('\0') => parent,
            _ => return Err(ErrorCode::BadArguments),
        };
        let acl = self.fix_up(by, acl)?;
        let parent = self.find(parent_path)?;
        self.check_permission(by, parent, acl::CREATE, &path)?;
        if mode.is_sequential() {
            path += &format!("{:010}", self.tree.node(parent).map_or(0, |parent| parent.creates));
        }
        path::validate(&path)?;
        let data = guard::amend(by, &path, None, data)?;
        self.check_birth(by, &path, parent, data.as_deref(), &acl)?;
        Ok(self.give_birth(path, parent, data.as_deref(), &acl, owner))
    }

    /// The stored owner. A broker's ephemeral needs a session as well.
    fn owner_of(&self, by: &By, mode: CreateMode) -> Result<i64, ErrorCode> {
        match mode {
            CreateMode::Persistent | CreateMode::PersistentSequential => Ok(0),
            CreateMode::Ephemeral | CreateMode::EphemeralSequential => match by.session().0 {
                0 => Err(ErrorCode::SessionExpired),
                session => Ok(session),
            },
            CreateMode::Container => Ok(tree::CONTAINER),
            CreateMode::Ttl { ttl_ms } | CreateMode::TtlSequential { ttl_ms } => {
                if (1..=TTL_MS_MAX).contains(&ttl_ms) {
                    Ok(TTL | ttl_ms as i64)
                } else {
                    Err(ErrorCode::BadArguments)
                }
            }
        }
    }

    fn check_birth(
        &self,
        by: &By,
        path: &str,
        parent: Index,
        data: Option<&[u8]>,
        acl: &[Acl],
    ) -> Result<(), ErrorCode> {
        let name = path::split(path).map_or("", |(_, name)| name);
        if path == "/" || self.tree.child(parent, name.as_bytes()).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if self.tree.node(parent).is_some_and(|node| matches!(Owner::of(node.owner), Owner::Session(_))) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        let bytes = name.len() + data.map_or(0, <[u8]>::len) + self.tree.acls().cost(acl);
        if !self.tree.has_room(1, bytes, matches!(by, By::Node { .. })) {
            return Err(ErrorCode::TreeFull);
        }
        self.check_quota(by, path, 1, data.map_or(0, <[u8]>::len) as i64)
    }

    /// Nothing can fail any more.
    pub(super) fn give_birth(
        &mut self,
        path: String,
        parent: Index,
        data: Option<&[u8]>,
        acl: &[Acl],
        owner: i64,
    ) -> OpResult {
        let name = path::split(&path).map_or("", |(_, name)| name);
        let acl = self.tree.take_acl(acl);
        let new = NewNode { name, data, acl, owner, zxid: self.zxid.0, time: self.time.0 };
        let index = self.tree.insert(parent, new);
        self.note(path.clone(), NodeChangeKind::Created, acl);
        self.count_quota(&path, 1, data.map_or(0, <[u8]>::len) as i64);
        self.begin_quota(&path, index);
        OpResult::Created { path, stat: self.stat(index) }
    }
}
