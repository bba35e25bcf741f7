//! A topic's identity for its whole life (KIP-516): a random UUID, fresh when the name is created again.

use serde::{Deserialize, Serialize};

use super::Rng;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Sixteen bytes; printed as Kafka prints them, 22 characters of unpadded URL-safe base64.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// "No id" on the wire.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// A version-4 UUID. Never zero, nor Kafka's reserved metadata topic id.
    pub fn random(rng: &mut Rng) -> TopicId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&rng.next().to_be_bytes());
        bytes[8..].copy_from_slice(&rng.next().to_be_bytes());
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        TopicId(bytes)
    }

    /// Reads what `Display` printed; `None` for anything else.
    pub fn parse(text: &str) -> Option<TopicId> {
        if text.len() != 22 {
            return None;
        }
        let mut bits: u128 = 0;
        for (i, byte) in text.bytes().enumerate() {
            let value = ALPHABET.iter().position(|&letter| letter == byte)? as u128;
            bits = if i < 21 { bits << 6 | value } else { bits << 2 | value >> 4 };
        }
        Some(TopicId(bits.to_be_bytes()))
    }
}

impl std::fmt::Display for TopicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bits = u128::from_be_bytes(self.0);
        for i in 0..22 {
            let value = if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 };
            write!(f, "{}", ALPHABET[(value & 63) as usize] as char)?;
        }
        Ok(())
    }
}

impl std::fmt::Debug for TopicId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TopicId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printing and parsing are each other's inverse, and the printed form is Kafka's.
    #[test]
    fn text_round_trip() {
        let mut rng = Rng::new(7);
        for _ in 0..1000 {
            let id = TopicId::random(&mut rng);
            assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
        assert_eq!(TopicId::parse("too short"), None);
    }
}
