//! What the nodes say of themselves, asked four times a second through their Kafka and HTTP doors, a thread a node: one
//! that does not answer keeps nobody else waiting.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::TOPIC;
use super::node::{Condition, Node};
use crate::cli::http;
use crate::cli::kafka::Cluster;

/// Between two questions to a node.
const RHYTHM: Duration = Duration::from_millis(250);

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_millis(700);

/// What a node said last.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The controller that it knows; -1: none.
    pub controller: i32,
    /// Leader and ISR of each partition of the topic, as it knows them.
    pub partitions: Vec<(i32, Vec<i32>)>,
    /// The end of what is committed in its copy of each partition.
    pub ends: BTreeMap<i32, i64>,
}

/// All nodes' last words.
pub struct Monitor {
    sights: Vec<Arc<Mutex<Sight>>>,
    is_over: Arc<AtomicBool>,
}

/// What may be believed of the whole: the word of a node to which nothing was done.
#[derive(Clone, Debug, Default)]
pub struct Whole {
    /// -1: none.
    pub controller: i32,
    /// Leader and ISR of each partition.
    pub partitions: Vec<(i32, Vec<i32>)>,
    /// How many records each node's copies are behind the furthest, by node.
    pub lags: Vec<i64>,
}

impl Monitor {
    /// Begins to ask the nodes.
    pub fn new(nodes: &[Node]) -> Monitor {
        let is_over = Arc::new(AtomicBool::new(false));
        let mut sights = Vec::new();
        for node in nodes {
            let sight: Arc<Mutex<Sight>> = Arc::default();
            let (doors, is_over, mine) = (node.doors.clone(), is_over.clone(), sight.clone());
            thread::spawn(move || {
                let mut cluster = None;
                while !is_over.load(Ordering::Relaxed) {
                    match look(&mut cluster, &doors.kafka, &doors.http) {
                        Ok(seen) => *mine.lock().expect("nobody panics while holding it") = seen,
                        Err(_) => cluster = None, // killed, paused or busy: what it said last stands
                    }
                    thread::sleep(RHYTHM);
                }
            });
            sights.push(sight);
        }
        Monitor { sights, is_over }
    }

    /// What is known now.
    pub fn whole(&self, nodes: &[Node]) -> Whole {
        let copy = |sight: &Arc<Mutex<Sight>>| sight.lock().expect("nobody panics while holding it").clone();
        let sights: Vec<Sight> = self.sights.iter().map(copy).collect();
        let mut pairs = nodes.iter().zip(&sights);
        let running = pairs.find(|(node, _)| node.condition == Condition::Running).map(|(_, sight)| sight);
        let believed = running.or(sights.first()).cloned().unwrap_or_default();
        let furthest = |partition: &i32| sights.iter().filter_map(|sight| sight.ends.get(partition)).max().copied();
        let behind = |sight: &Sight| {
            let of = |index: usize| {
                let partition = index as i32;
                furthest(&partition).unwrap_or(0) - sight.ends.get(&partition).copied().unwrap_or(0)
            };
            (0..believed.partitions.len()).map(of).sum()
        };
        let lags = sights.iter().map(behind).collect();
        Whole { controller: believed.controller, partitions: believed.partitions, lags }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

impl Whole {
    /// How many partitions a node leads.
    pub fn led_by(&self, node: usize) -> usize {
        self.partitions.iter().filter(|(leader, _)| *leader == node as i32).count()
    }

    /// In how many partitions a node is in sync.
    pub fn in_sync(&self, node: usize) -> usize {
        self.partitions.iter().filter(|(_, isr)| isr.contains(&(node as i32))).count()
    }

    /// True when every partition has a leader and there is a controller, none of them this node.
    pub fn goes_on_without(&self, node: usize) -> bool {
        let is_other = |leader: i32| leader >= 0 && leader != node as i32;
        is_other(self.controller)
            && !self.partitions.is_empty()
            && self.partitions.iter().all(|(leader, _)| is_other(*leader))
    }

    /// True when every copy of every partition is in sync.
    pub fn is_whole(&self, nodes: usize) -> bool {
        !self.partitions.is_empty() && self.partitions.iter().all(|(leader, isr)| *leader >= 0 && isr.len() == nodes)
    }
}

fn look(cluster: &mut Option<Cluster>, kafka: &str, page: &str) -> io::Result<Sight> {
    let cluster = match cluster {
        Some(cluster) => cluster,
        none => none.insert(Cluster::connect_within(kafka, Some(PATIENCE))?),
    };
    let found = cluster.metadata(Some(&[TOPIC]), false)?.pop();
    let partitions = found.map(|(topic, _)| topic.partitions).unwrap_or_default();
    let partitions = partitions.iter().map(|one| (one.leader.0, one.isr.iter().map(|id| id.0).collect())).collect();
    let ends = ends(&http::get(page, "/metrics", PATIENCE)?);
    Ok(Sight { controller: cluster.controller_id().0, partitions, ends })
}

/// The line of each partition, in Prometheus' text.
fn ends(metrics: &str) -> BTreeMap<i32, i64> {
    let of_line = |line: &str| {
        let rest = line.strip_prefix("kafka_topic_partition_current_offset{partition=\"")?;
        let (partition, rest) = rest.split_once("\",topic=\"")?;
        let (topic, end) = rest.split_once("\"} ")?;
        if topic == TOPIC { Some((partition.parse().ok()?, end.parse().ok()?)) } else { None }
    };
    metrics.lines().filter_map(of_line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ends of the topic's partitions, of no other topic's and of nothing else.
    #[test]
    fn lines() {
        let name = "kafka_topic_partition_current_offset";
        let text = format!(
            "# HELP {name} x\n{name}{{partition=\"0\",topic=\"sensors\"}} 17\n{name}{{partition=\"0\",topic=\"other\"}} 3\n\
             {name}{{partition=\"2\",topic=\"sensors\"}} 5\nkafka_brokers 3\n"
        );
        assert_eq!(ends(&text), BTreeMap::from([(0, 17), (2, 5)]));
    }

    /// Who leads and who is in sync, with and without a node.
    #[test]
    fn wholes() {
        let partitions = vec![(1, vec![1, 2, 3]), (2, vec![1, 2])];
        let whole = Whole { controller: 2, partitions, lags: vec![0, 0, 9] };
        assert_eq!((whole.led_by(1), whole.in_sync(3), whole.in_sync(2)), (1, 1, 2));
        assert!(whole.goes_on_without(3) && !whole.goes_on_without(1) && !whole.goes_on_without(2));
        assert!(!whole.is_whole(3));
        assert!(!Whole::default().is_whole(0) && !Whole::default().goes_on_without(1));
    }
}
