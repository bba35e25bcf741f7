//! What clients may ask for, as `/config/clients` and `/config/users` have it.
//!
//! Names stand in the tree as Kafka writes them: percent-encoded, so that any of them is one component of a path, and
//! `<default>` can be nobody's name.
//!
//! Invariant: a value that is no positive number counts as absent, and an entity without values is not here.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::ConfigMap;

/// The znode that holds for all who have none of their own.
pub const DEFAULT_ENTITY: &str = "<default>";

/// Who everybody is without authentication.
pub const ANONYMOUS: &str = "ANONYMOUS";

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaKind {
    /// Bytes a second that are produced.
    Produce,
    /// Bytes a second that are fetched.
    Fetch,
    /// Percents of the broker's thread.
    Request,
}

impl QuotaKind {
    /// All of them.
    pub const ALL: [QuotaKind; 3] = [QuotaKind::Produce, QuotaKind::Fetch, QuotaKind::Request];

    /// Kafka's key.
    pub const fn key(self) -> &'static str {
        match self {
            QuotaKind::Produce => "producer_byte_rate",
            QuotaKind::Fetch => "consumer_byte_rate",
            QuotaKind::Request => "request_percentage",
        }
    }

    /// The kind of that key.
    pub fn of_key(key: &str) -> Option<QuotaKind> {
        QuotaKind::ALL.into_iter().find(|kind| kind.key() == key)
    }

    /// True when the value is a whole number.
    pub const fn is_whole(self) -> bool {
        !matches!(self, QuotaKind::Request)
    }
}

/// The quotas of one entity, by `QuotaKind`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct QuotaValues([Option<f64>; 3]);

impl QuotaValues {
    /// Those that a znode sets.
    pub fn of(config: &ConfigMap) -> QuotaValues {
        let value = |kind: QuotaKind| config.get(kind.key())?.trim().parse::<f64>().ok().filter(is_rate);
        QuotaValues(QuotaKind::ALL.map(value))
    }

    /// One of them.
    pub fn get(&self, kind: QuotaKind) -> Option<f64> {
        self.0.get(kind as usize).copied().flatten()
    }

    /// Those that are set.
    pub fn iter(&self) -> impl Iterator<Item = (QuotaKind, f64)> {
        QuotaKind::ALL.into_iter().filter_map(|kind| Some((kind, self.get(kind)?)))
    }

    fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}

/// True for a number that can be a rate.
pub fn is_rate(value: &f64) -> bool {
    value.is_finite() && *value > 0.0
}

/// Whose requests count together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuotaScope {
    /// All of one user, whatever his clients call themselves.
    User,
    /// All that have the same client id.
    Client,
}

/// A user's own quotas, and those of clients of his.
#[derive(Clone, Debug, Default, PartialEq)]
struct User {
    own: QuotaValues,
    clients: BTreeMap<Box<str>, QuotaValues>,
}

/// All quotas, by the names of their znodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClientQuotas {
    clients: BTreeMap<Box<str>, QuotaValues>,
    users: BTreeMap<Box<str>, User>,
}

// Values are finite: equality is an equivalence.
impl Eq for ClientQuotas {}

impl ClientQuotas {
    /// True when nobody has a quota.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.users.is_empty()
    }

    /// How many entities have one.
    pub fn len(&self) -> usize {
        let of_users = self.users.values().map(|user| user.clients.len() + !user.own.is_empty() as usize);
        self.clients.len() + of_users.sum::<usize>()
    }

    /// The rate that holds for an anonymous user's client, and with whom it is shared. The nearest entity that sets the
    /// key wins: user and client, user, client, each before its default.
    pub fn find(&self, kind: QuotaKind, client_id: &str) -> Option<(QuotaScope, f64)> {
        let client = encode(client_id);
        for user in [ANONYMOUS, DEFAULT_ENTITY].into_iter().filter_map(|name| self.users.get(name)) {
            if let Some(rate) = either(&user.clients, &client, kind) {
                return Some((QuotaScope::Client, rate));
            }
            if let Some(rate) = user.own.get(kind) {
                return Some((QuotaScope::User, rate));
            }
        }
        either(&self.clients, &client, kind).map(|rate| (QuotaScope::Client, rate))
    }

    /// Every entity that has a quota: user, client, values. Names are decoded; `DEFAULT_ENTITY` stays as it is.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&str>, Option<&str>, &QuotaValues)> {
        let clients = self.clients.iter().map(|(name, values)| (None, Some(&**name), values));
        let users = self.users.iter().flat_map(|(name, user)| {
            let own = (!user.own.is_empty()).then_some((Some(&**name), None, &user.own));
            let clients = user.clients.iter().map(move |(client, values)| (Some(&**name), Some(&**client), values));
            own.into_iter().chain(clients)
        });
        clients.chain(users)
    }

    /// Takes in what a znode says now; `None` when it is gone.
    pub(super) fn set(&mut self, user: Option<&str>, client: Option<&str>, config: Option<&ConfigMap>) {
        let values = config.map(QuotaValues::of).unwrap_or_default();
        match (user, client) {
            (None, None) => {}
            (None, Some(client)) => put(&mut self.clients, client, values),
            (Some(name), client) => {
                let user = self.users.entry(name.into()).or_default();
                match client {
                    Some(client) => put(&mut user.clients, client, values),
                    None => user.own = values,
                }
                if user.own.is_empty() && user.clients.is_empty() {
                    self.users.remove(name);
                }
            }
        }
    }
}

