//! The thin shell around the node: sockets, disks, clocks, signals. The only room that touches the world.
//!
//! One thread runs everything but disks: a tokio current-thread runtime with one task a connection, all of them
//! sharing one `Shell` (the node and its effects). Four disk threads carry out disk operations. Nothing in here decides
//! anything that a protocol, a log or a quorum cares about.

pub mod board;
mod clock;
mod connection;
pub mod descriptors;
pub mod diagnostics;
pub mod disk;
mod listen;
mod names;
mod out_queue;
mod peers;
mod power;
mod reload;
mod run;
mod shell;
mod signals;
mod systemd;

pub use names::lookup;
pub use reload::Read;
pub use run::{Fault, run};
