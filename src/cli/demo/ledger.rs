//! The account of the demonstration: what was acknowledged to each sensor against what the Kafka reader has seen.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::sensor::Readings;

#[derive(Default)]
struct Seen {
    /// One flag a reading.
    numbers: Vec<bool>,
    /// Those that came out more than once.
    again: Vec<u64>,
    /// Those that came out for the first time after a later one of their sensor.
    overtaken: u64,
    /// The latest that came out.
    latest: Option<u64>,
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
            let index = number as usize;
            if seen.numbers.len() <= index {
                seen.numbers.resize(index + 1, false);
            }
            if std::mem::replace(&mut seen.numbers[index], true) {
                seen.again.push(number);
            } else {
                seen.overtaken += u64::from(seen.latest.is_some_and(|latest| latest > number));
                seen.latest = seen.latest.max(Some(number));
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

    /// Readings that came out more than once because their sensor sent them again: their acknowledgement was lost with
    /// the connection. And those that came out more than once although it sent them once.
    pub fn again(&self) -> (u64, u64) {
        let seen = self.seen.lock().expect("nobody panics while holding it");
        let (mut sent_again, mut doubled) = (0, 0);
        for (seen, readings) in seen.iter().zip(&self.readings) {
            let ranges = readings.sent_again.lock().expect("nobody panics while holding it");
            for number in &seen.again {
                let was_sent_again = ranges.iter().any(|(first, last)| (first..=last).contains(&number));
                *if was_sent_again { &mut sent_again } else { &mut doubled } += 1;
            }
        }
        (sent_again, doubled)
    }

    /// Readings that came out behind a later one of the same sensor.
    pub fn overtaken(&self) -> u64 {
        self.seen.lock().expect("nobody panics while holding it").iter().map(|seen| seen.overtaken).sum()
    }

    /// The longest that any sensor waited for an acknowledgement.
    pub fn longest_wait(&self) -> Duration {
        let longest = self.readings.iter().map(|readings| readings.longest_wait_micros.load(Ordering::Relaxed)).max();
        Duration::from_micros(longest.unwrap_or(0))
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

    /// True when nothing acknowledged is missing, nothing came out doubled, nothing overtaken.
    pub fn is_good(&self) -> bool {
        self.acknowledged() > 0 && self.on_the_way() == 0 && self.again().1 == 0 && self.overtaken() == 0
    }

    /// The last line of the demonstration.
    pub fn verdict(&self) -> String {
        let verdict = if self.is_good() { "nothing was lost, doubled or overtaken" } else { "FAILED" };
        let (sent_again, doubled) = self.again();
        format!(
            "verdict: {verdict}: sent={} acknowledged={} out={} lost={} doubled={doubled} overtaken={} \
             sent_again_by_sensors={sent_again} reconnects={} longest_wait_ms={}",
            self.sent(),
            self.acknowledged(),
            self.out(),
            self.on_the_way(),
            self.overtaken(),
            self.reconnects(),
            self.longest_wait().as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(acknowledged: u64, sent_again: &[(u64, u64)]) -> Ledger {
        let readings = Readings { sent_again: Mutex::new(sent_again.to_vec()), ..Default::default() };
        readings.acknowledged.store(acknowledged, Ordering::Relaxed);
        Ledger::new(vec![Arc::new(readings)])
    }

    fn after(acknowledged: u64, sent_again: &[(u64, u64)], out: &[u64]) -> Ledger {
        let ledger = ledger(acknowledged, sent_again);
        out.iter().for_each(|&number| ledger.saw(0, number));
        ledger
    }

    /// All that was acknowledged came out in order; what was not acknowledged may.
    #[test]
    fn good() {
        assert!(after(3, &[], &[0, 1, 2, 3]).is_good());
        assert!(!after(0, &[], &[]).is_good());
    }

    /// Each way to go wrong is a verdict of its own.
    #[test]
    fn lost_doubled_overtaken() {
        assert!(after(3, &[], &[0, 2]).verdict().contains("FAILED: sent=0 acknowledged=3 out=2 lost=1 doubled=0 "));
        assert!(after(3, &[], &[0, 1, 1, 2]).verdict().contains("lost=0 doubled=1 overtaken=0"));
        assert!(after(3, &[], &[0, 2, 1]).verdict().contains("FAILED"));
        assert_eq!(after(3, &[], &[0, 2, 1]).overtaken(), 1);
    }

    /// A reading that its sensor sent twice may come out twice, once in order.
    #[test]
    fn sent_again() {
        let ledger = after(4, &[(1, 2)], &[0, 1, 2, 1, 2, 3]);
        assert!(ledger.is_good());
        assert_eq!(ledger.again(), (2, 0));
    }
}
