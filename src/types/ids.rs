//! Integers with a meaning. A record's `Offset`, a quorum's `Term` and a connection's `Slot` never mix.
//!
//! All are plain copies; arithmetic that can leave the type's range goes through checked methods of the room that
//! owns the rule.

use serde::{Deserialize, Serialize};

macro_rules! newtype {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

newtype!(
    /// A board of the ensemble: `broker.id` and the N of `server.N`, the same number. 0 is legal.
    NodeId(i32)
);
newtype!(
    /// A record's place in its partition, counted from 0.
    Offset(i64)
);
newtype!(
    /// How many times a partition's leadership has been given out (KIP-101). Stamped into each batch.
    LeaderEpoch(i32)
);
newtype!(
    /// A partition's number within its topic.
    PartitionIndex(i32)
);
newtype!(
    /// The quorum's term (Raft), and the high half of a zxid.
    Term(u64)
);
newtype!(
    /// A coordinator transaction: term in the high 32 bits, count of entries applied in that term in the low 32.
    Zxid(i64)
);
newtype!(
    /// A ZooKeeper session; broker registrations are sessions too.
    SessionId(i64)
);
newtype!(
    /// An idempotent producer (KIP-98). -1 means none.
    ProducerId(i64)
);
newtype!(
    /// The incarnation of a `ProducerId`; a newer one fences older ones.
    ProducerEpoch(i16)
);
newtype!(
    /// Names one effect whose answer comes back as an input: unique for the life of the process.
    Ticket(u64)
);
newtype!(
    /// A request in flight on one connection; chosen by the door, meaningful to it alone.
    Slot(u32)
);

impl Offset {
    /// The offset `count` records later.
    pub const fn plus(self, count: i64) -> Offset {
        Offset(self.0 + count)
    }
}

impl LeaderEpoch {
    /// Kafka's "unknown" on the wire.
    pub const NONE: LeaderEpoch = LeaderEpoch(-1);
}

impl ProducerId {
    /// Kafka's "no producer id" on the wire.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl Zxid {
    /// The first zxid of a term; `apply` counts from here.
    pub const fn new(term: Term, count: u32) -> Zxid {
        Zxid(((term.0 as i64) << 32) | count as i64)
    }

    /// The term that gave this zxid.
    pub const fn term(self) -> Term {
        Term((self.0 as u64) >> 32)
    }

    /// Entries applied in that term, this one included.
    pub const fn count(self) -> u32 {
        self.0 as u32
    }
}

/// One accepted socket: a place in a fixed table and the generation of its use, so that a late completion for a
/// connection that is gone never reaches its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    /// Index into the connection table.
    pub index: u32,
    /// How often that place has been used.
    pub generation: u32,
}

impl std::fmt::Display for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}
