//! The handshake: the first frame of either direction, which has no header.

use super::{DecodeError, Jute, put_buffer};
use crate::types::Writer;

/// What a session's password takes.
pub const PASSWORD_BYTES: usize = 16;

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectRequest {
    /// 0; not checked.
    pub protocol_version: i32,
    /// The newest zxid the client has seen: a server that is behind must not serve it.
    pub last_zxid_seen: i64,
    /// The timeout asked for, in ms.
    pub timeout_ms: i32,
    /// 0 for a new session.
    pub session_id: i64,
    /// Of the session that is taken up again.
    pub password: Vec<u8>,
    /// Whether a server without a quorum will do; `None`: an old client that does not send the byte.
    pub read_only: Option<bool>,
}

/// What the server answers; a session id of 0 says that the session has expired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectResponse {
    /// 0.
    pub protocol_version: i32,
    /// The timeout granted, in ms.
    pub timeout_ms: i32,
    /// The session.
    pub session_id: i64,
    /// What proves that a later connection belongs to it.
    pub password: [u8; PASSWORD_BYTES],
    /// Whether this server serves reads only; sent when the request had its byte.
    pub read_only: Option<bool>,
}

impl ConnectRequest {
    /// Reads the frame's content.
    pub fn decode(bytes: &[u8]) -> Result<ConnectRequest, DecodeError> {
        let mut jute = Jute::new(bytes);
        let protocol_version = jute.int()?;
        let last_zxid_seen = jute.long()?;
        let timeout_ms = jute.int()?;
        let session_id = jute.long()?;
        let password = jute.buffer()?.unwrap_or_default();
        let read_only = jute.bool().ok();
        if password.len() > 4 * PASSWORD_BYTES {
            return Err(DecodeError::Malformed);
        }
        let password = password.to_vec();
        Ok(ConnectRequest { protocol_version, last_zxid_seen, timeout_ms, session_id, password, read_only })
    }

    /// Appends the frame's content.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        writer.i32(self.protocol_version);
        writer.i64(self.last_zxid_seen);
        writer.i32(self.timeout_ms);
        writer.i64(self.session_id);
        put_buffer(out, Some(&self.password));
        out.extend(self.read_only.map(u8::from));
    }
}

impl ConnectResponse {
    /// "Your session has expired."
    pub fn expired(read_only: Option<bool>) -> ConnectResponse {
        ConnectResponse {
            protocol_version: 0,
            timeout_ms: 0,
            session_id: 0,
            password: [0; PASSWORD_BYTES],
            read_only: read_only.map(|_| false),
        }
    }

    /// Reads the frame's content.
    pub fn decode(bytes: &[u8]) -> Result<ConnectResponse, DecodeError> {
        let mut jute = Jute::new(bytes);
        let protocol_version = jute.int()?;
        let timeout_ms = jute.int()?;
        let session_id = jute.long()?;
        let password = jute.buffer()?.unwrap_or_default().try_into().map_err(|_| DecodeError::Malformed)?;
        Ok(ConnectResponse { protocol_version, timeout_ms, session_id, password, read_only: jute.bool().ok() })
    }

    /// Appends the frame's content.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut writer = Writer::new(out);
        writer.i32(self.protocol_version);
        writer.i32(self.timeout_ms);
        writer.i64(self.session_id);
        put_buffer(out, Some(&self.password));
        out.extend(self.read_only.map(u8::from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both forms, with and without the byte of newer clients; nothing shorter is a request.
    #[test]
    fn handshake() {
        for read_only in [None, Some(false), Some(true)] {
            let request = ConnectRequest {
                protocol_version: 0,
                last_zxid_seen: 7,
                timeout_ms: 6000,
                session_id: -5,
                password: vec![1; PASSWORD_BYTES],
                read_only,
            };
            let mut out = Vec::new();
            request.encode(&mut out);
            assert_eq!(out.len(), 44 + read_only.is_some() as usize);
            assert_eq!(ConnectRequest::decode(&out), Ok(request));
            for end in 0..44 {
                assert_eq!(ConnectRequest::decode(&out[..end]), Err(DecodeError::Malformed));
            }
            let response = ConnectResponse::expired(read_only);
            out.clear();
            response.encode(&mut out);
            assert_eq!(out.len(), 36 + read_only.is_some() as usize);
            assert_eq!(ConnectResponse::decode(&out), Ok(response));
        }
    }
}
