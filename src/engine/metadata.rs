//! The tree and its quorum: transactions go in with a token and come back applied.
//!
//! What is stored for a transaction: one version byte, the proposer's wall clock (8, big-endian), the transaction.
//!
//! Invariants: what the quorum has agreed on is applied in its order, once, in the same turn; every token is answered
//! once; no more is applied while a running snapshot remembers as many old znodes as it may. The transactions of a term
//! are counted from 1; before the count is used up the quorum begins another term.
//! Memory: the tree's account, the quorum's account, and what one snapshot remembers (`OVERLAY_BYTES_MAX`).

use std::collections::{BTreeMap, VecDeque};

use super::ProposeError;
use crate::config::Config;
use crate::coordinator::{Change, Changes, Coordinator, Restore, TreeLimits, Txn, TxnResult};
use crate::effect::{DiskDone, DiskError, Effect, Effects};
use crate::limits::{QUORUM_LOG_BYTES_MAX, SNAPSHOT_SLICE_BYTES};
use crate::memory::Account;
use crate::metrics::METRICS;
use crate::quorum::{self, Committed, ProposalId, Quorum, QuorumConfig, QuorumEvent, SnapshotProgress};
use crate::types::{Instant, Now, Rng, Ticket, Timestamp};

const VERSION: u8 = 1;

/// Transactions of one term after which the next term begins: far below the 32 bits that count them.
const TERM_TXNS_MAX: u32 = u32::MAX - (1 << 20);

/// Elections last so many to twice as many ticks of `tickTime` / 8: with the default, 2 to 4 s.
const ELECTION_TICKS: usize = 8;

/// The quorum with the tree that it keeps.
#[derive(Debug)]
pub(super) struct Metadata {
    quorum: Quorum,
    coordinator: Coordinator,
    limits: TreeLimits,
    seed: u64,
    restore: Option<Restore>,
    waiting: BTreeMap<ProposalId, u64>,
    results: VecDeque<(u64, Result<TxnResult, ProposeError>)>,
    changes: Changes,
    is_recovered: bool,
    is_snapshot_running: bool,
    /// Stop after each result, so that it is told before the next transaction is applied.
    is_stepwise: bool,
    is_stopped: bool,
}

/// How a node's quorum is made from its configuration.
pub(super) fn quorum_config(config: &Config, account: Account, clock_floor: Timestamp) -> QuorumConfig {
    QuorumConfig {
        node: config.node_id,
        voters: vec![config.node_id],
        tick_ms: (config.zookeeper.tick_ms / 8).max(10),
        election_ticks: ELECTION_TICKS,
        account,
        log_bytes_max: QUORUM_LOG_BYTES_MAX,
        clock_floor,
    }
}

impl Metadata {
    /// Nothing is known before `start`.
    pub fn new(config: QuorumConfig, limits: TreeLimits, rng: &mut Rng) -> Metadata {
        let seed = rng.next();
        Metadata {
            quorum: Quorum::new(config, Rng::new(rng.next())),
            coordinator: Coordinator::new(limits, seed),
            limits,
            seed,
            restore: None,
            waiting: BTreeMap::new(),
            results: VecDeque::new(),
            changes: Changes::default(),
            is_recovered: false,
            is_snapshot_running: false,
            is_stepwise: false,
            is_stopped: false,
        }
    }

