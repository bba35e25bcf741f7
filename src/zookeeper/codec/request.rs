//! Requests of every operation, borrowed from their frame.

use super::{AclEntry, DecodeError, Jute, Opcode, acls, multi, put_acls, put_buffer, put_text, put_texts};
use crate::types::Writer;

/// A znode to be created, by any of the four operations that create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Create<'a> {
    /// The whole path; of a sequential znode without its number.
    pub path: &'a str,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    /// Who may do what.
    pub acl: Vec<AclEntry<'a>>,
    /// 0 persistent, 1 ephemeral, 2 sequential, 3 both, 4 container, 5 TTL, 6 TTL and sequential.
    pub flags: i32,
    /// In ms; sent by `CreateTtl` only.
    pub ttl_ms: Option<i64>,
}

/// Watches that a client had before it lost its connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetWatches<'a> {
    /// The newest zxid that it has seen: what changed since then is told.
    pub relative_zxid: i64,
    /// Of `getData`, and of `exists` on what existed.
    pub data: Vec<&'a str>,
    /// Of `exists` on what did not exist.
    pub exist: Vec<&'a str>,
    /// Of `getChildren`.
    pub child: Vec<&'a str>,
    /// Of `addWatch`; sent by `SetWatches2` only.
    pub persistent: Vec<&'a str>,
    /// Of `addWatch`, the recursive ones; sent by `SetWatches2` only.
    pub recursive: Vec<&'a str>,
}

