//! The doors, each with the engine below it and a world around it that is all in memory: order, memory, hostile input.
//!
//! Everything runs from seeds: a failing test prints its seed, and `TERN_SEED` repeats it. `TERN_ROUNDS` multiplies the
//! length of the searches.

mod client;
mod disk;
mod generator;
mod kafka_admin;
mod kafka_fetch;
mod kafka_groups;
mod kafka_hostile;
mod kafka_memory;
mod kafka_order;
mod kafka_quotas;
mod world;
