//! `watch`: prints every change of a znode, over broken connections, until somebody says stop.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::time::Duration;

use super::client::{Client, Event, error_code, is_lost};
use super::walk;
use crate::cli::{interrupt, moment};
use crate::zookeeper::codec::EventType;
use crate::zookeeper::errors::Code;

/// How long one wait takes.
const WAIT: Duration = Duration::from_secs(1);

/// What to watch.
pub(super) struct Wanted<'a> {
    pub path: &'a str,
    pub recursive: bool,
    pub count: Option<u64>,
    pub data: bool,
}

/// Prints changes; in the shell the watch ends with the command.
pub(super) fn run(client: &mut Client, wanted: &Wanted<'_>, in_shell: bool, out: &mut dyn Write) -> io::Result<()> {
    client.add_watch(wanted.path, wanted.recursive)?;
    let result = follow(client, wanted, out);
    interrupt::forget();
    if in_shell {
        client.remove_watch(wanted.path, wanted.recursive)?;
    }
    result
}

fn follow(client: &mut Client, wanted: &Wanted<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut left = wanted.count.unwrap_or(u64::MAX);
    let mut waiting = VecDeque::new();
    let mut exists = client.exists(wanted.path, false)?.is_some();
    while left > 0 {
        let event = match waiting.pop_front().map_or_else(|| client.event(WAIT), |event| Ok(Some(event))) {
            Ok(Some(event)) => event,
            Ok(None) => continue,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
            Err(error) if is_lost(&error) => {
                eprintln!("{error}; looking for it again");
                let seen = client.last_zxid();
                client.reconnect()?;
                let gap = if wanted.recursive { "; what was deleted meanwhile is not told" } else { "" };
                eprintln!("found it at {}{gap}", client.session().2);
                waiting.extend(missed(client, wanted, seen, exists)?);
                continue;
            }
            Err(error) => return Err(error),
        };
        if event.path == wanted.path {
            exists = event.kind != Some(EventType::Deleted);
        }
        print(client, wanted, &event, out)?;
        left -= 1;
    }
    Ok(())
}

/// What servers do not tell of the time without a connection: znodes that came or changed after transaction `seen`, and
/// that the watched one went.
fn missed(client: &mut Client, wanted: &Wanted<'_>, seen: i64, existed: bool) -> io::Result<Vec<Event>> {
    let paths = if wanted.recursive { walk::paths(client, wanted.path)? } else { vec![wanted.path.to_owned()] };
    let mut events = Vec::new();
    for path in paths {
        let kind = match client.exists(&path, false)? {
            Some(stat) if stat.czxid.0 > seen => EventType::Created,
            Some(stat) if stat.mzxid.0 > seen => EventType::DataChanged,
            Some(stat) if stat.pzxid.0 > seen && !wanted.recursive => EventType::ChildrenChanged,
            None if existed && path == wanted.path => EventType::Deleted,
            _ => continue,
        };
        events.push(Event { kind: Some(kind), path });
    }
    if events.is_empty() && existed && client.exists(wanted.path, false)?.is_none() {
        events.push(Event { kind: Some(EventType::Deleted), path: wanted.path.to_owned() });
    }
    // The watch was there again before the znodes were looked at: what came in between it tells itself.
    events.retain(|event| !client.awaits(event));
    Ok(events)
}

fn print(client: &mut Client, wanted: &Wanted<'_>, event: &Event, out: &mut dyn Write) -> io::Result<()> {
    let is_set = matches!(event.kind, Some(EventType::Created | EventType::DataChanged));
    let data = if wanted.data && is_set {
        match client.data(&event.path, false) {
            Err(error) if error_code(&error) == Some(Code::NO_NODE) => None,
            other => other?.0,
        }
    } else {
        None
    };
    write!(out, "{} {}", moment::format(moment::now()), words(event))?;
    if let Some(data) = data {
        out.write_all(b" = ")?;
        out.write_all(&data)?;
    }
    out.write_all(b"\n")?;
    out.flush()
}

/// An event in words.
pub(super) fn words(event: &Event) -> String {
    let what = match event.kind {
        Some(EventType::Created) => "created",
        Some(EventType::Deleted) => "deleted",
        Some(EventType::DataChanged) => "changed",
        Some(EventType::ChildrenChanged) => "children-changed",
        None => "something-happened",
    };
    format!("{what} {}", event.path)
}
