//! Who this node is, where its files lie, and who else belongs to the ensemble.
//!
//! A node's number may be said by `broker.id`, `node.id`, `myid` and the file `myid`; all that say it must agree, and
//! with `server.N` lines it must be one of their numbers.

use std::path::{Path, PathBuf};

use super::endpoint::split_host;
use super::values::Values;
use super::{Directories, Endpoint, Facts, Layers, Member};
use crate::types::NodeId;

const SERVER_FORM: &str = "HOST:2888:3888[:observer] or HOST:2888:3888;CLIENTPORT, an IPv6 address in brackets";

/// `dataDir` and `log.dirs`; one may be left out and then lies beside the other.
pub(super) fn directories(layers: &Layers) -> Directories {
    let said = |name: &str| layers.get(name).map(|assigned| assigned.value.trim()).filter(|value| !value.is_empty());
    let coordinator = said("dataDir").map(PathBuf::from);
    let topics = said("log.dirs")
        .or(said("log.dir"))
        .and_then(|list| list.split(',').map(str::trim).find(|dir| !dir.is_empty()));
    match (coordinator, topics.map(PathBuf::from)) {
        (Some(coordinator), Some(topics)) => Directories { coordinator, topics },
        (Some(coordinator), None) => Directories { topics: beside(&coordinator, "-topics"), coordinator },
        (None, Some(topics)) => Directories { coordinator: beside(&topics, "-coordinator"), topics },
        (None, None) => Directories { coordinator: "./tern-data".into(), topics: "./tern-data/topics".into() },
    }
}

/// `/var/lib/zookeeper` and `-topics` give `/var/lib/zookeeper-topics`.
fn beside(directory: &Path, suffix: &str) -> PathBuf {
    match directory.file_name() {
        Some(name) => {
            let mut name = name.to_owned();
            name.push(suffix);
            directory.with_file_name(name)
        }
        None => directory.join(suffix.trim_start_matches('-')),
    }
}

/// The directories with complaints.
pub(super) fn read_directories(values: &mut Values<'_>, layers: &Layers) -> Directories {
    let directories = directories(layers);
    let topics = directories.topics.display().to_string();
    if let Some(list) = values.text("log.dirs").or(values.text("log.dir"))
        && list.value.contains(',')
    {
        values.warnings.push(format!("{}: log.dirs names several directories; only {topics} is used", list.source));
    }
    if directories.topics == directories.coordinator
        && let (Some(data), Some(logs)) = (values.text("dataDir"), values.text("log.dirs").or(values.text("log.dir")))
    {
        let problem = format!("it is log.dirs of {} as well", logs.source);
        values.error(&data.source, "dataDir", &data.value, &problem, "two different directories");
    }
    if values.text("dataDir").is_none() {
        values.show("dataDir", directories.coordinator.display(), "default");
    }
    if values.text("log.dirs").is_none() {
        let source = values.text("log.dir").map_or("default", |assigned| &assigned.source);
        values.show("log.dirs", topics, source);
    }
    directories
}

/// All `server.N` lines.
pub(super) fn read_members(values: &mut Values<'_>) -> Vec<Member> {
    let mut members: Vec<Member> = Vec::new();
    for (number, assigned) in values.numbered("server.") {
        let name = format!("server.{number}");
        let Some(mut member) = parse_member(&assigned.value) else {
            values.error(&assigned.source, &name, &assigned.value, "it names no member", SERVER_FORM);
            continue;
        };
        member.id = NodeId(number as i32);
        let same = |other: &&Member| other.host == member.host && clash(other, &member);
        if let Some(other) = members.iter().find(same) {
            let problem = format!("server.{} has the same host and port", other.id);
            values.error(
                &assigned.source,
                &name,
                &assigned.value,
                &problem,
                "ports of its own for each member of a host",
            );
        }
        members.push(member);
    }
    members
}

