//! Entries of the quorum's log, and the transactions of the coordinator in them.
//!
//! An entry's data is what `engine/metadata` proposes: a version, the proposer's wall clock, a transaction.

use crate::cli::moment;
use crate::coordinator::{Body, By, Op, Txn};
use crate::quorum::{ENTRY_BYTES_MAX, Stored, unseal};
use crate::record::BatchView;
use crate::types::{Reader, Timestamp};

/// The version of an entry's data.
const VERSION: u8 = 1;

/// One line on the entry in a batch; the error is a sentence on what is wrong with it.
pub(super) fn line(batch: &BatchView<'_>) -> Result<String, String> {
    let Some(Stored { entry, known }) = unseal(batch, ENTRY_BYTES_MAX)? else {
        return Ok("the origin, which is no entry".to_owned());
    };
    let data = match (entry.get_entry_type(), entry.data.is_empty()) {
        (raft::eraftpb::EntryType::EntryNormal, true) => "a term begins".to_owned(),
        (raft::eraftpb::EntryType::EntryNormal, false) => transaction(&entry.data)?,
        _ => "the membership changes".to_owned(),
    };
    Ok(format!("entry {} of term {}, committed up to {}: {data}", entry.index, entry.term, known.commit))
}

fn transaction(data: &[u8]) -> Result<String, String> {
    let mut reader = Reader::new(data);
    let mut header = || Ok::<_, crate::types::ReadError>((reader.u8()?, reader.i64()?));
    let (version, time) = header().map_err(|error| error.to_string())?;
    if version != VERSION {
        return Err(format!("its data has format {version}, known is {VERSION}"));
    }
    let txn = Txn::decode(reader.rest()).map_err(|code| format!("its transaction cannot be read: {code}"))?;
    let by = match &txn.by {
        By::Node { .. } => "node".to_owned(),
        By::Client { session, .. } => format!("session {:#x}", session.0),
    };
    Ok(format!("{} by {by} at {}", body(&txn.body), moment::format(Timestamp(time))))
}

fn body(body: &Body) -> String {
    match body {
        Body::CreateSession { session, timeout_ms } => {
            format!("begin session {:#x} with a timeout of {timeout_ms} ms", session.0)
        }
        Body::MoveSession { session, timeout_ms, node } => {
            format!("take session {:#x} up at node {node} with a timeout of {timeout_ms} ms", session.0)
        }
        Body::CloseSession { session } => format!("end session {:#x}", session.0),
        Body::One(one) => op(one),
        Body::Multi(ops) => format!("[{}]", ops.iter().map(op).collect::<Vec<_>>().join(", ")),
        Body::RegisterBroker { broker, session, .. } => {
            format!("register broker {broker} with session {:#x}", session.0)
        }
        Body::RegisterBrokerIn { broker, session, directory, .. } => {
            format!("register broker {broker} with session {:#x} and the logs in directory {directory}", session.0)
        }
        Body::Reconfig { joining, leaving, members, from, verdict } => {
            let list = |name: &str, list: &Option<String>| match list {
                Some(list) => format!(" {name} {}", list.escape_debug()),
                None => String::new(),
            };
            let what = [list("joining", joining), list("leaving", leaving), list("members", members)].concat();
            format!("reconfig{what} from version {from:x}, {verdict:?}")
        }
    }
}

fn op(op: &Op) -> String {
    let size = |data: &Option<Vec<u8>>| data.as_ref().map_or("null".to_owned(), |data| format!("{} bytes", data.len()));
    match op {
        Op::Create { path, data, mode, .. } => format!("create {path} {mode:?} {}", size(data)),
        Op::Delete { path, version } => format!("delete {path} version {version}"),
        Op::SetData { path, data, version } => format!("set {path} version {version} {}", size(data)),
        Op::SetAcl { path, version, .. } => format!("set acl {path} version {version}"),
        Op::Check { path, version } => format!("check {path} version {version}"),
        Op::DeleteContainer { path } => format!("delete container {path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coordinator::CreateMode;
    use crate::types::SessionId;

    fn data(txn: &Txn) -> Vec<u8> {
        let mut data = vec![VERSION];
        data.extend_from_slice(&0i64.to_be_bytes());
        data.extend_from_slice(&txn.encode());
        data
    }

    /// A transaction is told with paths and sizes; other versions and cut bytes are not guessed at.
    #[test]
    fn transactions() {
        let create =
            Op::Create { path: "/a".to_owned(), data: Some(vec![1]), acl: Vec::new(), mode: CreateMode::Ephemeral };
        let delete = Op::Delete { path: "/b".to_owned(), version: -1 };
        let by = By::Client { session: SessionId(16), ids: Vec::new() };
        let told = transaction(&data(&Txn { by, body: Body::Multi(vec![create, delete]) })).unwrap();
        let expected =
            "[create /a Ephemeral 1 bytes, delete /b version -1] by session 0x10 at 1970-01-01T00:00:00.000Z";
        assert_eq!(told, expected);
        assert_eq!(transaction(&[9; 20]).unwrap_err(), "its data has format 9, known is 1");
        assert!(transaction(&[VERSION]).is_err());
    }
}
