//! `tern node remove`: nothing is moved, so nothing may be lost by it unless somebody insists.

use std::io;

use super::Ensemble;
use super::ask::{lines, some_of};
use super::usage;
use crate::types::NodeId;

/// Removes the member once no partition depends on it.
pub(super) fn run(ensemble: &mut Ensemble, id: i32, force: bool, wait: u64) -> io::Result<()> {
    let (members, version) = ensemble.members()?;
    let known: Vec<String> = members.iter().map(|member| member.id.to_string()).collect();
    if members.iter().all(|member| member.id != NodeId(id)) {
        return Err(usage(format!("there is no server {id}; the members are {}", known.join(", "))));
    }
    let only = ensemble.only_at(NodeId(id))?;
    if !only.is_empty() && !force {
        return Err(io::Error::other(format!(
            "server {id} has the only replica in sync of {} partitions ({}): tern topic reassign --without {id} moves \
             them, --force removes it all the same and they go offline",
            only.len(),
            some_of(&only)
        )));
    }
    ensemble.reconfig(None, Some(&id.to_string()), version)?;
    println!("server {id} is no member any more");
    let advice = "tern node list shows who is in the way";
    ensemble.wait(wait, advice, |ensemble| {
        let is_there = ensemble.quorum()?.members.contains_key(&NodeId(id));
        Ok(is_there.then(|| format!("the quorum still counts server {id}")))
    })?;
    println!("stop it, and take its line out of the files of the others:");
    print!("{}", lines(&ensemble.members()?.0));
    let left = ensemble.replicas_at(NodeId(id)).unwrap_or_default();
    if !left.is_empty() {
        println!(
            "{} partitions still name it as a replica ({}): tern topic reassign --without {id} gives them another",
            left.len(),
            some_of(&left)
        );
    }
    Ok(())
}
