//! Lines of input as records: values, keys before a separator, JSON objects, hexadecimal digits.

use std::io;

use serde_json::Value;

use crate::cli::arguments::{InputFormat, ProduceArguments};
use crate::cli::moment;
use crate::types::Timestamp;

/// How lines are read.
pub(super) struct Lines<'a> {
    format: InputFormat,
    key: Option<&'a str>,
    separator: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Vec<u8>)>,
    empty_is_null: bool,
}

/// A line as a record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub timestamp: Timestamp,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
}

impl<'a> Lines<'a> {
    /// `headers` go with every record.
    pub fn new(arguments: &'a ProduceArguments, headers: &[(&str, &str)]) -> Lines<'a> {
        let separator = arguments.key_separator.as_deref().map(|text| text.replace("\\t", "\t").into_bytes());
        Lines {
            format: arguments.format,
            key: arguments.key.as_deref(),
            separator: separator.filter(|separator| !separator.is_empty()),
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
                .collect(),
            empty_is_null: arguments.empty_is_null,
        }
    }

    /// The record of line `number`.
    pub fn record(&self, line: &[u8], number: u64) -> io::Result<Line> {
        let mut record = match self.format {
            InputFormat::Json => json(line),
            InputFormat::Value => self.split(line, |part| Ok(part.to_vec())),
            InputFormat::Hex => self.split(line, unhex),
        }
        .map_err(|sentence| io::Error::other(format!("line {number}: {sentence}")))?;
        if let Some(key) = self.key {
            record.key = Some(key.as_bytes().to_vec());
        }
        if self.empty_is_null && record.value.as_ref().is_some_and(Vec::is_empty) {
            record.value = None;
        }
        record.headers.extend(self.headers.iter().cloned());
        Ok(record)
    }

    /// Key and value of a line; the first separator counts.
    fn split(&self, line: &[u8], read: impl Fn(&[u8]) -> Result<Vec<u8>, String>) -> Result<Line, String> {
        let (key, value) = match &self.separator {
            None => (None, line),
            Some(separator) => {
                let at = line.windows(separator.len()).position(|window| window == separator);
                let at = at.ok_or("it has no key: the separator is not in it")?;
                (Some(&line[..at]), &line[at + separator.len()..]) // `at` is where a window of that length is
            }
        };
        let key = key.map(&read).transpose()?;
        Ok(Line { timestamp: moment::now(), key, value: Some(read(value)?), headers: Vec::new() })
    }
}

/// Bytes of hexadecimal digits; blanks between them do not count.
fn unhex(text: &[u8]) -> Result<Vec<u8>, String> {
    let digits: Option<Vec<u8>> = text
        .iter()
        .filter(|letter| !letter.is_ascii_whitespace())
        .map(|&letter| char::from(letter).to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => {
            Ok(digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect())
        }
        Some(_) => Err("it has an odd number of hexadecimal digits".to_owned()),
        None => Err("it is not made of hexadecimal digits".to_owned()),
    }
}

/// A JSON object of the form that `tern consume` prints; what says where the record was is ignored.
fn json(line: &[u8]) -> Result<Line, String> {
    let object: Value = serde_json::from_slice(line).map_err(|error| format!("it is not JSON: {error}"))?;
    let object = object.as_object().ok_or("it is no JSON object")?;
    for name in object.keys() {
        let known = ["topic", "partition", "offset", "timestamp", "time", "key", "value", "headers"];
        if !known.contains(&name.as_str()) {
            return Err(format!("{name:?} is not known; allowed: {}", known.join(", ")));
        }
    }
    let field = |name: &str| object.get(name).map_or(Ok(None), |value| bytes(name, value));
    let timestamp = match object.get("timestamp") {
        None | Some(Value::Null) => moment::now(),
        Some(value) => Timestamp(value.as_i64().ok_or("\"timestamp\" is no number of milliseconds")?),
    };
    let mut headers = Vec::new();
    for header in object.get("headers").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| bytes(name, header.get(name).unwrap_or(&Value::Null));
        let key = part("key")?.ok_or("a header has no key")?;
        headers.push((key, part("value")?.unwrap_or_default()));
    }
    Ok(Line { timestamp, key: field("key")?, value: field("value")?, headers })
}

