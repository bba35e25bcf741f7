//! `sensors.{1}` and `{topic}`: text with places for what a filter matched.
//!
//! A template is parsed once, at load; filling it in allocates nothing beyond what its caller's buffer grows to.

/// One piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<str>),
    Topic,
    ClientId,
    /// What wildcard number N of the filter matched, from 0.
    Capture(usize),
}

/// What a template may refer to.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// The MQTT topic.
    pub topic: &'a str,
    /// The publisher's client id.
    pub client_id: &'a str,
    /// What the wildcards matched, in order.
    pub captures: &'a [&'a str],
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Parses `text` for a filter with that many wildcards; `Err` is the sentence for the user.
    pub fn parse(text: &str, wildcards: usize) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let (literal, from_brace) = rest.split_at(open);
            if !literal.is_empty() {
                parts.push(Part::Text(literal.into()));
            }
            let inside = from_brace.strip_prefix('{').and_then(|tail| tail.split_once('}'));
            let Some((name, tail)) = inside else { return Err(format!("'{text}' has a brace without its partner")) };
            parts.push(parse_name(name, wildcards)?);
            rest = tail;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Template(parts))
    }

    /// The text itself when nothing is to be filled in.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The fixed pieces.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| if let Part::Text(text) = part { Some(&**text) } else { None })
    }

    /// Appends the filled-in template to `out`; each filled-in byte goes through `map`.
    pub fn fill(&self, values: Values<'_>, out: &mut Vec<u8>, map: impl Fn(u8) -> u8) {
        for part in &self.0 {
            let value = match part {
                Part::Text(text) => {
                    out.extend_from_slice(text.as_bytes());
                    continue;
                }
                Part::Topic => values.topic,
                Part::ClientId => values.client_id,
                Part::Capture(index) => values.captures.get(*index).copied().unwrap_or_default(),
            };
            out.extend(value.bytes().map(&map));
        }
    }
}

fn parse_name(name: &str, wildcards: usize) -> Result<Part, String> {
    match (name, name.parse::<usize>()) {
        ("topic", _) => Ok(Part::Topic),
        ("client_id", _) => Ok(Part::ClientId),
        (_, Ok(number)) if (1..=wildcards).contains(&number) => Ok(Part::Capture(number - 1)),
        (_, Ok(_)) => Err(format!("{{{name}}} names a wildcard that the filter does not have ({wildcards} there)")),
        (_, Err(_)) => Err(format!("{{{name}}} is not {{topic}}, {{client_id}}, {{1}}, {{2}}, ...")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(text: &str) -> Result<String, String> {
        let template = Template::parse(text, 2)?;
        let mut out = Vec::new();
        let values = Values { topic: "a/b", client_id: "dev", captures: &["x", "y/z"] };
        template.fill(values, &mut out, |byte| byte);
        Ok(String::from_utf8(out).unwrap())
    }

    /// Every kind of piece is filled in; unknown names and lone braces are told in a sentence.
    #[test]
    fn fill_in() {
        assert_eq!(filled("t.{topic}-{client_id}").as_deref(), Ok("t.a/b-dev"));
        assert_eq!(filled("{1}{2}").as_deref(), Ok("xy/z"));
        assert_eq!(filled("").as_deref(), Ok(""));
        for bad in ["{", "}", "a{1", "{}", "{0}", "{3}", "{host}", "{1}}"] {
            assert!(filled(bad).is_err(), "{bad}");
        }
        assert_eq!(Template::parse("plain", 0).unwrap().literal(), Some("plain"));
        assert_eq!(Template::parse("p{topic}", 0).unwrap().literal(), None);
    }
}
