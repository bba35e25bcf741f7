//! The memory table: account, count, size, product, reason. Everything the process may allocate is a line of it.
//!
//! Lines are promises: fixed ones follow from counts that are bounded where they grow, the others are accounts whose
//! grants never exceed them. `Table::new` refuses a sum above `memory.budget`; the counting allocator audits the rest.
//! Made once at start; the engine and the doors take their accounts from `Accounts`.

use super::{Account, Grant};
use crate::config::{Config, MemoryConfig, Shares, Size};
use crate::limits::{
    CONNECTION_INPUT_BYTES_MAX, CONNECTION_STATE_BYTES, DISK_LANE_SCRATCH_BYTES, DISK_LANE_STACK_BYTES, DISK_LANES,
    KERNEL_SOCKET_BYTES_MAX, KERNEL_SOCKET_BYTES_MIN, PARTITION_STATE_BYTES, PRODUCER_STATE_BYTES, PROGRAM_BYTES,
    RUNTIME_BYTES,
};

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Line {
    /// What the bytes are for.
    pub name: &'static str,
    /// How many of it there may be.
    pub count: usize,
    /// What each takes.
    pub each_bytes: usize,
    /// Why so many, and what happens when they are used up.
    pub reason: &'static str,
    /// What grants are drawn from; none: a fixed line.
    pub account: Option<Account>,
}

/// All lines.
#[derive(Clone, Debug)]
pub struct Table {
    /// In the order in which they are printed.
    pub lines: Vec<Line>,
    /// `memory.budget`.
    pub budget_bytes: usize,
}

/// The accounts that grants are drawn from. Clones are the same accounts.
#[derive(Clone, Debug)]
pub struct Accounts {
    /// Request frames of the Kafka door until their batches are written, and those of the ZooKeeper door.
    pub kafka_requests: Account,
    /// What is read from logs or rendered and waits to be sent, over all doors but MQTT.
    pub responses: Account,
    /// MQTT packets too large for a connection's own buffer.
    pub mqtt_frames: Account,
    /// Open batches of MQTT publishers, until they are written.
    pub mqtt_batches: Account,
    /// What waits to be sent to MQTT subscribers.
    pub mqtt_outgoing: Account,
    /// Proposals and entries of the quorum's log that are not applied yet.
    pub quorum: Account,
    /// Consumer groups, their members and offsets.
    pub groups: Account,
    /// The keys of the log that is being compacted.
    pub compaction: Account,
    /// Watches of ZooKeeper clients.
    pub watches: Account,
    /// Kernel socket buffers beyond the least.
    pub kernel_sockets: Account,
    /// Messages to and from the other members of an ensemble; empty without one.
    pub peers: Account,
}

/// What the kernel may hold for one connection; give it back by dropping it when the socket is closed.
#[derive(Debug)]
pub struct SocketBuffers {
    /// For SO_RCVBUF, which the kernel doubles.
    pub receive_bytes: usize,
    /// For SO_SNDBUF, which the kernel doubles.
    pub send_bytes: usize,
    /// What was taken beyond the least.
    pub grant: Grant,
}

impl Accounts {
    /// The accounts of a configuration, each as large as its line.
    pub fn new(memory: &MemoryConfig) -> Accounts {
        let shares = Shares::new(memory);
        Accounts {
            kafka_requests: Account::new(shares.kafka_request_bytes),
            responses: Account::new(shares.response_bytes),
            mqtt_frames: Account::new(shares.mqtt_frame_bytes),
            mqtt_batches: Account::new(shares.mqtt_batch_bytes),
            mqtt_outgoing: Account::new(shares.mqtt_outgoing_bytes),
            quorum: Account::new(shares.quorum_bytes),
            groups: Account::new(shares.group_bytes),
            compaction: Account::new(shares.compaction_bytes),
            watches: Account::new(shares.watch_bytes),
            kernel_sockets: Account::new(shares.kernel_bytes),
            peers: Account::new(shares.peer_bytes),
        }
    }

