//! The start: what the disk holds becomes a state machine and a raft node, checked piece by piece.

use bytes::Bytes;
use raft::eraftpb::EntryType;
use raft::{Config, RawNode, ReadOnlyOption};

use super::cache::Cache;
use super::entry::{self, ENTRY_OVERHEAD_BYTES};
use super::snapshot_file::{self, Piece, SnapshotReader};
use super::state_file::{self, Membership, STATE_FILE, State};
use super::{
    ENTRY_BYTES_MAX, LOG_DIR, PAGE_BYTES, Quorum, QuorumEvent, RECENT_BYTES_MAX, Stage, UNCOMMITTED_BYTES_MAX,
    incarnate, node_of,
};
use crate::effect::{DiskError, Effects, LogDir, Root};
use crate::log::{LogConfig, LogReadError, Marks, Opened};
use crate::memory::Grant;
use crate::record::Batches;
use crate::types::{Now, Offset, TopicId};

/// Both the state file and the log must be there.
#[derive(Debug, Default)]
pub(super) struct Opening {
    state: Option<Found>,
    marks: Option<Marks>,
    /// The log is emptied, because a snapshot was received and not taken in wholly.
    is_emptying: bool,
    /// `quorum-state`, in this version, says that it is empty.
    clearing: Option<u64>,
}

/// The disk is empty, and others decide what it becomes.
#[derive(Debug)]
pub(super) struct Forming {
    marks: Marks,
    /// The version of `quorum-state` that says what it has become.
    pub written: Option<u64>,
}

#[derive(Debug)]
enum Found {
    Nothing,
    State(Box<State>),
}

/// The snapshot is read, a slice at a time.
#[derive(Debug)]
pub(super) struct Restoring {
    pub reader: SnapshotReader,
    marks: Marks,
    pub is_reading: bool,
}

impl Restoring {
    /// Of a snapshot whose log is known.
    pub fn of(reader: SnapshotReader) -> Restoring {
        Restoring { reader, marks: Marks::default(), is_reading: false }
    }
}

/// The log is read, a page at a time.
#[derive(Debug)]
pub(super) struct Replaying {
    cache: Cache,
    next: u64,
    end: u64,
    commit: u64,
    queued: u64,
    is_reading: bool,
    /// The first entry that cannot be read, and why.
    damage: Option<(u64, String)>,
    /// The last entry that could be read after it.
    witness: u64,
    /// The first entry that changes the membership and is not in `quorum-state` yet: it and what follows is delivered when
    /// raft works, which has to know of it.
    barrier: Option<u64>,
}

impl Quorum {
    /// Reads what the disk holds; `Recovered` follows, or `Fatal`. Once, before anything else.
    pub fn start(&mut self, now: Now, fx: &mut Effects) {
        self.stage = Stage::Opening(Box::default());
        self.read_state(fx);
        self.logs.start(now, fx);
    }

    pub(super) fn open_log(&mut self, now: Now, fx: &mut Effects) {
        let dir = LogDir { root: Root::Coordinator, name: LOG_DIR.into() };
        let segment_bytes = (self.config.log_bytes_max / 2).clamp(2 << 20, 64 << 20) as u32;
        self.log = Some(self.logs.open(now, dir, LogConfig { segment_bytes, ..LogConfig::default() }, fx));
    }

    pub(super) fn log_opened(&mut self, now: Now, result: Result<Opened, DiskError>, fx: &mut Effects) {
        match result {
            Ok(opened) => {
                opened.warnings.into_iter().for_each(|sentence| self.warn(sentence));
                if let Stage::Opening(opening) = &mut self.stage {
                    opening.marks = Some(opened.marks);
                }
                self.begin(now, fx);
            }
            Err(error) => self.fail(format!("the quorum's log {LOG_DIR} cannot be opened: {error}")),
        }
    }

