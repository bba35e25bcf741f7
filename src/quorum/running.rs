//! The quorum at work: proposals and messages go into raft, what raft wants done comes out and goes to the disk.
//!
//! One `Ready` is taken at a time and handed on at once; its persistence is reported when the log's durable end and the
//! state file have passed it, so that one sync covers many. Entries are committed only then.

use raft::eraftpb::{Message, MessageType};
use raft::{RawNode, StateRole};

use super::cache::Cache;
use super::entry::Known;
use super::incoming::Install;
use super::raft_message::RaftMessage;
use super::{
    ENTRY_BYTES_MAX, Out, PeerMessage, ProposalId, ProposeError, Quorum, QuorumEvent, RETRY_MS, Role, Stage, entry,
    node_of,
};
use crate::effect::{DiskError, Effects};
use crate::log::{AppendError, LogEvent};
use crate::types::{NodeId, Now, Offset};

/// What must be on the disk before raft may count on it.
#[derive(Debug)]
pub(super) struct PendingReady {
    number: u64,
    /// The last of its entries.
    pub last: u64,
    state_version: u64,
    /// To be sent only then.
    messages: Vec<Message>,
    /// A snapshot comes with it: its installation must be on the disk.
    installs: bool,
}

impl Quorum {
    /// Offers `bytes` to the quorum. They come back as `Committed` with this id, or the id as `Lost`; after a crash or
    /// an overthrow neither is certain. Nothing is written before `turn_end`.
    pub fn propose(&mut self, bytes: Vec<u8>) -> Result<ProposalId, ProposeError> {
        let Stage::Running(raw) = &mut self.stage else { return Err(ProposeError::NotLeader) };
        if !self.is_leading || raw.raft.state != StateRole::Leader {
            return Err(ProposeError::NotLeader);
        }
        if bytes.len() > ENTRY_BYTES_MAX || bytes.is_empty() {
            return Err(ProposeError::TooLarge);
        }
        if self.append_retry.is_some() {
            return Err(ProposeError::Busy);
        }
        let grants = self.proposals.reserve(bytes.len())?;
        raw.propose(Vec::new(), bytes).map_err(|_| ProposeError::Busy)?;
        let (index, term) = (raw.raft.raft_log.last_index(), raw.raft.term);
        Ok(self.proposals.push(index, term, grants))
    }

    /// Takes a message of raft's. What no honest member could have said is passed over.
    pub(super) fn step_raft(&mut self, now: Now, from: NodeId, message: RaftMessage, fx: &mut Effects) {
        if self.is_installing() {
            return; // it is said again
        }
        let Stage::Running(raw) = &mut self.stage else { return };
        let (committed, term) = (raw.raft.raft_log.committed, raw.raft.term);
        if let Some(offer) = &message.snapshot
            && offer.index > committed
            && message.term() >= term
        {
            return self.offered(now, from, message);
        }
        let Some(message) = message.into_raft().filter(|message| is_possible(raw, message)) else { return };
        // A refusal (an unknown member, a proposal that was dropped) needs no answer: the sender repeats itself.
        let _ = raw.step(message);
        self.fix_timeout();
        self.pump(now, fx);
    }

    /// Ends this node's leadership and lets it ask for another: a new term, when the zxids of this one run out.
    pub fn renew_term(&mut self, now: Now, fx: &mut Effects) {
        let Stage::Running(raw) = &mut self.stage else { return };
        let log = &raw.raft.raft_log;
        if raw.raft.state != StateRole::Leader || log.persisted != log.last_index() || self.applied != log.committed {
            return; // not before everything is settled: the caller asks again
        }
        let term = raw.raft.term;
        raw.raft.become_follower(term, 0);
        // An error means that it may not campaign now; time will let it.
        let _ = raw.campaign();
        self.fix_timeout();
        self.pump(now, fx);
    }

