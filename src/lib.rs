//! Tern: Kafka, ZooKeeper and MQTT for boards of 512 MB, in one small binary.
//!
//! One idea: a pure `node` inside a thin `runtime`. The rooms, from the ground up; a room may import only rooms above
//! it in this list, which `tests/architecture.rs` enforces together with the purity of everything but `runtime`.

pub mod types;
pub mod limits;
pub mod config;
pub mod metrics;
pub mod memory;
pub mod effect;
pub mod record;
pub mod log;
pub mod quorum;
pub mod coordinator;
pub mod broker;
pub mod engine;
pub mod kafka;
pub mod zookeeper;
pub mod mqtt;
pub mod http;
pub mod node;
pub mod runtime;
pub mod cli;