    pub(super) fn state_read(&mut self, now: Now, result: Result<Bytes, DiskError>, fx: &mut Effects) {
        let found = match result {
            Ok(bytes) => state_file::decode(&bytes).map(|state| Found::State(Box::new(state))),
            Err(DiskError::NotFound) => Ok(Found::Nothing),
            Err(error) => Err(format!("{STATE_FILE} cannot be read: {error}")),
        };
        match found {
            Ok(found) => {
                if let Stage::Opening(opening) = &mut self.stage {
                    opening.state = Some(found);
                }
                self.begin(now, fx);
            }
            Err(sentence) => self.fail(sentence),
        }
    }

    /// Both are there: whose disk is it, and is there a snapshot to begin with?
    fn begin(&mut self, now: Now, fx: &mut Effects) {
        let Stage::Opening(opening) = &mut self.stage else { return };
        let Opening { state, marks: Some(marks), is_emptying: false, clearing: None } = &mut **opening else { return };
        let marks = *marks;
        let is_new = match state.take() {
            None => return,
            Some(Found::State(state)) => {
                self.state = *state;
                self.is_identity_durable = true;
                false
            }
            Some(Found::Nothing) if marks.end.0 > 1 => {
                return self.fail(format!(
                    "{STATE_FILE} is missing although the log {LOG_DIR} has entries: restore the file from a backup, or \
                     start with an empty dataDir"
                ));
            }
            Some(Found::Nothing) => true,
        };
        if is_new || !self.state.is_formed {
            return self.begin_forming(now, marks, is_new, fx);
        }
        let (found, node) = (node_of(self.state.me), self.config.node);
        if found != node {
            return self.fail(format!(
                "{STATE_FILE} belongs to server {found}, this node is server {node}: correct myid (or broker.id), or \
                 give this node its own dataDir"
            ));
        }
        if self.config.members.len() <= 1 && self.state.membership.len() > 1 {
            return self.fail(format!(
                "{STATE_FILE} belongs to an ensemble of {} members: give this node the server lines of all of them",
                self.state.membership.len()
            ));
        }
        if let (true, Some(mark), Some(log)) = (self.state.restarts_log, self.state.snapshot, self.log) {
            self.stage = Stage::Opening(Box::new(Opening { is_emptying: true, ..Opening::default() }));
            return self.logs.restart_at(now, log, Offset(mark.index as i64 + 1), fx);
        }
        self.begin_restore(now, marks, fx);
    }

    /// The log of a snapshot that was received is empty at last.
    pub(super) fn emptied(&mut self, end: Offset, fx: &mut Effects) -> bool {
        let Stage::Opening(opening) = &mut self.stage else { return false };
        if !opening.is_emptying {
            return false;
        }
        opening.marks = Some(Marks { start: end, end, ..Marks::default() });
        self.state.restarts_log = false;
        self.change_state(fx);
        let version = self.state_version;
        if let Stage::Opening(opening) = &mut self.stage {
            opening.clearing = Some(version);
        }
        true
    }

    /// An empty disk: alone it is a cluster of its own, otherwise others decide.
    fn begin_forming(&mut self, now: Now, marks: Marks, is_new: bool, fx: &mut Effects) {
        let is_alone = self.config.members.len() <= 1;
        if is_alone || self.config.forms_alone {
            if is_alone {
                self.state.me = incarnate(self.config.node, 0);
            } else if is_new {
                self.draw_incarnation(fx);
            }
            self.state.membership = Membership { voters: vec![self.state.me], ..Membership::default() };
            self.state.cluster_id = TopicId::random(&mut self.rng).to_string();
            self.state.is_formed = true;
            return self.begin_restore(now, marks, fx);
        }
        self.stage = Stage::Forming(Forming { marks, written: None });
        self.next_tick = Some(now.mono.plus_millis(self.config.tick_ms));
        if is_new {
            self.draw_incarnation(fx);
        }
        self.say(QuorumEvent::Forming);
        self.greet_all(true);
    }

