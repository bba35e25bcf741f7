//! `tern bench`: a load on a node's own doors, with what was acknowledged and how long each acknowledgement took.
//!
//! Client-side only. Each load runs on one thread, so that it costs little beside what it measures, and against any
//! broker of its protocol, so that two brokers can be compared in one run.

pub mod consume;
mod histogram;
pub mod latency;
pub mod mqtt;
pub mod produce;

use std::io;
use std::time::Duration;

use histogram::Histogram;

use crate::cli::kafka::Cluster;
use crate::types::PartitionIndex;

/// The loads of `tern bench`.
#[derive(clap::Subcommand, Debug)]
pub enum Load {
    /// Publishers on the MQTT door (any MQTT 3.1.1 broker)
    Mqtt {
        /// Broker
        #[arg(long, default_value = "127.0.0.1:1883", value_name = "HOST:PORT")]
        address: String,
        /// Connections
        #[arg(long, default_value_t = 50)]
        publishers: usize,
        /// Unacknowledged messages a publisher keeps
        #[arg(long, default_value_t = 20)]
        in_flight: usize,
        /// Payload of each message
        #[arg(long, default_value_t = 200)]
        bytes: usize,
        /// Quality of service
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
        qos: u8,
        /// MQTT topic; {n} is the publisher's number
        #[arg(long, default_value = "bench/{n}")]
        topic: String,
        /// Duration
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Producers on the Kafka door, acks=all (any Kafka broker)
    Produce {
        /// Broker
        #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
        bootstrap: String,
        /// Topic; it is created when the broker allows that
        #[arg(long, default_value = "bench")]
        topic: String,
        /// Connections
        #[arg(long, default_value_t = 4)]
        connections: usize,
        /// Requests a connection keeps in flight
        #[arg(long, default_value_t = 5)]
        in_flight: usize,
        /// Records in a request's batch
        #[arg(long, default_value_t = 64)]
        records: usize,
        /// Bytes of a record
        #[arg(long, default_value_t = 1000)]
        bytes: usize,
        /// Duration
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// One consumer, from the beginning
    Consume {
        /// Broker
        #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
        bootstrap: String,
        /// Topic
        #[arg(long, default_value = "bench")]
        topic: String,
        /// One partition alone; all of them without it
        #[arg(long)]
        partition: Option<i32>,
        /// Duration at most
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// From a producer to a consumer at a fixed rate, one record a request (any Kafka broker)
    Latency {
        /// Broker
        #[arg(long, default_value = "127.0.0.1:9092", value_name = "HOST:PORT")]
        bootstrap: String,
        /// Topic, which exists
        #[arg(long, default_value = "bench")]
        topic: String,
        /// Records a second
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        rate: u32,
        /// Bytes of a record, at least 8
        #[arg(long, default_value_t = 100)]
        bytes: usize,
        /// Duration
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
}

/// Runs one load and prints its line.
pub fn run(load: Load) -> io::Result<()> {
    let (what, outcome) = match load {
        Load::Mqtt { address, publishers, in_flight, bytes, qos, topic, seconds } => {
            let duration = Duration::from_secs(seconds);
            let load = mqtt::Load { address, publishers, in_flight, payload_bytes: bytes, qos, duration, topic };
            ("messages_acknowledged", on_one_thread(mqtt::run(load))?)
        }
        Load::Produce { bootstrap, topic, connections, in_flight, records, bytes, seconds } => {
            let partitions = partitions(&bootstrap, &topic, true)?.len() as i32;
            let load = produce::Load {
                address: bootstrap,
                topic,
                partitions,
                connections,
                in_flight,
                records,
                record_bytes: bytes,
                duration: Duration::from_secs(seconds),
                check_errors: true,
            };
            ("records_acknowledged", on_one_thread(produce::run(load))?)
        }
        Load::Consume { bootstrap, topic, partition, seconds } => {
            let mut partitions = partitions(&bootstrap, &topic, false)?;
            partitions.retain(|index| partition.is_none_or(|only| *index == PartitionIndex(only)));
            ("records_read", consume::run(&bootstrap, &topic, &partitions, Duration::from_secs(seconds))?)
        }
        Load::Latency { bootstrap, topic, rate, bytes, seconds } => {
            let duration = Duration::from_secs(seconds);
            let partitions = partitions(&bootstrap, &topic, false)?;
            let load = latency::Load { address: bootstrap, topic, partitions, rate, record_bytes: bytes, duration };
            ("records_consumed", latency::run(&load)?)
        }
    };
    println!("{}", outcome.report(what));
    Ok(())
}

/// The partitions of a topic, all of which the broker asked must lead; `create` lets it create the topic.
fn partitions(bootstrap: &str, topic: &str, create: bool) -> io::Result<Vec<PartitionIndex>> {
    let topic = Cluster::connect(bootstrap)?.topic(topic, create)?;
    Ok(topic.partitions.iter().map(|partition| partition.index).collect())
}

/// Runs a load to its end on this thread alone.
pub fn on_one_thread(load: impl Future<Output = io::Result<Outcome>>) -> io::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, load)
}

/// What a load achieved.
#[derive(Default)]
pub struct Outcome {
    /// Messages, records or requests that were acknowledged or read.
    pub acknowledged: u64,
    /// Payload bytes of those.
    pub bytes: u64,
    /// From the first connection to the last acknowledgement.
    pub elapsed: Duration,
    /// From sending to acknowledgement, or to consumption.
    pub latency: Histogram,
    /// To acknowledgement, where `latency` is to consumption.
    pub acknowledgement: Option<Histogram>,
}

impl Outcome {
    /// One line for people and scripts.
    pub fn report(&self, what: &str) -> String {
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        let acknowledgement =
            self.acknowledgement.as_ref().map(|latency| format!("; to acknowledgement: {}", latency.summary()));
        format!(
            "{what}={} seconds={seconds:.3} per_second={:.0} megabytes_per_second={:.2} latency: {}{}",
            self.acknowledged,
            self.acknowledged as f64 / seconds,
            self.bytes as f64 / seconds / 1e6,
            self.latency.summary(),
            acknowledgement.unwrap_or_default()
        )
    }
}
