//! Ephemerals go only after their session has expired, and go then. A session may expire when nobody has heard of its client
//! for the timeout; from that a board takes what it may have kept to itself: a follower answers its clients' pings until it
//! knows that it is cut off.

use std::collections::{BTreeMap, BTreeSet};

use tern::engine::Tree;
use tern::types::Rng;

/// What all simulated clients ask for, in milliseconds.
pub const TIMEOUT_MS: u64 = 6000;

/// How much earlier than the timeout after its client's last answered request a session may expire.
const KEPT_MS_MAX: u64 = 3500;

#[derive(Debug)]
struct Ephemeral {
    session: i64,
    zxid: i64,
    /// Somebody has asked for its deletion.
    is_removed: bool,
}

/// All of them, and when sessions were last heard.
#[derive(Default)]
pub struct Ephemerals {
    all: BTreeMap<String, Ephemeral>,
    /// When the last request was sent that was answered.
    heard: BTreeMap<i64, u64>,
    /// Sessions that clients were told to be over.
    over: BTreeSet<i64>,
    /// Sessions that nobody speaks for any more.
    abandoned: BTreeSet<i64>,
    pub expired: u64,
    pub looked: u64,
}

impl Ephemerals {
    pub fn heard(&mut self, session: i64, sent: u64) {
        let heard = self.heard.entry(session).or_insert(sent);
        *heard = (*heard).max(sent);
        assert!(!self.over.contains(&session), "session {session:x} goes on after its end");
    }

    pub fn created(&mut self, path: &str, session: i64, zxid: i64) {
        self.all.insert(path.to_owned(), Ephemeral { session, zxid, is_removed: false });
    }

    pub fn removed(&mut self, path: &str) {
        if let Some(ephemeral) = self.all.get_mut(path) {
            ephemeral.is_removed = true;
        }
    }

    pub fn abandoned(&mut self, session: i64) {
        self.abandoned.insert(session);
    }

    /// A client was told that its session is over.
    pub fn expired(&mut self, session: i64, now: u64) {
        self.may_be_over(session, now, "its client was told so");
        self.over.insert(session);
        self.expired += 1;
    }

    /// Somebody finds no such znode, in a tree of that zxid.
    pub fn missing(&mut self, path: &str, zxid: i64, now: u64) {
        self.looked += 1;
        let Some(ephemeral) = self.all.get(path) else { return };
        if !ephemeral.is_removed && zxid >= ephemeral.zxid {
            self.may_be_over(ephemeral.session, now, path);
        }
    }

    pub fn found(&mut self, path: &str, owner: i64) {
        self.looked += 1;
        let session = self.all.get(path).map(|ephemeral| ephemeral.session);
        assert!(session.is_none_or(|session| session == owner), "{path} belongs to {owner:x}");
    }

    fn may_be_over(&self, session: i64, now: u64, why: &str) {
        let silent_ms = (now - self.heard.get(&session).copied().unwrap_or(0)) / 1000;
        let is_due = silent_ms >= TIMEOUT_MS - KEPT_MS_MAX;
        assert!(is_due, "session {session:x} is over ({why}), and its client was answered {silent_ms} ms ago");
    }

    /// Any that may still be there.
    pub fn any(&self, rng: &mut Rng) -> Option<String> {
        let count = self.all.len().min(20) as u64;
        if count == 0 {
            return None;
        }
        self.all.keys().rev().nth(rng.below(count) as usize).cloned()
    }

    /// A tree when everything has healed, long after the last client fell silent.
    pub fn check(&self, tree: &Tree) {
        for (path, ephemeral) in &self.all {
            let is_there = tree.get(path).is_some();
            let is_over = self.over.contains(&ephemeral.session) || self.abandoned.contains(&ephemeral.session);
            assert!(!is_over || !is_there, "{path} outlives session {:x}", ephemeral.session);
            assert!(
                is_over || is_there || ephemeral.is_removed,
                "{path} is gone before session {:x}",
                ephemeral.session
            );
        }
    }
}
