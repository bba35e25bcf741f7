//! What raft may ask for at any moment: the terms of all entries, the membership, and the entries that are not applied
//! yet or were just now. Older ones are "temporarily unavailable".
//!
//! Invariants: the entries kept are contiguous and end with the last; no entry leaves before it is applied and durable;
//! of those that are, at most `recent_bytes_max` stay, for members that lag a little.

use std::cell::RefCell;
use std::collections::VecDeque;

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};

use super::state_file::{Membership, State};

/// Raft's view of the log.
#[derive(Debug)]
pub struct Cache {
    hard: (u64, u64, u64),
    membership: Membership,
    /// Everything up to this entry is in the snapshot.
    compacted: (u64, u64),
    /// First entry of each run with one term, and the term; after `compacted`.
    terms: VecDeque<(u64, u64)>,
    entries: VecDeque<Entry>,
    entry_bytes: usize,
    last: u64,
    recent_bytes_max: usize,
    /// Old entries that were asked for: from, below, and who asks.
    wanted: RefCell<VecDeque<(u64, u64, GetEntriesContext)>>,
    /// Old entries read back, contiguous.
    page: Vec<Entry>,
}

/// Members that may wait for old entries; more ask again.
const WANTED_MAX: usize = 16;

impl Cache {
    /// Nothing after the snapshot that `state` names, or nothing at all.
    pub fn new(state: &State, recent_bytes_max: usize) -> Cache {
        let compacted = state.snapshot.map_or((0, 0), |snapshot| (snapshot.index, snapshot.term));
        Cache {
            hard: (state.term, state.vote, state.commit),
            membership: state.membership.clone(),
            compacted,
            terms: VecDeque::new(),
            entries: VecDeque::new(),
            entry_bytes: 0,
            last: compacted.0,
            recent_bytes_max,
            wanted: RefCell::default(),
            page: Vec::new(),
        }
    }

    /// The membership has changed.
    pub fn set_membership(&mut self, membership: &Membership) {
        self.membership.clone_from(membership);
    }

    /// A snapshot of another member takes the place of everything.
    pub fn install(&mut self, index: u64, term: u64, membership: &Membership) {
        self.membership.clone_from(membership);
        self.compacted = (index, term);
        self.last = index;
        self.terms.clear();
        self.entries.clear();
        self.entry_bytes = 0;
        self.page.clear();
    }

    /// The first old entries that somebody waits for: from, below.
    pub fn wanted(&self) -> Option<(u64, u64)> {
        self.wanted.borrow().front().map(|&(low, high, _)| (low, high))
    }

    /// They are read: who asked for them?
    pub fn fetched(&mut self, entries: Vec<Entry>) -> Option<GetEntriesContext> {
        self.page = entries;
        self.wanted.borrow_mut().pop_front().map(|(_, _, context)| context)
    }

    fn in_page(&self, low: u64, high: u64) -> Option<Vec<Entry>> {
        let first = self.page.first()?.index;
        let skipped = usize::try_from(low.checked_sub(first)?).ok()?;
        let count = high.saturating_sub(low) as usize;
        let found: Vec<Entry> = self.page.iter().skip(skipped).take(count).cloned().collect();
        let agrees = |entry: &Entry| self.term_of(entry.index) == Some(entry.term);
        (!found.is_empty() && found.iter().all(agrees)).then_some(found)
    }

    /// What raft starts from; before that only.
    pub fn set_hard_state(&mut self, term: u64, vote: u64, commit: u64) {
        self.hard = (term, vote, commit);
    }

    /// The last entry.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// The last entry's term.
    pub fn last_term(&self) -> u64 {
        self.terms.back().map_or(self.compacted.1, |&(_, term)| term)
    }

    /// The last entry that only the snapshot has.
    pub fn compacted(&self) -> u64 {
        self.compacted.0
    }

    /// The term of an entry that is not compacted, or of the last one that is.
    pub fn term_of(&self, index: u64) -> Option<u64> {
        if index == self.compacted.0 {
            return Some(self.compacted.1);
        }
        if index < self.compacted.0 || index > self.last {
            return None;
        }
        let runs = self.terms.partition_point(|&(first, _)| first <= index);
        self.terms.get(runs.checked_sub(1)?).map(|&(_, term)| term)
    }

    /// Adds an entry; those at or after its index, of an overthrown leader, go. False when it leaves a gap.
    pub fn push(&mut self, entry: Entry) -> bool {
        if entry.index <= self.compacted.0 || entry.index > self.last + 1 {
            return false;
        }
        self.cut(entry.index);
        if self.terms.back().is_none_or(|&(_, term)| term != entry.term) {
            self.terms.push_back((entry.index, entry.term));
        }
        self.last = entry.index;
        self.entry_bytes += cost(&entry);
        self.entries.push_back(entry);
        true
    }

    /// An entry that is kept.
    pub fn get(&self, index: u64) -> Option<&Entry> {
        let first = self.entries.front()?.index;
        self.entries.get(usize::try_from(index.checked_sub(first)?).ok()?)
    }

    /// Entries up to `index` are applied and durable: they may go, all but the recent ones.
    pub fn release(&mut self, index: u64) {
        while self.entry_bytes > self.recent_bytes_max
            && let Some(first) = self.entries.front().filter(|first| first.index <= index)
        {
            self.entry_bytes -= cost(first);
            self.entries.pop_front();
        }
    }

