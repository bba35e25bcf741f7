//! The variables of the container images: `NAME=VALUE` lines, and what each name is called in a properties file.
//!
//! Three families are known: `KAFKA_*` (Kafka's images), `ZOO_*` and `ZOOKEEPER_*` (ZooKeeper's). A name is compared
//! with the table of keys by its letters and digits alone, because the images disagree about dots and capitals.

use super::keys;
use super::properties::{BadLine, Entry};

/// A translated variable keeps its own name for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable {
    pub name: String,
    pub entry: Entry,
}

/// Reads a whole `.env` file.
pub(super) fn parse(text: &str) -> (Vec<Variable>, Vec<BadLine>) {
    let mut variables = Vec::new();
    let mut bad = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, content) in (1u32..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let content = content.strip_prefix("export ").unwrap_or(content);
        match content.split_once('=') {
            Some((name, value)) if is_name(name.trim()) => {
                variables.extend(translate(name.trim(), &unquote(value.trim()), line));
            }
            _ => bad.push(BadLine { line, sentence: format!("\"{content}\" is no variable; allowed: NAME=VALUE") }),
        }
    }
    (variables, bad)
}

/// One variable of the environment or of a file; some stand for several keys.
pub(super) fn translate(name: &str, value: &str, line: u32) -> Vec<Variable> {
    let entry = |key: &str, value: &str| Variable {
        name: name.to_owned(),
        entry: Entry { line, key: key.to_owned(), value: value.to_owned() },
    };
    match name {
        "ZOO_SERVERS" | "ZOOKEEPER_SERVERS" => {
            servers(value).into_iter().map(|(key, value)| entry(&key, &value)).collect()
        }
        "ZOO_MY_ID" | "ZOO_SERVER_ID" | "ZOOKEEPER_SERVER_ID" => vec![entry("myid", value)],
        "ZOO_PORT" | "ZOO_PORT_NUMBER" => vec![entry("clientPort", value)],
        "ZOO_CFG_EXTRA" => value
            .split_whitespace()
            .map(|pair| pair.split_once('=').map_or_else(|| entry(pair, ""), |(key, value)| entry(key, value)))
            .collect(),
        _ => vec![entry(&key_of(name).unwrap_or_else(|| name.to_owned()), value)],
    }
}

/// What a variable's name is called in a properties file; `None` when no key of the table has these letters.
fn key_of(name: &str) -> Option<String> {
    if keys::find(name).is_some() {
        return None;
    }
    let rest =
        ["KAFKA_CFG_", "KAFKA_", "ZOOKEEPER_", "ZOO_", "TERN_"].iter().find_map(|prefix| name.strip_prefix(prefix))?;
    if let Some(key) = keys::find_by_letters(rest) {
        return Some(key.name.to_owned());
    }
    if let Some(number) = rest.strip_prefix("SERVER_").filter(|number| is_number(number)) {
        return Some(format!("server.{number}"));
    }
    if let Some(number) = rest.strip_prefix("MQTT_MAP_").filter(|number| is_number(number)) {
        return Some(format!("mqtt.map.{number}"));
    }
    // A family without a key of that name: Kafka's images would make this of it, and patterns may still know it.
    let dotted = rest.to_ascii_lowercase().replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_");
    keys::find(&dotted).map(|_| dotted)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Takes one pair of quotes away; without quotes, a ` #` begins a comment.
fn unquote(value: &str) -> String {
    for quote in ['"', '\''] {
        if let Some(inside) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inside.0.to_owned();
        }
    }
    value.split(" #").next().unwrap_or(value).trim_end().to_owned()
}

/// `server.1=a:2888:3888;2181 server.2=...` and `a:2888:3888;b:2888:3888`, numbered from 1 where no number is given.
fn servers(value: &str) -> Vec<(String, String)> {
    let mut out: Vec<(String, String)> = Vec::new();
    for piece in value.split([' ', '\t', ',', ';']).filter(|piece| !piece.is_empty()) {
        let is_client = is_number(piece) || super::Endpoint::parse(piece).is_some();
        match (out.last_mut(), piece.split_once('=')) {
            (Some((_, server)), None) if is_client => *server = format!("{server};{piece}"),
            (_, Some((key, server))) => out.push((key.to_owned(), server.to_owned())),
            (_, None) => out.push((format!("server.{}", out.len() + 1), piece.to_owned())),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, value: &str) -> (String, String) {
        let mut all = translate(name, value, 1);
        assert_eq!(all.len(), 1, "{name}");
        let entry = all.remove(0).entry;
        (entry.key, entry.value)
    }

    /// Each family's way of writing a key leads to the key's own spelling.
    #[test]
    fn names() {
        for (name, key) in [
            ("KAFKA_LOG_DIRS", "log.dirs"),
            ("KAFKA_CREATE_TOPICS", "create.topics"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "listener.security.protocol.map"),
            ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "auto.create.topics.enable"),
            ("KAFKA_SSL_KEYSTORE_LOCATION", "ssl.keystore.location"),
            ("ZOO_MY_ID", "myid"),
            ("ZOO_TICK_TIME", "tickTime"),
            ("ZOO_MAX_CLIENT_CNXNS", "maxClientCnxns"),
            ("ZOO_AUTOPURGE_PURGEINTERVAL", "autopurge.purgeInterval"),
            ("ZOOKEEPER_SERVER_ID", "myid"),
            ("ZOOKEEPER_CLIENT_PORT", "clientPort"),
            ("ZOOKEEPER_DATA_DIR", "dataDir"),
            ("TERN_MEMORY_BUDGET", "memory.budget"),
            ("TERN_DATADIR", "dataDir"),
            ("TERN_SERVER_2", "server.2"),
            ("TERN_MQTT_MAP_10", "mqtt.map.10"),
            ("KAFKA_CFG_NUM_PARTITIONS", "num.partitions"),
            ("KAFKA_HEAP_OPTS", "KAFKA_HEAP_OPTS"),
            ("TZ", "TZ"),
        ] {
            assert_eq!(one(name, "x").0, key, "{name}");
        }
    }

    /// Both images' lists of servers, with and without client ports and numbers.
    #[test]
    fn server_lists() {
        let list =
            |value: &str| servers(value).into_iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ");
        assert_eq!(list("a:2888:3888;b:2888:3888"), "server.1=a:2888:3888 server.2=b:2888:3888");
        let numbered = "server.3=a:2888:3888;2181 server.4=b:2888:3888;0.0.0.0:2181";
        assert_eq!(list(numbered), numbered);
        assert_eq!(list(" "), "");
    }

    /// Quotes and comments go, what is no variable is told.
    #[test]
    fn lines() {
        let (variables, bad) = parse("# c\nexport ZOO_MY_ID=\"3\" # three\nZOO_TICK_TIME=2000 # ms\nhello\nA B=1\n");
        let values: Vec<_> = variables.iter().map(|variable| variable.entry.value.as_str()).collect();
        assert_eq!(values, ["3", "2000"]);
        assert_eq!(bad.iter().map(|bad| bad.line).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(bad[0].sentence, "\"hello\" is no variable; allowed: NAME=VALUE");
    }
}
