//! The records that several messages share: headers, Stat, access control lists, events.

use super::{DecodeError, Jute, XID_EVENT, put_text};
use crate::engine::znodes::{Acl, Id, Stat};
use crate::types::{SessionId, Timestamp, Writer, Zxid};

/// What stands before each request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader {
    /// The client's number for it, echoed.
    pub xid: i32,
    /// Which operation.
    pub opcode: i32,
}

/// What stands before each reply's body, which is there only when `error` is 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyHeader {
    /// The request's.
    pub xid: i32,
    /// The transaction that did it, or the last one applied.
    pub zxid: i64,
    /// 0 or one of the error codes.
    pub error: i32,
}

impl RequestHeader {
    /// What it takes on the wire.
    pub const BYTES: usize = 8;

    /// Reads it.
    pub fn decode(jute: &mut Jute<'_>) -> Result<RequestHeader, DecodeError> {
        Ok(RequestHeader { xid: jute.int()?, opcode: jute.int()? })
    }

    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        writer.i32(self.xid);
        writer.i32(self.opcode);
    }
}

impl ReplyHeader {
    /// What it takes on the wire.
    pub const BYTES: usize = 16;

    /// Reads it.
    pub fn decode(jute: &mut Jute<'_>) -> Result<ReplyHeader, DecodeError> {
        Ok(ReplyHeader { xid: jute.int()?, zxid: jute.long()?, error: jute.int()? })
    }

    /// Appends it.
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; ReplyHeader::BYTES];
        bytes[..4].copy_from_slice(&self.xid.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.zxid.to_be_bytes());
        bytes[12..].copy_from_slice(&self.error.to_be_bytes());
        out.extend_from_slice(&bytes);
    }
}

/// What a Stat takes on the wire.
pub const STAT_BYTES: usize = 68;

/// Appends a Stat.
pub fn put_stat(out: &mut Vec<u8>, stat: &Stat) {
    out.reserve(STAT_BYTES);
    let mut writer = Writer::new(out);
    writer.i64(stat.czxid.0);
    writer.i64(stat.mzxid.0);
    writer.i64(stat.ctime.0);
    writer.i64(stat.mtime.0);
    writer.i32(stat.version);
    writer.i32(stat.cversion);
    writer.i32(stat.aversion);
    writer.i64(stat.ephemeral_owner.0);
    writer.i32(stat.data_length);
    writer.i32(stat.num_children);
    writer.i64(stat.pzxid.0);
}

/// Reads a Stat.
pub fn stat(jute: &mut Jute<'_>) -> Result<Stat, DecodeError> {
    Ok(Stat {
        czxid: Zxid(jute.long()?),
        mzxid: Zxid(jute.long()?),
        ctime: Timestamp(jute.long()?),
        mtime: Timestamp(jute.long()?),
        version: jute.int()?,
        cversion: jute.int()?,
        aversion: jute.int()?,
        ephemeral_owner: SessionId(jute.long()?),
        data_length: jute.int()?,
        num_children: jute.int()?,
        pzxid: Zxid(jute.long()?),
    })
}

/// One entry of an access control list, borrowed from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AclEntry<'a> {
    /// Any of the five rights; of others eight bits are kept.
    pub perms: i32,
    /// `world`, `ip`, `digest`, `auth`, ...
    pub scheme: &'a str,
    /// What it means is the scheme's business.
    pub id: &'a str,
}

impl AclEntry<'_> {
    /// As the tree knows it.
    pub fn to_acl(self) -> Acl {
        Acl { perms: self.perms as u8, id: Id::new(self.scheme, self.id) }
    }
}

/// Reads an access control list.
pub fn acls<'a>(jute: &mut Jute<'a>) -> Result<Vec<AclEntry<'a>>, DecodeError> {
    jute.vector(12, |jute| {
        let perms = jute.int()?;
        let scheme = jute.optional_text()?.unwrap_or_default();
        Ok(AclEntry { perms, scheme, id: jute.optional_text()?.unwrap_or_default() })
    })
}

/// Appends an access control list.
pub fn put_acls<'a>(out: &mut Vec<u8>, list: impl ExactSizeIterator<Item = AclEntry<'a>>) {
    Writer::new(out).i32(list.len() as i32);
    for acl in list {
        Writer::new(out).i32(acl.perms);
        put_text(out, acl.scheme);
        put_text(out, acl.id);
    }
}

/// What happened to a znode that somebody watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are the protocol's
pub enum EventType {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

/// A watch event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedEvent<'a> {
    /// 1 to 4, as `EventType`; clients of newer servers may see others.
    pub kind: i32,
    /// 3: connected.
    pub state: i32,
    /// Whose.
    pub path: &'a str,
}

impl<'a> WatchedEvent<'a> {
    /// An event as servers send it.
    pub fn new(kind: EventType, path: &'a str) -> WatchedEvent<'a> {
        WatchedEvent { kind: kind as i32, state: 3, path }
    }

    /// Appends the whole frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = super::begin_frame(out);
        ReplyHeader { xid: XID_EVENT, zxid: -1, error: 0 }.encode(out);
        let mut writer = Writer::new(out);
        writer.i32(self.kind);
        writer.i32(self.state);
        put_text(out, self.path);
        super::end_frame(out, start);
    }

    /// Reads what follows the header.
    pub fn decode(jute: &mut Jute<'a>) -> Result<WatchedEvent<'a>, DecodeError> {
        Ok(WatchedEvent { kind: jute.int()?, state: jute.int()?, path: jute.text()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A Stat is its 68 bytes in the order of the protocol, whole or refused.
    #[test]
    fn stat_bytes() {
        let known = Stat {
            czxid: Zxid(1),
            mzxid: Zxid(2),
            ctime: Timestamp(3),
            mtime: Timestamp(4),
            version: 5,
            cversion: 6,
            aversion: 7,
            ephemeral_owner: SessionId(8),
            data_length: 9,
            num_children: 10,
            pzxid: Zxid(11),
        };
        let mut out = Vec::new();
        put_stat(&mut out, &known);
        assert_eq!((out.len(), out[7], out[35], out[51], out[67]), (STAT_BYTES, 1, 5, 8, 11));
        assert_eq!(stat(&mut Jute::new(&out)), Ok(known));
        for end in 0..STAT_BYTES {
            assert_eq!(stat(&mut Jute::new(&out[..end])), Err(DecodeError::Malformed));
        }
    }

    /// An event is a whole frame with the xid and zxid that mark it.
    #[test]
    fn event_bytes() {
        let mut out = Vec::new();
        WatchedEvent::new(EventType::ChildrenChanged, "/a").encode(&mut out);
        let expected = [
            &[0, 0, 0, 30, 0xff, 0xff, 0xff, 0xff][..],
            &[0xff; 8],
            &[0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 2, b'/', b'a'],
        ];
        assert_eq!(out, expected.concat());
    }
}
