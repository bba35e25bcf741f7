//! Replies as a client reads them. The door writes them piece by piece, straight from the tree.

use super::{AclEntry, DecodeError, Jute, MultiResult, Opcode, ReplyHeader, acls, decode_results, stat};
use crate::engine::znodes::Stat;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply<'a> {
    /// Whose it is, when, and whether it worked.
    pub header: ReplyHeader,
    /// `Empty` when it did not.
    pub body: Body<'a>,
}

/// What follows the header of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the protocol's
pub enum Body<'a> {
    Empty,
    /// `Create`, `Sync`.
    Path(&'a str),
    /// The other creates.
    Created {
        path: &'a str,
        stat: Stat,
    },
    /// `Exists`, `SetData`, `SetAcl`.
    Stat(Stat),
    /// `GetData`, `Reconfig`.
    Data {
        data: Option<&'a [u8]>,
        stat: Stat,
    },
    /// `GetAcl`.
    Acl {
        acl: Vec<AclEntry<'a>>,
        stat: Stat,
    },
    /// `GetChildren`, `GetEphemerals`.
    Names(Vec<&'a str>),
    /// `GetChildren2`.
    Children {
        names: Vec<&'a str>,
        stat: Stat,
    },
    /// `GetAllChildrenNumber`, `AddWatch`.
    Number(i32),
    /// `Multi`, `MultiRead`.
    Results(Vec<MultiResult<'a>>),
    /// `WhoAmI`: schemes and users.
    Identities(Vec<(&'a str, &'a str)>),
    /// `Sasl`.
    Token(Option<&'a [u8]>),
}

impl<'a> Reply<'a> {
    /// Reads the content of a frame that answers `opcode`.
    pub fn decode(opcode: Opcode, frame: &'a [u8]) -> Result<Reply<'a>, DecodeError> {
        let mut jute = Jute::new(frame);
        let header = ReplyHeader::decode(&mut jute)?;
        let body = if header.error == 0 { Body::decode(opcode, &mut jute)? } else { Body::Empty };
        Ok(Reply { header, body })
    }
}

impl<'a> Body<'a> {
    fn decode(opcode: Opcode, jute: &mut Jute<'a>) -> Result<Body<'a>, DecodeError> {
        Ok(match opcode {
            Opcode::Create | Opcode::Sync => Body::Path(jute.text()?),
            Opcode::Create2 | Opcode::CreateContainer | Opcode::CreateTtl => {
                Body::Created { path: jute.text()?, stat: stat(jute)? }
            }
            Opcode::Exists | Opcode::SetData | Opcode::SetAcl => Body::Stat(stat(jute)?),
            Opcode::GetData | Opcode::Reconfig => Body::Data { data: jute.buffer()?, stat: stat(jute)? },
            Opcode::GetAcl => Body::Acl { acl: acls(jute)?, stat: stat(jute)? },
            Opcode::GetChildren | Opcode::GetEphemerals => Body::Names(jute.texts()?),
            Opcode::GetChildren2 => Body::Children { names: jute.texts()?, stat: stat(jute)? },
            Opcode::GetAllChildrenNumber | Opcode::AddWatch => Body::Number(jute.int()?),
            Opcode::Multi | Opcode::MultiRead => Body::Results(decode_results(jute)?),
            Opcode::WhoAmI => Body::Identities(jute.vector(8, |jute| Ok((jute.text()?, jute.text()?)))?),
            Opcode::Sasl => Body::Token(jute.buffer()?),
            Opcode::Delete
            | Opcode::Ping
            | Opcode::Check
            | Opcode::CheckWatches
            | Opcode::RemoveWatches
            | Opcode::Auth
            | Opcode::SetWatches
            | Opcode::SetWatches2
            | Opcode::CreateSession
            | Opcode::DeleteContainer
            | Opcode::CloseSession => Body::Empty,
        })
    }
}