    pub(super) fn begin_ticks(&mut self, now: Now) {
        if self.config.members.len() > 1 || self.state.membership.len() > 1 {
            self.next_tick.get_or_insert(now.mono.plus_millis(self.config.tick_ms));
        }
        self.fix_timeout();
    }

    /// A single voter elects itself at once.
    pub(super) fn campaign_if_alone(&mut self) {
        let me = self.state.me;
        if let Stage::Running(raw) = &mut self.stage
            && self.state.membership.voters == [me]
        {
            // It cannot be refused: nothing is unapplied, and its own vote is the majority.
            let _ = raw.campaign();
            self.fix_timeout();
        }
    }

    pub(super) fn tick(&mut self, now: Now) {
        let Some(due) = self.next_tick.filter(|&due| due <= now.mono) else { return };
        let interval = self.config.tick_ms.max(1);
        if matches!(self.stage, Stage::Forming(_)) {
            self.greet_all(true);
        }
        if !self.is_installing()
            && let Stage::Running(raw) = &mut self.stage
        {
            raw.tick();
        }
        // After a stall one tick stands for all that were missed: others may have been heard of meanwhile.
        let next = due.plus_millis(interval);
        self.next_tick = Some(if next > now.mono { next } else { now.mono.plus_millis(interval) });
        self.fix_timeout();
        self.note_silence(now);
        self.pull_again(now);
        self.check_outgoing(now);
        self.drive_membership(now);
        self.ask_reads_again();
    }

    /// Raft lets a member that does not vote believe in its leader for ever.
    fn note_silence(&mut self, now: Now) {
        let Stage::Running(raw) = &self.stage else { return };
        let leader = raw.raft.leader_id;
        let is_other = leader != 0 && leader != self.state.me;
        self.is_leader_silent = is_other && self.is_learner() && self.present(now, node_of(leader)).is_none();
    }

    /// Raft draws election timeouts from the thread's generator; ours replaces it whenever it may have drawn one.
    fn fix_timeout(&mut self) {
        let Stage::Running(raw) = &mut self.stage else { return };
        let key = (raw.raft.term, role_of(raw));
        if self.timeout_for != key {
            let ticks = self.config.election_ticks;
            self.election_timeout = ticks + self.rng.below(ticks.max(1) as u64) as usize;
            self.timeout_for = key;
        }
        raw.raft.set_randomized_election_timeout(self.election_timeout);
    }

    /// Everything raft wants done now. Committed entries of one page are delivered before the next page is asked for.
    pub(super) fn pump(&mut self, now: Now, fx: &mut Effects) {
        loop {
            let Stage::Running(raw) = &mut self.stage else { return };
            let can_apply = raw.raft.raft_log.committed.min(raw.raft.raft_log.persisted);
            let applied = self.applied.min(can_apply);
            if applied > raw.raft.raft_log.applied {
                raw.advance_apply_to(applied);
            }
            self.has_met |= raw.raft.leader_id != 0 && self.state.membership.len() > 1;
            if self.install.is_some() {
                return self.proceed_install(fx);
            }
            if self.out.iter().any(|out| matches!(out, Out::Entry(_))) {
                return;
            }
            if !raw.has_ready() {
                self.fetch_entries(fx);
                return;
            }
            self.take_ready(now, fx);
        }
    }

