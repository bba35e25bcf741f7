//! Kafka's error codes as sentences that say what to do.

use std::io;

use crate::kafka::errors::ErrorCode;

/// An error code as an error that names what was asked for.
pub fn check(code: ErrorCode, what: &str) -> io::Result<()> {
    explain(code, None, what)
}

/// The same with the broker's own words, when it has some.
pub fn explain(code: ErrorCode, message: Option<&str>, what: &str) -> io::Result<()> {
    if code.is_none() {
        return Ok(());
    }
    let name = code.name();
    let mut sentence = match message.filter(|message| !message.is_empty()) {
        Some(message) => format!("{what}: {} ({name})", message.trim_end_matches('.')),
        None => format!("{what}: {code}"),
    };
    if let Some(advice) = advice(code) {
        sentence.push_str("; ");
        sentence.push_str(advice);
    }
    Err(io::Error::other(sentence))
}

/// What to do about it, where the code alone does not say.
fn advice(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
            "it does not exist: tern topic list shows what there is, tern topic create makes it"
        }
        ErrorCode::TOPIC_ALREADY_EXISTS => "tern topic describe shows it, --if-not-exists lets it be",
        ErrorCode::GROUP_ID_NOT_FOUND => "it does not exist: tern group list shows what there is",
        ErrorCode::NON_EMPTY_GROUP | ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => {
            "stop its consumers first: tern group describe names them"
        }
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
            "tern topic alter TOPIC --config max.message.bytes=N allows more"
        }
        ErrorCode::KAFKA_STORAGE_ERROR => "the node's disk is full or failed: tern status shows it",
        ErrorCode::NOT_ENOUGH_REPLICAS | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => {
            "fewer replicas are in sync than min.insync.replicas asks for: tern topic describe shows them"
        }
        ErrorCode::LEADER_NOT_AVAILABLE | ErrorCode::NOT_LEADER_OR_FOLLOWER => {
            "the partition has no leader at the moment: tern status shows which nodes are up"
        }
        ErrorCode::TOPIC_DELETION_DISABLED => "the node's key delete.topic.enable is false",
        ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => {
            "the group's coordinator is starting: try again in a moment"
        }
        ErrorCode::OFFSET_OUT_OF_RANGE => "tern topic describe shows the first and the last offset",
        ErrorCode::UNSUPPORTED_VERSION => "the broker is older than this command",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The broker's words come before the code, and advice after both.
    #[test]
    fn sentences() {
        let say = |code, message| explain(code, message, "topic t").unwrap_err().to_string();
        assert!(explain(ErrorCode::NONE, Some("x"), "topic t").is_ok());
        assert_eq!(say(ErrorCode::INVALID_CONFIG, Some("bad value.")), "topic t: bad value (INVALID_CONFIG)");
        assert_eq!(say(ErrorCode::INVALID_CONFIG, None), "topic t: INVALID_CONFIG (40)");
        assert!(say(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None).contains("tern topic create"));
    }
}