    /// Buffers for a new socket: the least, and of what is left an eighth, up to `wanted_bytes` for SO_RCVBUF and
    /// SO_SNDBUF together. Few connections get much, many get little, and the last one still gets the least.
    pub fn socket_buffers(&self, wanted_bytes: usize) -> SocketBuffers {
        let account = &self.kernel_sockets;
        let wanted =
            wanted_bytes.saturating_mul(2).min(KERNEL_SOCKET_BYTES_MAX).saturating_sub(KERNEL_SOCKET_BYTES_MIN);
        let left = account.limit_bytes().saturating_sub(account.used_bytes());
        let extra = wanted.min(left / 8) & !1023;
        let grant = account.take(extra).unwrap_or_default();
        // Two directions, and the kernel doubles each for its own bookkeeping.
        let each = (KERNEL_SOCKET_BYTES_MIN + grant.bytes()) / 4;
        SocketBuffers { receive_bytes: each, send_bytes: each, grant }
    }
}

impl Table {
    /// The table of a configuration and its accounts, or the sentence that says what does not fit.
    pub fn new(config: &Config) -> Result<(Table, Accounts), String> {
        let accounts = Accounts::new(&config.memory);
        let table = Table { lines: lines(&config.memory, &accounts), budget_bytes: config.memory.budget_bytes };
        if table.sum_bytes() > table.budget_bytes {
            return Err(table.refusal());
        }
        Ok((table, accounts))
    }

    /// All lines together.
    pub fn sum_bytes(&self) -> usize {
        self.lines.iter().map(Line::bytes).fold(0, usize::saturating_add)
    }

    fn refusal(&self) -> String {
        let largest = self.lines.iter().max_by_key(|line| line.bytes());
        let largest = largest.map(|line| format!("{} takes {}", line.name, size(line.bytes()))).unwrap_or_default();
        format!(
            "the memory table adds up to {}, more than memory.budget={}; {largest}: lower its count or raise memory.budget",
            size(self.sum_bytes()),
            size(self.budget_bytes)
        )
    }
}

impl Line {
    /// Count times size.
    pub fn bytes(&self) -> usize {
        self.count.saturating_mul(self.each_bytes)
    }
}

fn size(bytes: usize) -> Size {
    Size(bytes as i64)
}

fn fixed(name: &'static str, count: usize, each_bytes: usize, reason: &'static str) -> Line {
    Line { name, count, each_bytes, reason, account: None }
}

fn drawn(name: &'static str, account: &Account, reason: &'static str) -> Line {
    Line { name, count: 1, each_bytes: account.limit_bytes(), reason, account: Some(account.clone()) }
}

fn lines(memory: &MemoryConfig, accounts: &Accounts) -> Vec<Line> {
    let connections = memory.connections_max;
    let mut lines = vec![
        fixed("program", 1, PROGRAM_BYTES, "pages of code and static data in use"),
        fixed("runtime", 1, RUNTIME_BYTES, "socket scratch, effects of a turn, configuration, metrics"),
        fixed("allocator", 1, Shares::new(memory).allocator_bytes, "what is lost between and around allocations"),
        fixed("disk threads", DISK_LANES, DISK_LANE_STACK_BYTES, "a stack for each lane"),
        fixed("disk scratch", DISK_LANES, DISK_LANE_SCRATCH_BYTES, "buffers of recovery, searches and retention"),
        fixed("connection input", connections, CONNECTION_INPUT_BYTES_MAX, "unparsed bytes; then reading pauses"),
        fixed("connection state", connections, CONNECTION_STATE_BYTES, "max.connections; then new ones are refused"),
        fixed("socket buffers, least", connections, KERNEL_SOCKET_BYTES_MIN, "in the kernel, set for each socket"),
        drawn(
            "socket buffers, more",
            &accounts.kernel_sockets,
            "in the kernel; an eighth of the rest for a new socket",
        ),
        fixed(
            "partitions",
            memory.partitions_max,
            PARTITION_STATE_BYTES,
            "memory.partitions.max; then none is created",
        ),
        fixed("producers", memory.producers_max, PRODUCER_STATE_BYTES, "memory.producers.max; then the oldest goes"),
        fixed("tree", 1, memory.tree_bytes, "memory.tree.bytes; then znodes are refused"),
        drawn("quorum", &accounts.quorum, "entries not applied yet; then proposals are refused"),
        drawn("compaction", &accounts.compaction, "keys of one log at a time; more of them take more runs"),
        drawn("groups", &accounts.groups, "members and offsets; then joins and commits are refused"),
        drawn("watches", &accounts.watches, "of ZooKeeper clients; then reads that would set one are refused"),
        drawn("requests", &accounts.kafka_requests, "Kafka's, ZooKeeper's larger ones; then reading pauses"),
        drawn("responses", &accounts.responses, "until they are sent; then fetches wait"),
        drawn("MQTT packets", &accounts.mqtt_frames, "larger ones until they are parsed; then reading pauses"),
        drawn("MQTT batches", &accounts.mqtt_batches, "records until they are written; then reading pauses"),
        drawn("MQTT outgoing", &accounts.mqtt_outgoing, "until it is sent; then QoS 0 is dropped, QoS 1 waits"),
    ];
    if memory.peers > 0 {
        lines.push(drawn("peers", &accounts.peers, "messages between members; then they are dropped and repeated"));
    }
    lines
}

