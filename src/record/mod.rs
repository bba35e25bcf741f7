//! Record batch v2, Kafka's message format with magic 2: the wire form is the disk form.
//!
//! ```text
//! position  0  base offset             i64   outside the CRC, set by the log
//!           8  batch length            i32   bytes after this field
//!          12  partition leader epoch  i32   outside the CRC, set by the log
//!          16  magic                   i8    2
//!          17  CRC-32C                 u32   of everything from position 21
//!          21  attributes              i16   bits 0-2 codec, 3 log append time, 4 transactional, 5 control,
//!                                              6 the base timestamp is a delete horizon
//!          23  last offset delta       i32
//!          27  base timestamp          i64
//!          35  max timestamp           i64
//!          43  producer id             i64   -1: none
//!          51  producer epoch          i16
//!          53  base sequence           i32
//!          57  record count            i32
//!          61  records, as one compressed block when the attributes name a codec
//! ```
//!
//! Invariants: every length and count is compared with the bytes at hand before it is used; hostile input gives a
//! `RecordError`, never a panic, and never more memory than the bound its caller named. A batch is moved, checked and
//! served without its records being decoded; only who must open a record decompresses, and compaction alone compresses.
//! Pure: callers are the log, the broker, the doors and the command line.

mod batch;
mod builder;
mod codec;
mod compress;
mod error;
mod gzip;
mod lz4;
mod partitioner;
mod produced;
mod records;
mod rewrite;
mod zstd;

pub use batch::{
    BatchHeader, BatchView, Batches, HEADER_BYTES, LENGTH_PREFIX_BYTES, MAGIC, set_base_offset, set_leader_epoch,
    set_max_timestamp,
};
pub use builder::{BatchBuilder, Full, NewRecord, Producer};
pub use codec::{Codec, decompress};
pub use compress::COMPRESSION_BYTES;
pub use error::RecordError;
pub use partitioner::partition_of;
pub use produced::{BatchInfo, all_have_keys, validate_produced};
pub use records::{Header, Headers, Record, Records, open};
pub use rewrite::{RewriteBuffers, Rewritten, delete_horizon, rewrite, write_empty};
