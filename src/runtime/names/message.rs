//! The bytes of a multicast DNS question and of its answers (RFC 1035 section 4, RFC 6762 section 6.7).
//!
//! An answer comes from anybody on the link: nothing is allocated by what it says, and every jump of a compressed name goes
//! backwards, so that reading ends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::types::Reader;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const CLASS_IN: u16 = 1;
/// Of a class: "forget what you knew" in answers.
const CACHE_FLUSH: u16 = 0x8000;
const IS_RESPONSE: u16 = 0x8000;
const LABEL_BYTES_MAX: usize = 63;
const NAME_BYTES_MAX: usize = 255;
/// Addresses of one name that are of use.
const ADDRESSES_MAX: usize = 16;

/// Asks for the addresses of `host`; `None` when it is no name of DNS.
pub(super) fn question(id: u16, host: &str) -> Option<Vec<u8>> {
    let mut name = Vec::new();
    for label in host.strip_suffix('.').unwrap_or(host).split('.') {
        if label.is_empty() || label.len() > LABEL_BYTES_MAX {
            return None;
        }
        name.push(label.len() as u8);
        name.extend_from_slice(label.as_bytes());
    }
    name.push(0);
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut message = Vec::with_capacity(12 + 2 * (name.len() + 4));
    for word in [id, 0, 2, 0, 0, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    for kind in [TYPE_A, TYPE_AAAA] {
        message.extend_from_slice(&name);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&CLASS_IN.to_be_bytes());
    }
    Some(message)
}

/// The addresses of `host` in a message; none when it is no answer to `id`, or makes no sense.
pub(super) fn addresses(message: &[u8], id: u16, host: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let _ = read_addresses(message, id, host, &mut found); // what stood before the nonsense counts
    // A link-local address is none without the link's name.
    found.retain(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()));
    found
}

fn read_addresses(message: &[u8], id: u16, host: &str, found: &mut Vec<IpAddr>) -> Option<()> {
    let mut reader = Reader::new(message);
    let mut word = || reader.u16().ok();
    let (their_id, flags, questions, answers, others) = (word()?, word()?, word()?, word()?, (word()?, word()?));
    if their_id != id || flags & IS_RESPONSE == 0 {
        return None;
    }
    let mut at = 12;
    for _ in 0..questions {
        at = name_end(message, at)? + 4;
    }
    for _ in 0..u32::from(answers) + u32::from(others.0) + u32::from(others.1) {
        let is_ours = is_name(message, at, host);
        at = name_end(message, at)?;
        let mut reader = Reader::new(message.get(at..)?);
        let mut word = || reader.u16().ok();
        let (kind, class, _time_to_live, length) = (word()?, word()?, (word()?, word()?), usize::from(word()?));
        let data = message.get(at + 10..at + 10 + length)?;
        at += 10 + length;
        if !is_ours || class & !CACHE_FLUSH != CLASS_IN || found.len() >= ADDRESSES_MAX {
            continue;
        }
        match (kind, data.first_chunk::<4>(), data.first_chunk::<16>()) {
            (TYPE_A, Some(bytes), _) if length == 4 => found.push(Ipv4Addr::from(*bytes).into()),
            (TYPE_AAAA, _, Some(bytes)) if length == 16 => found.push(Ipv6Addr::from(*bytes).into()),
            _ => {}
        }
    }
    Some(())
}

/// Where the name at `at` ends.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length & 0xc0 == 0 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// True when the name at `at` is `host`.
fn is_name(message: &[u8], mut at: usize, host: &str) -> bool {
    let mut labels = host.strip_suffix('.').unwrap_or(host).split('.');
    loop {
        let Some(&length) = message.get(at) else { return false };
        if length == 0 {
            return labels.next().is_none();
        }
        if length & 0xc0 == 0xc0 {
            let Some(&low) = message.get(at + 1) else { return false };
            let target = usize::from(length & 0x3f) << 8 | usize::from(low);
            if target >= at {
                return false; // only backwards, so that there is an end
            }
            at = target;
            continue;
        }
        let Some(label) = message.get(at + 1..at + 1 + usize::from(length)) else { return false };
        if !labels.next().is_some_and(|ours| ours.as_bytes().eq_ignore_ascii_case(label)) {
            return false;
        }
        at += 1 + usize::from(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as avahi sends it to a legacy resolver: the questions, then addresses under a compressed name.
    fn answer(id: u16) -> Vec<u8> {
        let mut message = question(id, "board1.local").unwrap();
        message[2] = 0x84;
        message[7] = 3;
        for (kind, data) in [
            (1u16, vec![10, 0, 0, 7]),
            (28, [0xfe, 0x80].into_iter().chain([0; 14]).collect()),
            (28, [0x20, 0x01].into_iter().chain([1; 14]).collect()),
        ] {
            message.extend_from_slice(&[0xc0, 12]);
            message.extend_from_slice(&kind.to_be_bytes());
            message.extend_from_slice(&[0x80, 1, 0, 0, 0, 10, 0, data.len() as u8]);
            message.extend_from_slice(&data);
        }
        message
    }

    /// Both families are found but for link-local ones, names compare without case, and foreign answers are none.
    #[test]
    fn answers() {
        let found = addresses(&answer(7), 7, "Board1.Local.");
        assert_eq!(found, ["10.0.0.7".parse::<IpAddr>().unwrap(), "2001:101:101:101:101:101:101:101".parse().unwrap()]);
        assert!(addresses(&answer(7), 8, "board1.local").is_empty());
        assert!(addresses(&answer(7), 7, "board2.local").is_empty());
        assert!(addresses(&question(7, "board1.local").unwrap(), 7, "board1.local").is_empty());
    }

    /// Every cut and every changed byte is read to an end.
    #[test]
    fn hostile_answers() {
        let whole = answer(7);
        for end in 0..whole.len() {
            addresses(&whole[..end], 7, "board1.local");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
                let mut bent = whole.clone();
                bent[at] = value;
                addresses(&bent, 7, "board1.local");
            }
        }
    }

    /// What is no name of DNS is not asked for.
    #[test]
    fn bad_names() {
        assert!(question(1, "a..local").is_none());
        assert!(question(1, &format!("{}.local", "a".repeat(64))).is_none());
        assert!(question(1, &format!("{}local", "abcdefgh.".repeat(40))).is_none());
    }
}
