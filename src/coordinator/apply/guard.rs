//! What a ZooKeeper client writes into the znodes that brokers act on: it may ask for anything, but not destroy.
//!
//! Topic ids are the controller's to give: a client's are dropped, and a tool that does not know about ids does not
//! take one away. Partitions can be added to a topic; those it has, and their replicas, stay as they are. What brokers
//! understand is not replaced by what they do not: a typing error would otherwise end a topic, or its retention. A new
//! znode that cannot be understood is accepted, and reported by the view.

use std::borrow::Cow;

use crate::coordinator::ErrorCode;
use crate::coordinator::cluster::json::{self, ConfigJson, TopicJson};
use crate::coordinator::cluster::read_assignment;
use crate::coordinator::txn::By;

/// The data as it is stored. `before` is the znode's data now, `None` when it is to be created.
pub(super) fn amend<'a>(
    by: &By,
    path: &str,
    before: Option<Option<&[u8]>>,
    data: Option<&'a [u8]>,
) -> Result<Option<Cow<'a, [u8]>>, ErrorCode> {
    let unchanged = data.map(Cow::Borrowed);
    if matches!(by, By::Node { .. }) {
        return Ok(unchanged);
    }
    if is_child(path, "/brokers/topics/") {
        let known = before.and_then(|before| read_topic(before).ok());
        return match (read_topic(data), known) {
            (Ok(asked), None) if asked.topic_id.is_none() => Ok(unchanged),
            (Ok(asked), None) => Ok(Some(Cow::Owned(json::write(&TopicJson { topic_id: None, ..asked })))),
            (Ok(asked), Some(known)) => grow(asked, known).map(|grown| Some(Cow::Owned(json::write(&grown)))),
            (Err(_), Some(_)) => Err(ErrorCode::BadArguments),
            (Err(_), None) => Ok(unchanged),
        };
    }
    if is_child(path, "/config/topics/") || is_child(path, "/config/brokers/") {
        let is_config = |data| json::read::<ConfigJson>(data).is_ok();
        if before.is_some_and(is_config) && !is_config(data) {
            return Err(ErrorCode::BadArguments);
        }
    }
    Ok(unchanged)
}

/// The topic that `known` becomes: of `asked`, partitions that it has not yet. None is taken away, and replicas move by
/// reassignment only.
fn grow(asked: TopicJson, known: TopicJson) -> Result<TopicJson, ErrorCode> {
    if asked.partitions.len() < known.partitions.len() {
        return Err(ErrorCode::BadArguments);
    }
    let mut partitions = asked.partitions;
    partitions.extend(known.partitions);
    let version = if known.topic_id.is_some() { known.version } else { asked.version };
    Ok(TopicJson { partitions, version, ..known })
}

fn read_topic(data: Option<&[u8]>) -> Result<TopicJson, String> {
    let json: TopicJson = json::read(data)?;
    read_assignment(&json)?;
    Ok(json)
}

fn is_child(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|name| !name.contains('/'))
}
