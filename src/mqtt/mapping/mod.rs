//! Which Kafka topic and which key an MQTT topic becomes: the rules `mqtt.map.N`.
//!
//! ```text
//! mqtt.map.1 = sensors/+/temperature -> temperature      key={1}
//! mqtt.map.2 = site/+/line/+/#       -> line.{1}.{2}     key={client_id}
//! mqtt.map.3 = raw/#                 -> raw              key=
//! ```
//!
//! The first rule whose filter matches wins. `{1}`, `{2}`, ... stand for what the filter's wildcards matched, `{topic}`
//! for the whole MQTT topic, `{client_id}` for the publisher. In the topic, a `/` that is filled in becomes `.`; in the
//! key, text stays as it is. Without `key=` the key is the MQTT topic, so that the order of each topic holds; with
//! nothing after `key=` records have no key. After the last rule stands `# -> mqtt key={topic}`, so that a topic that
//! no rule matches is kept rather than refused.
//!
//! Invariants: names are legal for Kafka and not internal (`__...`), checked at load where nothing is filled in and at
//! use where something is; wildcards in the first level do not match topics that begin with `$`, as in subscriptions.

mod template;

use template::{Template, Values};

use super::codec::is_filter;
use crate::config::MapLine;
use crate::limits::{MQTT_CAPTURES_MAX, TOPIC_NAME_BYTES_MAX};

const DEFAULT_RULE: &str = "# -> mqtt key={topic}";

/// The rules, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    rules: Vec<Rule>,
}

/// A rule that cannot be used, in a sentence that names its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingError {
    /// Where it was said.
    pub source: String,
    /// N of `mqtt.map.N`.
    pub number: u32,
    /// What is wrong, and what is allowed.
    pub sentence: String,
}

impl std::fmt::Display for MappingError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: mqtt.map.{}: {}", self.source, self.number, self.sentence)
    }
}

impl std::error::Error for MappingError {}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapped {
    /// False: records have no key.
    pub has_key: bool,
    /// The name was filled in from the message rather than written in a rule: creating it counts against
    /// `mqtt.topics.max`.
    pub is_dynamic: bool,
}

impl Mapping {
    /// Compiles the rules of a configuration.
    pub fn compile(lines: &[MapLine]) -> Result<Mapping, MappingError> {
        let mut rules = Vec::with_capacity(lines.len() + 1);
        for line in lines {
            let error = |sentence| MappingError { source: line.source.clone(), number: line.number, sentence };
            rules.push(Rule::parse(&line.text).map_err(error)?);
        }
        // A constant that the tests parse.
        rules.extend(Rule::parse(DEFAULT_RULE));
        Ok(Mapping { rules })
    }

    /// Replaces `kafka_topic` and `key` by what `topic` maps to; `None` when that is no legal Kafka topic. `topic` is a
    /// checked topic name.
    pub fn map(&self, topic: &str, client_id: &str, kafka_topic: &mut String, key: &mut Vec<u8>) -> Option<Mapped> {
        let mut captures = heapless::Vec::new();
        let rule = self.rules.iter().find(|rule| rule.matches(topic, &mut captures))?;
        let values = Values { topic, client_id, captures: &captures };
        let mut name = std::mem::take(kafka_topic).into_bytes();
        name.clear();
        rule.topic.fill(values, &mut name, |byte| if byte == b'/' { b'.' } else { byte });
        key.clear();
        if let Some(template) = &rule.key {
            template.fill(values, key, |byte| byte);
        }
        if !is_legal_topic(&name) {
            return None;
        }
        *kafka_topic = String::from_utf8(name).ok()?;
        Some(Mapped { has_key: rule.key.is_some(), is_dynamic: rule.topic.literal().is_none() })
    }
}

/// Kafka's rule for names, and none of the names that the node keeps for itself.
fn is_legal_topic(name: &[u8]) -> bool {
    let legal = name.iter().all(|&byte| is_legal_byte(byte));
    legal
        && (1..=TOPIC_NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with(b"__")
        && !matches!(name, b"." | b"..")
}

fn is_legal_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Level {
    Literal(Box<str>),
    /// `+`
    One,
    /// `#`
    Rest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    levels: Vec<Level>,
    topic: Template,
    key: Option<Template>,
}

type Captures<'a> = heapless::Vec<&'a str, MQTT_CAPTURES_MAX>;

impl Rule {
    fn parse(text: &str) -> Result<Rule, String> {
        let form = "a rule reads 'FILTER -> TOPIC [key=TEMPLATE]'";
        let (filter, target) = text.split_once("->").ok_or(form)?;
        let (filter, target) = (filter.trim(), target.trim());
        if !is_filter(filter) {
            return Err(format!("'{filter}' is not an MQTT filter: + and # stand alone in a level, # in the last one"));
        }
        let levels: Vec<Level> = filter.split('/').map(Level::from).collect();
        let wildcards = levels.iter().filter(|level| !matches!(level, Level::Literal(_))).count();
        if wildcards > MQTT_CAPTURES_MAX {
            return Err(format!("'{filter}' has {wildcards} wildcards; {MQTT_CAPTURES_MAX} are allowed"));
        }
        let (topic, key) = match target.split_once(char::is_whitespace) {
            None => (target, None),
            Some((topic, rest)) => (topic, Some(rest.trim().strip_prefix("key=").ok_or(form)?)),
        };
        let topic = parse_topic(topic, wildcards)?;
        let key = match key {
            Some("") => None,
            key => Some(Template::parse(key.unwrap_or("{topic}"), wildcards)?),
        };
        Ok(Rule { levels, topic, key })
    }

    /// True when the filter matches; `captures` then holds what its wildcards matched.
    fn matches<'a>(&self, topic: &'a str, captures: &mut Captures<'a>) -> bool {
        captures.clear();
        let mut rest = Some(topic);
        for (index, level) in self.levels.iter().enumerate() {
            let reserved = index == 0 && topic.starts_with('$');
            match level {
                Level::Literal(_) => {}
                _ if reserved => return false,
                Level::Rest => return captures.push(rest.unwrap_or_default()).is_ok(),
                Level::One => {}
            }
            let Some(here) = rest else { return false };
            let (name, tail) = match here.split_once('/') {
                Some((name, tail)) => (name, Some(tail)),
                None => (here, None),
            };
            let fits = match level {
                Level::Literal(literal) => **literal == *name,
                _ => captures.push(name).is_ok(), // room: the rule has been checked at load
            };
            if !fits {
                return false;
            }
            rest = tail;
        }
        rest.is_none()
    }
}

