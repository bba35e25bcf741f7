//! Quotas of users and clients: from what somebody asks to what the tree shall say.
//!
//! Nobody authenticates here, so every client is the user ANONYMOUS; quotas of other users are kept for the day on which
//! that changes.

use super::alter::{ConfigError, Known, cut};
use crate::coordinator::cluster::quotas::{DEFAULT_ENTITY, QuotaKind, encode, is_rate};
use crate::coordinator::cluster::{ConfigMap, json};
use crate::coordinator::{Txn, builders};
use crate::limits::{QUOTA_ENTITIES_MAX, QUOTA_NAME_BYTES_MAX};

/// Whose quota.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaOwner {
    /// A user; `Some(None)`: all users without a quota of their own.
    pub user: Option<Option<String>>,
    /// A client id, likewise.
    pub client: Option<Option<String>>,
}

/// One change: the key, and its value or (none) its end.
pub type QuotaChange = (String, Option<f64>);

impl QuotaOwner {
    /// Its znode.
    fn path(&self) -> String {
        let name = |name: &Option<String>| match name {
            Some(name) => encode(name).into_owned(),
            None => DEFAULT_ENTITY.to_string(),
        };
        match (&self.user, &self.client) {
            (Some(user), Some(client)) => format!("/config/users/{}/clients/{}", name(user), name(client)),
            (Some(user), None) => format!("/config/users/{}", name(user)),
            (None, Some(client)) => format!("/config/clients/{}", name(client)),
            (None, None) => "/config/clients".to_string(), // refused by `check`
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.user.is_none() && self.client.is_none() {
            return Err(wrong("Invalid empty client quota entity".into()));
        }
        let all = [("user", &self.user), ("client-id", &self.client)];
        for (kind, name) in all.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?.as_ref()?))) {
            if name.is_empty() {
                return Err(wrong(format!("Empty {kind} not supported")));
            }
            if name.len() > QUOTA_NAME_BYTES_MAX {
                return Err(wrong(format!("A {kind} has at most {QUOTA_NAME_BYTES_MAX} bytes")));
            }
        }
        Ok(())
    }
}

fn wrong(sentence: String) -> ConfigError {
    ConfigError::Request(sentence)
}

/// The transaction that alters an entity's quotas; `None` when it says that already.
pub(in crate::engine) fn alter_quota(
    known: &Known<'_>,
    owner: &QuotaOwner,
    changes: &[QuotaChange],
) -> Result<Option<Txn>, ConfigError> {
    owner.check()?;
    let path = owner.path();
    // What else is there (credentials of a user) stays.
    let data = known.tree.get(&path).and_then(|znode| json::read::<json::ConfigJson>(znode.data()).ok());
    let before = data.map(|json| json.config).unwrap_or_default();
    let mut next = before.clone();
    for (key, value) in changes {
        let kind = QuotaKind::of_key(key).ok_or_else(|| unknown(key))?;
        match value {
            Some(value) => next.insert(key.clone(), text(kind, *value)?),
            None => next.remove(key),
        };
    }
    let is_quota = |config: &ConfigMap| QuotaKind::ALL.iter().any(|kind| config.contains_key(kind.key()));
    if !is_quota(&before) && is_quota(&next) && known.cluster.quotas.len() >= QUOTA_ENTITIES_MAX {
        return Err(wrong(format!(
            "There are {QUOTA_ENTITIES_MAX} users and clients with quotas, as many as there can be"
        )));
    }
    Ok((next != before).then(|| builders::alter_config(known.tree, path, None, &next)))
}

fn unknown(key: &str) -> ConfigError {
    match key {
        "controller_mutation_rate" | "connection_creation_rate" => wrong(format!("{key} is not limited here")),
        key => wrong(format!("Invalid configuration key {}", cut(key))),
    }
}