fn either(clients: &BTreeMap<Box<str>, QuotaValues>, client: &str, kind: QuotaKind) -> Option<f64> {
    let names = [client, DEFAULT_ENTITY];
    names.into_iter().find_map(|name| clients.get(name)?.get(kind))
}

fn put(clients: &mut BTreeMap<Box<str>, QuotaValues>, name: &str, values: QuotaValues) {
    if values.is_empty() {
        clients.remove(name);
    } else {
        clients.insert(name.into(), values);
    }
}

/// A name as one component of a path: what is neither letter, digit, `.`, `_` nor `-` becomes `%` and two digits.
pub fn encode(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_dots = matches!(name, "." | ".."); // which mean something in a path
    if name.bytes().all(is_plain) && !is_dots {
        return Cow::Borrowed(name);
    }
    let mut encoded = String::with_capacity(3 * name.len());
    for byte in name.bytes() {
        match is_plain(byte) && !is_dots {
            true => encoded.push(byte as char),
            false => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    Cow::Owned(encoded)
}

/// The name that `encode` was given; what it cannot have made is left as it is.
pub fn decode(encoded: &str) -> Cow<'_, str> {
    if !encoded.contains('%') {
        return Cow::Borrowed(encoded);
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| byte == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(decoded) => {
                bytes.push(decoded);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_or(Cow::Borrowed(encoded), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: QuotaKind, value: &str) -> ConfigMap {
        ConfigMap::from([(kind.key().to_string(), value.to_string())])
    }

    /// The nearest entity that sets the key wins, each before its default, and nonsense counts as not said.
    #[test]
    fn precedence() {
        use QuotaKind::{Fetch, Produce};
        let mut quotas = ClientQuotas::default();
        assert_eq!(quotas.find(Produce, "c"), None);
        let mut levels = vec![
            (None, Some(DEFAULT_ENTITY), QuotaScope::Client),
            (None, Some("c"), QuotaScope::Client),
            (Some(DEFAULT_ENTITY), None, QuotaScope::User),
            (Some(DEFAULT_ENTITY), Some(DEFAULT_ENTITY), QuotaScope::Client),
            (Some(DEFAULT_ENTITY), Some("c"), QuotaScope::Client),
            (Some(ANONYMOUS), None, QuotaScope::User),
            (Some(ANONYMOUS), Some(DEFAULT_ENTITY), QuotaScope::Client),
            (Some(ANONYMOUS), Some("c"), QuotaScope::Client),
        ];
        for (at, (user, client, scope)) in levels.iter().enumerate() {
            quotas.set(*user, *client, Some(&config(Produce, &format!("{}.0", at + 1))));
            assert_eq!(quotas.find(Produce, "c"), Some((*scope, at as f64 + 1.0)));
            assert_eq!(quotas.len(), at + 1);
        }
        assert_eq!((quotas.find(Fetch, "c"), quotas.iter().count()), (None, 8));
        quotas.set(Some(ANONYMOUS), Some("c"), Some(&config(Produce, "-3")));
        assert_eq!(quotas.find(Produce, "c"), Some((QuotaScope::Client, 7.0)));
        while let Some((user, client, _)) = levels.pop() {
            quotas.set(user, client, None);
        }
        assert!(quotas.is_empty());
    }

    /// Any name becomes one component of a path and comes back; none becomes the default's.
    #[test]
    fn names() {
        for name in ["a", "A.b_c-9", ".", "..", "a/b", "<default>", "ä ✓%41", "100%", ""] {
            let encoded = encode(name);
            assert!(!encoded.contains('/') && encoded != DEFAULT_ENTITY && encoded != ".", "{encoded}");
            assert_eq!(decode(&encoded), name);
        }
        assert_eq!(encode("a b.c"), "a%20b.c");
        assert_eq!(decode("%zz%4"), "%zz%4");
        assert_eq!(decode("%ff"), "%ff");
    }
}
