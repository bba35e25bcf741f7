//! Reads partitions of one topic from whoever leads them: record by record, whatever codec they were compressed with.
//!
//! Leaders that move and connections that break are followed for half a minute before they are an error.

use std::io;
use std::time::{Duration, Instant};

use super::{Cluster, Fetched, check};
use crate::kafka::errors::ErrorCode;
use crate::record::{Batches, Record, open};
use crate::types::{NodeId, Offset, PartitionIndex};

/// Bound of one decompressed batch.
const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How long there may be no answer from anybody.
const PATIENCE: Duration = Duration::from_secs(30);

/// Before a leader is looked for again.
const PAUSE: Duration = Duration::from_millis(200);

/// A partition and how far it was read.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Which.
    pub partition: PartitionIndex,
    /// The next offset to read.
    pub next: Offset,
    /// Where reading ends, when it does.
    pub end: Option<Offset>,
}

/// A reader of one topic.
pub struct Reader {
    cluster: Cluster,
    topic: String,
    positions: Vec<Position>,
    /// Who leads which partitions; empty when that is to be asked.
    leaders: Vec<(NodeId, Vec<PartitionIndex>)>,
    answered: Instant,
    scratch: Vec<u8>,
}

/// What is done with a record: `Ok(false)` leaves it unread and ends the poll.
type Take<'t> = &'t mut dyn FnMut(PartitionIndex, &Record<'_>) -> io::Result<bool>;

impl Reader {
    /// Reads from `positions`.
    pub fn new(cluster: Cluster, topic: &str, positions: Vec<Position>) -> Reader {
        let topic = topic.to_owned();
        Reader { cluster, topic, positions, leaders: Vec::new(), answered: Instant::now(), scratch: Vec::new() }
    }

    /// The partitions and how far each was read.
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Reads other partitions from now on.
    pub fn assign(&mut self, positions: Vec<Position>) {
        self.positions = positions;
        self.leaders.clear();
    }

    /// The cluster, for questions between two polls.
    pub fn cluster(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// True when nothing is left to read: every partition has an end and was read up to it.
    pub fn is_done(&self) -> bool {
        self.positions.iter().all(|position| position.end.is_some_and(|end| position.next >= end))
    }

    /// Asks every leader once, waiting up to `wait` for something new, and hands out the records.
    pub fn poll(&mut self, wait: Duration, take: Take<'_>) -> io::Result<()> {
        match self.try_poll(wait, take) {
            Err(Failure::Passing(error)) if self.answered.elapsed() >= PATIENCE => Err(error),
            Err(Failure::Passing(_)) => {
                self.leaders.clear();
                self.cluster.reconnect(); // answers that nobody waits for are still on the way
                std::thread::sleep(PAUSE);
                Ok(())
            }
            Err(Failure::Final(error)) => Err(error),
            Ok(()) => {
                self.answered = Instant::now();
                Ok(())
            }
        }
    }

    fn try_poll(&mut self, wait: Duration, take: Take<'_>) -> Result<(), Failure> {
        if self.leaders.is_empty() {
            self.find_leaders()?;
        }
        let leaders = std::mem::take(&mut self.leaders);
        let mut asked = Vec::new();
        for (leader, partitions) in &leaders {
            let positions = self.positions.iter().filter(|p| partitions.contains(&p.partition));
            let unread = positions.filter(|position| position.end.is_none_or(|end| position.next < end));
            let from: Vec<_> = unread.map(|position| (position.partition, position.next)).collect();
            if !from.is_empty() {
                let client = self.cluster.broker(*leader);
                let sent = client.and_then(|client| client.send_fetch(&self.topic, &from, wait));
                sent.map_err(Failure::Passing)?;
                asked.push(*leader);
            }
        }
        if asked.is_empty() {
            std::thread::sleep(wait);
        }
        let mut go_on = true;
        for leader in asked {
            let client = self.cluster.broker(leader);
            let fetched = match client.and_then(|client| client.receive_fetch()) {
                Ok(fetched) => fetched,
                Err(error) => return Err(Failure::Passing(error)),
            };
            for (partition, fetched) in fetched {
                if !go_on {
                    break;
                }
                let name = format!("{}-{partition}", self.topic);
                let fetched = match fetched {
                    Ok(fetched) => fetched,
                    Err(code) => return Err(refused(code, &name)),
                };
                if let Some(position) = self.positions.iter_mut().find(|position| position.partition == partition) {
                    go_on = hand_out(&fetched, position, &mut self.scratch, &name, take).map_err(Failure::Final)?;
                }
            }
        }
        self.leaders = leaders;
        Ok(())
    }

    fn find_leaders(&mut self) -> Result<(), Failure> {
        let found = self.cluster.topic(&self.topic, false).map_err(|error| match error.kind() {
            io::ErrorKind::Other => Failure::Final(error), // what a broker said
            _ => Failure::Passing(error),
        });
        self.leaders = found?.by_leader().into_iter().collect();
        Ok(())
    }
}

/// Why a poll brought nothing.
enum Failure {
    /// It may work in a moment.
    Passing(io::Error),
    /// It will not.
    Final(io::Error),
}

fn refused(code: ErrorCode, name: &str) -> Failure {
    let error = check(code, name).err().unwrap_or_else(|| io::Error::other("no error"));
    match code {
        ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::REPLICA_NOT_AVAILABLE
        | ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::UNKNOWN_LEADER_EPOCH
        | ErrorCode::OFFSET_NOT_AVAILABLE
        | ErrorCode::THROTTLING_QUOTA_EXCEEDED => Failure::Passing(error),
        _ => Failure::Final(error),
    }
}

/// Hands out the records of whole batches and moves the position behind them; false when enough was taken.
fn hand_out(
    fetched: &Fetched<'_>,
    position: &mut Position,
    scratch: &mut Vec<u8>,
    name: &str,
    take: Take<'_>,
) -> io::Result<bool> {
    let damage = |error| io::Error::other(format!("{name}: {error}"));
    for batch in Batches::new(fetched.records) {
        let Ok(batch) = batch else { break }; // a part of a batch: it comes again, whole
        batch.check_crc().map_err(damage)?;
        if !batch.is_control() {
            for record in open(&batch, scratch, BATCH_BYTES_MAX).map_err(damage)? {
                let record = record.map_err(damage)?;
                if record.offset < position.next || position.end.is_some_and(|end| record.offset >= end) {
                    continue;
                }
                if !take(position.partition, &record)? {
                    return Ok(false);
                }
                position.next = Offset(record.offset.0 + 1);
            }
        }
        position.next = position.next.max(batch.next_offset());
    }
    Ok(true)
}
