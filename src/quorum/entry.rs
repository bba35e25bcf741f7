//! One entry of the quorum's log as a record batch: offset = index, leader epoch = term, one record without key.
//!
//! The record's value, integers big-endian: version (1), kind (1), index (8) and term (8) again, because a batch's CRC
//! covers neither its offset nor its epoch, commit index (8) and durable index (8), both as known when it was appended,
//! data. The commit index lets a restart apply what was surely committed before it talks to anybody, at no sync's cost.
//! The durable index tells a torn write from rot: damage before an entry that knew the damaged one to be durable is rot.
//! Offset 0, which is no index, holds a batch of kind `Origin`, so that both count alike.

use bytes::{Bytes, BytesMut};
use raft::eraftpb::{Entry, EntryType};

use crate::record::{BatchBuilder, BatchView, NewRecord, RecordError, open};
use crate::types::{LeaderEpoch, Offset, Reader, Timestamp};

const VERSION: u8 = 1;
const VALUE_HEADER_BYTES: usize = 34;

/// What a batch and its record add to an entry's data at most, and what the entry itself needs in memory.
pub const ENTRY_OVERHEAD_BYTES: usize = 192;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Origin,
    Normal,
    ConfChange,
    ConfChangeV2,
}

/// What was known when an entry was appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    pub commit: u64,
    pub durable: u64,
}

/// An entry read back.
#[derive(Debug)]
pub struct Stored {
    pub entry: Entry,
    pub known: Known,
}

/// The batch for offset 0.
pub fn origin(now: Timestamp) -> BytesMut {
    seal_record(Kind::Origin, Known::default(), &[], now, 0, 0)
}

/// The batch of an entry.
pub fn seal(entry: &Entry, known: Known, now: Timestamp) -> BytesMut {
    let kind = match entry.get_entry_type() {
        EntryType::EntryNormal => Kind::Normal,
        EntryType::EntryConfChange => Kind::ConfChange,
        EntryType::EntryConfChangeV2 => Kind::ConfChangeV2,
    };
    seal_record(kind, known, &entry.data, now, entry.index, entry.term)
}

/// The term as the log stores it.
pub fn epoch_of(term: u64) -> LeaderEpoch {
    LeaderEpoch(term.min(i32::MAX as u64) as i32)
}

fn seal_record(kind: Kind, known: Known, data: &[u8], now: Timestamp, index: u64, term: u64) -> BytesMut {
    let mut value = Vec::with_capacity(VALUE_HEADER_BYTES + data.len());
    value.extend_from_slice(&[VERSION, kind as u8]);
    value.extend_from_slice(&index.to_be_bytes());
    value.extend_from_slice(&term.to_be_bytes());
    value.extend_from_slice(&known.commit.to_be_bytes());
    value.extend_from_slice(&known.durable.to_be_bytes());
    value.extend_from_slice(data);
    let mut builder = BatchBuilder::new(value.len() + ENTRY_OVERHEAD_BYTES);
    let record = NewRecord { timestamp: now, key: None, value: Some(&value), headers: &[] };
    // The builder's bound was computed from this very record.
    let _ = builder.push(&record);
    builder.seal(Offset(index as i64), epoch_of(term))
}

/// Reads a batch back; `None` for the one at offset 0. The sentence says what is wrong; the log has checked its CRC.
pub fn unseal(batch: &BatchView<'_>, entry_bytes_max: usize) -> Result<Option<Stored>, String> {
    let index = batch.base_offset();
    let wrong = |what: &str| format!("entry {index} of the quorum's log {what}");
    let mut scratch = Vec::new();
    let unreadable = |error: RecordError| wrong(&format!("cannot be read: {error}"));
    let mut records = open(batch, &mut scratch, entry_bytes_max + ENTRY_OVERHEAD_BYTES).map_err(unreadable)?;
    let record = records.next().ok_or_else(|| wrong("is empty"))?.map_err(unreadable)?;
    let value = record.value.ok_or_else(|| wrong("has no value"))?;
    let mut reader = Reader::new(value);
    let mut header = || Ok((reader.u8()?, reader.u8()?, [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?]));
    let (version, kind, [own_index, own_term, commit, durable]) =
        header().map_err(|error: crate::types::ReadError| wrong(&error.to_string()))?;
    if version != VERSION {
        return Err(wrong(&format!("has format {version}, this program reads {VERSION}")));
    }
    let mut entry = Entry::default();
    entry.set_entry_type(match kind {
        kind if kind == Kind::Origin as u8 => return Ok(None),
        kind if kind == Kind::Normal as u8 => EntryType::EntryNormal,
        kind if kind == Kind::ConfChange as u8 => EntryType::EntryConfChange,
        kind if kind == Kind::ConfChangeV2 as u8 => EntryType::EntryConfChangeV2,
        _ => return Err(wrong("is of an unknown kind")),
    });
    let term = batch.partition_leader_epoch().0;
    if index.0 <= 0 || term <= 0 || batch.record_count() != 1 {
        return Err(wrong("has an impossible index, term or number of records"));
    }
    if (own_index, own_term) != (index.0 as u64, term as u64) {
        return Err(wrong(&format!("is damaged: it is entry {own_index} of term {own_term}")));
    }
    entry.index = own_index;
    entry.term = own_term;
    entry.data = Bytes::copy_from_slice(value.get(VALUE_HEADER_BYTES..).unwrap_or_default());
    Ok(Some(Stored { entry, known: Known { commit, durable } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is sealed is unsealed, with every kind and size; the origin is no entry.
    #[test]
    fn round_trip() {
        for (kind, bytes) in [
            (EntryType::EntryNormal, 0),
            (EntryType::EntryNormal, 70_000),
            (EntryType::EntryConfChange, 3),
            (EntryType::EntryConfChangeV2, 9),
        ] {
            let mut entry = Entry::default();
            entry.set_entry_type(kind);
            entry.index = 7;
            entry.term = 3;
            entry.data = vec![5; bytes].into();
            let known = Known { commit: 6, durable: 5 };
            let sealed = seal(&entry, known, Timestamp(9));
            assert!(sealed.len() + size_of::<Entry>() <= bytes + 2 * ENTRY_OVERHEAD_BYTES);
            let batch = BatchView::parse(&sealed).unwrap();
            let stored = unseal(&batch, 1 << 20).unwrap().unwrap();
            assert_eq!((stored.entry, stored.known), (entry, known));
        }
        let sealed = origin(Timestamp(9));
        assert!(unseal(&BatchView::parse(&sealed).unwrap(), 100).unwrap().is_none());
    }
}
