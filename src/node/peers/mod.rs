//! How members of an ensemble prove to each other that they belong, and how their messages are framed; bytes only, so
//! that the simulator and the shell share it.
//!
//! Each member dials every other one on both ports, and sends only on connections that it has dialed; so two members
//! share four connections, and a connection carries messages in one direction.
//!
//! Callers: `runtime/peers`.

mod handshake;
mod seal;

pub use handshake::{
    ACCEPT_BYTES, Acceptor, Dialer, FINISH_BYTES, HELLO_BYTES, HandshakeError, Nonce, Refusal, Secret,
};
pub use seal::{FRAME_HEADER_BYTES, Opener, SealError, Sealer, TAG_BYTES, frame_bytes_max};
