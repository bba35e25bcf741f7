//! `tern status`: every node, topic and consumer group, from the HTTP and the Kafka doors.
//!
//! Whoever asks has trouble, most likely: what is known is shown before anything can fail, who does not answer costs
//! seconds and leaves cells empty, and the sentences at the end say who that is.

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
use crate::kafka::codec::{Api, DescribeQuorumNode, DescribeQuorumRequest, DescribeQuorumResponse};

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Names and rows.
type Tables = Vec<(&'static str, Table)>;

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
    /// Members and brokers that answer at neither door.
    away: BTreeSet<i64>,
    /// Sentences about what is wrong.
    wrong: Vec<String>,
}

/// Prints the status of the cluster; an error when a part of it does not answer.
pub fn run(arguments: &StatusArguments) -> io::Result<()> {
    let mut nodes = Nodes::default();
    let mut cluster = match &arguments.bootstrap {
        Some(bootstrap) => Some(Cluster::connect_leniently(bootstrap)?),
        None => nodes.begin(&arguments.http),
    };
    nodes.learn(&mut cluster, &arguments.http);
    if !arguments.json {
        nodes.table().print(false); // at once: what follows may take a while
    }
    let told = cluster.as_mut().map(|cluster| nodes.tables(cluster)).transpose();
    let tables = told.map_err(|error| nodes.wrong.push(error.to_string())).ok().flatten().unwrap_or_default();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&nodes.whole(&tables))?);
    } else {
        for (_, table) in tables.iter().filter(|(_, table)| !table.is_empty()) {
            println!();
            table.print(false);
        }
    }
    if nodes.wrong.is_empty() { Ok(()) } else { Err(io::Error::other(nodes.wrong.join("; "))) }
}

impl Nodes {
    /// The cluster, through any broker that a page knows.
    fn begin(&mut self, http: &str) -> Option<Cluster> {
        if let Err(error) = self.ask(http) {
            self.wrong.push(error.to_string());
        }
        let known: Vec<String> = self.brokers.values().cloned().collect();
        let cluster = (!known.is_empty()).then(|| Cluster::connect_leniently(&known.join(",")))?;
        cluster.map_err(|error| self.wrong.push(format!("topics and groups are not known: {error}"))).ok()
    }

    /// Asks a page.
    fn ask(&mut self, address: &str) -> io::Result<()> {
        if self.asked.insert(address.to_owned()) {
            let page = page(address)?;
            self.brokers.extend(brokers(&page));
            let id = page.get("id").and_then(Value::as_i64).unwrap_or(-1);
            self.pages.insert(id, (address.to_owned(), page));
        }
        Ok(())
    }

    /// Asks the pages of all members and brokers that are known, at the port of `http`.
    fn learn(&mut self, cluster: &mut Option<Cluster>, http: &str) {
        let port = Endpoint::parse(http).map_or(HTTP.port, |endpoint| endpoint.port);
        let mut hosts = BTreeMap::new();
        if let Some(cluster) = cluster {
            hosts.extend(members(cluster).unwrap_or_default()); // a broker that is none of ours knows no members
            self.controller = Some(i64::from(cluster.controller_id().0));
            self.brokers.extend(cluster.brokers().iter().map(|(id, address)| (i64::from(id.0), address.clone())));
        }
        let brokers = self.brokers.iter().filter_map(|(id, address)| Some((*id, Endpoint::parse(address)?.host)));
        hosts.extend(brokers.collect::<Vec<_>>());
        for (id, host) in hosts {
            let asked =
                if self.pages.contains_key(&id) { Ok(()) } else { self.ask(&Endpoint::new(&host, port).to_string()) };
            if !self.pages.contains_key(&id) && !cluster.as_mut().is_some_and(|cluster| answers(cluster, id)) {
                self.away.insert(id);
            } else if let Err(error) = asked {
                self.wrong.push(error.to_string());
            }
        }
        if !self.away.is_empty() {
            let away: Vec<String> = self.away.iter().map(i64::to_string).collect();
            self.wrong.push(format!(
                "no answer from node {}: switch it on, or look into its journal (journalctl -u tern)",
                away.join(", node ")
            ));
        }
    }

