//! One of the demonstration's nodes: this very binary as a child process, killed, paused and started again.

use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// What was last done to a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing that would keep it from working.
    Running,
    /// It has no process.
    Killed,
    /// Its process stands still.
    Paused,
    /// It does not reach the others, nor they it.
    CutOff,
}

/// Addresses of the doors, `host:port`.
#[derive(Clone, Debug)]
pub struct Doors {
    /// Of Kafka.
    pub kafka: String,
    /// Of MQTT.
    pub mqtt: String,
    /// Of ZooKeeper.
    pub zookeeper: String,
    /// Of the status page.
    pub http: String,
}

/// A `tern serve`.
pub struct Node {
    /// Its number, from 1.
    pub number: usize,
    /// What was last done to it.
    pub condition: Condition,
    /// Known once it was ready.
    pub doors: Doors,
    /// What it said it will not exceed.
    pub budget_bytes: u64,
    directory: PathBuf,
    settings: Vec<String>,
    child: Child,
    output: Option<BufReader<ChildStdout>>,
}

impl Node {
    /// Starts a node on free ports with its files below `directory`; `ready` waits for it.
    pub fn start(number: usize, directory: PathBuf, settings: Vec<String>) -> io::Result<Node> {
        std::fs::create_dir_all(&directory)?;
        let any = || "127.0.0.1:0".to_owned();
        let doors = Doors { kafka: any(), mqtt: any(), zookeeper: any(), http: any() };
        let (child, output) = spawn(&directory, &doors, &settings)?;
        let condition = Condition::Running;
        Ok(Node { number, condition, doors, budget_bytes: 0, directory, settings, child, output })
    }

    /// Waits until every door is open.
    pub fn ready(&mut self) -> io::Result<()> {
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            output.read_line(&mut line)?;
        }
        let value = |key: &str| line.split_whitespace().find_map(|pair| pair.strip_prefix(key)).map(str::to_owned);
        match (value("kafka="), value("mqtt="), value("zookeeper="), value("http="), value("memory_budget=")) {
            (Some(kafka), Some(mqtt), Some(zookeeper), Some(http), Some(budget)) => {
                self.doors = Doors { kafka, mqtt, zookeeper, http };
                self.budget_bytes = budget.parse().unwrap_or(0);
                Ok(())
            }
            _ => {
                let log = self.directory.join(DIAGNOSTICS);
                Err(io::Error::other(format!(
                    "node {} did not become ready; it said why in {}",
                    self.number,
                    log.display()
                )))
            }
        }
    }

    /// Kills the process as a power cut would.
    pub fn kill(&mut self) -> io::Result<()> {
        self.condition = Condition::Killed;
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Starts it again on the same ports and files; `ready` waits for it.
    pub fn restart(&mut self) -> io::Result<()> {
        (self.child, self.output) = spawn(&self.directory, &self.doors, &self.settings)?;
        self.condition = Condition::Running;
        Ok(())
    }

    /// Stops the process where it is, or lets it go on.
    pub fn pause(&mut self, is_paused: bool) {
        self.condition = if is_paused { Condition::Paused } else { Condition::Running };
        self.signal(if is_paused { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// Asks the node to stop; true when it did so cleanly.
    pub fn stop(mut self) -> io::Result<bool> {
        self.signal(libc::SIGTERM);
        Ok(self.child.wait()?.success())
    }

    /// Bytes of memory the process has in RAM.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|text| text.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    fn signal(&self, signal: i32) {
        // SAFETY: a signal to a child that has not been waited for, so its id is still its own.
        unsafe { libc::kill(self.child.id() as i32, signal) };
    }
}

const DIAGNOSTICS: &str = "node.log";

fn spawn(directory: &Path, doors: &Doors, settings: &[String]) -> io::Result<(Child, Option<BufReader<ChildStdout>>)> {
    let diagnostics = std::fs::File::options().create(true).append(true).open(directory.join(DIAGNOSTICS))?;
    let client_port = doors.zookeeper.rsplit(':').next().unwrap_or_default();
    let places = [
        format!("dataDir={}", directory.join("coordinator").display()),
        format!("log.dirs={}", directory.join("topics").display()),
        format!("listeners=PLAINTEXT://{}", doors.kafka),
        format!("clientPort={client_port}"),
        "clientPortAddress=127.0.0.1".to_owned(),
        format!("mqtt.listeners=tcp://{}", doors.mqtt),
        format!("http.listener={}", doors.http),
    ];
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(diagnostics);
    for setting in places.iter().chain(settings) {
        command.args(["--set", setting]);
    }
    // An interrupt of the demonstration is the demonstration's to handle.
    command.process_group(0);
    // SAFETY: between fork and exec only this system call is made. A node does not outlive the demonstration.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    let mut child = command.spawn()?;
    let output = child.stdout.take().map(BufReader::new);
    Ok((child, output))
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill(); // already gone after `stop`
        let _ = self.child.wait();
    }
}
