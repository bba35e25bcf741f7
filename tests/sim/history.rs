//! What all clients together were told: each invariant keeps its own books.

use std::collections::BTreeMap;

use tern::kafka::errors::ErrorCode;

use crate::invariants::commits::Commits;
use crate::invariants::ephemerals::Ephemerals;
use crate::invariants::leaders::Leaders;
use crate::invariants::publishers::Publishers;
use crate::invariants::records::Records;
use crate::invariants::registers::Registers;
use crate::invariants::zxids::Zxids;

/// The books.
pub struct History {
    /// Operations of clients that succeeded.
    pub operations: u64,
    /// How often a Kafka client was refused, by code.
    pub refusals: BTreeMap<i16, u64>,
    pub records: Records,
    pub commits: Commits,
    pub publishers: Publishers,
    pub registers: Registers,
    pub ephemerals: Ephemerals,
    pub zxids: Zxids,
    pub leaders: Leaders,
}

impl History {
    pub fn new() -> History {
        History {
            operations: 0,
            refusals: BTreeMap::new(),
            records: Records::default(),
            commits: Commits::default(),
            publishers: Publishers::default(),
            registers: Registers::default(),
            ephemerals: Ephemerals::default(),
            zxids: Zxids::default(),
            leaders: Leaders::default(),
        }
    }

    /// A Kafka client got an error.
    pub fn refused(&mut self, code: ErrorCode) {
        *self.refusals.entry(code.0).or_default() += 1;
    }
}
