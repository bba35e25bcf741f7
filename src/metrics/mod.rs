//! Fixed counters, gauges and histograms. Nothing allocates after start, and nothing here changes what a node does.
//!
//! Invariant: every number has one name, and `visit` tells all of them; the HTTP door renders what it is told.
//! Any room counts; only the HTTP door and the command line read.

mod instruments;

pub use instruments::{Counter, DURATION_BOUNDS_MICROS, Gauge, Histogram, SIZE_BOUNDS};

/// All numbers of the process.
pub static METRICS: Metrics = Metrics::new();

/// What every door counts.
#[derive(Debug)]
pub struct DoorMetrics {
    /// Open now; the door counts.
    pub connections: Gauge,
    /// Accepted since the start; the runtime counts.
    pub connections_accepted: Counter,
    /// Closed at once, because there was no room; the runtime counts.
    pub connections_refused: Counter,
    /// Bytes that came in.
    pub bytes_in: Counter,
    /// Bytes that were handed over for sending.
    pub bytes_out: Counter,
    /// Requests, packets or commands that were understood.
    pub requests: Counter,
    /// Records that came in.
    pub messages_in: Counter,
    /// Records that went out.
    pub messages_out: Counter,
    /// Records whose sender was told that they are safe.
    pub acknowledged: Counter,
    /// Frames that made no sense or were too large.
    pub frames_refused: Counter,
    /// Records that were given up, as the protocol allows.
    pub messages_dropped: Counter,
    /// Times a connection had to wait for memory before it was read again.
    pub pauses: Counter,
    /// Answers that told a client to wait for its quota.
    pub throttled: Counter,
}

/// What the disk lanes and the log count.
#[derive(Debug)]
pub struct DiskMetrics {
    /// How long each sync took; its largest is the longest sync.
    pub sync_micros: Histogram,
    /// How long each job of a lane took, syncs included.
    pub job_micros: Histogram,
    /// Bytes written to files.
    pub bytes_written: Counter,
    /// Bytes read from files, except through maps.
    pub bytes_read: Counter,
    /// Bytes of each write round.
    pub round_bytes: Histogram,
    /// Batches of each write round.
    pub round_batches: Histogram,
    /// Rounds that went through the journal, syncing one file for many partitions.
    pub rounds_journalled: Counter,
    /// Bytes that finished compactions read.
    pub compacted_bytes_read: Counter,
    /// Bytes that finished compactions wrote.
    pub compacted_bytes_written: Counter,
    /// Records that finished compactions removed.
    pub compacted_records_removed: Counter,
    /// 1 while the disk is too full to take records.
    pub full: Gauge,
    /// Room left on the disk of the topics' files.
    pub free_bytes: Gauge,
    /// Size of that disk.
    pub total_bytes: Gauge,
}

/// What the runtime counts.
#[derive(Debug)]
pub struct RuntimeMetrics {
    /// How long each turn of the runtime's thread took: inputs, steps and effects, without waiting.
    pub step_micros: Histogram,
    /// Lines of diagnostics that were not printed, because too many came.
    pub lines_suppressed: Counter,
    /// 1 when wall time is believed.
    pub clock_sane: Gauge,
    /// File descriptors in use, as of the last look at the disk.
    pub open_files: Gauge,
    /// How many there may be.
    pub open_files_max: Gauge,
    /// 1 when the board tells about its supply and its heat, 2 when about its supply alone.
    pub power_told: Gauge,
    /// What it tells, in the firmware's bits: `POWER_LOW` and `POWER_CAPPED` in the last two seconds, shifted by
    /// `POWER_SEEN_SHIFT` since the node's start.
    pub power_bits: Gauge,
}

/// Of `RuntimeMetrics::power_bits`: the supply is below 4.63 V.
pub const POWER_LOW: u32 = 1;

/// The frequency is capped, the board throttled, or the soft temperature limit reached.
pub const POWER_CAPPED: u32 = 0b1110;

/// The bits of now, shifted by so many, are those of any time since the node's start.
pub const POWER_SEEN_SHIFT: u32 = 16;

/// What the coordinator counts.
#[derive(Debug)]
pub struct TreeMetrics {
    /// Transactions applied, failed ones included.
    pub transactions: Counter,
    /// Snapshots written.
    pub snapshots: Counter,
    /// Sessions of ZooKeeper clients that were silent for too long.
    pub sessions_expired: Counter,
}

