//! The first words on a connection between members: who is here, and a proof of the shared secret by both.
//!
//! ```text
//! dialer   -> HELLO   magic (4) version (1) channel (1) life (2) from (4) to (4) nonce (32) proof (16)
//! acceptor -> ACCEPT  status (1) nonce (32) proof (32)
//! dialer   -> FINISH  proof (32)
//! ```
//!
//! A life is a number that tells one process of a member from another, which two boards with one number are; 0 says
//! nothing. Proofs are HMAC-SHA256 under the secret over a label and everything said before; integers are big-endian.
//! Invariants: every message has one length, so that nothing is allocated for a stranger; who cannot prove the secret in
//! HELLO gets no byte; nothing that was overheard helps later, because both sides bring a nonce; the key of the messages
//! that follow comes from both nonces.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use super::seal::{Opener, Sealer};
use crate::effect::Channel;
use crate::types::NodeId;

/// The length of HELLO.
pub const HELLO_BYTES: usize = 64;
/// The length of ACCEPT.
pub const ACCEPT_BYTES: usize = 65;
/// The length of FINISH.
pub const FINISH_BYTES: usize = 32;

/// Random bytes that nobody can foretell, from the kernel.
pub type Nonce = [u8; 32];

const MAGIC: &[u8; 4] = b"TRNP";
/// Of handshake and frames. Another version is another protocol.
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 16;
const PROVEN_BYTES: usize = HEADER_BYTES + 32;

type HmacSha256 = Hmac<Sha256>;

/// What all members know and nobody else. Empty when none is configured: then the proofs only find mistakes.
#[derive(Clone, Default)]
pub struct Secret(Vec<u8>);

/// Why a member that has proven the secret is turned away. The order is the format: append only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The acceptor knows no member of that number.
    UnknownMember,
    /// The dialer meant another member: an address leads to the wrong machine.
    WrongAddress,
    /// The dialer has the acceptor's own number.
    DuplicateId,
    /// Another board with the dialer's number is connected.
    NumberTaken,
}

/// Why there is no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// Peer: these are no words of this protocol.
    NotAPeer,
    /// Peer: another version of the protocol.
    Version(u8),
    /// Peer: it does not know the secret.
    WrongSecret,
    /// Peer: the other port was meant.
    WrongPort,
    /// This side was turned away.
    Refused(Refusal),
}

impl Secret {
    /// A secret from a file's bytes; white space around it is not part of it.
    pub fn new(bytes: &[u8]) -> Secret {
        Secret(bytes.trim_ascii().to_vec())
    }

    fn mac(&self, label: &str) -> HmacSha256 {
        // HMAC takes keys of any length: `new_from_slice` has no way to fail.
        let mut mac = HmacSha256::new_from_slice(&self.0).unwrap_or_else(|_| HmacSha256::new(&Default::default()));
        mac.update(label.as_bytes());
        mac
    }

    fn proof(&self, label: &str, said: &[&[u8]]) -> HmacSha256 {
        said.iter().fold(self.mac(label), |mac, part| mac.chain_update(part))
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "no secret" } else { "a secret" })
    }
}

impl std::fmt::Display for Refusal {
    /// As the side that turns a member away sees it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::UnknownMember => "no member has its number: tern node add takes a board in",
            Refusal::WrongAddress => {
                "it was looking for another member: compare the server lines of all members, and their myid files"
            }
            Refusal::DuplicateId => "it has this node's own number: each member needs its own myid",
            Refusal::NumberTaken => {
                "another board with its number is connected already: stop one of the two, or give it a myid of its own"
            }
        })
    }
}

impl std::fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HandshakeError::NotAPeer => f.write_str("it is not a member of an ensemble"),
            HandshakeError::Version(version) => {
                write!(f, "it speaks version {version} between members, this program {VERSION}: upgrade the older one")
            }
            HandshakeError::WrongSecret => f.write_str(
                "it does not prove the same secret: give every member the same file as tern.peer.secret.file",
            ),
            HandshakeError::WrongPort => {
                f.write_str("the two ports of its server line are exchanged: compare the server lines of all members")
            }
            HandshakeError::Refused(Refusal::UnknownMember) => f.write_str(
                "it knows no member of this node's number: compare the server lines of all members, or add this node \
                 to the ensemble",
            ),
            HandshakeError::Refused(Refusal::WrongAddress) => f.write_str(
                "another member answers at that address: compare the server lines of all members, and their myid files",
            ),
            HandshakeError::Refused(Refusal::DuplicateId) => {
                f.write_str("it has this node's own number: each member needs its own myid")
            }
            HandshakeError::Refused(Refusal::NumberTaken) => f.write_str(
                "another board with this node's number is connected to it: stop one of the two, or give this one a myid \
                 of its own",
            ),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// The side that has dialed.
