//! Fetch sessions (KIP-227): the node remembers which partitions a consumer reads, so that neither side repeats them.
//!
//! ```text
//! request id, epoch     meaning
//! any, -1               a full fetch without a session; a session of that id ends
//! any, 0                a full fetch that begins a session; a session of that id ends
//! id, n > 0             an incremental fetch: only what changes in the list is said, n counts requests from 1
//! ```
//!
//! Invariants: at most so many sessions, and partitions in all of them; a session makes room for a new one only when it
//! has been silent for two minutes, or is as old and smaller, as in Kafka. Who gets no session is told id 0 and sends
//! full fetches: a session is never needed for correctness.
//! Called by `handlers/fetch`.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::errors::ErrorCode;
use super::handlers::partitions::TopicKey;
use crate::limits::KAFKA_FETCH_SESSION_EVICTION_MS;
use crate::types::{Instant, LeaderEpoch, Offset, PartitionIndex, Rng};

/// A partition of a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionName {
    /// Its topic, as the client names it.
    pub topic: TopicKey,
    /// Which partition of it.
    pub index: PartitionIndex,
}

/// What a consumer wants of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// From which offset.
    pub from: Offset,
    /// At most so many bytes, as the client said it.
    pub max_bytes: i32,
    /// What the client believes.
    pub leader_epoch: LeaderEpoch,
}

/// What a consumer was last told about a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// High watermark; -1 before the first answer and after an error.
    pub high_watermark: Offset,
    /// Log start offset, likewise.
    pub log_start_offset: Offset,
}

const NOTHING_TOLD: Told = Told { high_watermark: Offset(-1), log_start_offset: Offset(-1) };

#[derive(Debug)]
struct Session {
    /// Of the next request.
    epoch: i32,
    created: Instant,
    used: Instant,
    partitions: BTreeMap<PartitionName, (Wanted, Told)>,
    /// The last partition that was served: the next fetch begins behind it, so that none is starved.
    served: Option<PartitionName>,
}

/// What a fetch has to do with sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionUse {
    /// Nothing: every partition is answered.
    None,
    /// It began this session: every partition is answered.
    Begun(i32),
    /// It continues this session: only what has changed is answered.
    Continued(i32),
}

impl SessionUse {
    /// The id for the wire.
    pub fn id(self) -> i32 {
        match self {
            SessionUse::None => 0,
            SessionUse::Begun(id) | SessionUse::Continued(id) => id,
        }
    }
}

/// All sessions.
#[derive(Debug)]
pub struct FetchSessions {
    sessions: BTreeMap<i32, Session>,
    partitions: usize,
    sessions_max: usize,
    partitions_max: usize,
}

impl FetchSessions {
    /// At most so many sessions, of at most so many partitions together.
    pub fn new(sessions_max: usize, partitions_max: usize) -> FetchSessions {
        FetchSessions { sessions: BTreeMap::new(), partitions: 0, sessions_max, partitions_max }
    }

    /// Partitions of a session; 0 when there is none.
    pub fn len_of(&self, id: i32) -> usize {
        self.sessions.get(&id).map_or(0, |session| session.partitions.len())
    }