    fn take_ready(&mut self, now: Now, fx: &mut Effects) {
        let Stage::Running(raw) = &mut self.stage else { return };
        let mut ready = raw.ready();
        let mut messages = ready.take_messages();
        let installs = !ready.snapshot().is_empty();
        if installs && !self.install(ready.snapshot(), fx) {
            return self.fail("raft has taken a snapshot that nobody offered: a fault of this program".to_string());
        }
        let Stage::Running(raw) = &mut self.stage else { return };
        for entry in ready.take_entries() {
            if entry.index < self.log_next {
                self.truncating += 1;
                self.log_next = entry.index;
                self.durable = self.durable.min(entry.index - 1);
                self.readies.iter_mut().for_each(|ready| ready.last = ready.last.min(entry.index - 1));
                if let Some(log) = self.log {
                    self.logs.truncate(now, log, Offset(entry.index as i64), fx);
                }
            }
            if !raw.mut_store().push(entry) {
                return self.fail("raft's log has a gap: a fault of this program".to_string());
            }
        }
        let is_changed = ready.hs().is_some_and(|hs| (hs.term, hs.vote) != (self.state.term, self.state.vote));
        if let Some(hs) = ready.hs() {
            if hs.term != self.state.term {
                self.term_version = self.state_version + 1;
            }
            (self.state.term, self.state.vote, self.state.commit) = (hs.term, hs.vote, hs.commit);
        }
        if self.is_leading && (raw.raft.state != StateRole::Leader || is_changed) {
            self.is_leading = false;
            self.out.push_back(Out::Event(QuorumEvent::Following));
        }
        self.take_read_states(ready.take_read_states());
        let Stage::Running(raw) = &mut self.stage else { return };
        self.out.extend(ready.take_committed_entries().into_iter().map(Out::Entry));
        self.readies.push_back(PendingReady {
            number: ready.number(),
            last: raw.mut_store().last(),
            state_version: self.state_version + is_changed as u64,
            messages: ready.take_persisted_messages(),
            installs,
        });
        raw.advance_append_async(ready);
        if is_changed {
            self.change_state(fx);
        }
        self.append_pending(now, fx);
        self.send(now, &mut messages);
        self.release_readies_at(now);
    }

    /// Hands the log what it does not have yet, once the disk knows the term.
    pub(super) fn append_pending(&mut self, now: Now, _fx: &mut Effects) {
        while self.truncating == 0 && self.append_retry.is_none() && self.term_version <= self.state_durable {
            let (Stage::Running(raw), Some(log)) = (&self.stage, self.log) else { return };
            let Some(next) = raw.store().get(self.log_next) else { return };
            let known = Known { commit: raw.raft.raft_log.committed.min(next.index), durable: self.durable };
            let batch = entry::seal(next, known, now.wall);
            let (epoch, bytes) = (entry::epoch_of(next.term), batch.len() as u64);
            let grant = self.proposals.batch_grant(self.log_next);
            match self.logs.append(now, log, batch, epoch, grant) {
                Ok(appended) if appended.base_offset.0 == self.log_next as i64 => {
                    self.log_next += 1;
                    self.snapshots.log_grew(bytes);
                }
                Ok(appended) => {
                    let offset = appended.base_offset;
                    return self.fail(format!("entry {} was given offset {offset} in the log", self.log_next));
                }
                Err(AppendError::Disk(error)) => return self.retry_append(now, error),
                Err(error) => return self.fail(format!("the quorum's log refuses an entry: {error}")),
            }
        }
    }

    fn retry_append(&mut self, now: Now, error: DiskError) {
        self.warn(format!("the quorum's log cannot be written, trying again: {error}"));
        self.append_retry = Some(now.mono.plus_millis(RETRY_MS));
    }

    /// Tells raft what is on the disk by now, and sends what waited for it.
    pub(super) fn release_readies_at(&mut self, now: Now) {
        let (mut released, mut has_installed) = (None, false);
        let mut messages = Vec::new();
        while let Some(ready) = self.readies.front() {
            let waits = ready.installs && self.is_installing();
            if ready.last > self.durable || ready.state_version > self.state_durable || waits {
                break;
            }
            released = Some(ready.number);
            has_installed |= ready.installs;
            messages.extend(self.readies.pop_front().into_iter().flat_map(|ready| ready.messages));
        }
        if let (Some(number), Stage::Running(raw)) = (released, &mut self.stage) {
            raw.on_persist_ready(number);
            let compacted = raw.store().compacted();
            if has_installed && raw.raft.raft_log.applied < compacted {
                // Raft wants it counted before it ticks again; the state machine takes its time.
                raw.advance_apply_to(compacted);
            }
        }
        self.send(now, &mut messages);
    }