    /// `quorum-state` is on the disk: a formation, or an emptied log, may have waited for it.
    pub(super) fn formation_written(&mut self, now: Now, fx: &mut Effects) {
        match &self.stage {
            Stage::Forming(Forming { written: Some(version), marks }) if *version <= self.state_durable => {
                let marks = *marks;
                self.stage = Stage::Opening(Box::default());
                self.greet_all(false);
                self.begin_restore(now, marks, fx);
            }
            Stage::Forming(Forming { written: None, .. }) => {
                self.greet_all(true);
                self.try_form(now, fx);
            }
            Stage::Opening(opening) if opening.clearing.is_some_and(|version| version <= self.state_durable) => {
                if let Some(marks) = opening.marks {
                    self.begin_restore(now, marks, fx);
                }
            }
            _ => {}
        }
    }

    /// The snapshot comes first.
    fn begin_restore(&mut self, now: Now, marks: Marks, fx: &mut Effects) {
        match self.state.snapshot {
            Some(mark) => {
                let reader = SnapshotReader::new(mark);
                self.stage = Stage::Restoring(Box::new(Restoring { reader, marks, is_reading: false }));
                self.proceed_opening(now, fx);
            }
            None => self.begin_replay(now, marks, fx),
        }
    }

    fn begin_replay(&mut self, now: Now, marks: Marks, fx: &mut Effects) {
        let is_alone = self.config.members.len() <= 1;
        let cache = Cache::new(&self.state, if is_alone { 0 } else { RECENT_BYTES_MAX });
        let compacted = cache.compacted();
        let (start, end) = (marks.start.0.max(0) as u64, marks.end.0.max(0) as u64);
        if start > compacted + 1 || end <= compacted && compacted > 0 {
            return self.fail(format!(
                "the log {LOG_DIR} holds entries {start} to {end}, the snapshot ends at {compacted}: entries are missing"
            ));
        }
        self.applied = compacted;
        self.durable = end.saturating_sub(1);
        self.log_next = end;
        let commit = self.state.commit.max(compacted);
        self.stage = Stage::Replaying(Box::new(Replaying {
            cache,
            next: compacted + 1,
            end,
            commit,
            queued: compacted,
            is_reading: false,
            damage: None,
            witness: 0,
            barrier: None,
        }));
        self.proceed_opening(now, fx);
    }

    /// Reads on, when everything read before was taken.
    pub(super) fn proceed_opening(&mut self, now: Now, fx: &mut Effects) {
        if !self.out.is_empty() {
            return;
        }
        match &mut self.stage {
            Stage::Restoring(restoring) if !restoring.is_reading => self.next_piece(now, fx),
            Stage::Replaying(replaying) if !replaying.is_reading => {
                if replaying.next < replaying.end {
                    self.read_page(fx);
                } else {
                    self.begin_running(now, fx);
                }
            }
            _ => {}
        }
    }

    fn next_piece(&mut self, now: Now, fx: &mut Effects) {
        let Stage::Restoring(restoring) = &mut self.stage else { return };
        match restoring.reader.piece() {
            Ok(Piece::Slice(slice)) => self.say(QuorumEvent::SnapshotSlice(slice)),
            Ok(Piece::More) => {
                restoring.is_reading = true;
                let (name, position) = (snapshot_file::name(restoring.reader.mark.slot), restoring.reader.position);
                self.read_part(name, position, snapshot_file::READ_BYTES, fx);
            }
            Ok(Piece::End) => {
                let marks = restoring.marks;
                self.say(QuorumEvent::SnapshotRestored);
                self.begin_replay(now, marks, fx);
            }
            Err(sentence) => self.fail(sentence),
        }
    }

    pub(super) fn snapshot_read(&mut self, result: Result<Bytes, DiskError>) {
        let Stage::Restoring(restoring) = &mut self.stage else { return };
        restoring.is_reading = false;
        let name = snapshot_file::name(restoring.reader.mark.slot);
        let fed = match result {
            Ok(bytes) => restoring.reader.feed(&bytes),
            Err(error) => Err(format!("{name} cannot be read: {error}")),
        };
        if let Err(sentence) = fed {
            self.fail(sentence);
        }
    }

