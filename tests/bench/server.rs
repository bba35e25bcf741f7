//! The processes under measurement: a node of ours and Debian's mosquitto, each a child of this one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Seconds of CPU time, all threads and both modes, that a process has used.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    // SAFETY: asks for a number and touches no memory of ours.
    ticks / unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64
}

/// A line `NAME: N kB` of the process's status, in bytes.
pub fn status_bytes(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A running `tern serve`.
pub struct Tern {
    pub child: Child,
    pub kafka: String,
    #[allow(dead_code)] // one benchmark of several asks this door
    pub zookeeper: String,
    pub mqtt: String,
    pub http: String,
    pub ready_after: Duration,
}

impl Tern {
    /// Starts a node on free ports with its files below `directory` and `settings` beside the defaults.
    pub fn start(directory: &Path, settings: &[&str]) -> Tern {
        std::fs::create_dir_all(directory).unwrap();
        let coordinator = format!("dataDir={}", directory.join("coordinator").display());
        let topics = format!("log.dirs={}", directory.join("topics").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_tern"));
        command.arg("serve");
        let ports = [
            "listeners=PLAINTEXT://127.0.0.1:0",
            "clientPort=0",
            "clientPortAddress=127.0.0.1",
            "mqtt.listeners=tcp://127.0.0.1:0",
            "http.listener=127.0.0.1:0",
        ];
        for setting in [coordinator.as_str(), &topics].iter().chain(&ports).chain(settings) {
            command.args(["--set", setting]);
        }
        let log = std::fs::File::create(directory.join("node.log")).unwrap();
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready_after = started.elapsed();
        let value = |key: &str| {
            let found = line.split_whitespace().find_map(|pair| pair.strip_prefix(key)).map(str::to_owned);
            found.unwrap_or_else(|| panic!("no {key} in {line:?}; see {}", directory.join("node.log").display()))
        };
        let (kafka, mqtt, http) = (value("kafka="), value("mqtt="), value("http="));
        Tern { zookeeper: value("zookeeper="), kafka, mqtt, http, child, ready_after }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The node's metrics page.
    pub fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\n\r\n").unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        page
    }

    /// One counter or gauge, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.metrics();
        let lines = page
            .lines()
            .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{')));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Creates a topic by our own command line.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        let partitions = partitions.to_string();
        let arguments = ["topic", "create", name, "--partitions", &partitions, "--bootstrap", &self.kafka];
        assert!(Command::new(env!("CARGO_BIN_EXE_tern")).args(arguments).status().unwrap().success());
    }
}

impl Drop for Tern {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Debian's mosquitto, persistence off, nothing but a port.
pub struct Mosquitto {
    pub child: Child,
    pub address: String,
}

impl Mosquitto {
    pub fn start(directory: &Path) -> Mosquitto {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let configuration = directory.join("mosquitto.conf");
        let text =
            format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n");
        std::fs::write(&configuration, text).unwrap();
        let program = if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" };
        let child = Command::new(program).arg("-c").arg(&configuration).stderr(Stdio::null()).spawn();
        let child = child.expect("mosquitto is not installed: tests/run compat installs it");
        let address = format!("127.0.0.1:{port}");
        while TcpStream::connect(&address).is_err() {
            std::thread::sleep(Duration::from_millis(20));
        }
        Mosquitto { child, address }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
