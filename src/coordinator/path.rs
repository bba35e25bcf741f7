//! What a znode's path may look like (ZooKeeper's `PathUtils`), and its parts.

use super::ErrorCode;

/// Refuses what cannot be the path of a znode that is created or changed. Reads need no check: they find nothing.
pub fn validate(path: &str) -> Result<(), ErrorCode> {
    if path == "/" {
        return Ok(());
    }
    let parts = path.strip_prefix('/').ok_or(ErrorCode::BadArguments)?;
    let legal = parts.split('/').all(|part| !matches!(part, "" | "." | "..")) && parts.chars().all(is_legal);
    if legal { Ok(()) } else { Err(ErrorCode::BadArguments) }
}

/// Java judges UTF-16 units, so that everything beyond U+FFFF counts as surrogates.
fn is_legal(letter: char) -> bool {
    !matches!(letter, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..)
}

/// The parent's path (empty for the root) and the last part; `None` without a slash.
pub fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/')
}

/// Znodes that nobody deletes.
pub fn is_special(path: &str) -> bool {
    matches!(path, "/" | "/zookeeper" | "/zookeeper/quota" | "/zookeeper/config")
}

/// Znodes that only brokers write: a client that could would lie to the whole cluster.
pub fn is_broker_owned(path: &str) -> bool {
    if matches!(path, "/controller" | "/controller_epoch" | "/cluster/id" | "/latest_producer_id_block") {
        return true;
    }
    if let Some(rest) = path.strip_prefix("/brokers/ids") {
        return rest.is_empty() || rest.starts_with('/');
    }
    path.strip_prefix("/brokers/topics/")
        .and_then(|rest| rest.strip_suffix("/state"))
        .is_some_and(|rest| matches!(rest.split('/').collect::<Vec<_>>()[..], [_, "partitions", _]))
}

/// The same of znodes that came with `features::DIRECTORIES`: before it members disagree about them.
pub fn is_broker_owned_since_directories(path: &str) -> bool {
    let is_directory =
        path.strip_prefix("/brokers/directories").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    is_directory || path == "/feature"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules of ZooKeeper's PathUtils, one example each.
    #[test]
    fn legal_and_illegal_paths() {
        for good in ["/", "/a", "/a/b", "/a.b", "/...", "/ü", "/a b", "/\u{d7ff}", "/\u{f900}"] {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "/a/",
            "//a",
            "/a//b",
            "/.",
            "/a/../b",
            "/a/.",
            "/a\0",
            "/\u{1f}",
            "/\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{fff0}",
            "/\u{10000}",
        ] {
            assert_eq!(validate(bad), Err(ErrorCode::BadArguments), "{bad:?}");
        }
    }

    /// Only the brokers' own znodes are protected, not what looks like them.
    #[test]
    fn broker_owned() {
        for owned in ["/brokers/ids", "/brokers/ids/1", "/controller", "/brokers/topics/t/partitions/0/state"] {
            assert!(is_broker_owned(owned), "{owned}");
        }
        for free in ["/brokers/idsx", "/brokers/topics/t", "/brokers/topics/state", "/controllers", "/a/controller"] {
            assert!(!is_broker_owned(free), "{free}");
        }
    }
}
