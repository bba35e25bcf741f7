//! What all members of an ensemble understand: one number in the tree, `/feature`, under the name `tern.version`.
//!
//! What is written to the quorum's log is applied by every member, so nobody may write what one of them cannot read: the
//! trees would differ for ever. Each member registers the levels that it understands (`features` in `/brokers/ids/N`, as
//! Kafka's brokers do), and the level in the tree says which are in use.
//!
//! | level | brings |
//! |---|---|
//! | 1 | the first format; a tree that names no level has this one |
//! | 2 | `Body::RegisterBrokerIn`: which directory a broker's logs are in; `Body::Reconfig` |
//! | 3 | states name replicas whose disks were emptied; `TailFetch` and its answers, for subscribers without a copy |

/// The feature's name, for `/feature` and Kafka's own tools.
pub const NAME: &str = "tern.version";
/// The znode that holds the level.
pub const PATH: &str = "/feature";
/// The lowest level that this program speaks.
pub const FIRST: u16 = 1;
/// The highest level that this program understands; a new cluster begins with it.
pub const LEVEL: u16 = 3;

/// From this level on brokers say which directory their logs are in.
pub const DIRECTORIES: u16 = 2;
/// From this level on the members of the ensemble can be changed.
pub const RECONFIG: u16 = 2;
/// From this level on a partition's state says who came back with an empty disk.
pub const EMPTIED: u16 = 3;
/// From this level on brokers ask leaders for what live subscribers of theirs are to be told.
pub const TAILS: u16 = 3;

#[cfg(test)]
mod tests {
    use crate::coordinator::acl::Id;
    use crate::coordinator::{Body, By, Op, Txn};
    use crate::types::{NodeId, SessionId};

    /// What a program of level 1 has stored, byte for byte, is read as what it was, and is what this program stores for
    /// the same: a member of that level reads it.
    #[test]
    fn the_first_format() {
        let set = Op::SetData { path: "/a".into(), data: Some(b"x".to_vec()), version: -1 };
        let two = vec![Op::Check { path: "/a".into(), version: 3 }, Op::Delete { path: "/b".into(), version: -1 }];
        let (session, timeout_ms) = (SessionId(5), 4000);
        let register = Body::RegisterBroker {
            broker: NodeId(1),
            session: SessionId(7),
            timeout_ms: 6000,
            registration: b"{}".to_vec(),
        };
        let stored: [(Body, &[u8]); 6] = [
            (Body::CreateSession { session, timeout_ms }, &[0, 0x0a, 0xa0, 0x1f]),
            (Body::CloseSession { session }, &[1, 0x0a]),
            (Body::One(set), &[2, 2, 2, b'/', b'a', 1, 1, b'x', 1]),
            (Body::Multi(two), &[3, 2, 4, 2, b'/', b'a', 6, 1, 2, b'/', b'b', 1]),
            (register, &[4, 2, 0x0e, 0xf0, 0x2e, 2, b'{', b'}']),
            (Body::MoveSession { session, timeout_ms, node: NodeId(2) }, &[5, 0x0a, 0xa0, 0x1f, 4]),
        ];
        for (body, bytes) in stored {
            let txn = Txn { by: By::NODE, body };
            let bytes = [&[1, 0, 0][..], bytes].concat();
            assert_eq!(Txn::decode(&bytes), Ok(txn.clone()));
            assert_eq!(txn.encode(), bytes);
        }
        let by = By::Client { session, ids: vec![Id::new("ip", "::1")] };
        let bytes = [1, 1, 0x0a, 1, 2, b'i', b'p', 3, b':', b':', b'1', 1, 0x0a];
        assert_eq!(Txn::decode(&bytes), Ok(Txn { by, body: Body::CloseSession { session } }));
    }
}