/// ZooKeeper's observers say it twice; the `server.N` line counts.
pub(super) fn check_role(values: &mut Values<'_>, own: Option<&Member>) {
    let is_observer = values.word("peerType") == "observer";
    let (Some(assigned), Some(own)) = (values.given("peerType"), own) else { return };
    if own.is_observer != is_observer {
        let (source, id, line) = (assigned.source.clone(), own.id, own.line());
        let said = assigned.value.trim().to_owned();
        values.warnings.push(format!("{source}: peerType={said} is not used: the line server.{id}={line} counts"));
    }
}

fn clash(left: &Member, right: &Member) -> bool {
    let ports = [left.data_port, left.quorum_port];
    ports.contains(&right.data_port) || ports.contains(&right.quorum_port)
}

impl Member {
    /// Reads what follows `server.N=`.
    pub fn parse(id: NodeId, text: &str) -> Option<Member> {
        parse_member(text).map(|member| Member { id, ..member })
    }

    /// Writes it as ZooKeeper's own dynamic configuration has it, without the number.
    pub fn line(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let role = if self.is_observer { "observer" } else { "participant" };
        let client = self.client.as_ref().map_or(String::new(), |client| {
            if client.host.is_empty() { format!(";{}", client.port) } else { format!(";{client}") }
        });
        format!("{host}:{}:{}:{role}{client}", self.data_port, self.quorum_port)
    }
}

/// `host:2888:3888[:participant|observer][;[address:]port]`.
fn parse_member(text: &str) -> Option<Member> {
    let (servers, client) = match text.split_once(';') {
        Some((servers, client)) => (servers.trim(), Some(client.trim())),
        None => (text.trim(), None),
    };
    let (host, rest) = split_host(servers)?;
    let mut ports = rest.strip_prefix(':')?.split(':');
    let port = |text: Option<&str>| text?.parse().ok().filter(|port: &u16| *port != 0);
    let (data_port, quorum_port) = (port(ports.next())?, port(ports.next())?);
    let role = ports.next().unwrap_or("participant");
    let is_observer = role.eq_ignore_ascii_case("observer");
    let role_is_legal = is_observer || role.eq_ignore_ascii_case("participant");
    if host.is_empty() || !role_is_legal || ports.next().is_some() || data_port == quorum_port {
        return None;
    }
    let client = match client {
        None => None,
        Some(text) => Some(match text.parse() {
            Ok(port) => Endpoint { host: String::new(), port },
            Err(_) => Endpoint::parse(text)?,
        }),
    };
    Some(Member { id: NodeId(0), host: host.to_owned(), data_port, quorum_port, is_observer, client })
}

/// Somebody's word about the number of this node.
struct Claim {
    key: &'static str,
    source: String,
    id: NodeId,
}

/// The node's number.
pub(super) fn read_identity(values: &mut Values<'_>, facts: &Facts, members: &[Member], myid: &Path) -> NodeId {
    let mut claims = Vec::new();
    for key in ["broker.id", "node.id", "myid"] {
        // broker.id=-1 asks Kafka to make a number up; here it says nothing.
        if let Some(id) = values.optional_int(key).filter(|&id| id >= 0) {
            let source = values.given(key).map(|assigned| assigned.source.clone()).unwrap_or_default();
            claims.push(Claim { key, source, id: NodeId(id as i32) });
        }
    }
    match file_claim(facts, myid) {
        Ok(claim) => claims.extend(claim),
        Err(sentence) => values.errors.push(sentence),
    }
    let Some(first) = claims.first() else {
        if facts.myid.is_none() && !members.is_empty() {
            values.errors.push(unclaimed(members, myid));
        }
        values.show("broker.id", 1, "default");
        return NodeId(1);
    };
    if let Some(other) = claims.iter().find(|other| other.id != first.id) {
        values.errors.push(disagreement(first, other, members));
    } else if !members.is_empty() && members.iter().all(|member| member.id != first.id) {
        let (source, key, id, lines) = (&first.source, first.key, first.id, list(members));
        values.errors.push(format!("{source}: {key}={id}: there is no line server.{id}; the lines there are: {lines}"));
    }
    values.show("broker.id", first.id, &first.source);
    first.id
}

