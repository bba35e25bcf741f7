//! The Kafka door: the wire protocol of Kafka's clients, served from the engine.
//!
//! `codec` turns bytes into borrowed messages and back, `errors` names the protocol's error codes.

pub mod errors;
pub mod codec;
