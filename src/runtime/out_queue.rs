//! Bytes on their way to one socket: small copies gathered in one buffer, large ones kept as they are.
//!
//! Invariant: bytes leave in the order in which they were queued; a grant is dropped when its last byte has left.
//! Bound: shared bytes by their grants, copied bytes by `COPIED_BYTES_MAX`, above which the shell stops reading the
//! connection, so that a client who asks and never listens costs no more than that.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::memory::Grant;

/// Copied bytes queued above which a connection is not read.
pub const COPIED_BYTES_MAX: usize = 32 * 1024;

/// Slices handed to one write.
const SLICES_MAX: usize = 16;

enum Item {
    Copied { bytes: Vec<u8>, sent: usize },
    Shared { bytes: Bytes, _grant: Grant },
}

impl Item {
    fn rest(&self) -> &[u8] {
        match self {
            Item::Copied { bytes, sent } => &bytes[*sent..],
            Item::Shared { bytes, .. } => bytes,
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Item::Copied { sent, .. } => *sent += count,
            Item::Shared { bytes, .. } => bytes.advance(count),
        }
    }
}

/// The queue of one connection.
#[derive(Default)]
pub struct OutQueue {
    items: VecDeque<Item>,
    copied_bytes: usize,
}

impl OutQueue {
    /// Queues a copy of `bytes`.
    pub fn copy(&mut self, bytes: &[u8]) {
        self.copied_bytes += bytes.len();
        if let Some(Item::Copied { bytes: last, .. }) = self.items.back_mut() {
            last.extend_from_slice(bytes);
        } else {
            self.items.push_back(Item::Copied { bytes: bytes.to_vec(), sent: 0 });
        }
    }

    /// Queues `bytes` themselves.
    pub fn share(&mut self, bytes: Bytes, grant: Grant) {
        if !bytes.is_empty() {
            self.items.push_back(Item::Shared { bytes, _grant: grant });
        }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// True when the peer has let too many copied bytes gather.
    pub fn is_clogged(&self) -> bool {
        self.copied_bytes > COPIED_BYTES_MAX
    }

    /// Writes as much as the socket takes: `Ok(true)` when everything has left, `Ok(false)` when it would block.
    pub fn write_to(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> io::Result<bool> {
        while !self.items.is_empty() {
            let mut slices = heapless::Vec::<IoSlice<'_>, SLICES_MAX>::new();
            for item in self.items.iter().take(SLICES_MAX) {
                let _ = slices.push(IoSlice::new(item.rest())); // never full: at most SLICES_MAX are taken
            }
            let result = write(&slices);
            drop(slices);
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.consume(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn consume(&mut self, mut count: usize) {
        while let Some(front) = self.items.front_mut() {
            let rest = front.rest().len();
            if count < rest {
                front.advance(count);
                return;
            }
            count -= rest;
            if let Some(Item::Copied { bytes, .. }) = self.items.pop_front() {
                self.copied_bytes -= bytes.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Account;
    use crate::types::Rng;

    /// Whatever the socket takes at a time, bytes arrive in order and grants come back.
    #[test]
    fn order_survives_short_writes() {
        let mut rng = Rng::new(3);
        let account = Account::new(1 << 20);
        let (mut queue, mut expected, mut got) = (OutQueue::default(), Vec::new(), Vec::new());
        for round in 0..200u32 {
            let bytes = vec![round as u8; rng.below(300) as usize];
            expected.extend_from_slice(&bytes);
            if rng.one_in(2) {
                queue.copy(&bytes);
            } else {
                let grant = account.take(bytes.len()).unwrap();
                queue.share(bytes.into(), grant);
            }
            let mut room = rng.below(400) as usize;
            let _ = queue.write_to(|slices| take(slices, &mut room, &mut got)).unwrap();
        }
        let mut room = usize::MAX;
        assert!(queue.write_to(|slices| take(slices, &mut room, &mut got)).unwrap());
        assert_eq!(got, expected);
        assert_eq!((account.used_bytes(), queue.copied_bytes), (0, 0));
    }

    fn take(slices: &[IoSlice<'_>], room: &mut usize, got: &mut Vec<u8>) -> io::Result<usize> {
        let before = got.len();
        for slice in slices {
            let count = slice.len().min(*room);
            got.extend_from_slice(&slice[..count]);
            *room -= count;
        }
        match got.len() - before {
            0 if slices.iter().any(|slice| !slice.is_empty()) => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}
