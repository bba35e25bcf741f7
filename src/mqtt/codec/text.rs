//! UTF-8, NUL and wildcards: every text of a client is checked here before it means anything.

use crate::limits::MQTT_TOPIC_BYTES_MAX;
use crate::mqtt::errors::Reason;

/// MQTT's UTF-8 string (section 1.5.4): well formed, without U+0000.
pub fn utf8(bytes: &[u8]) -> Result<&str, Reason> {
    let text = std::str::from_utf8(bytes).map_err(|_| Reason::MalformedPacket)?;
    if bytes.contains(&0) { Err(Reason::MalformedPacket) } else { Ok(text) }
}

/// A topic name as a PUBLISH carries it (section 4.7): not empty, no wildcard, within our bound.
pub fn topic_name(bytes: &[u8]) -> Result<&str, Reason> {
    let topic = utf8(bytes)?;
    let wild = bytes.iter().any(|&byte| byte == b'+' || byte == b'#');
    if topic.is_empty() || wild || bytes.len() > MQTT_TOPIC_BYTES_MAX {
        return Err(Reason::TopicNameInvalid);
    }
    Ok(topic)
}

/// A topic filter (section 4.7.1): `#` only as the whole last level, `+` only as a whole level.
pub fn is_filter(filter: &str) -> bool {
    if filter.is_empty() || filter.len() > MQTT_TOPIC_BYTES_MAX || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let wild = level.contains(['+', '#']);
        if wild && (level.len() > 1 || (level == "#" && levels.peek().is_some())) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wildcards stand alone in their level, and `#` in the last one.
    #[test]
    fn filters() {
        for good in ["#", "+", "/", "a/#", "a/+/b", "+/+", "/+", "a//b", "$SYS/#", "\u{e4}/+"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a/#/b", "a+", "+a/b", "a/b+", "##", "a\0b"] {
            assert!(!is_filter(bad), "{bad}");
        }
        assert!(!is_filter(&"a".repeat(MQTT_TOPIC_BYTES_MAX + 1)));
    }

    /// A topic name is text without wildcards.
    #[test]
    fn topic_names() {
        assert_eq!(topic_name(b"a/b"), Ok("a/b"));
        assert_eq!(topic_name("\u{e4}".as_bytes()), Ok("\u{e4}"));
        for bad in [&b""[..], b"a/+", b"#"] {
            assert_eq!(topic_name(bad), Err(Reason::TopicNameInvalid));
        }
        for bad in [&b"a\0"[..], b"\xff", b"\xed\xa0\x80"] {
            assert_eq!(topic_name(bad), Err(Reason::MalformedPacket));
        }
    }
}