impl From<&str> for Level {
    fn from(level: &str) -> Level {
        match level {
            "+" => Level::One,
            "#" => Level::Rest,
            literal => Level::Literal(literal.into()),
        }
    }
}

fn parse_topic(text: &str, wildcards: usize) -> Result<Template, String> {
    let allowed = "a Kafka topic has 1 to 249 of a-z A-Z 0-9 . _ - and does not begin with __";
    let template = Template::parse(text, wildcards)?;
    let legal_texts = template.texts().all(|text| text.bytes().all(is_legal_byte));
    let legal = template.literal().is_none_or(|name| is_legal_topic(name.as_bytes()));
    if legal_texts && legal { Ok(template) } else { Err(format!("'{text}' is not a Kafka topic: {allowed}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(rules: &[&str]) -> Result<Mapping, MappingError> {
        let lines: Vec<_> = rules
            .iter()
            .enumerate()
            .map(|(index, text)| MapLine {
                number: index as u32 + 1,
                text: (*text).to_owned(),
                source: "test line 1".to_owned(),
            })
            .collect();
        Mapping::compile(&lines)
    }

    fn map(mapping: &Mapping, topic: &str) -> Option<(String, Option<String>)> {
        let (mut name, mut key) = ("left over".to_owned(), b"left over".to_vec());
        let mapped = mapping.map(topic, "dev", &mut name, &mut key)?;
        Some((name, mapped.has_key.then(|| String::from_utf8(key).unwrap())))
    }

    fn to(topic: &str, key: &str) -> Option<(String, Option<String>)> {
        Some((topic.to_owned(), Some(key.to_owned())))
    }

    /// First match wins, captures go where the rule says, `/` becomes `.` in topics only, the rest goes to `mqtt`.
    #[test]
    fn table() {
        let mapping = mapping(&[
            "sensors/+/temperature -> temperature key={1}",
            "site/+/line/+/# -> line.{1}.{2}.{3} key={client_id}/{3}",
            "raw/# -> raw key=",
            "all/# -> {topic}",
            "/+ -> slash.{1} key={1}",
            "$own/+ -> own",
        ])
        .unwrap();
        assert_eq!(map(&mapping, "sensors/7/temperature"), to("temperature", "7"));
        assert_eq!(map(&mapping, "site/a/line/b/c/d"), to("line.a.b.c.d", "dev/c/d"));
        assert_eq!(map(&mapping, "raw/x"), Some(("raw".to_owned(), None)));
        assert_eq!(map(&mapping, "raw"), Some(("raw".to_owned(), None)));
        assert_eq!(map(&mapping, "all/b/c"), to("all.b.c", "all/b/c"));
        assert_eq!(map(&mapping, "/x"), to("slash.x", "x"));
        assert_eq!(map(&mapping, "$own/x"), to("own", "$own/x"));
        assert_eq!(map(&mapping, "sensors/7/humidity"), to("mqtt", "sensors/7/humidity"));
        assert_eq!(map(&mapping, "sensors//temperature"), to("temperature", ""));
        assert_eq!(map(&mapping, "\u{e4}"), to("mqtt", "\u{e4}"));
    }

    /// What is filled in must make a legal name; wildcards do not reach `$` topics.
    #[test]
    fn refused_at_use() {
        let mapping = mapping(&["d/+/# -> {1}", "u/+ -> u.{1}", "x/# -> _{1}"]).unwrap();
        for bad in ["d/a b/c", "d//c", "d/./c", "d/../c", "d/__consumer_offsets/c", "d/\u{e4}/c", "$SYS/x", "x/_y"] {
            assert_eq!(map(&mapping, bad), None, "{bad}");
        }
        assert!(map(&mapping, &format!("u/{}", "a".repeat(247))).is_some());
        assert_eq!(map(&mapping, &format!("u/{}", "a".repeat(248))), None);
    }

    /// A wrong rule is told by line and number before anything starts.
    #[test]
    fn refused_at_load() {
        for bad in [
            "",
            "a/#",
            "a/#/b -> t",
            "a -> t u",
            "a -> t key",
            "a -> ",
            "a -> t\u{e4}",
            "a -> a/b",
            "a -> __internal",
            "a -> {1}",
            "a/+ -> t key={2}",
            "a -> ..",
            "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+ -> t",
        ] {
            let error = mapping(&["# -> fine", bad]).unwrap_err();
            assert_eq!(error.number, 2, "{bad}");
            assert!(error.to_string().starts_with("test line 1: mqtt.map.2: "), "{error}");
        }
    }
}
