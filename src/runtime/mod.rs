//! The thin shell around the node: sockets, disks, clocks, signals. The only room that touches the world.

pub mod disk;
pub mod board;
pub mod descriptors;
pub mod diagnostics;
