//! `tern status`: every node, topic and consumer group, from the HTTP and the Kafka doors.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::StatusArguments;
use super::connect::HTTP;
use super::kafka::Cluster;
use super::table::{Cell, Table};
use super::{groups, http, topics};
use crate::config::Endpoint;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was found out about nodes.
#[derive(Debug, Default)]
struct Nodes {
    /// Status pages by node id.
    pages: BTreeMap<i64, (String, Value)>,
    /// Kafka addresses by node id.
    brokers: BTreeMap<i64, String>,
    controller: Option<i64>,
    /// Addresses of pages that were asked.
    asked: BTreeSet<String>,
    /// Sentences about who did not answer.
    silent: Vec<String>,
}

/// Prints the status of the cluster; an error when a part of it does not answer.
pub fn run(arguments: &StatusArguments) -> io::Result<()> {
    let mut nodes = Nodes::default();
    let mut cluster = match &arguments.bootstrap {
        Some(bootstrap) => Some(Cluster::connect(bootstrap)?),
        None => {
            nodes.ask(&arguments.http);
            let known: Vec<String> = nodes.brokers.values().cloned().collect();
            if known.is_empty() { None } else { Some(Cluster::connect(&known.join(","))?) }
        }
    };
    if let Some(cluster) = &mut cluster {
        nodes.learn(cluster, &arguments.http)?;
    }
    let tables = match &mut cluster {
        Some(cluster) => {
            let all = cluster.topics()?;
            vec![("topics", topics::overview(cluster, &all)?), ("groups", groups::overview(cluster)?)]
        }
        None => Vec::new(),
    };
    match arguments.json {
        true => {
            let pages: Vec<&Value> = nodes.pages.values().map(|(_, page)| page).collect();
            let mut whole = json!({ "nodes": pages });
            tables.iter().for_each(|(name, table)| whole[name] = table.objects());
            println!("{}", serde_json::to_string_pretty(&whole)?);
        }
        false => {
            nodes.table().print(false);
            for (_, table) in tables.iter().filter(|(_, table)| !table.is_empty()) {
                println!();
                table.print(false);
            }
        }
    }
    if nodes.silent.is_empty() { Ok(()) } else { Err(io::Error::other(nodes.silent.join("; "))) }
}

impl Nodes {
    /// Asks a page.
    fn ask(&mut self, address: &str) {
        if !self.asked.insert(address.to_owned()) {
            return;
        }
        match page(address) {
            Ok(page) => {
                self.brokers.extend(brokers(&page));
                let id = page.get("id").and_then(Value::as_i64).unwrap_or(-1);
                self.pages.insert(id, (address.to_owned(), page));
            }
            Err(error) => self.silent.push(error.to_string()),
        }
    }

    /// Asks the pages of all brokers that a cluster knows, at the port of `http`.
    fn learn(&mut self, cluster: &mut Cluster, http: &str) -> io::Result<()> {
        cluster.metadata(Some(&[]), false)?;
        self.controller = Some(i64::from(cluster.controller_id().0));
        let port = Endpoint::parse(http).map_or(HTTP.port, |endpoint| endpoint.port);
        for (id, address) in cluster.brokers() {
            let id = i64::from(id.0);
            self.brokers.insert(id, address.clone());
            let http = Endpoint::parse(address).map(|broker| Endpoint::new(&broker.host, port).to_string());
            if let Some(http) = http.filter(|_| !self.pages.contains_key(&id)) {
                self.ask(&http);
            }
        }
        Ok(())
    }

