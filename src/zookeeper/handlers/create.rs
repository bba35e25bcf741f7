//! `create`, `create2`, `createContainer`, `createTTL`: from flags to the kind of znode.

use crate::engine::znodes::{CreateMode, Op};
use crate::zookeeper::codec::Create;
use crate::zookeeper::errors::Code;

/// The operation, or the error for flags that mean nothing.
pub(super) fn op(create: &Create<'_>) -> Result<Op, Code> {
    let acl = create.acl.iter().map(|entry| entry.to_acl()).collect();
    let data = create.data.map(<[u8]>::to_vec);
    Ok(Op::Create { path: create.path.to_owned(), data, acl, mode: mode(create.flags, create.ttl_ms)? })
}

/// A time to live belongs to TTL flags and to nothing else.
fn mode(flags: i32, ttl_ms: Option<i64>) -> Result<CreateMode, Code> {
    let ttl_ms = ttl_ms.map(|ttl_ms| u64::try_from(ttl_ms).unwrap_or(0));
    match (flags, ttl_ms) {
        (5, Some(ttl_ms)) => Ok(CreateMode::Ttl { ttl_ms }),
        (6, Some(ttl_ms)) => Ok(CreateMode::TtlSequential { ttl_ms }),
        (0, None) => Ok(CreateMode::Persistent),
        (1, None) => Ok(CreateMode::Ephemeral),
        (2, None) => Ok(CreateMode::PersistentSequential),
        (3, None) => Ok(CreateMode::EphemeralSequential),
        (4, None) => Ok(CreateMode::Container),
        _ => Err(Code::BAD_ARGUMENTS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Flags beyond the seven, TTL flags without a time, and a time without TTL flags are bad arguments.
    #[test]
    fn flags() {
        assert_eq!(mode(3, None), Ok(CreateMode::EphemeralSequential));
        assert_eq!(mode(4, None), Ok(CreateMode::Container));
        assert_eq!(mode(6, Some(9)), Ok(CreateMode::TtlSequential { ttl_ms: 9 }));
        for (flags, ttl_ms) in [(-1, None), (5, None), (6, None), (7, None), (i32::MAX, None), (0, Some(9))] {
            assert_eq!(mode(flags, ttl_ms), Err(Code::BAD_ARGUMENTS), "{flags}");
        }
    }
}
