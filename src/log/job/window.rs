//! A segment's batches through a window of bounded size: headers, checksums, and the next whole batch after damage.

use crate::effect::DiskError;
use crate::log::storage::{FilePath, Storage};
use crate::record::{BatchHeader, HEADER_BYTES};
use crate::types::{Offset, crc32c};

/// Memory of one scan.
const WINDOW_BYTES: usize = 256 * 1024;

/// The first look reads less: often it is the only one. Each further one doubles.
const FIRST_LOOK_BYTES: usize = 8 * 1024;

/// What a lost write leaves is at least that long and lies in one sector: zeros where bytes should be.
const SECTOR_BYTES: u64 = 512;
const LOST_ZEROS_MIN: usize = 16;

/// Where the CRC of a batch begins to cover it.
const CRC_START: u64 = 21;

const _: () = assert!(WINDOW_BYTES > 2 * HEADER_BYTES);

/// Bytes `0..end` of one file.
pub(super) struct Window<'s, 'f, S> {
    storage: &'s mut S,
    file: FilePath<'f>,
    /// Nothing at or above is looked at.
    end: u64,
    buffer: Vec<u8>,
    start: u64,
    next_look_bytes: usize,
}

impl<'s, 'f, S: Storage> Window<'s, 'f, S> {
    /// No byte is read yet.
    pub fn new(storage: &'s mut S, file: FilePath<'f>, end: u64) -> Self {
        Window { storage, file, end, buffer: Vec::new(), start: 0, next_look_bytes: FIRST_LOOK_BYTES }
    }

    /// Where the file ends, as far as this window goes.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The disk itself, between two looks.
    pub fn storage(&mut self) -> &mut S {
        self.storage
    }

    /// At least `count` bytes from `position` on, fewer at the end; often more.
    pub fn bytes(&mut self, position: u64, count: usize) -> Result<&[u8], DiskError> {
        let wanted = count.min(usize::try_from(self.end.saturating_sub(position)).unwrap_or(count));
        let have = position.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let have = have.filter(|skip| skip.saturating_add(wanted) <= self.buffer.len());
        let skip = match have {
            Some(skip) => skip,
            None => {
                self.fill(position, wanted)?;
                0
            }
        };
        Ok(self.buffer.get(skip..).unwrap_or_default())
    }

    /// The header of the batch at `position`, when it is one and its end is not beyond the file's.
    pub fn header(&mut self, position: u64) -> Result<Option<[u8; HEADER_BYTES]>, DiskError> {
        let room = self.end.saturating_sub(position);
        let Some(head) = self.bytes(position, HEADER_BYTES)?.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let fits = BatchHeader::parse(head).is_ok_and(|batch| batch.total_bytes() as u64 <= room);
        Ok(fits.then_some(*head))
    }

    /// Whether the bytes of the batch at `position` are those that its checksum covered.
    pub fn is_intact(&mut self, position: u64, batch: &BatchHeader<'_>) -> Result<bool, DiskError> {
        let end = position + batch.total_bytes() as u64;
        let mut at = position + CRC_START;
        let mut crc = 0;
        while at < end {
            let left = usize::try_from(end - at).unwrap_or(WINDOW_BYTES).min(WINDOW_BYTES);
            let bytes = self.bytes(at, left)?;
            let bytes = bytes.get(..left.min(bytes.len())).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(false); // the file became shorter meanwhile
            }
            crc = crc32c::append(crc, bytes);
            at += bytes.len() as u64;
        }
        Ok(crc == batch.crc())
    }

    /// The first intact batch at or after `position` whose records have offsets from `lowest` up to `below`.
    pub fn next_intact(&mut self, position: u64, lowest: Offset, below: Offset) -> Result<Option<u64>, DiskError> {
        let mut at = position;
        while at + HEADER_BYTES as u64 <= self.end {
            match find_candidate(self.bytes(at, HEADER_BYTES)?, lowest, below) {
                Ok(skip) => {
                    at += skip as u64;
                    if let Some(head) = self.header(at)?
                        && let Ok(batch) = BatchHeader::parse(&head)
                        && self.is_intact(at, &batch)?
                    {
                        return Ok(Some(at));
                    }
                    at += 1;
                }
                Err(skip) => at += skip as u64,
            }
        }
        Ok(None)
    }

    /// Whether some sector of `from..to` holds nothing but zeros there: a write that never reached the disk. `from` is
    /// where a batch of base offset `expected` should begin, which may have zeros of its own there.
    pub fn has_lost_sector(&mut self, from: u64, to: u64, expected: Offset) -> Result<bool, DiskError> {
        let head = expected.0.to_be_bytes();
        let mut at = from;
        while at < to {
            let sector_end = (at - at % SECTOR_BYTES + SECTOR_BYTES).min(to);
            let count = (sector_end - at) as usize; // at most a sector
            let is_long = count >= LOST_ZEROS_MIN;
            let may_be_zero = at == from && head.iter().take(count).all(|&byte| byte == 0);
            let bytes = self.bytes(at, count)?;
            let bytes = bytes.get(..count.min(bytes.len())).unwrap_or_default();
            if (is_long || (at == from && !may_be_zero)) && bytes.iter().all(|&byte| byte == 0) {
                return Ok(true);
            }
            at = sector_end;
        }
        Ok(false)
    }

    fn fill(&mut self, position: u64, wanted: usize) -> Result<(), DiskError> {
        let left = usize::try_from(self.end.saturating_sub(position)).unwrap_or(WINDOW_BYTES);
        self.buffer.resize(self.next_look_bytes.max(wanted).min(left), 0);
        self.next_look_bytes = (2 * self.next_look_bytes).min(WINDOW_BYTES);
        let read = self.storage.read_at(self.file, position, &mut self.buffer)?;
        self.buffer.truncate(read);
        self.start = position;
        Ok(())
    }
}

/// The first place in `bytes` where a batch may begin, or how far one may skip to look further.
fn find_candidate(bytes: &[u8], lowest: Offset, below: Offset) -> Result<usize, usize> {
    const MAGIC_AT: usize = 16;
    for (skip, head) in bytes.windows(HEADER_BYTES).enumerate() {
        if head[MAGIC_AT] == crate::record::MAGIC as u8
            && let Ok(batch) = BatchHeader::parse(head)
            && batch.base_offset() >= lowest
            && batch.next_offset() <= below
        {
            return Ok(skip);
        }
    }
    Err((bytes.len() + 1).saturating_sub(HEADER_BYTES).max(1))
}
