//! `tern node replace`: a member keeps its number and gets a new disk, or a new board at another address.

use std::io;
use std::time::{Duration, Instant};

use super::Ensemble;
use super::add::follow;
use super::ask::{line_of, lines, member, some_of};
use super::{interrupt, usage};
use crate::types::NodeId;

/// How long the registration of a broker that was just stopped may last.
const LEAVING: Duration = Duration::from_secs(30);

/// Makes room for the new one and looks on until it votes.
pub(super) fn run(ensemble: &mut Ensemble, id: i32, line: Option<&str>, force: bool, wait: u64) -> io::Result<()> {
    let (members, version) = ensemble.members()?;
    let Some(old) = members.iter().find(|member| member.id == NodeId(id)).cloned() else {
        let known: Vec<String> = members.iter().map(|member| member.id.to_string()).collect();
        let known = known.join(", ");
        return Err(usage(format!(
            "there is no server {id}; the members are {known}; tern node add takes a new one in"
        )));
    };
    let new = line.map(member).transpose()?.unwrap_or_else(|| old.clone());
    if new.id != old.id {
        return Err(usage(format!("the line is that of server {}, and server {id} is to be replaced", new.id)));
    }
    wait_until_gone(ensemble, id)?;
    let only = ensemble.only_at(NodeId(id))?;
    if !only.is_empty() && !force {
        return Err(io::Error::other(format!(
            "the disk of server {id} has the only replica in sync of {} partitions ({}): start it again and let tern \
             topic reassign --without {id} move them, or accept with --force that what only it had is lost",
            only.len(),
            some_of(&only)
        )));
    }
    let before = ensemble.quorum()?.members.get(&old.id).map(|standing| standing.disk);
    if new != old {
        ensemble.reconfig(Some(&line_of(&new)), None, version)?;
        println!("server {id} is reached at {}:{}:{} from now on", new.host, new.data_port, new.quorum_port);
    }
    println!("start the new one with an empty dataDir and log.dirs, {id} in its myid, and these lines in its files:");
    print!("{}", lines(&ensemble.members()?.0));
    let advice = "look at what it says on standard error";
    ensemble.wait(wait, advice, |ensemble| {
        let disk = ensemble.quorum()?.members.get(&new.id).map(|standing| standing.disk);
        Ok((disk.is_none() || disk == before).then(|| format!("server {id} has not come with a new disk yet")))
    })?;
    follow(ensemble, &new, wait)
}

/// One that is running keeps its place.
fn wait_until_gone(ensemble: &mut Ensemble, id: i32) -> io::Result<()> {
    let until = Instant::now() + LEAVING;
    let mut is_told = false;
    while ensemble.brokers()?.contains_key(&NodeId(id)) {
        interrupt::check()?;
        if Instant::now() >= until {
            return Err(io::Error::other(format!(
                "server {id} is running: stop it first; a board that was started with an empty disk under a known number \
                 is taken in without this command"
            )));
        }
        if !std::mem::replace(&mut is_told, true) {
            println!("waiting for the registration of server {id} to end");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}