    fn read_page(&mut self, fx: &mut Effects) {
        let (Stage::Replaying(replaying), Some(log)) = (&mut self.stage, self.log) else { return };
        replaying.is_reading = true;
        let (from, below) = (Offset(replaying.next as i64), Offset(replaying.end as i64));
        if let Err(error) = self.logs.read(log, from, below, PAGE_BYTES, 0, fx) {
            self.fail(format!("the quorum's log cannot be read: {error}"));
        }
    }

    pub(super) fn page_read(&mut self, now: Now, result: Result<Bytes, LogReadError>, fx: &mut Effects) {
        let Stage::Replaying(replaying) = &mut self.stage else { return };
        replaying.is_reading = false;
        let taken = match result {
            Ok(bytes) => replaying.take_page(&bytes, &self.state),
            Err(LogReadError::Damaged { sentence, resume, .. }) => {
                replaying.pass_damage(sentence, resume);
                Ok(0)
            }
            Err(error) => Err(format!("the quorum's log cannot be read: {error}")),
        };
        match taken {
            Ok(bytes) => self.page_taken(now, bytes, fx),
            Err(sentence) => self.fail(sentence),
        }
    }

    fn page_taken(&mut self, now: Now, bytes: u64, fx: &mut Effects) {
        self.snapshots.log_grew(bytes);
        let Stage::Replaying(replaying) = &mut self.stage else { return };
        while replaying.queued < replaying.deliverable() {
            let Some(entry) = replaying.cache.get(replaying.queued + 1) else { break };
            replaying.queued += 1;
            self.out.push_back(super::Out::Entry(entry.clone()));
        }
        replaying.cache.release(replaying.queued);
        let Some((index, sentence)) = replaying.damage.as_ref().filter(|_| replaying.next >= replaying.end) else {
            return;
        };
        if replaying.witness + 1 != replaying.end {
            let sentence =
                format!("entry {index} of the quorum's log is lost, and nothing after it can be read: {sentence}");
            return self.fail(sentence);
        }
        // The last entry did not know it to be durable, nor did any between: it is what a power cut left of the last
        // writes.
        replaying.is_reading = true;
        let (index, warning) = (*index, format!("the quorum's log is cut at entry {index}, never synced: {sentence}"));
        self.warn(warning);
        if let Some(log) = self.log {
            self.logs.truncate(now, log, Offset(index as i64), fx);
        }
    }

    pub(super) fn tail_cut(&mut self, end: Offset) {
        let Stage::Replaying(replaying) = &mut self.stage else { return };
        replaying.is_reading = false;
        replaying.damage = None;
        replaying.end = end.0.max(0) as u64;
        self.log_next = replaying.end;
        self.durable = replaying.end.saturating_sub(1);
    }

    /// The log is replayed as far as it is surely committed; raft takes over.
    fn begin_running(&mut self, now: Now, fx: &mut Effects) {
        let Stage::Replaying(replaying) = std::mem::replace(&mut self.stage, Stage::Ended) else { return };
        let commit = replaying.deliverable();
        let mut cache = replaying.cache;
        if cache.last_term() > self.state.term {
            return self.fail(format!(
                "the log {LOG_DIR} has entries of term {}, {STATE_FILE} knows only {}: it is an older copy",
                cache.last_term(),
                self.state.term
            ));
        }
        cache.set_hard_state(self.state.term, self.state.vote, commit);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        match RawNode::new(&self.raft_config(commit), cache, &logger) {
            Ok(raw) => self.stage = Stage::Running(Box::new(raw)),
            Err(error) => return self.fail(format!("the quorum cannot start: {error}")),
        }
        self.log_next = self.log_next.max(self.append_origin(now));
        self.say(QuorumEvent::Recovered);
        self.greet_all(true);
        self.begin_ticks(now);
        self.campaign_if_alone();
        self.pump(now, fx);
    }