    /// Recovers what the disk holds.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {
        self.quorum.start(now, fx);
        self.follow(now, fx);
    }

    /// True while this node leads the quorum and has applied everything before its term.
    pub fn is_leading(&self) -> bool {
        self.quorum.is_leader()
    }

    /// The tree, as far as this node has applied it.
    pub fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// Who leads, which term, how long the log is.
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Proposes a transaction; `next_result` answers with `token`, in any case.
    pub fn propose(&mut self, now: Now, txn: &Txn, token: u64) {
        if let Err(error) = self.try_propose(now, txn, token) {
            self.results.push_back((token, Err(error)));
        }
    }

    /// The same, but `next_result` answers only what was taken.
    pub fn try_propose(&mut self, now: Now, txn: &Txn, token: u64) -> Result<(), ProposeError> {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(VERSION);
        bytes.extend_from_slice(&now.wall.0.to_be_bytes());
        let proposed = self.quorum.propose(txn.encode_onto(bytes));
        let proposal = proposed.map_err(|error| match error {
            quorum::ProposeError::NotLeader => ProposeError::Unavailable,
            quorum::ProposeError::Busy => ProposeError::Busy,
            quorum::ProposeError::TooLarge => ProposeError::TooLarge,
        })?;
        self.waiting.insert(proposal, token);
        Ok(())
    }

    /// What became of a proposal; its changes are in `take_changes` by then.
    pub fn next_result(&mut self) -> Option<(u64, Result<TxnResult, ProposeError>)> {
        self.results.pop_front()
    }

    /// What was applied since the last call. What was replayed at the start is not in it.
    pub fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    /// Whether nothing more is applied while a result has not been taken; `proceed` goes on then.
    pub fn set_stepwise(&mut self, on: bool) {
        self.is_stepwise = on;
    }

    /// Applies what waits; true when that led to results or changes.
    pub fn proceed(&mut self, now: Now, fx: &mut Effects) -> bool {
        self.follow(now, fx);
        !self.results.is_empty() || !self.changes.is_empty()
    }

    /// Everything proposed in this turn goes to the disk together.
    pub fn turn_end(&mut self, now: Now, fx: &mut Effects) {
        self.follow(now, fx);
        self.quorum.turn_end(now, fx);
        self.follow(now, fx);
    }

    /// Takes an answer of a disk lane, or gives it back when the ticket is not the quorum's.
    pub fn disk_done(
        &mut self,
        now: Now,
        ticket: Ticket,
        result: Result<DiskDone, DiskError>,
        fx: &mut Effects,
    ) -> Option<Result<DiskDone, DiskError>> {
        if !Quorum::owns(ticket) {
            return Some(result);
        }
        self.quorum.disk_done(now, ticket, result, fx);
        self.follow(now, fx);
        None
    }

    /// Does what is due.
    pub fn on_time(&mut self, now: Now, fx: &mut Effects) {
        self.quorum.on_time(now, fx);
        self.follow(now, fx);
    }

    /// When `on_time` should be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.quorum.next_deadline()
    }

    /// Notes everything for a clean end; `is_stopped` tells when that is done.
    pub fn stop(&mut self, now: Now, fx: &mut Effects) {
        self.quorum.stop(now, fx);
        self.follow(now, fx);
    }

    /// True when `stop` is complete.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Acts on everything that the quorum says.
    fn follow(&mut self, now: Now, fx: &mut Effects) {
        loop {
            self.continue_snapshot(fx);
            if self.coordinator.is_snapshot_full() {
                return; // the disk has to take slices first
            }
            if self.is_stepwise && !self.results.is_empty() {
                return; // somebody looks at the tree as this result left it
            }
            let Some(event) = self.quorum.next_event(now, fx) else { return };
            if let Err(sentence) = self.happened(now, event, fx) {
                fx.push(Effect::Fatal { sentence });
                return;
            }
        }
    }

    fn happened(&mut self, now: Now, event: QuorumEvent, fx: &mut Effects) -> Result<(), String> {
        match event {
            QuorumEvent::SnapshotSlice(slice) => {
                let (limits, seed) = (self.limits, self.seed);
                let restore = self.restore.get_or_insert_with(|| Restore::new(limits, seed));
                restore.slice(&slice).map_err(|error| error.to_string())?;
            }
            QuorumEvent::SnapshotRestored => {
                let restore = self.restore.take().unwrap_or_else(|| Restore::new(self.limits, self.seed));
                self.coordinator = restore.finish().map_err(|error| error.to_string())?;
            }
            QuorumEvent::Committed(committed) => self.apply(now, committed, fx)?,
            QuorumEvent::Lost(proposal) => self.answer(proposal, Err(ProposeError::Unavailable)),
            QuorumEvent::Recovered => {
                self.is_recovered = true;
                self.changes = Changes::default();
            }
            QuorumEvent::Leading(term) => tracing::info!("leads the quorum in term {term}"),
            QuorumEvent::Following => tracing::info!("no longer leads the quorum"),
            QuorumEvent::SnapshotWanted => {
                if self.quorum.begin_snapshot(fx) {
                    self.coordinator.begin_snapshot();
                    self.is_snapshot_running = true;
                }
            }
            QuorumEvent::Warning(sentence) => tracing::warn!("{sentence}"),
            QuorumEvent::Stopped => self.is_stopped = true,
            QuorumEvent::Fatal(sentence) => return Err(sentence),
        }
        Ok(())
    }

    fn apply(&mut self, now: Now, committed: Committed, fx: &mut Effects) -> Result<(), String> {
        let wrong = || format!("entry {} of the quorum's log is not a transaction", committed.index);
        let mut reader = crate::types::Reader::new(&committed.bytes);
        let mut header = || Ok::<_, crate::types::ReadError>((reader.u8()?, reader.i64()?));
        let (version, time) = header().map_err(|_| wrong())?;
        if version != VERSION {
            return Err(format!("{}: it has format {version}, this program reads {VERSION}", wrong()));
        }
        let zxid = self.coordinator.next_zxid(committed.term).ok_or("a term has run out of transaction ids")?;
        let before = self.changes.cluster.len();
        METRICS.tree.transactions.inc();
        let result = self.coordinator.apply(zxid, Timestamp(time), reader.rest(), &mut self.changes);
        for change in self.changes.cluster.iter().skip(before) {
            if let Change::Invalid { path, why } = change {
                tracing::warn!("the znode {path} means nothing to a broker: {why}");
            }
        }
        if !self.is_recovered {
            self.changes = Changes::default();
        }
        if let Some(proposal) = committed.proposal {
            self.answer(proposal, Ok(result));
        }
        if zxid.count() >= TERM_TXNS_MAX {
            self.quorum.renew_term(now, fx);
        }
        Ok(())
    }

    fn answer(&mut self, proposal: ProposalId, result: Result<TxnResult, ProposeError>) {
        if let Some(token) = self.waiting.remove(&proposal) {
            self.results.push_back((token, result));
        }
    }

    fn continue_snapshot(&mut self, fx: &mut Effects) {
        if !self.is_snapshot_running {
            return;
        }
        match self.quorum.snapshot_progress() {
            SnapshotProgress::WantsSlice => match self.coordinator.snapshot_slice(SNAPSHOT_SLICE_BYTES) {
                Some(slice) => self.quorum.snapshot_slice(&slice, fx),
                None => self.quorum.finish_snapshot(fx),
            },
            SnapshotProgress::Writing => {}
            SnapshotProgress::None => {
                METRICS.tree.snapshots.inc();
                self.coordinator.end_snapshot();
                self.is_snapshot_running = false;
            }
        }
    }
}
