//! The ZooKeeper door beside Debian's ZooKeeper: the same load on both, in turn, in one run, both syncing every write.
//!
//!     cargo bench --bench zookeeper                   every scenario
//!     cargo bench --bench zookeeper -- create read    those whose names contain a word
//!
//! One node each, 50 clients on one thread, 16 requests of each in flight, 100 bytes a znode. Each figure is the median
//! of several pairs. A figure that misses its bound is marked and the exit code is 1. TERN_BENCH_SECONDS sets the length
//! of one load (3). Needs the packages `zookeeper` and a Java runtime: tests/run compat installs them.

#[allow(dead_code)] // the other benchmarks use the rest
mod server;
mod zookeeper_load;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use server::{Tern, cpu_seconds};
use zookeeper_load::{Kind, Session, run, word};

/// Pairs of runs that a ratio is the median of.
const PAIRS: usize = 3;
const CLIENTS: usize = 50;
const IN_FLIGHT: usize = 16;
const DATA_BYTES: usize = 100;

struct Report {
    missed: usize,
}

impl Report {
    fn line(&mut self, what: &str, figure: f64, relation: &str, bound: f64, good: bool) {
        let mark = if good { "" } else { "   MISSED" };
        println!("{what:<74} {figure:>12.2}   ({relation} {bound}){mark}");
        self.missed += usize::from(!good);
    }
}

/// One run of a load on one server.
#[derive(Clone, Copy)]
struct Figure {
    per_second: f64,
    cpu_micros: f64,
}

/// Debian's ZooKeeper with its defaults, standalone, in a directory of its own.
struct ZooKeeper {
    child: Child,
    address: String,
}

