//! What the quorum has agreed on, applied to the tree; and the tree, written down for a snapshot.
//!
//! Invariants: as in `metadata`: in the quorum's order, once, in the same turn; no more than a turn's budget at once.

use super::{Metadata, Proposer, VERSION, VERSION_FORWARDED};
use crate::coordinator::{Change, Changes, Outcome, Restore, TxnResult};
use crate::effect::{Effect, Effects};
use crate::engine::ProposeError;
use crate::limits::{BURIED_AT_ONCE_MAX, SNAPSHOT_SLICE_BYTES};
use crate::metrics::METRICS;
use crate::quorum::{Committed, ProposalId, QuorumEvent, SnapshotProgress};
use crate::types::{Now, Timestamp};

/// Transactions of one term after which the next term begins: far below the 32 bits that count them.
const TERM_TXNS_MAX: u32 = u32::MAX - (1 << 20);

impl Metadata {
    /// Acts on everything that the quorum says.
    pub(super) fn follow(&mut self, now: Now, fx: &mut Effects) {
        loop {
            self.continue_snapshot(fx);
            if self.coordinator.is_snapshot_full() {
                return; // the disk has to take slices first
            }
            self.follow_leader(now, fx);
            if self.is_stepwise && !self.results.is_empty() {
                return; // somebody looks at the tree as this result left it
            }
            if self.budget == 0 {
                self.yielded = Some(now.mono);
                return; // a long step would keep everybody else waiting
            }
            if self.coordinator.is_burying() {
                self.budget = self.budget.saturating_sub(BURIED_AT_ONCE_MAX);
                let result = self.coordinator.continue_burial(&mut self.changes);
                self.finish_burial(result);
                continue;
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
                if self.is_recovered {
                    METRICS.peers.snapshots_received.inc();
                    self.changes = Changes::default();
                    self.is_replaced = true;
                }
            }
            QuorumEvent::Committed(committed) => self.apply(now, committed, fx)?,
            QuorumEvent::Lost(proposal) => self.answer(proposal, Err(ProposeError::Unavailable)),
            QuorumEvent::Recovered => {
                self.is_recovered = true;
                self.changes = Changes::default();
            }
            QuorumEvent::Leading(term) => {
                METRICS.peers.elections_won.inc();
                tracing::info!("leads the quorum in term {term}");
            }
            QuorumEvent::Forming => tracing::info!(
                "this data directory is empty: waiting for the other members of the ensemble, all of them for the first \
                 formation (tern serve --form founds it without them)"
            ),
            QuorumEvent::MembershipChanged => {
                self.is_membership_changed = true;
                self.tell_members();
            }
            QuorumEvent::CaughtUp(id) => self.caught_up(id),
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

    fn tell_members(&self) {
        // A member whose disk was replaced stands twice until its former self is gone.
        let members = self.quorum.describe().members;
        let list = |votes: bool| {
            let ids = members.iter().filter(|member| member.is_voter == votes);
            ids.map(|member| member.node.to_string()).collect::<Vec<_>>().join(", ")
        };
        tracing::info!("members of the quorum: {}; without a vote: [{}]", list(true), list(false));
    }

    fn apply(&mut self, now: Now, committed: Committed, fx: &mut Effects) -> Result<(), String> {
        let wrong = || format!("entry {} of the quorum's log is not a transaction", committed.index);
        let mut reader = crate::types::Reader::new(&committed.bytes);
        let mut header = || Ok::<_, crate::types::ReadError>((reader.u8()?, reader.i64()?));
        let (version, time) = header().map_err(|_| wrong())?;
        let mut origin = || Ok::<_, crate::types::ReadError>((reader.u64()?, reader.u64()?));
        let origin = match version {
            VERSION => None,
            VERSION_FORWARDED => Some(origin().map_err(|_| wrong())?),
            _ => {
                return Err(format!("{}: it has format {version}, this program reads {VERSION_FORWARDED}", wrong()));
            }
        };
        let zxid = self.coordinator.next_zxid(committed.term).ok_or("a term has run out of transaction ids")?;
        let before = self.changes.cluster.len();
        METRICS.tree.transactions.inc();
        let result = self.coordinator.apply(zxid, Timestamp(time), reader.rest(), &mut self.changes);
        for change in self.changes.cluster.iter().skip(before) {
            if let Change::Invalid { path, why } = change {
                tracing::warn!("the znode {path} means nothing to a broker: {why}");
            }
        }
        self.budget = self.budget.saturating_sub(weight(&result));
        if self.is_recovered {
            tell_lost(&result);
        } else {
            self.changes = Changes::default();
        }
        let proposer = Proposer { origin, proposal: committed.proposal };
        if self.coordinator.is_burying() {
            self.burying = Some(proposer);
        } else {
            self.settle(proposer, result);
        }
        if zxid.count() >= TERM_TXNS_MAX {
            self.quorum.renew_term(now, fx);
        }
        Ok(())
    }

    fn finish_burial(&mut self, result: Option<TxnResult>) {
        if !self.is_recovered {
            self.changes = Changes::default();
        }
        if let Some(result) = result
            && let Some(proposer) = self.burying.take()
        {
            self.settle(proposer, result);
        }
    }

    /// Tells whoever has proposed it.
    fn settle(&mut self, proposer: Proposer, result: TxnResult) {
        match proposer.origin {
            Some((life, sequence)) if life == self.forwarding.life => {
                if let Some(token) = self.forwarding.settle(sequence) {
                    self.results.push_back((token, Ok(result)));
                }
            }
            _ => {
                if let Some(proposal) = proposer.proposal {
                    self.answer(proposal, Ok(result));
                }
            }
        }
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

/// Nobody has the records any more that were acknowledged last: people must know, and decide.
fn tell_lost(result: &TxnResult) {
    let Ok(Outcome::BrokerRegistered { lost, .. }) = &result.outcome else { return };
    let Some((topic, index)) = lost.first() else { return };
    tracing::error!(
        "a broker came back with empty log.dirs and was the last in sync of {} partitions ({topic}-{index} is one): they \
         stay offline until an unclean election (ElectLeaders, or unclean.leader.election.enable=true), which loses what \
         only the old disk had",
        lost.len()
    );
}

/// What a transaction counts of a turn's budget.
fn weight(result: &TxnResult) -> usize {
    match &result.outcome {
        Ok(Outcome::Multi(results)) => results.len().max(1),
        Ok(Outcome::SessionClosed { ephemerals }) => 1 + ephemerals,
        Ok(_) => 1,
        Err(error) => 1 + error.failed_op,
    }
}
