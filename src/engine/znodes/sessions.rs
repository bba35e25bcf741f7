//! Names and passwords of sessions.

use crate::types::{NodeId, Rng, SessionId, sha1};

/// What a password takes.
pub const PASSWORD_BYTES: usize = 16;

/// Ids count up in the lower seven bytes; the top byte is the node's, below 0x80 because 0xff.. and 0x80.. mean TTL
/// nodes and containers where a session's id would stand.
const COUNTER_MASK: i64 = (1 << 56) - 1;

/// Where the ids of one life of a node begin: somewhere in 2^48 places, with room for 2^24 before the next.
pub(super) fn first_id(node: NodeId, rng: &mut Rng) -> i64 {
    ((node.0 as i64 & 0x7f) << 56) | ((rng.next() as i64) << 8 & COUNTER_MASK)
}

/// The next id; never 0.
pub(super) fn next_id(last: &mut i64) -> SessionId {
    let node = *last & !COUNTER_MASK;
    *last = node | (last.wrapping_add(1) & COUNTER_MASK).max(1);
    SessionId(*last)
}

/// Derived from the id by what every member of the cluster knows, as in ZooKeeper: it keeps clients from taking up each
/// other's sessions by mistake.
pub(super) fn password(cluster_id: &str, session: SessionId) -> [u8; PASSWORD_BYTES] {
    let digest = sha1(&[b"session ", cluster_id.as_bytes(), &session.0.to_be_bytes()]);
    let mut password = [0; PASSWORD_BYTES];
    password.copy_from_slice(&digest[..PASSWORD_BYTES]); // a digest is longer
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids differ, keep their node, and never have one of the forms that mean something else.
    #[test]
    fn ids() {
        let mut rng = Rng::new(1);
        for node in [0, 1, 127, 128, 255] {
            for mut last in [first_id(NodeId(node), &mut rng), ((node as i64 & 0x7f) << 56) | (COUNTER_MASK - 1)] {
                let ids: Vec<i64> = (0..4).map(|_| next_id(&mut last).0).collect();
                for id in &ids {
                    assert!(*id > 0 && id >> 56 == node as i64 & 0x7f);
                    assert_eq!(ids.iter().filter(|other| *other == id).count(), 1);
                }
            }
        }
    }

    /// A password belongs to one session of one cluster.
    #[test]
    fn passwords() {
        assert_eq!(password("c", SessionId(1)), password("c", SessionId(1)));
        assert_ne!(password("c", SessionId(1)), password("c", SessionId(2)));
        assert_ne!(password("c", SessionId(1)), password("d", SessionId(1)));
    }
}
