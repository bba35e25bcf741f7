//! The client side of the command line: everyday commands, the demonstration and the load generator.
//!
//! Programs of their own that reach a node only through its doors; blocking sockets and threads are fine here.

pub mod bench;
pub mod demo;
pub mod kafka;