    /// A snapshot stands for all entries up to `index`.
    pub fn compact(&mut self, index: u64, term: u64) {
        if index <= self.compacted.0 {
            return;
        }
        self.compacted = (index, term);
        self.last = self.last.max(index);
        while self.terms.get(1).is_some_and(|&(next, _)| next <= index + 1) {
            self.terms.pop_front();
        }
        if self.last == index {
            self.terms.clear();
        } else if let Some(first) = self.terms.front_mut() {
            first.0 = first.0.max(index + 1);
        }
        while self.entries.front().is_some_and(|first| first.index <= index) {
            self.entries.pop_front();
        }
        self.entry_bytes = self.entries.iter().map(cost).sum();
    }

    fn cut(&mut self, index: u64) {
        while self.entries.back().is_some_and(|last| last.index >= index) {
            self.entry_bytes -= self.entries.pop_back().map_or(0, |last| cost(&last));
        }
        while self.terms.back().is_some_and(|&(first, _)| first >= index) {
            self.terms.pop_back();
        }
        self.last = self.last.min(index - 1);
    }
}

fn cost(entry: &Entry) -> usize {
    entry.data.len() + size_of::<Entry>()
}

impl Membership {
    pub(super) fn to_conf_state(&self) -> ConfState {
        ConfState {
            voters: self.voters.clone(),
            learners: self.learners.clone(),
            voters_outgoing: self.voters_outgoing.clone(),
            learners_next: self.learners_next.clone(),
            auto_leave: self.auto_leave,
            ..ConfState::default()
        }
    }

    pub(super) fn of(conf_state: &ConfState) -> Membership {
        Membership {
            voters: conf_state.voters.clone(),
            learners: conf_state.learners.clone(),
            voters_outgoing: conf_state.voters_outgoing.clone(),
            learners_next: conf_state.learners_next.clone(),
            auto_leave: conf_state.auto_leave,
        }
    }
}

impl Storage for Cache {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let (term, vote, commit) = self.hard;
        let hard_state = HardState { term, vote, commit, ..HardState::default() };
        Ok(RaftState::new(hard_state, self.membership.to_conf_state()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.compacted.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        let Some(first) = self.entries.front().map(|first| first.index).filter(|&first| first <= low) else {
            if let Some(mut found) = self.in_page(low, high) {
                raft::util::limit_size(&mut found, max_size.into());
                return Ok(found);
            }
            let mut wanted = self.wanted.borrow_mut();
            if context.can_async() && wanted.len() < WANTED_MAX {
                wanted.push_back((low, high, context));
            }
            return Err(Error::Store(StorageError::LogTemporarilyUnavailable));
        };
        let count = high.saturating_sub(low) as usize;
        let mut found: Vec<Entry> = self.entries.iter().skip((low - first) as usize).take(count).cloned().collect();
        raft::util::limit_size(&mut found, max_size.into());
        Ok(found)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        self.term_of(index).ok_or(Error::Store(if index < self.compacted.0 {
            StorageError::Compacted
        } else {
            StorageError::Unavailable
        }))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.compacted.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last)
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<Snapshot> {
        if self.compacted.0 < request_index || self.compacted.0 == 0 {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = Snapshot::default();
        let metadata = snapshot.mut_metadata();
        metadata.index = self.compacted.0;
        metadata.term = self.compacted.1;
        *metadata.mut_conf_state() = self.membership.to_conf_state();
        Ok(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Rng;

    fn entry(index: u64, term: u64) -> Entry {
        Entry { index, term, data: vec![0; 10].into(), ..Entry::default() }
    }

    /// Against a plain list: pushes, overwrites by newer terms, releases and compactions leave the right terms and keep
    /// what was not released.
    #[test]
    fn agrees_with_a_list() {
        let mut rng = Rng::new(4);
        for _ in 0..300 {
            let mut cache = Cache::new(&State::default(), 0);
            let mut list: Vec<u64> = Vec::new(); // the term of entry i + 1
            let (mut released, mut term) = (0, 1);
            for _ in 0..60 {
                match rng.below(6) {
                    0 => term += 1,
                    1 if list.len() as u64 > released => {
                        let from = released + 1 + rng.below(list.len() as u64 - released);
                        term += 1;
                        list.truncate(from as usize - 1);
                        list.push(term);
                        assert!(cache.push(entry(from, term)));
                    }
                    2 => {
                        released += rng.below(list.len() as u64 - released + 1);
                        cache.release(released);
                    }
                    3 if released > cache.compacted() => {
                        cache.compact(released, list[released as usize - 1]);
                    }
                    _ => {
                        list.push(term);
                        assert!(cache.push(entry(list.len() as u64, term)));
                    }
                }
                assert!(!cache.push(entry(list.len() as u64 + 2, term)));
                assert_eq!(cache.last(), list.len() as u64);
                for (i, &term) in list.iter().enumerate().skip(cache.compacted() as usize) {
                    assert_eq!(cache.term_of(i as u64 + 1), Some(term));
                }
                for index in released + 1..=list.len() as u64 {
                    assert_eq!(cache.get(index).map(|entry| entry.index), Some(index));
                }
                assert_eq!(cache.term_of(list.len() as u64 + 1), None);
            }
        }
    }
}
