//! Speed and memory as ratios, taken in one run against a peer or a physical limit.
//!
//!     cargo bench --bench ratios                 every scenario
//!     cargo bench --bench ratios -- mqtt card    those whose names contain a word
//!
//! Each figure is the median of several pairs, taken in turn, because machines are noisy. A figure that misses its bound
//! is marked and the exit code is 1. TERN_BENCH_SECONDS sets the length of one load (3).

mod peers;
mod server;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use peers::{SendfileServer, Sink};
use server::{Mosquitto, Tern, cpu_seconds, status_bytes};
use tern::cli::bench::{Outcome, mqtt, on_one_thread, produce};

/// Pairs of runs that a ratio is the median of.
const PAIRS: usize = 3;

type Scenario = fn(&Path, &mut Report);

struct Report {
    missed: usize,
}

impl Report {
    fn at_least(&mut self, what: &str, figure: f64, bound: f64) {
        self.line(what, figure, "at least", bound, figure >= bound);
    }

    fn at_most(&mut self, what: &str, figure: f64, bound: f64) {
        self.line(what, figure, "at most", bound, figure <= bound);
    }

    fn line(&mut self, what: &str, figure: f64, relation: &str, bound: f64, good: bool) {
        let mark = if good { "" } else { "   MISSED" };
        println!("{what:<74} {figure:>12.2}   ({relation} {bound}){mark}");
        self.missed += usize::from(!good);
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let directory = std::env::temp_dir().join(format!("tern-ratios-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut report = Report { missed: 0 };
    let scenarios: [(&str, Scenario); 6] = [
        ("idle", idle),
        ("produce", produce_against_sink),
        ("consume", consume_against_sendfile),
        ("unbatched-card", unbatched_on_card),
        ("mqtt", mqtt_against_mosquitto),
        ("mqtt-card", mqtt_on_card),
    ];
    for (name, scenario) in scenarios {
        if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
            println!("-- {name}");
            let own = directory.join(name);
            std::fs::create_dir_all(&own).unwrap();
            scenario(&own, &mut report);
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
    std::process::exit(i32::from(report.missed > 0));
}

/// An empty node: size, memory, time to ready.
fn idle(directory: &Path, report: &mut Report) {
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_tern")).unwrap().len();
    report.at_most("release binary, MB", binary as f64 / 1e6, 6.0);
    let node = Tern::start(directory, &[]);
    report.at_most("ready on an empty directory, ms", node.ready_after.as_secs_f64() * 1e3, 100.0);
    std::thread::sleep(Duration::from_secs(1));
    report.at_most("idle resident memory, all doors open, MB", status_bytes(node.pid(), "VmRSS:") as f64 / 1e6, 10.0);
    let (syncs, cpu) = (node.metric("tern_disk_syncs_total"), cpu_seconds(node.pid()));
    std::thread::sleep(Duration::from_secs(5));
    report.at_most("syncs in 5 idle seconds", node.metric("tern_disk_syncs_total") - syncs, 0.0);
    report.at_most("CPU in 5 idle seconds, ms", (cpu_seconds(node.pid()) - cpu) * 1e3, 50.0);
}

/// 64 KiB batches of 1 KB records, 4 connections, acks=all.
fn produce_against_sink(directory: &Path, report: &mut Report) {
    let sink = Sink::start(directory).unwrap();
    let node = Tern::start(&directory.join("node"), &["log.retention.bytes=1073741824", "log.segment.bytes=268435456"]);
    node.create_topic("bulk", 1);
    let load = |address: &str, check_errors| produce::Load {
        address: address.to_owned(),
        topic: "bulk".to_owned(),
        partitions: 1,
        connections: 4,
        in_flight: 5,
        records: 62,
        record_bytes: 1024,
        duration: seconds(),
        check_errors,
    };
    let ratios = (0..PAIRS).map(|_| {
        let ours = run(produce::run(load(&node.kafka, true)));
        let peer = run(produce::run(load(&sink.address.to_string(), false)));
        println!("   ours {:>7.1} MB/s, sink {:>7.1} MB/s", megabytes(&ours), megabytes(&peer));
        megabytes(&ours) / megabytes(&peer)
    });
    report.at_least("produce, 64 KiB batches: share of a plain sink", median(ratios.collect()), 0.6);
    memory(&node, report, "produce");
}

/// One consumer from the page cache.
fn consume_against_sendfile(directory: &Path, report: &mut Report) {
    let node = Tern::start(directory, &["log.segment.bytes=1073741824"]);
    node.create_topic("bulk", 1);
    run(produce::run(produce::Load {
        address: node.kafka.clone(),
        topic: "bulk".to_owned(),
        partitions: 1,
        connections: 4,
        in_flight: 5,
        records: 62,
        record_bytes: 1024,
        duration: seconds(),
        check_errors: true,
    }));
    let segment: PathBuf = directory.join("topics/bulk-0/00000000000000000000.log");
    let bytes = std::fs::metadata(&segment).unwrap().len().min(1 << 20) as u32;
    let peer = SendfileServer::start(&segment, bytes).unwrap();
    let ratios = (0..PAIRS).map(|_| {
        let ours = read_all(&node.kafka, "bulk");
        let theirs = read_frames(&peer.address.to_string(), seconds());
        println!("   ours {ours:>7.1} MB/s, sendfile {theirs:>7.1} MB/s");
        ours / theirs
    });
    report.at_least("consume from page cache: share of a sendfile server", median(ratios.collect()), 0.7);
    memory(&node, report, "consume");
}

/// Megabytes a second that a consumer gets, looking at nothing but batch headers.
fn read_all(address: &str, topic: &str) -> f64 {
    let outcome = tern::cli::bench::consume::run(address, topic, &[tern::types::PartitionIndex(0)], seconds()).unwrap();
    megabytes(&outcome)
}

fn read_frames(address: &str, duration: Duration) -> f64 {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let (started, mut bytes, mut buffer) = (Instant::now(), 0, Vec::new());
    while started.elapsed() < duration {
        stream.write_all(&[0; 8]).unwrap();
        let mut length = [0; 4];
        stream.read_exact(&mut length).unwrap();
        buffer.resize(u32::from_be_bytes(length) as usize, 0);
        stream.read_exact(&mut buffer).unwrap();
        bytes += buffer.len();
    }
    bytes as f64 / 1e6 / started.elapsed().as_secs_f64()
}

/// One 100 B record a request on the emulated card: how many share a sync.
fn unbatched_on_card(directory: &Path, report: &mut Report) {
    for partitions in [1, 16, 50] {
        let node = Tern::start(&directory.join(partitions.to_string()), &["tern.test.disk=card"]);
        node.create_topic("single", partitions);
        let before = node.metric("tern_disk_syncs_total");
        let outcome = run(produce::run(produce::Load {
            address: node.kafka.clone(),
            topic: "single".to_owned(),
            partitions,
            connections: 16,
            in_flight: 5,
            records: 1,
            record_bytes: 100,
            duration: seconds(),
            check_errors: true,
        }));
        let syncs = node.metric("tern_disk_syncs_total") - before;
        let each = outcome.acknowledged as f64 / syncs;
        report.at_least(&format!("unbatched produce on the card, {partitions} partitions: records a sync"), each, 40.0);
        memory(&node, report, "unbatched");
    }
}

/// QoS 1, 200 B, 50 publishers, 20 in flight, against mosquitto without persistence.
fn mqtt_against_mosquitto(directory: &Path, report: &mut Report) {
    let peer = Mosquitto::start(directory);
    let node = Tern::start(directory, &["log.retention.bytes=1073741824", "log.segment.bytes=268435456"]);
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        let (ours, our_cost) = mqtt_load(&node.mqtt, node.pid());
        let (theirs, their_cost) = mqtt_load(&peer.address, peer.child.id());
        println!(
            "   ours {ours:>8.0}/s at {our_cost:.2} us, mosquitto {theirs:>8.0}/s at {their_cost:.2} us of CPU each"
        );
        rates.push(ours / theirs);
        costs.push(our_cost / their_cost);
    }
    report.at_least("MQTT QoS 1 rate: times mosquitto's (persistence off)", median(rates), 1.5);
    report.at_most("MQTT QoS 1 CPU a message: share of mosquitto's", median(costs), 0.7);
    memory(&node, report, "mqtt");
}

/// Messages a second, and microseconds of the server's CPU for each.
fn mqtt_load(address: &str, pid: u32) -> (f64, f64) {
    let before = cpu_seconds(pid);
    let outcome = run(mqtt::run(mqtt_publishers(address, "bench/{n}")));
    let cpu = cpu_seconds(pid) - before;
    (per_second(&outcome), cpu * 1e6 / outcome.acknowledged as f64)
}

fn mqtt_publishers(address: &str, topic: &str) -> mqtt::Load {
    mqtt::Load {
        address: address.to_owned(),
        publishers: 50,
        in_flight: 20,
        payload_bytes: 200,
        qos: 1,
        duration: seconds(),
        topic: topic.to_owned(),
    }
}

/// The same load on the emulated card, stalls included.
fn mqtt_on_card(directory: &Path, report: &mut Report) {
    for (partitions, bound) in [(1, 30_000.0), (16, 15_000.0)] {
        let node = Tern::start(
            &directory.join(partitions.to_string()),
            &["tern.test.disk=card", "mqtt.map.0=bench/+ -> card key={1}"],
        );
        node.create_topic("card", partitions);
        let load =
            mqtt::Load { duration: seconds().max(Duration::from_secs(8)), ..mqtt_publishers(&node.mqtt, "bench/{n}") };
        let outcome = run(mqtt::run(load));
        println!("   latency: {}", outcome.latency.summary());
        let what = format!("MQTT QoS 1 on the card, {partitions} partitions: messages a second");
        report.at_least(&what, per_second(&outcome), bound);
        let over = node.metric("tern_step_over_10ms_total");
        report.at_most("   steps of the runtime's thread above 10 ms", over, 0.0);
        memory(&node, report, "mqtt on the card");
    }
}

fn memory(node: &Tern, report: &mut Report, load: &str) {
    let budget = node.metric("tern_memory_budget_bytes");
    let allocated = node.metric("tern_memory_allocated_peak_bytes");
    report.at_most(&format!("   {load}: allocator's peak, share of the budget"), allocated / budget, 1.0);
    let resident = status_bytes(node.pid(), "VmHWM:") as f64 - budget;
    report.at_most(&format!("   {load}: resident peak above the budget, MB"), resident / 1e6, 8.4);
}

fn run(load: impl Future<Output = std::io::Result<Outcome>>) -> Outcome {
    on_one_thread(load).unwrap()
}

fn seconds() -> Duration {
    let text = std::env::var("TERN_BENCH_SECONDS").unwrap_or_default();
    Duration::from_secs(text.parse().unwrap_or(3))
}

fn megabytes(outcome: &Outcome) -> f64 {
    outcome.bytes as f64 / 1e6 / outcome.elapsed.as_secs_f64()
}

fn per_second(outcome: &Outcome) -> f64 {
    outcome.acknowledged as f64 / outcome.elapsed.as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