impl std::fmt::Display for Table {
    /// As `check-config` and `serve` print it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{:<22} {:>6}  {:>9}  {:>9}  reason", "account", "count", "each", "bytes")?;
        for line in &self.lines {
            let (each, bytes) = (size(line.each_bytes).to_string(), size(line.bytes()).to_string());
            writeln!(f, "{:<22} {:>6}  {each:>9}  {bytes:>9}  {}", line.name, line.count, line.reason)?;
        }
        let (sum, budget) = (size(self.sum_bytes()).to_string(), size(self.budget_bytes));
        write!(f, "{:<22} {:>6}  {:>9}  {sum:>9}  of memory.budget={budget}", "sum", "", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(budget_mib: usize) -> Config {
        Config { memory: MemoryConfig::for_budget(budget_mib << 20), ..Config::default() }
    }

    /// Every budget from the smallest to the largest adds up, and wastes at most a thousandth.
    #[test]
    fn adds_up() {
        for budget_mib in [16, 24, 32, 64, 96, 128, 256, 512, 1024, 2047] {
            let (table, _) = Table::new(&config(budget_mib)).unwrap();
            let (sum, budget) = (table.sum_bytes(), table.budget_bytes);
            assert!(sum <= budget && sum > budget / 1000 * 995, "{budget_mib} MiB: {sum}\n{table}");
        }
    }

    /// A count that does not fit is refused with the sentence that names it.
    #[test]
    fn refuses() {
        let mut config = config(64);
        config.memory.partitions_max = 100_000;
        let sentence = Table::new(&config).unwrap_err();
        assert_eq!(
            sentence,
            "the memory table adds up to 823.9 MiB, more than memory.budget=64 MiB; partitions takes 781.2 MiB: lower its \
             count or raise memory.budget"
        );
    }

    /// Few sockets get much, many get little, none gets nothing, and all of it comes back.
    #[test]
    fn socket_buffers() {
        let accounts = Accounts::new(&MemoryConfig::for_budget(64 << 20));
        let mut all: Vec<SocketBuffers> = (0..768).map(|_| accounts.socket_buffers(256 << 10)).collect();
        assert!(all[0].receive_bytes >= 64 << 10, "{}", all[0].receive_bytes);
        assert!(all.iter().all(|buffers| buffers.receive_bytes * 4 >= KERNEL_SOCKET_BYTES_MIN));
        assert!(accounts.kernel_sockets.used_bytes() <= accounts.kernel_sockets.limit_bytes());
        all.clear();
        assert_eq!(accounts.kernel_sockets.used_bytes(), 0);
        assert_eq!(accounts.socket_buffers(0).receive_bytes, KERNEL_SOCKET_BYTES_MIN / 4);
    }
}
