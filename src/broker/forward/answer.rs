//! What a leader says of a lane's batches, and what publishers are told.

use super::send::Taken;
use crate::broker::replication::At;
use crate::broker::{Answer, AppendError, AppendedAt, BatchFault, Broker, Waiter};
use crate::types::{Now, Offset, Timestamp};

impl Broker {
    /// The leader of that leadership has answered for a batch.
    pub(in crate::broker) fn lane_answered(&mut self, now: Now, at: At, number: u32, taken: Taken) {
        let Some(&key) = self.forwarding.by_partition.get(&(at.topic, at.index)) else { return };
        let Some(lane) = self.forwarding.lanes.get_mut(key.local()) else { return };
        match taken {
            // Whoever led when, what is acknowledged stays so.
            Taken::Done => {
                let waiters = lane.acknowledged(number);
                self.answer_published(waiters, &Ok(()));
                self.wake_lane(key);
            }
            _ if at.epoch != lane.epoch => {} // it was sent again to the next leader
            Taken::Again => self.retry_lane(now, key),
            Taken::Gap if !lane.sent_only(number) => self.retry_lane(now, key), // one before it was not taken either
            Taken::Gap => {
                // The leader knows this producer and misses what was acknowledged: its memory of us is damaged. Whoever
                // waits is told to try again, and what follows is of a new producer.
                let waiters = lane.restart();
                self.forwarding.producer = None;
                self.answer_published(waiters, &Err(AppendError::NotLeader));
                self.restart_lanes();
            }
            Taken::Never => {
                let waiters = lane.refused(number);
                self.answer_published(waiters, &Err(BatchFault::Forbidden.into()));
                self.forwarding.producer = None; // its sequence has a gap now
                self.restart_lanes();
            }
        }
    }

    /// Another producer publishes from now on: every lane counts from 0 again, and what waits is offered again.
    fn restart_lanes(&mut self) {
        let mut waiters = Vec::new();
        for (_, lane) in self.forwarding.lanes.iter_mut() {
            waiters.append(&mut lane.restart());
        }
        self.answer_published(waiters, &Err(AppendError::NotLeader));
    }

    pub(super) fn answer_published(&mut self, waiters: Vec<Waiter>, result: &Result<(), AppendError>) {
        self.waiting -= waiters.len();
        // Publishers are told that, not where: their protocol has no offsets.
        let at = AppendedAt { base_offset: Offset(-1), log_append_time: Timestamp(-1), log_start_offset: Offset(-1) };
        let answer = |waiter| (waiter, Answer::Appended(result.clone().map(|()| at)));
        self.answers.extend(waiters.into_iter().map(answer));
    }
}
