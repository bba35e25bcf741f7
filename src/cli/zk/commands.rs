//! What each command does with znodes, for the command line and the shell alike.

use std::io::{self, Read, Write};

use super::client::Client;
use super::error_code;
use super::stat::{Acl, lines};
use super::{walk, watch};
use crate::cli::arguments::{ZkCommand, ZkCreate, ZkSet};
use crate::cli::table::{Cell, Table};
use crate::cli::{moment, usage};
use crate::zookeeper::codec::{Body, Request};
use crate::zookeeper::errors::Code;

/// What `ZkCreate` means on the wire.
const EPHEMERAL: i32 = 1;
const SEQUENTIAL: i32 = 2;
const CONTAINER: i32 = 4;
const TTL: i32 = 5;
const TTL_SEQUENTIAL: i32 = 6;

/// Does what was asked; `in_shell` when standard input is the user's and the session outlives the command.
pub(super) fn run(client: &mut Client, command: &ZkCommand, in_shell: bool, out: &mut dyn Write) -> io::Result<()> {
    match command {
        ZkCommand::Ls { path, recursive: true, .. } => walk::list(client, path_of(path)?, out),
        ZkCommand::Ls { path, long, watch, .. } => list(client, path_of(path)?, *long, *watch, out),
        ZkCommand::Get { path, stat, hex, watch } => get(client, path_of(path)?, *stat, *hex, *watch, out),
        ZkCommand::Set(arguments) => set(client, arguments, in_shell, out),
        ZkCommand::Create(arguments) => create(client, arguments, in_shell, out),
        ZkCommand::Delete { path, recursive: true, .. } => walk::delete(client, path_of(path)?),
        ZkCommand::Delete { path, version, .. } => client.delete(path_of(path)?, *version),
        ZkCommand::Stat { path, watch } => match client.exists(path_of(path)?, *watch)? {
            Some(stat) => out.write_all(lines(&stat).as_bytes()),
            None => client.data(path_of(path)?, false).map(|_| ()), // whose error says what to do
        },
        ZkCommand::Watch { path, recursive, count, data } => {
            let wanted = watch::Wanted { path: path_of(path)?, recursive: *recursive, count: *count, data: *data };
            watch::run(client, &wanted, in_shell, out)
        }
        ZkCommand::Acl { path, set, version } => acl(client, path_of(path)?, set, *version, out),
        ZkCommand::Tree { path, depth, data } => walk::tree(client, path_of(path)?, *depth, *data, out),
        ZkCommand::Sync { path } => client.call(&Request::Sync { path: path_of(path)? }, path).map(|_| ()),
        ZkCommand::Ephemerals { path } => ephemerals(client, path_of(path)?, out),
        ZkCommand::Whoami => who_am_i(client, out),
    }
}

/// A path without the slash that completion leaves at its end.
fn path_of(text: &str) -> io::Result<&str> {
    let path = if text.len() > 1 { text.trim_end_matches('/') } else { text };
    match path.starts_with('/') {
        true => Ok(path),
        false => Err(usage(format!("{text}: it is no path; allowed: /a/b/c"))),
    }
}

fn list(client: &mut Client, path: &str, long: bool, watch: bool, out: &mut dyn Write) -> io::Result<()> {
    let (names, _) = client.children(path, watch)?;
    if !long {
        return names.iter().try_for_each(|name| writeln!(out, "{name}"));
    }
    let mut table = Table::new(&["name", "version", "children", "size", "modified", "ephemeral-owner"]);
    for name in names {
        let Some(stat) = client.exists(&walk::child(path, &name), false)? else { continue };
        let owner = stat.ephemeral_owner.0;
        table.row(vec![
            name.into(),
            i64::from(stat.version).into(),
            i64::from(stat.num_children).into(),
            i64::from(stat.data_length).into(),
            moment::format(stat.mtime).into(),
            if owner == 0 { Cell::Absent } else { format!("{owner:#x}").into() },
        ]);
    }
    out.write_all(table.render(false).as_bytes())
}