/// What the file `myid` says.
fn file_claim(facts: &Facts, path: &Path) -> Result<Option<Claim>, String> {
    let Some(text) = facts.myid.as_deref().map(str::trim) else { return Ok(None) };
    let source = path.display().to_string();
    match text.parse::<i32>() {
        Ok(id) if (0..i32::MAX).contains(&id) => Ok(Some(Claim { key: "myid", source, id: NodeId(id) })),
        _ => {
            let shown: String = text.chars().take(40).collect();
            let allowed = "one line with the N of this node's server.N line";
            Err(format!("{source}: \"{shown}\" is not a node's number; allowed: {allowed}"))
        }
    }
}

fn unclaimed(members: &[Member], myid: &Path) -> String {
    let (path, lines) = (myid.display(), list(members));
    format!(
        "which member is this node? There is no file {path} and no broker.id; write one of the numbers of {lines} into \
         {path}"
    )
}

/// People number one from 0 and the other from 1, so the sentence says which line to change to what.
fn disagreement(left: &Claim, right: &Claim, members: &[Member]) -> String {
    let is_member = |claim: &Claim| members.iter().any(|member| member.id == claim.id);
    // The number that has a server.N line is the right one; with two of them, the coordinator's file is.
    let (wrong, right_one) = if is_member(left) && !is_member(right) { (right, left) } else { (left, right) };
    let line = |claim: &Claim| format!("{} says {}={}", claim.source, claim.key, claim.id);
    format!(
        "{} and {}: a node has one number; change {} to {}={}",
        line(left),
        line(right),
        wrong.source,
        wrong.key,
        right_one.id
    )
}

fn list(members: &[Member]) -> String {
    members.iter().map(|member| format!("server.{}", member.id)).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every legal form of a server line, and those that ZooKeeper refuses as well.
    #[test]
    fn server_lines() {
        for text in ["a:2888:3888", "a:2888:3888:participant", "[2001:db8::1]:2888:3888", "10.0.0.1:1:2"] {
            let member = parse_member(text).unwrap();
            assert_eq!(member.client, None, "{text}");
            assert!(text.contains(&member.host));
        }
        let member = parse_member("zoo:2888:3888; 2181").unwrap();
        assert_eq!(member.client, Some(Endpoint::new("", 2181)));
        for text in ["a:1:2:participant", "[::1]:1:2:observer;2181", "a:1:2:participant;[::1]:9"] {
            assert_eq!(Member::parse(NodeId(3), text).unwrap().line(), text);
        }
        let member = parse_member("zoo:2888:3888:observer;2181").unwrap();
        assert!(member.is_observer && member.client.is_some());
        let member = parse_member("[::1]:2888:3888;[::1]:2181").unwrap();
        assert_eq!((member.host.as_str(), member.client), ("::1", Some(Endpoint::new("::1", 2181))));
        for text in [
            "",
            "a",
            "a:2888",
            ":2888:3888",
            "a:2888:2888",
            "a:0:1",
            "a:1:2:arbiter",
            "a:1:2:3",
            "::1:2888:3888",
            "a:1:2;x",
        ] {
            assert_eq!(parse_member(text), None, "{text}");
        }
    }

    /// A directory that is not named lies beside the one that is.
    #[test]
    fn directories_beside() {
        let of = |text: &str| {
            let mut layers = Layers::default();
            layers.add_file("f", text);
            let directories = directories(&layers);
            format!("{} {}", directories.coordinator.display(), directories.topics.display())
        };
        assert_eq!(of(""), "./tern-data ./tern-data/topics");
        assert_eq!(of("dataDir=/var/lib/zookeeper"), "/var/lib/zookeeper /var/lib/zookeeper-topics");
        assert_eq!(of("log.dirs=/var/lib/kafka-logs,/b"), "/var/lib/kafka-logs-coordinator /var/lib/kafka-logs");
        assert_eq!(of("log.dir=/k\ndataDir=/z/"), "/z/ /k");
        assert_eq!(of("dataDir=/"), "/ /topics");
    }
}
