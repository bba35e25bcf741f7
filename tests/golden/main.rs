//! Bytes that must never change their meaning: wire messages and disk formats, known ones and ones drawn from seeds,
//! each truncated at every byte and with every bit flipped.

mod allocations;
mod kafka_messages;
mod record_batches;
mod zstd_frames;
