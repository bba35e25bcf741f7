//! What each operation does, one file for each: writes become transactions, reads are answered from the tree.
//!
//! A read appends its reply's body straight from the tree to the output buffer. What is larger than a small reply draws
//! on the account for responses as it grows; when that is used up the read is undone and tried again later.

mod add_watch;
mod auth;
mod check_watches;
mod children;
mod create;
mod exists;
mod get_acl;
mod get_all_children_number;
mod get_data;
mod get_ephemerals;
mod multi;
mod multi_read;
mod reconfig;
mod remove_watches;
mod set_watches;
mod who_am_i;
mod write_replies;

pub use auth::{Authenticated, authenticate, digest};
pub use reconfig::refusal;
pub use write_replies::write_reply;

use super::codec::{Opcode, Request};
use super::errors::Code;
use super::watches::{Kinds, Watches};
use crate::engine::Engine;
use crate::engine::znodes::{Body, Id, Op, Znode, acl, permits};
use crate::limits::{MULTI_OPS_MAX, ZOOKEEPER_REPLY_COPIED_BYTES_MAX};
use crate::memory::{Account, Grant};
use crate::types::{ConnId, SessionId};

/// What memory is taken in, for large replies.
const GRANT_BYTES: usize = 32 * 1024;

/// Why a read has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client is told.
    Code(Code),
    /// There is no memory for the reply now.
    Memory,
}

impl From<Code> for Fault {
    fn from(code: Code) -> Fault {
        Fault::Code(code)
    }
}

/// What a read may use.
pub struct Reading<'a> {
    /// The tree.
    pub engine: &'a Engine,
    /// Of the connection.
    pub conn: ConnId,
    /// Of the connection.
    pub session: SessionId,
    /// Of the connection.
    pub identities: &'a [Id],
    /// Where watches are set.
    pub watches: &'a mut Watches,
    /// Events that stand before the reply.
    pub events: &'a mut Vec<u8>,
    /// Where the reply is written.
    pub out: &'a mut Vec<u8>,
    /// For what is in `out` beyond a small reply.
    pub grant: &'a mut Grant,
    /// Where that comes from.
    pub responses: &'a Account,
}

impl<'a> Reading<'a> {
    /// The znode at `path`, if the connection may read it.
    fn readable(&self, path: &str) -> Result<Znode<'a>, Fault> {
        let znode = self.engine.tree().get(path).ok_or(Code::NO_NODE)?;
        self.check(&znode, acl::READ)?;
        Ok(znode)
    }

    fn check(&self, znode: &Znode<'_>, perm: u8) -> Result<(), Fault> {
        if permits(znode.acl(), perm, self.identities) { Ok(()) } else { Err(Code::NO_AUTH.into()) }
    }

    /// Sets a watch when asked to. Without memory for it the read fails: a watch that never fires would be a lie.
    fn watch(&mut self, is_wanted: bool, path: &str, kinds: Kinds) -> Result<(), Fault> {
        if is_wanted && !self.watches.add(self.conn, canonical(path), kinds) {
            return Err(Code::SYSTEM_ERROR.into());
        }
        Ok(())
    }

    /// Sees to it that `bytes` more may be appended.
    #[inline]
    fn reserve(&mut self, bytes: usize) -> Result<(), Fault> {
        let whole = self.out.len() + bytes;
        if whole <= ZOOKEEPER_REPLY_COPIED_BYTES_MAX || whole <= self.grant.bytes() {
            return Ok(());
        }
        self.grow(whole)
    }

    #[cold]
    fn grow(&mut self, whole: usize) -> Result<(), Fault> {
        if whole > self.responses.limit_bytes() {
            return Err(Code::SYSTEM_ERROR.into()); // it never will fit
        }
        let more = (whole - self.grant.bytes()).next_multiple_of(GRANT_BYTES);
        let more = more.min(self.responses.limit_bytes() - self.grant.bytes());
        self.grant.join(self.responses.take(more).ok_or(Fault::Memory)?);
        self.out.reserve_exact(self.grant.bytes() - self.out.len());
        Ok(())
    }
}