    /// True while a snapshot takes the place of the log: raft, asked to campaign, would look for entries that are gone.
    pub(super) fn is_installing(&self) -> bool {
        !matches!(self.install, None | Some(Install::Restoring(_)))
    }

    fn send(&mut self, now: Now, messages: &mut Vec<Message>) {
        for message in messages.drain(..) {
            let to = node_of(message.to);
            if let Some(mut message) = RaftMessage::of(message) {
                self.complete_offer(now, &mut message);
                self.messages.push_back((to, PeerMessage::Raft(message)));
            }
        }
    }

    pub(super) fn log_happened(&mut self, now: Now, events: &mut Vec<LogEvent>, fx: &mut Effects) {
        for event in events.drain(..) {
            match event {
                LogEvent::Started { warnings, .. } => {
                    warnings.into_iter().for_each(|sentence| self.warn(sentence));
                    self.open_log(now, fx);
                }
                LogEvent::Opened { result, .. } => self.log_opened(now, result, fx),
                LogEvent::Durable { end, .. } => {
                    let last = end.0.max(1) as u64 - 1;
                    // What is being cut off is of no use, durable or not.
                    let is_cut = self.truncating > 0;
                    self.durable =
                        self.durable.max(if is_cut { last.min(self.log_next.saturating_sub(1)) } else { last });
                    self.release_readies_at(now);
                }
                LogEvent::AppendFailed { from, error, .. } => {
                    self.log_next = self.log_next.min(from.0.max(0) as u64);
                    self.retry_append(now, error);
                }
                LogEvent::ReadDone { result, .. } if matches!(self.stage, Stage::Running(_)) => self.fetched(result),
                LogEvent::ReadDone { result, .. } => self.page_read(now, result, fx),
                LogEvent::Truncated { end, .. } if self.truncating == 0 => {
                    if !self.emptied(end, fx) && !self.install_emptied(fx) {
                        self.tail_cut(end);
                    }
                }
                LogEvent::Truncated { .. } => {
                    self.truncating -= 1;
                    self.append_pending(now, fx);
                }
                LogEvent::SpaceBack => {
                    self.append_retry = None;
                    self.append_pending(now, fx);
                }
                LogEvent::Damaged { sentence, .. } => self.warn(sentence),
                LogEvent::Stopped => self.say(QuorumEvent::Stopped),
                LogEvent::Fatal { sentence } => self.fail(sentence),
                LogEvent::TimestampFound { .. }
                | LogEvent::StartMoved { .. }
                | LogEvent::Deleted { .. }
                | LogEvent::SnapshotWanted { .. }
                | LogEvent::ReadOnly
                | LogEvent::SpaceLow => {}
            }
        }
    }
}

pub(super) fn role_of(raw: &RawNode<Cache>) -> Role {
    match raw.raft.state {
        StateRole::Leader => Role::Leader,
        StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        StateRole::Follower => Role::Follower,
    }
}

/// Raft aborts the process where an honest member could not have said this; here it is only passed over.
fn is_possible(raw: &RawNode<Cache>, message: &Message) -> bool {
    let log = &raw.raft.raft_log;
    match message.get_msg_type() {
        MessageType::MsgHeartbeat => message.commit <= log.last_index(),
        MessageType::MsgAppendResponse => message.index <= log.last_index(),
        MessageType::MsgAppend => {
            let terms_rise = message.entries.windows(2).all(|pair| match pair {
                [a, b] => a.term <= b.term,
                _ => true,
            });
            let contradicts = |index: u64, term: u64| {
                index <= log.committed && index >= log.first_index() && log.term(index).is_ok_and(|known| known != term)
            };
            terms_rise && !message.entries.iter().any(|entry| contradicts(entry.index, entry.term))
        }
        _ => message.from != raw.raft.id,
    }
}