/// A value as Kafka writes it.
fn text(kind: QuotaKind, value: f64) -> Result<String, ConfigError> {
    let key = kind.key();
    if !is_rate(&value) {
        return Err(wrong(format!("Quota {key} must be greater than 0")));
    }
    match kind.is_whole() {
        true if value.fract() != 0.0 || value >= i64::MAX as f64 => {
            Err(wrong(format!("Configuration {key} must be a Long value")))
        }
        true => Ok((value as i64).to_string()), // within i64: just compared
        false => Ok(value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::coordinator::{Changes, Coordinator, TreeLimits};
    use crate::types::{Term, Timestamp};

    struct Fixture {
        config: Config,
        coordinator: Coordinator,
    }

    impl Fixture {
        fn alter(&mut self, owner: &QuotaOwner, changes: &[(&str, Option<f64>)]) -> Result<bool, ConfigError> {
            let changes: Vec<QuotaChange> = changes.iter().map(|(key, value)| (key.to_string(), *value)).collect();
            let (cluster, tree) = (self.coordinator.cluster(), self.coordinator.tree());
            let known = Known { config: &self.config, cluster, tree };
            let Some(txn) = alter_quota(&known, owner, &changes)? else { return Ok(false) };
            let zxid = self.coordinator.next_zxid(Term(1)).unwrap();
            let result = self.coordinator.apply(zxid, Timestamp(0), &txn.encode(), &mut Changes::default());
            assert!(result.outcome.is_ok(), "{result:?}");
            Ok(true)
        }

        fn data(&self, path: &str) -> String {
            String::from_utf8(self.coordinator.tree().get(path).unwrap().data().unwrap().to_vec()).unwrap()
        }
    }

    fn owner(user: Option<Option<&str>>, client: Option<Option<&str>>) -> QuotaOwner {
        let owned = |name: Option<Option<&str>>| name.map(|name| name.map(str::to_string));
        QuotaOwner { user: owned(user), client: owned(client) }
    }

    /// What Kafka would write stands where Kafka would write it, and is in force.
    #[test]
    fn stored() {
        let coordinator = Coordinator::new(TreeLimits { bytes: 4 << 20, sessions: 10 }, 1);
        let mut fixture = Fixture { config: Config::default(), coordinator };
        let client = owner(None, Some(Some("a/b")));
        let both = [("producer_byte_rate", Some(1024.0)), ("request_percentage", Some(12.5))];
        assert_eq!(fixture.alter(&client, &both), Ok(true));
        let data = r#"{"version":1,"config":{"producer_byte_rate":"1024","request_percentage":"12.5"}}"#;
        assert_eq!(fixture.data("/config/clients/a%2Fb"), data);
        let quotas = |fixture: &Fixture| fixture.coordinator.cluster().quotas.clone();
        assert!(quotas(&fixture).find(QuotaKind::Produce, "a/b").is_some());
        assert_eq!(fixture.alter(&client, &both), Ok(false), "it is so already");
        assert_eq!(fixture.alter(&client, &[("producer_byte_rate", None), ("request_percentage", None)]), Ok(true));
        assert!(quotas(&fixture).is_empty());
        let deep = owner(Some(None), Some(Some("c")));
        assert_eq!(fixture.alter(&deep, &[("consumer_byte_rate", Some(5.0))]), Ok(true));
        assert!(fixture.data("/config/users/<default>/clients/c").contains("consumer_byte_rate"));
        assert!(quotas(&fixture).find(QuotaKind::Fetch, "c").is_some());
    }

    /// Nonsense is refused with a short sentence.
    #[test]
    fn refused() {
        let coordinator = Coordinator::new(TreeLimits { bytes: 1 << 20, sessions: 10 }, 1);
        let mut fixture = Fixture { config: Config::default(), coordinator };
        let client = owner(None, Some(None));
        for (owner, key, value) in [
            (owner(None, None), "producer_byte_rate", 1.0),
            (owner(None, Some(Some(""))), "producer_byte_rate", 1.0),
            (owner(Some(Some(&"x".repeat(250))), None), "producer_byte_rate", 1.0),
            (client.clone(), "producer_byte_rate", 0.0),
            (client.clone(), "producer_byte_rate", 1.5),
            (client.clone(), "producer_byte_rate", 1e300),
            (client.clone(), "producer_byte_rate", f64::NAN),
            (client.clone(), "request_percentage", -1.0),
            (client.clone(), "controller_mutation_rate", 1.0),
            (client, &"x".repeat(100_000), 1.0),
        ] {
            let error = fixture.alter(&owner, &[(key, Some(value))]).unwrap_err();
            assert!(error.to_string().len() < 300, "{error}");
        }
    }
}