    fn table(&self) -> Table {
        let columns = &[
            "node",
            "kafka",
            "http",
            "role",
            "led",
            "partitions",
            "behind",
            "allocated",
            "budget",
            "disk-free",
            "card-years",
            "power",
            "clock",
        ];
        let mut table = Table::new(columns);
        let mut ids: Vec<i64> = self.pages.keys().chain(self.brokers.keys()).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let page = self.pages.get(&id);
            let at = |path: &str| page.and_then(|(_, page)| page.pointer(path));
            let number = |path: &str| Cell::from(at(path).and_then(Value::as_i64));
            let size = |path: &str| at(path).and_then(Value::as_i64).map_or(Cell::Absent, Cell::Bytes);
            let told = self.pages.values().any(|(_, page)| page["controller"].as_i64() == Some(id));
            let role = if told || self.controller == Some(id) {
                Some("controller")
            } else {
                at("/role").and_then(Value::as_str)
            };
            let clock = at("/clock/sane").and_then(Value::as_bool);
            table.row(vec![
                id.into(),
                self.brokers.get(&id).map(String::as_str).into(),
                page.map(|(address, _)| address.as_str()).into(),
                role.into(),
                number("/partitions/led"),
                number("/partitions/all"),
                number("/partitions/under_replicated"),
                size("/memory/allocated_bytes"),
                size("/memory/budget_bytes"),
                size("/disk/free_bytes"),
                number("/card_years"),
                page.map(|(_, page)| power(page)).into(),
                clock.map(|sane| if sane { "sane" } else { "not believed" }).into(),
            ]);
        }
        table
    }
}

/// What a board says of its supply and its heat, the worst first.
fn power(page: &Value) -> &'static str {
    let is = |name: &str| page.pointer(&format!("/power/{name}")).and_then(Value::as_bool);
    let words = [
        ("under_voltage", "under-voltage"),
        ("throttled", "throttled"),
        ("under_voltage_seen", "under-voltage before"),
        ("throttled_seen", "throttled before"),
    ];
    match words.into_iter().find(|(name, _)| is(name) == Some(true)) {
        Some((_, word)) => word,
        None if is("throttled").is_some() => "good",
        // Of the heat nothing is told.
        None if is("under_voltage").is_some() => "no under-voltage",
        None => "not told",
    }
}

/// The Kafka addresses in a page: of each broker its first listener's.
fn brokers(page: &Value) -> Vec<(i64, String)> {
    let brokers = page.get("brokers").and_then(Value::as_array).into_iter().flatten();
    let address = |broker: &Value| Some(broker.pointer("/listeners/0")?.as_str()?.split_once("://")?.1.to_owned());
    brokers.filter_map(|broker| Some((broker.get("id")?.as_i64()?, address(broker)?))).collect()
}

fn page(address: &str) -> io::Result<Value> {
    parse(&http::get(address, "/status", PATIENCE)?)
        .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
}

fn parse(body: &str) -> io::Result<Value> {
    serde_json::from_str(body).map_err(|error| io::Error::other(format!("the answer is not a status page: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page is read, another answer is told in a sentence.
    #[test]
    fn replies() {
        assert_eq!(parse("{\"id\": 3}").unwrap()["id"], 3);
        assert!(parse("no").unwrap_err().to_string().starts_with("the answer is not a status page: "));
    }

    /// The worst of what a board says is told, and silence is not taken for health.
    #[test]
    fn supply() {
        let page = |low: bool, seen: bool| {
            json!({"power": {"under_voltage": low, "throttled": false,
            "under_voltage_seen": seen, "throttled_seen": true}})
        };
        assert_eq!(power(&page(true, true)), "under-voltage");
        assert_eq!(power(&page(false, true)), "under-voltage before");
        assert_eq!(power(&page(false, false)), "throttled before");
        let supply = json!({"power": {"under_voltage": false, "throttled": null, "under_voltage_seen": false,
            "throttled_seen": null}});
        assert_eq!(power(&supply), "no under-voltage");
        assert_eq!((power(&json!({"power": null})), power(&json!({}))), ("not told", "not told"));
    }

    /// Every broker that any page or the cluster knows has a row, and one of them is the controller.
    #[test]
    fn rows() {
        let page = json!({"id": 1, "role": "follower", "controller": 2, "partitions": {"led": 3},
            "brokers": [{"id": 1, "listeners": ["PLAINTEXT://a:9092"]}, {"id": 2, "listeners": ["X://b:1", "Y://b:2"]}]});
        let mut nodes = Nodes { brokers: brokers(&page).into_iter().collect(), ..Default::default() };
        nodes.pages.insert(1, ("a:8080".to_owned(), page));
        let rows = nodes.table().objects();
        assert_eq!((rows[0]["role"].as_str(), rows[0]["led"].as_i64()), (Some("follower"), Some(3)));
        assert_eq!((rows[1]["role"].as_str(), rows[1]["kafka"].as_str()), (Some("controller"), Some("b:1")));
        assert!(rows[1]["http"].is_null());
    }
}