#[derive(Debug)]
pub struct Dialer {
    secret: Secret,
    hello: [u8; HELLO_BYTES],
}

impl Dialer {
    /// Sends `hello` first.
    pub fn new(secret: Secret, from: NodeId, life: u16, to: NodeId, channel: Channel, nonce: Nonce) -> Dialer {
        let mut hello = [0; HELLO_BYTES];
        let (header, rest) = hello.split_at_mut(HEADER_BYTES);
        let [life_0, life_1] = life.to_be_bytes();
        let kind = [VERSION, channel as u8, life_0, life_1];
        let said = [&MAGIC[..], &kind, &from.0.to_be_bytes(), &to.0.to_be_bytes()].concat();
        header.copy_from_slice(&said);
        let (place, proof) = rest.split_at_mut(32);
        place.copy_from_slice(&nonce);
        let mac = secret.proof("hello", &[&said, &nonce]).finalize().into_bytes();
        proof.copy_from_slice(mac.split_at(16).0);
        Dialer { secret, hello }
    }

    /// The first message.
    pub fn hello(&self) -> &[u8; HELLO_BYTES] {
        &self.hello
    }

    /// Takes ACCEPT and gives FINISH, after which messages may be sent.
    pub fn finish(self, accept: &[u8; ACCEPT_BYTES]) -> Result<([u8; FINISH_BYTES], Sealer), HandshakeError> {
        let (said, proof) = accept.split_at(33);
        let expected = self.secret.proof("accept", &[&self.hello, said]);
        expected.verify_slice(proof).map_err(|_| HandshakeError::WrongSecret)?;
        match said.first() {
            Some(0) => {}
            Some(1) => return Err(HandshakeError::Refused(Refusal::UnknownMember)),
            Some(2) => return Err(HandshakeError::Refused(Refusal::WrongAddress)),
            Some(3) => return Err(HandshakeError::Refused(Refusal::DuplicateId)),
            Some(4) => return Err(HandshakeError::Refused(Refusal::NumberTaken)),
            _ => return Err(HandshakeError::NotAPeer),
        }
        let finish = self.secret.proof("finish", &[&self.hello, said]).finalize().into_bytes();
        let key = self.secret.proof("key", &[&self.hello, said]).finalize().into_bytes();
        Ok((finish.into(), Sealer::new(&key)))
    }
}

/// The side that was dialed.
#[derive(Debug)]
pub struct Acceptor {
    secret: Secret,
    hello: [u8; HELLO_BYTES],
    said: [u8; 33],
    /// Who says to be there.
    pub from: NodeId,
    /// In which life.
    pub life: u16,
}

impl Acceptor {
    /// Takes HELLO and gives ACCEPT. `judge` turns members away that have proven the secret; they are told why in ACCEPT,
    /// and `Refused` is the error. Of all other errors nothing may be told.
    #[allow(clippy::type_complexity)] // one triple, taken apart at once
    pub fn accept(
        secret: Secret,
        channel: Channel,
        hello: &[u8; HELLO_BYTES],
        nonce: Nonce,
        judge: impl FnOnce(NodeId, u16, NodeId) -> Option<Refusal>,
    ) -> Result<([u8; ACCEPT_BYTES], Result<Acceptor, HandshakeError>), HandshakeError> {
        let [m0, m1, m2, m3, version, port, l0, l1, f0, f1, f2, f3, t0, t1, t2, t3, ..] = *hello;
        if [m0, m1, m2, m3] != *MAGIC {
            return Err(HandshakeError::NotAPeer);
        }
        if version != VERSION {
            return Err(HandshakeError::Version(version));
        }
        let (proven, proof) = hello.split_at(PROVEN_BYTES);
        let expected = secret.proof("hello", &[proven]);
        expected.verify_truncated_left(proof).map_err(|_| HandshakeError::WrongSecret)?;
        if port != channel as u8 {
            return Err(HandshakeError::WrongPort);
        }
        let (from, to) = (NodeId(i32::from_be_bytes([f0, f1, f2, f3])), NodeId(i32::from_be_bytes([t0, t1, t2, t3])));
        let life = u16::from_be_bytes([l0, l1]);
        let refusal = judge(from, life, to);
        let status = match refusal {
            None => 0,
            Some(Refusal::UnknownMember) => 1,
            Some(Refusal::WrongAddress) => 2,
            Some(Refusal::DuplicateId) => 3,
            Some(Refusal::NumberTaken) => 4,
        };
        let mut said = [status; 33];
        said.split_at_mut(1).1.copy_from_slice(&nonce);
        let mut accept = [0; ACCEPT_BYTES];
        let (head, place) = accept.split_at_mut(33);
        head.copy_from_slice(&said);
        place.copy_from_slice(&secret.proof("accept", &[hello, &said]).finalize().into_bytes());
        let acceptor = match refusal {
            None => Ok(Acceptor { secret, hello: *hello, said, from, life }),
            Some(refusal) => Err(HandshakeError::Refused(refusal)),
        };
        Ok((accept, acceptor))
    }

