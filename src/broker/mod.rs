//! Partitions of topics: who leads them, what is appended, acknowledged, read and forgotten.
//!
//! The broker puts the log under the rules of the Kafka protocol (sequences of idempotent producers, timestamps, sizes,
//! high watermark) and knows nothing of the bytes of any protocol's requests. `engine` is its only caller.

mod acknowledgements;
mod errors;
mod key;
mod waiter;
mod watches;
pub mod producers;

pub use errors::{AppendError, BatchFault, ReadError};
pub use key::PartitionKey;
pub use waiter::{Acks, Answer, AppendedAt, Door, FoundOffset, ReadData, Waiter};