/// What goes on between the members of an ensemble.
#[derive(Debug)]
pub struct PeerMetrics {
    /// Connections to members, on both ports.
    pub connections: Gauge,
    /// Bytes of messages that came in.
    pub bytes_in: Counter,
    /// Bytes of messages that were queued.
    pub bytes_out: Counter,
    /// Messages that found a full queue.
    pub messages_dropped: Counter,
    /// Times reading waited for memory.
    pub pauses: Counter,
    /// Connections that did not prove to be of a member.
    pub strangers: Counter,
    /// What this node is in the quorum: 0 nothing yet, 1 observer, 2 follower, 3 candidate, 4 leader.
    pub role: Gauge,
    /// The quorum's term.
    pub term: Gauge,
    /// Times this node has become the quorum's leader.
    pub elections_won: Counter,
    /// Transactions forwarded to the quorum's leader.
    pub forwarded: Counter,
    /// Sessions that this node, leading, has let expire.
    pub sessions_expired: Counter,
    /// Snapshots received from another member.
    pub snapshots_received: Counter,
}

/// Every number.
#[derive(Debug)]
pub struct Metrics {
    /// The Kafka door.
    pub kafka: DoorMetrics,
    /// The ZooKeeper door.
    pub zookeeper: DoorMetrics,
    /// The MQTT door.
    pub mqtt: DoorMetrics,
    /// The HTTP door.
    pub http: DoorMetrics,
    /// The coordinator.
    pub tree: TreeMetrics,
    /// Disk lanes and log.
    pub disk: DiskMetrics,
    /// The runtime's thread.
    pub runtime: RuntimeMetrics,
    /// The other members.
    pub peers: PeerMetrics,
}

/// One number or histogram as `visit` tells it. Names follow Prometheus: `_total` counts, seconds and bytes.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// The name.
    pub name: &'static str,
    /// What it counts, in a sentence.
    pub help: &'static str,
    /// The door it belongs to; empty when to none.
    pub door: &'static str,
    /// The number itself.
    pub value: SampleValue<'a>,
}

