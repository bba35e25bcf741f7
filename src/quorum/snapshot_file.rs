//! Snapshots as files: opaque slices of the state machine, each with its length and checksum, written and read one
//! after the other.
//!
//! ```text
//! magic (8)  version (2)  index (8)  term (8)  CRC-32C of these (4)
//! slices: length (4, above 0)  CRC-32C of the bytes (4)  bytes
//! end:    length 0 (4)  number of slices (4)  CRC-32C of all slices' CRCs (4)
//! ```
//!
//! The files (`QuorumConfig::snapshots_kept` and one) take turns; which one is current says `quorum-state`, so that a
//! half-written one is never read. Integers
//! are big-endian.

use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};

use super::state_file::SnapshotMark;
use crate::types::Writer;
use crate::types::crc32c::{append, crc32c};

const MAGIC: &[u8; 8] = b"TERNSNAP";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 30;
const FRAME_BYTES: usize = 8;
const END_BYTES: usize = 12;

/// A longer slice is damage: slices are about 64 KiB, or one znode with its data.
const SLICE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What is read from the disk at once.
pub const READ_BYTES: usize = 256 * 1024;

/// The file of a slot.
pub fn name(slot: u8) -> Arc<str> {
    format!("quorum-snapshot-{slot}").into()
}

/// A snapshot on its way to the disk, one operation at a time.
#[derive(Debug)]
pub struct SnapshotWriter {
    pub mark: SnapshotMark,
    slices: u32,
    crc: u32,
}

impl SnapshotWriter {
    /// And the bytes that begin the file.
    pub fn begin(index: u64, term: u64, slot: u8) -> (SnapshotWriter, Bytes) {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        header.extend_from_slice(MAGIC);
        let mut writer = Writer::new(&mut header);
        writer.u16(VERSION);
        writer.u64(index);
        writer.u64(term);
        let crc = crc32c(&header);
        Writer::new(&mut header).u32(crc);
        let mark = SnapshotMark { index, term, slot, bytes: header.len() as u64 };
        (SnapshotWriter { mark, slices: 0, crc: 0 }, header.into())
    }

    /// The bytes that follow for a slice, and where they belong.
    pub fn slice(&mut self, slice: &[u8]) -> (u64, Bytes) {
        let crc = crc32c(slice);
        let mut framed = Vec::with_capacity(FRAME_BYTES + slice.len());
        let mut writer = Writer::new(&mut framed);
        writer.u32(slice.len() as u32);
        writer.u32(crc);
        writer.raw(slice);
        self.slices += 1;
        self.crc = append(self.crc, &crc.to_be_bytes());
        self.place(framed)
    }

    /// The bytes that end the file, and where they belong.
    pub fn end(&mut self) -> (u64, Bytes) {
        let mut end = Vec::with_capacity(END_BYTES);
        let mut writer = Writer::new(&mut end);
        writer.u32(0);
        writer.u32(self.slices);
        writer.u32(self.crc);
        self.place(end)
    }

    fn place(&mut self, bytes: Vec<u8>) -> (u64, Bytes) {
        let position = self.mark.bytes;
        self.mark.bytes += bytes.len() as u64;
        (position, bytes.into())
    }
}

/// A snapshot on its way from the disk.
#[derive(Debug)]
pub struct SnapshotReader {
    pub mark: SnapshotMark,
    /// Where the next read begins.
    pub position: u64,
    buffer: BytesMut,
    is_header_read: bool,
    slices: u32,
    crc: u32,
}

/// What the bytes at hand give.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// A slice.
    Slice(Bytes),
    /// More must be read from `position`.
    More,
    /// All slices were there.
    End,
}

impl SnapshotReader {
    /// Nothing read yet.
    pub fn new(mark: SnapshotMark) -> SnapshotReader {
        SnapshotReader { mark, position: 0, buffer: BytesMut::new(), is_header_read: false, slices: 0, crc: 0 }
    }