/// ZooKeeper reads the empty path as the root's.
fn canonical(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// Appends the reply's body of an operation that only reads.
pub fn read(cx: &mut Reading<'_>, request: &Request<'_>) -> Result<(), Fault> {
    match request {
        Request::Exists { path, watch } => exists::answer(cx, path, *watch),
        Request::GetData { path, watch } => get_data::answer(cx, path, *watch),
        Request::GetAcl { path } => get_acl::answer(cx, path),
        Request::GetChildren { path, watch } => children::answer(cx, path, *watch, false),
        Request::GetChildren2 { path, watch } => children::answer(cx, path, *watch, true),
        Request::MultiRead(ops) => multi_read::answer(cx, ops),
        Request::CheckWatches { path, kind } => check_watches::answer(cx, path, *kind),
        Request::RemoveWatches { path, kind } => remove_watches::answer(cx, path, *kind),
        Request::SetWatches(_, watches) => set_watches::answer(cx, watches),
        Request::GetEphemerals { prefix } => get_ephemerals::answer(cx, prefix),
        Request::GetAllChildrenNumber { path } => get_all_children_number::answer(cx, path),
        Request::AddWatch { path, mode } => add_watch::answer(cx, path, *mode),
        Request::WhoAmI => who_am_i::answer(cx),
        Request::Ping => Ok(()),
        // Those are not read, and never come here.
        _ => Err(Code::UNIMPLEMENTED.into()),
    }
}

/// True for operations that the quorum decides, those that it can only refuse included.
pub fn is_write(opcode: Opcode) -> bool {
    use Opcode::{
        Check, Create, Create2, CreateContainer, CreateSession, CreateTtl, Delete, DeleteContainer, Multi, Reconfig,
        SetAcl, SetData,
    };
    matches!(
        opcode,
        Create
            | Create2
            | CreateContainer
            | CreateTtl
            | Delete
            | SetData
            | SetAcl
            | Check
            | Multi
            | Reconfig
            | CreateSession
            | DeleteContainer
    )
}

/// What a write proposes, or why it is refused, which takes a zxid as well.
pub fn transaction(request: &Request<'_>) -> Result<Body, Code> {
    match request {
        Request::Multi(ops) if ops.len() > MULTI_OPS_MAX => Err(Code::BAD_ARGUMENTS),
        Request::Multi(ops) => Ok(multi::body(ops)),
        // What servers ask of each other: refused as ZooKeeper refuses what is not well-formed.
        Request::Internal(Opcode::DeleteContainer) => Err(Code::BAD_ARGUMENTS),
        Request::Internal(_) => Err(Code::MARSHALLING_ERROR),
        Request::Reconfig { joining, leaving, members, config_id } => {
            Ok(reconfig::body(*joining, *leaving, *members, *config_id))
        }
        other => operation(other).map(Body::One),
    }
}

/// One operation, alone or of a multi.
fn operation(request: &Request<'_>) -> Result<Op, Code> {
    match request {
        Request::Create(_, create) => create::op(create),
        Request::Delete { path, version } => Ok(Op::Delete { path: (*path).to_owned(), version: *version }),
        Request::SetData { path, data, version } => {
            let data = data.map(<[u8]>::to_vec);
            Ok(Op::SetData { path: (*path).to_owned(), data, version: *version })
        }
        Request::SetAcl { path, acl, version } => {
            let acl = acl.iter().map(|entry| entry.to_acl()).collect();
            Ok(Op::SetAcl { path: (*path).to_owned(), acl, version: *version })
        }
        Request::Check { path, version } => Ok(Op::Check { path: (*path).to_owned(), version: *version }),
        _ => Err(Code::UNIMPLEMENTED),
    }
}
