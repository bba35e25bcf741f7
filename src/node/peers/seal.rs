//! Frames after the handshake: a length, the message, a tag that only the other end of this connection can have made.
//!
//! ```text
//! length of what follows (4, big-endian)  message  tag (16)
//! ```
//!
//! The tag is the first half of HMAC-SHA256 over the frame's number, its length and the message, so that nothing can be
//! changed, left out, repeated or reordered. An error ends the connection.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::effect::Channel;
use crate::limits::{PEER_DATA_MESSAGE_BYTES_MAX, PEER_QUORUM_MESSAGE_BYTES_MAX};

/// The length before each message.
pub const FRAME_HEADER_BYTES: usize = 4;
/// The tag after each message.
pub const TAG_BYTES: usize = 16;

type HmacSha256 = Hmac<Sha256>;

/// The largest message of a channel with its tag.
pub fn frame_bytes_max(channel: Channel) -> usize {
    TAG_BYTES
        + match channel {
            Channel::Quorum => PEER_QUORUM_MESSAGE_BYTES_MAX,
            Channel::Data => PEER_DATA_MESSAGE_BYTES_MAX,
        }
}

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealError {
    /// Peer: the frame is longer than any message, or shorter than a tag.
    Length(usize),
    /// Peer, or somebody between: the tag is not that of this message at this place.
    Tag,
}

impl std::fmt::Display for SealError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SealError::Length(bytes) => write!(f, "a frame of {bytes} bytes is none of a member"),
            SealError::Tag => f.write_str("a message was changed on its way"),
        }
    }
}

impl std::error::Error for SealError {}

/// Frames what one side sends.
#[derive(Clone)]
pub struct Sealer {
    mac: HmacSha256,
    count: u64,
}

/// Checks what the other side receives.
#[derive(Clone)]
pub struct Opener {
    mac: HmacSha256,
    count: u64,
}

fn keyed(key: &[u8]) -> HmacSha256 {
    // HMAC takes keys of any length: `new_from_slice` has no way to fail.
    HmacSha256::new_from_slice(key).unwrap_or_else(|_| HmacSha256::new(&Default::default()))
}

fn tag_of(mac: &HmacSha256, count: u64, message: &[u8]) -> HmacSha256 {
    let length = (message.len() + TAG_BYTES) as u32;
    mac.clone().chain_update(count.to_be_bytes()).chain_update(length.to_be_bytes()).chain_update(message)
}

impl Sealer {
    pub(super) fn new(key: &[u8]) -> Sealer {
        Sealer { mac: keyed(key), count: 0 }
    }

    /// Header and tag around a message, for a caller that does not copy it.
    pub fn around(&mut self, message: &[u8]) -> ([u8; FRAME_HEADER_BYTES], [u8; TAG_BYTES]) {
        let full: [u8; 32] = tag_of(&self.mac, self.count, message).finalize().into_bytes().into();
        self.count += 1;
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(full.split_at(TAG_BYTES).0);
        (((message.len() + TAG_BYTES) as u32).to_be_bytes(), tag)
    }

    /// Adds the frame of a message to `out`.
    pub fn seal(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let (header, tag) = self.around(message);
        out.extend_from_slice(&header);
        out.extend_from_slice(message);
        out.extend_from_slice(&tag);
    }
}

impl Opener {
    pub(super) fn new(key: &[u8]) -> Opener {
        Opener { mac: keyed(key), count: 0 }
    }

    /// How many bytes follow a header; more than `bytes_max` is refused before anything is allocated.
    pub fn body_bytes(&self, header: [u8; FRAME_HEADER_BYTES], bytes_max: usize) -> Result<usize, SealError> {
        let bytes = u32::from_be_bytes(header) as usize;
        if (TAG_BYTES..=bytes_max).contains(&bytes) { Ok(bytes) } else { Err(SealError::Length(bytes)) }
    }

    /// The message of a frame's body, when its tag is right.
    pub fn open<'a>(&mut self, body: &'a [u8]) -> Result<&'a [u8], SealError> {
        let length = body.len().checked_sub(TAG_BYTES).ok_or(SealError::Length(body.len()))?;
        let (message, tag) = body.split_at(length);
        tag_of(&self.mac, self.count, message).verify_truncated_left(tag).map_err(|_| SealError::Tag)?;
        self.count += 1;
        Ok(message)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("count", &self.count).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message opens once, in its place, unchanged; all else is refused.
    #[test]
    fn in_its_place() {
        let (mut sealer, fresh) = (Sealer::new(b"key"), Opener::new(b"key"));
        let mut frames = Vec::new();
        for message in [&b"one"[..], b"", b"three"] {
            let mut frame = Vec::new();
            sealer.seal(message, &mut frame);
            frames.push(frame[4..].to_vec());
        }
        let mut opener = fresh.clone();
        assert_eq!(opener.open(&frames[0]), Ok(&b"one"[..]));
        assert_eq!(opener.clone().open(&frames[0]), Err(SealError::Tag));
        assert_eq!(opener.clone().open(&frames[2]), Err(SealError::Tag));
        assert_eq!(opener.open(&frames[1]), Ok(&b""[..]));
        for place in 0..frames[2].len() {
            let mut changed = frames[2].clone();
            changed[place] ^= 0x80;
            assert_eq!(opener.clone().open(&changed), Err(SealError::Tag));
        }
        assert_eq!(Opener::new(b"other").open(&frames[0]), Err(SealError::Tag));
        assert_eq!(opener.open(&[1; 15]), Err(SealError::Length(15)));
        assert_eq!(fresh.body_bytes(101u32.to_be_bytes(), 100), Err(SealError::Length(101)));
        assert_eq!(fresh.body_bytes(15u32.to_be_bytes(), 100), Err(SealError::Length(15)));
    }
}