    /// Offset 0 of a new log is no entry. Returns the first offset that may be one.
    fn append_origin(&mut self, now: Now) -> u64 {
        if self.log_next > 0 {
            return 0;
        }
        let Some(log) = self.log else { return 0 };
        match self.logs.append(now, log, entry::origin(now.wall), entry::epoch_of(0), Grant::none()) {
            Ok(_) => 1,
            Err(error) => {
                self.fail(format!("the quorum's log cannot be begun: {error}"));
                0
            }
        }
    }

    fn raft_config(&self, applied: u64) -> Config {
        Config {
            id: self.state.me,
            election_tick: self.config.election_ticks,
            heartbeat_tick: 1,
            applied,
            max_size_per_msg: 64 * 1024,
            max_inflight_msgs: 16,
            check_quorum: true,
            pre_vote: true,
            min_election_tick: self.config.election_ticks,
            max_election_tick: 2 * self.config.election_ticks,
            read_only_option: ReadOnlyOption::Safe,
            skip_bcast_commit: false,
            batch_append: true,
            priority: 0,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
            max_committed_size_per_ready: PAGE_BYTES as u64,
        }
    }
}

impl Replaying {
    /// What is surely committed and may be delivered before raft works.
    fn deliverable(&self) -> u64 {
        self.commit.min(self.cache.last()).min(self.barrier.map_or(u64::MAX, |barrier| barrier - 1))
    }

    /// The next entry cannot be read. Those after it are only asked what they knew.
    fn pass_damage(&mut self, sentence: String, resume: Option<Offset>) {
        self.damage.get_or_insert((self.next, sentence));
        let resume = resume.map_or(self.end, |offset| offset.0.max(0) as u64);
        self.next = resume.max(self.next + 1);
    }

    /// Checks and keeps the entries of a page; returns its size.
    fn take_page(&mut self, page: &[u8], state: &State) -> Result<u64, String> {
        let before = self.next;
        for batch in Batches::new(page) {
            let batch = batch.map_err(|error| format!("the quorum's log cannot be read at {}: {error}", self.next))?;
            let Some(stored) = entry::unseal(&batch, ENTRY_BYTES_MAX + ENTRY_OVERHEAD_BYTES)? else { continue };
            let (index, term) = (stored.entry.index, stored.entry.term);
            if index > self.next && self.damage.is_none() {
                self.pass_damage("its bytes are none of an entry".to_string(), Some(Offset(index as i64)));
            }
            if let Some((damaged, sentence)) = &self.damage {
                if stored.known.durable >= *damaged {
                    return Err(format!("entry {damaged} of the quorum's log was durable and is lost: {sentence}"));
                }
                self.witness = self.witness.max(index);
                self.next = self.next.max(index + 1);
                continue;
            }
            if index < self.next {
                continue; // a read begins with the batch that holds its offset
            }
            if term < self.cache.last_term() || term > state.term {
                return Err(format!(
                    "the quorum's log has entry {index} of term {term} where one of term {} to {} belongs",
                    self.cache.last_term(),
                    state.term
                ));
            }
            self.commit = self.commit.max(stored.known.commit.min(index));
            if stored.entry.get_entry_type() != EntryType::EntryNormal && index > state.membership_index {
                self.barrier.get_or_insert(index);
            }
            if !self.cache.push(stored.entry) {
                return Err(format!("the quorum's log has a gap before entry {index}"));
            }
            self.next += 1;
            if state.membership.voters == [state.me] && state.membership.len() == 1 {
                self.commit = index; // a single voter's own disk is the majority
            }
        }
        if self.next == before {
            return Err(format!("the quorum's log has no entry {before}"));
        }
        Ok(page.len() as u64)
    }
}