    /// Takes what was read at `position`. Nothing at all means that the file is too short.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), String> {
        if bytes.is_empty() {
            return Err(self.wrong("is too short"));
        }
        self.position += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        Ok(())
    }

    /// The next piece; the sentence says what is wrong.
    pub fn piece(&mut self) -> Result<Piece, String> {
        if !self.is_header_read {
            let Some(header) = self.buffer.first_chunk::<HEADER_BYTES>() else { return Ok(Piece::More) };
            self.check_header(header)?;
            self.buffer.advance(HEADER_BYTES);
            self.is_header_read = true;
        }
        let Some(frame) = self.buffer.first_chunk::<FRAME_BYTES>() else { return Ok(Piece::More) };
        let [l0, l1, l2, l3, c0, c1, c2, c3] = *frame;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let crc = u32::from_be_bytes([c0, c1, c2, c3]);
        if length == 0 {
            let Some(end) = self.buffer.first_chunk::<END_BYTES>() else { return Ok(Piece::More) };
            let expected = [&self.slices.to_be_bytes()[..], &self.crc.to_be_bytes()[..]].concat();
            return if end.ends_with(&expected) { Ok(Piece::End) } else { Err(self.wrong("lacks slices")) };
        }
        if length > SLICE_BYTES_MAX {
            return Err(self.wrong("has an impossible length"));
        }
        if self.buffer.len() < FRAME_BYTES + length {
            return Ok(Piece::More);
        }
        self.buffer.advance(FRAME_BYTES);
        let slice = self.buffer.split_to(length).freeze();
        if crc32c(&slice) != crc {
            return Err(self.wrong("is damaged: a checksum does not match"));
        }
        self.slices += 1;
        self.crc = append(self.crc, &crc.to_be_bytes());
        Ok(Piece::Slice(slice))
    }

    fn check_header(&self, header: &[u8; HEADER_BYTES]) -> Result<(), String> {
        let mut reader = crate::types::Reader::new(header);
        let mut fields = || Ok((reader.array::<8>()?, reader.u16()?, reader.u64()?, reader.u64()?, reader.u32()?));
        let (magic, version, index, term, crc) =
            fields().map_err(|error: crate::types::ReadError| self.wrong(&error.to_string()))?;
        if magic != *MAGIC {
            return Err(self.wrong("is not a snapshot"));
        }
        if version != VERSION {
            return Err(self.wrong(&format!("has format {version}, this program reads {VERSION}")));
        }
        if crc != crc32c(header.split_at(HEADER_BYTES - 4).0) || (index, term) != (self.mark.index, self.mark.term) {
            return Err(self.wrong("is not the snapshot that quorum-state names"));
        }
        Ok(())
    }

    fn wrong(&self, what: &str) -> String {
        format!("{} {what}", name(self.mark.slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(slices: &[Vec<u8>]) -> (SnapshotMark, Vec<u8>) {
        let (mut writer, header) = SnapshotWriter::begin(70, 3, 1);
        let mut file = header.to_vec();
        for slice in slices {
            let (position, bytes) = writer.slice(slice);
            assert_eq!(position, file.len() as u64);
            file.extend_from_slice(&bytes);
        }
        let (position, bytes) = writer.end();
        assert_eq!(position, file.len() as u64);
        file.extend_from_slice(&bytes);
        assert_eq!(writer.mark.bytes, file.len() as u64);
        (writer.mark, file)
    }

    fn read(mark: SnapshotMark, file: &[u8], step: usize) -> Result<Vec<Vec<u8>>, String> {
        let mut reader = SnapshotReader::new(mark);
        let mut slices = Vec::new();
        loop {
            match reader.piece()? {
                Piece::Slice(slice) => slices.push(slice.to_vec()),
                Piece::More => {
                    let rest = &file[reader.position as usize..];
                    reader.feed(&rest[..rest.len().min(step)])?;
                }
                Piece::End => return Ok(slices),
            }
        }
    }

    /// Slices come back however the file is cut into reads; every cut and every changed byte of the file is noticed.
    #[test]
    fn round_trip_and_damage() {
        let slices = vec![vec![1], vec![2; 300], vec![3; 7]];
        let (mark, file) = file(&slices);
        for step in [1, 7, 64, 4096] {
            assert_eq!(read(mark, &file, step), Ok(slices.clone()));
        }
        for end in 0..file.len() {
            assert!(read(mark, &file[..end], 64).is_err());
        }
        for place in 0..file.len() {
            let mut damaged = file.clone();
            damaged[place] ^= 4;
            assert!(read(mark, &damaged, 64).is_err(), "{place}");
        }
    }
}