    /// Ends a session, if there is one of that id.
    pub fn end(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.partitions.len();
        }
    }

    /// Begins a session of these partitions, if there is room or can be made.
    pub fn begin(
        &mut self,
        now: Instant,
        rng: &mut Rng,
        wanted: impl Iterator<Item = (PartitionName, Wanted)>,
    ) -> SessionUse {
        let partitions: BTreeMap<_, _> = wanted.map(|(name, wanted)| (name, (wanted, NOTHING_TOLD))).collect();
        if partitions.is_empty() || !self.make_room(now, partitions.len()) {
            return SessionUse::None;
        }
        let id = self.fresh_id(rng);
        self.partitions += partitions.len();
        self.sessions.insert(id, Session { epoch: 1, created: now, used: now, partitions, served: None });
        SessionUse::Begun(id)
    }

    /// Continues a session: checks the epoch, takes in what has changed. A session that has become too large ends, and
    /// the client begins anew.
    pub fn continue_with(
        &mut self,
        now: Instant,
        (id, epoch): (i32, i32),
        wanted: impl Iterator<Item = (PartitionName, Wanted)>,
        forgotten: impl Iterator<Item = PartitionName>,
    ) -> Result<SessionUse, ErrorCode> {
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)?;
        if session.epoch != epoch {
            return Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH);
        }
        session.epoch = epoch.checked_add(1).unwrap_or(1);
        session.used = now;
        let before = session.partitions.len();
        for name in forgotten {
            session.partitions.remove(&name);
        }
        for (name, wanted) in wanted {
            session.partitions.entry(name).or_insert((wanted, NOTHING_TOLD)).0 = wanted;
        }
        let after = session.partitions.len();
        self.partitions = self.partitions + after - before;
        if after > before && self.partitions > self.partitions_max {
            self.end(id);
            return Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND);
        }
        Ok(SessionUse::Continued(id))
    }

    /// The partitions of a session, the one least recently served first.
    pub fn partitions(&self, id: i32) -> impl Iterator<Item = (&PartitionName, Wanted)> {
        let session = self.sessions.get(&id);
        session.into_iter().flat_map(|session| {
            let (after, before) = match &session.served {
                Some(served) => (Bound::Excluded(served), Bound::Included(served)),
                None => (Bound::Unbounded, Bound::Unbounded),
            };
            let first = session.partitions.range((after, Bound::Unbounded));
            let rest = session.served.iter().flat_map(move |_| session.partitions.range((Bound::Unbounded, before)));
            first.chain(rest).map(|(name, (wanted, _))| (name, *wanted))
        })
    }

    /// Notes what a partition's consumer is told now, and says whether that is news. `has_records` counts as news.
    pub fn tell(&mut self, id: i32, name: &PartitionName, told: Option<Told>, has_records: bool) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return true };
        if has_records {
            session.served = Some(name.clone());
        }
        let Some((_, before)) = session.partitions.get_mut(name) else { return true };
        let Some(told) = told else {
            *before = NOTHING_TOLD; // an error is always news, and so is what follows it
            return true;
        };
        std::mem::replace(before, told) != told || has_records
    }

    fn fresh_id(&self, rng: &mut Rng) -> i32 {
        loop {
            let id = (rng.next() >> 33) as i32;
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }

    /// Makes room for a session of `size` partitions; false when there is none to be made.
    fn make_room(&mut self, now: Instant, size: usize) -> bool {
        while self.sessions.len() >= self.sessions_max || self.partitions + size > self.partitions_max {
            let is_old = |since: Instant| now >= since.plus_millis(KAFKA_FETCH_SESSION_EVICTION_MS);
            let silent = self.sessions.iter().filter(|(_, session)| is_old(session.used));
            let small =
                self.sessions.iter().filter(|(_, session)| is_old(session.created) && session.partitions.len() < size);
            let victim = silent
                .min_by_key(|(_, session)| session.used)
                .or_else(|| small.min_by_key(|(_, session)| (session.partitions.len(), session.used)));
            match victim {
                Some((&id, _)) => self.end(id),
                None => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(index: i32) -> PartitionName {
        PartitionName { topic: TopicKey::Name("t".into()), index: PartitionIndex(index) }
    }

    fn wanted(from: i64) -> Wanted {
        Wanted { from: Offset(from), max_bytes: 100, leader_epoch: LeaderEpoch::NONE }
    }

    fn some(range: std::ops::Range<i32>) -> impl Iterator<Item = (PartitionName, Wanted)> {
        range.map(|index| (name(index), wanted(0)))
    }

    fn order(sessions: &FetchSessions, id: i32) -> Vec<(i32, i64)> {
        sessions.partitions(id).map(|(name, wanted)| (name.index.0, wanted.from.0)).collect()
    }

    const NONE: std::iter::Empty<PartitionName> = std::iter::empty();

    /// Epochs count; a wrong one, an unknown id and a repeated request are told apart and change nothing.
    #[test]
    fn epochs() {
        let (mut sessions, mut rng) = (FetchSessions::new(10, 100), Rng::new(1));
        let id = sessions.begin(Instant(0), &mut rng, some(0..3)).id();
        assert!(id > 0);
        let now = Instant(1);
        assert_eq!(
            sessions.continue_with(now, (id + 1, 1), some(0..0), NONE),
            Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
        );
        for epoch in [2, 0, -1, i32::MAX] {
            let answer = sessions.continue_with(now, (id, epoch), some(5..9), NONE);
            assert_eq!(answer, Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
        }
        assert_eq!(sessions.len_of(id), 3);
        let change = [(name(1), wanted(7)), (name(9), wanted(8))].into_iter();
        let answer = sessions.continue_with(now, (id, 1), change, [name(0)].into_iter());
        assert_eq!(answer, Ok(SessionUse::Continued(id)));
        assert_eq!(order(&sessions, id), [(1, 7), (2, 0), (9, 8)]);
        let answer = sessions.continue_with(now, (id, 1), some(0..0), NONE);
        assert_eq!(answer, Err(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
    }

    /// News are told once; records and errors always; who was served stands at the end of the line.
    #[test]
    fn news_and_rotation() {
        let (mut sessions, mut rng) = (FetchSessions::new(10, 100), Rng::new(2));
        let id = sessions.begin(Instant(0), &mut rng, some(0..4)).id();
        let told = Told { high_watermark: Offset(5), log_start_offset: Offset(0) };
        assert!(sessions.tell(id, &name(0), Some(told), false));
        assert!(!sessions.tell(id, &name(0), Some(told), false));
        assert!(sessions.tell(id, &name(0), None, false));
        assert!(sessions.tell(id, &name(0), Some(told), false), "after an error everything is news");
        assert!(sessions.tell(id, &name(1), Some(told), true));
        assert!(sessions.tell(id, &name(1), Some(told), true));
        assert_eq!(order(&sessions, id), [(2, 0), (3, 0), (0, 0), (1, 0)]);
    }

    /// The table stays within its bounds; old and silent sessions make room, then old and smaller ones, others never.
    #[test]
    fn bounds() {
        let (mut sessions, mut rng) = (FetchSessions::new(2, 10), Rng::new(3));
        let old = Instant(KAFKA_FETCH_SESSION_EVICTION_MS * 1000);
        assert_eq!(sessions.begin(Instant(0), &mut rng, some(0..11)), SessionUse::None);
        assert_eq!(sessions.begin(Instant(0), &mut rng, some(0..0)), SessionUse::None);
        let first = sessions.begin(Instant(0), &mut rng, some(0..4)).id();
        let second = sessions.begin(Instant(5), &mut rng, some(0..2)).id();
        assert_eq!(sessions.begin(Instant(10), &mut rng, some(0..3)), SessionUse::None);
        assert!(sessions.continue_with(old, (first, 1), some(0..0), NONE).is_ok());
        assert!(sessions.continue_with(old, (second, 1), some(0..0), NONE).is_ok());
        let third = sessions.begin(Instant(old.0 + 5), &mut rng, some(0..3)).id();
        assert_eq!((sessions.len_of(second), sessions.len_of(first)), (0, 4), "the smaller one went");
        assert!(third > 0);
        let later = Instant(old.0 * 2);
        let fourth = sessions.begin(later, &mut rng, some(0..1)).id();
        assert_eq!((sessions.len_of(first), sessions.len_of(third), sessions.len_of(fourth)), (0, 3, 1));
        let answer = sessions.continue_with(later, (fourth, 1), some(0..9), NONE);
        assert_eq!(answer, Err(ErrorCode::FETCH_SESSION_ID_NOT_FOUND), "grown beyond the table");
        assert_eq!(sessions.partitions, 3);
    }
}
