//! The demonstration's node: this very binary as a child process, on free ports, killed and started again.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running `tern serve`.
pub struct Node {
    directory: PathBuf,
    child: Child,
    /// `host:port` of the Kafka door.
    pub kafka: String,
    /// `host:port` of the MQTT door.
    pub mqtt: String,
    /// `host:port` of the HTTP door.
    pub http: String,
    /// What the node said it will not exceed.
    pub memory_budget_bytes: u64,
}

impl Node {
    /// Starts a node on free ports with its files below `directory`.
    pub fn start(directory: &Path) -> io::Result<Node> {
        let any = "127.0.0.1:0".to_owned();
        Node::start_at(directory, [any.clone(), any.clone(), any])
    }

    /// Kills the node as a power cut would, and starts it again on the same ports and files.
    pub fn kill_and_restart(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        let ports = [self.kafka.clone(), self.mqtt.clone(), self.http.clone()];
        *self = Node::start_at(&self.directory.clone(), ports)?;
        Ok(())
    }

    /// Asks the node to stop, and waits for it.
    pub fn stop(mut self) -> io::Result<()> {
        // SAFETY: a signal to a child that has not been waited for, so its id is still its own.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        self.child.wait()?;
        Ok(())
    }

    /// Bytes of memory the process has in RAM.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    fn start_at(directory: &Path, [kafka, mqtt, http]: [String; 3]) -> io::Result<Node> {
        let diagnostics = std::fs::File::options().create(true).append(true).open(directory.join("node.log"))?;
        let settings = [
            format!("dataDir={}", directory.join("coordinator").display()),
            format!("log.dirs={}", directory.join("topics").display()),
            format!("listeners=PLAINTEXT://{kafka}"),
            "clientPort=0".to_owned(),
            "clientPortAddress=127.0.0.1".to_owned(),
            format!("mqtt.listeners=tcp://{mqtt}"),
            format!("http.listener={http}"),
            "mqtt.map.0=sensors/+/# -> sensors key={1}".to_owned(),
        ];
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(diagnostics);
        for setting in &settings {
            command.args(["--set", setting]);
        }
        let mut child = command.spawn()?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let value = |key: &str| line.split_whitespace().find_map(|pair| pair.strip_prefix(key)).map(str::to_owned);
        match (value("kafka="), value("mqtt="), value("http="), value("memory_budget=")) {
            (Some(kafka), Some(mqtt), Some(http), Some(budget)) => Ok(Node {
                directory: directory.to_owned(),
                child,
                kafka,
                mqtt,
                http,
                memory_budget_bytes: budget.parse().unwrap_or(0),
            }),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                let log = directory.join("node.log");
                Err(io::Error::other(format!("the node did not become ready; it said why in {}", log.display())))
            }
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill(); // already gone after `stop`
        let _ = self.child.wait();
    }
}
