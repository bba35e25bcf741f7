//! `PartitionKey`: the handle by which callers name a partition after looking it up once.

/// A partition for as long as it exists. A key whose partition was deleted names nothing, never its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionKey(pub(crate) u32);