    /// Takes FINISH: from here on messages come.
    pub fn finish(self, finish: &[u8; FINISH_BYTES]) -> Result<Opener, HandshakeError> {
        let expected = self.secret.proof("finish", &[&self.hello, &self.said]);
        expected.verify_slice(finish).map_err(|_| HandshakeError::WrongSecret)?;
        Ok(Opener::new(&self.secret.proof("key", &[&self.hello, &self.said]).finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: (NodeId, NodeId) = (NodeId(1), NodeId(2));

    fn dial(secret: &[u8]) -> Dialer {
        Dialer::new(Secret::new(secret), NODES.0, 77, NODES.1, Channel::Quorum, [7; 32])
    }

    fn accept(
        secret: &[u8],
        hello: &[u8; HELLO_BYTES],
    ) -> Result<([u8; ACCEPT_BYTES], Result<Acceptor, HandshakeError>), HandshakeError> {
        Acceptor::accept(Secret::new(secret), Channel::Quorum, hello, [9; 32], |from, _, to| {
            if (from, to) == NODES { None } else { Some(Refusal::UnknownMember) }
        })
    }

    /// Two members with the same secret agree on a key; white space at the end of a file does not matter.
    #[test]
    fn members_meet() {
        let dialer = dial(b"s3cret\n");
        let (reply, acceptor) = accept(b"s3cret", dialer.hello()).unwrap();
        let (finish, mut sealer) = dialer.finish(&reply).unwrap();
        let mut opener = acceptor.unwrap().finish(&finish).unwrap();
        let mut frame = Vec::new();
        sealer.seal(b"hello", &mut frame);
        let (header, body) = frame.split_at(4);
        assert_eq!(opener.body_bytes(header.try_into().unwrap(), 100), Ok(body.len()));
        assert_eq!(opener.open(body), Ok(&b"hello"[..]));
    }

    /// Every single changed bit of every message ends the handshake, and a stranger gets no reply at all.
    #[test]
    fn changes_are_noticed() {
        for place in 0..HELLO_BYTES {
            let mut hello = *dial(b"x").hello();
            hello[place] ^= 1;
            assert!(accept(b"x", &hello).is_err(), "{place}");
        }
        assert!(matches!(accept(b"y", dial(b"x").hello()), Err(HandshakeError::WrongSecret)));
        for place in 0..ACCEPT_BYTES {
            let dialer = dial(b"x");
            let (mut reply, _) = accept(b"x", dialer.hello()).unwrap();
            reply[place] ^= 1;
            assert!(dialer.finish(&reply).is_err(), "{place}");
        }
        for place in 0..FINISH_BYTES {
            let dialer = dial(b"x");
            let (reply, acceptor) = accept(b"x", dialer.hello()).unwrap();
            let (mut finish, _) = dialer.finish(&reply).unwrap();
            finish[place] ^= 1;
            assert!(acceptor.unwrap().finish(&finish).is_err(), "{place}");
        }
    }

    /// What was overheard cannot be said again: the acceptor's new nonce asks for another proof.
    #[test]
    fn no_replay() {
        let dialer = dial(b"x");
        let hello = *dialer.hello();
        let (reply, _) = accept(b"x", &hello).unwrap();
        let (finish, _) = dialer.finish(&reply).unwrap();
        let again = Acceptor::accept(Secret::new(b"x"), Channel::Quorum, &hello, [10; 32], |_, _, _| None);
        assert!(again.unwrap().1.unwrap().finish(&finish).is_err());
    }

    /// A member that is turned away learns why; one at the other port as well as one of another version is noticed.
    #[test]
    fn refusals() {
        let stranger = Dialer::new(Secret::new(b"x"), NodeId(5), 0, NodeId(2), Channel::Quorum, [1; 32]);
        let (reply, acceptor) = accept(b"x", stranger.hello()).unwrap();
        assert_eq!(acceptor.unwrap_err(), HandshakeError::Refused(Refusal::UnknownMember));
        assert_eq!(stranger.finish(&reply).unwrap_err(), HandshakeError::Refused(Refusal::UnknownMember));
        let data = Dialer::new(Secret::new(b"x"), NODES.0, 0, NODES.1, Channel::Data, [1; 32]);
        assert_eq!(accept(b"x", data.hello()).unwrap_err(), HandshakeError::WrongPort);
        let mut hello = *dial(b"x").hello();
        hello[4] = 9;
        assert_eq!(accept(b"x", &hello).unwrap_err(), HandshakeError::Version(9));
    }
}
