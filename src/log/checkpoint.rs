//! Kafka's checkpoint files, as text: offsets by partition, and leader epochs by offset.
//!
//! ```text
//! recovery-point-offset-checkpoint     0 \n COUNT \n (TOPIC PARTITION OFFSET \n)*
//! log-start-offset-checkpoint          the same
//! cleaner-offset-checkpoint            the same: where compaction goes on
//! leader-epoch-checkpoint              0 \n COUNT \n (EPOCH START_OFFSET \n)*
//! broker-time-checkpoint (ours)        0 \n 1 \n MILLISECONDS \n
//! ```
//!
//! The name of a log's directory is `TOPIC-PARTITION`; one that is not ends up with partition 0 and keeps its name,
//! told apart by the missing number. A file that does not parse is as good as none: whoever reads it says so.

use std::fmt::Write;

use bytes::Bytes;

use crate::types::{LeaderEpoch, Offset, Timestamp};

pub(super) const RECOVERY_POINTS: &str = "recovery-point-offset-checkpoint";
pub(super) const LOG_STARTS: &str = "log-start-offset-checkpoint";
pub(super) const CLEANER_OFFSETS: &str = "cleaner-offset-checkpoint";
pub(super) const LEADER_EPOCHS: &str = "leader-epoch-checkpoint";
pub(super) const BROKER_TIME: &str = "broker-time-checkpoint";

/// No checkpoint file of ours is larger; one that is was not written by us.
pub(super) const CHECKPOINT_BYTES_MAX: usize = 4 << 20;

/// Renders offsets by log directory.
pub(super) fn render_offsets<'a>(lines: impl Iterator<Item = (&'a str, Offset)>) -> Bytes {
    let mut body = String::new();
    let mut count = 0;
    for (dir, offset) in lines {
        let (topic, partition) = split(dir).unwrap_or((dir, "-"));
        // writing to a String cannot fail
        let _ = writeln!(body, "{topic} {partition} {offset}");
        count += 1;
    }
    Bytes::from(format!("0\n{count}\n{body}"))
}

/// Offsets by log directory; `None` when the text is damaged.
pub(super) fn parse_offsets(text: &[u8]) -> Option<Vec<(String, Offset)>> {
    lines(text)?
        .map(|line| {
            let mut fields = line.split(' ');
            let (topic, partition) = (fields.next()?, fields.next()?);
            let offset = Offset(fields.next()?.parse().ok().filter(|&offset| offset >= 0)?);
            let dir = if partition == "-" { topic.to_string() } else { format!("{topic}-{partition}") };
            (fields.next().is_none() && !dir.contains('/')).then_some((dir, offset))
        })
        .collect()
}

/// Renders leader epochs.
pub(super) fn render_epochs(epochs: &[(LeaderEpoch, Offset)]) -> Bytes {
    let mut text = format!("0\n{}\n", epochs.len());
    for (epoch, start) in epochs {
        let _ = writeln!(text, "{epoch} {start}");
    }
    Bytes::from(text)
}

/// Leader epochs, as the file has them; `None` when the text is damaged.
pub(super) fn parse_epochs(text: &[u8]) -> Option<Vec<(LeaderEpoch, Offset)>> {
    lines(text)?
        .map(|line| {
            let (epoch, start) = line.split_once(' ')?;
            Some((LeaderEpoch(epoch.parse().ok()?), Offset(start.parse().ok()?)))
        })
        .collect()
}

/// Renders the highest broker time.
pub(super) fn render_time(time: Timestamp) -> Bytes {
    Bytes::from(format!("0\n1\n{}\n", time.0))
}

/// The highest broker time that was noted.
pub(super) fn parse_time(text: &[u8]) -> Option<Timestamp> {
    lines(text)?.next()?.parse().ok().map(Timestamp)
}

/// `TOPIC-PARTITION` in two; `None` for a directory that is no partition's.
pub(super) fn split(dir: &str) -> Option<(&str, &str)> {
    let (topic, partition) = dir.rsplit_once('-')?;
    let number = !partition.is_empty() && partition.bytes().all(|byte| byte.is_ascii_digit());
    (number && !topic.is_empty()).then_some((topic, partition))
}

/// The lines after version and count, when those say the truth.
fn lines(text: &[u8]) -> Option<impl Iterator<Item = &str>> {
    let text = std::str::from_utf8(text).ok()?;
    let (version, rest) = text.split_once('\n')?;
    let (count, body) = rest.split_once('\n')?;
    let count: usize = count.trim_end().parse().ok()?;
    let whole = version.trim_end() == "0" && body.lines().count() == count && (body.is_empty() || body.ends_with('\n'));
    whole.then(|| body.lines())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is rendered is read back, also names with dashes and directories that are no partition's.
    #[test]
    fn offsets_round_trip() {
        let lines = [("a-b-10", Offset(7)), ("quorum", Offset(0)), ("x-y", Offset(i64::MAX))];
        let text = render_offsets(lines.iter().copied());
        assert!(text.starts_with(b"0\n3\na-b 10 7\n"));
        let parsed = parse_offsets(&text).unwrap();
        let parsed: Vec<_> = parsed.iter().map(|(dir, offset)| (dir.as_str(), *offset)).collect();
        assert_eq!(parsed, lines);
        assert_eq!(parse_offsets(b"0\n0\n"), Some(vec![]));
    }

    /// A file that lost its end, or was filled with zeros, is refused as a whole.
    #[test]
    fn damaged_text() {
        let text = render_epochs(&[(LeaderEpoch(1), Offset(2)), (LeaderEpoch(3), Offset(40))]);
        assert_eq!(parse_epochs(&text).unwrap().len(), 2);
        for end in 0..text.len() {
            assert_eq!(parse_epochs(&text[..end]), None, "{end}");
        }
        assert_eq!(parse_epochs(&[0; 16]), None);
        assert_eq!(parse_offsets(b"0\n1\na 0 -5\n"), None);
        assert_eq!(parse_offsets(b"0\n1\n../a 0 5\n"), None);
        assert_eq!(parse_offsets(b"1\n0\n"), None);
        assert_eq!(parse_time(&render_time(Timestamp(99))), Some(Timestamp(99)));
    }
}
