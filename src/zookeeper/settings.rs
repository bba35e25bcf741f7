//! What the door is told from outside.

use super::words::Whitelist;
use crate::config::Config;
use crate::memory::Accounts;

/// The door's part of the configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Of a session, in ms.
    pub session_timeout_ms_min: u32,
    /// Of a session, in ms.
    pub session_timeout_ms_max: u32,
    /// `jute.maxbuffer`: a longer frame closes its connection.
    pub frame_bytes_max: usize,
    /// `maxClientCnxns`.
    pub connections_per_address_max: Option<u32>,
    /// `user:base64(sha1("user:password"))` of who passes every ACL.
    pub super_digest: Option<String>,
    /// `4lw.commands.whitelist`.
    pub words: Whitelist,
    /// `extendedTypesEnabled`: znodes may have a time to live.
    pub has_ttl: bool,
    /// `readonlymode.enabled`: without a majority, reads are served to clients that ask for no more.
    pub has_read_only: bool,
    /// `reconfigEnabled`: clients may change who belongs to the ensemble.
    pub can_reconfig: bool,
}

impl Settings {
    /// From what `resolve` made, within the accounts.
    pub fn new(config: &Config, accounts: &Accounts) -> Settings {
        let zookeeper = &config.zookeeper;
        let ms = |value: u64| value.min(i32::MAX as u64) as u32;
        Settings {
            session_timeout_ms_min: ms(zookeeper.session_timeout_ms_min),
            session_timeout_ms_max: ms(zookeeper.session_timeout_ms_max),
            frame_bytes_max: zookeeper.request_bytes_max.min(accounts.kafka_requests.limit_bytes()),
            connections_per_address_max: zookeeper.connections_per_address_max,
            super_digest: zookeeper.super_digest.clone(),
            has_ttl: zookeeper.has_ttl,
            has_read_only: zookeeper.has_read_only,
            can_reconfig: zookeeper.can_reconfig,
            words: Whitelist::parse(&zookeeper.words).0,
        }
    }

    /// What a client that asks for `asked_ms` gets.
    pub fn session_timeout_ms(&self, asked_ms: i32) -> u32 {
        let asked = u32::try_from(asked_ms).unwrap_or(0);
        asked.max(self.session_timeout_ms_min).min(self.session_timeout_ms_max)
    }
}
