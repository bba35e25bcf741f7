//! Every constant that bounds something, unit in its name, related to its neighbours by const asserts.
//!
//! What depends on the board or the configuration is not here but in the memory table, which starts from these.

/// Unparsed bytes a door keeps for one connection outside a granted frame.
pub const CONNECTION_INPUT_BYTES_MAX: usize = 8 * 1024;

/// Bytes the shell reads from a socket at once.
pub const SOCKET_READ_BYTES_MAX: usize = 64 * 1024;

/// A topic's name, as in Kafka.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

const _: () = assert!(CONNECTION_INPUT_BYTES_MAX <= SOCKET_READ_BYTES_MAX);

/// Replicas of one partition, those of a running reassignment included.
pub const REPLICAS_MAX: usize = 7;
