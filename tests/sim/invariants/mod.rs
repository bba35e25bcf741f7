//! What must hold, one file each: some of it is checked the moment a client is told something, the rest at the end, when
//! everything has healed.

pub mod commits;
pub mod convergence;
pub mod ephemerals;
pub mod leaders;
pub mod memory;
pub mod publishers;
pub mod records;
pub mod registers;
pub mod replicas;
pub mod zxids;