/// The kinds of numbers.
#[derive(Clone, Copy, Debug)]
pub enum SampleValue<'a> {
    /// Counts up.
    Counter(u64),
    /// Goes up and down.
    Gauge(i64),
    /// Durations; told in seconds.
    Durations(&'a Histogram),
    /// Only the longest duration; told in seconds.
    Longest(&'a Histogram),
    /// Sizes or counts.
    Sizes(&'a Histogram),
}

impl DoorMetrics {
    const fn new() -> DoorMetrics {
        DoorMetrics {
            connections: Gauge::new(),
            connections_accepted: Counter::new(),
            connections_refused: Counter::new(),
            bytes_in: Counter::new(),
            bytes_out: Counter::new(),
            requests: Counter::new(),
            messages_in: Counter::new(),
            messages_out: Counter::new(),
            acknowledged: Counter::new(),
            frames_refused: Counter::new(),
            messages_dropped: Counter::new(),
            pauses: Counter::new(),
            throttled: Counter::new(),
        }
    }
}

impl Metrics {
    const fn new() -> Metrics {
        Metrics {
            kafka: DoorMetrics::new(),
            zookeeper: DoorMetrics::new(),
            mqtt: DoorMetrics::new(),
            http: DoorMetrics::new(),
            tree: TreeMetrics {
                transactions: Counter::new(),
                snapshots: Counter::new(),
                sessions_expired: Counter::new(),
            },
            disk: DiskMetrics {
                sync_micros: Histogram::new(&DURATION_BOUNDS_MICROS),
                job_micros: Histogram::new(&DURATION_BOUNDS_MICROS),
                bytes_written: Counter::new(),
                bytes_read: Counter::new(),
                round_bytes: Histogram::new(&SIZE_BOUNDS),
                round_batches: Histogram::new(&SIZE_BOUNDS),
                rounds_journalled: Counter::new(),
                compacted_bytes_read: Counter::new(),
                compacted_bytes_written: Counter::new(),
                compacted_records_removed: Counter::new(),
                full: Gauge::new(),
                free_bytes: Gauge::new(),
                total_bytes: Gauge::new(),
            },
            runtime: RuntimeMetrics {
                step_micros: Histogram::new(&DURATION_BOUNDS_MICROS),
                lines_suppressed: Counter::new(),
                clock_sane: Gauge::new(),
                open_files: Gauge::new(),
                open_files_max: Gauge::new(),
                power_told: Gauge::new(),
                power_bits: Gauge::new(),
            },
            peers: PeerMetrics {
                connections: Gauge::new(),
                bytes_in: Counter::new(),
                bytes_out: Counter::new(),
                messages_dropped: Counter::new(),
                pauses: Counter::new(),
                strangers: Counter::new(),
                role: Gauge::new(),
                term: Gauge::new(),
                elections_won: Counter::new(),
                forwarded: Counter::new(),
                sessions_expired: Counter::new(),
                snapshots_received: Counter::new(),
            },
        }
    }

    /// Tells every number, those of one name one after the other.
    pub fn visit(&self, visitor: &mut dyn FnMut(Sample<'_>)) {
        self.visit_doors(visitor);
        use SampleValue::{Counter, Durations, Gauge, Longest, Sizes};
        let (tree, disk, runtime, peers) = (&self.tree, &self.disk, &self.runtime, &self.peers);
        for (name, help, value) in [
            ("tern_disk_syncs_total", "Syncs of files.", Counter(disk.sync_micros.count())),
            ("tern_disk_sync_seconds", "How long each sync took.", Durations(&disk.sync_micros)),
            ("tern_disk_sync_longest_seconds", "The longest sync since the start.", Longest(&disk.sync_micros)),
            ("tern_disk_job_seconds", "How long each job of a disk lane took.", Durations(&disk.job_micros)),
            ("tern_disk_written_bytes_total", "Bytes written to files.", Counter(disk.bytes_written.get())),
            ("tern_disk_read_bytes_total", "Bytes read from files.", Counter(disk.bytes_read.get())),
            ("tern_disk_round_bytes", "Bytes of each write round.", Sizes(&disk.round_bytes)),
            ("tern_disk_round_batches", "Batches of each write round.", Sizes(&disk.round_batches)),
            (
                "tern_disk_rounds_journalled_total",
                "Write rounds that went through the journal.",
                Counter(disk.rounds_journalled.get()),
            ),
            (
                "tern_compaction_read_bytes_total",
                "Bytes that finished compactions read.",
                Counter(disk.compacted_bytes_read.get()),
            ),
            (
                "tern_compaction_written_bytes_total",
                "Bytes that finished compactions wrote.",
                Counter(disk.compacted_bytes_written.get()),
            ),
            (
                "tern_compaction_removed_records_total",
                "Records that finished compactions removed.",
                Counter(disk.compacted_records_removed.get()),
            ),
            ("tern_disk_full", "1 while the disk is too full to take records.", Gauge(disk.full.get())),
            ("tern_disk_free_bytes", "Room left on the disk of the topics' files.", Gauge(disk.free_bytes.get())),
            ("tern_disk_size_bytes", "Size of the disk of the topics' files.", Gauge(disk.total_bytes.get())),
            ("tern_step_seconds", "How long each turn of the runtime's thread took.", Durations(&runtime.step_micros)),
            (
                "tern_step_over_10ms_total",
                "Turns of the runtime's thread that took longer than 10 ms.",
                Counter(runtime.step_micros.above(10_000)),
            ),
            (
                "tern_step_longest_seconds",
                "The longest turn of the runtime's thread since the start.",
                Longest(&runtime.step_micros),
            ),
            (
                "tern_log_lines_suppressed_total",
                "Lines of diagnostics that were not printed.",
                Counter(runtime.lines_suppressed.get()),
            ),
            ("tern_open_files", "File descriptors in use.", Gauge(runtime.open_files.get())),
            ("tern_open_files_max", "File descriptors that may be in use.", Gauge(runtime.open_files_max.get())),
            (
                "tern_board_power_told",
                "1 when the board tells about its supply and its heat, 2 when about its supply alone.",
                Gauge(runtime.power_told.get()),
            ),
            (
                "tern_board_power_bits",
                "As get_throttled has it: 1 under-voltage, 2, 4 and 8 throttled; times 65536: since the node's start.",
                Gauge(runtime.power_bits.get()),
            ),
            ("tern_tree_transactions_total", "Transactions applied to the tree.", Counter(tree.transactions.get())),
            ("tern_tree_snapshots_total", "Snapshots of the tree written.", Counter(tree.snapshots.get())),
            (
                "tern_tree_sessions_expired_total",
                "Sessions of ZooKeeper clients that expired.",
                Counter(tree.sessions_expired.get()),
            ),
            ("tern_clock_sane", "1 when wall time is believed.", Gauge(runtime.clock_sane.get())),
            (
                "tern_quorum_role",
                "0 nothing yet, 1 observer, 2 follower, 3 candidate, 4 leader.",
                Gauge(peers.role.get()),
            ),
            ("tern_quorum_term", "The quorum's term.", Gauge(peers.term.get())),
            ("tern_quorum_elections_won_total", "Elections won by this node.", Counter(peers.elections_won.get())),
            ("tern_quorum_forwarded_total", "Writes forwarded to the leader.", Counter(peers.forwarded.get())),
            (
                "tern_quorum_sessions_expired_total",
                "Sessions that this node, leading, has ended for their silence.",
                Counter(peers.sessions_expired.get()),
            ),
            (
                "tern_quorum_snapshots_received_total",
                "Snapshots received from another member.",
                Counter(peers.snapshots_received.get()),
            ),
            ("tern_peer_connections", "Connections to other members.", Gauge(peers.connections.get())),
            ("tern_peer_received_bytes_total", "Bytes from other members.", Counter(peers.bytes_in.get())),
            ("tern_peer_sent_bytes_total", "Bytes for other members.", Counter(peers.bytes_out.get())),
            (
                "tern_peer_messages_dropped_total",
                "Messages for members that found no room.",
                Counter(peers.messages_dropped.get()),
            ),
            ("tern_peer_pauses_total", "Times reading from a member waited for memory.", Counter(peers.pauses.get())),
            (
                "tern_peer_strangers_total",
                "Connections at the ports of members that were turned away.",
                Counter(peers.strangers.get()),
            ),
        ] {
            visitor(Sample { name, help, door: "", value });
        }
    }

    fn visit_doors(&self, visitor: &mut dyn FnMut(Sample<'_>)) {
        type Pick = fn(&DoorMetrics) -> SampleValue<'static>;
        use SampleValue::{Counter, Gauge};
        let doors =
            [("kafka", &self.kafka), ("zookeeper", &self.zookeeper), ("mqtt", &self.mqtt), ("http", &self.http)];
        let numbers: [(&'static str, &'static str, Pick); 13] = [
            ("tern_connections", "Open connections.", |door| Gauge(door.connections.get())),
            ("tern_connections_accepted_total", "Accepted connections.", |door| {
                Counter(door.connections_accepted.get())
            }),
            ("tern_connections_refused_total", "Connections there was no room for.", |door| {
                Counter(door.connections_refused.get())
            }),
            ("tern_received_bytes_total", "Bytes that came in.", |door| Counter(door.bytes_in.get())),
            ("tern_sent_bytes_total", "Bytes that went out.", |door| Counter(door.bytes_out.get())),
            ("tern_requests_total", "Requests or packets that were understood.", |door| Counter(door.requests.get())),
            ("tern_messages_in_total", "Records that came in.", |door| Counter(door.messages_in.get())),
            ("tern_messages_out_total", "Records that went out.", |door| Counter(door.messages_out.get())),
            ("tern_messages_acknowledged_total", "Records whose sender was told that they are safe.", |door| {
                Counter(door.acknowledged.get())
            }),
            ("tern_frames_refused_total", "Frames that made no sense.", |door| Counter(door.frames_refused.get())),
            ("tern_messages_dropped_total", "Records that were given up.", |door| Counter(door.messages_dropped.get())),
            ("tern_pauses_total", "Times a connection waited for memory.", |door| Counter(door.pauses.get())),
            ("tern_throttled_total", "Answers that told a client to wait.", |door| Counter(door.throttled.get())),
        ];
        for (name, help, pick) in numbers {
            for (door, metrics) in doors {
                visitor(Sample { name, help, door, value: pick(metrics) });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples of one name stand together, as the text format demands, and names are unique otherwise.
    #[test]
    fn grouped() {
        let mut names: Vec<&str> = Vec::new();
        let metrics = Metrics::new();
        metrics.visit(&mut |sample| names.push(sample.name));
        let mut distinct = names.clone();
        distinct.dedup();
        let runs = distinct.len();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(runs, distinct.len());
        assert!(names.len() > 50);
    }
}