fn get(client: &mut Client, path: &str, stat: bool, hex: bool, watch: bool, out: &mut dyn Write) -> io::Result<()> {
    let (data, found) = client.data(path, watch)?;
    match (data, hex) {
        (Some(data), true) => data.iter().try_for_each(|byte| write!(out, "{byte:02x}"))?,
        (Some(data), false) => out.write_all(&data)?,
        (None, _) => out.write_all(b"null")?,
    }
    out.write_all(b"\n")?;
    if stat { out.write_all(lines(&found).as_bytes()) } else { Ok(()) }
}

/// The data of an argument; `-` is standard input.
fn data_of(text: &str, in_shell: bool) -> io::Result<Vec<u8>> {
    if text != "-" || in_shell {
        return Ok(text.as_bytes().to_vec());
    }
    let mut data = Vec::new();
    io::stdin().read_to_end(&mut data)?;
    Ok(data)
}

fn set(client: &mut Client, arguments: &ZkSet, in_shell: bool, out: &mut dyn Write) -> io::Result<()> {
    let data = data_of(&arguments.data, in_shell)?;
    let stat = client.set(path_of(&arguments.path)?, &data, arguments.version)?;
    if arguments.stat { out.write_all(lines(&stat).as_bytes()) } else { Ok(()) }
}

fn create(client: &mut Client, arguments: &ZkCreate, in_shell: bool, out: &mut dyn Write) -> io::Result<()> {
    let path = if arguments.sequential { arguments.path.as_str() } else { path_of(&arguments.path)? };
    let data = arguments.data.as_deref().map(|text| data_of(text, in_shell)).transpose()?;
    let acl: Vec<Acl> = arguments.acl.iter().map(|text| Acl::parse("--acl", text)).collect::<io::Result<_>>()?;
    let acl = if acl.is_empty() { Acl::open() } else { acl };
    let flags = match (arguments.ttl, arguments.container) {
        (Some(_), _) => {
            if arguments.sequential {
                TTL_SEQUENTIAL
            } else {
                TTL
            }
        }
        (None, true) => CONTAINER,
        (None, false) => i32::from(arguments.ephemeral) * EPHEMERAL + i32::from(arguments.sequential) * SEQUENTIAL,
    };
    if arguments.parents {
        for (at, _) in path.match_indices('/').skip(1) {
            match client.create(&path[..at], None, &acl, 0, None) {
                Err(error) if error_code(&error) == Some(Code::NODE_EXISTS) => {}
                other => {
                    other?;
                }
            }
        }
    }
    match client.create(path, data.as_deref(), &acl, flags, arguments.ttl) {
        Err(error) if error_code(&error) == Some(Code::NO_NODE) => {
            Err(io::Error::other(format!("{path}: its parent does not exist; -p creates parents as well")))
        }
        created => writeln!(out, "{}", created?),
    }
}

fn acl(client: &mut Client, path: &str, set: &[String], version: i32, out: &mut dyn Write) -> io::Result<()> {
    if set.is_empty() {
        let (list, _) = client.acl(path)?;
        return list.iter().try_for_each(|acl| writeln!(out, "{acl}"));
    }
    let list: Vec<Acl> = set.iter().map(|text| Acl::parse("--set", text)).collect::<io::Result<_>>()?;
    client.set_acl(path, &list, version).map(|_| ())
}

fn ephemerals(client: &mut Client, prefix: &str, out: &mut dyn Write) -> io::Result<()> {
    if let Body::Names(mut paths) = client.call(&Request::GetEphemerals { prefix }, prefix)?.body {
        paths.sort_unstable();
        paths.iter().try_for_each(|path| writeln!(out, "{path}"))?;
    }
    Ok(())
}

fn who_am_i(client: &mut Client, out: &mut dyn Write) -> io::Result<()> {
    if let Body::Identities(identities) = client.call(&Request::WhoAmI, "whoami")?.body {
        identities.iter().try_for_each(|(scheme, user)| writeln!(out, "{scheme}:{user}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The slash of a completion goes, the root stays, and what is no path is a usage error.
    #[test]
    fn paths() {
        assert_eq!(path_of("/").unwrap(), "/");
        assert_eq!(path_of("/a/b/").unwrap(), "/a/b");
        assert_eq!(path_of("a").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
}