    /// Topics and groups, and what is wrong with them.
    fn tables(&mut self, cluster: &mut Cluster) -> io::Result<Tables> {
        let all = cluster.topics()?;
        let tables = vec![("topics", topics::overview(cluster, &all)?), ("groups", groups::overview(cluster)?)];
        let wrong = cluster.silent().iter().filter(|(id, _)| !self.away.contains(&i64::from(id.0)));
        self.wrong.extend(wrong.map(|(id, error)| format!("node {id} is up and does not tell all: {error}")));
        let offline: usize = all.iter().map(|topic| topics::offline(cluster, topic)).sum();
        if offline > 0 {
            let are = if offline == 1 { "partition is" } else { "partitions are" };
            let advice = "until a node that holds them in sync is back (tern topic describe names it)";
            self.wrong.push(format!("{offline} {are} offline {advice}"));
        }
        Ok(tables)
    }

    /// Everything, for programs: the pages as they are, and who has none.
    fn whole(&self, tables: &[(&str, Table)]) -> Value {
        let away = self.away.iter().map(|id| json!({ "id": id, "role": "away", "kafka": self.brokers.get(id) }));
        let pages: Vec<Value> = self.pages.values().map(|(_, page)| page.clone()).chain(away).collect();
        let mut whole = json!({ "nodes": pages });
        tables.iter().for_each(|(name, table)| whole[*name] = table.objects());
        whole
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
        let mut ids: Vec<i64> = self.pages.keys().chain(self.brokers.keys()).chain(&self.away).copied().collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let page = self.pages.get(&id);
            let at = |path: &str| page.and_then(|(_, page)| page.pointer(path));
            let number = |path: &str| Cell::from(at(path).and_then(Value::as_i64));
            let size = |path: &str| at(path).and_then(Value::as_i64).map_or(Cell::Absent, Cell::Bytes);
            let told = self.pages.values().any(|(_, page)| page["controller"].as_i64() == Some(id));
            let role = if self.away.contains(&id) {
                Some("away")
            } else if told || self.controller == Some(id) {
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

/// The members that the tree names, and their hosts.
fn members(cluster: &mut Cluster) -> io::Result<Vec<(i64, String)>> {
    let response: DescribeQuorumResponse<'_> = cluster.any()?.call(2, &DescribeQuorumRequest::default())?;
    let host = |node: DescribeQuorumNode<'_>| Some(node.listeners.iter().next()?.host.to_owned());
    Ok(response.nodes.iter().filter_map(|node| Some((i64::from(node.node_id.0), host(node)?))).collect())
}

/// True when a broker answers at its Kafka door: its page may be elsewhere.
fn answers(cluster: &mut Cluster, id: i64) -> bool {
    let known = cluster.brokers().keys().copied().find(|known| i64::from(known.0) == id);
    known.is_some_and(|id| cluster.ask(id, |client| client.has(Api::ApiVersions, 0)).is_some())
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

    /// Who is away is told so, whatever the others take it for; programs get it without a word of health.
    #[test]
    fn away() {
        let page = json!({"id": 1, "role": "follower", "controller": 2, "ready": true});
        let mut nodes = Nodes { away: BTreeSet::from([2, 3]), controller: Some(2), ..Default::default() };
        nodes.pages.insert(1, ("a:8080".to_owned(), page));
        let rows = nodes.table().objects();
        let roles = |rows: &Value| (0..3).map(|at| rows[at]["role"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(roles(&rows), ["follower", "away", "away"]);
        let whole = nodes.whole(&[("topics", Table::new(&["topic"]))]);
        assert_eq!(roles(&whole["nodes"]), roles(&rows));
        assert_eq!((&whole["nodes"][1]["ready"], &whole["topics"]), (&Value::Null, &json!([])));
    }
}
