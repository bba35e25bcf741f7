//! What a member asks the quorum before it answers: whether everything is applied here, and whether it still leads.
//!
//! Invariants: each waiter of a fresh read is answered once; a question is forgotten when the leader changes, and what was
//! asked of the former one is never taken for an answer of the next.

use super::Metadata;
use crate::effect::Effects;
use crate::engine::{ProposeError, Waiter};
use crate::quorum::ReadId;
use crate::types::{Instant, Now};

impl Metadata {
    /// True once this node has applied everything that was committed at some moment of this life.
    pub fn is_caught_up(&self) -> bool {
        self.is_caught_up || self.is_leading()
    }

    /// `next_synced` answers `waiter` when everything that is committed now is applied here.
    pub fn sync(&mut self, waiter: Waiter) {
        self.syncs_wanted.push_back(waiter);
    }

    /// The next fresh read that may go on, or cannot.
    pub fn next_synced(&mut self) -> Option<(Waiter, Result<(), ProposeError>)> {
        self.synced.pop_front()
    }

    /// Asks a majority whether this node still leads, unless it is being asked already; `take_confirmed` has the answer.
    pub fn confirm_leadership(&mut self, now: Now, fx: &mut Effects) {
        if self.confirming.is_none() {
            self.confirming = self.quorum.read_index(now, fx).map(|id| (id, now.mono));
            self.follow(now, fx);
        }
    }

    /// When the last question was asked that was answered with yes: nobody else was elected before.
    pub fn take_confirmed(&mut self) -> Option<Instant> {
        self.confirmed.take()
    }

    pub(super) fn ask_syncs(&mut self, now: Now, fx: &mut Effects) {
        while let Some(waiter) = self.syncs_wanted.pop_front() {
            let asked = self.quorum.leader().and_then(|_| self.quorum.read_index(now, fx));
            match asked {
                Some(id) => drop(self.syncs.insert(id, waiter)),
                None => self.synced.push_back((waiter, Err(ProposeError::Unavailable))),
            }
        }
    }

    /// Who leads has changed: answers that were on their way are lost.
    pub(super) fn give_up_syncs(&mut self) {
        if let Some((id, _)) = self.confirming.take() {
            self.quorum.forget_read(id);
        }
        for (id, waiter) in std::mem::take(&mut self.syncs) {
            self.quorum.forget_read(id);
            self.synced.push_back((waiter, Err(ProposeError::Unavailable)));
        }
    }

    /// Everything that was committed when `id` was asked is applied here.
    pub(super) fn caught_up(&mut self, id: ReadId) {
        if let Some((_, asked)) = self.confirming.take_if(|(confirming, _)| *confirming == id) {
            self.confirmed = self.is_leading().then_some(asked);
        }
        if self.catching_up == Some(id) {
            self.catching_up = None;
            self.is_caught_up = true;
        }
        self.synced.extend(self.syncs.remove(&id).map(|waiter| (waiter, Ok(()))));
    }
}
