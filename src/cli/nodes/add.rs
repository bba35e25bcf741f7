//! `tern node add`: the tree names the member, then it is looked on until it votes.

use std::io;

use super::Ensemble;
use super::ask::{line_of, lines, member};
use super::usage;
use crate::config::Member;
use crate::types::NodeId;

/// Adds the member; whoever has its number already is replaced by another command.
pub(super) fn run(ensemble: &mut Ensemble, line: &str, wait: u64) -> io::Result<()> {
    let new = member(line)?;
    let (members, version) = ensemble.members()?;
    if let Some(known) = members.iter().find(|known| known.id == new.id) {
        let (id, known) = (new.id, line_of(known));
        return Err(usage(format!(
            "server {id} is a member already ({known}): choose another number, or tern node replace {id}"
        )));
    }
    ensemble.reconfig(Some(&line_of(&new)), None, version)?;
    let (members, _) = ensemble.members()?;
    let id = new.id;
    println!(
        "server {id} is a member; start it with an empty dataDir, {id} in its myid, and these lines in its files:"
    );
    print!("{}", lines(&members));
    follow(ensemble, &new, wait)
}

/// Looks on while a member copies, until it is what its line says.
pub(super) fn follow(ensemble: &mut Ensemble, new: &Member, wait: u64) -> io::Result<()> {
    let id = new.id;
    let advice =
        format!("it is a member all the same: look at what it says on standard error, and at tern node list ({id})");
    ensemble.wait(wait, &advice, |ensemble| {
        let quorum = ensemble.quorum()?;
        let is_registered = ensemble.brokers()?.contains_key(&id);
        Ok(match quorum.members.get(&id) {
            None => Some(format!("server {id} has not been heard of yet")),
            Some(standing) if !standing.votes && !new.is_observer => Some(match standing.behind {
                Some(behind) => format!("server {id} copies the tree, {behind} entries behind"),
                None => format!("server {id} copies the tree"),
            }),
            Some(_) if !is_registered => Some(format!("server {id} is in step, its broker is not registered yet")),
            Some(_) => None,
        })
    })?;
    if wait > 0 {
        done(ensemble, id, new.is_observer)?;
    }
    Ok(())
}

fn done(ensemble: &mut Ensemble, id: NodeId, is_observer: bool) -> io::Result<()> {
    let address = ensemble.brokers()?.get(&id).cloned().unwrap_or_default();
    let what = if is_observer { "observes" } else { "votes" };
    println!("server {id} {what}, its broker is at {address}");
    Ok(())
}
