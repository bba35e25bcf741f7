//! The account of the demonstration: what was acknowledged to each sensor against what the Kafka reader has seen.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use super::sensor::Readings;

#[derive(Default)]
struct Seen {
    /// One flag a reading.
    numbers: Vec<bool>,
    again: u64,
}

/// Shared by sensors, reader and table.
pub struct Ledger {
    readings: Vec<Arc<Readings>>,
    seen: Mutex<Vec<Seen>>,
}

impl Ledger {
    /// An account for these sensors, nothing seen yet.
    pub fn new(readings: Vec<Arc<Readings>>) -> Ledger {
        let seen = readings.iter().map(|_| Seen::default()).collect();
        Ledger { readings, seen: Mutex::new(seen) }
    }

    /// The reader found this reading in the topic.
    pub fn saw(&self, sensor: usize, number: u64) {
        let mut seen = self.seen.lock().expect("nobody panics while holding it");
        if let Some(seen) = seen.get_mut(sensor) {
            let number = number as usize;
            if seen.numbers.len() <= number {
                seen.numbers.resize(number + 1, false);
            }
            if std::mem::replace(&mut seen.numbers[number], true) {
                seen.again += 1;
            }
        }
    }

    /// Readings sent.
    pub fn sent(&self) -> u64 {
        self.readings.iter().map(|readings| readings.sent.load(Ordering::Relaxed)).sum()
    }

    /// Readings acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.readings.iter().map(|readings| readings.acknowledged.load(Ordering::Relaxed)).sum()
    }

    /// Connections that sensors had to make again.
    pub fn reconnects(&self) -> u64 {
        self.readings.iter().map(|readings| readings.reconnects.load(Ordering::Relaxed)).sum()
    }

    /// Different readings that came out.
    pub fn out(&self) -> u64 {
        let seen = self.seen.lock().expect("nobody panics while holding it");
        seen.iter().map(|seen| seen.numbers.iter().filter(|&&seen| seen).count() as u64).sum()
    }

    /// Readings that came out more than once: sent again because their acknowledgement was lost with the connection.
    pub fn again(&self) -> u64 {
        self.seen.lock().expect("nobody panics while holding it").iter().map(|seen| seen.again).sum()
    }

    /// Acknowledged readings that have not come out yet.
    pub fn on_the_way(&self) -> u64 {
        self.missing_of(&self.acknowledged_each())
    }

    /// How many readings each sensor knows to be acknowledged.
    pub fn acknowledged_each(&self) -> Vec<u64> {
        self.readings.iter().map(|readings| readings.acknowledged.load(Ordering::Relaxed)).collect()
    }

    /// Of the first so many readings of each sensor, those that have not come out.
    pub fn missing_of(&self, acknowledged: &[u64]) -> u64 {
        let seen = self.seen.lock().expect("nobody panics while holding it");
        let missing = acknowledged.iter().zip(seen.iter()).map(|(&acknowledged, seen)| {
            let came_out = seen.numbers.iter().take(acknowledged as usize).filter(|&&seen| seen).count();
            acknowledged - came_out as u64
        });
        missing.sum()
    }

    /// The last line of the demonstration.
    pub fn verdict(&self) -> String {
        let (acknowledged, out, lost) = (self.acknowledged(), self.out(), self.on_the_way());
        let verdict = if lost == 0 && acknowledged > 0 { "nothing was lost" } else { "FAILED" };
        format!(
            "verdict: {verdict}: sent={} acknowledged={acknowledged} out={out} lost={lost} sent_again_by_sensors={}",
            self.sent(),
            self.again()
        )
    }
}