/// Text, `{"hex": "..."}`, null, or any other JSON as its own text.
fn bytes(name: &str, value: &Value) -> Result<Option<Vec<u8>>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone().into_bytes())),
        Value::Object(object) if object.len() == 1 && object.contains_key("hex") => {
            let digits = value.pointer("/hex").and_then(Value::as_str).unwrap_or("?");
            unhex(digits.as_bytes()).map(Some).map_err(|sentence| format!("{name:?}: {sentence}"))
        }
        other => Ok(Some(other.to_string().into_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(format: InputFormat, separator: Option<&str>) -> Lines<'static> {
        let separator = separator.map(|text| text.as_bytes().to_vec());
        Lines { format, key: None, separator, headers: Vec::new(), empty_is_null: false }
    }

    type Pair = (Option<Vec<u8>>, Option<Vec<u8>>);

    fn read(lines: &Lines<'_>, line: &[u8]) -> Result<Pair, String> {
        lines.record(line, 7).map(|line| (line.key, line.value)).map_err(|error| error.to_string())
    }

    fn pair(key: Option<&[u8]>, value: &[u8]) -> Result<Pair, String> {
        Ok((key.map(<[u8]>::to_vec), Some(value.to_vec())))
    }

    /// The first separator counts, and a line without one is an error that names it.
    #[test]
    fn keys() {
        assert_eq!(read(&lines(InputFormat::Value, Some(":")), b"a:b:c"), pair(Some(b"a"), b"b:c"));
        assert_eq!(read(&lines(InputFormat::Value, None), b"a:b"), pair(None, b"a:b"));
        assert_eq!(read(&lines(InputFormat::Value, Some("::")), b"::v"), pair(Some(b""), b"v"));
        let error = read(&lines(InputFormat::Value, Some(":")), b"ab").unwrap_err();
        assert_eq!(error, "line 7: it has no key: the separator is not in it");
    }

    /// Digits are bytes, with and without a key; anything else is an error.
    #[test]
    fn hex() {
        assert_eq!(read(&lines(InputFormat::Hex, None), b"00fF 10"), pair(None, b"\x00\xff\x10"));
        assert_eq!(read(&lines(InputFormat::Hex, Some(":")), b"6b:"), pair(Some(b"k"), b""));
        assert!(read(&lines(InputFormat::Hex, None), b"0").unwrap_err().contains("odd number"));
        assert!(read(&lines(InputFormat::Hex, None), b"zz").unwrap_err().contains("hexadecimal"));
    }

    /// Text, bytes, null and nested JSON are values; headers and time come along; an unknown name is an error.
    #[test]
    fn objects() {
        let lines = lines(InputFormat::Json, None);
        let line = lines
            .record(
                br#"{"offset":3,"timestamp":5,"key":{"hex":"ff"},"value":{"a":[1]},"headers":[{"key":"h","value":null}]}"#,
                1,
            )
            .unwrap();
        let headers = vec![(b"h".to_vec(), Vec::new())];
        let expected =
            Line { timestamp: Timestamp(5), key: Some(vec![255]), value: Some(b"{\"a\":[1]}".to_vec()), headers };
        assert_eq!(line, expected);
        assert_eq!(lines.record(br#"{"value":null}"#, 1).unwrap().value, None);
        for (wrong, sentence) in [
            ("[]", "it is no JSON object"),
            ("{", "it is not JSON"),
            (r#"{"vlaue":1}"#, "\"vlaue\" is not known"),
            (r#"{"key":{"hex":"f"}}"#, "odd number"),
            (r#"{"timestamp":"x"}"#, "no number"),
        ] {
            assert!(read(&lines, wrong.as_bytes()).is_err_and(|error| error.contains(sentence)), "{wrong}");
        }
    }
}
