//! `addAuth`: who a connection is, beside its address.

use crate::engine::znodes::Id;
use crate::limits::{ZOOKEEPER_CREDENTIALS_BYTES_MAX, ZOOKEEPER_IDENTITIES_MAX};
use crate::types::sha1;

/// What credentials come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Authenticated {
    /// The connection has them now.
    Accepted,
    /// The connection is closed.
    Refused,
}

/// Adds what `credentials` prove to the identities of a connection. Any user and password make a digest; whether it
/// is worth anything, the ACLs decide.
pub fn authenticate(
    identities: &mut Vec<Id>,
    scheme: &str,
    credentials: &[u8],
    super_digest: Option<&str>,
) -> Authenticated {
    let new = match scheme {
        "digest" if credentials.len() <= ZOOKEEPER_CREDENTIALS_BYTES_MAX => {
            let digest = digest(&String::from_utf8_lossy(credentials));
            let is_super = super_digest == Some(&digest);
            let super_id = is_super.then(|| Id::new("super", ""));
            super_id.into_iter().chain([Id::new("digest", &digest)]).collect()
        }
        "ip" => Vec::new(), // its address is there from the beginning
        _ => return Authenticated::Refused,
    };
    for id in new {
        if !identities.contains(&id) {
            if identities.len() >= ZOOKEEPER_IDENTITIES_MAX {
                return Authenticated::Refused;
            }
            identities.push(id);
        }
    }
    Authenticated::Accepted
}

/// `user:base64(sha1("user:password"))` of `user:password`.
pub fn digest(credentials: &str) -> String {
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{user}:{}", base64(&sha1(&[credentials.as_bytes()])))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for i in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * i)) as usize & 63]; // six bits
            text.push(if i <= chunk.len() { letter as char } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of ZooKeeper's own documentation, and base64 of every remainder.
    #[test]
    fn known_digests() {
        assert_eq!(digest("super:test"), "super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        assert_eq!((base64(b"M"), base64(b"Ma"), base64(b"Man")), ("TQ==".into(), "TWE=".into(), "TWFu".into()));
    }

    /// The configured digest makes a superuser, others make themselves, unknown schemes and floods are refused.
    #[test]
    fn who_is_who() {
        let known = Some("super:D/InIHSb7yEEbrWz8b9l71RjZJU=");
        let mut ids = vec![Id::new("ip", "::1")];
        assert_eq!(authenticate(&mut ids, "digest", b"super:test", known), Authenticated::Accepted);
        assert_eq!(ids.len(), 3);
        assert_eq!(ids[1], Id::new("super", ""));
        assert_eq!(authenticate(&mut ids, "digest", b"super:test", known), Authenticated::Accepted);
        assert_eq!(authenticate(&mut ids, "ip", b"", known), Authenticated::Accepted);
        assert_eq!(authenticate(&mut ids, "kerberos", b"x", known), Authenticated::Refused);
        assert_eq!(ids.len(), 3);
        let refused = |i: u32| authenticate(&mut ids, "digest", format!("u{i}:p").as_bytes(), known);
        assert!((0..100).map(refused).any(|result| result == Authenticated::Refused));
        assert_eq!(ids.len(), ZOOKEEPER_IDENTITIES_MAX);
    }
}
