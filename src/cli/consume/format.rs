//! How records are printed: values, JSON objects, hexadecimal digits, or a text with places for each part of a record.

use std::io::{self, Write};

use crate::cli::{moment, usage};
use crate::record::Record;
use crate::types::PartitionIndex;

/// The form of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The value and a newline, with the key and this separator before it.
    Value(Option<Vec<u8>>),
    /// The same with bytes as hexadecimal digits.
    Hex(Option<Vec<u8>>),
    /// One object a line.
    Json,
    /// One after the other, and nothing else.
    Parts(Vec<Part>),
}

/// A piece of a text with places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(Vec<u8>),
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Time,
    Date,
    KeyBytes,
    ValueBytes,
}

const ALLOWED: &str = "value, json, hex, or a text with %t %p %o %k %s %h %T %D %K %S %%, \\n, \\t, \\xNN";

impl Format {
    /// Reads `--format` and `--key-separator`.
    pub fn parse(text: &str, separator: Option<&str>) -> io::Result<Format> {
        let key = separator.map(|text| text.replace("\\t", "\t").into_bytes());
        let wrong = || usage(format!("--format {text}: it is no format; allowed: {ALLOWED}"));
        let format = match text {
            "value" => Format::Value(key),
            "hex" => Format::Hex(key),
            _ if separator.is_some() => {
                return Err(usage(format!("--key-separator goes with --format value or hex, not {text}")));
            }
            "json" => Format::Json,
            _ if text.contains(['%', '\\']) => Format::Parts(parts(text).ok_or_else(wrong)?),
            _ => return Err(wrong()),
        };
        Ok(format)
    }

    /// Prints a record.
    pub fn write(
        &self,
        topic: &str,
        partition: PartitionIndex,
        record: &Record<'_>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let (key, value) = (record.key.unwrap_or_default(), record.value.unwrap_or_default());
        match self {
            Format::Value(separator) => {
                if let Some(separator) = separator {
                    out.write_all(key)?;
                    out.write_all(separator)?;
                }
                out.write_all(value)?;
            }
            Format::Hex(separator) => {
                if let Some(separator) = separator {
                    out.write_all(hex(key).as_bytes())?;
                    out.write_all(separator)?;
                }
                out.write_all(hex(value).as_bytes())?;
            }
            Format::Json => write!(out, "{}", json(topic, partition, record))?,
            Format::Parts(parts) => return parts.iter().try_for_each(|part| part.write(topic, partition, record, out)),
        }
        out.write_all(b"\n")
    }
}