impl ZooKeeper {
    fn start(directory: &Path) -> ZooKeeper {
        std::fs::create_dir_all(directory).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let file = directory.join("zoo.cfg");
        let data = directory.join("data").display().to_string();
        let text = format!(
            "tickTime=2000\ndataDir={data}\nclientPort={port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n\
             admin.enableServer=false\n"
        );
        std::fs::write(&file, text).unwrap();
        let jars = "/usr/share/java";
        let names =
            ["zookeeper", "zookeeper-jute", "slf4j-api", "slf4j-nop", "netty-all", "snappy-java", "metrics-core"];
        let mut path: Vec<String> = names.iter().map(|name| format!("{jars}/{name}.jar")).collect();
        path.push(format!("{jars}/commons-cli.jar"));
        let child = Command::new("java")
            .args(["-Xmx512m", "-cp", &path.join(":"), "org.apache.zookeeper.server.quorum.QuorumPeerMain"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("no Java runtime");
        let server = ZooKeeper { child, address: format!("127.0.0.1:{port}") };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !word(&server.address, "srvr").is_some_and(|answer| answer.contains("Mode:")) {
            assert!(Instant::now() < deadline, "Debian's zookeeper does not start; is the package installed?");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let directory = std::env::temp_dir().join(format!("tern-zookeeper-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let mut report = Report { missed: 0 };
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    if ["create", "set", "read", "latency"].into_iter().any(wanted) {
        let tern = Tern::start(
            &directory.join("tern"),
            &["maxClientCnxns=0", "memory.budget=2000MiB", "memory.tree.bytes=1400MiB"],
        );
        let peer = ZooKeeper::start(&directory.join("zookeeper"));
        let ours = (address_of(&tern), tern.pid());
        let theirs = (peer.address.clone(), peer.child.id());
        for kind in [Kind::Create, Kind::Set, Kind::Read] {
            if wanted(kind.name()) {
                side_by_side(kind, &ours, &theirs, &mut report);
            }
        }
        if wanted("latency") {
            latency(&ours.0, &theirs.0, &mut report);
        }
        steps(&tern, &mut report);
    }
    if wanted("znodes") {
        znodes(&directory, &mut report);
    }
    let _ = std::fs::remove_dir_all(&directory);
    std::process::exit((report.missed > 0) as i32);
}

fn address_of(tern: &Tern) -> String {
    tern.zookeeper.clone()
}

fn seconds() -> f64 {
    std::env::var("TERN_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3.0)
}

/// The middle one, in the order of `key`.
fn median<T: Copy>(mut all: Vec<T>, key: fn(&T) -> f64) -> T {
    all.sort_by(|a, b| key(a).total_cmp(&key(b)));
    all[all.len() / 2]
}

fn measure(kind: Kind, (address, pid): &(String, u32), round: usize) -> Figure {
    let before = cpu_seconds(*pid);
    let (count, took) = run(kind, address, round, CLIENTS, IN_FLIGHT, DATA_BYTES, seconds());
    let cpu = cpu_seconds(*pid) - before;
    Figure { per_second: count as f64 / took, cpu_micros: cpu * 1e6 / count as f64 }
}

fn side_by_side(kind: Kind, ours: &(String, u32), theirs: &(String, u32), report: &mut Report) {
    let name = kind.name();
    println!("-- {name}: {CLIENTS} clients, {IN_FLIGHT} in flight each, {DATA_BYTES} B");
    // One round that does not count: the Java machine compiles, both allocate.
    for server in [theirs, ours] {
        measure(kind, server, 0);
    }
    let mut pairs = Vec::new();
    for round in 1..=PAIRS {
        pairs.push((measure(kind, theirs, round), measure(kind, ours, round)));
    }
    for (who, pick) in [("ZooKeeper", 0), ("Tern", 1)] {
        let figures: Vec<Figure> = pairs.iter().map(|pair| if pick == 0 { pair.0 } else { pair.1 }).collect();
        let rate = median(figures.clone(), |figure| figure.per_second).per_second;
        let cpu = median(figures, |figure| figure.cpu_micros).cpu_micros;
        println!("   {who:<10} {rate:>10.0} a second   {cpu:>8.2} us of CPU each");
    }
    let rate = median(pairs.iter().map(|(peer, own)| own.per_second / peer.per_second).collect(), |ratio| *ratio);
    let cpu = median(pairs.iter().map(|(peer, own)| own.cpu_micros / peer.cpu_micros).collect(), |ratio| *ratio);
    report.line(&format!("{name}: rate, share of ZooKeeper's"), rate, "at least", 1.0, rate >= 1.0);
    report.line(&format!("{name}: CPU an operation, share of ZooKeeper's"), cpu, "at most", 0.5, cpu <= 0.5);
}

/// One client, one write at a time: how long the slowest hundredth takes.
fn latency(ours: &str, theirs: &str, report: &mut Report) {
    println!("-- latency: one client, one durable setData at a time");
    let mut ratios = Vec::new();
    for round in 0..=PAIRS {
        let peer = Session::open(theirs).p99_micros(round, DATA_BYTES, seconds());
        let own = Session::open(ours).p99_micros(round, DATA_BYTES, seconds());
        if round > 0 {
            println!("   p99 ZooKeeper {peer:>8.0} us   Tern {own:>8.0} us");
            ratios.push(own / peer);
        }
    }
    let ratio = median(ratios, |ratio| *ratio);
    report.line("latency: p99 of a durable write, share of ZooKeeper's", ratio, "at most", 1.0, ratio <= 1.0);
}

fn steps(tern: &Tern, report: &mut Report) {
    let slow = tern.metric("tern_step_over_10ms_total");
    println!("   longest step of the runtime's thread: {:.1} ms", tern.metric("tern_step_longest_seconds") * 1e3);
    report.line("steps of the runtime's thread above 10 ms", slow, "at most", 0.0, slow == 0.0);
}

/// 100,000 znodes of 100 bytes within 64 MiB, snapshots, and the end of a session with thousands of ephemerals.
fn znodes(directory: &Path, report: &mut Report) {
    const COUNT: usize = 100_000;
    println!("-- znodes: {COUNT} of {DATA_BYTES} B, memory.budget=64MiB");
    let settings = ["memory.budget=64MiB", "memory.tree.bytes=28MiB", "max.connections=200"];
    let tern = Tern::start(&directory.join("znodes"), &settings);
    let address = address_of(&tern);
    let before = tern.metric("tern_memory_allocated_bytes");
    let mut session = Session::open(&address);
    let content = session.fill("/filled", COUNT, DATA_BYTES, false);
    let each = (tern.metric("tern_memory_allocated_bytes") - before - content as f64) / COUNT as f64;
    report.line("znodes: bytes of memory above name and data", each, "at most", 150.0, each <= 150.0);
    // Rewrites until several snapshots were taken, then an end with many ephemerals.
    let files = directory.join("znodes").join("coordinator");
    for round in 0..4 {
        session.rewrite("/filled", COUNT, DATA_BYTES, round);
    }
    let disk = size_of_directory(&files) as f64 / f64::from(1 << 20);
    println!("   files of the tree after {} writes: {disk:.1} MiB", 5 * COUNT);
    report.line("znodes: MiB of files for 20 MiB of tree", disk, "at most", 100.0, disk <= 100.0);
    let mut owner = Session::open(&address);
    owner.fill("/owned", 10_000, 10, true);
    owner.close();
    let peak = tern.metric("tern_memory_allocated_peak_bytes") / f64::from(1 << 20);
    report.line("znodes: MiB allocated at most", peak, "at most", 64.0, peak <= 64.0);
    steps(&tern, report);
}

fn size_of_directory(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).map(|entries| entries.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let size = |entry: &std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of_directory(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.iter().map(size).sum()
}
