//! `tern status`: asks the HTTP doors, and prints a line for each node.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde_json::Value;

use super::arguments::StatusArguments;
use super::connect::{HTTP, connect};
use super::kafka::Cluster;
use crate::config::{Endpoint, Size};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is read.
const PAGE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Prints the status of every node that can be found; an error when one of them does not answer.
pub fn run(arguments: &StatusArguments) -> io::Result<()> {
    let mut silent = Vec::new();
    let mut pages = Vec::new();
    for address in addresses(arguments)? {
        match page(&address) {
            Ok(page) => pages.push((address, page)),
            Err(error) => silent.push(error.to_string()),
        }
    }
    if arguments.json {
        let list: Vec<&Value> = pages.iter().map(|(_, page)| page).collect();
        println!("{}", serde_json::to_string_pretty(&list)?);
    } else {
        print_table(&pages);
    }
    if silent.is_empty() { Ok(()) } else { Err(io::Error::other(silent.join("; "))) }
}

/// The HTTP doors to ask: the one named, or that of every broker.
fn addresses(arguments: &StatusArguments) -> io::Result<Vec<String>> {
    let Some(bootstrap) = &arguments.bootstrap else { return Ok(vec![arguments.http.clone()]) };
    let port = Endpoint::parse(&arguments.http).map_or(8080, |endpoint| endpoint.port);
    let mut cluster = Cluster::connect(bootstrap)?;
    cluster.metadata(Some(&[]), false)?;
    let hosts = cluster.brokers().values().filter_map(|address| Endpoint::parse(address));
    let mut hosts: Vec<String> = hosts.map(|broker| Endpoint::new(&broker.host, port).to_string()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    Ok(hosts)
}

fn page(address: &str) -> io::Result<Value> {
    let mut stream = connect(address, HTTP, Some(PATIENCE))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /status HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.take(PAGE_BYTES_MAX).read_to_end(&mut reply)?;
    parse(&reply)
}

fn parse(reply: &[u8]) -> io::Result<Value> {
    let reply = String::from_utf8_lossy(reply);
    let (head, body) = reply.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
    let status = head.lines().next().unwrap_or_default();
    if !status.contains(" 200 ") {
        return Err(io::Error::other(format!("the answer is {status:?}")));
    }
    serde_json::from_str(body).map_err(|error| io::Error::other(format!("the answer is not a status page: {error}")))
}

fn print_table(pages: &[(String, Value)]) {
    println!(
        "{:>4}  {:<22} {:<9} {:>6} {:>10} {:>6} {:>21} {:>10}  clock",
        "node", "http", "role", "topics", "led of all", "behind", "allocated of budget", "disk free"
    );
    for (address, page) in pages {
        let number = |path: &str| page.pointer(path).and_then(Value::as_i64).unwrap_or(0);
        let text = |path: &str| page.pointer(path).and_then(Value::as_str).unwrap_or("?").to_owned();
        let size = |path: &str| Size(number(path)).to_string();
        let topics = page.get("topics").and_then(Value::as_array).map_or(0, Vec::len);
        let is_controller = number("/id") == number("/controller");
        let role = if is_controller { "leader *".to_owned() } else { text("/role") };
        println!(
            "{:>4}  {address:<22} {role:<9} {topics:>6} {:>10} {:>6} {:>21} {:>10}  {}",
            number("/id"),
            format!("{}/{}", number("/partitions/led"), number("/partitions/all")),
            number("/partitions/under_replicated"),
            format!("{} / {}", size("/memory/allocated_bytes"), size("/memory/budget_bytes")),
            size("/disk/free_bytes"),
            if page.pointer("/clock/sane").and_then(Value::as_bool) == Some(true) { "sane" } else { "not believed" },
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page is read, other answers are told in a sentence.
    #[test]
    fn replies() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"id\": 3}").unwrap()["id"], 3);
        let error = parse(b"HTTP/1.1 404 Not Found\r\n\r\nno").unwrap_err().to_string();
        assert_eq!(error, "the answer is \"HTTP/1.1 404 Not Found\"");
        assert_eq!(parse(b"junk").unwrap_err().to_string(), "the answer is not HTTP");
    }
}