/// The pieces of a text; `None` when a place in it is unknown.
fn parts(text: &str) -> Option<Vec<Part>> {
    let (mut parts, mut literal) = (Vec::new(), Vec::new());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        let part = match letter {
            '%' => match letters.next()? {
                '%' => {
                    literal.push(b'%');
                    continue;
                }
                't' => Part::Topic,
                'p' => Part::Partition,
                'o' => Part::Offset,
                'k' => Part::Key,
                's' => Part::Value,
                'h' => Part::Headers,
                'T' => Part::Time,
                'D' => Part::Date,
                'K' => Part::KeyBytes,
                'S' => Part::ValueBytes,
                _ => return None,
            },
            '\\' => {
                literal.push(escaped(&mut letters)?);
                continue;
            }
            _ => {
                literal.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        parts.push(part);
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Some(parts)
}

fn escaped(letters: &mut std::str::Chars<'_>) -> Option<u8> {
    Some(match letters.next()? {
        'n' => b'\n',
        't' => b'\t',
        'r' => b'\r',
        '0' => 0,
        '\\' => b'\\',
        'x' => (letters.next()?.to_digit(16)? << 4 | letters.next()?.to_digit(16)?) as u8,
        _ => return None,
    })
}

impl Part {
    fn write(
        &self,
        topic: &str,
        partition: PartitionIndex,
        record: &Record<'_>,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let size = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| bytes.len() as i64);
        match self {
            Part::Text(text) => out.write_all(text),
            Part::Topic => out.write_all(topic.as_bytes()),
            Part::Partition => write!(out, "{partition}"),
            Part::Offset => write!(out, "{}", record.offset),
            Part::Key => out.write_all(record.key.unwrap_or_default()),
            Part::Value => out.write_all(record.value.unwrap_or_default()),
            Part::Time => write!(out, "{}", record.timestamp.0),
            Part::Date => out.write_all(moment::format(record.timestamp).as_bytes()),
            Part::KeyBytes => write!(out, "{}", size(record.key)),
            Part::ValueBytes => write!(out, "{}", size(record.value)),
            Part::Headers => {
                for (number, header) in record.headers.enumerate() {
                    out.write_all(if number > 0 { b"," } else { b"" })?;
                    out.write_all(header.key)?;
                    out.write_all(b"=")?;
                    out.write_all(header.value.unwrap_or(b"NULL"))?;
                }
                Ok(())
            }
        }
    }
}

/// A record as one JSON object. Bytes that are not UTF-8 stand as `{"hex": "..."}`.
pub fn json(topic: &str, partition: PartitionIndex, record: &Record<'_>) -> serde_json::Value {
    let headers =
        record.headers.map(|header| serde_json::json!({"key": text(Some(header.key)), "value": text(header.value)}));
    serde_json::json!({
        "topic": topic,
        "partition": partition.0,
        "offset": record.offset.0,
        "timestamp": record.timestamp.0,
        "key": text(record.key),
        "value": text(record.value),
        "headers": headers.collect::<Vec<_>>(),
    })
}

fn text(bytes: Option<&[u8]>) -> serde_json::Value {
    match bytes.map(|bytes| (std::str::from_utf8(bytes), bytes)) {
        None => serde_json::Value::Null,
        Some((Ok(text), _)) => text.into(),
        Some((Err(_), bytes)) => serde_json::json!({ "hex": hex(bytes) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BatchBuilder, BatchView, NewRecord, open};
    use crate::types::{LeaderEpoch, Offset, Timestamp};

    fn sample(check: impl Fn(&Record<'_>)) {
        let mut builder = BatchBuilder::new(1024);
        let headers: [(&[u8], &[u8]); 2] = [(b"h", b"\xff\x00"), (b"i", b"1")];
        let record =
            NewRecord { timestamp: Timestamp(7), key: None, value: Some("gr\u{fc}n".as_bytes()), headers: &headers };
        builder.push(&record).unwrap();
        let bytes = builder.seal(Offset(5), LeaderEpoch(0));
        let batch = BatchView::parse(&bytes).unwrap();
        let mut scratch = Vec::new();
        check(&open(&batch, &mut scratch, 1024).unwrap().next().unwrap().unwrap());
    }

    /// Null stays null, text stays text, other bytes are shown without loss.
    #[test]
    fn json_of_a_record() {
        let expected = serde_json::json!({
            "topic": "t", "partition": 0, "offset": 5, "timestamp": 7, "key": null, "value": "gr\u{fc}n",
            "headers": [{"key": "h", "value": {"hex": "ff00"}}, {"key": "i", "value": "1"}],
        });
        sample(|record| assert_eq!(json("t", PartitionIndex(0), record), expected));
    }

    /// Each place in a text, each form, each separator.
    #[test]
    fn forms() {
        let printed = |format: &str, separator: Option<&str>| {
            let mut out = Vec::new();
            sample_into(&Format::parse(format, separator).unwrap(), &mut out);
            out
        };
        fn sample_into(format: &Format, out: &mut Vec<u8>) {
            let cell = std::cell::RefCell::new(out);
            sample(|record| format.write("t", PartitionIndex(3), record, &mut **cell.borrow_mut()).unwrap());
        }
        assert_eq!(printed("value", None), "gr\u{fc}n\n".as_bytes());
        assert_eq!(printed("value", Some("\\t")), "\tgr\u{fc}n\n".as_bytes());
        assert_eq!(printed("hex", Some(":")), b":6772c3bc6e\n");
        assert_eq!(printed("%t-%p@%o %K/%S %T%%\\x41\\n", None), b"t-3@5 -1/5 7%A\n");
        assert_eq!(printed("%D|%k|%s", None), "1970-01-01T00:00:00.007Z||gr\u{fc}n".as_bytes());
        assert_eq!(printed("%h", None), b"h=\xff\x00,i=1");
    }

    /// A format that is none is an error of whoever typed it.
    #[test]
    fn wrong_formats() {
        for (format, separator) in [("valeu", None), ("%x", None), ("%", None), ("\\q", None), ("json", Some(":"))] {
            assert_eq!(Format::parse(format, separator).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{format}");
        }
    }
}