/// One request without its header.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names and fields are the protocol's
pub enum Request<'a> {
    /// `Create`, `Create2`, `CreateContainer` or `CreateTtl`, as the opcode says.
    Create(Opcode, Create<'a>),
    Delete {
        path: &'a str,
        version: i32,
    },
    Exists {
        path: &'a str,
        watch: bool,
    },
    GetData {
        path: &'a str,
        watch: bool,
    },
    SetData {
        path: &'a str,
        data: Option<&'a [u8]>,
        version: i32,
    },
    GetAcl {
        path: &'a str,
    },
    SetAcl {
        path: &'a str,
        acl: Vec<AclEntry<'a>>,
        version: i32,
    },
    GetChildren {
        path: &'a str,
        watch: bool,
    },
    GetChildren2 {
        path: &'a str,
        watch: bool,
    },
    Sync {
        path: &'a str,
    },
    Ping,
    Check {
        path: &'a str,
        version: i32,
    },
    /// Creates, deletions, `SetData` and `Check`.
    Multi(Vec<Request<'a>>),
    /// `GetData` and `GetChildren`.
    MultiRead(Vec<Request<'a>>),
    Reconfig {
        joining: Option<&'a str>,
        leaving: Option<&'a str>,
        members: Option<&'a str>,
        config_id: i64,
    },
    CheckWatches {
        path: &'a str,
        kind: i32,
    },
    RemoveWatches {
        path: &'a str,
        kind: i32,
    },
    Auth {
        scheme: &'a str,
        credentials: &'a [u8],
    },
    /// `SetWatches` or `SetWatches2`, as the opcode says.
    SetWatches(Opcode, SetWatches<'a>),
    Sasl {
        token: &'a [u8],
    },
    GetEphemerals {
        prefix: &'a str,
    },
    GetAllChildrenNumber {
        path: &'a str,
    },
    AddWatch {
        path: &'a str,
        mode: i32,
    },
    WhoAmI,
    CloseSession,
    /// `CreateSession` and `DeleteContainer`, which no client may ask for.
    Internal(Opcode),
}

impl<'a> Request<'a> {
    /// Reads the body of a request.
    pub fn decode(opcode: Opcode, body: &'a [u8]) -> Result<Request<'a>, DecodeError> {
        Request::read(opcode, &mut Jute::new(body))
    }

    /// Reads a body from a message that goes on behind it.
    pub(super) fn read(opcode: Opcode, jute: &mut Jute<'a>) -> Result<Request<'a>, DecodeError> {
        Ok(match opcode {
            Opcode::Create | Opcode::Create2 | Opcode::CreateContainer | Opcode::CreateTtl => {
                Request::Create(opcode, Create::read(opcode, jute)?)
            }
            Opcode::Delete => Request::Delete { path: jute.text()?, version: jute.int()? },
            Opcode::Exists => Request::Exists { path: jute.text()?, watch: jute.bool()? },
            Opcode::GetData => Request::GetData { path: jute.text()?, watch: jute.bool()? },
            Opcode::SetData => Request::SetData { path: written(jute)?, data: jute.buffer()?, version: jute.int()? },
            Opcode::GetAcl => Request::GetAcl { path: jute.text()? },
            Opcode::SetAcl => Request::SetAcl { path: written(jute)?, acl: acls(jute)?, version: jute.int()? },
            Opcode::GetChildren => Request::GetChildren { path: jute.text()?, watch: jute.bool()? },
            Opcode::GetChildren2 => Request::GetChildren2 { path: jute.text()?, watch: jute.bool()? },
            Opcode::Sync => Request::Sync { path: jute.text()? },
            Opcode::Ping => Request::Ping,
            Opcode::Check => Request::Check { path: jute.text()?, version: jute.int()? },
            Opcode::Multi => Request::Multi(multi::read(jute, is_write)?),
            Opcode::MultiRead => Request::MultiRead(multi::read(jute, is_read)?),
            Opcode::Reconfig => Request::Reconfig {
                joining: jute.optional_text()?,
                leaving: jute.optional_text()?,
                members: jute.optional_text()?,
                config_id: jute.long()?,
            },
            Opcode::CheckWatches => Request::CheckWatches { path: jute.text()?, kind: jute.int()? },
            Opcode::RemoveWatches => Request::RemoveWatches { path: jute.text()?, kind: jute.int()? },
            Opcode::Auth => {
                jute.int()?; // a type that nobody has ever looked at
                let scheme = jute.optional_text()?.unwrap_or_default();
                Request::Auth { scheme, credentials: jute.buffer()?.unwrap_or_default() }
            }
            Opcode::SetWatches | Opcode::SetWatches2 => {
                Request::SetWatches(opcode, SetWatches::read(opcode == Opcode::SetWatches2, jute)?)
            }
            Opcode::Sasl => Request::Sasl { token: jute.buffer()?.unwrap_or_default() },
            Opcode::GetEphemerals => Request::GetEphemerals { prefix: jute.optional_text()?.unwrap_or_default() },
            Opcode::GetAllChildrenNumber => Request::GetAllChildrenNumber { path: jute.text()? },
            Opcode::AddWatch => Request::AddWatch { path: jute.text()?, mode: jute.int()? },
            Opcode::WhoAmI => Request::WhoAmI,
            Opcode::CloseSession => Request::CloseSession,
            Opcode::CreateSession | Opcode::DeleteContainer => Request::Internal(opcode),
        })
    }

    /// Which operation it is.
    pub fn opcode(&self) -> Opcode {
        match self {
            Request::Create(opcode, _) | Request::SetWatches(opcode, _) | Request::Internal(opcode) => *opcode,
            Request::Delete { .. } => Opcode::Delete,
            Request::Exists { .. } => Opcode::Exists,
            Request::GetData { .. } => Opcode::GetData,
            Request::SetData { .. } => Opcode::SetData,
            Request::GetAcl { .. } => Opcode::GetAcl,
            Request::SetAcl { .. } => Opcode::SetAcl,
            Request::GetChildren { .. } => Opcode::GetChildren,
            Request::GetChildren2 { .. } => Opcode::GetChildren2,
            Request::Sync { .. } => Opcode::Sync,
            Request::Ping => Opcode::Ping,
            Request::Check { .. } => Opcode::Check,
            Request::Multi(_) => Opcode::Multi,
            Request::MultiRead(_) => Opcode::MultiRead,
            Request::Reconfig { .. } => Opcode::Reconfig,
            Request::CheckWatches { .. } => Opcode::CheckWatches,
            Request::RemoveWatches { .. } => Opcode::RemoveWatches,
            Request::Auth { .. } => Opcode::Auth,
            Request::Sasl { .. } => Opcode::Sasl,
            Request::GetEphemerals { .. } => Opcode::GetEphemerals,
            Request::GetAllChildrenNumber { .. } => Opcode::GetAllChildrenNumber,
            Request::AddWatch { .. } => Opcode::AddWatch,
            Request::WhoAmI => Opcode::WhoAmI,
            Request::CloseSession => Opcode::CloseSession,
        }
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Request::Create(opcode, create) => create.encode(*opcode, out),
            Request::Delete { path, version } | Request::Check { path, version } => put_numbered(out, path, *version),
            Request::CheckWatches { path, kind: number }
            | Request::RemoveWatches { path, kind: number }
            | Request::AddWatch { path, mode: number } => put_numbered(out, path, *number),
            Request::Exists { path, watch }
            | Request::GetData { path, watch }
            | Request::GetChildren { path, watch }
            | Request::GetChildren2 { path, watch } => {
                put_text(out, path);
                out.push(u8::from(*watch));
            }
            Request::SetData { path, data, version } => {
                put_text(out, path);
                put_buffer(out, *data);
                Writer::new(out).i32(*version);
            }
            Request::SetAcl { path, acl, version } => {
                put_text(out, path);
                put_acls(out, acl.iter().copied());
                Writer::new(out).i32(*version);
            }
            Request::GetAcl { path } | Request::Sync { path } | Request::GetAllChildrenNumber { path } => {
                put_text(out, path);
            }
            Request::GetEphemerals { prefix } => put_text(out, prefix),
            Request::Multi(ops) | Request::MultiRead(ops) => multi::write(ops, out),
            Request::Reconfig { joining, leaving, members, config_id } => {
                for servers in [joining, leaving, members] {
                    put_buffer(out, servers.map(str::as_bytes));
                }
                Writer::new(out).i64(*config_id);
            }
            Request::Auth { scheme, credentials } => {
                Writer::new(out).i32(0);
                put_text(out, scheme);
                put_buffer(out, Some(credentials));
            }
            Request::SetWatches(opcode, watches) => watches.encode(*opcode == Opcode::SetWatches2, out),
            Request::Sasl { token } => put_buffer(out, Some(token)),
            Request::Ping | Request::WhoAmI | Request::CloseSession | Request::Internal(_) => {}
        }
    }
}

/// The path of what is changed: without one it is a bad argument, as an empty one is.
fn written<'a>(jute: &mut Jute<'a>) -> Result<&'a str, DecodeError> {
    Ok(jute.optional_text()?.unwrap_or_default())
}

/// What a multi may hold.
fn is_write(opcode: Opcode) -> bool {
    use Opcode::{Check, Create, Create2, CreateContainer, CreateTtl, Delete, SetData};
    matches!(opcode, Create | Create2 | CreateContainer | CreateTtl | Delete | SetData | Check)
}

/// What a multi-read may hold.
fn is_read(opcode: Opcode) -> bool {
    matches!(opcode, Opcode::GetData | Opcode::GetChildren)
}

fn put_numbered(out: &mut Vec<u8>, path: &str, number: i32) {
    put_text(out, path);
    Writer::new(out).i32(number);
}

impl<'a> Create<'a> {
    fn read(opcode: Opcode, jute: &mut Jute<'a>) -> Result<Create<'a>, DecodeError> {
        let (path, data, acl, flags) = (jute.text()?, jute.buffer()?, acls(jute)?, jute.int()?);
        let ttl_ms = if opcode == Opcode::CreateTtl { Some(jute.long()?) } else { None };
        Ok(Create { path, data, acl, flags, ttl_ms })
    }

    fn encode(&self, opcode: Opcode, out: &mut Vec<u8>) {
        put_text(out, self.path);
        put_buffer(out, self.data);
        put_acls(out, self.acl.iter().copied());
        Writer::new(out).i32(self.flags);
        if opcode == Opcode::CreateTtl {
            Writer::new(out).i64(self.ttl_ms.unwrap_or_default());
        }
    }
}

impl<'a> SetWatches<'a> {
    fn read(is_second: bool, jute: &mut Jute<'a>) -> Result<SetWatches<'a>, DecodeError> {
        let (relative_zxid, data, exist, child) = (jute.long()?, jute.texts()?, jute.texts()?, jute.texts()?);
        let (persistent, recursive) = if is_second { (jute.texts()?, jute.texts()?) } else { Default::default() };
        Ok(SetWatches { relative_zxid, data, exist, child, persistent, recursive })
    }

    fn encode(&self, is_second: bool, out: &mut Vec<u8>) {
        Writer::new(out).i64(self.relative_zxid);
        let lists = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        for list in lists.into_iter().take(if is_second { 5 } else { 3 }) {
            put_texts(out, list.iter().copied());
        }
    }
}
